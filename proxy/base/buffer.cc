#include "proxy/base/buffer.h"

#include <algorithm>
#include <cstring>

#include "proxy/base/assert.h"
#include "proxy/base/free_list.h"

namespace pillion {
namespace {

// About 1 MiB of slabs a thread stays for reuse; a burst beyond it goes back to the system at once.
constexpr size_t kKept = 64;
thread_local FreeList free_slabs{Slab::kBytes, kKept};
thread_local int64_t live_slabs = 0;

}  // namespace

Slab* Slab::make() {
  ++live_slabs;
  Slab* slab = static_cast<Slab*>(free_slabs.take());
  slab->next = nullptr;
  slab->begin = slab->end = 0;
  return slab;
}

void Slab::free(Slab* slab) noexcept {
  --live_slabs;
  free_slabs.give(slab);
}

void Slab::trim_free_list(size_t keep) noexcept { free_slabs.trim(keep); }
int64_t Slab::live() noexcept { return live_slabs; }

std::span<char> Buffer::reserve() {
  if (tail_ == nullptr || tail_->end == Slab::kCapacity) {
    Slab* slab = Slab::make();
    (tail_ == nullptr ? head_ : tail_->next) = slab;
    tail_ = slab;
  }
  return {tail_->data + tail_->end, Slab::kCapacity - tail_->end};
}

void Buffer::commit(size_t n) noexcept {
  DASSERT(tail_ != nullptr && tail_->end + n <= Slab::kCapacity);
  tail_->end += static_cast<uint32_t>(n);
  size_ += n;
  if (size_ == 0) clear();
}

void Buffer::append(std::string_view bytes) {
  while (!bytes.empty()) {
    std::span<char> room = reserve();
    const size_t n = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), n);
    commit(n);
    bytes.remove_prefix(n);
  }
}

void Buffer::append(Buffer& other) noexcept {
  if (other.head_ == nullptr) return;
  (tail_ == nullptr ? head_ : tail_->next) = other.head_;
  tail_ = other.tail_;
  size_ += other.size_;
  other.head_ = other.tail_ = nullptr;
  other.size_ = 0;
}

std::string_view Buffer::front() const noexcept {
  if (head_ == nullptr) return {};
  return {head_->data + head_->begin, head_->end - head_->begin};
}

int Buffer::iovecs(iovec* out, int max) const noexcept {
  int n = 0;
  for (Slab* s = head_; s != nullptr && n < max; s = s->next) {
    if (s->end == s->begin) continue;
    out[n++] = {s->data + s->begin, s->end - s->begin};
  }
  return n;
}

size_t Buffer::peek(char* to, size_t n) const noexcept {
  size_t done = 0;
  for (Slab* s = head_; s != nullptr && done < n; s = s->next) {
    const size_t part = std::min<size_t>(n - done, s->end - s->begin);
    std::memcpy(to + done, s->data + s->begin, part);
    done += part;
  }
  return done;
}

void Buffer::consume(size_t n) noexcept {
  DASSERT(n <= size_);
  size_ -= n;
  while (head_ != nullptr) {
    const size_t part = std::min<size_t>(n, head_->end - head_->begin);
    head_->begin += static_cast<uint32_t>(part);
    n -= part;
    if (head_->begin != head_->end) break;
    Slab* dead = head_;
    head_ = dead->next;
    Slab::free(dead);
  }
  if (head_ == nullptr) tail_ = nullptr;
}

}  // namespace pillion
