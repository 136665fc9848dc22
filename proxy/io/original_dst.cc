#include "proxy/io/original_dst.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

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
  const Address local = local_address_of(fd);
  if (!local.is_ip()) return {};
  // A v4 client of a v6 socket is tracked as v4: `local` says which of the two it is.
  const int level = local.kind() == Address::Kind::kIpv4 ? SOL_IP : SOL_IPV6;
  const Address original = asked_of(fd, level);
  return original == local ? Address{} : original;
}

bool is_own_ip(const Address& address) noexcept {
  Address any_port = address;
  any_port.set_port(0);
  sockaddr_storage storage{};
  const socklen_t length = any_port.to_sockaddr(storage);
  if (!address.is_ip() || length == 0) return false;
  // Only an address of ours can be bound.
  const int fd = ::socket(storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool is_own = ::bind(fd, reinterpret_cast<const sockaddr*>(&storage), length) == 0;
  ::close(fd);
  return is_own;
}

}  // namespace pillion::io
