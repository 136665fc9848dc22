#include "proxy/http/h2_client.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/base/rng.h"

namespace pillion::http {

// Waits for the next turn, so that others come between.
struct H2ClientConnection::Rest final : io::ReadyTask {
  explicit Rest(H2ClientConnection& c) : connection(c) {}
  void run_ready() override { connection.receive_rest(); }
  H2ClientConnection& connection;
  Buffer bytes;
};

struct H2ClientConnection::Keepalive {
  explicit Keepalive(H2ClientConnection& c)
      : timer(io::Timer::call<&H2ClientConnection::on_keepalive_timer, H2ClientConnection>(), &c),
        rng(c.id()) {}
  io::Timer timer;
  Rng rng;
  uint64_t sent = 0;
  bool waiting = false;
};

H2ClientConnection::H2ClientConnection(io::Loop& loop, io::WriteBatch& batch,
                                       const H1Limits& limits, const H2Options& options,
                                       Owner& owner, uint32_t first_streams)
    : ClientConnection(Protocol::kHttp2),
      loop_(loop),
      owner_(owner),
      limits_(limits),
      options_(options),
      writer_(batch, *this) {
  max_streams_ = std::min(options.max_concurrent_streams, first_streams);
}

H2ClientConnection::~H2ClientConnection() { DASSERT(closed_ && streams_.empty()); }

// ---- opening ----

void H2ClientConnection::start(std::unique_ptr<io::Transport> transport) {
  transport_ = std::move(transport);
  writer_.set_transport(*transport_);
  transport_->start(*this);
}

void H2ClientConnection::adopt(std::unique_ptr<io::Transport> transport) {
  start(std::move(transport));
  open_session();
}

void H2ClientConnection::on_connected() {
  open_session();
  owner_.on_client_connected(*this);
}

void H2ClientConnection::open_session() {
  connected_at = loop_.now();
  session_.emplace(H2Session::Role::kClient, options_, static_cast<H2Observer&>(*this), writer_);
  if (options_.ping_interval != Duration{}) {
    keepalive_ = std::make_unique<Keepalive>(*this);
    arm_keepalive();
  }
  send_soon();
}

UpstreamStream& H2ClientConnection::begin(ResponseSink& sink) {
  DASSERT(session_.has_value() && !closed_);
  auto* stream = new H2ClientStream(*this, sink);
  streams_.push_back(*stream);
  ++exchanges_;
  event(Event::kStreamBegun);
  return *stream;
}

// ---- reading ----

void H2ClientConnection::on_readable() {
  if (rest_ && !rest_->bytes.empty()) return;  // those come first
  const std::span<char> room = loop_.scratch();
  const io::IoResult r = transport_->read(room.data(), room.size());
  switch (r.status) {
    case io::IoStatus::kOk:
      count_bytes(r.bytes);
      receive({room.data(), r.bytes});
      break;
    case io::IoStatus::kEof:
      ended_by_peer_ = true;
      close({FailureKind::kUpstreamClosed});
      break;
    case io::IoStatus::kError:
      ended_by_peer_ = true;
      close(upstream_view(transport_->failure()));
      break;
    case io::IoStatus::kAgain:
      break;
  }
  writer_.flush_batch();  // what went up lies in scratch, which the next read takes
  if (closed_) return;
  send_queued();
  // Who looked at it while it was idle waits for this (Transport::has_news).
  if (!closed_ && streams_.empty() && session_) owner_.on_client_room(*this);
}

void H2ClientConnection::receive(std::string_view bytes) {
  if (!session_) return;
  in_session_ = true;
  const size_t used = session_->receive(bytes);
  in_session_ = false;
  if (closed_) return;
  check_session();
  if (closed_ || used == bytes.size()) return;
  if (!rest_) rest_ = std::make_unique<Rest>(*this);
  rest_->bytes.append(bytes.substr(used));
  transport_->pause(io::PauseReason::kBusy);
  loop_.post_next(*rest_);
}

void H2ClientConnection::receive_rest() {
  const Buffer bytes = std::move(rest_->bytes);
  iovec pieces[32];  // more than scratch holds
  const int count = bytes.iovecs(pieces, 32);
  for (int i = 0; i < count && !closed_; ++i) {
    const std::string_view piece{static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len};
    rest_->bytes.empty() ? receive(piece) : rest_->bytes.append(piece);
  }
  if (!closed_) send_queued();
  writer_.flush_batch();  // before `bytes` goes
  if (!closed_ && rest_->bytes.empty()) transport_->resume(io::PauseReason::kBusy);
}

void H2ClientConnection::check_session() {
  const H2Flood flood = session_->flood();
  const bool is_sound = !session_->is_broken() && session_->error() == H2Error::kNone;
  if (flood == H2Flood::kNone && is_sound) {
    if (session_->is_finished()) close({FailureKind::kUpstreamClosed});
    return;
  }
  switch (flood) {
    case H2Flood::kNone:
      event(Event::kConnectionError);
      break;
    case H2Flood::kEmptyFrames:
      event(Event::kEmptyFrameFlood);
      break;
    case H2Flood::kPriority:
      event(Event::kPriorityFlood);
      break;
    case H2Flood::kWindowUpdate:
      event(Event::kWindowUpdateFlood);
      break;
    case H2Flood::kResets:  // of servers only
    case H2Flood::kOutbound:
      event(Event::kOutboundFlood);
      break;
  }
  close({FailureKind::kUpstreamProtocol});
}

// ---- writing ----

void H2ClientConnection::send_queued() {
  if (closed_ || !session_) return;
  note_clog();
  if (!closed_ && !unsent_.empty()) fail_unsent();
  if (closed_ || !session_->wants_to_send()) return;
  in_session_ = true;
  session_->send();
  in_session_ = false;
  writer_.flush_batch();
  if (!closed_) check_session();
}

// While streams that nobody reads fill it, new ones begin elsewhere.
void H2ClientConnection::note_clog() {
  const bool was_clogged = clogged_;
  clogged_ = session_->is_clogged();
  if (was_clogged && !clogged_) owner_.on_client_room(*this);
}

// The session could not open them: ids are used up, or a GOAWAY came.
void H2ClientConnection::fail_unsent() {
  while (H2ClientStream* stream = unsent_.pop_front()) {
    loop_.delete_later(stream);
    stream->fail({FailureKind::kStreamRefused});
    if (closed_) return;
    event(Event::kStreamEnded);
    owner_.on_client_leaving(*this);
    if (closed_) return;
    owner_.on_client_idle(*this);
    if (closed_) return;
  }
}

void H2ClientConnection::on_drained() { send_queued(); }

void H2ClientConnection::on_write_failed() {
  // What the peer said before it went may still be there to read.
  transport_->read_again();
}

// ---- streams, as the session tells of them ----

void H2ClientConnection::on_head_begun(H2Stream& stream) {
  if (!closed_) static_cast<H2ClientStream&>(stream).on_head_begun();
}

void H2ClientConnection::on_field(H2Stream& stream, std::string_view name, std::string_view value) {
  if (!closed_) static_cast<H2ClientStream&>(stream).on_field(name, value, limits_);
}

void H2ClientConnection::on_head_ended(H2Stream& stream, bool end) {
  if (closed_) return;
  auto& s = static_cast<H2ClientStream&>(stream);
  s.on_head_ended(end);
  end_if_answered(s);
}

void H2ClientConnection::on_data(H2Stream& stream, std::string_view data, bool end) {
  if (closed_) return;
  auto& s = static_cast<H2ClientStream&>(stream);
  s.on_data(data, end);
  end_if_answered(s);
}

void H2ClientConnection::on_stream_drained(H2Stream& stream) {
  if (!closed_) static_cast<H2ClientStream&>(stream).on_drained();
}

void H2ClientConnection::end_if_answered(H2ClientStream& stream) {
  if (!closed_ && !stream.has_sink() && !stream.end_sent()) give_up(stream, H2Error::kCancel);
}

void H2ClientConnection::give_up(H2ClientStream& stream, H2Error error) {
  if (closed_ || stream.given_up_) return;
  stream.given_up_ = true;
  if (const size_t owed = std::exchange(stream.owed_, 0)) session_->consume_connection(owed);
  if (stream.id() != 0) {
    session_->reset(stream, error);
    return send_soon();
  }
  // Nothing of it was sent.
  stream.unlink();
  loop_.delete_later(&stream);
  event(Event::kStreamEnded);
  owner_.on_client_idle(*this);
}

void H2ClientConnection::on_stream_closed(H2Stream& stream, H2Error error) {
  if (closed_) return;
  auto& s = static_cast<H2ClientStream&>(stream);
  s.unlink();
  loop_.delete_later(&s);
  if (const size_t owed = std::exchange(s.owed_, 0)) session_->consume_connection(owed);
  const bool refused = error == H2Error::kRefusedStream;
  if (refused && !s.given_up_) event(Event::kStreamRefused);
  s.fail({refused ? FailureKind::kStreamRefused : FailureKind::kStreamReset,
          static_cast<int32_t>(error)});
  if (closed_) return;
  event(Event::kStreamEnded);
  owner_.on_client_idle(*this);
}

void H2ClientConnection::on_goaway(int32_t, H2Error) {
  if (closed_) return;
  keep_alive_ = false;
  owner_.on_client_leaving(*this);
}

void H2ClientConnection::on_settings() {
  if (closed_) return;
  max_streams_ = std::min(options_.max_concurrent_streams, session_->peer_max_streams());
  owner_.on_client_room(*this);
}

// ---- connection_keepalive ----

void H2ClientConnection::arm_keepalive() {
  const auto interval = static_cast<uint64_t>(options_.ping_interval.count());
  const uint64_t jitter =
      keepalive_->rng.below(interval / 100 * std::min(options_.ping_jitter_percent, 100u) + 1);
  loop_.arm(keepalive_->timer, Duration(static_cast<int64_t>(interval + jitter)));
}

void H2ClientConnection::on_keepalive_timer() {
  if (keepalive_->waiting) {
    event(Event::kKeepaliveTimeout);
    return close({FailureKind::kUpstreamClosed});
  }
  keepalive_->waiting = true;
  session_->ping(++keepalive_->sent);
  loop_.arm(keepalive_->timer, options_.ping_timeout);
  send_soon();
}

void H2ClientConnection::on_ping_ack(uint64_t opaque) {
  if (closed_ || !keepalive_ || opaque != keepalive_->sent) return;
  keepalive_->waiting = false;
  keepalive_->timer.cancel();
  arm_keepalive();
}

// ---- the end ----

void H2ClientConnection::on_closed(Failure failure) {
  ended_by_peer_ = true;
  close(upstream_view(failure));
}

void H2ClientConnection::close(Failure failure) {
  if (closed_) return;
  closed_ = true;
  ListNode<io::ReadyTag>::unlink();
  keepalive_.reset();
  if (rest_) rest_->unlink();
  if (session_) {
    if (!ended_by_peer_ && !in_session_) say_farewell();
    session_->stop();
  }
  count_bytes(0);
  writer_.detach();
  transport_->close();
  loop_.delete_later(std::move(transport_));
  owner_.on_client_closed(*this, failure);
  fail_streams(failure);
}

// GOAWAY, that of an error if there was one.
void H2ClientConnection::say_farewell() {
  if (!session_->is_broken() && session_->error() == H2Error::kNone) {
    session_->goaway(H2Error::kNone);
    event(Event::kGoawaySent);
  }
  in_session_ = true;
  session_->send();
  in_session_ = false;
  writer_.flush_batch();
}

// A sink may do anything, to other streams here as well: they find the connection closed.
void H2ClientConnection::fail_streams(Failure failure) {
  streams_.splice(unsent_);
  while (H2ClientStream* stream = streams_.pop_front()) {
    loop_.delete_later(stream);
    event(Event::kStreamEnded);
    stream->fail_with_connection(failure);
  }
}

void H2ClientConnection::count_bytes(size_t received) {
  const uint64_t sent = writer_.bytes_sent();
  owner_.on_client_bytes(received, sent - counted_sent_);
  counted_sent_ = sent;
}

}  // namespace pillion::http
