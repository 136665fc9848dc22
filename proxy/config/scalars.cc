#include "proxy/config/scalars.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>

#include "proxy/base/str.h"

namespace pillion::config {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// A decimal number, exactly: `digits` / 10^`decimals`.
struct Decimal {
  uint64_t digits = 0;
  unsigned decimals = 0;
  std::string_view rest;  // what follows: the unit
};

bool scan_decimal(std::string_view text, Decimal& out) {
  size_t i = 0;
  bool seen_digit = false;
  bool seen_point = false;
  for (; i < text.size(); ++i) {
    if (text[i] == '.' && !seen_point) {
      seen_point = true;
      continue;
    }
    if (!is_digit(text[i])) break;
    seen_digit = true;
    if (__builtin_mul_overflow(out.digits, uint64_t{10}, &out.digits) ||
        __builtin_add_overflow(out.digits, static_cast<uint64_t>(text[i] - '0'), &out.digits)) {
      return false;
    }
    if (seen_point) ++out.decimals;
  }
  out.rest = text.substr(i);
  return seen_digit && out.decimals <= 9;
}

// decimal * factor as an integer; false if it does not fit.  What lies below 1 is cut off.
bool scaled(const Decimal& decimal, uint64_t factor, uint64_t& out) {
  uint64_t divisor = 1;
  for (unsigned i = 0; i < decimal.decimals; ++i) divisor *= 10;
  const uint64_t whole = decimal.digits / divisor;
  const uint64_t part = decimal.digits % divisor;
  // part < 10^9 and factor < 2^42: split the factor so that the product cannot overflow.
  const uint64_t below = (factor / divisor) * part + (factor % divisor) * part / divisor;
  return !__builtin_mul_overflow(whole, factor, &out) && !__builtin_add_overflow(out, below, &out);
}

const Unit* find_unit(std::string_view name, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

bool is_legal_port(std::string_view text, uint16_t& port) {
  if (text.size() > 1 && text[0] == '0') return false;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

// Integral floats are legal numbers in proto3 JSON.  2^53 bounds what a double holds exactly.
bool scan_integral_double(std::string_view text, double& out) {
  constexpr double kExact = 9007199254740992.0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && std::trunc(out) == out &&
         std::abs(out) <= kExact;
}

bool has_leading_zero(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0' && is_digit(text[1]);
}

template <typename T>
Result<T> parse_integer(std::string_view text, const char* expected) {
  if (has_leading_zero(text)) return Error{str(expected, " without leading zeros")};
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return value;
  double real = 0;
  if (scan_integral_double(text, real) && (real >= 0 || std::is_signed_v<T>)) {
    return static_cast<T>(real);
  }
  return Error{std::string(expected)};
}

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  static constexpr std::array<Unit, 6> kUnits = {{{"ns", 1},
                                                  {"us", 1000},
                                                  {"ms", 1'000'000},
                                                  {"s", 1'000'000'000},
                                                  {"m", 60'000'000'000},
                                                  {"h", 3'600'000'000'000}}};
  if (!text.empty() && text[0] == '-') return Error{"a duration that is not negative"};
  Decimal decimal;
  if (!scan_decimal(text, decimal)) return Error{"a duration such as 1.5s or 200ms"};
  if (decimal.rest.empty() && decimal.digits == 0) return std::chrono::nanoseconds(0);
  if (decimal.rest.empty()) return Error{str("a duration with a unit, such as ", text, "s")};
  const Unit* unit = find_unit(decimal.rest, kUnits);
  if (unit == nullptr) return Error{"a duration with a unit of ns, us, ms, s, m or h"};
  uint64_t count = 0;
  if (!scaled(decimal, unit->factor, count) ||
      count > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return Error{"a duration of at most 9223372036s"};
  }
  return std::chrono::nanoseconds(static_cast<int64_t>(count));
}

std::string format_duration(std::chrono::nanoseconds duration) {
  const auto count = duration.count();
  std::string out = str(count / 1'000'000'000);
  if (const auto part = count % 1'000'000'000; part != 0) {
    std::string digits = str(part);
    digits.insert(0, 9 - digits.size(), '0');
    digits.erase(digits.find_last_not_of('0') + 1);
    out += '.' + digits;
  }
  return out + 's';
}

Result<uint64_t> parse_size(std::string_view text) {
  static constexpr std::array<Unit, 8> kUnits = {{{"", 1},
                                                  {"B", 1},
                                                  {"kB", 1000},
                                                  {"KiB", 1024},
                                                  {"MB", 1'000'000},
                                                  {"MiB", 1 << 20},
                                                  {"GB", 1'000'000'000},
                                                  {"GiB", 1 << 30}}};
  Decimal decimal;
  if (!scan_decimal(text, decimal)) return Error{"a size such as 65536, 64KiB or 1MiB"};
  const Unit* unit = find_unit(decimal.rest, kUnits);
  if (unit == nullptr) return Error{"a size with a unit of B, kB, KiB, MB, MiB, GB or GiB"};
  uint64_t bytes = 0;
  if (!scaled(decimal, unit->factor, bytes)) return Error{"a size below 2^64"};
  return bytes;
}

Result<double> parse_percent(std::string_view text) {
  if (text.ends_with('%')) text.remove_suffix(1);
  auto value = parse_double(text);
  if (!value || *value < 0 || *value > 100) return Error{"a percentage of 0%-100%"};
  return *value;
}

Result<Fraction> parse_fraction(std::string_view text) {
  auto value = parse_percent(text);
  if (!value) return Error{value.error()};
  for (uint32_t denominator : {100U, 10'000U, 1'000'000U}) {
    const double numerator = *value * denominator / 100;
    if (std::abs(numerator - std::round(numerator)) < 1e-6) {
      return Fraction{static_cast<uint32_t>(std::lround(numerator)), denominator};
    }
  }
  return Error{"a percentage with at most four decimals"};
}

Result<uint64_t> parse_unsigned(std::string_view text) {
  return parse_integer<uint64_t>(text, "a whole number");
}

Result<int64_t> parse_signed(std::string_view text) {
  return parse_integer<int64_t>(text, "a whole number");
}

Result<double> parse_double(std::string_view text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return Error{"a number"};
  }
  return value;
}

bool AddressText::is_loopback() const {
  return kind == Kind::kUnix || host == "::1" || host == "localhost" ||
         (kind == Kind::kIp && host.starts_with("127."));
}

std::string AddressText::to_string() const {
  if (kind == Kind::kUnix) return "unix:" + host;
  return is_v6() ? str('[', host, "]:", port) : str(host, ':', port);
}

Result<AddressText> parse_address(std::string_view text) {
  AddressText out;
  if (text.starts_with("unix:")) {
    out.kind = AddressText::Kind::kUnix;
    out.host = text.substr(5);
    // sun_path holds 108 bytes with its final NUL (unix(7)).
    if (out.host.size() < 2 || out.host.size() > 107 ||
        (out.host[0] != '/' && out.host[0] != '@')) {
      return Error{"unix: and an absolute path (or @name) of at most 107 bytes"};
    }
    return out;
  }
  const size_t colon = text.rfind(':');
  std::string_view host = text.substr(0, colon == text.npos ? text.size() : colon);
  if (colon == text.npos || (host.find(':') != host.npos && host[0] != '[')) {
    const bool is_bare_v6 = is_ip_address(text) && text.find(':') != text.npos;
    if (text.starts_with('/')) return Error{str("unix: and the path, or an address with a port")};
    return Error{is_bare_v6 ? str("an address with a port, such as [", text, "]:8080")
                            : std::string("an address with a port, such as 127.0.0.1:8080")};
  }
  if (!is_legal_port(text.substr(colon + 1), out.port)) return Error{"a port of 0-65535"};
  const bool has_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (has_brackets) host = host.substr(1, host.size() - 2);
  out.host = host;
  if (is_ip_address(host) && has_brackets == (host.find(':') != host.npos)) return out;
  // All digits and dots is a mistyped IP address, never a name (RFC 1123, 2.1).
  const bool is_numeric = host.find_first_not_of("0123456789.") == host.npos;
  if (has_brackets || is_numeric || !is_dns_name(host)) {
    return Error{"an IP address or a DNS name before the port"};
  }
  out.kind = AddressText::Kind::kName;
  return out;
}

bool is_ip_address(std::string_view text) {
  const std::string copy(text);
  in6_addr binary{};
  return inet_pton(AF_INET, copy.c_str(), &binary) == 1 ||
         inet_pton(AF_INET6, copy.c_str(), &binary) == 1;
}

bool is_dns_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > 253) return false;
  size_t label = 0;
  for (char c : text) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const char lower = to_lower(c);
    if (!is_digit(c) && !(lower >= 'a' && lower <= 'z') && c != '-' && c != '_') return false;
    if (++label > 63) return false;
  }
  return label > 0;
}

}  // namespace pillion::config
