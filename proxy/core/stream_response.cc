// A stream's response, from the attempt to the client.
#include "proxy/core/request_headers.h"
#include "proxy/core/retry_state.h"
#include "proxy/core/stream.h"
#include "proxy/http/grpc.h"

namespace pillion::core {
namespace {

// Responses are read in pieces of this size until the client has shown that it takes them: what a
// stalled client costs is one piece (issue 3, section 3: 64 KiB).
constexpr size_t kCautiousRead = 48 * 1024;
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
  // A 100 that nobody waits for: the client did not ask, or had ours already (RFC 9110, 10.1.1).
  if (head.status == 100 && (continue_sent_ || !request_.expects_continue)) return;
  keep_body_ = has_retries_ = false;  // never tried again after a 1xx was passed on
  downstream_->send_informational(head);
}

void Stream::on_response_head(http::ResponseHead& head, bool end) {
  if (end) release_upstream();
  if (ended_) return;
  if (head.status == 101 && !tunnel_) return fail({FailureKind::kUpstreamProtocol});
  touch();
  if (host_->is_watched()) host_->on_response(head, http::is_grpc(request_.headers));
  if (has_retries_ && retry_response(head, end)) return;
  response_state_ = ResponseState::kBody;
  body_.clear();
  keep_body_ = false;
  count_upstream_status(head.status);
  info_.response = &head;
  info_.response_code = head.status;  // fields that are added may name it
  finalize_response(head);
  info_.response_details = "via_upstream";
  // A large body is read in small pieces until the client proved to take them.
  if (head.framing != http::Framing::kLength || head.content_length > io::Loop::kScratchBytes) {
    read_limit_ = kCautiousRead;
  }
  switches_ = tunnel_ && (head.status == 101 ||
                          (request_.method == http::Method::kConnect && head.status / 100 == 2));
  run_response_filters(head, end);
}

// Of local replies too.
void Stream::run_response_filters(http::ResponseHead& head, bool end) {
  if (filters_ != nullptr && !filters_->on_response_head(head, end)) return;
  send_response_head(head, end);
}

void Stream::send_response_head(http::ResponseHead& head, bool end) {
  info_.response_code = head.status;
  prepare_response(head, config_, info_.stream_id, worker_.date.get(worker_.loop.now()));
  info_.times.ds_tx_begin = worker_.loop.now();
  if (switches_) {
    owner_.begin_tunnel();
    phase_timer_.cancel();
  }
  downstream_->send_head(head, end);
  if (end) finish_response();
}

void Stream::on_response_body(std::string_view data, bool end) {
  if (end) release_upstream();
  if (ended_) return;
  touch();
  if (response_state_ == ResponseState::kNone) return discard_response(data.size(), end);
  respond_body(data, end);
}

void Stream::respond_body(std::string_view data, bool end) {
  if (filters_ != nullptr && !filters_->on_response_body(data, end)) return;
  pump_response(data, end);
}

void Stream::pump_response(std::string_view data, bool end) {
  info_.bytes_sent += data.size();
  if (read_limit_ != io::Loop::kScratchBytes) {
    delivered_ += static_cast<uint32_t>(data.size());  // a piece is 256 KiB at most
    if (delivered_ >= kTrustAfter) read_limit_ = io::Loop::kScratchBytes;
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
    read_limit_ = kCautiousRead;
  }
}

void Stream::on_response_trailers(http::Headers& trailers) {
  release_upstream();
  if (ended_ || response_state_ == ResponseState::kNone) return;  // it was not wanted
  if (filters_ != nullptr && !filters_->on_response_trailers(trailers)) return;
  send_response_trailers(trailers);
}

void Stream::send_response_trailers(http::Headers& trailers) {
  info_.response_trailers = &trailers;
  info_.response_trailer_bytes = trailers.byte_size();
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
  host_->on_request_end();
}

void Stream::finish_response() {
  response_state_ = ResponseState::kDone;
  if (!ended_) finish();
}

}  // namespace pillion::core
