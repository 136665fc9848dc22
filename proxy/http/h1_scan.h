#pragma once
// The scan that validates a field value of HTTP/1 and finds its end.
//
// SSE2 and NEON are part of the x86-64 and arm64 baselines, so this needs no run-time dispatch; a
// field value is rarely longer than 64 bytes, where wider vectors gain nothing (ARCHITECTURE.md).

#include <cstddef>
#include <cstdint>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "proxy/base/field_chars.h"

namespace pillion::http {

// The first byte in [p, end) that is not visible ASCII, space or obs-text; tabs stop it too.
inline const char* find_control(const char* p, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i limit = _mm_set1_epi8(0x1f);
  const __m128i del = _mm_set1_epi8(0x7f);
  while (end - p >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, limit), bytes);  // byte <= 0x1f
    const int mask = _mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(bytes, del)));
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
    p += 16;
  }
#endif
  for (; p != end; ++p) {
    const auto u = static_cast<uint8_t>(*p);
    if (u < 0x20 || u == 0x7f) break;
  }
  return p;
}

// The end of a request target: the first byte that is not visible ASCII.
inline const char* find_target_end(const char* p, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i low_limit = _mm_set1_epi8(0x20);
  const __m128i high_limit = _mm_set1_epi8(0x7f);
  while (end - p >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, low_limit), bytes);    // <= 0x20
    const __m128i high = _mm_cmpeq_epi8(_mm_max_epu8(bytes, high_limit), bytes);  // >= 0x7f
    const int mask = _mm_movemask_epi8(_mm_or_si128(low, high));
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
    p += 16;
  }
#endif
  for (; p != end; ++p) {
    const auto u = static_cast<uint8_t>(*p);
    if (u <= 0x20 || u >= 0x7f) break;
  }
  return p;
}

}  // namespace pillion::http
