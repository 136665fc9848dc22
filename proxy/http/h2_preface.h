#pragma once
// What clients send before their first frame (RFC 9113, 3.4).

#include <string_view>

namespace pillion::http {

inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

}  // namespace pillion::http
