#pragma once
// Version of the library that this folder wraps, for `pillion version`.

#include <string_view>

namespace pillion::tls {

std::string_view boringssl_version() noexcept;

}  // namespace pillion::tls
