#pragma once
// One parser for each kind of scalar text: durations, sizes, percentages, numbers, addresses.
//
// Plain functions, for any folder.  An error says what would have been legal ("a duration with a
// unit, such as 5s"), so that callers can write "expected " + error + ", got " + text.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/result.h"

namespace pillion::config {

// numerator / denominator, denominator one of 100, 10,000, 1,000,000
// (envoy.type.v3.FractionalPercent).
struct Fraction {
  uint32_t numerator = 0;
  uint32_t denominator = 100;
  bool operator==(const Fraction&) const = default;
};

// A decimal number and one unit: ns us ms s m h.  "1.5s" is what proto3 JSON writes; the others are
// for people.  Zero may do without a unit; up to nine decimals; never negative; at most 292 years.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);
// As proto3 JSON writes it: "0.5s".
std::string format_duration(std::chrono::nanoseconds duration);

// Bytes: 4096, 64KiB, 1MiB, 2GiB (powers of 1024); 64kB, 1MB, 2GB (powers of 1000).
Result<uint64_t> parse_size(std::string_view text);

// "20%" or "20" -> 20.0; 0 to 100.
Result<double> parse_percent(std::string_view text);
// The same, as the coarsest fraction that is exact: "0.5%" -> 50/10,000; up to four decimals.
Result<Fraction> parse_fraction(std::string_view text);

// Decimal; integral floats ("1e3", "8080.0") as proto3 JSON allows; a leading zero is refused,
// because YAML 1.1 and with it Envoy read it as octal.
Result<uint64_t> parse_unsigned(std::string_view text);
Result<int64_t> parse_signed(std::string_view text);
Result<double> parse_double(std::string_view text);  // finite

// "127.0.0.1:8080", "[::1]:80", "orders.shop:8080", "unix:/run/app.sock", "unix:@abstract".
struct AddressText {
  enum class Kind : uint8_t { kIp, kName, kUnix };
  Kind kind = Kind::kIp;
  std::string host;   // an IP address without brackets, a DNS name, or a path
  uint16_t port = 0;  // 0 for kUnix

  [[nodiscard]] bool is_v6() const { return kind == Kind::kIp && host.find(':') != host.npos; }
  [[nodiscard]] bool is_loopback() const;
  // Back to text, with brackets.
  [[nodiscard]] std::string to_string() const;
  bool operator==(const AddressText&) const = default;
};
Result<AddressText> parse_address(std::string_view text);

bool is_ip_address(std::string_view text);
// Letters, digits, '-', '_' and dots, labels of 1-63 bytes, 253 in all (RFC 1123, and '_' as in
// SRV).
bool is_dns_name(std::string_view text);

}  // namespace pillion::config
