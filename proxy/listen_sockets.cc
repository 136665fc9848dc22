#include "proxy/listen_sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/io/acceptor.h"
#include "proxy/io/original_dst.h"

namespace pillion {
namespace {

io::Address bound_address(int fd, const io::Address& asked) {
  const io::Address bound = io::local_address_of(fd);
  return asked.is_ip() && bound.is_ip() ? bound : asked;
}

// A socket for each worker; adds them, and the address as bound, to `out`.
Status<> open_on(const io::Address& address, const core::ListenerConfig& listener, bool has_former,
                 ListenSockets& out) {
  const bool has_own_each = listener.options.reuse_port && address.is_ip();
  if (has_own_each && !has_former && address.port() != 0) {
    if (Status<> free = try_address(address, listener.options); !free) return free;
  }
  io::Address bound = address;
  int first = -1;
  for (std::vector<int>& of_worker : out.sockets) {
    if (first >= 0 && !has_own_each) {
      // Workers share the queue of one socket.
      const int copy = ::fcntl(first, F_DUPFD_CLOEXEC, 0);
      if (copy < 0) return Error{str("cannot duplicate a socket: ", std::strerror(errno))};
      of_worker.push_back(copy);
      continue;
    }
    Result<int> fd = has_former ? io::bind_listener(bound, listener.options)
                                : io::open_listener(bound, listener.options);
    if (!fd) return Error<std::string>{fd.error()};
    of_worker.push_back(first = *fd);
    bound = bound_address(*fd, bound);
  }
  out.addresses.push_back(bound);
  return Ok{};
}

}  // namespace

Result<ListenSockets> open_listen_sockets(const core::ListenerConfig& listener, uint32_t workers,
                                          const OurAddresses& ours) {
  ListenSockets out;
  out.sockets.resize(workers);
  if (!listener.bind_to_port) {
    out.addresses.push_back(listener.address);
    return out;
  }
  for (const io::Address& more : listener.additional_addresses) {
    if (!lacks_family(more)) continue;
    log::info(log::kConfig, "no IPv6 on this machine: an additional address is left out",
              {{"listener", listener.name}, {"address", more}});
  }
  for (const auto& [address, additional] : addresses_to_bind(listener)) {
    const bool has_former = ours.may_share(address, listener);
    if (Status<> opened = open_on(address, listener, has_former, out); !opened) {
      close_listen_sockets(out);
      return Error<std::string>{opened.error()};
    }
  }
  return out;
}

void close_listen_sockets(const ListenSockets& sockets) noexcept {
  for (const std::vector<int>& of_worker : sockets.sockets) {
    for (const int fd : of_worker) ::close(fd);
  }
}

}  // namespace pillion
