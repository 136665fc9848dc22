#pragma once
// The version of the library that this folder wraps, for `pillion version`.

#include <string_view>

namespace pillion::http {

std::string_view nghttp2_library_version() noexcept;  // in h2_codec.cc

}  // namespace pillion::http
