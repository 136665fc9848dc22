#include "proxy/base/buffer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "proxy/base/rng.h"

namespace pillion {
namespace {

std::string pattern(size_t size, size_t start = 0) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (start + i) % 26);
  return text;
}
std::string content(const Buffer& buffer) {
  std::string text(buffer.size(), '\0');
  EXPECT_EQ(buffer.peek(text.data(), text.size()), text.size());
  return text;
}

// No slab may be left when a test ends.
class BufferTest : public ::testing::Test {
 protected:
  ~BufferTest() override { EXPECT_EQ(Slab::live(), 0); }
};

TEST_F(BufferTest, HoldsNoSlabWhileEmpty) {
  Buffer buffer;
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.front(), "");
  EXPECT_EQ(Slab::live(), 0);
  buffer.append("x");
  EXPECT_EQ(Slab::live(), 1);
  buffer.consume(1);
  EXPECT_EQ(Slab::live(), 0);
}

TEST_F(BufferTest, KeepsOrderAcrossSlabs) {
  Buffer buffer;
  const std::string text = pattern(3 * Slab::kCapacity + 100);
  buffer.append(text);
  EXPECT_EQ(buffer.size(), text.size());
  EXPECT_EQ(Slab::live(), 4);
  EXPECT_EQ(content(buffer), text);
  buffer.consume(Slab::kCapacity + 10);
  EXPECT_EQ(Slab::live(), 3);
  EXPECT_EQ(content(buffer), text.substr(Slab::kCapacity + 10));
  EXPECT_EQ(buffer.front(), text.substr(Slab::kCapacity + 10, Slab::kCapacity - 10));
}

TEST_F(BufferTest, AFewBytesHaveASmallSlabAndMoreBytesFollowInLargeOnes) {
  Buffer buffer;
  buffer.append("x");
  EXPECT_EQ(buffer.reserve().size(), Slab::kSmallCapacity - 1);
  const std::string more = pattern(Slab::kSmallCapacity + 100);
  buffer.append(more);
  EXPECT_EQ(content(buffer), "x" + more);
  iovec pieces[4];
  ASSERT_EQ(buffer.iovecs(pieces, 4), 2);
  EXPECT_EQ(pieces[0].iov_len, Slab::kSmallCapacity);
  EXPECT_EQ(buffer.reserve().size(), Slab::kCapacity - 101);
  buffer.consume(Slab::kSmallCapacity);
  EXPECT_EQ(Slab::live(), 1);
  Buffer exactly;
  exactly.append(pattern(Slab::kSmallCapacity));
  EXPECT_EQ(exactly.reserve().size(), Slab::kCapacity) << "it was full";
  exactly.clear();
  EXPECT_EQ(Slab::live(), 1);
}

TEST_F(BufferTest, ReadsInPlace) {
  Buffer buffer;
  const std::span<char> room = buffer.reserve();
  ASSERT_GE(room.size(), 5u);
  std::memcpy(room.data(), "hello", 5);
  buffer.commit(5);
  EXPECT_EQ(buffer.front(), "hello");
}

TEST_F(BufferTest, GivesTheSlabBackWhenNothingWasRead) {
  Buffer buffer;
  (void)buffer.reserve();
  EXPECT_EQ(Slab::live(), 1);
  buffer.commit(0);
  EXPECT_EQ(Slab::live(), 0);
}

TEST_F(BufferTest, AReservedSlabThatStaysEmptyDoesNotHideWhatFollows) {
  Buffer buffer;
  buffer.append(pattern(Slab::kCapacity));
  (void)buffer.reserve();  // a second slab
  buffer.commit(0);
  buffer.append("tail");
  buffer.consume(Slab::kCapacity);
  EXPECT_EQ(buffer.front(), "tail");
}

TEST_F(BufferTest, ListsItsPiecesForGatheredWrites) {
  Buffer buffer;
  buffer.append(pattern(2 * Slab::kCapacity + 1));
  iovec pieces[8];
  ASSERT_EQ(buffer.iovecs(pieces, 8), 3);
  EXPECT_EQ(pieces[0].iov_len, Slab::kCapacity);
  EXPECT_EQ(pieces[2].iov_len, 1u);
  EXPECT_EQ(buffer.iovecs(pieces, 2), 2) << "no more than asked for";
}

TEST_F(BufferTest, TakesOverAnotherBufferWithoutCopying) {
  Buffer a;
  Buffer b;
  a.append("head ");
  b.append("tail");
  const char* bytes = b.front().data();
  a.append(b);
  EXPECT_TRUE(b.empty());
  EXPECT_EQ(content(a), "head tail");
  a.consume(5);
  EXPECT_EQ(a.front().data(), bytes);
  b.append("b lives on");
  EXPECT_EQ(content(b), "b lives on");
}

TEST_F(BufferTest, MovesWithItsContent) {
  Buffer a;
  a.append("text");
  Buffer b = std::move(a);
  EXPECT_EQ(content(b), "text");
  Buffer c;
  c = std::move(b);
  EXPECT_EQ(content(c), "text");
}

TEST_F(BufferTest, PeeksNoMoreThanThereIs) {
  Buffer buffer;
  buffer.append("abc");
  char text[8];
  EXPECT_EQ(buffer.peek(text, sizeof text), 3u);
  EXPECT_EQ(buffer.size(), 3u) << "peeking takes nothing";
}

TEST_F(BufferTest, BehavesLikeAStringUnderRandomUse) {
  Rng rng(42);
  Buffer buffer;
  std::string model;
  for (int step = 0; step < 3000; ++step) {
    const size_t n = rng.below(20'000);
    if (rng.below(2) == 0) {
      const std::string text = pattern(n, static_cast<size_t>(step));
      buffer.append(text);
      model += text;
    } else {
      const size_t taken = std::min(n, model.size());
      buffer.consume(taken);
      model.erase(0, taken);
    }
    ASSERT_EQ(buffer.size(), model.size());
    if (step % 50 == 0) {
      ASSERT_EQ(content(buffer), model);
    }
    if (model.size() > 500'000) {
      buffer.clear();
      model.clear();
    }
  }
  buffer.clear();
  Slab::trim_free_list(0);
}

}  // namespace
}  // namespace pillion
