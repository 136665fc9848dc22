#include "proxy/cli/capture_loopback.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proxy/base/str.h"

namespace pillion::cli {
namespace {

// struct in6_ifreq of <linux/ipv6.h>, which clashes with <netinet/in.h>.
struct InterfaceAddress {
  in6_addr address;
  uint32_t prefix_length;
  int interface;
};

Status<> change(unsigned long request, int is_done, const char* what) {
  const int fd = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Ok{};  // no IPv6 at all
  InterfaceAddress wanted{};
  wanted.address.s6_addr[15] = 6;
  wanted.prefix_length = 128;
  wanted.interface = static_cast<int>(::if_nametoindex("lo"));
  const int error = ::ioctl(fd, request, &wanted) == 0 ? 0 : errno;
  ::close(fd);
  // EACCES: IPv6 is off on this interface (sysctl disable_ipv6).
  if (error == 0 || error == is_done || error == EACCES) return Ok{};
  return Error{str("cannot ", what, " ::6/128 on lo: ", std::strerror(error))};
}

}  // namespace

Status<> add_last_hop_address() { return change(SIOCSIFADDR, EEXIST, "put"); }

Status<> remove_last_hop_address() { return change(SIOCDIFADDR, EADDRNOTAVAIL, "remove"); }

}  // namespace pillion::cli
