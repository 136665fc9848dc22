#pragma once
// ASCII text of protocols: lower case, hexadecimal, percent-escapes.

#include <string>
#include <string_view>

#include "proxy/base/str.h"

namespace pillion {

// ASCII only, as to_lower().  Off the data path.
inline std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = to_lower(c);
  return out;
}

inline constexpr char kHexDigits[] = "0123456789abcdef";

// 0-15, in either case; -1 if it is none.
constexpr int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The byte that "%XY" at the front of `text` stands for, or -1 (RFC 3986, 2.1).
constexpr int escaped_byte(std::string_view text) noexcept {
  if (text.size() < 3 || text[0] != '%') return -1;
  const int high = hex_digit(text[1]);
  const int low = hex_digit(text[2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

}  // namespace pillion
