#pragma once
// Blocks of one size kept for reuse by one thread.  Under ASan kept blocks are poisoned, so that a
// use after free is still caught; in debug builds nothing is kept at all (design section 7.9).

#include <cstddef>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#define PILLION_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PILLION_ASAN 1
#endif
#endif
#ifdef PILLION_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace pillion {

class FreeList {
 public:
  // Keeps at most `max_kept` blocks of `block_bytes` each; the rest goes back to malloc at once.
  constexpr FreeList(size_t block_bytes, size_t max_kept) noexcept
      : block_bytes_(block_bytes), max_kept_(max_kept) {}
  ~FreeList() { trim(0); }
  FreeList(const FreeList&) = delete;
  FreeList& operator=(const FreeList&) = delete;

  void* take() {
    if (head_ == nullptr) [[unlikely]]
      return fresh();
    Block* block = head_;
    unpoison(block);
    head_ = block->next;
    --kept_;
    return block;
  }
  void give(void* memory) noexcept {
    if (kept_ >= max_kept_ || bypass()) return std::free(memory);
    Block* block = static_cast<Block*>(memory);
    block->next = head_;
    head_ = block;
    ++kept_;
    poison(block);
  }
  // Releases blocks until at most `keep` are left.
  void trim(size_t keep) noexcept {
    while (kept_ > keep) std::free(take());
  }
  [[nodiscard]] size_t kept() const noexcept { return kept_; }

 private:
  struct Block {
    Block* next;
  };
  void* fresh() const {
    void* memory = std::malloc(block_bytes_);
    if (memory == nullptr) std::abort();  // out of memory ends the process (style.md 4.6)
    return memory;
  }
  static constexpr bool bypass() noexcept {
#if defined(NDEBUG) || defined(PILLION_ASAN)
    return false;
#else
    return true;
#endif
  }
  void poison([[maybe_unused]] void* block) const noexcept {
#ifdef PILLION_ASAN
    __asan_poison_memory_region(block, block_bytes_);
#endif
  }
  void unpoison([[maybe_unused]] void* block) const noexcept {
#ifdef PILLION_ASAN
    __asan_unpoison_memory_region(block, block_bytes_);
#endif
  }
  size_t block_bytes_;
  size_t max_kept_;
  size_t kept_ = 0;
  Block* head_ = nullptr;
};

}  // namespace pillion
