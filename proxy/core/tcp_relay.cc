#include "proxy/core/tcp_relay.h"

#include <utility>

#include "proxy/base/free_list.h"
#include "proxy/io/socket.h"
#include "proxy/io/splice_pipe.h"

namespace pillion::core {
namespace {

// A single read of this size is bulk; below it two copies are cheaper than a pipe's bookkeeping.
constexpr size_t kSpliceAbove = 64 * 1024;
// And a direction that brings less than this at a time is no longer bulk.
constexpr size_t kCopyBelow = 16 * 1024;

}  // namespace

struct TcpRelay::Outgoing {
  Outgoing(io::WriteBatch& batch, Direction& direction, io::Transport& to)
      : writer(batch, direction) {
    writer.set_transport(to);
  }
  static void* operator new(size_t) { return free_blocks.take(); }
  static void operator delete(void* memory) noexcept { free_blocks.give(memory); }

  io::Writer writer;
  io::SplicePipe pipe;

  static constexpr size_t kBlockBytes = 96;
  static thread_local FreeList free_blocks;
};
thread_local FreeList TcpRelay::Outgoing::free_blocks{kBlockBytes, 64};

TcpRelay::TcpRelay(io::WriteBatch& batch, Observer& observer)
    : batch_(batch),
      observer_(observer),
      down_(*this, Side::kDownstream),
      up_(*this, Side::kUpstream) {
  static_assert(sizeof(Outgoing) <= Outgoing::kBlockBytes);
  // Idle relays are many (databases, queues); tests/perf/connection_memory_test.cc.
  static_assert(sizeof(TcpRelay) <= 136);
}

void TcpRelay::start(io::Transport& downstream, io::Transport& upstream, std::string_view early) {
  down_.from_ = up_.to_ = &downstream;
  down_.to_ = up_.from_ = &upstream;
  downstream.start(down_);
  upstream.start(up_);
  if (!early.empty()) {
    down_.outgoing().writer.append_copy(early);
    observer_.on_relayed(Side::kDownstream, early.size());
    if (stopped_) return;
  }
  // What came before is not announced again.
  downstream.read_again();
  upstream.read_again();
}

void TcpRelay::stop() {
  stopped_ = true;
  down_.stop();
  up_.stop();
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

TcpRelay::Direction::~Direction() { delete outgoing_; }

TcpRelay::Outgoing& TcpRelay::Direction::outgoing() {
  if (outgoing_ == nullptr) outgoing_ = new Outgoing(relay_.batch_, *this, *to_);
  return *outgoing_;
}

// Bytes on their way that our transport's peer has not got, as far as we know.
size_t TcpRelay::Direction::held() const noexcept {
  return outgoing_ == nullptr ? to_->pending_write()
                              : outgoing_->writer.backlog() + outgoing_->pipe.size();
}

// After what was read has been sent: nothing of it is left in the batch.
void TcpRelay::Direction::rest() {
  if (!relay_.stopped_ && held() == 0) delete std::exchange(outgoing_, nullptr);
}

// It may be on the stack, so what it has dies with the relay.
void TcpRelay::Direction::stop() {
  if (outgoing_ == nullptr) return;
  outgoing_->writer.detach();
  outgoing_->pipe.release();
}

void TcpRelay::Direction::on_readable() {
  if (relay_.stopped_ || eof_) return;
  // Without a pipe (no descriptors left) copying goes on as well.
  if (splicing_ && outgoing().pipe.open()) return splice();
  copy();
}

void TcpRelay::Direction::copy() {
  const std::span<char> room = relay_.batch_.loop().scratch();
  const io::IoResult r = from_->read(room.data(), room.size());
  switch (r.status) {
    case io::IoStatus::kOk:
      from_->watch();
      outgoing().writer.add({room.data(), r.bytes});
      relay_.batch_.flush();
      if (relay_.stopped_) return;  // the write failed
      relay_.observer_.on_relayed(from_side_, r.bytes);
      if (relay_.stopped_) return;
      if (held() != 0) return from_->pause(io::PauseReason::kPeerFull);
      rest();
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
  io::SplicePipe& pipe = outgoing_->pipe;
  const io::IoResult in = pipe.fill(from_->raw_fd());
  switch (in.status) {
    case io::IoStatus::kOk:
      if (in.bytes < kCopyBelow) splicing_ = false;
      relay_.observer_.on_relayed(from_side_, in.bytes);
      if (relay_.stopped_) return;
      drain_pipe();
      if (!relay_.stopped_) from_->watch();
      return;
    case io::IoStatus::kEof:
      pipe.release();
      return on_eof();
    case io::IoStatus::kError:
      return relay_.fail(from_side_, {io::broken_by(pipe.error()), pipe.error()});
    case io::IoStatus::kAgain:
      pipe.release();
      rest();
      return from_->watch();
  }
}

void TcpRelay::Direction::drain_pipe() {
  io::SplicePipe& pipe = outgoing_->pipe;
  const io::IoResult out = pipe.drain(to_->raw_fd());
  if (out.status == io::IoStatus::kError) {
    return relay_.fail(to_side(), {io::broken_by(pipe.error()), pipe.error()});
  }
  if (pipe.size() != 0) {
    from_->pause(io::PauseReason::kPeerFull);
    return to_->want_writable();
  }
  pipe.release();
  rest();
  from_->resume(io::PauseReason::kPeerFull);
}

// Our transport can take more of what the other direction brings.
void TcpRelay::Direction::on_writable() {
  if (relay_.stopped_) return;
  Direction& incoming = relay_.other(*this);
  if (incoming.outgoing_ == nullptr) {
    if (incoming.eof_) incoming.finish_if_flushed();
    return;
  }
  if (incoming.outgoing_->pipe.size() != 0) return incoming.drain_pipe();
  incoming.outgoing_->writer.on_writable();
  incoming.rest();
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
  relay_.batch_.flush();  // early bytes may be in it
  if (!relay_.stopped_) finish_if_flushed();
}

void TcpRelay::Direction::finish_if_flushed() {
  if (done_ || held() != 0) return;
  done_ = true;
  to_->shutdown_write();
  relay_.direction_done();
}

void TcpRelay::Direction::on_closed(Failure failure) { relay_.fail(from_side_, failure); }

void TcpRelay::Direction::on_write_failed() { relay_.fail(to_side(), to_->failure()); }

}  // namespace pillion::core
