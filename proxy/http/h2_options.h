#pragma once
// What one side of an HTTP/2 connection announces and tolerates: Envoy's Http2ProtocolOptions
// (envoy.md 1.4), for clients and upstreams alike.

#include <cstdint>

#include "proxy/base/clock.h"

namespace pillion::http {

struct H2Options {
  uint32_t hpack_table_size = 4096;        // of our decoder, announced; and at most of our encoder
  uint32_t max_concurrent_streams = 1024;  // that the peer may open
  // What the peer may send before we return window.  A stream's is what a stalled receiver costs
  // us; one and a half of the connection's bounds that over all streams (H2Session::settle_window),
  // and behind a half further requests to an upstream take another connection.
  // (Envoy's defaults are 16 and 24 MiB: two stalled streams stop its connection.)
  uint32_t stream_window = 1024 * 1024;
  uint32_t connection_window = 16 * 1024 * 1024;
  // per_connection_buffer_limit_bytes: no more frames are made while so much waits for the
  // transport (or 64 KiB), and the source of a stream is stopped that holds so much (or 32 KiB).
  uint32_t buffer_limit = 1024 * 1024;

  // A client's; another one in tests of what happens when ids are used up.
  uint32_t first_stream_id = 1;
  // RFC 8441: clients may ask for upgrades (SETTINGS_ENABLE_CONNECT_PROTOCOL); of a cluster, those
  // that go there travel over HTTP/2.
  bool allow_connect = false;

  // Floods.  Each ends the connection with ENHANCE_YOUR_CALM.
  uint32_t max_outbound_control_frames = 1000;  // acknowledgements that wait to be written
  uint32_t max_empty_frames = 1;                // in a row, with neither payload nor END_STREAM
  uint32_t max_priority_frames_per_stream = 100;
  uint32_t max_window_updates_per_data_frame = 10;
  uint32_t stream_reset_burst = 1000;  // streams that the peer may open and reset, then
  uint32_t stream_reset_rate = 33;     // so many a second
  // What the users of the session take of a head (max_request_headers_kb, max_response_headers_kb):
  // blocks may be somewhat larger (h2_budget.h).
  uint32_t max_head_bytes = 60 * 1024;

  // connection_keepalive; zero is off.  Anything that comes within the timeout is an answer.
  Duration ping_interval{};
  Duration ping_timeout{};
  uint32_t ping_jitter_percent = 15;
  Duration ping_after_idle{};  // connection_idle_interval: in front of a stream that we open
  friend bool operator==(const H2Options&, const H2Options&) = default;
};

}  // namespace pillion::http
