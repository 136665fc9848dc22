#include "proxy/cli/admin_client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "proxy/base/clock.h"
#include "proxy/base/str.h"
#include "proxy/config/scalars.h"
#include "proxy/config/suggest.h"
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_parser.h"

namespace pillion::cli {
namespace {

// Closes it at the end.
class Socket {
 public:
  explicit Socket(int fd) noexcept : fd_(fd) {}
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  const int fd_;
};

// A peer that sends a byte now and then must not keep us: all of it has one deadline.
bool set_timeout(int fd, Instant deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::microseconds>(deadline - MonotonicClock::now());
  if (left.count() <= 0) return false;
  const timeval time = {.tv_sec = static_cast<time_t>(left.count() / 1'000'000),
                        .tv_usec = static_cast<suseconds_t>(left.count() % 1'000'000)};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
    ::setsockopt(fd, SOL_SOCKET, option, &time, sizeof time);
  return true;
}

std::string reason_of(int error) {
  if (error == EAGAIN || error == EWOULDBLOCK || error == EINPROGRESS) return "no answer in time";
  return std::strerror(error);
}

Status<> send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return Error{reason_of(errno)};
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return Ok{};
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// What came behind the last piece; empty at the end of the stream.
Result<std::string> receive(int fd, Instant deadline) {
  std::string bytes(64 * 1024, '\0');
  while (true) {
    if (!set_timeout(fd, deadline)) return Error{"no answer in time"};
    const ssize_t got = ::recv(fd, bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{reason_of(errno)};
    bytes.resize(static_cast<size_t>(got));
    return bytes;
  }
}

constexpr size_t kMaxHeadBytes = 64 * 1024;

// Up to the end of its head, and what came with it.
Result<std::string> receive_head(int fd, Instant deadline) {
  std::string bytes;
  while (bytes.find("\r\n\r\n") == std::string::npos) {
    auto more = receive(fd, deadline);
    if (!more) return Error{more.error()};
    if (more->empty()) return Error{"it closed the connection without an answer"};
    bytes += *more;
    if (bytes.size() > kMaxHeadBytes) break;
  }
  return bytes;
}

Result<AdminClient::Answer> read_answer(int fd, Instant deadline) {
  auto received = receive_head(fd, deadline);
  if (!received) return Error{received.error()};
  std::string bytes = std::move(*received);
  Arena arena;
  http::ResponseHead head(arena);
  http::H1ResponseParser parser;
  parser.begin();
  const http::H1Limits limits;
  if (parser.parse(bytes.data(), bytes.size(), limits, http::Method::kGet, head) !=
      http::ParseStatus::kDone)
    return Error{"what answers does not speak HTTP/1.1"};
  AdminClient::Answer answer{head.status, {}};
  http::H1BodyReader body;
  body.begin(head.framing, head.content_length);
  bytes.erase(0, parser.head_bytes());
  bool is_done = head.framing == http::Framing::kNone ||
                 (head.framing == http::Framing::kLength && head.content_length == 0);
  while (!is_done) {
    for (size_t at = 0; at < bytes.size() && !is_done;) {
      const auto result = body.feed(bytes.data() + at, bytes.size() - at);
      if (result.failure != FailureKind::kNone) return Error{"its answer is no HTTP/1.1"};
      answer.body += result.data;
      at += result.consumed;
      is_done = result.done;
    }
    if (answer.body.size() > AdminClient::kMaxAnswerBytes)
      return Error{"its answer is larger than 256 MiB"};
    if (is_done) break;
    auto more = receive(fd, deadline);
    if (!more) return Error{more.error()};
    if (more->empty()) {
      if (head.framing == http::Framing::kUntilClose) break;
      return Error{"it closed the connection in the midst of its answer"};
    }
    bytes = std::move(*more);
  }
  return answer;
}

}  // namespace

Result<AdminClient> AdminClient::parse(std::string_view url) {
  AdminClient out;
  out.url_ = url;
  if (url.starts_with("unix:")) url.remove_prefix(5);
  if (url.starts_with('/') && !url.starts_with("//")) {
    if (url.size() >= sizeof(sockaddr_un::sun_path)) return Error{"a shorter path of a socket"};
    out.host_ = "localhost";
    out.addresses_.push_back(io::Address::unix_path(url));
    return out;
  }
  if (url.starts_with("http://")) url.remove_prefix(7);
  if (url.ends_with('/')) url.remove_suffix(1);
  out.host_ = url;
  const auto address = config::parse_address(url);
  std::vector<std::string_view> hosts;
  if (address && address->kind == config::AddressText::Kind::kIp) hosts = {address->host};
  if (address && address->host == "localhost") hosts = {"127.0.0.1", "::1"};
  for (const std::string_view host : hosts)
    if (const auto ip = io::Address::parse_ip(host, address->port)) out.addresses_.push_back(*ip);
  if (out.addresses_.empty())
    return Error{
        "the address of an admin interface, such as http://127.0.0.1:15000, or the path of its "
        "socket"};
  return out;
}

Result<int> AdminClient::connect() const {
  const Instant deadline = MonotonicClock::now() + std::chrono::seconds(kTimeoutSeconds);
  Result<int> last = Error{"no address"};
  for (const io::Address& address : addresses_) {
    sockaddr_storage storage{};
    const socklen_t size = address.to_sockaddr(storage);
    const int fd = ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return Error{reason_of(errno)};
    set_timeout(fd, deadline);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0) return fd;
    last = Error{reason_of(errno)};
    ::close(fd);
  }
  return last;
}

Result<AdminClient::Answer> AdminClient::get(std::string_view target) const {
  const auto fail = [this](const std::string& why) {
    return Error<std::string>{
        str("no answer from the admin interface at ", config::printable(url_, 200), ": ", why)};
  };
  const Result<int> fd = connect();
  if (!fd) return fail(fd.error());
  const Socket socket(*fd);
  const Instant deadline = MonotonicClock::now() + std::chrono::seconds(kTimeoutSeconds);
  set_timeout(socket.fd(), deadline);
  const auto sent = send_all(socket.fd(), str("GET ", target, " HTTP/1.1\r\nhost: ", host_,
                                              "\r\nconnection: close\r\n\r\n"));
  if (!sent) return fail(sent.error());
  auto answer = read_answer(socket.fd(), deadline);
  if (!answer) return fail(answer.error());
  return answer;
}

std::string query_escape(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_plain(c) || c == '-' || c == '.') {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::string exactly(std::string_view text) {
  std::string out = "^";
  for (const char c : text) {
    const bool is_ascii = static_cast<unsigned char>(c) < 0x80;
    if (is_ascii && !is_plain(c)) out += '\\';
    out += c;
  }
  return out + '$';
}

}  // namespace pillion::cli
