#pragma once
// Versions of the libraries that this folder wraps, for `pillion version`.

#include <string_view>

namespace pillion {

std::string_view spdlog_version() noexcept;
std::string_view nlohmann_json_version() noexcept;

}  // namespace pillion
