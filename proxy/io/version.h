#pragma once
// Versions of the libraries that this folder wraps, for `pillion version`.

#include <string_view>

namespace pillion::io {

std::string_view uv_version() noexcept;
std::string_view cares_version() noexcept;

}  // namespace pillion::io
