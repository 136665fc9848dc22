#include "proxy/core/stream.h"

#include "proxy/base/assert.h"
#include "proxy/http/grpc.h"

namespace pillion::core {
namespace {

// More run at a time only in bursts, which malloc may serve: what is kept is never given back.
thread_local FreeList free_streams{1024, 256};

}  // namespace

static_assert(sizeof(Stream) <= 1024, "a stream is one free-list block (design section 14)");

void* Stream::operator new(size_t) { return free_streams.take(); }
void Stream::operator delete(void* memory) noexcept { free_streams.give(memory); }

Stream::Stream(WorkerContext& worker, Ref<ChainState> chain, StreamOwner& owner,
               http::DownstreamStream& downstream)
    : worker_(worker),
      chain_(std::move(chain)),
      owner_(owner),
      downstream_(&downstream),
      request_(arena_) {
  worker.memory.stream_began();
  info_.connection = &owner.connection_info();
  info_.request = &request_;
  info_.times.ds_rx_begin = worker.loop.now();
  if (config().request_timeout != Duration{})
    worker.loop.arm(phase_timer_, config().request_timeout);
  if (config().max_stream_duration != Duration{}) {
    arm_duration(config().max_stream_duration);
  }
  stats::HttpStats& stats = owner.http_stats();
  stats.downstream_rq_total.inc();
  stats.downstream_rq_active.inc();
}

void Stream::arm_duration(Duration limit) {
  if (duration_timer_ == nullptr) {
    duration_timer_ =
        arena_.create<io::Timer>(io::Timer::call<&Stream::on_duration_timeout, Stream>(), this);
  }
  duration_timer_->cancel();
  if (limit != Duration{}) worker_.loop.arm(*duration_timer_, limit);
}

Stream::~Stream() {
  DASSERT(ended_ && upstream_ == nullptr);
  worker_.memory.stream_ended();
}

http::Headers& Stream::new_request_trailers() {
  request_trailers_ = arena_.create<http::Headers>(arena_);
  return *request_trailers_;
}

// ---- the request ----

void Stream::on_request_head(bool end) {
  request_state_ = RequestState::kBody;
  request_passed_ = end;
  if (end) end_of_request();
  if (!prepare(end)) return;
  choose_route(config());
  if (config().filters != nullptr && !run_request_filters(end)) return;
  route_request();
}

// What the route says, once the filters have let the head pass.
void Stream::route_request() {
  const bool end = request_passed_;
  if (!use_route()) return;
  if (!check_upgrade()) return;
  is_grpc_ = http::is_grpc(request_.headers);
  finalize_request();
  // An HTTP/2 upstream may say that it did not process the request, whatever the method is.  Of a
  // tunnel nothing is sent before it stands.
  keep_body_ = waits_for_tunnel() || http::is_idempotent(request_.method) || keeps_for_retries_ ||
               cluster_->config().pool->protocol_for(request_) != upstream::PoolProtocol::kHttp1;
  start_attempt();
  if (end && !ended_) end_request();
}

bool Stream::prepare(bool) {
  if (!apply_underscores(request_.headers, config().underscores, owner_.underscore_counters())) {
    fail({FailureKind::kUnderscoreField});
    return false;
  }
  if (request_.authority.empty() && request_.protocol == http::Protocol::kHttp10) {
    request_.authority = config().default_host_http10;
    if (request_.authority.empty()) {
      fail({FailureKind::kMissingHost});
      return false;
    }
  }
  if (const io::Address client = forwarded_client(request_.headers, config()); client.is_ip()) {
    auto* connection = arena_.create<ConnectionInfo>(*info_.connection);
    if (connection->direct == nullptr) {
      connection->direct = arena_.create<ConnectionInfo::Direct>(
          ConnectionInfo::Direct{connection->remote, connection->local});
    }
    connection->remote = client;
    info_.connection = connection;
  }
  prepare_request(request_, config(), *info_.connection, worker_.rng);
  if (config().tracer != nullptr) begin_trace();
  info_.stream_id = request_.headers.get(http::HeaderId::kXRequestId);
  info_.original_path = request_.path;
  idle_timeout_ = config().stream_idle_timeout;
  touch();
  if (request_.path.empty() || request_.path == "*") return true;
  const match::PathResult result = match::canonicalize(request_.path, config().path, arena_);
  switch (result.verdict) {
    case match::PathVerdict::kOk:
      request_.path = result.path;
      return true;
    case match::PathVerdict::kRedirect:
      owner_.http_stats().downstream_rq_redirected_with_normalized_path.inc();
      request_.path = result.path;
      send_path_redirect();
      return false;
    case match::PathVerdict::kReject:
      break;
  }
  owner_.http_stats().downstream_rq_failed_path_normalization.inc();
  fail({FailureKind::kPathNormalization});
  return false;
}

void Stream::start_attempt() {
  // A filter may have replied while it was awaited, and still hold that reply.
  if (ended_ || response_state_ != ResponseState::kNone) return;
  Failure failure;
  upstream::Host* host = pick_host(&failure);
  if (host == nullptr) return fail(failure);
  host_ = Ref(host);
  ++info_.upstream.attempts;
  sent_any_ = false;
  response_ = nullptr;
  info_.upstream.remote = host->address();
  info_.upstream.host_name = host->hostname();
  // What the attempt before knew dies with its connection.
  info_.upstream.transport_failure = {};
  info_.upstream.identity = nullptr;
  info_.upstream.connection_id = 0;
  info_.upstream_wire_sent = info_.upstream_wire_received = 0;
  info_.times.us_cx_begin = worker_.loop.now();
  route::rewrite_host(route_, request_, host->hostname(), info_.upstream.attempts == 1,
                      !config().suppress_envoy_headers);
  announce_timeout();
  announce_attempt();
  if (SpanRecorder* s = spans()) s->begin_attempt(info_, request_, info_.times.us_cx_begin);
  response_state_ = ResponseState::kWaiting;
  if (ends_connect_) return connect_raw();
  http::ClientConnection* connection = cluster_->pool(*host, request_).acquire(*this, &failure);
  if (connection != nullptr) return on_pool_ready(*connection);
  if (failure) fail(failure);
}

void Stream::on_pool_ready(http::ClientConnection& connection) {
  connection_reused_ = connection.exchanges() != 0;
  info_.upstream.connection_id = connection.id();
  info_.upstream.identity = connection.transport().identity();
  info_.times.us_ready = worker_.loop.now();
  upstream_ = &connection.begin(*this);
  host_->on_request_start();
  host_->on_outcome(upstream::AttemptOutcome::kConnected);
  send_continue();
  const bool waits = waits_for_tunnel();
  const bool end = request_passed_ && body_.empty() && request_trailers_ == nullptr && !waits;
  sent_any_ = true;
  info_.times.us_tx_begin = info_.times.us_ready;
  if (tunnel_ != nullptr) prepare_upgrade(connection.protocol());
  upstream_->send_head(request_, end);
  if (waits) return;
  if (!body_.empty()) send_held_body();
  if (request_passed_ && !end) end_held_body();
  if (limits_tries_ && request_passed_ && upstream_ != nullptr) start_try_timers();
  // The client may have been paused for want of room in body_, or by the attempt before.
  holds_client_ = false;
  const bool has_room =
      upstream_ != nullptr && !upstream_->is_backed_up() && !filters_hold_request();
  if (!ended_ && request_state_ == RequestState::kBody && has_room) downstream_->resume_request();
}

// ---- the end ----

void Stream::close() {
  if (!ended_) finish();
}

void Stream::finish() {
  ended_ = true;
  downstream_ = nullptr;
  phase_timer_.cancel();
  idle_timer_.cancel();
  ListNode<io::ReadyTag>::unlink();
  drop_attempt();
  release_slots();
  if (filters_ != nullptr) filters_->end();
  body_.clear();
  info_.times.end = worker_.loop.now();
  if (info_.times.ds_tx_begin != Instant{}) info_.times.ds_tx_end = info_.times.end;
  // An answer may be complete before its request is.
  const StreamTimes& t = info_.times;
  if (cluster_ && t.ds_rx_end != Instant{} && t.us_rx_end >= t.ds_rx_end) {
    cluster_->stats().upstream_rq_time.record(info_.times.us_rx_end - info_.times.ds_rx_end);
  }
  stats::HttpStats& stats = owner_.http_stats();
  stats.downstream_rq_active.dec();
  if (tunnel_ != nullptr) stats.downstream_cx_upgrades_active.dec();
  stats.downstream_rq_time.record(info_.times.end - info_.times.ds_rx_begin);
  if (info_.response_code != 0) count_response(info_.response_code);
  if (SpanRecorder* s = spans()) s->finish(info_, route_ ? route_.route->operation : "");
  if (!config().access_logs.empty()) log_access();
}

}  // namespace pillion::core
