#include "proxy/core/tcp_relay.h"

#include "proxy/io/socket.h"

namespace pillion::core {
namespace {

// A single read of this size is bulk; below it two copies are cheaper than a pipe's bookkeeping.
constexpr size_t kSpliceAbove = 64 * 1024;
// And a direction that brings less than this at a time is no longer bulk.
constexpr size_t kCopyBelow = 16 * 1024;

}  // namespace

TcpRelay::TcpRelay(io::Loop& loop, io::WriteBatch& batch, Observer& observer)
    : loop_(loop), observer_(observer), down_(*this, Side::kDownstream, batch), up_(*this, Side::kUpstream, batch) {}

void TcpRelay::start(io::Transport& downstream, io::Transport& upstream, std::string_view early) {
  down_.connect(downstream, upstream);
  up_.connect(upstream, downstream);
  downstream.start(down_);
  upstream.start(up_);
  if (!early.empty()) {
    down_.writer_.append_copy(early);
    observer_.on_relayed(Side::kDownstream, early.size());
    if (stopped_) return;
  }
  // What came before is not announced again.
  downstream.read_again();
  upstream.read_again();
}

void TcpRelay::stop() {
  stopped_ = true;
  down_.writer_.detach();
  up_.writer_.detach();
  down_.pipe_.release();
  up_.pipe_.release();
}

void TcpRelay::fail(Side side, Failure failure) {
  if (stopped_) return;
  stop();
  observer_.on_relay_done(side, failure);
}

void TcpRelay::direction_done() {
  if (stopped_ || !down_.done_ || !up_.done_) return;
  stop();
  observer_.on_relay_done(Side::kDownstream, {});
}

void TcpRelay::Direction::connect(io::Transport& from, io::Transport& to) {
  from_ = &from;
  to_ = &to;
  writer_.set_transport(to);
}

void TcpRelay::Direction::on_readable() {
  if (relay_.stopped_ || eof_) return;
  // Without a pipe (no descriptors left) copying goes on as well.
  if (splicing_ && pipe_.open()) return splice();
  copy();
}

void TcpRelay::Direction::copy() {
  const std::span<char> room = relay_.loop_.scratch();
  const io::IoResult r = from_->read(room.data(), room.size());
  switch (r.status) {
    case io::IoStatus::kOk:
      from_->watch();
      writer_.add({room.data(), r.bytes});
      writer_.flush_batch();
      if (relay_.stopped_) return;  // the write failed
      relay_.observer_.on_relayed(from_side_, r.bytes);
      if (relay_.stopped_) return;
      if (writer_.backlog() != 0) return from_->pause(io::PauseReason::kPeerFull);
      splicing_ = r.bytes >= kSpliceAbove && from_->raw_fd() >= 0 && to_->raw_fd() >= 0;
      break;
    case io::IoStatus::kEof:
      return on_eof();
    case io::IoStatus::kError:
      return relay_.fail(from_side_, from_->failure());
    case io::IoStatus::kAgain:
      break;
  }
}

void TcpRelay::Direction::splice() {
  const io::IoResult in = pipe_.fill(from_->raw_fd());
  switch (in.status) {
    case io::IoStatus::kOk:
      if (in.bytes < kCopyBelow) splicing_ = false;
      relay_.observer_.on_relayed(from_side_, in.bytes);
      if (relay_.stopped_) return;
      drain_pipe();
      if (!relay_.stopped_) from_->watch();
      return;
    case io::IoStatus::kEof:
      pipe_.release();
      return on_eof();
    case io::IoStatus::kError:
      return relay_.fail(from_side_, {io::broken_by(pipe_.error()), pipe_.error()});
    case io::IoStatus::kAgain:
      pipe_.release();
      return from_->watch();
  }
}

void TcpRelay::Direction::drain_pipe() {
  const io::IoResult out = pipe_.drain(to_->raw_fd());
  if (out.status == io::IoStatus::kError) {
    return relay_.fail(to_side(), {io::broken_by(pipe_.error()), pipe_.error()});
  }
  if (pipe_.size() != 0) {
    from_->pause(io::PauseReason::kPeerFull);
    return to_->want_writable();
  }
  pipe_.release();
  from_->resume(io::PauseReason::kPeerFull);
}

// Our transport can take more of what the other direction brings.
void TcpRelay::Direction::on_writable() {
  if (relay_.stopped_) return;
  Direction& incoming = relay_.other(*this);
  if (incoming.pipe_.size() != 0) return incoming.drain_pipe();
  incoming.writer_.on_writable();
}

void TcpRelay::Direction::on_drained() {
  if (relay_.stopped_) return;
  if (eof_) return finish_if_flushed();
  from_->resume(io::PauseReason::kPeerFull);
}

void TcpRelay::Direction::on_eof() {
  eof_ = true;
  // A level-triggered FIN would be reported for ever.
  from_->pause(io::PauseReason::kBusy);
  writer_.flush_batch();  // early bytes may be in it
  if (!relay_.stopped_) finish_if_flushed();
}

void TcpRelay::Direction::finish_if_flushed() {
  if (done_ || pipe_.size() != 0 || writer_.backlog() != 0) return;
  done_ = true;
  to_->shutdown_write();
  relay_.direction_done();
}

void TcpRelay::Direction::on_closed(Failure failure) { relay_.fail(from_side_, failure); }

void TcpRelay::Direction::on_write_failed() {
  relay_.fail(to_side(), to_->failure());
}

}  // namespace pillion::core
