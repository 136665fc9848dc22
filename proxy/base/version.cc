#include "proxy/base/version.h"

#include <spdlog/version.h>

#include <nlohmann/json.hpp>

#define PILLION_TEXT_OF(x) #x
#define PILLION_TEXT(x) PILLION_TEXT_OF(x)

namespace pillion {

std::string_view spdlog_version() noexcept {
  return PILLION_TEXT(SPDLOG_VER_MAJOR) "." PILLION_TEXT(SPDLOG_VER_MINOR) "." PILLION_TEXT(
      SPDLOG_VER_PATCH);
}

std::string_view nlohmann_json_version() noexcept {
  return PILLION_TEXT(NLOHMANN_JSON_VERSION_MAJOR) "." PILLION_TEXT(
      NLOHMANN_JSON_VERSION_MINOR) "." PILLION_TEXT(NLOHMANN_JSON_VERSION_PATCH);
}

}  // namespace pillion
