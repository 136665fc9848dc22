#pragma once
// The other ends of a worker's connections, in the test's hands: sockets of the same thread.  What
// waits turns the worker's loop meanwhile, so that everything happens in one order.

#include <netinet/tcp.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/io/socket.h"
#include "tests/support/run_until.h"
#include "tests/support/sockets.h"

namespace pillion::testing {

// How long the first HTTP/1 message in `text` is, if all of it is there.  `bodiless`: a response to
// HEAD.
inline std::optional<size_t> message_size(std::string_view text, bool bodiless = false) {
  const size_t head = text.find("\r\n\r\n");
  if (head == std::string_view::npos) return std::nullopt;
  std::string fields(text.substr(0, head + 2));
  std::transform(fields.begin(), fields.end(), fields.begin(), to_lower);
  size_t size = head + 4;
  if (bodiless) return size;
  if (fields.find("\r\ntransfer-encoding: chunked\r\n") != std::string::npos) {
    const size_t end = text.find("\r\n0\r\n", head);
    const size_t last = end == std::string_view::npos ? end : text.find("\r\n\r\n", end + 3);
    if (last == std::string_view::npos) return std::nullopt;
    return last + 4;
  }
  constexpr std::string_view kLength = "\r\ncontent-length: ";
  if (const size_t at = fields.find(kLength); at != std::string::npos) {
    size += std::stoul(fields.substr(at + kLength.size()));
  }
  if (text.size() < size) return std::nullopt;
  return size;
}

// A client of the worker, or a connection that the worker made to a Backend.
class Peer {
 public:
  // Small writes go out at once: Nagle would hold the second until the first is acknowledged.
  Peer(io::Loop& loop, Fd fd) : loop_(&loop), fd_(std::move(fd)) {
    const int on = 1;
    ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }

  void send(std::string_view bytes) { send_all(fd_.get(), bytes); }
  // What the kernel takes at once; -1: nothing now.
  ssize_t try_send(std::string_view bytes) {
    return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  // Takes all that has come; returns how much.
  size_t discard() {
    pull();
    return std::exchange(in_, {}).size();
  }
  // What the kernel takes for us while we do not read.
  void limit_receive_buffer(int bytes) {
    static_cast<void>(::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes));
  }
  // Our FIN.
  void end() { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }
  void abort() { fd_.abort(); }

  // What has come and was not taken as a message(), as of now.
  const std::string& received() {
    pull();
    return in_;
  }
  // Waits for a whole message and takes it; what there is, if the connection ends before.
  std::string message(bool bodiless = false) {
    (void)run_until(*loop_, [&] { return pull(), is_over_ || message_size(in_, bodiless); });
    const size_t size = message_size(in_, bodiless).value_or(in_.size());
    std::string message = in_.substr(0, size);
    in_.erase(0, size);
    return message;
  }
  bool waits_for(std::string_view text) {
    return run_until(*loop_, [&] { return received().find(text) != std::string::npos; });
  }
  // Has the worker ended the connection (FIN or RST), as of now?
  bool is_over() {
    pull();
    return is_over_;
  }
  bool waits_for_the_end() {
    return run_until(*loop_, [&] { return is_over(); });
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool was_reset() const { return was_reset_; }

  // As a server does: takes a request, answers it, returns it.
  std::string answer(std::string_view response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") {
    std::string request = message();
    send(response);
    return request;
  }

 private:
  void pull() {
    char part[64 * 1024];
    while (!is_over_ && fd_.get() >= 0) {
      const ssize_t n = ::recv(fd_.get(), part, sizeof part, MSG_DONTWAIT);
      if (n < 0 && errno == EAGAIN) return;
      was_reset_ = n < 0;
      is_over_ = n <= 0;
      if (n > 0) in_.append(part, static_cast<size_t>(n));
    }
  }
  io::Loop* loop_;
  Fd fd_;
  std::string in_;
  bool is_over_ = false;
  bool was_reset_ = false;
};

// A listening socket that the worker's clusters name; the test plays the server.
class Backend {
 public:
  explicit Backend(io::Loop& loop, int backlog = 0)
      : loop_(&loop), fd_(loopback_listener(backlog)) {
    address = local_address_of(fd_.get());
  }
  // The next connection of the worker; waits for it.
  Peer accept() { return Peer(*loop_, accept_socket()); }
  Fd accept_socket() {
    EXPECT_TRUE(run_until(*loop_, [&] { return is_called(); })) << "nobody connects";
    return Fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  // The same as a Transport, for a peer that is no text.
  std::unique_ptr<io::Transport> accept_transport() {
    EXPECT_TRUE(run_until(*loop_, [&] { return is_called(); })) << "nobody connects";
    const int fd = ::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    io::apply_options(fd, {});
    return io::Socket::adopt(*loop_, fd);
  }
  [[nodiscard]] bool is_called() const { return fd_.get() >= 0 && has_input(fd_.get()); }
  // From now on connects are refused.
  void stop() { fd_.reset(); }

  io::Address address;

 private:
  io::Loop* loop_;
  Fd fd_;
};

}  // namespace pillion::testing
