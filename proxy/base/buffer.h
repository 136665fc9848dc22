#pragma once
// Buffer: bytes that must outlive a turn, in slabs of 17 KiB (one TLS record with its overhead).  A
// few bytes, such as a message of gRPC that waits for its turn, have a slab of 2 KiB.
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

// The head of a block; its bytes follow.
struct Slab {
  static constexpr size_t kBytes = 17 * 1024;
  static constexpr size_t kSmallBytes = 2 * 1024;
  static constexpr size_t kCapacity = kBytes - 16;
  static constexpr size_t kSmallCapacity = kSmallBytes - 16;

  Slab* next;
  uint16_t begin, end;  // of what it holds
  uint16_t capacity;    // one of the two

  [[nodiscard]] char* data() noexcept { return reinterpret_cast<char*>(this + 1); }
  [[nodiscard]] const char* data() const noexcept {
    return reinterpret_cast<const char*>(this + 1);
  }
  [[nodiscard]] std::string_view content() const noexcept {
    return {data() + begin, static_cast<size_t>(end - begin)};
  }
  [[nodiscard]] size_t room() const noexcept { return static_cast<size_t>(capacity - end); }

  static Slab* make();
  static Slab* make_small();
  static void free(Slab* slab) noexcept;
  // Gives the slabs that this thread keeps for reuse back to the allocator, all but `keep` of each
  // size.
  static void trim_free_list(size_t keep) noexcept;
  // Slabs in use by this thread's buffers (tests: zero at teardown).
  static int64_t live() noexcept;
};
static_assert(sizeof(Slab) == 16);

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
      if (!fn(slab->content())) return;
    }
  }
  // Copies the first bytes to `to`; returns min(n, size()).
  size_t peek(char* to, size_t n) const noexcept;
  void consume(size_t n) noexcept;
  void clear() noexcept { consume(size_); }

 private:
  void add(Slab* slab) noexcept;
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
