#pragma once
// The protocol-neutral heads of a request and a response.  A codec fills them; from then on nobody
// looks at wire bytes.  All text lives in the arena of the stream that owns the head.

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/http/headers.h"

namespace pillion::http {

enum class Protocol : uint8_t { kHttp10, kHttp11, kHttp2 };
std::string_view protocol_name(Protocol protocol) noexcept;  // "HTTP/1.1"

enum class Method : uint8_t {
  kGet,
  kHead,
  kPost,
  kPut,
  kDelete,
  kConnect,
  kOptions,
  kTrace,
  kPatch,
  kOther
};
// Case-sensitive (RFC 9110, 9.1); kOther for every extension method.
Method find_method(std::string_view text) noexcept;
// RFC 9110, 9.2.2: repeating the request has the effect of sending it once.
constexpr bool is_idempotent(Method m) noexcept {
  return m != Method::kPost && m != Method::kConnect && m != Method::kPatch && m != Method::kOther;
}

// How the end of a body is known (RFC 9112, 6.3).
enum class Framing : uint8_t { kNone, kLength, kChunked, kUntilClose };

struct RequestHead {
  explicit RequestHead(Arena& arena) noexcept : headers(arena) {}

  Headers headers;  // without Host, Connection and other framing fields
  std::string_view method_text;
  std::string_view path;  // origin form with query: "/a?b"; "*" for OPTIONS *; empty for CONNECT
  std::string_view
      authority;            // Host, or the authority of an absolute target; may be empty (HTTP/1.0)
  std::string_view scheme;  // "http" or "https"
  // Token of a requested upgrade ("websocket"), else empty.  HTTP/2 asks for it by CONNECT with
  // `:protocol` (RFC 8441), which is read as the GET that asks for it in HTTP/1.
  std::string_view upgrade;
  uint64_t content_length = 0;  // if framing is kLength
  Method method = Method::kGet;
  Protocol protocol = Protocol::kHttp11;
  Framing framing = Framing::kNone;
  bool keep_alive = true;         // the client will take another response
  bool expects_continue = false;  // Expect: 100-continue
  bool te_trailers = false;       // TE: trailers
  // Of HTTP/2: on no further hop may it enter a table either (RFC 7541, 7.1.3).
  bool path_never_index = false;
  bool authority_never_index = false;

  // Is the connection, or the stream, to carry bytes of another protocol after the answer?
  [[nodiscard]] bool asks_tunnel() const noexcept {
    return !upgrade.empty() || method == Method::kConnect;
  }
};

struct ResponseHead {
  explicit ResponseHead(Arena& arena) noexcept : headers(arena) {}

  Headers headers;              // without Connection and other framing fields
  std::string_view reason;      // as received; may be empty
  std::string_view upgrade;     // of a 101
  uint64_t content_length = 0;  // if framing is kLength; for HEAD and 304 what the field said
  uint16_t status = 0;
  Protocol protocol = Protocol::kHttp11;
  Framing framing = Framing::kNone;
  bool has_content_length = false;
  bool keep_alive = true;  // the upstream connection can be used again
};

// The bytes that the head's views point into moved from [from, from + size) to `to`.
void rebase_head(RequestHead& head, const char* from, size_t size, const char* to) noexcept;
void rebase_head(ResponseHead& head, const char* from, size_t size, const char* to) noexcept;

}  // namespace pillion::http
