#include "proxy/io/writer.h"

#include <algorithm>

#include "proxy/base/assert.h"

namespace pillion::io {

void WriteBatch::flush() {
  Writer* owner = owner_;
  if (owner == nullptr) return;
  owner_ = nullptr;
  ListNode<ReadyTag>::unlink();
  const int count = count_;
  count_ = 0;
  used_ = 0;
  owner->flush_pieces(pieces_, count);
}

void Writer::own_batch() {
  if (batch_.owner_ == this) return;
  batch_.flush();
  take_batch();
}

void Writer::take_batch() {
  batch_.owner_ = this;
  batch_.loop_.post(batch_);
}

char* Writer::reserve(size_t size) {
  own_batch();
  if (size > WriteBatch::kTextBytes) {
    batch_.large_ = std::make_unique<char[]>(size);
    return batch_.large_.get();
  }
  if (batch_.used_ + size > WriteBatch::kTextBytes || batch_.count_ == WriteBatch::kPieces) {
    batch_.flush();
    take_batch();
  }
  return batch_.text_.get() + batch_.used_;
}

void Writer::commit(size_t size) {
  DASSERT(batch_.owner_ == this);
  if (batch_.large_ != nullptr) {
    add({batch_.large_.get(), size});
    batch_.flush();
    batch_.large_.reset();
    return;
  }
  char* begin = batch_.text_.get() + batch_.used_;
  batch_.used_ += size;
  if (batch_.count_ > 0) {
    iovec& last = batch_.pieces_[batch_.count_ - 1];
    if (static_cast<char*>(last.iov_base) + last.iov_len == begin) {
      last.iov_len += size;
      return;
    }
  }
  batch_.pieces_[batch_.count_++] = {begin, size};
}

void Writer::add(std::string_view bytes) {
  if (bytes.empty()) return;
  own_batch();
  if (batch_.count_ == WriteBatch::kPieces) {
    batch_.flush();
    take_batch();
  }
  batch_.pieces_[batch_.count_++] = {const_cast<char*>(bytes.data()), bytes.size()};
}

void Writer::flush_pieces(const iovec* pieces, int count) {
  if (count == 0 || failed_ || transport_ == nullptr) return;
  size_t skip = 0;
  if (backlog_.empty()) {
    const IoResult r = transport_->write(pieces, count);
    if (r.status == IoStatus::kError) return fail();
    sent_ += r.bytes;
    skip = r.bytes;
  }
  for (int i = 0; i < count; ++i) {
    const size_t n = pieces[i].iov_len;
    if (skip >= n) {
      skip -= n;
      continue;
    }
    backlog_.append({static_cast<char*>(pieces[i].iov_base) + skip, n - skip});
    skip = 0;
  }
  if (ending_) end_if_empty();
}

void Writer::end() {
  ending_ = true;
  if (batch_.owner_ != this) end_if_empty();
}

void Writer::end_if_empty() {
  if (!backlog_.empty() || failed_ || transport_ == nullptr) return;
  ending_ = false;  // once
  transport_->shutdown_write();
}

void Writer::on_writable() {
  if (failed_) return;
  write_backlog();
  if (ending_) end_if_empty();
  if (!failed_ && backlog() == 0) observer_.on_drained();
}

void Writer::write_backlog() {
  while (!backlog_.empty()) {
    iovec pieces[16];
    const int count = backlog_.iovecs(pieces, 16);
    size_t offered = 0;
    for (int i = 0; i < count; ++i) offered += pieces[i].iov_len;
    const IoResult r = transport_->write(pieces, count);
    if (r.status == IoStatus::kError) return fail();
    sent_ += r.bytes;
    backlog_.consume(r.bytes);
    if (r.bytes < offered) return;
  }
}

void Writer::fail() {
  failed_ = true;
  backlog_.clear();
  observer_.on_write_failed();
}

uint64_t Writer::bytes_added() const noexcept {
  uint64_t bytes = sent_ + backlog_.size();
  if (batch_.owner_ != this) return bytes;
  for (int i = 0; i < batch_.count_; ++i) bytes += batch_.pieces_[i].iov_len;
  return bytes;
}

size_t Writer::backlog() const noexcept {
  return backlog_.size() + (transport_ == nullptr ? 0 : transport_->pending_write());
}

void Writer::detach() noexcept {
  if (batch_.owner_ == this) {
    batch_.owner_ = nullptr;
    batch_.ListNode<ReadyTag>::unlink();
    batch_.count_ = 0;
    batch_.used_ = 0;
  }
  transport_ = nullptr;
  backlog_.clear();
}

}  // namespace pillion::io
