#include "proxy/base/buffer.h"

#include <algorithm>
#include <cstring>

#include "proxy/base/assert.h"
#include "proxy/base/free_list.h"

namespace pillion {
namespace {

// So many a thread stay for reuse: 4 MiB and 1 MiB, until a time of little traffic trims them
// (core/memory_trim.h).  What is beyond goes back at once, which costs two system calls a slab.
constexpr size_t kKept = 256;
constexpr size_t kKeptSmall = 512;
thread_local FreeList free_slabs{Slab::kBytes, kKept};
thread_local FreeList free_small_slabs{Slab::kSmallBytes, kKeptSmall};
thread_local int64_t live_slabs = 0;

Slab* make_slab(FreeList& list, size_t capacity) {
  ++live_slabs;
  Slab* slab = static_cast<Slab*>(list.take());
  slab->next = nullptr;
  slab->begin = slab->end = 0;
  slab->capacity = static_cast<uint16_t>(capacity);
  return slab;
}

}  // namespace

Slab* Slab::make() { return make_slab(free_slabs, kCapacity); }
Slab* Slab::make_small() { return make_slab(free_small_slabs, kSmallCapacity); }

void Slab::free(Slab* slab) noexcept {
  --live_slabs;
  (slab->capacity == kCapacity ? free_slabs : free_small_slabs).give(slab);
}

void Slab::trim_free_list(size_t keep) noexcept {
  free_slabs.trim(keep);
  free_small_slabs.trim(keep);
}
int64_t Slab::live() noexcept { return live_slabs; }

void Buffer::add(Slab* slab) noexcept {
  (tail_ == nullptr ? head_ : tail_->next) = slab;
  tail_ = slab;
}

std::span<char> Buffer::reserve() {
  if (tail_ == nullptr || tail_->room() == 0) add(Slab::make());
  return {tail_->data() + tail_->end, tail_->room()};
}

void Buffer::commit(size_t n) noexcept {
  DASSERT(tail_ != nullptr && n <= tail_->room());
  tail_->end = static_cast<uint16_t>(tail_->end + n);
  size_ += n;
  if (size_ == 0) clear();
}

void Buffer::append(std::string_view bytes) {
  if (tail_ == nullptr && !bytes.empty() && bytes.size() <= Slab::kSmallCapacity)
    add(Slab::make_small());
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
  return head_->content();
}

int Buffer::iovecs(iovec* out, int max) const noexcept {
  int n = 0;
  for (Slab* s = head_; s != nullptr && n < max; s = s->next) {
    if (s->end == s->begin) continue;
    out[n++] = {s->data() + s->begin, static_cast<size_t>(s->end - s->begin)};
  }
  return n;
}

size_t Buffer::peek(char* to, size_t n) const noexcept {
  size_t done = 0;
  for (const Slab* s = head_; s != nullptr && done < n; s = s->next) {
    const std::string_view part = s->content().substr(0, n - done);
    std::memcpy(to + done, part.data(), part.size());
    done += part.size();
  }
  return done;
}

void Buffer::consume(size_t n) noexcept {
  DASSERT(n <= size_);
  size_ -= n;
  while (head_ != nullptr) {
    const size_t part = std::min(n, head_->content().size());
    head_->begin = static_cast<uint16_t>(head_->begin + part);
    n -= part;
    if (head_->begin != head_->end) break;
    Slab* dead = head_;
    head_ = dead->next;
    Slab::free(dead);
  }
  if (head_ == nullptr) tail_ = nullptr;
}

}  // namespace pillion
