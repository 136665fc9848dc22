#include "proxy/base/uuid.h"

#include <algorithm>

#include "proxy/base/hex.h"

namespace pillion {

void write_uuid(char* out, Rng& rng) noexcept {
  uint64_t words[2] = {rng.next(), rng.next()};
  words[0] = (words[0] & ~uint64_t{0xf000}) | 0x4000;                  // version 4
  words[1] = (words[1] & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);  // variant
  char digits[2 * kHex64Text];
  write_hex64(digits, words[0]);
  write_hex64(digits + kHex64Text, words[1]);
  const char* from = digits;
  for (const size_t group : {8u, 4u, 4u, 4u}) {
    out = std::copy_n(from, group, out);
    *out++ = '-';
    from += group;
  }
  std::copy_n(from, 12, out);
}

}  // namespace pillion
