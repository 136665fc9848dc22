#include "proxy/http/h2_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "proxy/base/assert.h"
#include "proxy/http/h2_packed_page.h"
#include "proxy/http/h2_pools.h"

namespace pillion::http {
namespace {

// How many sessions one sweep() looks at: some two milliseconds.
constexpr int kSweepSessions = 400;
// A page with more than this in it is left as it is.
constexpr size_t kMostPacked = H2Memory::kPageBytes * 3 / 4;
// While a session is made, blocks that are larger go into its page.
constexpr size_t kSmallInBuilding = 512;

using Head = H2Pools::Head;

H2Memory& memory_of(void* self) { return *static_cast<H2Memory*>(self); }

Head* head_of(void* block) { return static_cast<Head*>(block) - 1; }

bool is_zero(const void* pages, size_t bytes) {
  const auto* words = static_cast<const uint64_t*>(pages);
  uint64_t any = 0;
  for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) any |= words[i];
  return any == 0;
}

}  // namespace

static_assert(Slab::kCapacity >= H2Memory::kFrameBytes);
static_assert(H2PackedPage::kPage == H2Memory::kPageBytes);

H2Memory::H2Memory(const uint32_t& in_use) : pools_(H2Pools::of_thread()), in_use_(in_use) {}

H2Memory::~H2Memory() {
  DASSERT(blocks_ == 0 && !is_asleep());
  drop_frame();
  if (home_ == nullptr) return;
  pools_.present -= kPageBytes;
  pools_.pages.give(home_);
}

// ---- what nghttp2 calls ----

void* H2Memory::allocate(size_t bytes, void* self) {
  H2Memory& memory = memory_of(self);
  DASSERT(&memory.pools_ == &H2Pools::of_thread());
  Head* head = memory.pools_.take(bytes);
  memory.blocks_ += head->bytes;
  return head + 1;
}

void* H2Memory::allocate_zeroed(size_t count, size_t bytes, void* self) {
  H2Memory& memory = memory_of(self);
  DASSERT(&memory.pools_ == &H2Pools::of_thread());
  const size_t total = count * bytes;  // of its own sizes, which are small
  if (total >= kPageBytes && total % kPageBytes == 0) {
    if (void* table = memory.new_table(total)) return table;
  }
  Head* head = memory.pools_.take_zeroed(total);
  memory.blocks_ += head->bytes;
  return head + 1;
}

void* H2Memory::resize(void* block, size_t bytes, void* self) {
  H2Memory& memory = memory_of(self);
  if (block == nullptr) {
    if (bytes != kFrameBytes || !memory.wants_frame_) return allocate(bytes, self);
    memory.wants_frame_ = false;
    memory.shares_frame_ = true;
    return memory.pools_.frame();
  }
  size_t old = kFrameBytes;
  if (!memory.pools_.is_frame(block)) {
    const size_t table = memory.table_size(block);
    old = table == 0 ? head_of(block)->bytes : table;
    ASSERT(table != 0 || head_of(block)->size_class != H2Pools::kHome);  // nothing of it grows
    if (table == 0 && bytes <= old) return block;
  }
  void* larger = allocate(bytes, self);
  std::memcpy(larger, block, std::min(old, bytes));
  release(block, self);
  return larger;
}

void H2Memory::release(void* block, void* self) {
  if (block == nullptr) return;
  H2Memory& memory = memory_of(self);
  DASSERT(&memory.pools_ == &H2Pools::of_thread());
  // Blocks stand behind a head of 8 bytes, and so never at the begin of a page.
  if (reinterpret_cast<uintptr_t>(block) % kPageBytes == 0) [[unlikely]] {
    if (memory.table_size(block) != 0) return memory.free_table(block);
  }
  if (memory.pools_.is_frame(block)) [[unlikely]] {
    memory.drop_frame();
    memory.shares_frame_ = false;
    return;
  }
  Head* head = head_of(block);
  memory.blocks_ -= head->bytes;
  memory.pools_.give(head);
}

// ---- tables ----

// A table that grows is for a moment two, within one call of nghttp2's.
void* H2Memory::new_table(size_t bytes) {
  if ((table_ != nullptr && pools_.growing != nullptr) || bytes > UINT32_MAX) return nullptr;
  void* pages = bytes == kPageBytes ? pools_.pages.take() : H2Pages::map(bytes);
  if (pages == nullptr) return nullptr;
  (table_ == nullptr ? table_ : pools_.growing) = pages;
  (table_ == pages ? table_bytes_ : pools_.growing_bytes) = static_cast<uint32_t>(bytes);
  return pages;
}

size_t H2Memory::table_size(const void* block) const noexcept {
  if (block == table_) return table_bytes_;
  return block == pools_.growing ? pools_.growing_bytes : 0;
}

void H2Memory::free_table(void* pages) noexcept {
  const size_t bytes = table_size(pages);
  if (pages == table_) {
    set_absent(true);
    table_ = pools_.growing;
    table_bytes_ = pools_.growing_bytes;
  }
  pools_.growing = nullptr;
  bytes == kPageBytes ? pools_.pages.give(pages) : H2Pages::unmap(pages, bytes);
}

