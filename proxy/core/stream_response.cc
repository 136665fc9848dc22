// A stream's response, from the attempt to the client.
#include "proxy/core/request_headers.h"
#include "proxy/core/retry_state.h"
#include "proxy/core/stream.h"

namespace pillion::core {
namespace {

constexpr size_t kTrustAfter = 1024 * 1024;
// Pieces of less, which the batch has a copy of, are sent with what follows up to so much: an
// upstream of HTTP/2 may send frames of one byte, and each would be a system call.
constexpr size_t kSmallPiece = 256;
constexpr size_t kGatherPieces = 16 * 1024;

}  // namespace

http::ResponseHead& Stream::new_response_head() {
  info_.times.us_rx_begin = worker_.loop.now();
  response_ = arena_.create<http::ResponseHead>(arena_);
  return *response_;
}

http::Headers& Stream::new_response_trailers() { return *arena_.create<http::Headers>(arena_); }

void Stream::on_informational(http::ResponseHead& head) {
  if (ended_ || response_state_ != ResponseState::kWaiting) return;
  touch();  // 102 says that somebody is at work
  // A 100 that nobody waits for: the client did not ask, or had ours already (RFC 9110, 10.1.1).
  if (head.status == 100 && (continue_sent_ || !request_.expects_continue)) return;
  keep_body_ = has_retries_ = false;  // never tried again after a 1xx was passed on
  downstream_->send_informational(head);
}

void Stream::on_response_head(http::ResponseHead& head, bool end) {
  if (end) release_upstream();
  if (ended_) return;
  if (head.status == 101 && tunnel_ == nullptr) return fail({FailureKind::kUpstreamProtocol});
  touch();
  if (!ends_connect_ && host_->is_watched()) host_->on_response(head, is_grpc_);
  if (tunnel_ != nullptr && !take_upgrade_answer(head))
    return fail({FailureKind::kBadUpgradeAnswer});
  if (has_retries_ && retry_response(head, end)) return;
  response_state_ = ResponseState::kBody;
  if (tunnel_state_ != TunnelState::kAgreed || !waits_for_tunnel()) body_.clear();
  if (tunnel_state_ != TunnelState::kAgreed) refuse_tunnel();
  keep_body_ = false;
  count_upstream_status(head, end);
  info_.response = &head;
  info_.response_code = head.status;  // fields that are added may name it
  finalize_response(head);
  info_.response_details = "via_upstream";
  // A large body is read in small pieces until the client proved to take them.
  if (head.framing != http::Framing::kLength || head.content_length > most_read())
    reads_little_ = true;
  run_response_filters(head, end);
}

// Of local replies too.
void Stream::run_response_filters(http::ResponseHead& head, bool end) {
  if (filters_ != nullptr && !filters_->on_response_head(head, end)) return;
  send_response_head(head, end);
}

void Stream::send_response_head(http::ResponseHead& head, bool end) {
  info_.response_code = head.status;
  prepare_response(head, config(), info_.stream_id, worker_.date.get(worker_.loop.now()));
  info_.times.ds_tx_begin = worker_.loop.now();
  // request_timeout ends with the request, or when its answer begins.
  if (request_state_ != RequestState::kDone || tunnel_state_ == TunnelState::kAgreed)
    phase_timer_.cancel();
  if (tunnel_state_ == TunnelState::kAgreed) {
    owner_.begin_tunnel();
    downstream_->send_head(head, false);
    return open_tunnel();
  }
  downstream_->send_head(head, end);
  if (end) finish_response();
}

void Stream::on_response_body(std::string_view data, bool end) {
  if (end) release_upstream();
  if (ended_) return;
  touch();
  if (half_closed_) return close_half_closed();
  if (response_state_ == ResponseState::kNone) return discard_response(data.size(), end);
  if (end && grpc_status_due_) count_grpc_status(nullptr);
  respond_body(data, end);
}

void Stream::respond_body(std::string_view data, bool end) {
  if (filters_ != nullptr && !filters_->on_response_body(data, end)) return;
  pump_response(data, end);
}

void Stream::pump_response(std::string_view data, bool end) {
  info_.bytes_sent += data.size();
  if (end && half_closed_) return half_close_client(data);
  if (reads_little_) {
    delivered_ += static_cast<uint32_t>(data.size());  // a piece is 256 KiB at most
    if (delivered_ >= kTrustAfter) reads_little_ = false;
  }
  downstream_->send_body(data, end);
  if (end) return finish_response();
  if (ended_) return;
  // The batch still holds the bytes; only after a flush is it known whether the client took them.
  const bool can_wait = data.size() < kSmallPiece && worker_.batch.gathered() < kGatherPieces;
  if (!can_wait) worker_.batch.flush();
  if (!ended_ && upstream_ != nullptr && downstream_->is_backed_up()) {
    upstream_->pause_response();
    delivered_ = 0;
    reads_little_ = true;
  }
}

void Stream::on_response_trailers(http::Headers& trailers) {
  release_upstream();
  if (ended_ || response_state_ == ResponseState::kNone) return;  // it was not wanted
  if (grpc_status_due_) count_grpc_status(&trailers);
  info_.response_trailers = &trailers;  // also if a filter makes something else of them
  if (filters_ != nullptr && !filters_->on_response_trailers(trailers)) return;
  send_response_trailers(trailers);
}

void Stream::send_response_trailers(http::Headers& trailers) {
  info_.response_trailers = &trailers;
  info_.response_trailer_bytes = static_cast<uint32_t>(trailers.byte_size());
  downstream_->send_trailers(trailers);
  finish_response();
}

void Stream::on_response_drained() {
  touch();
  if (!ended_ && upstream_ != nullptr && !filters_hold_response()) upstream_->resume_response();
}

// The attempt is over and its connection back in the pool, or closed.
void Stream::release_upstream() {
  info_.times.us_rx_end = worker_.loop.now();
  upstream_ = nullptr;
  if (retry_ != nullptr) retry_->end_try();
  if (!ends_connect_) host_->on_request_end();  // else its connection counts for it
}

void Stream::finish_response() {
  response_state_ = ResponseState::kDone;
  if (!ended_) finish();
}

}  // namespace pillion::core
