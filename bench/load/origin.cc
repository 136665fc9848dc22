// The server behind the proxies under test: one thread, epoll, HTTP/1.1 keep-alive.  `GET /b/<n>`
// gives n bytes; any other request with a Content-Length is read and answered with 1 KB.  It trusts
// its peers (a benchmark's proxies) and is no server for anything else.
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
#include <memory>
#include <string>
#include <string_view>

namespace {

constexpr size_t kPattern = 1 << 20;

struct Connection {
  int fd;
  std::string in;          // of a request, until it is complete
  std::string head;        // of the response, the part not yet sent
  uint64_t body_left = 0;  // of the response
  bool wants_close = false;
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

bool serve(Connection& c) {
  static char room[256 * 1024];
  const ssize_t n = ::recv(c.fd, room, sizeof room, MSG_DONTWAIT);
  if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
  if (n > 0) c.in.append(room, static_cast<size_t>(n));
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
        epoll_event of_client{EPOLLIN | EPOLLOUT | EPOLLET, {new Connection{fd, {}, {}, 0, false}}};
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
