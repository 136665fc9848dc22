// H1ServerConnection, the half that receives: bytes into heads, bodies and trailers of requests.
#include "proxy/http/h1_server.h"
#include "proxy/http/h1_server_work.h"

namespace pillion::http {
namespace {

// Pipelined requests that are answered at once (local replies) in one turn; others get their share.
constexpr int kRequestsPerTurn = 16;

}  // namespace

size_t H1ServerConnection::process(char* data, size_t size) {
  int budget = kRequestsPerTurn;
  size_t used = 0;
  processing_ = true;
  while (used < size && !closed_) {
    char* const at = data + used;
    const size_t left = size - used;
    switch (state_) {
      case State::kIdle:
        if (const size_t blank = skip_blank_lines(at, left); blank != 0) {
          used += blank;
          continue;
        }
        // A client that does not take its responses gets no further ones made.
        if (--budget < 0 || work_->writer.backlog() != 0) break;
        begin_request();
        continue;
      case State::kHead:
        used += read_head(at, left);
        continue;
      case State::kBody:
      case State::kTunnel:
        used += read_body(at, left);
        continue;
      case State::kTrailers:
        used += read_trailers(at, left);
        continue;
      case State::kRequestDone:
        break;
      case State::kLinger:
        quick_close_ = false;
        if (fin_sent_) work_->lingered += static_cast<uint32_t>(left);
        if (work_->lingered >= kLingerBytes) loop_.post(*this);
        used = size;
        continue;
    }
    break;
  }
  processing_ = false;
  return used;
}

// Between requests, so that a stray CRLF behind a body makes no stream that waits for its head
// (RFC 9112, 2.2), nor the first half of one.  The parser counts further ones and refuses.
size_t H1ServerConnection::skip_blank_lines(const char* data, size_t size) noexcept {
  size_t used = 0;
  while (used < size && blank_lines_ < limits_->max_blank_lines) {
    if (data[used] != (half_blank_line_ ? '\n' : '\r')) break;
    if (half_blank_line_) ++blank_lines_;
    half_blank_line_ = !half_blank_line_;
    ++used;
  }
  return used;
}

void H1ServerConnection::begin_request() {
  state_ = State::kHead;
  head_sent_ = response_done_ = false;
  // For an error reply before they are known.
  work_->method = Method::kGet;
  work_->protocol = Protocol::kHttp11;
  blank_lines_ = 0;
  work_->parser.begin();
  work_->sink = &owner_.new_stream();
  // No blank line after all: its CR begins the request, which the parser will refuse.
  if (half_blank_line_) work_->stash.append("\r", 1, owner_.request_head());
  half_blank_line_ = false;
}

size_t H1ServerConnection::read_head(char* data, size_t size) {
  RequestHead& head = owner_.request_head();
  const size_t before = work_->stash.size();
  if (before != 0) work_->stash.append(data, size, head);
  char* const bytes = before != 0 ? work_->stash.data() : data;
  switch (work_->parser.parse(bytes, before + size, *limits_, head)) {
    case ParseStatus::kNeedMore:
      if (before == 0) work_->stash.append(data, size, head);
      return size;
    case ParseStatus::kFailed: {
      // What was understood of it goes into the access log.
      const uint32_t n = work_->parser.touched_bytes();
      rebase_head(head, bytes, n, head.headers.arena().copy({bytes, n}).data());
      work_->method = head.method;
      work_->protocol = head.protocol;
      refuse(work_->parser.failure());
      return size;
    }
    case ParseStatus::kDone:
      break;
  }
  const size_t head_bytes = work_->parser.head_bytes();
  owner_.on_head_complete(head_bytes);
  const std::string_view kept = head.headers.arena().copy({bytes, head_bytes});
  rebase_head(head, bytes, head_bytes, kept.data());
  work_->stash.clear();
  ++requests_;
  work_->method = head.method;
  work_->protocol = head.protocol;
  keep_alive_ = head.keep_alive && !draining_;
  work_->body.begin(head.framing, head.content_length);
  const bool has_body = head.framing == Framing::kChunked || head.content_length != 0;
  const bool tunnel_wanted = !head.upgrade.empty() || head.method == Method::kConnect;
  // Bytes behind the head of an upgrade wait until the upstream has switched (CVE-2025-64763).
  state_ = has_body ? State::kBody : State::kRequestDone;
  work_->sink->on_request_head(!has_body && !tunnel_wanted);
  return head_bytes - before;
}

size_t H1ServerConnection::read_body(char* data, size_t size) {
  if (state_ == State::kTunnel) {
    work_->sink->on_request_body({data, size}, false);
    return size;
  }
  const H1BodyReader::Result r = work_->body.feed(data, size);
  if (r.failure != FailureKind::kNone) {
    refuse(r.failure);
    return size;
  }
  if (!r.done) {
    if (!r.data.empty()) work_->sink->on_request_body(r.data, false);
    return r.consumed;
  }
  if (work_->body.framing() == Framing::kChunked) {
    state_ = State::kTrailers;
    work_->trailers = nullptr;
    work_->trailer_parser.begin();
    const bool empty_line =
        size - r.consumed >= 2 && data[r.consumed] == '\r' && data[r.consumed + 1] == '\n';
    if (!empty_line) {
      if (!r.data.empty()) work_->sink->on_request_body(r.data, false);
      return r.consumed;
    }
  }
  state_ = State::kRequestDone;
  in_body_read_ = true;
  work_->sink->on_request_body(r.data, true);
  end_request();
  return r.consumed + (work_->body.framing() == Framing::kChunked ? 2 : 0);
}

size_t H1ServerConnection::read_trailers(char* data, size_t size) {
  if (work_->trailers == nullptr) work_->trailers = &owner_.new_request_trailers();
  const size_t before = work_->stash.size();
  if (before != 0) work_->stash.append(data, size, *work_->trailers);
  char* const bytes = before != 0 ? work_->stash.data() : data;
  switch (work_->trailer_parser.parse(bytes, before + size, *limits_, *work_->trailers)) {
    case ParseStatus::kNeedMore:
      if (before == 0) work_->stash.append(data, size, *work_->trailers);
      return size;
    case ParseStatus::kFailed:
      work_->trailers->clear();
      refuse(work_->trailer_parser.failure());
      return size;
    case ParseStatus::kDone:
      break;
  }
  const size_t trailer_bytes = work_->trailer_parser.head_bytes();
  const std::string_view kept = work_->trailers->arena().copy({bytes, trailer_bytes});
  work_->trailers->rebase(bytes, kept.data());
  work_->stash.clear();
  state_ = State::kRequestDone;
  in_body_read_ = true;
  // An empty section is an end like that of any body, however it was cut.
  work_->trailers->count() == 0 ? work_->sink->on_request_body({}, true)
                                : work_->sink->on_request_trailers();
  end_request();
  return trailer_bytes - before;
}

// The sink has the whole request; if it answered meanwhile, the exchange is over.
void H1ServerConnection::end_request() {
  in_body_read_ = false;
  if (!closed_ && response_done_) finish_exchange();
}

// Refused by the codec: nothing that follows can be trusted to be where it seems to be.
void H1ServerConnection::refuse(FailureKind kind) {
  keep_alive_ = false;
  refused_ = true;
  owner_.on_malformed(kind);
  state_ = State::kRequestDone;
  work_->stash.clear();
  if (work_->sink != nullptr) work_->sink->on_request_failed({kind});
}

}  // namespace pillion::http
