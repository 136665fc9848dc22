#pragma once
// What a name can mean before DNS is asked: the search domains of resolv.conf, and the hosts file.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/io/address.h"

namespace pillion::io {

// The names to ask for, in this order (resolv.conf(5)): a name with a trailing dot is complete; one
// with at least `ndots` dots is tried as it is first, another one last.  Without trailing dots.
std::vector<std::string> search_list(std::string_view name, uint32_t ndots,
                                     const std::vector<std::string>& domains);

// The addresses of a name in a hosts file (hosts(5)), port 0; none if there is no such file.  Reads
// the file each time: it is small, and Kubernetes changes it in place.  What lies behind its first
// MiB is ignored.
std::vector<Address> find_in_hosts(const std::string& path, std::string_view name);

// "localhost" and names below it are never asked of a server (RFC 6761, 6.3).
bool is_localhost(std::string_view name) noexcept;

}  // namespace pillion::io
