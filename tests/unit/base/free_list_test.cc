#include "proxy/base/free_list.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace pillion {
namespace {

#if defined(NDEBUG) || defined(PILLION_ASAN)
constexpr bool kKeeps = true;
#else
constexpr bool kKeeps = false;  // debug builds keep nothing, so that tools see every use after free
#endif

TEST(FreeList, KeepsNoMoreThanItsLimit) {
  FreeList list(128, 3);
  std::vector<void*> blocks;
  for (int i = 0; i < 5; ++i) blocks.push_back(list.take());
  for (void* block : blocks) {
    std::memset(block, 0xab, 128);
    list.give(block);
  }
  EXPECT_EQ(list.kept(), kKeeps ? 3u : 0u);
}

TEST(FreeList, GivesKeptBlocksOutAgain) {
  FreeList list(64, 8);
  void* first = list.take();
  list.give(first);
  void* second = list.take();
  EXPECT_TRUE(!kKeeps || second == first);
  std::memset(second, 0, 64);  // usable, also when it was poisoned meanwhile
  list.give(second);
}

TEST(FreeList, TrimsToWhatIsAsked) {
  FreeList list(64, 8);
  void* a = list.take();
  void* b = list.take();
  list.give(a);
  list.give(b);
  list.trim(1);
  EXPECT_LE(list.kept(), 1u);
  list.trim(0);
  EXPECT_EQ(list.kept(), 0u);
}

}  // namespace
}  // namespace pillion
