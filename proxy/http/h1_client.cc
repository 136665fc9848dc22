#include "proxy/http/h1_client.h"

#include <algorithm>

#include "proxy/base/assert.h"
#include "proxy/http/h1_writer.h"

namespace pillion::http {

H1ClientConnection::H1ClientConnection(io::Loop& loop, io::WriteBatch& batch,
                                       const H1Limits& limits, Owner& owner)
    : ClientConnection(Protocol::kHttp11),
      loop_(loop),
      owner_(owner),
      limits_(&limits),
      writer_(batch, *this) {}

H1ClientConnection::~H1ClientConnection() { DASSERT(closed_ && sink_ == nullptr); }

void H1ClientConnection::start(std::unique_ptr<io::Transport> transport) {
  transport_ = std::move(transport);
  writer_.set_transport(*transport_);
  transport_->start(*this);
}

void H1ClientConnection::adopt(std::unique_ptr<io::Transport> transport) {
  state_ = State::kIdle;
  connected_at = loop_.now();
  start(std::move(transport));
}

void H1ClientConnection::on_connected() {
  state_ = State::kIdle;
  connected_at = loop_.now();
  owner_.on_client_connected(*this);
}

UpstreamStream& H1ClientConnection::begin(ResponseSink& sink) {
  DASSERT(is_idle() && sink_ == nullptr);
  sink_ = &sink;
  ++exchanges_;
  interim_ = 0;
  added_before_ = writer_.bytes_added();
  received_ = 0;
  request_done_ = false;
  parser_.begin();
  head_ = nullptr;
  state_ = State::kHead;
  return *this;
}

void H1ClientConnection::send_head(const RequestHead& head, bool end) {
  if (closed_) return;
  method_ = head.method;
  asked_upgrade_ = !head.upgrade.empty();
  OutgoingFraming framing;
  framing.framing = head.framing;
  framing.content_length = head.content_length;
  framing.upgrade = asked_upgrade_;
  // A method that expects a body says that there is none (RFC 9110, 8.6).
  framing.write_length = head.framing == Framing::kNone &&
                         (head.method == Method::kPost || head.method == Method::kPut ||
                          head.method == Method::kPatch);
  const bool empty = head.framing == Framing::kLength && head.content_length == 0;
  request_framing_ = empty ? Framing::kNone : head.framing;
  const size_t size = request_head_size(head, framing);
  write_request_head(writer_.reserve(size), head, framing);
  writer_.commit(size);
  request_done_ = end;
}

void H1ClientConnection::send_body(std::string_view data, bool end) {
  if (closed_ || write_failed_) return;
  if (request_framing_ == Framing::kChunked && state_ != State::kTunnel) {
    if (!data.empty()) {
      char* begin = writer_.reserve(kMaxChunkHeader);
      writer_.commit(static_cast<size_t>(write_chunk_header(begin, data.size()) - begin));
      writer_.add(data);
      writer_.append_copy(end ? std::string_view("\r\n0\r\n\r\n") : kChunkEnd);
    } else if (end) {
      writer_.append_copy(kLastChunk);
    }
  } else {
    writer_.add(data);
    if (end && state_ == State::kTunnel) writer_.end();
  }
  request_done_ = request_done_ || end;
}

void H1ClientConnection::send_trailers(const Headers& trailers) {
  if (closed_ || write_failed_) return;
  request_done_ = true;
  if (request_framing_ != Framing::kChunked) return;
  const size_t size = trailers_size(trailers);
  write_trailers(writer_.reserve(size), trailers);
  writer_.commit(size);
}

void H1ClientConnection::reset() {
  end_sink(0);
  const bool is_over = half_closed_ && request_done_;
  // What the server has got must not look like all.  And a reset leaves no TIME_WAIT: clients that
  // cancel would use up the ports that there are to this server, whose search then takes the kernel
  // milliseconds for each connect.
  aborts_ = !is_over;
  close({is_over ? FailureKind::kNone : FailureKind::kLocalReset});
}

void H1ClientConnection::pause_response() {
  if (!closed_) transport_->pause(io::PauseReason::kPeerFull);
}

void H1ClientConnection::resume_response() {
  if (!closed_) transport_->resume(io::PauseReason::kPeerFull);
}

void H1ClientConnection::close(Failure failure) {
  if (closed_) return;
  closed_ = true;
  count_bytes(0);
  writer_.detach();
  ResponseSink* sink = end_sink(0);
  transport_->close(aborts_ ? io::Transport::CloseMode::kReset
                            : io::Transport::CloseMode::kOrderly);
  loop_.delete_later(std::move(transport_));
  owner_.on_client_closed(*this, failure);
  if (sink != nullptr) sink->on_upstream_reset(failure);
}

void H1ClientConnection::on_lost(Failure failure) {
  ended_by_peer_ = true;
  failure = upstream_view(failure);
  const bool is_end = failure.kind == FailureKind::kUpstreamReset ||
                      failure.kind == FailureKind::kUpstreamTruncated;
  if (is_end && in_message()) {
    owner_.on_client_event(*this, Event::kTruncated);
    failure.kind = FailureKind::kUpstreamTruncated;
  } else if (failure.kind == FailureKind::kUpstreamTruncated && state_ != State::kTunnel) {
    // TLS without its farewell (a peer that was killed): nothing is cut where nothing has come.
    failure.kind = FailureKind::kUpstreamClosed;
  }
  close(failure);
}

bool H1ClientConnection::in_message() const noexcept {
  return state_ == State::kBody || state_ == State::kTrailers || !stash_.empty();
}

void H1ClientConnection::on_drained() {
  if (sink_ != nullptr) sink_->on_request_drained();
}

void H1ClientConnection::on_write_failed() {
  // The response may still be there to read: an early refusal of an upload, mostly.
  write_failed_ = true;
  keep_alive_ = false;
  if (half_closed_) transport_->resume(io::PauseReason::kDraining);
  transport_->read_again();
}

void H1ClientConnection::on_readable() {
  std::span<char> room = loop_.scratch();
  const size_t most = std::min<size_t>(room.size(), limits_->buffer_limit);
  if (sink_ != nullptr) room = room.first(std::clamp<size_t>(sink_->read_limit(), 1, most));
  const io::IoResult r = transport_->read(room.data(), room.size());
  switch (r.status) {
    case io::IoStatus::kOk:
      count_bytes(r.bytes);
      received_ += r.bytes;
      process(room.data(), r.bytes);
      break;
    case io::IoStatus::kEof:
      on_eof();
      break;
    case io::IoStatus::kError:
      on_lost(transport_->failure());
      break;
    case io::IoStatus::kAgain:
      return;
  }
  writer_.flush_batch();
}

void H1ClientConnection::process(char* data, size_t size) {
  while (size > 0 && !closed_) {
    size_t used = 0;
    switch (state_) {
      case State::kConnecting:
      case State::kIdle:
        // Nobody asked: whatever it is, it must not become the answer to the next request.
        owner_.on_client_event(*this, Event::kUnsolicited);
        return close({FailureKind::kUpstreamProtocol});
      case State::kHead:
        used = read_head(data, size);
        break;
      case State::kBody:
      case State::kTunnel:
        used = read_body(data, size);
        break;
      case State::kTrailers:
        used = read_trailers(data, size);
        break;
    }
    data += used;
    size -= used;
  }
}

size_t H1ClientConnection::read_head(char* data, size_t size) {
  DASSERT(sink_ != nullptr);
  if (head_ == nullptr) head_ = &sink_->new_response_head();
  const size_t before = stash_.size();
  if (before != 0) stash_.append(data, size, *head_);
  char* const bytes = before != 0 ? stash_.data() : data;
  switch (parser_.parse(bytes, before + size, *limits_, method_, *head_)) {
    case ParseStatus::kNeedMore:
      if (before == 0) stash_.append(data, size, *head_);
      return size;
    case ParseStatus::kFailed:
      protocol_error(parser_.failure() == FailureKind::kUpstreamProtocol ? Event::kMalformed
                                                                         : Event::kTooLarge);
      return size;
    case ParseStatus::kDone:
      break;
  }
  const size_t head_bytes = parser_.head_bytes();
  const std::string_view kept = head_->headers.arena().copy({bytes, head_bytes});
  rebase_head(*head_, bytes, head_bytes, kept.data());
  stash_.clear();
  const size_t used = head_bytes - before;
  if (head_->status < 200 && head_->status != 101) {
    take_interim();
  } else {
    take_head(size - used);
  }
  return used;
}

void H1ClientConnection::take_interim() {
  if (++interim_ > kMaxInformational) return protocol_error(Event::kInterimFlood);
  ResponseHead* head = std::exchange(head_, nullptr);
  parser_.begin();
  sink_->on_informational(*head);
}

void H1ClientConnection::take_head(size_t leftover) {
  keep_alive_ = head_->keep_alive && !write_failed_;
  const bool switched = head_->status == 101;
  // Not asked for, or in the middle of a body whose rest would then be read as something else.
  const bool body_is_out = request_done_ || request_framing_ == Framing::kNone;
  if (switched && !(asked_upgrade_ && body_is_out)) return protocol_error(Event::kMalformed);
  if (switched || (method_ == Method::kConnect && head_->status / 100 == 2)) {
    state_ = State::kTunnel;
    request_done_ = false;  // behind a body that it may have had
    keep_alive_ = head_->has_content_length = false;
    body_.begin(Framing::kUntilClose, 0);
    return sink_->on_response_head(*head_, false);
  }
  body_.begin(head_->framing, head_->content_length);
  const bool end = head_->framing == Framing::kNone;
  ResponseSink* sink = sink_;
  ResponseHead& head = *head_;
  if (end) {
    end_exchange(leftover);
  } else {
    state_ = State::kBody;
  }
  sink->on_response_head(head, end);
}

size_t H1ClientConnection::read_body(char* data, size_t size) {
  const H1BodyReader::Result r = body_.feed(data, size);
  if (r.failure != FailureKind::kNone) {
    protocol_error(Event::kMalformed);
    return size;
  }
  ResponseSink* sink = sink_;
  if (r.done && body_.framing() == Framing::kChunked) {
    state_ = State::kTrailers;
    trailers_ = nullptr;
    trailer_parser_.begin();
    // Mostly the empty line follows at once: then this data is the end.
    if (size - r.consumed >= 2 && data[r.consumed] == '\r' && data[r.consumed + 1] == '\n') {
      const size_t used = r.consumed + 2;
      end_exchange(size - used);
      sink->on_response_body(r.data, true);
      return closed_ ? size : used;
    }
    if (!r.data.empty()) sink->on_response_body(r.data, false);
    return r.consumed;
  }
  if (r.done) end_exchange(size - r.consumed);
  if (!r.data.empty() || r.done) sink->on_response_body(r.data, r.done);
  return r.consumed;
}

size_t H1ClientConnection::read_trailers(char* data, size_t size) {
  DASSERT(sink_ != nullptr);
  if (trailers_ == nullptr) trailers_ = &sink_->new_response_trailers();
  const size_t before = stash_.size();
  if (before != 0) stash_.append(data, size, *trailers_);
  char* const bytes = before != 0 ? stash_.data() : data;
  switch (trailer_parser_.parse(bytes, before + size, *limits_, *trailers_)) {
    case ParseStatus::kNeedMore:
      if (before == 0) stash_.append(data, size, *trailers_);
      return size;
    case ParseStatus::kFailed:
      protocol_error(Event::kMalformed);
      return size;
    case ParseStatus::kDone:
      break;
  }
  const size_t trailer_bytes = trailer_parser_.head_bytes();
  const std::string_view kept = trailers_->arena().copy({bytes, trailer_bytes});
  trailers_->rebase(bytes, kept.data());
  stash_.clear();
  const size_t used = trailer_bytes - before;
  ResponseSink* sink = sink_;
  Headers& trailers = *trailers_;
  end_exchange(size - used);
  // An empty section is an end like that of any body, however it was cut.
  trailers.count() == 0 ? sink->on_response_body({}, true) : sink->on_response_trailers(trailers);
  return used;
}

void H1ClientConnection::end_exchange(size_t leftover) {
  end_sink(leftover);
  state_ = State::kIdle;
  if (leftover != 0) owner_.on_client_event(*this, Event::kUnsolicited);
  // An answer before the end of the request leaves the rest of the request on the wire.
  const bool is_cut = !request_done_ || writer_.backlog() != 0;
  if (!keep_alive_ || is_cut || leftover != 0) {
    aborts_ = is_cut;
    return close({FailureKind::kNone});
  }
  transport_->resume(io::PauseReason::kPeerFull);
  transport_->watch();
  owner_.on_client_idle(*this);
}

void H1ClientConnection::on_eof() {
  ended_by_peer_ = true;
  if (state_ == State::kTunnel && (!request_done_ || writer_.backlog() != 0)) {
    if (write_failed_) return on_lost({FailureKind::kUpstreamReset});
    if (half_closed_) return;
    half_closed_ = true;
    // A level-triggered FIN would be reported for ever.
    transport_->pause(io::PauseReason::kDraining);
    return sink_->on_response_half_closed();
  }
  const bool orderly_end = state_ == State::kTunnel ||
                           (state_ == State::kBody && body_.framing() == Framing::kUntilClose);
  if (orderly_end) {
    ResponseSink* sink = end_sink(0);
    close({FailureKind::kNone});
    return sink->on_response_body({}, true);
  }
  const bool is_cut = in_message();
  if (is_cut) owner_.on_client_event(*this, Event::kTruncated);
  close({is_cut ? FailureKind::kUpstreamTruncated : FailureKind::kUpstreamClosed});
}

void H1ClientConnection::count_bytes(size_t received) {
  const uint64_t sent = writer_.bytes_sent();
  owner_.on_client_bytes(received, sent - counted_sent_);
  counted_sent_ = sent;
}

ResponseSink* H1ClientConnection::end_sink(size_t leftover) {
  ResponseSink* sink = std::exchange(sink_, nullptr);
  if (sink != nullptr)
    sink->on_wire_bytes(writer_.bytes_added() - added_before_, received_ - leftover);
  return sink;
}

void H1ClientConnection::protocol_error(Event event) {
  owner_.on_client_event(*this, event);
  close({FailureKind::kUpstreamProtocol});
}

}  // namespace pillion::http
