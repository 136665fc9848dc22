#pragma once
// Version of the library that this folder wraps, for `pillion version`.

#include <string_view>

namespace pillion::match {

std::string_view re2_version() noexcept;

}  // namespace pillion::match
