// A stream's request behind its head: on its way to an attempt, or kept until one can take it.
#include "proxy/core/stream.h"

namespace pillion::core {

// Sends what waited for a connection, or was kept for another attempt.
void Stream::send_held_body() {
  if (keep_body_) {
    body_.for_each_piece([this](std::string_view piece) {
      upstream_->send_body(piece, false);
      return upstream_ != nullptr;
    });
    worker_.batch.flush();
    return;
  }
  iovec pieces[8];
  while (!body_.empty()) {
    const int count = body_.iovecs(pieces, 8);
    size_t n = 0;
    for (int i = 0; i < count; ++i) {
      upstream_->send_body({static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len},
                           false);
      n += pieces[i].iov_len;
    }
    worker_.batch.flush();  // the slabs go away
    if (upstream_ == nullptr) return;
    body_.consume(n);
  }
}

void Stream::end_held_body() {
  if (upstream_ == nullptr) return;
  if (request_trailers_ != nullptr) return upstream_->send_trailers(*request_trailers_);
  upstream_->send_body({}, true);
}

// All of it has arrived.
void Stream::end_of_request() {
  request_state_ = RequestState::kDone;
  info_.times.ds_rx_end = worker_.loop.now();
  phase_timer_.cancel();
}

void Stream::on_request_body(std::string_view data, bool end) {
  if (ended_) return;
  info_.bytes_received += data.size();
  touch();
  if (end) end_of_request();
  if (filters_ != nullptr && !filters_->on_request_body(data, end)) return;
  pump_request(data, end);
}

void Stream::pump_request(std::string_view data, bool end) {
  request_passed_ = end;
  forward_request(data, end);
  if (end && !ended_) end_request();
}

void Stream::forward_request(std::string_view data, bool end) {
  if (waits_for_tunnel()) return hold_for_tunnel(data);
  // What filters held may come when all of the request is here: nothing is left to be paused.
  const bool client_sends = request_state_ == RequestState::kBody;
  if (keep_body_ && body_.size() + data.size() > kept_body_limit()) give_up_body();
  if (keep_body_ || upstream_ == nullptr) body_.append(data);
  if (upstream_ == nullptr) {
    if (body_.size() >= held_body_limit() && !holds_client_ && client_sends) {
      holds_client_ = true;
      downstream_->pause_request();
    }
    return;
  }
  upstream_->send_body(data, end);
  if (upstream_ != nullptr && client_sends && upstream_->is_backed_up())
    downstream_->pause_request();
}

void Stream::on_request_trailers() {
  if (ended_) return;
  touch();
  end_of_request();
  if (filters_ != nullptr && !filters_->on_request_trailers()) return;
  pass_request_trailers();
}

void Stream::pass_request_trailers() {
  request_passed_ = true;
  if (upstream_ != nullptr) upstream_->send_trailers(*request_trailers_);
  if (!ended_) end_request();
}

// The timeout of a route runs from the end of the request (envoy.md 2.1, rule 7).
void Stream::end_request() {
  info_.times.us_tx_end = worker_.loop.now();
  if (tunnel_ != nullptr) return finish_tunnel();
  if (response_state_ == ResponseState::kDone) return;
  if (timeouts_.global != Duration{}) worker_.loop.arm(phase_timer_, timeouts_.global);
  const bool has_attempt = upstream_ != nullptr && response_state_ != ResponseState::kNone;
  if (limits_tries_ && has_attempt) start_try_timers();
}

void Stream::on_request_drained() {
  if (ended_) return;
  touch();
  if (request_state_ == RequestState::kBody && !filters_hold_request() && !waits_for_tunnel())
    downstream_->resume_request();
  if (half_closed_) finish_tunnel();
}

}  // namespace pillion::core
