#include "proxy/io/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <charconv>
#include <cstring>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "proxy/base/str.h"

namespace pillion::io {
namespace {

// Unix paths and internal names live as long as the process, since addresses are plain values that
// nobody counts.  All are from configuration, but that may come from a control plane which says
// ever new ones: there is an end.
class Names {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // kNone if there are too many.
  uint32_t intern(std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (const auto it = index_.find(text); it != index_.end()) return it->second;
    if (names_.size() == kMost) return kNone;
    const auto index = static_cast<uint32_t>(names_.size());
    index_.emplace(names_.emplace_back(text), index);
    return index;
  }
  std::string_view at(uint32_t index) {
    const std::lock_guard lock(mutex_);
    return names_[index];
  }

 private:
  static constexpr size_t kMost = 65'536;

  std::mutex mutex_;
  std::deque<std::string> names_;  // a deque keeps its strings in place
  std::unordered_map<std::string_view, uint32_t> index_;
};

Names& names() {
  static Names all;
  return all;
}

char* put(char* out, std::string_view text) noexcept {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

// The 256 octets in decimal, each with the dot that follows it.
struct OctetText {
  char text[4];
  uint8_t size;
};
constexpr auto kOctets = [] {
  std::array<OctetText, 256> all{};
  for (size_t n = 0; n < all.size(); ++n) {
    OctetText& octet = all[n];
    if (n >= 100) octet.text[octet.size++] = static_cast<char>('0' + n / 100);
    if (n >= 10) octet.text[octet.size++] = static_cast<char>('0' + n / 10 % 10);
    octet.text[octet.size++] = static_cast<char>('0' + n % 10);
    octet.text[octet.size++] = '.';
  }
  return all;
}();

}  // namespace

Address Address::ipv4(uint32_t host_order_ip, uint16_t port) noexcept {
  Address a;
  const uint32_t network = htonl(host_order_ip);
  std::memcpy(a.ip_, &network, 4);
  a.port_ = port;
  a.kind_ = Kind::kIpv4;
  return a;
}

Address Address::ipv6(const uint8_t bytes[16], uint16_t port, uint32_t scope) noexcept {
  Address a;
  std::memcpy(a.ip_, bytes, 16);
  a.port_ = port;
  a.extra_ = scope;
  a.kind_ = Kind::kIpv6;
  return a;
}

Address Address::unix_path(std::string_view path) {
  Address a;
  a.extra_ = names().intern(path);
  if (a.extra_ == Names::kNone) return {};
  a.kind_ = Kind::kUnix;
  return a;
}

Address Address::internal(std::string_view listener_name) {
  Address a;
  a.extra_ = names().intern(listener_name);
  if (a.extra_ == Names::kNone) return {};
  a.kind_ = Kind::kInternal;
  return a;
}

Result<Address> Address::parse_ip(std::string_view text, uint16_t port) {
  std::string bare(text.substr(0, text.find('\0')));
  if (bare.size() != text.size()) return Error{"expected an IP address, got a NUL byte"};
  uint32_t scope = 0;
  if (const size_t percent = bare.find('%'); percent != std::string::npos) {
    const char* begin = bare.data() + percent + 1;
    const char* end = bare.data() + bare.size();
    const auto [stop, error] = std::from_chars(begin, end, scope);
    if (stop != end || error != std::errc()) {
      return Error{str("expected a numeric scope in \"", text, "\"")};
    }
    bare.resize(percent);
  }
  in_addr v4{};
  if (bare.size() == text.size() && ::inet_pton(AF_INET, bare.c_str(), &v4) == 1)
    return ipv4(ntohl(v4.s_addr), port);
  in6_addr v6{};
  if (::inet_pton(AF_INET6, bare.c_str(), &v6) == 1) return ipv6(v6.s6_addr, port, scope);
  return Error{str("expected an IP address, got \"", text, "\"")};
}

Address Address::from_sockaddr(const sockaddr* sa, socklen_t length) noexcept {
  if (length >= sizeof(sockaddr_in) && sa->sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, sa, sizeof in);
    return ipv4(ntohl(in.sin_addr.s_addr), ntohs(in.sin_port));
  }
  if (length >= sizeof(sockaddr_in6) && sa->sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, sa, sizeof in);
    // A v4 client on a v6 socket is a v4 client.
    if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) {
      uint32_t v4;
      std::memcpy(&v4, in.sin6_addr.s6_addr + 12, 4);
      return ipv4(ntohl(v4), ntohs(in.sin6_port));
    }
    return ipv6(in.sin6_addr.s6_addr, ntohs(in.sin6_port), in.sin6_scope_id);
  }
  if (sa->sa_family == AF_UNIX) {
    Address a;  // peers of Unix sockets have no name worth keeping
    a.kind_ = Kind::kUnix;
    a.extra_ = UINT32_MAX;
    return a;
  }
  return {};
}

