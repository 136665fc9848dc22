#include "proxy/io/acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proxy/base/assert.h"
#include "proxy/base/str.h"

namespace pillion::io {
namespace {

constexpr Duration kRetryDelay = std::chrono::milliseconds(100);
constexpr Duration kListenRetryDelay = std::chrono::seconds(1);

int listen_on(int fd, int backlog) {
  // The kernel caps it.
  return ::listen(fd, backlog > 0 ? backlog : 65535) == 0 ? 0 : errno;
}

void set_flag(int fd, int level, int name, int value = 1) {
  static_cast<void>(::setsockopt(fd, level, name, &value, sizeof value));
}

Error<std::string> failed(const char* what, const Address& address, int error) {
  std::string text = str("cannot ", what, " ", address.to_string(), ": ", std::strerror(error));
  if (error == EADDRINUSE) text += " (another process, or another listener, has it)";
  if (error == EACCES && address.port() != 0 && address.port() < 1024) {
    text += " (ports below 1024 need CAP_NET_BIND_SERVICE)";
  }
  return Error<std::string>{std::move(text)};
}

// A socket file left by a dead process may be removed; one that answers, or any other file, may
// not.
void remove_stale_unix(const Address& address) {
  struct stat file{};
  const std::string path(address.path());
  if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return;
  sockaddr_storage sa{};
  const socklen_t n = address.to_sockaddr(sa);
  // Non-blocking: a live one with a full queue would keep us waiting.
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return;
  const bool dead =
      ::connect(probe, reinterpret_cast<sockaddr*>(&sa), n) != 0 && errno == ECONNREFUSED;
  ::close(probe);
  if (dead) ::unlink(path.c_str());
}

}  // namespace

Result<int> bind_listener(const Address& address, const ListenOptions& options) {
  sockaddr_storage sa{};
  const socklen_t length = address.to_sockaddr(sa);
  if (length == 0) return failed("listen on", address, EINVAL);
  const int fd = ::socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed("open a socket for", address, errno);
  const bool is_abstract = address.path().starts_with('@');
  if (address.is_ip()) {
    set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
    if (options.reuse_port) set_flag(fd, SOL_SOCKET, SO_REUSEPORT);
    set_flag(fd, IPPROTO_TCP, TCP_NODELAY);  // accepted sockets inherit it: no call for each
    if (address.kind() == Address::Kind::kIpv6) set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (options.transparent) set_flag(fd, IPPROTO_IP, IP_TRANSPARENT);
    if (options.freebind) set_flag(fd, IPPROTO_IP, IP_FREEBIND);
    if (options.user_timeout != Duration{}) {
      set_flag(fd, SOL_SOCKET, SO_KEEPALIVE);
      set_flag(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
               static_cast<int>(to_millis(options.user_timeout)));
    }
  } else if (!is_abstract) {
    remove_stale_unix(address);
  }
  if (::bind(fd, reinterpret_cast<sockaddr*>(&sa), length) != 0) {
    const int error = errno;
    ::close(fd);
    return failed("bind", address, error);
  }
  if (!address.is_ip() && !is_abstract && options.unix_mode != 0) {
    static_cast<void>(::chmod(std::string(address.path()).c_str(), options.unix_mode));
  }
  return fd;
}

Result<int> open_listener(const Address& address, const ListenOptions& options) {
  Result<int> fd = bind_listener(address, options);
  if (!fd) return fd;
  if (const int error = listen_on(*fd, options.backlog); error != 0) {
    ::close(*fd);
    return failed("listen on", address, error);
  }
  return fd;
}

Acceptor::Acceptor(Loop& loop, int bound_fd, AcceptObserver& observer, uint32_t max_per_event,
                   int backlog)
    : loop_(loop),
      observer_(observer),
      fd_(bound_fd),
      max_per_event_(max_per_event),
      backlog_(backlog) {
  resume();
}

Acceptor::~Acceptor() { close(); }

void Acceptor::close() noexcept {
  if (fd_ < 0) return;
  retry_timer_.cancel();
  disarm();
  ::close(fd_);
  fd_ = -1;
}

void Acceptor::pause() {
  is_paused_ = true;
  disarm();
}

void Acceptor::resume() {
  is_paused_ = false;
  arm();
}

void Acceptor::arm() {
  if (fd_ < 0 || is_armed_ || is_paused_ || retry_timer_.is_armed()) return;
  if (!is_listening_ && !listen()) return;
  const int error = loop_.poller().add(*this, fd_, EPOLLIN);
  if (error != 0) return try_later(error);
  is_armed_ = true;
}

bool Acceptor::listen() {
  listen_error_ = listen_on(fd_, backlog_);
  is_listening_ = listen_error_ == 0;
  if (!is_listening_) loop_.arm(retry_timer_, kListenRetryDelay);
  return is_listening_;
}

void Acceptor::disarm() noexcept {
  if (!is_armed_) return;
  is_armed_ = false;
  loop_.poller().remove(*this, fd_);
}

void Acceptor::try_later(int error) {
  loop_.arm(retry_timer_, kRetryDelay);
  observer_.on_accept_error(error);
}

void Acceptor::on_poll(uint32_t) {
  for (uint32_t n = 0; n < max_per_event_; ++n) {
    if (is_paused_ || !accept_one()) return;
  }
}

bool Acceptor::accept_one() {
  if (fd_ < 0 || !is_listening_) return false;
  sockaddr_storage sa;
  socklen_t length = sizeof sa;
  const int fd =
      ::accept4(fd_, reinterpret_cast<sockaddr*>(&sa), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    observer_.on_accepted(fd, Address::from_sockaddr(reinterpret_cast<sockaddr*>(&sa), length));
    return true;
  }
  switch (errno) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EPERM:
    case ETIMEDOUT:
      return true;  // that one is gone (accept(2)), others may wait
    case EAGAIN:
      return false;
    default:
      // Level-triggered readiness would spin: stop asking for a moment.
      const int error = errno;
      disarm();
      try_later(error);
      return false;
  }
}

// How many connections wait to be accepted.
uint32_t Acceptor::queued() const noexcept {
  constexpr uint32_t kMost = 65536;  // more than a kernel keeps (net.core.somaxconn) by far
  tcp_info info{};
  socklen_t length = sizeof info;
  const bool known = ::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &length) == 0;
  return known ? info.tcpi_unacked : kMost;  // of a socket that listens: its queue
}

void Acceptor::drain_and_close() {
  if (fd_ < 0) return;
  // Connections that finished their handshake would be reset by close(), as are those that come
  // between the last accept and it: nothing else is to be done in between.
  disarm();
  // Not more than there were: clients may connect as fast as they are accepted.
  for (uint32_t n = queued(); n > 0 && accept_one(); --n) {
  }
  close();
}

}  // namespace pillion::io
