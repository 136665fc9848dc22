#pragma once
// StreamInfo: the facts of one exchange (HTTP) or one connection (TCP) that access logs, metrics
// and filters read.  Filled by Stream and TcpProxy as things happen; owned by them; views point
// into the stream's arena, the connection or the configuration, and are valid during log().

#include <cstdint>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/base/failure.h"
#include "proxy/http/message.h"
#include "proxy/io/address.h"
#include "proxy/io/transport.h"

namespace pillion::core {

// Of a downstream connection; fixed once its filter chain is chosen.
struct ConnectionInfo {
  uint64_t id = 0;
  io::Address remote;         // as trusted (PROXY protocol may change it)
  io::Address local;          // where the client meant to go: original destination when captured
  io::Address direct_remote;  // the peer of the socket
  io::Address direct_local;
  std::string_view sni;
  std::string_view alpn;
  std::string_view filter_chain_name;
  std::string_view transport_failure;             // of the downstream transport, empty if none
  const io::PeerIdentity* identity = nullptr;     // null without TLS
  Instant begin{};
  WallTime wall_begin{};
};

// Moments of the exchange; the epoch means "did not happen".
struct StreamTimes {
  Instant ds_rx_begin{};  // first byte of the request
  Instant ds_rx_end{};    // last byte of the request
  Instant us_cx_begin{};  // connect of the attempt that answered
  Instant us_cx_end{};
  Instant us_hs_end{};    // its TLS handshake
  Instant us_ready{};     // the pool delivered a connection
  Instant us_tx_begin{};
  Instant us_tx_end{};
  Instant us_rx_begin{};  // first byte of the response
  Instant us_rx_end{};
  Instant ds_tx_begin{};
  Instant ds_tx_end{};
  Instant end{};
};

struct UpstreamInfo {
  io::Address remote;   // the host; kind kNone when none was tried
  io::Address local;
  std::string_view cluster;
  std::string_view host_name;          // endpoint hostname, may be empty
  std::string_view transport_failure;
  const io::PeerIdentity* identity = nullptr;
  uint64_t connection_id = 0;
  uint32_t attempts = 0;
};

struct StreamInfo {
  const ConnectionInfo* connection = nullptr;
  const http::RequestHead* request = nullptr;        // null for TCP
  const http::ResponseHead* response = nullptr;      // what the client got; null if nothing
  const http::Headers* response_trailers = nullptr;
  std::string_view original_path;   // before rewrites; equals request->path otherwise
  std::string_view route_name;
  std::string_view virtual_host;
  std::string_view response_details;   // %RESPONSE_CODE_DETAILS%
  std::string_view local_reply_body;
  std::string_view termination_details;
  std::string_view stream_id;          // x-request-id or own id
  UpstreamInfo upstream;
  StreamTimes times;
  WallTime wall_begin{};
  Failure failure;                  // why it did not end well; kind kNone otherwise
  uint32_t flags = 0;               // bits of ResponseFlag, beyond failure.row().flag
  uint16_t response_code = 0;       // 0 for TCP or when nothing was sent
  uint64_t bytes_received = 0;      // body (HTTP) or all bytes (TCP) from downstream
  uint64_t bytes_sent = 0;
  uint64_t request_header_bytes = 0;
  uint64_t response_header_bytes = 0;
  uint64_t response_trailer_bytes = 0;
  uint64_t upstream_wire_sent = 0;
  uint64_t upstream_wire_received = 0;
  uint64_t downstream_wire_sent = 0;
  uint64_t downstream_wire_received = 0;
  bool is_health_check = false;
};

}  // namespace pillion::core
