// What makes a stream try again, and what a retry of the route's policy costs (reference 2.2).
#include <algorithm>
#include <charconv>

#include "proxy/base/response_flags.h"
#include "proxy/core/retry_state.h"
#include "proxy/core/stream.h"

namespace pillion::core {
namespace {

using route::AttemptOutcome;

// Hosts that refuse to connect are passed over as long as others are there, but not without end;
// more tries are the retry policy's.
constexpr uint8_t kMaxConnectTries = 8;
// Again after REFUSED_STREAM or GOAWAY, first at once: a connection that says so is as a rule
// replaced.  A peer that refuses the second try too is given this time.
constexpr uint8_t kMaxRefusedTries = 2;
constexpr Duration kRefusedBackOff = std::chrono::milliseconds(25);

// A response that is not passed on is read for the sake of its connection, up to this.
constexpr size_t kDiscardLimit = 64 * 1024;

}  // namespace

void Stream::use_retry_policy(const route::RetryPolicy& policy) {
  has_retries_ = policy.tokens != 0 && policy.concerns(request_);
  keeps_for_retries_ = has_retries_ && policy.repeats_sent_requests();
  limits_tries_ = timeouts_.per_try != Duration{} || policy.per_try_idle_timeout != Duration{};
}

RetryState& Stream::retry_state() {
  if (retry_ == nullptr) {
    constexpr auto kCallbacks = [] {
      return RetryState::Callbacks{io::Timer::call<&Stream::on_retry_timer, Stream>(),
                                   io::Timer::call<&Stream::on_per_try_timeout, Stream>(),
                                   io::Timer::call<&Stream::on_per_try_idle_timeout, Stream>()};
    };
    static const route::RetryPolicy kNone;  // a refused stream is tried again without one
    const route::RetryPolicy* const policy = route_.route->forward->retry.get();
    retry_ = arena_.create<RetryState>(policy == nullptr ? kNone : *policy, kCallbacks(), this);
  }
  return *retry_;
}

// Design section 10: repeat only what cannot have been seen or may be seen twice; beyond that, what
// the policy says.
bool Stream::try_again(Failure failure) {
  if (SpanRecorder* s = spans()) s->end_attempt(info_, 0, failure, worker_.loop.now());
  if (response_state_ >= ResponseState::kBody) return false;
  const bool at_once = passes_over_host(failure) || repeats_on_fresh_connection(failure);
  if (!at_once && !repeats_refused(failure) && !retry_failure(failure)) return false;
  response_state_ = ResponseState::kNone;
  // Not on the stack of the connection that is just closing.
  if (at_once) worker_.loop.post(*this);
  return true;
}

bool Stream::passes_over_host(Failure failure) {
  if (failure.row().retry != RetryClass::connect || (sent_any_ && !keep_body_)) return false;
  if (connect_tries_ + 1u >= std::min<size_t>(cluster_->host_count(), kMaxConnectTries)) {
    return false;
  }
  ++connect_tries_;
  if (has_retries_ && route_.route->forward->retry->extra_picks != 0)
    retry_state().add_tried(host_->info().id);
  return true;
}

// A server may close a connection at the moment in which it is used again.
bool Stream::repeats_on_fresh_connection(Failure failure) {
  const bool is_closed =
      failure.kind == FailureKind::kUpstreamClosed || failure.kind == FailureKind::kUpstreamReset;
  if (!is_closed || !connection_reused_ || reused_retry_done_ || !keep_body_ ||
      !http::is_idempotent(request_.method)) {
    return false;
  }
  reused_retry_done_ = true;
  return true;
}

// Not processed, so that any method may be sent again, at no cost to the policy; but a peer may
// refuse without end.
bool Stream::repeats_refused(Failure failure) {
  if (failure.row().retry != RetryClass::refused || !keep_body_) return false;
  if (refused_tries_ >= kMaxRefusedTries) return false;
  if (refused_tries_++ == 0) {
    worker_.loop.post(*this);
  } else {
    worker_.loop.arm(retry_state().back_off, route::spread_back_off(kRefusedBackOff, worker_.rng));
  }
  return true;
}

bool Stream::retry_failure(Failure failure) {
  if (!has_retries_) return false;
  AttemptOutcome outcome;
  outcome.kind = route::outcome_of(failure);
  outcome.request_started = info_.times.us_tx_begin != Instant{};
  const route::RetryPolicy& policy = *route_.route->forward->retry;
  if (!grant_retry(route::should_retry(policy, outcome), nullptr)) return false;
  host_->counters().rq_error.inc();
  return true;
}

// True: the client does not get this response, and another attempt is on its way.
bool Stream::retry_response(const http::ResponseHead& head, bool end) {
  AttemptOutcome outcome;
  outcome.kind = AttemptOutcome::Kind::kResponse;
  outcome.response = &head;
  const route::RetryPolicy& policy = *route_.route->forward->retry;
  if (!grant_retry(tunnel_state_ != TunnelState::kAgreed && route::should_retry(policy, outcome),
                   &head))
    return false;
  if (SpanRecorder* s = spans()) s->end_attempt(info_, head.status, {}, worker_.loop.now());
  cluster_->count_retried(head.status);
  host_->counters().rq_error.inc();
  response_state_ = ResponseState::kNone;
  if (end) return true;
  // What is left of it is read while the next attempt waits, so that the connection lives on.  With
  // a part of the request still to be sent it could not.
  retry_->discarded = 0;
  retry_->end_try();
  const bool can_be_read =
      request_state_ == RequestState::kDone && head.framing != http::Framing::kUntilClose;
  if (!can_be_read) drop_attempt();
  return true;
}

void Stream::discard_response(size_t size, bool end) {
  if (end || upstream_ == nullptr) return;
  retry_->discarded += size;
  if (retry_->discarded > kDiscardLimit) drop_attempt();
}

// A retry costs one of num_retries and a slot of the retry breaker, and waits.  The slot is held
// until the next decision (Envoy's order, step by step).
bool Stream::grant_retry(bool wanted, const http::ResponseHead* head) {
  stats::ClusterStats& stats = cluster_->stats();
  if (!wanted && retry_ != nullptr && retry_->holds_slot) stats.upstream_rq_retry_success.inc();
  end_retry();
  if (!wanted || (sent_any_ && !keep_body_)) return false;
  RetryState& retry = retry_state();
  if (retry.left == 0) {
    stats.upstream_rq_retry_limit_exceeded.inc();
    info_.flags |= flag_bit(ResponseFlag::kUpstreamRetryLimitExceeded);
    return false;
  }
  --retry.left;
  const config::Fraction allowed = retry.policy.allowed;
  if (worker_.rng.below(allowed.denominator) >= allowed.numerator) return false;
  if (!cluster_->begin_retry()) {
    info_.flags |= flag_bit(ResponseFlag::kUpstreamOverflow);
    return false;
  }
  retry.holds_slot = true;
  retry.after_timeout = false;
  retry.add_tried(host_->info().id);
  start_back_off(retry, head);
  return true;
}

void Stream::start_back_off(RetryState& retry, const http::ResponseHead* head) {
  stats::ClusterStats& stats = cluster_->stats();
  std::optional<Duration> asked;
  if (head != nullptr && !retry.policy.reset_headers.empty()) {
    asked = route::asked_back_off(retry.policy, *head, wall_now());
  }
  (asked ? stats.upstream_rq_retry_backoff_ratelimited
         : stats.upstream_rq_retry_backoff_exponential)
      .inc();
  worker_.loop.arm(retry.back_off,
                   asked ? route::spread_back_off(*asked, worker_.rng)
                         : route::next_back_off(retry.policy, retry.span, worker_.rng));
}

void Stream::on_retry_timer() {
  drop_attempt();  // which may still be reading what is not wanted
  start_attempt();
}

void Stream::end_retry() {
  if (retry_ == nullptr || !retry_->holds_slot) return;
  retry_->holds_slot = false;
  cluster_->end_retry();
}

// ---- the limits of one attempt ----

// From when it has its connection and the whole request (reference, appendix B).
void Stream::start_try_timers() {
  RetryState& retry = retry_state();
  if (timeouts_.per_try != Duration{}) worker_.loop.arm(retry.per_try, timeouts_.per_try);
  if (retry.policy.per_try_idle_timeout != Duration{}) {
    worker_.loop.arm(retry.per_try_idle, retry.policy.per_try_idle_timeout);
  }
}

void Stream::touch_try() {
  if (!retry_->per_try_idle.is_armed()) return;
  worker_.loop.arm(retry_->per_try_idle, retry_->policy.per_try_idle_timeout);
}

void Stream::on_per_try_timeout() {
  // A response that has begun may go on, until the route's timeout.
  if (ended_ || response_state_ != ResponseState::kWaiting) return;
  cluster_->stats().upstream_rq_per_try_timeout.inc();
  end_try({FailureKind::kPerTryTimeout});
}

void Stream::on_per_try_idle_timeout() {
  if (ended_ || upstream_ == nullptr) return;
  cluster_->stats().upstream_rq_per_try_idle_timeout.inc();
  end_try({FailureKind::kPerTryIdleTimeout});
}

void Stream::end_try(Failure failure) {
  host_->counters().rq_timeout.inc();
  host_->on_outcome(upstream::AttemptOutcome::kTimeout);
  if (response_state_ == ResponseState::kBody) return fail(failure);
  if (SpanRecorder* s = spans()) s->end_attempt(info_, 0, failure, worker_.loop.now());
  drop_attempt();
  if (!retry_failure(failure)) return fail(failure);
  retry_->after_timeout = true;
  response_state_ = ResponseState::kNone;
}

// ---- what the next attempt is like ----

// With the previous_hosts predicate a host that has failed this request is passed over, unless the
// balancer insists.
upstream::Host* Stream::pick_host(Failure* failure) {
  upstream::PickContext context;
  context.exclude = host_.get();
  context.original_destination = &info_.connection->local;
  context.own_addresses = worker_.own_addresses;
  upstream::Host* host = cluster_->pick(context, failure);
  if (retry_ == nullptr) return host;
  for (uint32_t n = retry_->policy.extra_picks; n > 0 && host != nullptr; --n) {
    if (!retry_->was_tried(host->info().id)) break;
    host = cluster_->pick(context, failure);
  }
  return host;
}

void Stream::announce_attempt() {
  const route::VirtualHost& host = *route_.host;
  if (host.count_attempts_in_request) add_attempt_count(request_.headers);
  if (host.marks_timeout_retries && retry_ != nullptr && retry_->holds_slot) {
    request_.headers.set("x-envoy-is-timeout-retry", retry_->after_timeout ? "true" : "false");
  }
}

void Stream::add_attempt_count(http::Headers& headers) {
  char* text = arena_.allocate_array<char>(10);
  const uint32_t count = std::max(info_.upstream.attempts, 1u);
  const char* end = std::to_chars(text, text + 10, count).ptr;
  headers.set(http::HeaderId::kXEnvoyAttemptCount, {text, static_cast<size_t>(end - text)});
}

// ---- the body of the request ----

size_t Stream::kept_body_limit() const {
  if (!keeps_for_retries_) return held_body_limit();
  const size_t limit = route_.route->forward->body_limit;
  // A filter that holds the whole request has a limit of its own (as in Envoy, whose buffer filter
  // raises the connection's).
  if (filters_ == nullptr || limit != route::kDefaultBodyLimit) return limit;
  return std::max<size_t>(limit, filters_->buffer_limit());
}

// It is too long to be repeated: an attempt that has it keeps it.
void Stream::give_up_body() {
  keep_body_ = false;
  if (upstream_ != nullptr) body_.clear();
  if (keeps_for_retries_) cluster_->stats().retry_or_shadow_abandoned.inc();
}

}  // namespace pillion::core
