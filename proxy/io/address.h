#pragma once
// Address: where a socket is, or goes: IPv4, IPv6, a Unix path, or an internal listener.
// A value type; Unix paths are interned for the process, so copies are cheap.

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/result.h"

namespace pillion::io {

class Address {
 public:
  enum class Kind : uint8_t { kNone, kIpv4, kIpv6, kUnix, kInternal };

  Address() = default;
  static Address ipv4(uint32_t host_order_ip, uint16_t port) noexcept;
  static Address ipv6(const uint8_t bytes[16], uint16_t port, uint32_t scope = 0) noexcept;
  static Address unix_path(std::string_view path);
  static Address internal(std::string_view listener_name);
  // "10.0.0.1", "::1", "fe80::1%2"; no names.
  static Result<Address> parse_ip(std::string_view text, uint16_t port);
  static Address from_sockaddr(const sockaddr* sa, socklen_t length) noexcept;

  // Fills `out`; returns the length, 0 for kinds without a socket address.
  socklen_t to_sockaddr(sockaddr_storage& out) const noexcept;
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] bool is_ip() const noexcept { return kind_ == Kind::kIpv4 || kind_ == Kind::kIpv6; }
  [[nodiscard]] uint16_t port() const noexcept { return port_; }
  void set_port(uint16_t port) noexcept { port_ = port; }
  [[nodiscard]] bool is_any() const noexcept;  // 0.0.0.0 or ::
  [[nodiscard]] bool is_loopback() const noexcept;
  [[nodiscard]] const uint8_t* ip_bytes() const noexcept { return ip_; }  // 4 or 16, network order
  [[nodiscard]] std::string_view path() const noexcept;

  // "10.0.0.1:80", "[::1]:80", "unix:/run/x", "internal:name"
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] std::string ip_string() const;  // without port
  // Writes to_string() to `out` (at least kMaxText bytes); returns the length.  No allocation.
  static constexpr size_t kMaxText = 128;
  size_t format(char* out, bool with_port = true) const noexcept;

  friend bool operator==(const Address& a, const Address& b) noexcept;
  [[nodiscard]] uint64_t hash() const noexcept;
  // For std::unordered_map.
  struct Hash {
    size_t operator()(const Address& a) const noexcept { return a.hash(); }
  };

 private:
  uint8_t ip_[16] = {};
  uint32_t extra_ = 0;  // IPv6 scope, or the index of an interned path or name
  uint16_t port_ = 0;
  Kind kind_ = Kind::kNone;
};

// Where that socket is bound (getsockname(2)); kNone if the kernel does not say.
[[nodiscard]] Address local_address_of(int fd) noexcept;
// Whom it is connected to (getpeername(2)); kNone if the kernel does not say.
[[nodiscard]] Address peer_address_of(int fd) noexcept;

}  // namespace pillion::io
