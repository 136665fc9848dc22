#pragma once
// H2Pools: what the sessions of one thread share for their memory.  Internal to h2_memory.cc and
// h2_pools.cc; see h2_memory.h.
//
// Made with the first session of a thread, gone with the thread, and then without sessions.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "proxy/base/free_list.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/http/h2_memory.h"

namespace pillion::http {

// Sizes of blocks: steps of 16 up to 256, then four in each doubling up to 8 KiB.
struct H2SizeClass {
  static constexpr size_t kSmall = 16;  // how many of the former
  static constexpr size_t kCount = kSmall + 4 * 5;
  static constexpr size_t kLargest = 8192;

  static constexpr size_t bytes(size_t c) noexcept {
    if (c < kSmall) return (c + 1) * 16;
    const size_t step = c - kSmall;
    return (size_t{256} << (step / 4)) * (5 + step % 4) / 4;
  }
  // Of 1 to kLargest bytes.
  static constexpr size_t of(size_t bytes) noexcept {
    if (bytes <= 256) return (bytes - 1) / 16;
    const auto doubling = static_cast<size_t>(std::bit_width(bytes - 1)) - 9;
    return kSmall + doubling * 4 + ((bytes - 1) >> (doubling + 6)) - 4;
  }
};

// Pages of zeros, cut from mappings that are never given back: an unused page is none.
class H2Pages {
 public:
  H2Pages() = default;
  ~H2Pages();
  H2Pages(const H2Pages&) = delete;
  H2Pages& operator=(const H2Pages&) = delete;

  // Null if the system has none.
  void* take();
  void give(void* page) noexcept;
  void trim() noexcept;
  [[nodiscard]] size_t kept() const noexcept { return used_count_ * H2Memory::kPageBytes; }
  // Makes pages absent: they are zeros again.
  static void drop(void* pages, size_t bytes) noexcept;
  // A mapping of its own; null if the system has none.
  static void* map(size_t bytes) noexcept;
  static void unmap(void* pages, size_t bytes) noexcept;
  // In debug builds nobody can touch the page until unseal().
  static void seal(void* page) noexcept;
  static void unseal(void* page) noexcept;

 private:
  static constexpr size_t kMapping = 64 * H2Memory::kPageBytes;
  std::vector<void*> mappings_;
  std::vector<void*> absent_;
  // That were written to, for the next who want one.
  std::array<void*, 64> used_{};
  size_t used_count_ = 0;
};

class H2Pools {
 public:
  // Stands before each block.
  struct Head {
    uint32_t bytes;       // behind it
    uint32_t size_class;  // kNone: by malloc; kHome: in a session's page, and 0 bytes
  };
  static constexpr uint32_t kNone = H2SizeClass::kCount;
  static constexpr uint32_t kHome = kNone + 1;
  static_assert(sizeof(Head) == 8);

  H2Pools() = default;
  ~H2Pools();
  H2Pools(const H2Pools&) = delete;
  H2Pools& operator=(const H2Pools&) = delete;
  static H2Pools& of_thread();

  Head* take(size_t bytes) {
    if (bytes > by_class) [[unlikely]]
      return take_large(bytes);
    return take_small(bytes);
  }
  Head* take_small(size_t bytes) {
    const size_t c = H2SizeClass::of(bytes == 0 ? 1 : bytes);
    FreeList& list = lists_[c];
    if (list.kept() == 0) ++mallocs;
    Head* head = static_cast<Head*>(list.take());
    *head = {static_cast<uint32_t>(H2SizeClass::bytes(c)), static_cast<uint32_t>(c)};
    live += head->bytes;
    return head;
  }
  void give(Head* head) noexcept {
    live -= head->bytes;
    if (head->size_class >= kNone) [[unlikely]]
      return head->size_class == kNone ? std::free(head) : void();
    lists_[head->size_class].give(head);
  }
  // By malloc; or, while a session is made, in its page.
  Head* take_large(size_t bytes);
  Head* take_zeroed(size_t bytes);

  // The frame buffer; made at first use.
  char* frame();
  [[nodiscard]] bool is_frame(const void* block) const noexcept {
    return block != nullptr && block == frame_;
  }
  // What the buffer holds is of no use to anybody: nobody may touch it.
  void seal_frame() noexcept;
  void unseal_frame() noexcept;

  void trim() noexcept;
  [[nodiscard]] size_t kept() const noexcept;

  H2Memory* owner = nullptr;                // the frame buffer has a frame of it
  H2Memory* sending = nullptr;              // the innermost that makes frames
  H2Memory* building = nullptr;             // its session is being made
  size_t by_class = H2SizeClass::kLargest;  // the largest block of the free lists
  // The table that takes the place of a session's while that grows.
  void* growing = nullptr;
  uint32_t growing_bytes = 0;
  IntrusiveList<H2Memory> resting;
  H2Pages pages;
  size_t live = 0;     // bytes of blocks
  size_t present = 0;  // and of pages
  size_t mallocs = 0;

 private:
  using Lists = std::array<FreeList, H2SizeClass::kCount>;
  template <size_t... kClasses>
  static Lists make_lists(std::index_sequence<kClasses...>) noexcept {
    return {FreeList(sizeof(Head) + H2SizeClass::bytes(kClasses),
                     H2Memory::kKeptBytes / H2SizeClass::bytes(kClasses))...};
  }
  Lists lists_ = make_lists(std::make_index_sequence<H2SizeClass::kCount>());
  char* frame_ = nullptr;
};

}  // namespace pillion::http
