#include "proxy/http/h2_server.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"

namespace pillion::http {
namespace {

// Tunnels whose client has ended and whose upstream has not taken all of it yet.
constexpr uint32_t kMaxOutliving = 256;

}  // namespace

// What only the last of a connection's life needs.
struct H2ServerConnection::Ending {
  explicit Ending(H2ServerConnection& connection)
      : timer(io::Timer::of<&H2ServerConnection::on_drain_timeout>(&connection)) {}
  // The grace of a drain, what the client may take for the last of it, the time of lingering.
  io::Timer timer;
  Failure lost;
  io::Transport::CloseMode lost_mode{};
  uint32_t lingered = 0;
};

H2ServerConnection::H2ServerConnection(io::Loop& loop, io::WriteBatch& batch,
                                       const H1Limits& limits, const H2Options& options,
                                       Owner& owner)
    : loop_(loop),
      owner_(owner),
      limits_(&limits),
      writer_(batch, *this),
      session_(H2Session::Role::kServer, options, *this, writer_),
      allow_connect_(options.allow_connect) {
  if (options.ping_interval != Duration{}) {
    keepalive_ = std::make_unique<H2Keepalive>(
        loop, session_, options,
        io::Timer::call<&H2ServerConnection::on_keepalive_timer, H2ServerConnection>(), this);
  }
}

H2ServerConnection::~H2ServerConnection() { DASSERT(closed_); }

void H2ServerConnection::start(std::unique_ptr<io::Transport> transport, Buffer already_read,
                               bool connected) {
  transport_ = std::move(transport);
  writer_.set_transport(*transport_);
  transport_->start(*this);
  if (!already_read.empty()) {
    received_ += already_read.size();
    leftover_ = std::make_unique<Leftover>(*this);
    leftover_->bytes.append(already_read);
    loop_.post(*leftover_);
    transport_->pause(io::PauseReason::kBusy);
  }
  if (!connected) return;
  // More comes while the first stream runs: to be told of it by the next tick is too late.
  transport_->watch();
  if (keepalive_ != nullptr) keepalive_->start();
  send_soon();
}

void H2ServerConnection::on_connected() {
  if (keepalive_ != nullptr) keepalive_->start();
  send_soon();
  owner_.on_server_connected();
}

void H2ServerConnection::close(Failure failure, io::Transport::CloseMode mode) {
  if (closed_) return;
  closed_ = true;
  session_.stop();
  ListNode<io::ReadyTag>::unlink();
  if (ending_ != nullptr) ending_->timer.cancel();
  if (leftover_ != nullptr) leftover_->ListNode<io::ReadyTag>::unlink();
  keepalive_.reset();
  count_traffic();
  writer_.detach();
  while (H2ServerStream* stream = streams_list_.front()) {
    stream->ListNode<>::unlink();
    stream->exchange_ = nullptr;
    stream->timer_.cancel();
    loop_.delete_later(stream);
  }
  owner_.on_stream_count(-static_cast<int>(std::exchange(stream_count_, 0)));
  transport_->close(mode);
  owner_.on_server_closed(failure);
}

// The client is gone: whoever works for it stops.
void H2ServerConnection::lose(Failure failure, io::Transport::CloseMode mode) {
  if (closed_) return;
  if (!losing_) {
    losing_ = true;
    session_.stop();
    if (streams_list_.empty()) return close(failure, mode);
    ending().lost = failure;
    ending().lost_mode = mode;
  }
  if (shed_streams(ending_->lost)) close(ending_->lost, ending_->lost_mode);
}

// True when none is left.  They may be a thousand, each with an upstream's: then the rest has to
// wait for the next turn, so that others come between.
bool H2ServerConnection::shed_streams(Failure failure) {
  for (uint32_t n = 0; n < kEndsPerTurn && !closed_; ++n) {
    H2ServerStream* stream = streams_list_.front();
    if (stream == nullptr) break;
    stream->ListNode<>::unlink();
    stream->timer_.cancel();
    if (stream->outlives_session_) --outliving_;
    stream->outlives_session_ = false;
    --stream_count_;
    owner_.on_stream_count(-1);
    stream->fail(failure);
    loop_.delete_later(stream);
  }
  if (closed_) return false;
  if (!streams_list_.empty()) loop_.post_next(*this);
  return streams_list_.empty();
}

// ---- turns: what the transport and the loop bring ----

void H2ServerConnection::on_readable() {
  if (closed_ || losing_) return;
  if (leftover_ != nullptr) return;  // it reads again when that is done
  const std::span<char> room = loop_.scratch().first(read_limit_);
  const io::IoResult r = transport_->read(room.data(), room.size());
  switch (r.status) {
    case io::IoStatus::kOk: {
      received_ += r.bytes;
      if (keepalive_ != nullptr) keepalive_->on_bytes();
      if (lingering_) {
        ending_->lingered += static_cast<uint32_t>(r.bytes);
        return ending_->lingered >= kH2LingerBytes ? close({FailureKind::kNone}) : void();
      }
      const size_t used = receive({room.data(), r.bytes});
      if (closed_) return writer_.flush_batch();
      read_limit_ = used == r.bytes ? io::Loop::kScratchBytes : kRestPiece;
      if (used == r.bytes) break;
      leftover_ = std::make_unique<Leftover>(*this);
      leftover_->bytes.append({room.data() + used, r.bytes - used});
      transport_->pause(io::PauseReason::kBusy);
      break;
    }
    case io::IoStatus::kEof:
      // HTTP/2 knows no half-closed connection.
      return lose(
          {lingering_ || stream_count_ == 0 ? FailureKind::kNone : FailureKind::kDownstreamClosed});
    case io::IoStatus::kError:
      return lose(transport_->failure());
    case io::IoStatus::kAgain:
      return;
  }
  settle();
}

size_t H2ServerConnection::receive(std::string_view bytes) {
  const size_t used = session_.receive(bytes);
  if (closed_) return used;
  if (session_.flood() != H2Flood::kNone || session_.is_broken()) report_flood();
  return used;
}

void H2ServerConnection::receive_leftover() {
  if (closed_ || losing_) return;
  Buffer& bytes = leftover_->bytes;
  const std::span<char> room = loop_.scratch().first(kRestPiece);
  const size_t n = bytes.peek(room.data(), room.size());
  const size_t used = receive({room.data(), n});
  if (closed_) return writer_.flush_batch();
  bytes.consume(used);
  if (bytes.empty()) {
    leftover_.reset();
    transport_->resume(io::PauseReason::kBusy);
    transport_->read_again();
  }
  settle();
}

// After each round: bodies that went up lie in scratch, which the next read will take.
void H2ServerConnection::settle() {
  writer_.flush_batch();
  if (closed_) return;
  if (leftover_ != nullptr) loop_.post_next(*leftover_);
  if (head_open_) [[unlikely]]
    owner_.on_head_incomplete();
  if (session_.wants_to_send() || session_.is_finished()) return send_soon();
  count_traffic();
  if (stream_count_ == 0) transport_->watch();
}

void H2ServerConnection::run_ready() {
  if (closed_) return;
  if (losing_) return lose(ending_->lost);
  if (write_failed_) return lose({FailureKind::kDownstreamReset});
  session_.send();
  writer_.flush_batch();
  if (closed_) return;
  if (write_failed_) return lose({FailureKind::kDownstreamReset});
  if (session_.flood() != H2Flood::kNone || session_.is_broken()) report_flood();
  count_traffic();
  end_if_finished();
  if (!closed_ && stream_count_ == 0) transport_->watch();
}

void H2ServerConnection::on_write_failed() {
  write_failed_ = true;
  send_soon();
}

void H2ServerConnection::count_traffic() {
  const uint64_t sent = writer_.bytes_sent();
  const auto in = static_cast<uint32_t>(received_);
  const auto out = static_cast<uint32_t>(sent);
  owner_.on_traffic(in - std::exchange(counted_received_, in),
                    out - std::exchange(counted_sent_, out));
}

// ---- the end ----

H2ServerConnection::Ending& H2ServerConnection::ending() {
  if (ending_ == nullptr) ending_ = std::make_unique<Ending>(*this);
  return *ending_;
}

void H2ServerConnection::arm_end_timer(Duration after) { loop_.arm(ending().timer, after); }

void H2ServerConnection::drain(Duration grace) {
  if (closed_ || draining_ || lingering_ || flood_reported_) return;
  draining_ = true;
  owner_.on_event(Event::kGoawaySent);
  session_.announce_shutdown();
  arm_end_timer(grace);
  send_soon();
}

void H2ServerConnection::on_drain_timeout() {
  if (lingering_) return on_linger_timeout();
  if (flood_reported_)
    return lose({FailureKind::kDownstreamReset}, io::Transport::CloseMode::kReset);
  if (goaway_sent_) return close({FailureKind::kNone}, io::Transport::CloseMode::kReset);
  goaway_sent_ = true;
  session_.goaway(H2Error::kNone);
  limit_farewell();
  send_soon();
}

// Behind the last GOAWAY only what the client has not taken yet keeps the connection.
void H2ServerConnection::limit_farewell() {
  const Duration limit = limits_->flush_time;
  const bool is_last = goaway_sent_ && !flood_reported_ && stream_count_ == 0;
  if (is_last && limit != Duration{}) arm_end_timer(limit);
}

void H2ServerConnection::end_if_finished() {
  if (lingering_ || !session_.is_finished() || writer_.backlog() != 0 || outliving_ != 0) return;
  // After an error streams are left over, of which the session shall not speak again.
  session_.stop();
  if (shed_streams({FailureKind::kDownstreamReset})) linger();
}

// What the client still sends is read and dropped, or a reset would destroy our GOAWAY.
void H2ServerConnection::linger() {
  if (limits_->linger_time == Duration{}) return close({FailureKind::kNone});
  lingering_ = true;
  leftover_.reset();
  arm_end_timer(limits_->linger_time);
  writer_.end();
  transport_->resume(io::PauseReason::kBusy);
  transport_->watch();
}

void H2ServerConnection::report_flood() {
  if (std::exchange(flood_reported_, true)) return;
  // Whoever does not take our GOAWAY goes without.
  arm_end_timer(std::max<Duration>(limits_->linger_time, std::chrono::seconds(1)));
  const H2Flood flood = session_.flood();
  flood == H2Flood::kNone ? owner_.on_event(Event::kProtocolError) : owner_.on_flood(flood);
}

void H2ServerConnection::on_keepalive_timer() {
  if (keepalive_->on_timer()) return send_soon();
  owner_.on_event(Event::kPingTimeout);
  lose({FailureKind::kDownstreamClosed});
}

void H2ServerConnection::on_ping_ack(uint64_t opaque) {
  if (keepalive_ != nullptr) keepalive_->on_ack(opaque);
}

// ---- streams ----

H2Stream* H2ServerConnection::on_stream_begun(int32_t) {
  // nghttp2 does not count these any more.
  if (outliving_ >= kMaxOutliving) return nullptr;
  auto* stream = new H2ServerStream(*this);
  streams_list_.push_back(*stream);
  ++stream_count_;
  head_open_ = true;
  owner_.on_stream_count(1);
  stream->exchange_ = &owner_.new_exchange(*stream);
  stream->reader_.begin(stream->exchange_->request_head(), allow_connect_);
  return stream;
}

void H2ServerConnection::on_head_begun(H2Stream& stream) {
  static_cast<H2ServerStream&>(stream).begin_trailers();
}

void H2ServerConnection::on_field(H2Stream& stream, std::string_view name, std::string_view value) {
  static_cast<H2ServerStream&>(stream).add_field(name, value);
}

void H2ServerConnection::on_head_ended(H2Stream& stream, bool end) {
  head_open_ = false;
  static_cast<H2ServerStream&>(stream).end_head(end);
}

void H2ServerConnection::on_data(H2Stream& stream, std::string_view data, bool end) {
  static_cast<H2ServerStream&>(stream).take_data(data, end);
}

void H2ServerConnection::on_end_sent(H2Stream& stream) {
  static_cast<H2ServerStream&>(stream).end_sent_now();
}

void H2ServerConnection::on_stream_drained(H2Stream& base) {
  auto& stream = static_cast<H2ServerStream&>(base);
  if (stream.exchange_ != nullptr) stream.exchange_->sink().on_response_drained();
}

void H2ServerConnection::on_stream_closed(H2Stream& base, H2Error error) {
  auto& stream = static_cast<H2ServerStream&>(base);
  // Both directions of a tunnel have ended; what the client sent is still on its way behind us.
  const bool is_orderly = error == H2Error::kNone && stream.receive_ended();
  if (stream.half_closed_ && stream.exchange_ != nullptr && is_orderly) {
    stream.outlives_session_ = true;
    ++outliving_;
    return;
  }
  // Otherwise the call that made the end of the response is on the stack, and ends the exchange.
  if (stream.exchange_ != nullptr && (!stream.end_sent() || stream.half_closed_)) {
    stream.fail({FailureKind::kDownstreamReset});
    if (closed_) return;
  }
  forget(stream);
}

void H2ServerConnection::forget(H2ServerStream& stream) {
  if (const uint32_t owed = std::exchange(stream.unreturned_, 0)) session_.consume_connection(owed);
  if (stream.outlives_session_) {
    stream.outlives_session_ = false;
    --outliving_;
    send_soon();  // the connection may have waited for it
  }
  stream.timer_.cancel();
  stream.ListNode<>::unlink();
  loop_.delete_later(&stream);
  --stream_count_;
  owner_.on_stream_count(-1);
  if (stream_count_ != 0) return;
  session_.rest();
  limit_farewell();
  owner_.on_idle();
}

}  // namespace pillion::http
