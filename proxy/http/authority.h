#pragma once
// The syntax of Host and :authority (RFC 3986, 3.2, as RFC 9110, 4.2.4 narrows it).

#include <string_view>

#include "proxy/base/arena.h"

namespace pillion::http {

// A reg-name, IPv4 or [IPv6], with an optional port; no userinfo, and no escapes: RFC 3986 allows
// them, DNS has no name that needs one, and to some servers "%61" were another way to write "a".
bool is_valid_authority(std::string_view text) noexcept;

// The one form of an authority (RFC 3986, 6.2.2.1 and 6.2.3): letters in lower case, an IPv6
// address as RFC 5952 writes it, a port without zeros in front, and no ':' without a port.  `text`
// is valid or empty.  The argument itself if nothing changes, else a copy in the arena.
std::string_view canonical_authority(std::string_view text, Arena& arena);

}  // namespace pillion::http
