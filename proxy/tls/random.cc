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

}  // namespace pillion::tls
