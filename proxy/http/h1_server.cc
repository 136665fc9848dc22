#include "proxy/http/h1_server.h"

#include <algorithm>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/http/h1_server_work.h"
#include "proxy/http/h2_preface.h"

namespace pillion::http {
namespace {

// Reading stops while this much waits.
constexpr size_t kPendingLimit = 16 * 1024;
// What waits is worked through in pieces of this size.
constexpr size_t kPendingPiece = 32 * 1024;

}  // namespace

thread_local FreeList H1ServerConnection::Work::free_works{kBlockBytes, kKept};

// An idle connection's memory is this, its transport and its owner
// (tests/perf/connection_memory_test.cc).
static_assert(sizeof(H1ServerConnection) <= 152);

H1ServerConnection::H1ServerConnection(io::Loop& loop, io::WriteBatch& batch,
                                       const H1Limits& limits, Owner& owner)
    : loop_(loop), batch_(batch), owner_(owner), limits_(&limits) {
  static_assert(sizeof(Work) <= Work::kBlockBytes);
}

H1ServerConnection::~H1ServerConnection() {
  DASSERT(closed_);
  delete work_;
}

void H1ServerConnection::need_work() {
  if (work_ == nullptr) work_ = new Work(*this);
}

// Gives the Work back if nothing is left to do.
void H1ServerConnection::rest() {
  if (work_ == nullptr || state_ != State::kIdle || backlog() != 0 || waiting() != 0) return;
  count_traffic();
  sent_ += work_->writer.bytes_sent();
  delete std::exchange(work_, nullptr);
}

bool H1ServerConnection::is_idle() const noexcept {
  return state_ == State::kIdle && waiting() == 0;
}

size_t H1ServerConnection::waiting() const noexcept {
  return work_ == nullptr ? 0 : work_->pending.size();
}

uint64_t H1ServerConnection::bytes_sent() const noexcept {
  return sent_ + (work_ == nullptr ? 0 : work_->writer.bytes_sent());
}

size_t H1ServerConnection::backlog() const noexcept {
  return work_ == nullptr ? 0 : work_->writer.backlog();
}

uint64_t H1ServerConnection::exchange_received() const noexcept {
  return work_ == nullptr ? 0 : received_ - work_->counted_received;
}

uint64_t H1ServerConnection::exchange_sent() const noexcept {
  return work_ == nullptr ? 0 : work_->writer.bytes_added() - work_->added_before;
}

void H1ServerConnection::count_traffic() {
  work_->added_before = work_->writer.bytes_added();
  const uint64_t sent = work_->writer.bytes_sent();
  owner_.on_traffic(received_ - std::exchange(work_->counted_received, received_),
                    sent - std::exchange(work_->counted_sent, sent));
}

void H1ServerConnection::start(std::unique_ptr<io::Transport> transport,
                               std::string_view already_read) {
  transport_ = std::move(transport);
  transport_->start(*this);
  if (!already_read.empty()) {
    need_work();
    received_ += already_read.size();
    work_->pending.append(already_read);
    loop_.post(*this);
  }
}

void H1ServerConnection::close(Failure failure, io::Transport::CloseMode mode) {
  if (closed_) return;
  closed_ = true;
  ListNode<io::ReadyTag>::unlink();
  // It may be on the stack, so it dies with the connection.
  if (work_ != nullptr) {
    count_traffic();
    work_->linger_timer.cancel();
    work_->sink = nullptr;
    work_->writer.detach();
    work_->pending.clear();
  }
  transport_->close(mode);  // it dies with the connection: an access log may ask why it failed
  owner_.on_server_closed(failure);
}

std::unique_ptr<io::Transport> H1ServerConnection::release() {
  closed_ = true;
  ListNode<io::ReadyTag>::unlink();
  if (work_ != nullptr) {
    work_->linger_timer.cancel();
    work_->writer.detach();
    work_->pending.clear();
  }
  return std::move(transport_);
}

bool H1ServerConnection::sniff(std::string_view bytes) {
  const std::string_view wanted = kH2Preface.substr(preface_bytes_);
  const std::string_view common = bytes.substr(0, wanted.size());
  if (wanted.starts_with(common)) {
    preface_bytes_ = static_cast<uint8_t>(preface_bytes_ + common.size());
    if (preface_bytes_ < kH2Preface.size()) return true;
    Buffer all;
    all.append(kH2Preface);
    all.append(bytes.substr(common.size()));
    owner_.on_http2(all);
    return true;
  }
  sniffing_ = false;
  if (preface_bytes_ == 0) return false;
  need_work();
  work_->pending.append(kH2Preface.substr(0, preface_bytes_));
  work_->pending.append(bytes);
  loop_.post(*this);
  return true;
}

void H1ServerConnection::drain() {
  draining_ = true;
  if (!is_idle() || closed_) return;
  if (backlog() == 0) return close({FailureKind::kDraining});
  linger();
}

void H1ServerConnection::begin_tunnel() { tunnel_ = true; }

// ---- turns: what the transport and the loop bring ----

void H1ServerConnection::on_readable() {
  if (closed_) return;
  const bool waits = state_ == State::kRequestDone || waiting() != 0;
  if (waits && waiting() >= kPendingLimit) return settle();
  std::span<char> room = loop_.scratch();
  room = room.first(std::min<size_t>(waits ? kPendingLimit : room.size(), limits_->buffer_limit));
  const io::IoResult r = transport_->read(room.data(), room.size());
  switch (r.status) {
    case io::IoStatus::kOk: {
      if (sniffing_ && sniff({room.data(), r.bytes})) {
        received_ += r.bytes;
        return;
      }
      need_work();
      received_ += r.bytes;
      const size_t used = waits ? 0 : process(room.data(), r.bytes);
      if (!closed_ && used < r.bytes) work_->pending.append({room.data() + used, r.bytes - used});
      break;
    }
    case io::IoStatus::kEof:
      on_eof();
      break;
    case io::IoStatus::kError:
      lose(transport_->failure());
      break;
    case io::IoStatus::kAgain:
      return;
  }
  settle();
}

void H1ServerConnection::run_ready() {
  if (closed_) return;
  if (write_failed_) return lose({FailureKind::kDownstreamReset});
  if (state_ == State::kLinger) return go_on_lingering();
  if (waiting() != 0 && state_ != State::kRequestDone) {
    std::span<char> room = loop_.scratch().first(kPendingPiece);
    const size_t n = work_->pending.peek(room.data(), room.size());
    const size_t used = process(room.data(), n);
    work_->pending.consume(std::min(used, work_->pending.size()));  // a close has cleared it
  }
  settle();
}

void H1ServerConnection::on_writable() {
  if (work_ != nullptr) work_->writer.on_writable();
}

// After each round: sends what it made, and decides what becomes of what waits.
void H1ServerConnection::settle() {
  batch_.flush();
  if (closed_ || state_ == State::kLinger) return;
  const bool full = waiting() >= kPendingLimit;
  if (full != held_) {
    held_ = full;
    full ? transport_->pause(io::PauseReason::kBusy) : transport_->resume(io::PauseReason::kBusy);
  }
  if (state_ == State::kRequestDone) return;
  if (waiting() == 0) {
    if (eof_) return on_eof();
    return rest();
  }
  // on_drained comes back when the client has taken its responses.
  if (state_ != State::kIdle || backlog() == 0) loop_.post_next(*this);
}

void H1ServerConnection::on_eof() {
  eof_ = true;
  transport_->pause(io::PauseReason::kDraining);  // or it would be told again and again
  // What came before it goes first; settle() comes back.
  if (waiting() != 0 && state_ != State::kRequestDone && state_ != State::kLinger) return;
  switch (state_) {
    case State::kIdle:
      // The client may still be taking the last response.
      if (backlog() != 0) return linger();
      return close({FailureKind::kNone});
    case State::kLinger:
      return loop_.post(*this);
    case State::kTunnel:
      // Half-close passes through; the response may go on.
      state_ = State::kRequestDone;
      return work_->sink->on_request_body({}, true);
    case State::kRequestDone:
      return lose({FailureKind::kDownstreamClosed});
    case State::kHead:
    case State::kBody:
    case State::kTrailers:
      return lose({FailureKind::kRequestTruncated});
  }
}

// The client is gone: whoever works for it stops.
void H1ServerConnection::lose(Failure failure) {
  RequestSink* sink = work_ == nullptr ? nullptr : std::exchange(work_->sink, nullptr);
  if (sink != nullptr && !response_done_) sink->on_request_failed(failure);
  close(failure);
}

void H1ServerConnection::pause_request() {
  if (!closed_) transport_->pause(io::PauseReason::kPeerFull);
}

void H1ServerConnection::resume_request() {
  if (!closed_) transport_->resume(io::PauseReason::kPeerFull);
}

}  // namespace pillion::http
