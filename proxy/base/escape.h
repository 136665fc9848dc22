#pragma once
// Percent-escapes and what hides in them (RFC 3986, 2): one room, because a rule that takes another
// character for escaped than the path that it judges is a hole.

#include <cstddef>

namespace pillion {

// RFC 3986, 2.3: escaping one of these changes nothing.
constexpr bool is_unreserved(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// "%3B": three characters, in capitals (6.2.2.1).  Returns their end.
constexpr char* write_escape(char* at, int byte) noexcept {
  constexpr char kHex[] = "0123456789ABCDEF";
  *at++ = '%';
  *at++ = kHex[byte >> 4];
  *at++ = kHex[byte & 15];
  return at;
}

// Do both bytes begin an ASCII character that is written in more bytes than one?  -1 is no byte.
constexpr bool is_overlong_ascii(int lead, int next) noexcept {
  switch (lead) {
    case 0xc0:
    case 0xc1:
      return (next & 0xc0) == 0x80;
    case 0xe0:
      return next == 0x80 || next == 0x81;
    case 0xf0:
      return next == 0x80;
    default:
      return false;
  }
}

}  // namespace pillion
