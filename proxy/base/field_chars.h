#pragma once
// Which bytes names and values of fields are made of (RFC 9110, 5.5 and 5.6.2).

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pillion {

// For each byte: its lower-case form if it may stand in a token (RFC 9110, 5.6.2), else 0.
inline constexpr auto kTokenLower = [] {
  std::array<char, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = static_cast<char>(c);
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = static_cast<char>(c);
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = static_cast<char>(c | 0x20);
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<uint8_t>(c)] = c;
  return table;
}();

constexpr bool is_token(std::string_view text) noexcept {
  for (char c : text) {
    if (kTokenLower[static_cast<uint8_t>(c)] == 0) return false;
  }
  return !text.empty();
}

// May stand in a field value (RFC 9110, 5.5): visible ASCII, space, tab, obs-text.
constexpr bool is_value_char(char c) noexcept {
  const auto u = static_cast<uint8_t>(c);
  return (u >= 0x20 && u != 0x7f) || u == '\t';
}

}  // namespace pillion
