#pragma once
// HttpClient: a client of a server that runs on the same thread's loop: a non-blocking socket, and
// just enough of HTTP/1.1 to tell responses apart.
//
//   HttpClient client(address);
//   client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
//   run_until(loop, [&] { return done = done || client.receive(reply); });

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <map>
#include <string>
#include <string_view>

#include "proxy/base/assert.h"
#include "proxy/io/address.h"

namespace pillion::testing {

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
};

class HttpClient {
 public:
  // `receive_buffer` 0: the kernel's.
  explicit HttpClient(const io::Address& to, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer != 0) take_more(receive_buffer);
    sockaddr_storage sa{};
    const socklen_t length = to.to_sockaddr(sa);
    is_connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&sa), length) == 0;
    ::fcntl(fd_, F_SETFL, O_NONBLOCK);
  }
  ~HttpClient() { ::close(fd_); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Sets the size of the kernel's receive buffer.
  void take_more(int receive_buffer) {
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  [[nodiscard]] bool is_connected() const { return is_connected_; }
  // What does not fit now is sent by later calls of receive().
  void send(std::string_view text) {
    to_send_ += text;
    pump();
  }
  // True when a whole response is there; takes it.  `to_head`: it answers HEAD, and has no body.
  bool receive(HttpReply& reply, bool to_head = false) {
    pump();
    const size_t head_end = in_.find("\r\n\r\n");
    if (head_end == std::string::npos) return false;
    HttpReply parsed = parse_head(std::string_view(in_).substr(0, head_end + 2));
    size_t at = head_end + 4;
    if (!to_head && parsed.status >= 200 && !read_body(parsed, at)) return false;
    in_.erase(0, at);
    reply = std::move(parsed);
    return true;
  }
  // The server has closed (in order, or by a reset).
  bool is_closed() {
    pump();
    return closed_;
  }
  // Bytes that came in all.
  [[nodiscard]] size_t received() const { return received_; }

 private:
  void pump() {
    while (!to_send_.empty()) {
      const ssize_t n = ::send(fd_, to_send_.data(), to_send_.size(), MSG_NOSIGNAL);
      if (n <= 0) break;
      to_send_.erase(0, static_cast<size_t>(n));
    }
    char room[16384];
    while (!closed_) {
      const ssize_t n = ::recv(fd_, room, sizeof room, 0);
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) closed_ = true;
      if (n > 0) {
        in_.append(room, static_cast<size_t>(n));
        received_ += static_cast<size_t>(n);
      }
    }
  }

  static HttpReply parse_head(std::string_view head) {
    HttpReply reply;
    std::from_chars(head.data() + 9, head.data() + 12, reply.status);
    for (head.remove_prefix(head.find("\r\n") + 2); !head.empty();
         head.remove_prefix(head.find("\r\n") + 2)) {
      const std::string_view line = head.substr(0, head.find("\r\n"));
      const size_t colon = line.find(": ");
      reply.headers.emplace(line.substr(0, colon), line.substr(colon + 2));
    }
    return reply;
  }

  // Moves `at` behind the body; false if it is not all there.
  bool read_body(HttpReply& reply, size_t& at) const {
    if (reply.headers.contains("content-length")) {
      const size_t length = std::stoul(reply.headers["content-length"]);
      if (in_.size() - at < length) return false;
      reply.body = in_.substr(at, length);
      at += length;
      return true;
    }
    if (!reply.headers.contains("transfer-encoding")) {
      reply.body = in_.substr(at);
      at = in_.size();
      return closed_;
    }
    // A long body is looked at once: when it seems to be complete.
    if (in_.size() > (1 << 20) && !in_.ends_with("\r\n0\r\n\r\n")) return false;
    for (;;) {
      const size_t line_end = in_.find("\r\n", at);
      if (line_end == std::string::npos) return false;
      const size_t size = std::stoul(in_.substr(at, line_end - at), nullptr, 16);
      if (in_.size() < line_end + 2 + size + 2) return false;
      reply.body.append(in_, line_end + 2, size);
      at = line_end + 2 + size + 2;
      if (size == 0) return true;
    }
  }

  int fd_ = -1;
  std::string to_send_;
  std::string in_;
  size_t received_ = 0;
  bool is_connected_ = false;
  bool closed_ = false;
};

}  // namespace pillion::testing