void H2Memory::set_absent(bool absent) noexcept {
  if (table_absent_ == absent) return;
  table_absent_ = absent;
  absent ? pools_.present -= table_bytes_ : pools_.present += table_bytes_;
}

void H2Memory::rest() {
  if (table_ != nullptr) set_absent(false);
  if (is_linked()) return;
  pools_.resting.push_back(*this);
  any_resting_ = true;
}

// Zeros as they are without the page, so that it does not matter what nghttp2 means by them.
void H2Memory::sweep_pages() noexcept {
  // Whether it is there is not asked: it may have come, or grown, since.
  if (table_ != nullptr && !is_zero(table_, table_bytes_)) return;  // a stream is there
  if (!table_absent_) {
    H2Pages::drop(table_, table_bytes_);
    set_absent(true);
  }
  if (home_ != nullptr && !is_asleep() && in_use_ == 0) fall_asleep();
}

bool H2Memory::sweep() noexcept {
  H2Pools& pools = H2Pools::of_thread();
  for (int i = 0; i < kSweepSessions; ++i) {
    H2Memory* memory = pools.resting.pop_front();
    if (memory == nullptr) break;
    memory->sweep_pages();
  }
  any_resting_ = !pools.resting.empty();
  return any_resting_;
}

void H2Memory::trim_free_lists() noexcept { H2Pools::of_thread().trim(); }

size_t H2Memory::live() const noexcept {
  const size_t home = home_ == nullptr || is_asleep() ? 0 : kPageBytes;
  return blocks_ + home + (table_absent_ ? 0 : table_bytes_);
}

H2Memory::Usage H2Memory::usage() noexcept {
  const H2Pools& pools = H2Pools::of_thread();
  return {pools.live, pools.present, pools.kept(), pools.mallocs};
}

// ---- the page of the session ----

H2Memory::Building::Building(H2Memory& memory) noexcept : memory_(memory) {
  DASSERT(memory_.pools_.building == nullptr);
  memory_.pools_.building = &memory_;
  memory_.pools_.by_class = kSmallInBuilding;
}

H2Memory::Building::~Building() {
  memory_.pools_.building = nullptr;
  memory_.pools_.by_class = H2SizeClass::kLargest;
}

void* H2Memory::take_home(size_t bytes) {
  const size_t whole = (bytes + alignof(uint64_t) - 1) / alignof(uint64_t) * alignof(uint64_t);
  if (whole > kPageBytes - home_used_) return nullptr;
  if (home_ == nullptr) {
    home_ = pools_.pages.take();
    if (home_ == nullptr) return nullptr;
    pools_.present += kPageBytes;
  }
  void* const block = static_cast<char*>(home_) + home_used_;
  home_used_ = static_cast<uint16_t>(home_used_ + whole);
  return block;
}

void H2Memory::fall_asleep() {
  const size_t bytes = H2PackedPage::bytes(home_);
  if (bytes > kMostPacked) return;
  Head* head = pools_.take_large(bytes);
  blocks_ += head->bytes;
  packed_ = head + 1;
  H2PackedPage::pack(home_, packed_);
  H2Pages::drop(home_, kPageBytes);
  H2Pages::seal(home_);
  pools_.present -= kPageBytes;
}

void H2Memory::wake() noexcept {
  H2Pages::unseal(home_);
  H2PackedPage::unpack(packed_, home_);
  Head* head = head_of(std::exchange(packed_, nullptr));
  blocks_ -= head->bytes;
  pools_.give(head);
  pools_.present += kPageBytes;
  rest();
}

// ---- the frame buffer ----

H2Memory::Sending::Sending(H2Memory& memory) : memory_(memory), outer_(memory.pools_.sending) {
  H2Pools& pools = memory.pools_;
  if (pools.owner != &memory) {
    if (pools.owner != nullptr) [[unlikely]]
      pools.owner->save_frame();
    pools.unseal_frame();
    pools.owner = &memory;
    memory.restore_frame();
  }
  pools.sending = &memory;
}

H2Memory::Sending::~Sending() {
  H2Pools& pools = memory_.pools_;
  pools.sending = outer_;
  if (complete_ && pools.owner == &memory_) {
    pools.owner = nullptr;
    pools.seal_frame();
  }
  if (outer_ == nullptr || outer_ == &memory_ || pools.owner == outer_) [[likely]]
    return;
  // The one around it goes on with its own frame.
  if (pools.owner != nullptr) pools.owner->save_frame();
  pools.unseal_frame();
  pools.owner = outer_;
  outer_->restore_frame();
}

void H2Memory::save_frame() {
  if (!shares_frame_) return;
  if (saved_ == nullptr) saved_ = Slab::make();
  std::memcpy(saved_->data(), pools_.frame(), kFrameBytes);
}

void H2Memory::restore_frame() noexcept {
  if (saved_ == nullptr) return;
  std::memcpy(pools_.frame(), saved_->data(), kFrameBytes);
  Slab::free(std::exchange(saved_, nullptr));
}

void H2Memory::drop_frame() noexcept {
  if (pools_.owner == this) {
    pools_.owner = nullptr;
    pools_.seal_frame();
  }
  if (saved_ != nullptr) Slab::free(std::exchange(saved_, nullptr));
}

}  // namespace pillion::http
