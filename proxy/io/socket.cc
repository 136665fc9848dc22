#include "proxy/io/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "proxy/base/assert.h"

namespace pillion::io {
namespace {

void set_int(int fd, int level, int name, int value) noexcept {
  static_cast<void>(::setsockopt(fd, level, name, &value, sizeof value));
}

// Errors after which the peer is known to be gone, as opposed to ours.
FailureKind connect_failure_of(int error) noexcept {
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
    case EACCES:
    case EPERM:
      return FailureKind::kConnectLocal;
    case ETIMEDOUT:
      return FailureKind::kConnectTimeout;
    default:
      return FailureKind::kConnectFailed;
  }
}

}  // namespace

FailureKind broken_by(int error) noexcept {
  return error == ETIMEDOUT ? FailureKind::kPeerGone : FailureKind::kDownstreamReset;
}

void apply_options(int fd, const SocketOptions& o) noexcept {
  if (o.no_delay) set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (o.user_timeout != Duration{}) {
    set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(to_millis(o.user_timeout)));
  }
  if (o.keepalive) {
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (o.keepalive_probes != 0)
      set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(o.keepalive_probes));
    if (o.keepalive_time_s != 0)
      set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(o.keepalive_time_s));
    if (o.keepalive_interval_s != 0)
      set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(o.keepalive_interval_s));
  }
  if (o.mark != 0) set_int(fd, SOL_SOCKET, SO_MARK, static_cast<int>(o.mark));
  if (o.transparent) set_int(fd, IPPROTO_IP, IP_TRANSPARENT, 1);
}

// Every idle connection has one (tests/perf/connection_memory_test.cc).
static_assert(sizeof(Socket) <= 80);

Socket::Socket(Loop& loop, int fd, bool connecting) noexcept
    : loop_(loop), fd_(fd), connecting_(connecting) {}

Socket::~Socket() { close(); }

std::unique_ptr<Socket> Socket::adopt(Loop& loop, int fd) {
  return std::unique_ptr<Socket>(new Socket(loop, fd, false));
}

std::unique_ptr<Socket> Socket::connect(Loop& loop, const Address& to, const Address& source,
                                        const SocketOptions& options) {
  sockaddr_storage sa{};
  const socklen_t length = to.to_sockaddr(sa);
  const int fd = ::socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  std::unique_ptr<Socket> socket(new Socket(loop, fd, true));
  socket->announce_ = true;  // start() waits instead if there is something to wait for
  if (fd < 0) {
    socket->fail(connect_failure_of(errno), errno);
    return socket;
  }
  if (to.is_ip()) apply_options(fd, options);
  sockaddr_storage from{};
  if (const socklen_t n = source.to_sockaddr(from); n != 0) {
    set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&from), n) != 0) {
      socket->fail(FailureKind::kConnectLocal, errno);
      socket->bind_failed_ = true;
      return socket;
    }
  }
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&sa), length) == 0) {
    socket->connecting_ = false;
  } else if (errno != EINPROGRESS) {
    socket->fail(connect_failure_of(errno), errno);
  }
  return socket;
}

void Socket::start(TransportObserver& observer) {
  observer_ = &observer;
  if (announce_ && connecting_ && !failure_) {
    announce_ = false;
    watched_ = true;
    update_interest();
  } else if (failure_ || announce_) {
    run_again();
  } else if (!watched_ && !ListNode<ReadyTag>::is_linked()) {
    loop_.register_soon(*this);  // even if nobody reads for now
  }
}

void Socket::fail(FailureKind kind, int error) noexcept {
  if (failure_) return;
  if (kind == FailureKind::kDownstreamReset) kind = broken_by(error);
  failure_ = {kind, error};
}

IoResult Socket::read_unread(char* to, size_t capacity) {
  const size_t n = unread_->copy(to, capacity);
  if (n == unread_->size()) {
    unread_.reset();
    // An end that was seen already is not told by the kernel again; else more may be there.
    if (eof_ || broken_ || stopped_) {
      read_again();
    } else {
      watch();
    }
  } else {
    unread_->erase(0, n);
    read_again();
  }
  return {n, IoStatus::kOk};
}

IoResult Socket::read(char* to, size_t capacity) {
  if (unread_ != nullptr) [[unlikely]]
    return read_unread(to, capacity);
  if (broken_) return {0, IoStatus::kError};
  ++loop_.counts.reads;
  ssize_t n;
  do {
    n = ::recv(fd_, to, capacity, 0);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    // A short read means drained: epoll will tell of more, once the socket is in it.
    if (!watched_) {
      if (static_cast<size_t>(n) == capacity) {
        watch();
      } else if (!ListNode<ReadyTag>::is_linked()) {
        loop_.register_soon(*this);
      }
    } else if (stopped_) {
      run_again();
    }
    return {static_cast<size_t>(n), IoStatus::kOk};
  }
  if (n == 0) {
    eof_ = fin_seen_ = true;
    // A reset may follow.
    if (!watched_ && !ListNode<ReadyTag>::is_linked()) loop_.register_soon(*this);
    return {0, IoStatus::kEof};
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    watch();
    return {0, IoStatus::kAgain};
  }
  broken_ = true;
  fail(FailureKind::kDownstreamReset, errno);
  return {0, IoStatus::kError};
}

IoResult Socket::write(const iovec* pieces, int count) {
  ++loop_.counts.writes;
  size_t total = 0;
  for (int i = 0; i < count; ++i) total += pieces[i].iov_len;
  ssize_t n;
  do {
    if (count == 1) {
      n = ::send(fd_, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(pieces);
      message.msg_iovlen = static_cast<size_t>(count);
      n = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    }
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      fail(FailureKind::kDownstreamReset, errno);
      return {0, IoStatus::kError};
    }
    n = 0;
  }
  if (static_cast<size_t>(n) < total) want_writable();
  return {static_cast<size_t>(n), n == 0 && total != 0 ? IoStatus::kAgain : IoStatus::kOk};
}

