#pragma once
// StreamInfo: the facts of one exchange (HTTP) or one connection (TCP) that access logs, metrics
// and filters read.  Filled by Stream and TcpProxy as things happen; owned by them; views point
// into the stream's arena, the connection or the configuration, and are valid during log().

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/base/failure.h"
#include "proxy/core/metadata.h"
#include "proxy/http/message.h"
#include "proxy/io/address.h"
#include "proxy/io/transport.h"

namespace pillion::core {

class SpanRecorder;
struct StreamTrace;

// Of a downstream connection; fixed once its filter chain is chosen.  Every idle connection has
// one, so what can be had elsewhere is not in it.
struct ConnectionInfo {
  uint64_t id = 0;
  io::Address remote;  // as trusted (PROXY protocol and x-forwarded-for may change it)
  io::Address local;   // where the client meant to go: original destination when captured
  // The two ends of the socket; null when they are remote and local.  Whoever made this info owns
  // it.
  struct Direct {
    io::Address remote;
    io::Address local;
  };
  const Direct* direct = nullptr;
  const io::PeerIdentity* identity = nullptr;  // null without TLS; the transport's
  const std::string* filter_chain = nullptr;   // its name; the ChainLine's
  Instant begin{};

  [[nodiscard]] const io::Address& direct_remote() const noexcept {
    return direct ? direct->remote : remote;
  }
  [[nodiscard]] const io::Address& direct_local() const noexcept {
    return direct ? direct->local : local;
  }
  [[nodiscard]] std::string_view sni() const noexcept {
    return identity ? identity->sni : std::string_view();
  }
  [[nodiscard]] std::string_view filter_chain_name() const noexcept {
    return filter_chain ? std::string_view(*filter_chain) : std::string_view();
  }
};
static_assert(sizeof(ConnectionInfo) <= 88);

// One that lives as long as its connection, with all that it points to but identity and filter
// chain.
struct KeptConnectionInfo : ConnectionInfo {
  explicit KeptConnectionInfo(const ConnectionInfo& info) : ConnectionInfo(info) {
    if (direct != nullptr) direct = new Direct(*direct);
  }
  ~KeptConnectionInfo() { delete direct; }
  KeptConnectionInfo(const KeptConnectionInfo&) = delete;
  KeptConnectionInfo& operator=(const KeptConnectionInfo&) = delete;
};

// Moments of the exchange; the epoch means "did not happen".
struct StreamTimes {
  Instant ds_rx_begin{};  // first byte of the request
  Instant ds_rx_end{};    // last byte of the request
  Instant us_cx_begin{};  // connect of the attempt that answered
  Instant us_cx_end{};
  Instant us_hs_end{};  // its TLS handshake
  Instant us_ready{};   // the pool delivered a connection
  Instant us_tx_begin{};
  Instant us_tx_end{};
  Instant us_rx_begin{};  // first byte of the response
  Instant us_rx_end{};
  Instant ds_tx_begin{};
  Instant ds_tx_end{};
  Instant end{};
};

struct UpstreamInfo {
  io::Address remote;  // the host; kind kNone when none was tried
  io::Address local;
  std::string_view cluster;
  std::string_view host_name;  // endpoint hostname, may be empty
  std::string_view transport_failure;
  const io::PeerIdentity* identity = nullptr;
  uint64_t connection_id = 0;
  uint32_t attempts = 0;
};

// A named text that a filter left: %FILTER_STATE(key)%.  In the stream's arena.
struct FilterState {
  std::string_view key;
  std::string_view value;
  FilterState* next;
};

struct StreamInfo {
  const ConnectionInfo* connection = nullptr;
  const http::RequestHead* request = nullptr;    // null for TCP
  const http::ResponseHead* response = nullptr;  // what the client got; null if nothing
  const http::Headers* response_trailers = nullptr;
  std::string_view original_path;  // before rewrites; equals request->path otherwise
  std::string_view route_name;
  std::string_view virtual_host;
  std::string_view response_details;  // %RESPONSE_CODE_DETAILS%
  std::string_view local_reply_body;
  std::string_view termination_details;
  std::string_view downstream_transport_failure;
  std::string_view stream_id;  // x-request-id or own id
  FilterState* filter_state = nullptr;
  Metadata metadata;
  UpstreamInfo upstream;
  StreamTimes times;
  WallTime wall_begin{};
  Failure failure;             // why it did not end well; kind kNone otherwise
  uint32_t flags = 0;          // bits of ResponseFlag, beyond failure.row().flag
  uint16_t response_code = 0;  // 0 for TCP or when nothing was sent
  bool is_health_check = false;
  uint64_t bytes_received = 0;  // body (HTTP) or all bytes (TCP) from downstream
  uint64_t bytes_sent = 0;
  uint64_t request_header_bytes = 0;
  uint32_t response_header_bytes = 0;
  uint32_t response_trailer_bytes = 0;
  // Before TLS, with heads and framing; of HTTP the last attempt's, as Envoy's.
  uint64_t upstream_wire_sent = 0;
  uint64_t upstream_wire_received = 0;
  uint64_t downstream_wire_sent = 0;
  uint64_t downstream_wire_received = 0;
  const StreamTrace* trace = nullptr;  // null: none
};

}  // namespace pillion::core
