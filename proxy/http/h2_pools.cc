#include "proxy/http/h2_pools.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "proxy/base/assert.h"

namespace pillion::http {
namespace {

constexpr size_t kPage = H2Memory::kPageBytes;

static_assert(H2SizeClass::bytes(H2SizeClass::kCount - 1) == H2SizeClass::kLargest);
static_assert([] {
  for (size_t n = 1; n <= H2SizeClass::kLargest; ++n) {
    const size_t c = H2SizeClass::of(n);
    if (H2SizeClass::bytes(c) < n || (c != 0 && H2SizeClass::bytes(c - 1) >= n)) return false;
  }
  return true;
}());

}  // namespace

// ---- pages ----

H2Pages::~H2Pages() {
  for (void* mapping : mappings_) unmap(mapping, kMapping);
}

void* H2Pages::map(size_t bytes) noexcept {
  void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? nullptr : pages;
}

void H2Pages::unmap(void* pages, size_t bytes) noexcept { ::munmap(pages, bytes); }

void H2Pages::drop(void* pages, size_t bytes) noexcept { ::madvise(pages, bytes, MADV_DONTNEED); }

#ifdef NDEBUG
void H2Pages::seal(void*) noexcept {}
void H2Pages::unseal(void*) noexcept {}
#else
void H2Pages::seal(void* page) noexcept { ::mprotect(page, kPage, PROT_NONE); }
void H2Pages::unseal(void* page) noexcept { ::mprotect(page, kPage, PROT_READ | PROT_WRITE); }
#endif

void* H2Pages::take() {
  if (used_count_ != 0) return std::memset(used_[--used_count_], 0, kPage);
  if (absent_.empty()) {
    char* mapping = static_cast<char*>(map(kMapping));
    if (mapping == nullptr) return nullptr;
    mappings_.push_back(mapping);
    absent_.reserve(mappings_.size() * (kMapping / kPage));  // give() needs none
    for (size_t at = kMapping; at != 0; at -= kPage) absent_.push_back(mapping + at - kPage);
  }
  void* page = absent_.back();
  absent_.pop_back();
  return page;
}

void H2Pages::give(void* page) noexcept {
  if (used_count_ < used_.size()) {
    used_[used_count_++] = page;
    return;
  }
  drop(page, kPage);
  absent_.push_back(page);
}

void H2Pages::trim() noexcept {
  while (used_count_ != 0) {
    void* page = used_[--used_count_];
    drop(page, kPage);
    absent_.push_back(page);
  }
}

// ---- blocks ----

H2Pools& H2Pools::of_thread() {
  thread_local H2Pools pools;
  return pools;
}

H2Pools::~H2Pools() {
  unseal_frame();
  std::free(frame_);
}

H2Pools::Head* H2Pools::take_large(size_t bytes) {
  ASSERT(bytes <= UINT32_MAX);
  if (building != nullptr) {
    if (auto* home = static_cast<Head*>(building->take_home(sizeof(Head) + bytes))) {
      *home = {0, kHome};
      return home;
    }
    if (bytes <= H2SizeClass::kLargest) return take_small(bytes);
  }
  ++mallocs;
  auto* head = static_cast<Head*>(std::malloc(sizeof(Head) + bytes));
  if (head == nullptr) std::abort();
  *head = {static_cast<uint32_t>(bytes), kNone};
  live += bytes;
  return head;
}

// A session itself, as a rule: of that very size, for there may be very many.
H2Pools::Head* H2Pools::take_zeroed(size_t bytes) {
  Head* head = take_large(bytes);
  std::memset(head + 1, 0, bytes);
  return head;
}

void H2Pools::trim() noexcept {
  for (FreeList& list : lists_) list.trim(0);
  pages.trim();
}

size_t H2Pools::kept() const noexcept {
  size_t bytes = pages.kept();
  for (size_t c = 0; c < lists_.size(); ++c) bytes += lists_[c].kept() * H2SizeClass::bytes(c);
  return bytes;
}

// ---- the frame buffer ----

char* H2Pools::frame() {
  if (frame_ != nullptr) return frame_;
  ++mallocs;
  frame_ = static_cast<char*>(std::malloc(H2Memory::kFrameBytes));
  if (frame_ == nullptr) std::abort();
  return frame_;
}

void H2Pools::seal_frame() noexcept {
  if (frame_ == nullptr) return;
#ifdef PILLION_ASAN
  __asan_poison_memory_region(frame_, H2Memory::kFrameBytes);
#elif !defined(NDEBUG)
  std::memset(frame_, 0xdd, H2Memory::kFrameBytes);
#endif
}

void H2Pools::unseal_frame() noexcept {
#ifdef PILLION_ASAN
  if (frame_ != nullptr) __asan_unpoison_memory_region(frame_, H2Memory::kFrameBytes);
#endif
}

}  // namespace pillion::http
