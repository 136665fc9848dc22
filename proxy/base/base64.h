#pragma once
// Base64 of a stream that comes in pieces (RFC 4648, section 4), for grpc-web-text.
//
// BoringSSL has the same for whole texts, but belongs to tls/; and grpc-web-text is not one text:
// clients and servers put texts of their own, each with its padding, one behind the other.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pillion {

// Of `bytes` of content, padding included.
constexpr size_t base64_size(size_t bytes) noexcept { return (bytes + 2) / 3 * 4; }

// One text, padded, at `out`, which has room for base64_size(bytes.size()); returns its end.
char* write_base64(char* out, std::string_view bytes) noexcept;

// Reads texts that follow one another, cut anywhere.
class Base64Reader {
 public:
  // What `text` completes, at `out`, which has room for max_size(text.size()).  None: it is no
  // base64, and the reader must not be used any more.
  std::optional<size_t> read(std::string_view text, char* out) noexcept;
  // A group of four is not complete.
  [[nodiscard]] bool is_inside() const noexcept { return count_ != 0; }

  static constexpr size_t max_size(size_t text) noexcept { return (text + 3) / 4 * 3; }

 private:
  uint32_t group_ = 0;   // of the characters so far, six bits each
  uint8_t count_ = 0;    // of them, padding included
  uint8_t padding_ = 0;  // how many of them are "="
};

}  // namespace pillion
