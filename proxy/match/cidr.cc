#include "proxy/match/cidr.h"

#include <arpa/inet.h>

#include <cstring>

#include "proxy/base/str.h"
#include "proxy/config/scalars.h"

namespace pillion::match {
namespace {

// Of byte `index` of an address, the bits that belong to a prefix of `length` bits.
uint8_t mask_of(size_t index, uint32_t length) {
  const uint32_t before = static_cast<uint32_t>(index) * 8;
  if (length <= before) return 0;
  const uint32_t bits = length - before;
  return bits >= 8 ? uint8_t{0xff} : static_cast<uint8_t>(0xff00u >> bits);
}

}  // namespace

Result<Cidr> Cidr::make(std::string_view address, uint32_t prefix_length) {
  Cidr cidr;
  const std::string text(address);
  if (inet_pton(AF_INET, text.c_str(), cidr.bytes_) == 1) {
    cidr.size_ = 4;
  } else if (inet_pton(AF_INET6, text.c_str(), cidr.bytes_) == 1) {
    cidr.size_ = 16;
  } else {
    return Error{std::string("an IP address, such as 10.0.0.0 or fd00::")};
  }
  const uint32_t bits = cidr.size_ * 8u;
  if (prefix_length > bits) return Error{str("a prefix length of 0-", bits)};
  cidr.length_ = static_cast<uint8_t>(prefix_length);
  for (size_t i = 0; i < cidr.size_; ++i) cidr.bytes_[i] &= mask_of(i, prefix_length);
  return cidr;
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return make(text, text.find(':') == text.npos ? 32 : 128);
  const auto length = config::parse_unsigned(text.substr(slash + 1));
  if (!length || *length > 128) return Error{std::string("a prefix such as 10.0.0.0/8")};
  return make(text.substr(0, slash), static_cast<uint32_t>(*length));
}

bool Cidr::contains(std::span<const uint8_t> address) const noexcept {
  if (address.size() != size_ || size_ == 0) return false;
  const size_t whole = length_ / 8;
  if (std::memcmp(address.data(), bytes_, whole) != 0) return false;
  return length_ % 8 == 0 || (address[whole] & mask_of(whole, length_)) == bytes_[whole];
}

std::string Cidr::to_string() const {
  if (size_ == 0) return "nothing";
  char text[INET6_ADDRSTRLEN];
  inet_ntop(size_ == 4 ? AF_INET : AF_INET6, bytes_, text, sizeof text);
  return str(text, '/', length());
}

Cidr parse_cidr(const config::Node& node) {
  const config::Node address = node.required("address_prefix");
  // A wrapped number in Envoy: left out it is 0, which is every address of that family.
  const uint32_t length = node["prefix_len"].as_u32_or(0, 0, 128);
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  if (address.is_missing()) return {};
  auto cidr = Cidr::make(address.as_view_or(), length);
  if (cidr) return *cidr;
  const bool is_address = config::is_ip_address(address.raw());
  (is_address ? node["prefix_len"] : address).expected(cidr.error());
  return {};
}

}  // namespace pillion::match