void Socket::want_writable() {
  want_write_ = true;
  watched_ = true;
  update_interest();
}

void Socket::shutdown_write() {
  if (!closed_) ::shutdown(fd_, SHUT_WR);
}

void Socket::close(CloseMode mode) {
  if (closed_) return;
  closed_ = true;
  observer_ = nullptr;
  ListNode<ReadyTag>::unlink();
  set_interest(0);
  if (fd_ < 0) return;
  if (mode == CloseMode::kReset) {
    const linger hard{1, 0};
    static_cast<void>(::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard));
  }
  ::close(fd_);
  fd_ = -1;
}

void Socket::pause(PauseReason reason) { paused_ |= static_cast<uint8_t>(reason); }

void Socket::resume(PauseReason reason) {
  if (paused_ == 0 || closed_) return;
  paused_ &= static_cast<uint8_t>(~static_cast<uint8_t>(reason));
  if (paused_ != 0) return;
  // Outside epoll and on no list: nobody else would ever ask for the next read.
  if (stopped_ || again_ || eof_ || (!watched_ && !ListNode<ReadyTag>::is_linked())) read_again();
  if (!read_paused_) return;
  read_paused_ = false;
  update_interest();
}

void Socket::read_again() {
  if (!closed_) run_again();
}

void Socket::run_again() noexcept {
  // On the list of the unregistered it is moved to the ready queue, whose read decides again.
  if (!watched_) ListNode<ReadyTag>::unlink();
  loop_.post(*this);
}

void Socket::run_ready() {
  if (observer_ == nullptr) return;
  if (announce_) {
    announce_ = false;
    if (failure_) return observer_->on_closed(failure_);
    watch();  // whoever connects waits for an answer
    return observer_->on_connected();
  }
  again_ = paused_ != 0;
  if (!again_) return observer_->on_readable();
  if (!watched_) loop_.register_soon(*this);  // a reset is to be heard
}

void Socket::watch() {
  if (closed_) return;
  if (stopped_ && paused_ == 0 && !broken_ && !eof_) run_again();
  if (watched_) return;
  ListNode<ReadyTag>::unlink();
  watched_ = true;
  update_interest();
}

void Socket::update_interest() {
  if (!watched_ || closed_ || stopped_) return;
  int want = want_write_ || connecting_ ? kWritable : 0;
  if (!connecting_) {
    if (!read_paused_ && !eof_) {
      want |= kReadable;
    } else if (!fin_seen_) {
      want |= kFin;
    } else if (!hup_seen_) {
      want |= kReset;  // nothing of its own, but epoll tells of a reset
    }
  }
  set_interest(static_cast<uint8_t>(want));
}

void Socket::set_interest(uint8_t want) {
  if (want == armed_) return;
  const uint8_t before = std::exchange(armed_, want);
  if (want == 0) return loop_.poller().remove(*this, fd_);
  ++loop_.counts.poll_changes;
  uint32_t events = 0;
  if ((want & kReadable) != 0) events |= EPOLLIN;
  if ((want & kWritable) != 0) events |= EPOLLOUT;
  if ((want & kFin) != 0) events |= EPOLLRDHUP;
  Poller& poller = loop_.poller();
  const int error =
      before == 0 ? poller.add(*this, fd_, events) : poller.change(*this, fd_, events);
  if (error != 0) [[unlikely]]
    on_refused(before != 0, error);
}

// Nothing would ever be heard of it again, so it ends as if the peer had reset it.  From the ready
// queue, because this may run inside a call of the owner's.
void Socket::on_refused(bool was_in, int error) noexcept {
  if (was_in) loop_.poller().remove(*this, fd_);
  armed_ = 0;
  stopped_ = broken_ = announce_ = true;
  fail(connecting_ ? FailureKind::kConnectLocal : FailureKind::kDownstreamReset, error);
  run_again();
}

void Socket::on_poll(uint32_t events) {
  if (connecting_) return finish_connect();
  if ((events & EPOLLERR) != 0) return on_error();
  if ((events & EPOLLOUT) != 0 && want_write_) {
    want_write_ = false;
    observer_->on_writable();
    // Closed, or the writer filled the socket again; otherwise stop asking.
    if (closed_) return;
    update_interest();
  }
  // All of them repeat every turn while armed.
  if ((events & EPOLLRDHUP) != 0) fin_seen_ = true;
  if ((events & EPOLLHUP) != 0) hup_seen_ = true;
  if ((events & EPOLLIN) == 0) return update_interest();
  if (paused_ != 0 || eof_) {
    read_paused_ = true;
    return update_interest();
  }
  observer_->on_readable();
}

void Socket::on_error() {
  stopped_ = true;
  set_interest(0);
  if (paused_ != 0) {
    int error = 0;
    socklen_t n = sizeof error;
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &n);
    fail(FailureKind::kDownstreamReset, error);
    return observer_->on_closed(failure_);
  }
  // Bytes may have come before the reset: the reader reaches it by reading, for which it is no
  // longer called.
  run_again();
  observer_->on_readable();
}

void Socket::finish_connect() {
  connecting_ = false;
  int error = 0;
  socklen_t n = sizeof error;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &n) != 0) error = errno;
  if (error != 0) {
    fail(connect_failure_of(error), error);
    return observer_->on_closed(failure_);
  }
  update_interest();
  observer_->on_connected();
}

Address Socket::local_address() const noexcept { return local_address_of(fd_); }

Address Socket::peer_address() const noexcept { return peer_address_of(fd_); }

}  // namespace pillion::io
