#pragma once
// Cidr: a range of IP addresses (envoy.config.core.v3.CidrRange).  A value type.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "proxy/config/node.h"

namespace pillion::match {

class Cidr {
 public:
  // Contains nothing.
  Cidr() = default;
  // "10.0.0.0/8", "fd00::/8"; without a length one address.
  static Result<Cidr> parse(std::string_view text);
  static Result<Cidr> make(std::string_view address, uint32_t prefix_length);

  // 4 or 16 bytes in network order.  IPv4 and IPv6 never match each other.
  [[nodiscard]] bool contains(std::span<const uint8_t> address) const noexcept;
  // For an io::Address (a template because io/ comes after match/): false if it is not IP.
  template <typename Address>
    requires requires(const Address& a) { a.is_ip(); }
  [[nodiscard]] bool contains(const Address& address) const noexcept {
    if (!address.is_ip()) return false;
    const size_t bytes = address.kind() == Address::Kind::kIpv4 ? 4 : 16;
    return contains(std::span<const uint8_t>(address.ip_bytes(), bytes));
  }

  // Length of the prefix in bits.
  [[nodiscard]] uint32_t length() const noexcept { return length_; }
  [[nodiscard]] std::string to_string() const;
  bool operator==(const Cidr&) const = default;

 private:
  uint8_t bytes_[16] = {};  // bits after the prefix are zero
  uint8_t size_ = 0;        // 4 or 16; 0: contains nothing
  uint8_t length_ = 0;
};

// { address_prefix, prefix_len }; closes the mapping.
Cidr parse_cidr(const config::Node& node);

}  // namespace pillion::match
