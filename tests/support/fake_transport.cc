#include "tests/support/fake_transport.h"

#include <algorithm>
#include <cstring>

namespace pillion::testing {

FakeTransport::Pair FakeTransport::make_pair(io::Loop& loop) {
  std::unique_ptr<FakeTransport> a(new FakeTransport(loop, true));
  std::unique_ptr<FakeTransport> b(new FakeTransport(loop, false));
  a->peer_ = b.get();
  b->peer_ = a.get();
  return {std::move(a), std::move(b)};
}

FakeTransport::~FakeTransport() { close(); }

void FakeTransport::start(io::TransportObserver& observer) {
  observer_ = &observer;
  if (announce_) loop_.post(*this);
  if (!inbox_.empty() || fin_ || reset_) wake();
}

void FakeTransport::wake() {
  readable_ = true;
  if (observer_ != nullptr && !closed_) loop_.post(*this);
}

void FakeTransport::inject(std::string_view bytes) {
  inbox_.append(bytes);
  wake();
}

void FakeTransport::inject_fin() {
  fin_ = true;
  wake();
}

void FakeTransport::inject_reset() {
  reset_ = true;
  wake();
}

void FakeTransport::deliver_fin() {
  if (peer_ != nullptr) peer_->inject_fin();
}

void FakeTransport::run_ready() {
  if (std::exchange(announce_, false)) {
    observer_->on_connected();
    if (closed_) return;
  }
  if (want_write_ && peer_ != nullptr && peer_->inbox_.size() - peer_->begin_ < peer_->window) {
    want_write_ = false;
    observer_->on_writable();
    if (closed_) return;
  }
  if (paused_ != 0) return;
  const bool notify = forced_ || readable_;
  forced_ = readable_ = false;
  if (notify) observer_->on_readable();
}

io::IoResult FakeTransport::read(char* to, size_t capacity) {
  ++reads;
  if (next_max_read) max_read = next_max_read();
  const size_t n = std::min({capacity, max_read, inbox_.size() - begin_});
  if (n == 0) {
    if (reset_) {
      failure_ = {FailureKind::kDownstreamReset, 104};
      return {0, io::IoStatus::kError};
    }
    return {0, fin_ ? io::IoStatus::kEof : io::IoStatus::kAgain};
  }
  std::memcpy(to, inbox_.data() + begin_, n);
  begin_ += n;
  if (begin_ == inbox_.size()) {
    inbox_.clear();
    begin_ = 0;
  }
  if (begin_ < inbox_.size() || fin_ || reset_) wake();
  if (peer_ != nullptr && peer_->want_write_) peer_->loop_.post(*peer_);
  return {n, io::IoStatus::kOk};
}

io::IoResult FakeTransport::write(const iovec* pieces, int count) {
  ++writes;
  if (peer_ == nullptr || reset_) {
    failure_ = {FailureKind::kDownstreamReset, 32};
    return {0, io::IoStatus::kError};
  }
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    bytes.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  }
  const size_t waiting = peer_->inbox_.size() - peer_->begin_;
  const size_t n = std::min(bytes.size(), peer_->window > waiting ? peer_->window - waiting : 0);
  if (n < bytes.size()) want_write_ = true;
  bytes.resize(n);
  bytes_written += n;
  if (n == 0) return {0, io::IoStatus::kAgain};
  if (on_write) on_write(bytes);
  if (!bytes.empty()) peer_->inject(bytes);
  return {n, io::IoStatus::kOk};
}

void FakeTransport::shutdown_write() { deliver_fin(); }

void FakeTransport::close(CloseMode mode) {
  if (closed_) return;
  closed_ = true;
  observer_ = nullptr;
  ListNode<io::ReadyTag>::unlink();
  if (peer_ == nullptr) return;
  if (mode == CloseMode::kReset) {
    peer_->inject_reset();
  } else {
    deliver_fin();
  }
  peer_->peer_ = nullptr;
  peer_ = nullptr;
}

void FakeTransport::pause(io::PauseReason reason) { paused_ |= static_cast<uint8_t>(reason); }

void FakeTransport::resume(io::PauseReason reason) {
  paused_ &= static_cast<uint8_t>(~static_cast<uint8_t>(reason));
  if (paused_ == 0 && (begin_ < inbox_.size() || fin_ || reset_)) wake();
}

void FakeTransport::read_again() {
  if (closed_) return;
  forced_ = true;
  loop_.post(*this);
}

}  // namespace pillion::testing
