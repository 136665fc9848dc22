// The server behind the proxies under test: one thread, epoll, HTTP/1.1 keep-alive and HTTP/2 by
// prior knowledge on one port.  `GET /b/<n>` gives n bytes; any other request with a Content-Length
// is read and answered with 1 KB.  HTTP/2 heads are not even decoded: a request without a body gets
// 1 KB, one with a body a message of gRPC and its trailers.  It trusts its peers (a benchmark's
// proxies) and is no server for anything else.
//
//   origin PORT

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

namespace {

constexpr size_t kPattern = 1 << 20;

struct Response {
  std::string frames;
  int64_t data = 0;  // bytes of it in DATA
};

struct Connection {
  int fd = -1;
  std::string in = {};     // of a request, until it is complete
  std::string head = {};   // of the response, the part not yet sent
  uint64_t body_left = 0;  // of the response
  bool wants_close = false;
  bool is_known = false;  // which protocol it speaks
  bool is_http2 = false;
  int64_t window = 65535;             // of HTTP/2: what may be sent
  std::deque<Response> waiting = {};  // responses that it has no room for
};

const std::string& pattern() {
  static const std::string text(kPattern, 'x');
  return text;
}

uint64_t number_after(std::string_view text, std::string_view name, uint64_t otherwise) {
  const size_t at = text.find(name);
  return at == std::string_view::npos ? otherwise
                                      : std::strtoull(text.data() + at + name.size(), nullptr, 10);
}

// Takes a whole request off `in`; false when there is none.
bool take_request(Connection& c) {
  const size_t end = c.in.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  std::string head = c.in.substr(0, end + 2);
  std::transform(head.begin(), head.end(), head.begin(),
                 [](unsigned char ch) { return std::tolower(ch); });
  const uint64_t body = number_after(head, "\r\ncontent-length: ", 0);
  if (c.in.size() < end + 4 + body) return false;
  c.in.erase(0, end + 4 + body);
  c.wants_close = head.find("\r\nconnection: close\r\n") != std::string::npos;
  const std::string_view line = std::string_view(head).substr(0, head.find('\r'));
  c.body_left = number_after(line, " /b/", 1024);
  c.head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
           std::to_string(c.body_left) + "\r\n\r\n";
  return true;
}

// False: the connection is over.
bool send_response(Connection& c) {
  while (!c.head.empty() || c.body_left != 0) {
    iovec pieces[2] = {
        {c.head.data(), c.head.size()},
        {const_cast<char*>(pattern().data()), std::min<uint64_t>(c.body_left, kPattern)}};
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = 2;
    const ssize_t sent = ::sendmsg(c.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return errno == EAGAIN;
    const size_t of_head = std::min(c.head.size(), static_cast<size_t>(sent));
    c.head.erase(0, of_head);
    c.body_left -= static_cast<uint64_t>(sent) - of_head;
  }
  return !c.wants_close;
}

// ---- HTTP/2 ----

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHead = 9;
enum FrameType : uint8_t { kData, kHeaders, kSettings = 4, kPing = 6, kWindowUpdate = 8 };
constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;

std::string be32(uint64_t n) {
  std::string out(4, '\0');
  for (char& c : out) c = static_cast<char>(n >> 24), n <<= 8;
  return out;
}

uint32_t number(std::string_view bytes) {
  uint32_t n = 0;
  for (const char c : bytes) n = n << 8 | static_cast<uint8_t>(c);
  return n;
}

std::string frame(FrameType type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out = be32(payload.size() << 8 | type);
  out += static_cast<char>(flags);
  return out.append(be32(stream)).append(payload);
}

// A field that is not indexed; up to 126 bytes each.
std::string literal(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  out.append(1, static_cast<char>(name.size())).append(name);
  return out.append(1, static_cast<char>(value.size())).append(value);
}

Response http2_response(uint32_t stream, bool is_grpc) {
  static const std::string plain =
      "\x88" + literal("content-type", "text/plain") + literal("content-length", "1024");
  static const std::string grpc = "\x88" + literal("content-type", "application/grpc");
  static const std::string trailers = literal("grpc-status", "0");
  static const std::string message = std::string("\0\0\0\0\x80", 5) + std::string(128, 'm');
  if (!is_grpc) {
    return {frame(kHeaders, kEndHeaders, stream, plain) +
                frame(kData, kEndStream, stream, std::string_view(pattern()).substr(0, 1024)),
            1024};
  }
  return {frame(kHeaders, kEndHeaders, stream, grpc) + frame(kData, 0, stream, message) +
              frame(kHeaders, kEndHeaders | kEndStream, stream, trailers),
          static_cast<int64_t>(message.size())};
}

void answer_frame(Connection& c, uint8_t type, uint8_t flags, uint32_t stream,
                  std::string_view payload) {
  const bool is_end = (flags & kEndStream) != 0;
  switch (type) {
    case kHeaders:
      if (is_end) c.waiting.push_back(http2_response(stream, false));
      break;
    case kData:
      // Windows are given back at once.
      if (!payload.empty()) c.head += frame(kWindowUpdate, 0, 0, be32(payload.size()));
      if (is_end) c.waiting.push_back(http2_response(stream, true));
      break;
    case kSettings:
      if ((flags & kAck) == 0) c.head += frame(kSettings, kAck, 0, "");
      break;
    case kPing:
      if ((flags & kAck) == 0) c.head += frame(kPing, kAck, 0, payload);
      break;
    case kWindowUpdate:
      if (stream == 0) c.window += number(payload);
      break;
    default:
      break;
  }
}

void serve_frames(Connection& c) {
  std::string_view in = c.in;
  while (in.size() >= kFrameHead) {
    const size_t size = number(in.substr(0, 3));
    if (in.size() < kFrameHead + size) break;
    answer_frame(c, static_cast<uint8_t>(in[3]), static_cast<uint8_t>(in[4]),
                 number(in.substr(5, 4)), in.substr(kFrameHead, size));
    in.remove_prefix(kFrameHead + size);
  }
  c.in.erase(0, c.in.size() - in.size());
  // A stream's window has room for a response.
  for (; !c.waiting.empty() && c.window >= c.waiting.front().data; c.waiting.pop_front()) {
    c.window -= c.waiting.front().data;
    c.head += c.waiting.front().frames;
  }
}

// ---- both ----

// Whole frames go out at once.
bool serve_http2(Connection& c) {
  serve_frames(c);
  return send_response(c);
}

void know_protocol(Connection& c) {
  c.is_known = c.in.size() >= 4;
  c.is_http2 = c.in.starts_with(kPreface.substr(0, 4));
  if (!c.is_http2) return;
  if (c.in.size() < kPreface.size()) {
    c.is_known = false;
    return;
  }
  c.in.erase(0, kPreface.size());
  c.head = frame(kSettings, 0, 0, std::string("\0\3", 2) + be32(1000));
}

bool serve(Connection& c) {
  static char room[256 * 1024];
  const ssize_t n = ::recv(c.fd, room, sizeof room, MSG_DONTWAIT);
  if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
  if (n > 0) c.in.append(room, static_cast<size_t>(n));
  if (!c.is_known) know_protocol(c);
  if (!c.is_known) return true;
  if (c.is_http2) return serve_http2(c);
  do {
    if (!send_response(c)) return false;
  } while (c.head.empty() && c.body_left == 0 && take_request(c));
  return true;
}

int listen_at(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in sa{};
  sa.sin_family = AF_INET;
  sa.sin_port = htons(port);
  sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&sa), sizeof sa) != 0 || ::listen(fd, 4096) != 0) {
    std::perror("origin");
    std::exit(1);
  }
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: origin PORT\n"), 2;
  const int listener = listen_at(static_cast<uint16_t>(std::atoi(argv[1])));
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{EPOLLIN, {nullptr}};
  ::epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  epoll_event ready[256];
  for (;;) {
    const int count = ::epoll_wait(poll, ready, 256, -1);
    for (int i = 0; i < count; ++i) {
      auto* connection = static_cast<Connection*>(ready[i].data.ptr);
      if (connection == nullptr) {
        const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) continue;
        const int one = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_event of_client{EPOLLIN | EPOLLOUT | EPOLLET, {new Connection{.fd = fd}}};
        ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &of_client);
        continue;
      }
      // Edge-triggered: serve() reads one scratch, so it is called until nothing is left.
      bool alive = true;
      char peek;
      do alive = serve(*connection);
      while (alive && ::recv(connection->fd, &peek, 1, MSG_PEEK | MSG_DONTWAIT) >= 0);
      if (alive) continue;
      ::close(connection->fd);
      delete connection;
    }
  }
}