socklen_t Address::to_sockaddr(sockaddr_storage& out) const noexcept {
  switch (kind_) {
    case Kind::kIpv4: {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(port_);
      std::memcpy(&in.sin_addr, ip_, 4);
      std::memcpy(&out, &in, sizeof in);
      return sizeof in;
    }
    case Kind::kIpv6: {
      sockaddr_in6 in{};
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(port_);
      in.sin6_scope_id = extra_;
      std::memcpy(&in.sin6_addr, ip_, 16);
      std::memcpy(&out, &in, sizeof in);
      return sizeof in;
    }
    case Kind::kUnix: {
      sockaddr_un un{};
      un.sun_family = AF_UNIX;
      const std::string_view name = path();
      if (name.empty() || name.size() >= sizeof un.sun_path) return 0;
      std::memcpy(un.sun_path, name.data(), name.size());
      if (name.front() == '@') un.sun_path[0] = '\0';  // abstract, as Envoy writes it
      std::memcpy(&out, &un, sizeof un);
      return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() +
                                    (name.front() == '@' ? 0 : 1));
    }
    default:
      return 0;
  }
}

bool Address::is_any() const noexcept {
  for (uint8_t byte : ip_) {
    if (byte != 0) return false;
  }
  return is_ip();
}

bool Address::is_loopback() const noexcept {
  if (kind_ == Kind::kIpv4) return ip_[0] == 127;
  if (kind_ != Kind::kIpv6) return false;
  for (int i = 0; i < 15; ++i) {
    if (ip_[i] != 0) return false;
  }
  return ip_[15] == 1;
}

std::string_view Address::path() const noexcept {
  if ((kind_ != Kind::kUnix && kind_ != Kind::kInternal) || extra_ == UINT32_MAX) return {};
  return names().at(extra_);
}

size_t Address::format(char* out, bool with_port) const noexcept {
  char* p = out;
  switch (kind_) {
    case Kind::kIpv4:
      for (int i = 0; i < 4; ++i) {
        const OctetText& octet = kOctets[ip_[i]];
        std::memcpy(p, octet.text, sizeof octet.text);
        p += octet.size;
      }
      --p;  // the last dot
      break;
    case Kind::kIpv6: {
      if (with_port) *p++ = '[';
      ::inet_ntop(AF_INET6, ip_, p, INET6_ADDRSTRLEN);
      p += std::strlen(p);
      if (extra_ != 0) {
        *p++ = '%';
        p = std::to_chars(p, p + 10, extra_).ptr;
      }
      if (with_port) *p++ = ']';
      break;
    }
    case Kind::kUnix:
    case Kind::kInternal: {
      p = put(p, kind_ == Kind::kUnix ? "unix:" : "internal:");
      const std::string_view name = path();
      return static_cast<size_t>(put(p, name.substr(0, kMaxText - 9)) - out);
    }
    case Kind::kNone:
      return 0;
  }
  if (with_port) {
    *p++ = ':';
    p = std::to_chars(p, p + 5, port_).ptr;
  }
  return static_cast<size_t>(p - out);
}

std::string Address::to_string() const {
  char text[kMaxText];
  return {text, format(text)};
}

std::string Address::ip_string() const {
  char text[kMaxText];
  return {text, format(text, false)};
}

bool operator==(const Address& a, const Address& b) noexcept {
  return a.kind_ == b.kind_ && a.port_ == b.port_ && a.extra_ == b.extra_ &&
         std::memcmp(a.ip_, b.ip_, 16) == 0;
}

uint64_t Address::hash() const noexcept {
  uint64_t words[2];
  std::memcpy(words, ip_, 16);
  uint64_t h = words[0] * 0x9e3779b97f4a7c15ULL ^ words[1];
  h = (h ^ (h >> 32) ^ port_ ^ (uint64_t{extra_} << 16) ^
       (uint64_t{static_cast<uint8_t>(kind_)} << 56)) *
      0xbf58476d1ce4e5b9ULL;
  return h ^ (h >> 29);
}

Address local_address_of(int fd) noexcept {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length);
}

Address peer_address_of(int fd) noexcept {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length);
}

}  // namespace pillion::io
