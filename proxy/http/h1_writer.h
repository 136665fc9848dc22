#pragma once
// Writes HTTP/1.1 heads and chunk framing into a caller's memory.
//
// Sizes are computed first and exactly, so that a head is one reservation and a run of memcpy.
// Nothing here validates: heads were validated where they were parsed or made.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/http/message.h"

namespace pillion::http {

// How the body that follows a head is framed on this connection; not always as it came in.
struct OutgoingFraming {
  Framing framing = Framing::kNone;
  uint64_t content_length = 0;
  bool write_length = false;  // Content-Length although no body follows (HEAD, 304, POST of 0)
  bool close = false;         // "connection: close"
  bool keep_alive = false;    // "connection: keep-alive", for an HTTP/1.0 client
  bool upgrade = false;       // "connection: upgrade" and the upgrade field
};

// Expect and TE: trailers are hop-by-hop and stand in the head as flags: whoever clears them there
// keeps them from going on.
size_t request_head_size(const RequestHead& head, const OutgoingFraming& framing) noexcept;
// Writes exactly request_head_size() bytes; returns the end.
char* write_request_head(char* out, const RequestHead& head,
                         const OutgoingFraming& framing) noexcept;

size_t response_head_size(const ResponseHead& head, const OutgoingFraming& framing) noexcept;
char* write_response_head(char* out, const ResponseHead& head,
                          const OutgoingFraming& framing) noexcept;

// "1a\r\n"; at most kMaxChunkHeader bytes.
inline constexpr size_t kMaxChunkHeader = 18;
char* write_chunk_header(char* out, uint64_t size) noexcept;
inline constexpr std::string_view kChunkEnd = "\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

// "0\r\n" fields "\r\n"
size_t trailers_size(const Headers& trailers) noexcept;
char* write_trailers(char* out, const Headers& trailers) noexcept;

// The standard reason phrase, "Unknown" for others.
std::string_view reason_phrase(uint16_t status) noexcept;

}  // namespace pillion::http
