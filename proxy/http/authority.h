#pragma once
// The syntax of Host and :authority (RFC 3986, 3.2, as RFC 9110, 4.2.4 narrows it).

#include <string_view>

namespace pillion::http {

// A reg-name, IPv4 or [IPv6], with an optional port; no userinfo.
bool is_valid_authority(std::string_view text) noexcept;

}  // namespace pillion::http
