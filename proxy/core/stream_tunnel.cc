// Upgrades and CONNECT: which are let through, what the two protocols of HTTP say differently, and
// the life of the tunnel behind the answer.
#include "proxy/core/stream_tunnel.h"

#include <utility>

#include "proxy/base/field_chars.h"
#include "proxy/base/str.h"

namespace pillion::core {
namespace {

using http::HeaderId;
using upstream::PoolProtocol;

bool is_connect(const http::RequestHead& request) {
  return request.method == http::Method::kConnect;
}

bool is_websocket(const http::RequestHead& request) {
  return equals_ignore_case(request.upgrade, "websocket");
}

// In HTTP/2 an upgrade is CONNECT: what stands behind its head is the tunnel's, and there is no
// place for a body.
bool fits_http2(const http::RequestHead& request, const upstream::PoolOptions& options) {
  return options.may_use_http2(request) && is_token(request.upgrade);
}

}  // namespace

// ---- what is allowed ----

// An upgrade goes on as one only where it is configured; CONNECT only with an upgrade of that name.
bool Stream::check_upgrade() {
  if (!request_.asks_tunnel()) return true;
  const bool connect = is_connect(request_);
  if (request_.framing == http::Framing::kLength && request_.content_length == 0)
    request_.framing = http::Framing::kNone;
  const upstream::PoolOptions& options = *cluster_->config().pool;
  const bool is_possible = connect || options.protocol_for(request_) == PoolProtocol::kHttp1 ||
                           fits_http2(request_, options);
  stats::HttpStats& stats = owner_.http_stats();
  if (!is_possible || !upgrade_allowed(connect ? "connect" : request_.upgrade)) {
    stats.downstream_rq_ws_on_non_ws_route.inc();
    fail({connect ? FailureKind::kConnectRefused : FailureKind::kUpgradeRefused});
    return false;
  }
  tunnel_ = arena_.create<Tunnel>(*this);
  tunnel_state_ = TunnelState::kAsked;
  ends_connect_ = connect && route::terminates_connect(route_);
  if (is_websocket(request_))
    tunnel_->client_key = request_.headers.get(HeaderId::kSecWebSocketKey);
  stats.downstream_cx_upgrades_total.inc();
  stats.downstream_cx_upgrades_active.inc();
  return true;
}

// ---- CONNECT that ends here ----

void Stream::connect_raw() {
  auto* tcp = new upstream::TcpStream(worker_.loop, worker_.batch, *cluster_, *host_, *tunnel_,
                                      static_cast<http::ResponseSink&>(*this));
  if (!tcp->open()) {
    delete tcp;
    return fail({FailureKind::kOverflow});
  }
  tunnel_->connecting = tcp;
}

// There is no answer but that it is connected.
void Stream::on_tcp_ready() {
  upstream::TcpStream& tcp = *std::exchange(tunnel_->connecting, nullptr);
  upstream_ = &tcp;
  cluster_->stats().upstream_rq_total.inc();
  info_.upstream.identity = tcp.transport().identity();
  info_.times.us_ready = info_.times.us_tx_begin = worker_.loop.now();
  send_continue();
  http::ResponseHead& head = new_response_head();
  head.status = 200;
  on_response_head(head, false);
}

void Stream::on_tcp_refused(Failure failure, std::string_view reason) {
  tunnel_->connecting = nullptr;
  if (ended_) return;
  info_.upstream.transport_failure = arena_.copy(reason);
  if (!try_again(failure)) fail(failure);
}

void Stream::cancel_connect() {
  if (tunnel_->connecting == nullptr) return;
  cluster_->stats().upstream_rq_cancelled.inc();
  std::exchange(tunnel_->connecting, nullptr)->reset();
}

// ---- the handshake ----

// A server of HTTP/1 wants a key, which clients of HTTP/2 do not send (RFC 8441, 5).  What such a
// client sent all the same is for the hop that it came by.
void Stream::prepare_upgrade(http::Protocol to) {
  const bool is_translated =
      request_.protocol == http::Protocol::kHttp2 && to != http::Protocol::kHttp2;
  if (!is_translated || !is_websocket(request_)) return;
  if (tunnel_->own_key.empty()) {
    char* const key = arena_.allocate_array<char>(tls::kWebSocketKeyBytes);
    tls::write_websocket_key(key);
    tunnel_->own_key = {key, tls::kWebSocketKeyBytes};
  }
  request_.headers.set(HeaderId::kSecWebSocketKey, tunnel_->own_key);
}

// False: what came is no answer to what was asked.
bool Stream::take_upgrade_answer(http::ResponseHead& head) {
  const bool is_success = head.status / 100 == 2;
  if (is_connect(request_)) {
    if (is_success) tunnel_state_ = TunnelState::kAgreed;
    return true;
  }
  const bool from_http2 = request_.protocol == http::Protocol::kHttp2;
  // To a client of HTTP/2 a success is agreement, which a server of HTTP/1 says by 101 alone.
  if (head.status != 101) return !(from_http2 && is_success);
  if (from_http2 && !equals_ignore_case(head.upgrade, request_.upgrade)) return false;
  if (is_websocket(request_) && !take_websocket_accept(head)) return false;
  tunnel_state_ = TunnelState::kAgreed;
  return true;
}

// Each hop is answered for the key that it sent, if any: HTTP/2 has neither, but other proxies pass
// both through it.
bool Stream::take_websocket_accept(http::ResponseHead& head) {
  const bool from_http2 = request_.protocol == http::Protocol::kHttp2;
  const bool to_http2 = head.protocol == http::Protocol::kHttp2;
  if (!from_http2 && !to_http2) return true;
  if (!to_http2) {
    char wanted[tls::kWebSocketAcceptBytes];
    tls::write_websocket_accept(tunnel_->own_key, wanted);
    const std::string_view found = head.headers.get(HeaderId::kSecWebSocketAccept);
    if (found != std::string_view(wanted, sizeof wanted)) return false;
  }
  head.headers.remove(HeaderId::kSecWebSocketAccept);
  if (tunnel_->client_key.empty()) return true;
  char* accept = arena_.allocate_array<char>(tls::kWebSocketAcceptBytes);
  tls::write_websocket_accept(tunnel_->client_key, accept);
  head.headers.add(HeaderId::kSecWebSocketAccept, {accept, tls::kWebSocketAcceptBytes});
  return true;
}

// ---- the tunnel ----

// Of the request, while nothing of it may go on.
void Stream::hold_for_tunnel(std::string_view data) {
  if (tunnel_state_ == TunnelState::kRefused || ended_) return;
  body_.append(data);
  if (body_.size() < held_body_limit() || holds_client_ || request_state_ != RequestState::kBody)
    return;
  holds_client_ = true;
  downstream_->pause_request();
}

// The client has the answer.
void Stream::open_tunnel() {
  tunnel_state_ = TunnelState::kStands;
  if (ended_ || upstream_ == nullptr) return;
  if (request_.framing != http::Framing::kNone) {
    // Behind the body of the request its direction begins anew.
    request_state_ = RequestState::kBody;
    request_passed_ = false;
  }
  send_held_body();
  if (request_passed_ && upstream_ != nullptr) upstream_->send_body({}, true);
  if (ended_ || upstream_ == nullptr) return;
  const bool has_room = !upstream_->is_backed_up() && !filters_hold_request();
  holds_client_ = false;
  // It may have been paused by body_, or while the body of the request went up.
  if (has_room && request_state_ == RequestState::kBody) downstream_->resume_request();
}

void Stream::on_response_half_closed() {
  if (ended_) return;
  touch();
  info_.times.us_rx_end = worker_.loop.now();
  half_closed_ = true;
  respond_body({}, true);
}

// The last of what the upstream sends has passed the filters.
void Stream::half_close_client(std::string_view data) {
  if (!data.empty()) downstream_->send_body(data, false);
  if (ended_) return;
  response_state_ = ResponseState::kDone;
  if (request_state_ != RequestState::kDone) downstream_->half_close();
  finish_tunnel();
}

// The upstream has ended its direction before, and takes no more of ours.
void Stream::close_half_closed() {
  half_closed_ = false;
  if (response_state_ != ResponseState::kDone) return;  // its end is with the filters
  downstream_->send_body({}, true);
  finish_response();
}

// When both directions have ended, and the upstream has got all of its own.
void Stream::finish_tunnel() {
  if (ended_ || response_state_ != ResponseState::kDone || !request_passed_) return;
  worker_.batch.flush();  // only then it is known how much the upstream took
  if (ended_ || upstream_ == nullptr || upstream_->is_backed_up()) return;
  http::UpstreamStream* upstream = upstream_;
  release_upstream();
  upstream->reset();
  downstream_->send_body({}, true);
  finish_response();
}

}  // namespace pillion::core
