#pragma once
// Caps on what a peer may send; each has a row in base/failures.inc and a counter.

#include <cstdint>

#include "proxy/base/clock.h"

namespace pillion::http {

struct H1Limits {
  uint32_t max_bytes = 60 * 1024;  // of a whole head; HCM max_request_headers_kb
  uint32_t max_fields = 100;       // common_http_protocol_options.max_headers_count
  uint32_t max_line = 60 * 1024;   // request line (414)
  uint32_t max_blank_lines = 4;    // CRLFs before a request (RFC 9112, 2.2 asks for one)
  // per_connection_buffer_limit_bytes.  A peer's body is read in pieces of this size at most, so
  // that no more waits for an other side that takes nothing; what is built in is smaller than the
  // default.
  uint32_t buffer_limit = 1024 * 1024;
  bool accept_http10 = true;
  bool allow_absolute_url = true;
  // Http2ProtocolOptions.disallow_obs_text: values of HTTP/2 have no bytes above 0x7f.
  bool disallow_obs_text = false;
  // How long a closing connection may take: reading on after our FIN (HCM delayed_close_timeout; 0:
  // not at all), and a client that takes nothing of a finished response (HCM stream_flush_timeout;
  // 0: any).
  Duration linger_time = std::chrono::seconds(1);
  Duration flush_time = std::chrono::minutes(5);
  friend bool operator==(const H1Limits&, const H1Limits&) = default;
};

// A chunked body may carry this many bytes of chunk extensions beyond one per byte of data.  Small
// chunks cost nothing extra (H1BodyReader joins them), so they need no cap.
inline constexpr uint32_t kChunkOverheadBytes = 16 * 1024;
inline constexpr uint32_t kMaxChunkExtension = 1024;
inline constexpr uint32_t kMaxTrailerBytes = 16 * 1024;
// Interim responses an upstream may send before its final one.
inline constexpr uint32_t kMaxInformational = 16;

}  // namespace pillion::http
