#pragma once
// str("port ", 80, " is taken") joins its arguments into a std::string.  Off the data path only.

#include <charconv>
#include <string>
#include <string_view>
#include <type_traits>

namespace pillion {

template <typename T>
void append_to(std::string& out, const T& part) {
  if constexpr (std::is_same_v<T, bool>) {
    out += part ? "true" : "false";
  } else if constexpr (std::is_same_v<T, char>) {
    out += part;
  } else if constexpr (std::is_arithmetic_v<T>) {
    char text[32];
    auto end = std::to_chars(text, text + sizeof text, part).ptr;
    out.append(text, end);
  } else {
    out += std::string_view(part);
  }
}

template <typename... Parts>
std::string str(const Parts&... parts) {
  std::string out;
  (append_to(out, parts), ...);
  return out;
}

// ASCII only: the case rules of header names, hosts and schemes (RFC 9110, 5.1).
constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
constexpr bool equals_ignore_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}
// Without spaces and tabs at both ends (OWS, RFC 9110, 5.6.3).
constexpr std::string_view trim(std::string_view s) noexcept {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

}  // namespace pillion
