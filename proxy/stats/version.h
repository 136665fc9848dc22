#pragma once
// Version of the library that this folder wraps, for `pillion version`.

#include <string_view>

namespace pillion::stats {

std::string_view prometheus_cpp_version() noexcept;

}  // namespace pillion::stats
