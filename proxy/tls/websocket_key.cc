#include "proxy/tls/websocket_key.h"

#include <openssl/base64.h>
#include <openssl/sha.h>

#include <cstdint>
#include <cstring>

#include "proxy/tls/random.h"

namespace pillion::tls {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr size_t kRandomBytes = 16;

// EVP_EncodeBlock writes a NUL behind the text, for which `out` has no room.
template <size_t kBytes, size_t kText>
void write_base64(const uint8_t (&bytes)[kBytes], char* out) noexcept {
  static_assert((kBytes + 2) / 3 * 4 == kText);
  uint8_t text[kText + 1];
  EVP_EncodeBlock(text, bytes, kBytes);
  std::memcpy(out, text, kText);
}

}  // namespace

void write_websocket_key(char* out) noexcept {
  uint8_t bytes[kRandomBytes];
  random_bytes(bytes);
  write_base64<kRandomBytes, kWebSocketKeyBytes>(bytes, out);
}

void write_websocket_accept(std::string_view key, char* out) noexcept {
  SHA_CTX sha;
  SHA1_Init(&sha);
  SHA1_Update(&sha, key.data(), key.size());
  SHA1_Update(&sha, kGuid.data(), kGuid.size());
  uint8_t digest[SHA_DIGEST_LENGTH];
  SHA1_Final(digest, &sha);
  write_base64<SHA_DIGEST_LENGTH, kWebSocketAcceptBytes>(digest, out);
}

}  // namespace pillion::tls
