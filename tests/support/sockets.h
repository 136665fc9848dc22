#pragma once
// Real sockets for tests: connected pairs, plain blocking-free helpers on raw descriptors, and an
// observer that records what a Transport tells it.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>

#include "proxy/io/acceptor.h"
#include "proxy/io/loop.h"
#include "proxy/io/transport.h"

namespace pillion::testing {

// A descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    reset();
    fd_ = other.release();
    return *this;
  }
  ~Fd() { reset(); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  // Closes with RST.
  void abort() noexcept {
    const linger hard{1, 0};
    static_cast<void>(::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard));
    reset();
  }

 private:
  int fd_ = -1;
};

inline io::Address local_address_of(int fd) {
  sockaddr_storage sa{};
  socklen_t n = sizeof sa;
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&sa), &n), 0);
  return io::Address::from_sockaddr(reinterpret_cast<sockaddr*>(&sa), n);
}

// A listening socket on a free loopback port.
inline Fd loopback_listener(int backlog = 0) {
  io::ListenOptions options;
  options.backlog = backlog;
  auto fd = io::open_listener(io::Address::ipv4(INADDR_LOOPBACK, 0), options);
  EXPECT_TRUE(fd) << fd.error();
  return Fd(*fd);
}

// A blocking connect to it; the descriptor is non-blocking afterwards.
inline Fd connect_to(const io::Address& address) {
  sockaddr_storage sa{};
  const socklen_t n = address.to_sockaddr(sa);
  Fd fd(::socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&sa), n), 0) << errno;
  const timeval patience{5, 0};  // no test hangs in send() or recv()
  static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
  static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience));
  return fd;
}

// Both ends of a TCP connection: `ours` is non-blocking, `peer` blocks for at most 5 s.
struct TcpPair {
  TcpPair() {
    Fd listener = loopback_listener();
    peer = connect_to(local_address_of(listener.get()));
    ours = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    EXPECT_GE(ours.get(), 0);
  }
  Fd ours;
  Fd peer;
};

inline void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    ASSERT_GT(n, 0) << errno;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

// Waits for at least one byte; "" at the end of the stream, "RST" after a reset.
inline std::string receive(int fd, size_t most = 65536) {
  std::string text(most, '\0');
  const ssize_t n = ::recv(fd, text.data(), text.size(), 0);
  if (n < 0) return errno == ECONNRESET ? "RST" : "errno " + std::to_string(errno);
  text.resize(static_cast<size_t>(n));
  return text;
}

// Puts a regular file in the place of `fd`, which epoll refuses with EPERM: as good as a kernel
// without memory or watches left.
inline void make_unwatchable(int fd) {
  Fd file(::memfd_create("unwatchable", MFD_CLOEXEC));
  EXPECT_EQ(::dup3(file.get(), fd, O_CLOEXEC), fd) << errno;
}

// Is there anything to read (bytes, FIN or RST) right now?
inline bool has_input(int fd) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, 0) == 1;
}

// Records; reads all there is on each on_readable unless told otherwise.
struct RecordingObserver final : io::TransportObserver {
  void on_connected() override {
    log += "connected ";
    if (then) then();
  }
  void on_readable() override {
    ++readables;
    if (reads && transport != nullptr) read_once();
    if (then) then();
  }
  void on_writable() override {
    log += "writable ";
    if (then) then();
  }
  void on_closed(Failure f) override {
    log += "closed ";
    failure = f;
    if (then) then();
  }
  void read_once() {
    std::string part(chunk, '\0');
    last = transport->read(part.data(), part.size());
    received.append(part, 0, last.bytes);
    if (last.status == io::IoStatus::kEof) log += "eof ";
    if (last.status == io::IoStatus::kError) log += "error ";
  }

  io::Transport* transport = nullptr;
  bool reads = true;
  size_t chunk = 65536;
  std::function<void()> then;  // at the end of each callback
  std::string log;
  std::string received;
  int readables = 0;
  io::IoResult last;
  Failure failure;
};

}  // namespace pillion::testing
