#pragma once
// Version of the library that this folder wraps, for `pillion version`.

#include <string_view>

namespace pillion::config {

std::string_view yaml_cpp_version() noexcept;

}  // namespace pillion::config
