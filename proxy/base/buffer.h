#pragma once
// Buffer: bytes that must outlive a turn, in slabs of 17 KiB (one TLS record with its overhead).
//
// Slabs come from the thread's free list and belong to exactly one Buffer; an empty Buffer holds
// none.  Views into a Buffer die at its next non-const call.  Not thread-safe.

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace pillion {

struct Slab {
  static constexpr size_t kBytes = 17 * 1024;
  Slab* next;
  uint32_t begin;
  uint32_t end;
  char data[kBytes - 16];

  static constexpr size_t kCapacity = kBytes - 16;
  static Slab* make();
  static void free(Slab* slab) noexcept;
  // Gives the slabs that this thread keeps for reuse back to the allocator, all but `keep`.
  static void trim_free_list(size_t keep) noexcept;
  // Slabs in use by this thread's buffers (tests: zero at teardown).
  static int64_t live() noexcept;
};
static_assert(sizeof(Slab) == Slab::kBytes);

class Buffer {
 public:
  Buffer() = default;
  ~Buffer() { clear(); }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }

  [[nodiscard]] size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  void append(std::string_view bytes);
  // Room of at least one byte at the end, to read into; commit(n) makes n of it content.
  std::span<char> reserve();
  void commit(size_t n) noexcept;
  // Moves all of `other` behind the content, slab by slab, without a copy.
  void append(Buffer& other) noexcept;

  // The first contiguous piece; empty when the buffer is.
  [[nodiscard]] std::string_view front() const noexcept;
  // Fills at most `max` entries with the content in order; returns how many.
  int iovecs(iovec* out, int max) const noexcept;
  // Calls fn(piece) for each contiguous piece in order, until it says false: then the buffer may
  // have changed.
  template <typename Fn>
  void for_each_piece(Fn&& fn) const {
    for (const Slab* slab = head_; slab != nullptr; slab = slab->next) {
      if (!fn(std::string_view(slab->data + slab->begin, slab->end - slab->begin))) return;
    }
  }
  // Copies the first bytes to `to`; returns min(n, size()).
  size_t peek(char* to, size_t n) const noexcept;
  void consume(size_t n) noexcept;
  void clear() noexcept { consume(size_); }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(head_, other.head_);
    std::swap(tail_, other.tail_);
    std::swap(size_, other.size_);
  }
  Slab* head_ = nullptr;
  Slab* tail_ = nullptr;
  size_t size_ = 0;
};

}  // namespace pillion
