#include "proxy/listen_sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proxy/base/str.h"
#include "proxy/io/acceptor.h"

namespace pillion {
namespace {

io::Address bound_address(int fd, const io::Address& asked) {
  sockaddr_storage sa{};
  socklen_t length = sizeof sa;
  if (!asked.is_ip() || ::getsockname(fd, reinterpret_cast<sockaddr*>(&sa), &length) != 0)
    return asked;
  return io::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&sa), length);
}

Status<> probe(const io::Address& address, io::ListenOptions options) {
  options.reuse_port = false;
  Result<int> fd = io::bind_listener(address, options);
  if (!fd) return Error<std::string>{fd.error()};
  ::close(*fd);
  return Ok{};
}

}  // namespace

Result<ListenSockets> open_listen_sockets(const core::ListenerConfig& listener, uint32_t workers,
                                          bool is_ours) {
  ListenSockets out{listener.address, {}};
  if (!listener.bind_to_port) {
    out.sockets.assign(workers, -1);
    return out;
  }
  const auto fail = [&](const std::string& reason) {
    close_listen_sockets(out);
    return Error<std::string>{str("listener \"", listener.name, "\": ", reason)};
  };
  const bool has_own_each = listener.options.reuse_port && listener.address.is_ip();
  if (has_own_each && !is_ours && listener.address.port() != 0) {
    if (const Status<> free = probe(listener.address, listener.options); !free)
      return fail(free.error());
  }
  while (out.sockets.size() < workers) {
    if (!out.sockets.empty() && !has_own_each) {
      // Workers share the queue of one socket.
      const int copy = ::fcntl(out.sockets.front(), F_DUPFD_CLOEXEC, 0);
      if (copy < 0) return fail(str("cannot duplicate a socket: ", std::strerror(errno)));
      out.sockets.push_back(copy);
      continue;
    }
    Result<int> fd = io::bind_listener(out.address, listener.options);
    if (!fd) return fail(fd.error());
    out.sockets.push_back(*fd);
    out.address = bound_address(*fd, out.address);
  }
  return out;
}

void close_listen_sockets(const ListenSockets& sockets) noexcept {
  for (const int fd : sockets.sockets) {
    if (fd >= 0) ::close(fd);
  }
}

}  // namespace pillion
