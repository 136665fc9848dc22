#include "proxy/http/h2_client.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"

namespace pillion::http {
namespace {

constexpr uint32_t kLastStreamId = 0x7fffffff;
// Closing, so much is read and dropped.
constexpr size_t kMostUnread = 64 * 1024;

}  // namespace

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
  max_exchanges_ = (kLastStreamId - options.first_stream_id) / 2 + 1;
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
  if (H2Keepalive::is_wanted(options_)) {
    keepalive_ = std::make_unique<H2Keepalive>(
        loop_, *session_, options_,
        io::Timer::call<&H2ClientConnection::on_keepalive_timer, H2ClientConnection>(), this);
    keepalive_->start();
  }
  send_soon();
}

UpstreamStream& H2ClientConnection::begin(ResponseSink& sink) {
  DASSERT(session_.has_value() && !closed_);
  if (keepalive_ != nullptr && keepalive_->on_new_stream()) send_soon();
  auto* stream = new H2ClientStream(*this, sink);
  streams_.push_back(*stream);
  ++exchanges_;
  event(Event::kStreamBegun);
  return *stream;
}

// ---- reading ----

void H2ClientConnection::on_readable() {
  if (leftover_ != nullptr) return;  // it reads again when that is done
  const std::span<char> room = loop_.scratch().first(read_limit_);
  const io::IoResult r = transport_->read(room.data(), room.size());
  switch (r.status) {
    case io::IoStatus::kOk:
      count_bytes(r.bytes);
      if (keepalive_ != nullptr) keepalive_->on_bytes();
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

size_t H2ClientConnection::take(std::string_view bytes) {
  in_session_ = true;
  const size_t used = session_->receive(bytes);
  in_session_ = false;
  if (!closed_) check_session();
  return used;
}

void H2ClientConnection::receive(std::string_view bytes) {
  if (!session_) return;
  const size_t used = take(bytes);
  if (closed_) return;
  read_limit_ = used == bytes.size() ? io::Loop::kScratchBytes : kRestPiece;
  if (used == bytes.size()) return;
  leftover_ = std::make_unique<Leftover>(*this);
  leftover_->bytes.append(bytes.substr(used));
  transport_->pause(io::PauseReason::kBusy);
  loop_.post_next(*leftover_);
}

void H2ClientConnection::receive_leftover() {
  Buffer& bytes = leftover_->bytes;
  const std::span<char> room = loop_.scratch().first(kRestPiece);
  const size_t used = take({room.data(), bytes.peek(room.data(), room.size())});
  writer_.flush_batch();  // what went up lies in scratch
  if (closed_) return;
  bytes.consume(used);
  send_queued();
  if (closed_) return;
  if (!bytes.empty()) return loop_.post_next(*leftover_);
  leftover_.reset();
  transport_->resume(io::PauseReason::kBusy);
}

void H2ClientConnection::check_session() {
  const H2Flood flood = session_->flood();
  const bool is_sound = !session_->is_broken() && session_->error() == H2Error::kNone;
  if (flood == H2Flood::kNone && is_sound) {
    if (session_->is_finished()) close({FailureKind::kUpstreamClosed});
    return;
  }
  flood == H2Flood::kNone ? event(Event::kConnectionError) : owner_.on_client_flood(*this, flood);
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
  if (!closed_) note_clog();
}

// While streams that nobody reads fill it, new ones begin elsewhere.
void H2ClientConnection::note_clog() {
  const bool was_clogged = clogged_;
  clogged_ = session_->is_clogged();
  if (was_clogged && !clogged_) owner_.on_client_room(*this);
}

// The session could not open them: ids are used up, or a GOAWAY came.  Or they are upgrades that
// the peer does not take.
void H2ClientConnection::fail_unsent() {
  while (H2ClientStream* stream = unsent_.pop_front()) {
    loop_.delete_later(stream);
    const bool is_forbidden = stream->upgrade_forbidden_;
    stream->fail({is_forbidden ? FailureKind::kNoConnectProtocol : FailureKind::kStreamRefused});
    if (closed_) return;
    event(Event::kStreamEnded);
    if (!is_forbidden) owner_.on_client_leaving(*this);
    if (closed_) return;
    owner_.on_client_idle(*this);
    if (closed_) return;
  }
}

bool H2ClientConnection::takes_upgrade(H2ClientStream& stream, const RequestHead& head) {
  if (!settled_) {
    stream.waiting_ = &head;
    return false;
  }
  if (session_->peer_takes_protocol()) return true;
  stream.upgrade_forbidden_ = true;
  stream.unlink();
  unsent_.push_back(stream);
  send_soon();
  return false;
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
  if (closed_ || !stream.is_answered() || stream.is_over()) return;
  if (!stream.has_sink() && !stream.end_sent()) return give_up(stream, H2Error::kCancel);
  if (stream.receive_ended() || stream.patience_ != 0) return;
  // END_STREAM is to come yet, perhaps behind trailers.
  grant(stream, kPatience);
}

void H2ClientConnection::watch_end(H2ClientStream& stream) {
  if (!closed_) grant(stream, kTunnelPatience);
}

void H2ClientConnection::grant(H2ClientStream& stream, uint8_t ticks) {
  stream.patience_ = ticks;
  if (!grace_timer_.is_armed()) loop_.arm(grace_timer_, kGraceTick);
}

void H2ClientConnection::on_grace_timer() {
  bool waits = false;
  for (H2ClientStream* s = streams_.front(); s != nullptr; s = streams_.next(*s)) {
    if (s->patience_ == 0 || s->given_up_) continue;
    --s->patience_;
    waits = true;
  }
  // Anew each time: a sink may do anything, to other streams here as well.
  while (H2ClientStream* s = closed_ ? nullptr : find_overdue()) cut_off(*s);
  if (!closed_ && waits) loop_.arm(grace_timer_, kGraceTick);
}

H2ClientStream* H2ClientConnection::find_overdue() {
  H2ClientStream* s = streams_.front();
  while (s != nullptr && (s->patience_ != kOverdue || s->given_up_)) s = streams_.next(*s);
  return s;
}

H2ClientStream* H2ClientConnection::find_awaiting() {
  H2ClientStream* s = streams_.front();
  while (s != nullptr && !s->awaits_settings_) s = streams_.next(*s);
  return s;
}

void H2ClientConnection::cut_off(H2ClientStream& stream) {
  event(Event::kCutOff);
  give_up(stream, H2Error::kCancel);
  stream.complete();
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
  if (streams_.empty()) session_->rest();
  loop_.delete_later(&s);
  if (const size_t owed = std::exchange(s.owed_, 0)) session_->consume_connection(owed);
  const bool refused = error == H2Error::kRefusedStream;
  if (refused && !s.given_up_) event(Event::kStreamRefused);
  if (error == H2Error::kNone && s.ends_tunnel()) {
    s.end_tunnel();
  } else {
    s.fail({refused ? FailureKind::kStreamRefused : FailureKind::kStreamReset,
            static_cast<int32_t>(error)});
  }
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
  if (!std::exchange(settled_, true)) {
    for (H2ClientStream* s = streams_.front(); s != nullptr; s = streams_.next(*s))
      s->awaits_settings_ = true;
    // Anew each time, as above.
    while (H2ClientStream* s = closed_ ? nullptr : find_awaiting()) s->on_settings();
    if (closed_) return;
  }
  owner_.on_client_room(*this);
}

void H2ClientConnection::on_keepalive_timer() {
  if (keepalive_->on_timer()) return send_soon();
  event(Event::kKeepaliveTimeout);
  close({FailureKind::kUpstreamClosed});
}

void H2ClientConnection::on_ping_ack(uint64_t opaque) {
  if (!closed_ && keepalive_ != nullptr) keepalive_->on_ack(opaque);
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
  if (leftover_ != nullptr) leftover_->unlink();
  grace_timer_.cancel();
  if (session_) {
    if (!ended_by_peer_) say_farewell();
    session_->stop();
  }
  count_bytes(0);
  writer_.detach();
  if (session_ && !ended_by_peer_) drop_unread();
  transport_->close();
  loop_.delete_later(std::move(transport_));
  owner_.on_client_closed(*this, failure);
  fail_streams(failure);
}

// GOAWAY, that of an error if there was one.
void H2ClientConnection::say_farewell() {
  const bool is_sound = !session_->is_broken() && session_->error() == H2Error::kNone;
  if (is_sound) event(Event::kGoawaySent);
  if (in_session_) {
    session_->write_goaway();
  } else {
    if (is_sound) session_->goaway(H2Error::kNone);
    in_session_ = true;
    session_->send();
    in_session_ = false;
  }
  writer_.flush_batch();
}

// With input left unread the system resets the connection, and that overtakes our GOAWAY.  Not in
// the loop's scratch: what lies there may be on its way up.
void H2ClientConnection::drop_unread() {
  char room[4096];
  for (size_t dropped = 0; dropped < kMostUnread;) {
    const io::IoResult r = transport_->read(room, sizeof room);
    if (r.status != io::IoStatus::kOk) return;
    dropped += r.bytes;
  }
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
