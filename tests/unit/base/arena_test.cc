#include "proxy/base/arena.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pillion {
namespace {

bool is_aligned(const void* p, size_t align) { return reinterpret_cast<uintptr_t>(p) % align == 0; }

TEST(Arena, HoldsNothingUntilItIsUsed) {
  const Arena arena;
  EXPECT_EQ(arena.bytes_reserved(), 0u);
}

TEST(Arena, GivesAlignedMemoryThatDoesNotOverlap) {
  Arena arena;
  std::vector<std::pair<char*, size_t>> blocks;
  for (size_t i = 1; i < 400; ++i) {
    const size_t bytes = i * 7 % 97 + 1;
    const size_t align = size_t{1} << (i % 7);
    auto* p = static_cast<char*>(arena.allocate(bytes, align));
    ASSERT_TRUE(is_aligned(p, align)) << align;
    std::memset(p, static_cast<int>(i & 0xff), bytes);
    blocks.emplace_back(p, bytes);
  }
  for (size_t i = 1; i <= blocks.size(); ++i) {
    const auto& [p, bytes] = blocks[i - 1];
    for (size_t j = 0; j < bytes; ++j) ASSERT_EQ(static_cast<unsigned char>(p[j]), i & 0xff);
  }
}

TEST(Arena, TakesBlocksLargerThanAChunk) {
  Arena arena;
  auto* small = static_cast<char*>(arena.allocate(16));
  auto* large = static_cast<char*>(arena.allocate(100'000, 64));
  EXPECT_TRUE(is_aligned(large, 64));
  std::memset(large, 1, 100'000);
  auto* after = static_cast<char*>(arena.allocate(16));
  EXPECT_EQ(after, small + 16) << "the chunk that was open is still used";
  Arena first_is_large;
  std::memset(first_is_large.allocate(5000), 1, 5000);
  std::memset(first_is_large.allocate(5000), 2, 5000);
}

TEST(Arena, RunsDestructorsInReverseOrder) {
  std::string order;
  struct Note {
    Note(std::string& o, char n) : out(o), name(n) {}
    ~Note() { out += name; }
    std::string& out;
    char name;
  };
  Arena arena;
  arena.create<Note>(order, 'a');
  arena.create<Note>(order, 'b');
  arena.create<Note>(order, 'c');
  arena.clear();
  EXPECT_EQ(order, "cba");
  arena.clear();
  EXPECT_EQ(order, "cba") << "once";
}

TEST(Arena, CopiesText) {
  Arena arena;
  std::string text = "value";
  const std::string_view copy = arena.copy(text);
  text = "other";
  EXPECT_EQ(copy, "value");
  EXPECT_TRUE(arena.copy("").empty());
}

TEST(Arena, CanBeUsedAgainAfterClear) {
  Arena arena;
  std::memset(arena.allocate(3000), 1, 3000);
  std::memset(arena.allocate(3000), 1, 3000);
  EXPECT_GE(arena.bytes_reserved(), 2 * Arena::kChunkBytes);
  arena.clear();
  EXPECT_EQ(arena.bytes_reserved(), 0u);
  EXPECT_EQ(arena.copy("again"), "again");
  arena.clear();
  Arena::trim_free_list();
}

}  // namespace
}  // namespace pillion
