// H1ServerConnection, the half that sends: heads and bodies of responses, the end of an exchange
// and of the connection.
#include "proxy/http/h1_server.h"
#include "proxy/http/h1_server_work.h"
#include "proxy/http/h1_writer.h"

namespace pillion::http {
namespace {

// Bodies up to this size are copied behind their head: one piece to send instead of two or three.
constexpr size_t kCopyBody = 2 * 1024;

}  // namespace

void H1ServerConnection::send_informational(const ResponseHead& head) {
  if (closed_ || work_->protocol == Protocol::kHttp10) return;
  const OutgoingFraming framing;
  const size_t size = response_head_size(head, framing);
  write_response_head(work_->writer.reserve(size), head, framing);
  work_->writer.commit(size);
}

void H1ServerConnection::send_head(const ResponseHead& head, bool end) {
  if (closed_) return;
  OutgoingFraming framing;
  const bool http10 = work_->protocol == Protocol::kHttp10;
  const bool bodiless = head.status == 204 || head.status == 304 ||
                        work_->method == Method::kHead || head.status < 200;
  framing.content_length = head.content_length;
  if (tunnel_) {
    framing.upgrade = head.status == 101;
    work_->response_framing = Framing::kUntilClose;
    keep_alive_ = false;
    state_ = State::kTunnel;
  } else if (bodiless || end) {
    work_->response_framing = Framing::kNone;
    framing.write_length =
        head.status >= 200 && head.status != 204 && (head.has_content_length || !bodiless);
    if (end && !bodiless) framing.content_length = 0;
  } else if (head.framing == Framing::kLength) {
    framing.framing = work_->response_framing = Framing::kLength;
  } else if (http10) {
    work_->response_framing = Framing::kUntilClose;
    keep_alive_ = false;
  } else {
    framing.framing = work_->response_framing = Framing::kChunked;
  }
  // A response before the end of the request: the rest of the request may never come.  A tunnel
  // that was refused: its first bytes may be here already, and are no request.
  if (state_ != State::kRequestDone && state_ != State::kTunnel) keep_alive_ = false;
  if (draining_ || work_->method == Method::kConnect) keep_alive_ = false;
  framing.close = !keep_alive_ && !tunnel_;
  framing.keep_alive = http10 && keep_alive_;
  const size_t size = response_head_size(head, framing);
  write_response_head(work_->writer.reserve(size), head, framing);
  work_->writer.commit(size);
  head_sent_ = true;
  if (tunnel_ && !work_->pending.empty()) loop_.post(*this);
  if (end) response_done();
}

void H1ServerConnection::add_body(std::string_view data) {
  data.size() <= kCopyBody ? work_->writer.append_copy(data) : work_->writer.add(data);
}

void H1ServerConnection::send_body(std::string_view data, bool end) {
  if (closed_) return;
  if (work_->response_framing == Framing::kChunked) {
    if (!data.empty()) {
      char* begin = work_->writer.reserve(kMaxChunkHeader);
      work_->writer.commit(static_cast<size_t>(write_chunk_header(begin, data.size()) - begin));
      add_body(data);
      work_->writer.append_copy(end ? std::string_view("\r\n0\r\n\r\n") : kChunkEnd);
    } else if (end) {
      work_->writer.append_copy(kLastChunk);
    }
  } else if (work_->response_framing != Framing::kNone) {
    add_body(data);
  }
  if (end) response_done();
}

void H1ServerConnection::send_trailers(const Headers& trailers) {
  if (closed_) return;
  if (work_->response_framing == Framing::kChunked) {
    const size_t size = trailers_size(trailers);
    write_trailers(work_->writer.reserve(size), trailers);
    work_->writer.commit(size);
  }
  response_done();
}

// A FIN; what the client sends goes on.
void H1ServerConnection::half_close() {
  if (!closed_) work_->writer.end();
}

void H1ServerConnection::reset(Failure failure) {
  if (work_ != nullptr) work_->sink = nullptr;
  if (!closed_ && head_sent_ && !tunnel_ &&
      (work_->response_framing == Framing::kLength ||
       work_->response_framing == Framing::kChunked)) {
    // Its framing shows that the response is cut: the client may have what came of it, which a
    // reset would take from it.
    keep_alive_ = false;
    cut_ = true;
    return response_done();
  }
  // The end of a response framed by the connection's end must not look orderly.
  close(failure,
        head_sent_ ? io::Transport::CloseMode::kReset : io::Transport::CloseMode::kOrderly);
}

void H1ServerConnection::response_done() {
  response_done_ = true;
  if (!in_body_read_) finish_exchange();
}

void H1ServerConnection::finish_exchange() {
  work_->sink = nullptr;
  const bool request_done = state_ == State::kRequestDone;
  const bool reusable = keep_alive_ && request_done && !tunnel_;
  owner_.on_exchange_done(reusable);  // logs what the exchange cost on the wire
  if (closed_) return;
  count_traffic();
  if (!reusable) return linger();
  state_ = State::kIdle;
  transport_->resume(io::PauseReason::kPeerFull);
  if (work_->pending.empty() && !eof_) transport_->watch();
  // What waits, or to rest.  Never on this stack: the scratch buffer may hold the response being
  // sent.
  if (!processing_) loop_.post(*this);
}

// The last response is made: the connection closes when the client has it.
void H1ServerConnection::linger() {
  quick_close_ = (state_ == State::kRequestDone || state_ == State::kIdle) &&
                 work_->pending.empty() && !refused_;
  state_ = State::kLinger;
  work_->pending.clear();
  loop_.post(*this);
}

void H1ServerConnection::go_on_lingering() {
  batch_.flush();
  if (closed_) return;
  if (work_->writer.backlog() != 0) {
    // What is left of a response that failed is not worth a long wait for its client.
    const Duration wait = cut_ ? limits_->linger_time : limits_->flush_time;
    if (wait != Duration{}) loop_.arm(work_->linger_timer, wait);
    return;  // on_drained comes back
  }
  const bool may_linger = limits_->linger_time != Duration{} && work_->lingered < kLingerBytes;
  if (quick_close_ || eof_ || !may_linger) return close({FailureKind::kNone});
  if (fin_sent_) return;
  fin_sent_ = true;
  loop_.arm(work_->linger_timer, limits_->linger_time);
  work_->writer.end();
  transport_->resume(io::PauseReason::kBusy);
  transport_->resume(io::PauseReason::kPeerFull);
  transport_->watch();
}

void H1ServerConnection::on_drained() {
  if (work_->sink != nullptr) return work_->sink->on_response_drained();
  if (state_ == State::kLinger || state_ == State::kIdle) loop_.post(*this);
}

void H1ServerConnection::on_write_failed() {
  write_failed_ = true;
  loop_.post(*this);
}

}  // namespace pillion::http
