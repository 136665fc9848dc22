#pragma once
// What HTTP/2 asks of a field's name and value (RFC 9113, 8.2.1), so that nothing it can carry
// turns into something else on an HTTP/1 connection behind us.

#include <string_view>

#include "proxy/http/h1_scan.h"
#include "proxy/http/headers.h"

namespace pillion::http {

// A token without upper-case letters.
inline bool is_lower_case_token(std::string_view name) noexcept {
  for (const char c : name) {
    if (kTokenLower[static_cast<uint8_t>(c)] != c || c == 0) return false;
  }
  return !name.empty();
}

// No control characters but tabs, and no space around it.
inline bool is_bare_value(std::string_view value) noexcept {
  if (value.empty()) return true;
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  if (is_space(value.front()) || is_space(value.back())) return false;
  const char* const end = value.data() + value.size();
  const char* p = find_control(value.data(), end);
  while (p != end && *p == '\t') p = find_control(p + 1, end);
  return p == end;
}

// Of ASCII alone (RFC 9110, 5.5: obs-text is the rest).
inline bool is_ascii(std::string_view value) noexcept {
  unsigned char all = 0;
  for (const char c : value) all |= static_cast<unsigned char>(c);
  return all < 0x80;
}

// Speaks of an HTTP/1 connection: such a message is malformed (RFC 9113, 8.2.2).
constexpr bool is_connection_specific(HeaderId id) noexcept {
  return id == HeaderId::kConnection || id == HeaderId::kKeepAlive ||
         id == HeaderId::kProxyConnection || id == HeaderId::kTransferEncoding ||
         id == HeaderId::kUpgrade;
}

}  // namespace pillion::http
