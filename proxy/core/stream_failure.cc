// What a stream does when something goes wrong: answer for itself, or break off.  (Trying again is
// in stream_retry.cc.)
#include <algorithm>

#include "proxy/core/grpc_reply.h"
#include "proxy/core/request_headers.h"
#include "proxy/core/retry_state.h"
#include "proxy/core/stream.h"
#include "proxy/http/grpc.h"

namespace pillion::core {
namespace {

using http::HeaderId::kContentType;
constexpr std::string_view kPlainText = "text/plain";

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

// "upstream_reset_before_response_started{...}" of a response that has started.
std::string_view after_start(std::string_view details, Arena& arena) {
  constexpr std::string_view kBefore = "upstream_reset_before_";
  constexpr std::string_view kAfter = "upstream_reset_after_";
  if (!details.starts_with(kBefore)) return details;
  details.remove_prefix(kBefore.size());
  char* out = arena.allocate_array<char>(kAfter.size() + details.size());
  std::ranges::copy(details, std::ranges::copy(kAfter, out).out);
  return {out, kAfter.size() + details.size()};
}

// The body of a reply after retries: "...before headers. retried and the latest reset reason: X".
std::string_view with_retried(std::string_view body, Arena& arena) {
  constexpr std::string_view kInsert = "retried and the latest ";
  const size_t at = body.find("reset reason: ");
  if (at == body.npos) return body;
  char* out = arena.allocate_array<char>(body.size() + kInsert.size());
  char* to = std::copy_n(body.data(), at, out);
  to = std::copy(kInsert.begin(), kInsert.end(), to);
  to = std::copy(body.begin() + static_cast<std::ptrdiff_t>(at), body.end(), to);
  return {out, static_cast<size_t>(to - out)};
}

}  // namespace

void Stream::on_pool_failure(Failure failure) {
  if (ended_) return;
  host_->on_failure(failure);
  info_.upstream.transport_failure =
      arena_.copy(cluster_->pool(*host_, request_).last_failure_reason());
  if (!try_again(failure)) fail(failure);
}

void Stream::on_upstream_reset(Failure failure) {
  cluster_->stats().upstream_rq_rx_reset.inc();
  info_.upstream.identity = nullptr;  // the connection is closing
  release_upstream();
  host_->on_failure(failure);
  if (ended_ || response_state_ == ResponseState::kNone) return;  // it was not wanted
  if (try_again(failure)) return;
  fail(failure);
}

void Stream::on_request_failed(Failure failure) {
  if (ended_) return;
  fail(failure);
}

void Stream::on_phase_timeout() {
  if (request_state_ != RequestState::kDone) {
    owner_.http_stats().downstream_rq_timeout.inc();
    return fail({FailureKind::kRequestTimeout});
  }
  // Between two attempts no upstream is to blame.
  if (response_state_ != ResponseState::kNone) {
    cluster_->stats().upstream_rq_timeout.inc();
    if (upstream_ != nullptr) host_->counters().rq_timeout.inc();
  }
  if (upstream_ != nullptr && response_state_ == ResponseState::kWaiting)
    host_->on_outcome(upstream::AttemptOutcome::kTimeout);
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
  fail({request_state_ == RequestState::kDone ? FailureKind::kMaxStreamDuration
                                              : FailureKind::kMaxStreamDurationRequest});
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
  if (head_sent) info_.response_details = after_start(info_.response_details, arena_);
  drop_attempt();
  if (failure.kind == FailureKind::kDownstreamClosed ||
      failure.kind == FailureKind::kDownstreamReset ||
      failure.kind == FailureKind::kRequestTruncated) {
    owner_.http_stats().downstream_rq_rx_reset.inc();
    return finish();
  }
  if (head_sent || row.status == 0) {
    // Small pieces that were gathered came before the failure.
    worker_.batch.flush();
    if (ended_) return;
    http::DownstreamStream* downstream = downstream_;
    if (grpc_status_due_ && row.side == FailureSide::upstream) host_->counters().rq_error.inc();
    owner_.http_stats().downstream_rq_tx_reset.inc();
    finish();
    // The client must not take what it has for the whole response.
    return downstream->reset(failure);
  }
  if (cluster_ && row.side == FailureSide::upstream) {
    // A filter may hold an answer that was counted when it came.
    if (response_state_ < ResponseState::kBody) {
      count_no_answer(failure);
    } else if (grpc_status_due_) {
      host_->counters().rq_error.inc();
    }
  }
  if (failure.kind == FailureKind::kOverflow && !config().suppress_envoy_headers) {
    http::Headers extra(arena_);
    extra.add(http::HeaderId::kXEnvoyOverloaded, "true");
    return local_reply(row.status, row.body, row.details, &extra);
  }
  const bool was_retried = retry_ != nullptr && retry_->has_granted();
  local_reply(row.status, was_retried ? with_retried(row.body, arena_) : row.body,
              info_.response_details);
}

void Stream::drop_attempt() {
  if (cluster_) {
    if (host_ && ListNode<upstream::WaiterTag>::is_linked()) {
      cluster_->pool(*host_, request_).cancel(*this);
      cluster_->stats().upstream_rq_cancelled.inc();
    }
  }
  if (tunnel_ != nullptr) cancel_connect();
  if (upstream_ == nullptr) return;
  http::UpstreamStream* upstream = upstream_;
  cluster_->stats().upstream_rq_tx_reset.inc();
  release_upstream();
  upstream->reset();
}

// The slots of the cluster's breakers that the stream holds.
void Stream::release_slots() {
  if (retry_ != nullptr) {
    retry_->back_off.cancel();
    retry_->end_try();
  }
  end_retry();
  if (!counts_request_) return;
  counts_request_ = false;
  cluster_->end_request();
}

void Stream::local_reply(uint16_t status, std::string_view body, std::string_view details,
                         const http::Headers* extra) {
  refuse_tunnel();
  auto* head = arena_.create<http::ResponseHead>(arena_);
  if (extra != nullptr) extra->for_each([head](const http::Field& f) { head->headers.add(f); });
  info_.response_details = details;
  info_.response_code = status;
  info_.response = head;
  head->status = status;
  response_ = head;
  LocalReplyText text{status, body, kPlainText};
  if (config().local_replies) config().local_replies->apply(info_, arena_, head->headers, text);
  info_.local_reply_body = text.body;
  const bool is_grpc = http::is_grpc(request_.headers);
  if (is_grpc) make_grpc_reply(head->headers, text);
  head->status = info_.response_code = text.status;
  // The type that a filter gave stays, unless the configuration names another one.
  const bool is_typed = text.content_type == kPlainText && head->headers.has(kContentType);
  if (!text.body.empty() && !is_typed) head->headers.set(kContentType, text.content_type);
  head->framing = text.body.empty() ? http::Framing::kNone : http::Framing::kLength;
  head->content_length = text.body.size();
  head->has_content_length = !is_grpc;  // as Envoy's; HTTP/1 needs it and writes it by itself
  response_state_ = ResponseState::kBody;
  // The rest of the request is not wanted, and what follows it cannot be found without it.
  if (request_state_ != RequestState::kDone) owner_.close_after_response();
  if (filters_ != nullptr) filters_->drop_request();
  if (cluster_ && route_.host->count_attempts_in_response) add_attempt_count(head->headers);
  if (route_) route::finalize_response(route_, *head, &info_);
  const bool bodiless = text.body.empty() || request_.method == http::Method::kHead;
  run_response_filters(*head, bodiless);
  if (!bodiless && !ended_) respond_body(text.body, true);
}

}  // namespace pillion::core
