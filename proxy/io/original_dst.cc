#include "proxy/io/original_dst.h"

#include <netinet/in.h>
#include <sys/socket.h>

namespace pillion::io {
namespace {

// Of <linux/netfilter_ipv4.h> and <linux/netfilter_ipv6/ip6_tables.h>, which clash with
// <netinet/in.h>; both have this value for good.
constexpr int kOriginalDst = 80;

Address asked_of(int fd, int level) noexcept {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockopt(fd, level, kOriginalDst, &storage, &length) != 0) return {};
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length);
}

}  // namespace

Address original_destination(int fd) noexcept {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  const Address local = Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length);
  if (!local.is_ip()) return {};
  // A v4 client of a v6 socket is tracked as v4: `local` says which of the two it is.
  const int level = local.kind() == Address::Kind::kIpv4 ? SOL_IP : SOL_IPV6;
  const Address original = asked_of(fd, level);
  return original == local ? Address{} : original;
}

}  // namespace pillion::io
