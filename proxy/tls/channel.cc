#include "proxy/tls/channel.h"

#include <openssl/bio.h>

#include <algorithm>
#include <cstring>

#include "proxy/base/assert.h"

namespace pillion::tls {

Channel& Channel::of_thread() {
  thread_local Channel channel;
  return channel;
}

Channel::Channel()
    : in_block_(new char[kInBytes]),
      out_block_(new char[kOutBytes]),
      staging_(new char[kStagingBytes]),
      bio_(BIO_new(method())) {
  ASSERT(bio_ != nullptr);
  BIO_set_data(bio_, this);
  BIO_set_init(bio_, 1);
}

Channel::~Channel() { BIO_free(bio_); }

const bio_method_st* Channel::method() {
  static const BIO_METHOD* const shared = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pillion transport");
    ASSERT(m != nullptr);
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    return m;
  }();
  return shared;
}

bio_st* Channel::bio_ref() const {
  BIO_up_ref(bio_);
  return bio_;
}

void Channel::begin(const Ends& ends, size_t bytes_wanted) {
  ASSERT(ends_.lower == nullptr);
  ends_ = ends;
  wanted_ = std::clamp<size_t>(bytes_wanted, 4096, kInBytes);
  drained_ = eof_ = error_ = false;
}

bool Channel::end() {
  send();
  if (in_size_ > 0) {
    ends_.unread->append({in_, in_size_});
    in_size_ = 0;
  }
  ends_.lower = nullptr;
  return !error_;
}

bool Channel::send() {
  if (out_used_ == 0) return true;
  size_t sent = 0;
  if (ends_.unsent->empty()) {
    const iovec piece{out_block_.get(), out_used_};
    const io::IoResult r = ends_.lower->write(&piece, 1);
    if (r.status == io::IoStatus::kError) {
      error_ = true;
      out_used_ = 0;
      return false;
    }
    sent = r.bytes;
  }
  const bool complete = sent == out_used_;
  if (!complete) ends_.unsent->append({out_block_.get() + sent, out_used_ - sent});
  out_used_ = 0;
  return complete;
}

// Makes sure that in_ holds bytes; false if there are none now.
bool Channel::fill() {
  if (in_size_ > 0) return true;
  if (drained_ || eof_ || error_) return false;
  const io::IoResult r = ends_.lower->read(in_block_.get(), wanted_);
  switch (r.status) {
    case io::IoStatus::kOk:
      in_ = in_block_.get();
      in_size_ = r.bytes;
      drained_ = r.bytes < wanted_;
      return in_size_ > 0;
    case io::IoStatus::kAgain:
      drained_ = true;
      return false;
    case io::IoStatus::kEof:
      eof_ = true;
      return false;
    case io::IoStatus::kError:
      error_ = true;
      return false;
  }
  UNREACHABLE();
}

int Channel::bio_read(bio_st* bio, char* to, int size) {
  auto* self = static_cast<Channel*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const auto room = static_cast<size_t>(size);
  if (Buffer& unread = *self->ends_.unread; !unread.empty()) {
    const size_t n = unread.peek(to, room);
    unread.consume(n);
    return static_cast<int>(n);
  }
  if (!self->fill()) {
    if (self->eof_) return 0;
    if (!self->error_) BIO_set_retry_read(bio);
    return -1;
  }
  const size_t n = std::min(room, self->in_size_);
  std::memcpy(to, self->in_, n);
  self->in_ += n;
  self->in_size_ -= n;
  return static_cast<int>(n);
}

int Channel::bio_write(bio_st* bio, const char* from, int size) {
  auto* self = static_cast<Channel*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  std::string_view rest(from, static_cast<size_t>(size));
  while (!rest.empty()) {
    const size_t n = std::min(rest.size(), kOutBytes - self->out_used_);
    std::memcpy(self->out_block_.get() + self->out_used_, rest.data(), n);
    self->out_used_ += n;
    rest.remove_prefix(n);
    if (!rest.empty() && !self->send() && self->error_) return -1;
  }
  return size;
}

long Channel::bio_ctrl(bio_st*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

}  // namespace pillion::tls
