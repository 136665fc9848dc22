// What a stream does when something goes wrong: try again, answer for itself, or break off.
#include <algorithm>

#include "proxy/base/response_flags.h"
#include "proxy/core/request_headers.h"
#include "proxy/core/stream.h"

namespace pillion::core {
namespace {

// Hosts that refuse to connect are passed over as long as others are there, but not without end;
// more tries are the retry policy's.
constexpr uint8_t kMaxConnectTries = 8;

// %RESPONSE_CODE_DETAILS% of a connect failure ends with what the transport said, as Envoy's does:
// "...{remote_connection_failure|delayed_connect_error:_Connection_refused}".
std::string_view with_transport_failure(std::string_view details, std::string_view reason,
                                        Arena& arena) {
  if (reason.empty() || details.empty() || details.back() != '}') return details;
  char* out = arena.allocate_array<char>(details.size() + reason.size() + 1);
  char* at = std::copy(details.begin(), details.end() - 1, out);
  *at++ = '|';
  at = std::transform(reason.begin(), reason.end(), at, [](char c) { return c == ' ' ? '_' : c; });
  *at++ = '}';
  return {out, static_cast<size_t>(at - out)};
}

}  // namespace

void Stream::on_pool_failure(Failure failure) {
  if (ended_) return;
  info_.upstream.transport_failure = arena_.copy(cluster_->pool(*host_).last_failure_reason());
  if (!try_again(failure)) fail(failure);
}

void Stream::on_upstream_reset(Failure failure) {
  const bool answered =
      response_state_ == ResponseState::kBody || (response_ != nullptr && response_->status >= 200);
  cluster_->stats().upstream_rq_rx_reset.inc();
  info_.upstream.identity = nullptr;  // the connection is closing
  release_upstream();
  if (ended_) return;
  if (!answered && try_again(failure)) return;
  fail(failure);
}

void Stream::on_request_failed(Failure failure) {
  if (ended_) return;
  fail(failure);
}

// Design section 10: repeat only what cannot have been seen or may be seen twice.
bool Stream::try_again(Failure failure) {
  const RetryClass retry = failure.row().retry;
  if (retry == RetryClass::never || response_state_ == ResponseState::kBody) return false;
  if (retry == RetryClass::connect) {
    const bool other_host =
        connect_tries_ + 1u < std::min<size_t>(cluster_->host_count(), kMaxConnectTries);
    if (sent_any_ && !keep_body_) return false;
    if (!other_host && !use_policy_retry(route::RetryOn::kConnectFailure)) return false;
    if (connect_tries_ < kMaxConnectTries) ++connect_tries_;
  } else {
    const bool repeatable = keep_body_ && http::is_idempotent(request_.method);
    const bool stale_connection = connection_reused_ && repeatable && !reused_retry_done_;
    if (stale_connection) {
      reused_retry_done_ = true;
    } else if (!keep_body_ || !use_policy_retry(route::RetryOn::kReset)) {
      return false;
    }
  }
  response_state_ = ResponseState::kNone;
  // Not on the stack of the connection that is just closing.
  if (!retry_timer_is_armed_) worker_.loop.post(*this);
  return true;
}

// A retry that the route's policy grants: it costs one of num_retries and a slot of the retry
// breaker, and waits (full jitter: envoy.md 2.2).
bool Stream::use_policy_retry(route::RetryOn token) {
  if (!route_retries(token)) return false;
  stats::ClusterStats& stats = cluster_->stats();
  if (retries_left_ == 0) {
    stats.upstream_rq_retry_limit_exceeded.inc();
    info_.flags |= flag_bit(ResponseFlag::kUpstreamRetryLimitExceeded);
    return false;
  }
  --retries_left_;
  end_retry();
  const upstream::ClusterConfig& config = cluster_->config();
  if (!config.limits->retries.try_acquire(config.pool.limits.max_retries)) {
    stats.upstream_rq_retry_overflow.inc();
    info_.flags |= flag_bit(ResponseFlag::kUpstreamOverflow);
    return false;
  }
  counts_retry_ = true;
  stats.upstream_rq_retry.inc();
  stats.upstream_rq_retry_backoff_exponential.inc();
  const route::RetryPolicy& policy = route_.route->forward->retry;
  const uint32_t n = policy.num_retries - retries_left_ - 1;
  const Duration span =
      std::min(policy.base_interval * (1 << std::min(n, 16u)), policy.max_interval);
  auto* timer = arena_.create<io::Timer>(io::Timer::call<&Stream::on_retry_timer, Stream>(), this);
  worker_.loop.arm(
      *timer,
      Duration(static_cast<int64_t>(worker_.rng.below(static_cast<uint64_t>(span.count()) + 1))));
  retry_timer_is_armed_ = true;
  return true;
}

void Stream::on_retry_timer() {
  retry_timer_is_armed_ = false;
  start_attempt();
}

void Stream::end_retry() {
  if (!counts_retry_) return;
  counts_retry_ = false;
  cluster_->config().limits->retries.release();
}

void Stream::on_phase_timeout() {
  if (request_state_ != RequestState::kDone) {
    owner_.http_stats().downstream_rq_timeout.inc();
    return fail({FailureKind::kRequestTimeout});
  }
  cluster_->stats().upstream_rq_timeout.inc();
  if (host_) host_->counters().rq_timeout.inc();
  fail({FailureKind::kRequestTimeoutUpstream});
}

void Stream::on_idle_timeout() {
  owner_.http_stats().downstream_rq_idle_timeout.inc();
  fail({request_state_ == RequestState::kDone ? FailureKind::kStreamIdleResponse
                                              : FailureKind::kStreamIdleRequest});
}

void Stream::on_duration_timeout() {
  if (ended_) return;
  owner_.http_stats().downstream_rq_max_duration_reached.inc();
  fail({FailureKind::kMaxStreamDuration});
}

// The one place where a stream fails.
void Stream::fail(Failure failure) {
  if (ended_) return;
  const FailureRow& row = failure.row();
  info_.failure = failure;
  info_.response_details = row.details;
  if (failure.kind == FailureKind::kConnectFailed || failure.kind == FailureKind::kTlsFailed) {
    info_.response_details =
        with_transport_failure(row.details, info_.upstream.transport_failure, arena_);
  }
  const bool head_sent = info_.times.ds_tx_begin != Instant{};
  drop_attempt();
  if (failure.kind == FailureKind::kDownstreamClosed ||
      failure.kind == FailureKind::kDownstreamReset ||
      failure.kind == FailureKind::kRequestTruncated) {
    owner_.http_stats().downstream_rq_rx_reset.inc();
    return finish();
  }
  if (head_sent || row.status == 0) {
    http::DownstreamStream* downstream = downstream_;
    owner_.http_stats().downstream_rq_tx_reset.inc();
    finish();
    // The client must not take what it has for the whole response.
    return downstream->reset(failure);
  }
  // To the dashboards a cluster that gives no answer gives a bad one.
  if (cluster_ && row.side == FailureSide::upstream)
    stats::count_upstream_response(cluster_->stats(), row.status);
  if (failure.kind == FailureKind::kOverflow) {
    http::Headers extra(arena_);
    extra.add(http::HeaderId::kXEnvoyOverloaded, "true");
    return local_reply(row.status, row.body, row.details, &extra);
  }
  local_reply(row.status, row.body, info_.response_details);
}

void Stream::drop_attempt() {
  if (cluster_) {
    if (host_ && ListNode<upstream::WaiterTag>::is_linked()) {
      cluster_->pool(*host_).cancel(*this);
      cluster_->stats().upstream_rq_cancelled.inc();
    }
  }
  if (upstream_ == nullptr) return;
  http::UpstreamStream* upstream = upstream_;
  cluster_->stats().upstream_rq_tx_reset.inc();
  release_upstream();
  upstream->reset();
}

// The slots of the cluster's breakers that the stream holds.
void Stream::release_slots() {
  end_retry();
  if (!counts_request_) return;
  counts_request_ = false;
  cluster_->end_request();
}

void Stream::local_reply(uint16_t status, std::string_view body, std::string_view details,
                         const http::Headers* extra) {
  auto* head = arena_.create<http::ResponseHead>(arena_);
  if (extra != nullptr) extra->for_each([head](const http::Field& f) { head->headers.add(f); });
  info_.response_details = details;
  info_.response_code = status;
  info_.response = head;
  head->status = status;
  response_ = head;
  LocalReplyText text{status, body, "text/plain"};
  if (config_.local_replies) config_.local_replies->apply(info_, arena_, head->headers, text);
  head->status = info_.response_code = text.status;
  info_.local_reply_body = text.body;
  if (!text.body.empty()) head->headers.add(http::HeaderId::kContentType, text.content_type);
  head->framing = text.body.empty() ? http::Framing::kNone : http::Framing::kLength;
  head->content_length = text.body.size();
  head->has_content_length = true;
  response_state_ = ResponseState::kBody;
  // The rest of the request is not wanted, and what follows it cannot be found without it.
  if (request_state_ != RequestState::kDone) owner_.close_after_response();
  if (filters_ != nullptr) filters_->drop_request();
  if (route_) route::finalize_response(route_, *head, &info_);
  const bool bodiless = text.body.empty() || request_.method == http::Method::kHead;
  run_response_filters(*head, bodiless);
  if (!bodiless && !ended_) respond_body(text.body, true);
}

}  // namespace pillion::core
