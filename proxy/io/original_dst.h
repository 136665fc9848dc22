#pragma once
// Where a captured connection was going before the kernel redirected it to us.

#include "proxy/io/address.h"

namespace pillion::io {

// The destination that the client of an accepted TCP connection meant (SO_ORIGINAL_DST, and
// IP6T_SO_ORIGINAL_DST on IPv6 sockets).  kNone if the kernel knows of no redirection, or if it
// names the address that the connection came to anyway.
Address original_destination(int fd) noexcept;

// Is the IP one of this host's (of this network namespace)?  Asks the kernel: for rare decisions.
bool is_own_ip(const Address& address) noexcept;

}  // namespace pillion::io
