#include "proxy/core/http_connection.h"

#include <utility>

#include "proxy/base/jitter.h"
#include "proxy/core/codec_stats.h"
#include "proxy/core/http2_connection.h"

namespace pillion::core {

// With its socket, all that an idle connection costs: 500 bytes
// (tests/perf/connection_memory_test.cc).
static_assert(sizeof(HttpConnection) <= 392);

HttpConnection::HttpConnection(WorkerContext& worker, ConnectionOwner& owner, Ref<ChainLine> line,
                               const ConnectionInfo& info)
    : Connection(owner, std::move(line), info),
      worker_(worker),
      server_(worker.loop, worker.batch, line_->head_limits, *this) {
  http_stats().downstream_cx_total.inc();
  http_stats().downstream_cx_active.inc();
  if (line_->is_tls()) {
    http_stats().downstream_cx_ssl_total.inc();
    http_stats().downstream_cx_ssl_active.inc();
  }
}

HttpConnection::~HttpConnection() = default;

void HttpConnection::start(std::unique_ptr<io::Transport> transport) {
  const bool plain = !line_->is_tls();
  if (plain && config().codec == CodecType::kHttp2) return become_http2(std::move(transport), {});
  const bool is_shaken = !plain && transport->identity() != nullptr;  // a guard has waited for it
  if (config().codec == CodecType::kAuto) server_.expect_preface();
  server_.start(std::move(transport), {});
  if (config().max_connection_duration != Duration{}) {
    duration_timer_ = std::make_unique<io::Timer>(
        io::Timer::call<&HttpConnection::on_duration, HttpConnection>(), this);
    worker_.loop.arm(*duration_timer_,
                     with_jitter(config().max_connection_duration,
                                 config().connection_duration_jitter, worker_.rng));
  }
  if (is_shaken) return on_server_connected();
  if (!plain) return worker_.loop.arm(timer_, handshake_limit());
  connected_ = true;
  arm_idle();
  server_.read_now();
}

void HttpConnection::on_server_connected() {
  connected_ = true;
  info_.identity = server_.transport().identity();
  timer_.cancel();
  const bool is_agreed = config().codec == CodecType::kAuto && info_.identity != nullptr &&
                         info_.identity->alpn == "h2";
  if (is_agreed || config().codec == CodecType::kHttp2) return become_http2(server_.release(), {});
  arm_idle();
  server_.read_now();
}

void HttpConnection::on_http2(Buffer& already_read) {
  become_http2(server_.release(), std::move(already_read));
}

void HttpConnection::become_http2(std::unique_ptr<io::Transport> transport, Buffer already_read) {
  timer_.cancel();
  duration_timer_.reset();
  server_.release();  // it may not have begun
  auto* next = new Http2Connection(worker_, owner_, line_, info_);
  owner_.on_connection_replaced(*this, *next);
  next->take_over(std::move(transport), std::move(already_read), draining_);
}

void HttpConnection::count_http1() {
  if (std::exchange(counted_, true)) return;
  http_stats().downstream_cx_http1_total.inc();
  http_stats().downstream_cx_http1_active.inc();
}

http::RequestSink& HttpConnection::new_stream() {
  count_http1();
  http_stats().downstream_rq_http1_total.inc();
  stream_ = new Stream(worker_, line_->newest, *this, server_);
  if (config().request_headers_timeout != Duration{}) {
    timer_.cancel();
    worker_.loop.arm(timer_, config().request_headers_timeout);
  }
  return *stream_;
}

void HttpConnection::on_head_complete(size_t bytes) {
  stream_->count_header_bytes(bytes);
  timer_.cancel();
  if (config().max_requests_per_connection != 0 &&
      server_.requests() + 1 >= config().max_requests_per_connection) {
    http_stats().downstream_cx_max_requests_reached.inc();
    server_.drain();
  }
  if (draining_ || worker_.announces_close()) {
    http_stats().downstream_cx_drain_close.inc();
    server_.drain();
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
}

void HttpConnection::on_traffic(uint64_t received, uint64_t sent) {
  http_stats().downstream_cx_rx_bytes_total.add(received);
  http_stats().downstream_cx_tx_bytes_total.add(sent);
}

void HttpConnection::arm_idle() {
  if (config().idle_timeout != Duration{}) worker_.loop.arm(timer_, config().idle_timeout);
}

void HttpConnection::on_timer() {
  if (!connected_) {
    owner_.on_handshake_timeout();
    return close({FailureKind::kHandshakeTimeout});
  }
  if (stream_ != nullptr && server_.in_head()) {
    http_stats().downstream_rq_header_timeout.inc();
    return stream_->on_headers_timeout();
  }
  if (stream_ != nullptr) return;
  http_stats().downstream_cx_idle_timeout.inc();
  close({FailureKind::kIdleTimeout});
}

void HttpConnection::on_duration() {
  // Twice: the response of a request that runs tells first; after the drain timeout the connection
  // closes as soon as it is idle.
  if (!std::exchange(draining_, true)) {
    http_stats().downstream_cx_max_duration_reached.inc();
    if (stream_ != nullptr) server_.drain();
    return worker_.loop.arm(
        *duration_timer_,
        with_jitter(config().drain_timeout, config().drain_timeout_jitter, worker_.rng));
  }
  server_.drain();
}

void HttpConnection::drain() {
  draining_ = true;
  // The response of a request that runs can still tell.
  if (stream_ != nullptr) server_.drain();
}

void HttpConnection::describe(StreamInfo& info) const {
  info.bytes_received = server_.bytes_received();
  info.bytes_sent = server_.bytes_sent();
  info.downstream_transport_failure = server_.transport().failure_reason();
}

void HttpConnection::close(Failure failure) { server_.close(failure); }

void HttpConnection::on_malformed(FailureKind kind) {
  http_stats().downstream_cx_protocol_error.inc();
  count_malformed(*line_->http1, kind);
}

void HttpConnection::on_server_closed(Failure failure) {
  timer_.cancel();
  duration_timer_.reset();
  if (stream_ != nullptr) http_stats().downstream_cx_destroy_active_rq.inc();
  end_stream();
  http_stats().downstream_cx_active.dec();
  if (counted_) http_stats().downstream_cx_http1_active.dec();
  if (line_->is_tls()) http_stats().downstream_cx_ssl_active.dec();
  http_stats().downstream_cx_destroy.inc();
  const bool by_client = failure.kind == FailureKind::kDownstreamClosed ||
                         failure.kind == FailureKind::kDownstreamReset ||
                         failure.kind == FailureKind::kRequestTruncated || server_.has_ended();
  (by_client ? http_stats().downstream_cx_destroy_remote : http_stats().downstream_cx_destroy_local)
      .inc();
  http_stats().downstream_cx_length_ms.record(worker_.loop.now() - info_.begin);
  owner_.on_connection_closed(*this, failure);
}

}  // namespace pillion::core
