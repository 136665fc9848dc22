#pragma once
// A 64-bit word as 16 lower-case hex digits, the highest first.  Request ids, trace ids and span
// ids are written with each traced request: all digits of a half at once, instead of one after
// another.

#include <bit>
#include <cstdint>
#include <cstring>

namespace pillion {

inline constexpr int kHex64Text = 16;

// Eight characters at `out`.
inline void write_hex32(char* out, uint32_t value) noexcept {
  // One digit to each byte.
  uint64_t digits = value;
  digits = (digits | digits << 16) & 0x0000'ffff'0000'ffff;
  digits = (digits | digits << 8) & 0x00ff'00ff'00ff'00ff;
  digits = (digits | digits << 4) & 0x0f0f'0f0f'0f0f'0f0f;
  // 1 in each byte that is ten or more: a letter, which stands 39 behind where '0' + 10 would.
  const uint64_t letters = (digits + 0x0606'0606'0606'0606) >> 4 & 0x0101'0101'0101'0101;
  uint64_t text = digits + 0x3030'3030'3030'3030 + letters * ('a' - '0' - 10);
  if constexpr (std::endian::native == std::endian::little) text = __builtin_bswap64(text);
  std::memcpy(out, &text, sizeof text);
}

// kHex64Text characters at `out`.
inline void write_hex64(char* out, uint64_t value) noexcept {
  write_hex32(out, static_cast<uint32_t>(value >> 32));
  write_hex32(out + 8, static_cast<uint32_t>(value));
}

}  // namespace pillion
