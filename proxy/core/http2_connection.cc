#include "proxy/core/http2_connection.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/free_list.h"
#include "proxy/base/jitter.h"

namespace pillion::core {
namespace {

constexpr size_t kExchangeBytes = 96;

// Envoy's runtime keys overload.premature_reset_total_stream_count and
// overload.premature_reset_min_stream_lifetime_seconds.
constexpr uint32_t kPrematureTotal = 500;
constexpr Duration kPrematureLifetime = std::chrono::seconds(1);

thread_local FreeList free_exchanges{kExchangeBytes, 256};

}  // namespace

// One request on an Http2Connection: what its Stream asks of a connection.
class Http2Exchange final : public io::Deferred,
                            public StreamOwner,
                            public http::H2Exchange,
                            public ListNode<> {
 public:
  Http2Exchange(Http2Connection& connection, http::H2ServerStream& downstream)
      : connection_(connection),
        downstream_(&downstream),
        stream_(new Stream(connection.worker_, connection.line_->newest, *this, downstream)) {
    static_assert(sizeof(Http2Exchange) <= kExchangeBytes);
  }
  ~Http2Exchange() override { DASSERT(stream_ == nullptr); }
  static void* operator new(size_t) { return free_exchanges.take(); }
  static void operator delete(void* memory) noexcept { free_exchanges.give(memory); }

  // Nothing of it is used any more.
  void end() {
    ListNode<>::unlink();
    if (connection_.in_head_ == this) connection_.in_head_ = nullptr;
    Stream* stream = std::exchange(stream_, nullptr);
    stream->close();
    downstream_ = nullptr;
    connection_.worker_.loop.delete_later(stream);
    connection_.worker_.loop.delete_later(this);
  }
  Stream& stream() { return *stream_; }

 private:
  // H2Exchange
  http::RequestSink& sink() override { return *stream_; }
  http::RequestHead& request_head() override { return stream_->request_head(); }
  http::Headers& new_request_trailers() override { return stream_->new_request_trailers(); }
  void on_head_complete(size_t bytes) override {
    stream_->count_header_bytes(bytes);
    connection_.on_head_complete();
  }
  void on_exchange_done() override {
    connection_.count_exchange(*stream_);
    end();
  }
  // StreamOwner
  const ConnectionInfo& connection_info() const override { return connection_.info_; }
  stats::HttpStats& http_stats() override { return *connection_.line_->http; }
  stats::ListenerHttpStats& listener_http_stats() override {
    return *connection_.line_->listener_http;
  }
  UnderscoreCounters underscore_counters() override {
    return {connection_.line_->http2->dropped_headers_with_underscores,
            connection_.line_->http2->requests_rejected_with_underscores_in_headers};
  }
  Ref<ChainState> newest_chain() override { return connection_.line_->newest; }
  uint64_t wire_bytes_received() const override {
    return downstream_ == nullptr ? 0 : downstream_->wire_received();
  }
  // What is on its way when the stream ends is not framed yet.
  uint64_t wire_bytes_sent() const override {
    return downstream_ == nullptr ? 0 : downstream_->wire_sent() + downstream_->held();
  }
  void close_after_response() override {}  // a stream ends alone
  void begin_tunnel() override {}          // DATA is DATA

  Http2Connection& connection_;
  http::H2ServerStream* downstream_;
  Stream* stream_;  // owned; destroyed by delete_later
};

Http2Connection::Http2Connection(WorkerContext& worker, ConnectionOwner& owner, Ref<ChainLine> line,
                                 const ConnectionInfo& info)
    : Connection(owner, std::move(line), info),
      worker_(worker),
      server_(worker.loop, worker.batch, line_->head_limits, config().h2, *this) {
  // The HttpConnection before it counted what is common.
  http_stats().downstream_cx_http2_total.inc();
  http_stats().downstream_cx_http2_active.inc();
}

Http2Connection::~Http2Connection() = default;

void Http2Connection::start(std::unique_ptr<io::Transport> transport) {
  take_over(std::move(transport), {}, false);
}

void Http2Connection::take_over(std::unique_ptr<io::Transport> transport, Buffer already_read,
                                bool draining) {
  const bool read = already_read.empty();
  server_.start(std::move(transport), std::move(already_read), true);
  if (config().max_connection_duration != Duration{}) {
    duration_timer_ = std::make_unique<io::Timer>(
        io::Timer::call<&Http2Connection::on_duration, Http2Connection>(), this);
    const Duration limit = with_jitter(config().max_connection_duration,
                                       config().connection_duration_jitter, worker_.rng);
    worker_.loop.arm_at(*duration_timer_, info_.begin + limit);
  }
  on_idle();
  if (draining) drain();
  if (read) server_.read_now();
}

http::H2Exchange& Http2Connection::new_exchange(http::H2ServerStream& stream) {
  http_stats().downstream_rq_http2_total.inc();
  auto* exchange = new Http2Exchange(*this, stream);
  exchanges_.push_back(*exchange);
  if (timer_.is_armed()) timer_.cancel();
  in_head_ = exchange;
  return *exchange;
}

// As a rule a head comes whole, and no timer is armed for it.
void Http2Connection::on_head_incomplete() {
  if (in_head_ == nullptr || timer_.is_armed()) return;
  const Duration limit = config().request_headers_timeout != Duration{}
                             ? config().request_headers_timeout
                             : config().stream_idle_timeout;
  if (limit != Duration{}) worker_.loop.arm(timer_, limit);
}

void Http2Connection::on_head_complete() {
  in_head_ = nullptr;
  if (timer_.is_armed()) timer_.cancel();
  if (server_.is_draining()) return;
  if (config().max_requests_per_connection != 0 &&
      server_.requests() >= config().max_requests_per_connection) {
    http_stats().downstream_cx_max_requests_reached.inc();
    return drain_server();
  }
  if (draining_ || worker_.announces_close()) {
    http_stats().downstream_cx_drain_close.inc();
    drain_server();
  }
}

void Http2Connection::on_idle() {
  worker_.memory.sweep_later();
  if (config().idle_timeout != Duration{}) worker_.loop.arm(timer_, config().idle_timeout);
}

void Http2Connection::on_timer() {
  if (in_head_ != nullptr) {
    Stream& stream = in_head_->stream();
    if (config().request_headers_timeout == Duration{}) return stream.on_idle_timeout();
    http_stats().downstream_rq_header_timeout.inc();
    return stream.on_headers_timeout();
  }
  if (server_.streams() != 0 || server_.is_draining()) return;
  // A request may be on its way (RFC 9113, 9.1).
  http_stats().downstream_cx_idle_timeout.inc();
  drain();
}

void Http2Connection::on_duration() {
  http_stats().downstream_cx_max_duration_reached.inc();
  drain();
}

// No request is lost by it, so that it need not wait for one.
void Http2Connection::drain() {
  draining_ = true;
  drain_server();
}

void Http2Connection::drain_server() {
  server_.drain(with_jitter(config().drain_timeout, config().drain_timeout_jitter, worker_.rng));
}

void Http2Connection::close(Failure failure) { server_.close(failure); }

void Http2Connection::describe(StreamInfo& info) const {
  info.bytes_received = server_.bytes_received();
  info.bytes_sent = server_.bytes_sent();
  info.downstream_transport_failure = server_.transport().failure_reason();
}

void Http2Connection::on_stream_count(int change) { line_->http2->streams_active.add(change); }

void Http2Connection::on_traffic(uint64_t received, uint64_t sent) {
  // A PING has perhaps woken the session; nothing else would put it to sleep again.
  if (server_.streams() == 0) worker_.memory.sweep_later();
  http_stats().downstream_cx_rx_bytes_total.add(received);
  http_stats().downstream_cx_tx_bytes_total.add(sent);
}

void Http2Connection::on_event(Event event) {
  stats::Http2Stats& stats = *line_->http2;
  switch (event) {
    case Event::kResetReceived:
      return stats.rx_reset.inc();
    case Event::kResetSent:
      return stats.tx_reset.inc();
    case Event::kStreamRefused:
      return stats.stream_refused_errors.inc();
    case Event::kTrailers:
      return stats.trailers.inc();
    case Event::kGoawaySent:
      return stats.goaway_sent.inc();
    case Event::kPingTimeout:
      return stats.keepalive_timeout.inc();
    case Event::kFlushTimeout:
      return stats.tx_flush_timeout.inc();
    case Event::kProtocolError:
      http_stats().downstream_cx_protocol_error.inc();
      return stats.protocol_error.inc();
  }
}

void Http2Connection::on_flood(http::H2Flood flood) {
  if (stats::Counter* counter = http::counter_of(*line_->http2, flood)) counter->inc();
  if (flood == http::H2Flood::kPrematureEnds) {
    http_stats().downstream_rq_too_many_premature_resets.inc();
  } else {
    http_stats().downstream_cx_protocol_error.inc();
  }
}

// A client most of whose requests end before they are answered has us work for nothing.  Young
// connections are judged as if all that is still to come were fine.
void Http2Connection::count_exchange(const Stream& stream) {
  ++ended_;
  const StreamInfo& info = stream.info();
  if (info.response_code != 0) return;
  if (worker_.loop.now() - info.times.ds_rx_begin > kPrematureLifetime) return;
  ++premature_;
  if (premature_ * 2 < std::max(ended_, kPrematureTotal)) return;
  server_.end_flood(http::H2Flood::kPrematureEnds);
}

void Http2Connection::on_malformed(FailureKind kind) {
  const bool is_size =
      kind == FailureKind::kH2HeadTooLarge || kind == FailureKind::kH2TooManyFields;
  (is_size ? line_->http2->header_overflow : line_->http2->rx_messaging_error).inc();
}

void Http2Connection::on_server_closed(Failure failure) {
  timer_.cancel();
  duration_timer_.reset();
  if (!exchanges_.empty()) http_stats().downstream_cx_destroy_active_rq.inc();
  while (Http2Exchange* exchange = exchanges_.front()) exchange->end();
  http_stats().downstream_cx_active.dec();
  http_stats().downstream_cx_http2_active.dec();
  if (line_->is_tls()) http_stats().downstream_cx_ssl_active.dec();
  http_stats().downstream_cx_destroy.inc();
  const bool by_client = failure.kind == FailureKind::kDownstreamClosed ||
                         failure.kind == FailureKind::kDownstreamReset ||
                         failure.kind == FailureKind::kRequestTruncated;
  (by_client ? http_stats().downstream_cx_destroy_remote : http_stats().downstream_cx_destroy_local)
      .inc();
  http_stats().downstream_cx_length_ms.record(worker_.loop.now() - info_.begin);
  owner_.on_connection_closed(*this, failure);
}

}  // namespace pillion::core
