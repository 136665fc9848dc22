#include "proxy/io/version.h"

#include <ares.h>
#include <uv.h>

namespace pillion::io {

std::string_view uv_version() noexcept { return uv_version_string(); }
std::string_view cares_version() noexcept { return ares_version(nullptr); }

}  // namespace pillion::io
