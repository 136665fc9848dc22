#pragma once
// Base64 of a stream that comes in pieces (RFC 4648, section 4), for grpc-web-text; and base64url
// of whole texts (section 5), for JSON Web Tokens and keys.
//
// BoringSSL has the first for whole texts, but belongs to tls/; and grpc-web-text is not one text:
// clients and servers put texts of their own, each with its padding, one behind the other.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
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

// A whole text of base64url without padding (RFC 7515, 2), whose last digit has no bits beyond the
// bytes: so each text is the only one of its bytes.  None: it is something else.
std::optional<std::string> decode_base64url(std::string_view text);
// The same back.
std::string encode_base64url(std::string_view bytes);
// A whole text, padded.  Off the data path.
std::string encode_base64(std::string_view bytes);

}  // namespace pillion
