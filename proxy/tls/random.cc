#include "proxy/tls/random.h"

#include <openssl/rand.h>

#include <cstring>

namespace pillion::tls {
namespace {

struct Block {
  static constexpr size_t kBytes = 512;
  uint8_t bytes[kBytes];
  size_t used = kBytes;
};

thread_local Block block;

}  // namespace

void random_bytes(std::span<uint8_t> out) noexcept {
  if (out.empty()) return;
  if (out.size() > Block::kBytes / 4) {
    RAND_bytes(out.data(), out.size());
    return;
  }
  Block& b = block;
  if (Block::kBytes - b.used < out.size()) {
    RAND_bytes(b.bytes, Block::kBytes);
    b.used = 0;
  }
  std::memcpy(out.data(), b.bytes + b.used, out.size());
  std::memset(b.bytes + b.used, 0, out.size());
  b.used += out.size();
}

void random_uuid(char* out) noexcept {
  uint8_t raw[16];
  random_bytes(raw);
  raw[6] = static_cast<uint8_t>((raw[6] & 0x0f) | 0x40);  // version 4
  raw[8] = static_cast<uint8_t>((raw[8] & 0x3f) | 0x80);  // variant of RFC 9562
  constexpr char kHex[] = "0123456789abcdef";
  for (size_t i = 0; i < sizeof raw; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
    *out++ = kHex[raw[i] >> 4];
    *out++ = kHex[raw[i] & 15];
  }
}

}  // namespace pillion::tls
