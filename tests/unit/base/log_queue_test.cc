#include "proxy/base/log_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace pillion {
namespace {

using Lines = std::vector<std::pair<uint32_t, std::string>>;

Lines drain(LogQueue& queue) {
  Lines lines;
  queue.drain([&lines](uint32_t tag, std::string_view text) { lines.emplace_back(tag, text); });
  return lines;
}

TEST(LogQueue, DeliversInOrderWithTags) {
  LogQueue queue(1 << 20);
  EXPECT_FALSE(queue.has_records());
  EXPECT_TRUE(queue.push(1, "first\n"));
  EXPECT_TRUE(queue.push(2, ""));
  EXPECT_TRUE(queue.has_records());
  EXPECT_EQ(drain(queue), (Lines{{1, "first\n"}, {2, ""}}));
  EXPECT_FALSE(queue.has_records());
  EXPECT_TRUE(drain(queue).empty());
}

TEST(LogQueue, CrossesChunksWithRecordsOfEverySize) {
  LogQueue queue(1 << 22);
  size_t expected = 0;
  for (int round = 0; round < 3; ++round) {
    for (size_t size = 0; size < 3 * LogQueue::kChunkBytes; size += 997) {
      ASSERT_TRUE(queue.push(static_cast<uint32_t>(size), std::string(size, 'x')));
      ++expected;
    }
    size_t seen = 0;
    queue.drain([&seen](uint32_t tag, std::string_view text) {
      EXPECT_EQ(text, std::string(tag, 'x'));
      ++seen;
    });
    EXPECT_EQ(seen, expected);
    expected = 0;
    queue.trim();
  }
}

TEST(LogQueue, DropsAndCountsWhenFullAndRecovers) {
  LogQueue queue(1000);
  int taken = 0;
  for (int i = 0; i < 100; ++i)
    taken += queue.push(0, std::string(92, 'x')) ? 1 : 0;  // 100 bytes each, with 8 of header
  EXPECT_EQ(taken, 9);
  EXPECT_EQ(queue.dropped(), 91u);
  EXPECT_EQ(drain(queue).size(), 9u);
  EXPECT_TRUE(queue.push(0, "again"));
  EXPECT_FALSE(queue.push(0, std::string(2000, 'x'))) << "larger than the limit";
}

TEST(LogQueue, TellsOncePerThreshold) {
  LogQueue queue(1 << 20);
  EXPECT_FALSE(queue.passed(100));
  queue.push(0, std::string(200, 'x'));
  EXPECT_TRUE(queue.passed(100));
  EXPECT_FALSE(queue.passed(100));
}

TEST(LogQueue, PassesLinesBetweenThreadsWithoutLossOrMixing) {
  LogQueue queue(64 * 1024);  // small, so that the producer meets the limit
  constexpr uint32_t kLines = 50'000;
  std::thread producer([&queue] {
    for (uint32_t i = 0; i < kLines; ++i) {
      const std::string text = std::to_string(i) + std::string(i % 50, '.');
      while (!queue.push(i, text)) std::this_thread::yield();
    }
  });
  uint32_t next = 0;
  while (next < kLines) {
    queue.drain([&next](uint32_t tag, std::string_view text) {
      ASSERT_EQ(tag, next);
      ASSERT_EQ(text, std::to_string(next) + std::string(next % 50, '.'));
      ++next;
    });
    if (next % 7 == 0) queue.trim();
  }
  producer.join();
}

}  // namespace
}  // namespace pillion
