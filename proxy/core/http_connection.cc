#include "proxy/core/http_connection.h"

#include <utility>

#include "proxy/core/codec_stats.h"

namespace pillion::core {

HttpConnection::HttpConnection(WorkerContext& worker, ConnectionOwner& owner, Ref<ChainState> state,
                               const ConnectionInfo& info)
    : Connection(owner, std::move(state), info),
      worker_(worker),
      config_(std::get<std::shared_ptr<const HcmConfig>>(state_->chain->terminal).get()),
      server_(std::make_unique<http::H1ServerConnection>(worker.loop, worker.batch, config_->head_limits,
                                                         static_cast<http::H1ServerConnection::Owner&>(*this))) {
  http_stats().downstream_cx_total.inc();
  http_stats().downstream_cx_http1_total.inc();
  http_stats().downstream_cx_active.inc();
  http_stats().downstream_cx_http1_active.inc();
  if (state_->chain->tls) {
    http_stats().downstream_cx_ssl_total.inc();
    http_stats().downstream_cx_ssl_active.inc();
  }
}

HttpConnection::~HttpConnection() = default;

void HttpConnection::start(std::unique_ptr<io::Transport> transport) {
  const bool plain = !state_->chain->tls;
  server_->start(std::move(transport), {});
  if (config_->max_connection_duration != Duration{}) {
    worker_.loop.arm(duration_timer_, config_->max_connection_duration);
  }
  if (!plain) return worker_.loop.arm(timer_, handshake_limit());
  connected_ = true;
  arm_idle();
  server_->read_now();
}

void HttpConnection::on_server_connected() {
  connected_ = true;
  info_.identity = server_->transport().identity();
  if (info_.identity != nullptr) {
    info_.sni = info_.identity->sni;
    info_.alpn = info_.identity->alpn;
  }
  timer_.cancel();
  arm_idle();
  server_->read_now();
}

// A reload gave the chain a new configuration: requests that begin from now on have it.
void HttpConnection::take_successor() {
  while (state_->successor) state_ = state_->successor;
  config_ = std::get<std::shared_ptr<const HcmConfig>>(state_->chain->terminal).get();
  info_.filter_chain_name = state_->chain->name;
  server_->set_limits(config_->head_limits);
}

http::RequestSink& HttpConnection::new_stream() {
  if (state_->successor) [[unlikely]] take_successor();
  stream_ = new Stream(worker_, *config_, *this, *server_);
  if (config_->request_headers_timeout != Duration{}) {
    timer_.cancel();
    worker_.loop.arm(timer_, config_->request_headers_timeout);
  }
  return *stream_;
}

void HttpConnection::on_head_complete(size_t bytes) {
  stream_->count_header_bytes(bytes);
  timer_.cancel();
  if (config_->max_requests_per_connection != 0 && server_->requests() + 1 >= config_->max_requests_per_connection) {
    http_stats().downstream_cx_max_requests_reached.inc();
    server_->drain();
  }
  if (draining_ || worker_.announces_close()) {
    http_stats().downstream_cx_drain_close.inc();
    server_->drain();
  }
}

void HttpConnection::on_exchange_done(bool) {
  end_stream();
  arm_idle();
}

void HttpConnection::end_stream() {
  if (stream_ == nullptr) return;
  Stream* stream = std::exchange(stream_, nullptr);
  stream->close();
  worker_.loop.delete_later(stream);
  count_bytes();
  added_before_ = server_->bytes_added();
}

// What the last response left in the writer is known only at the end of the connection.
void HttpConnection::count_bytes() {
  http_stats().downstream_cx_rx_bytes_total.add(server_->bytes_received() - counted_received_);
  http_stats().downstream_cx_tx_bytes_total.add(server_->bytes_sent() - counted_sent_);
  counted_received_ = server_->bytes_received();
  counted_sent_ = server_->bytes_sent();
}

void HttpConnection::arm_idle() {
  if (config_->idle_timeout != Duration{}) worker_.loop.arm(timer_, config_->idle_timeout);
}

void HttpConnection::on_timer() {
  if (!connected_) {
    owner_.on_handshake_timeout();
    return close({FailureKind::kHandshakeTimeout});
  }
  if (stream_ != nullptr && server_->in_head()) {
    http_stats().downstream_rq_header_timeout.inc();
    return stream_->on_headers_timeout();
  }
  if (stream_ != nullptr) return;
  http_stats().downstream_cx_idle_timeout.inc();
  close({FailureKind::kIdleTimeout});
}

void HttpConnection::on_duration() {
  http_stats().downstream_cx_max_duration_reached.inc();
  // An idle one closes at once, as in Envoy after its drain timeout.
  server_->drain();
}

void HttpConnection::drain() {
  draining_ = true;
  // The response of a request that runs can still tell.
  if (stream_ != nullptr) server_->drain();
}

void HttpConnection::describe(StreamInfo& info) const {
  info.bytes_received = server_->bytes_received();
  info.bytes_sent = server_->bytes_sent();
}

void HttpConnection::close(Failure failure) { server_->close(failure); }

void HttpConnection::on_malformed(FailureKind kind) {
  http_stats().downstream_cx_protocol_error.inc();
  count_malformed(*state_->http1, kind);
}

void HttpConnection::on_server_closed(Failure failure) {
  timer_.cancel();
  duration_timer_.cancel();
  if (stream_ != nullptr) http_stats().downstream_cx_destroy_active_rq.inc();
  end_stream();
  count_bytes();
  http_stats().downstream_cx_active.dec();
  http_stats().downstream_cx_http1_active.dec();
  if (state_->chain->tls) http_stats().downstream_cx_ssl_active.dec();
  http_stats().downstream_cx_destroy.inc();
  const bool by_client = failure.kind == FailureKind::kDownstreamClosed || failure.kind == FailureKind::kDownstreamReset ||
                         failure.kind == FailureKind::kRequestTruncated;
  (by_client ? http_stats().downstream_cx_destroy_remote : http_stats().downstream_cx_destroy_local).inc();
  http_stats().downstream_cx_length_ms.record(worker_.loop.now() - info_.begin);
  info_.transport_failure = server_->transport().failure_reason();
  owner_.on_connection_closed(*this, failure);
  worker_.loop.delete_later(std::move(server_));
}

}  // namespace pillion::core
