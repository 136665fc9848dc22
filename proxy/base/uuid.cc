#include "proxy/base/uuid.h"

#include "proxy/base/ascii.h"

namespace pillion {

void write_uuid(char* out, Rng& rng) noexcept {
  uint64_t words[2] = {rng.next(), rng.next()};
  words[0] = (words[0] & ~uint64_t{0xf000}) | 0x4000;                  // version 4
  words[1] = (words[1] & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);  // variant
  int at = 0;
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) out[at++] = '-';
    out[at++] = kHexDigits[(words[i / 16] >> (60 - 4 * (i % 16))) & 0xf];
  }
}

}  // namespace pillion
