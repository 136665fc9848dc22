#pragma once
// UTF-8 of strangers: what goes into JSON, logs and metrics must be well-formed.

#include <cstddef>
#include <string_view>

namespace pillion {

// Length of the sequence at the start of `s` (not empty), 0 if it is not well-formed (RFC 3629:
// overlong forms, surrogates and what lies beyond U+10FFFF are not).
constexpr size_t utf8_length(std::string_view s) noexcept {
  const auto byte = [s](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char b = byte(0);
  if (b < 0x80) return 1;
  const size_t n = b >= 0xc2 && b <= 0xdf   ? 2
                   : (b >> 4) == 0xe        ? 3
                   : b >= 0xf0 && b <= 0xf4 ? 4
                                            : 0;
  if (n == 0 || n > s.size()) return 0;
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  if ((b == 0xe0 && second < 0xa0) || (b == 0xf0 && second < 0x90)) return 0;  // overlong
  if ((b == 0xed && second >= 0xa0) || (b == 0xf4 && second >= 0x90))
    return 0;  // surrogate, too high
  return n;
}

}  // namespace pillion
