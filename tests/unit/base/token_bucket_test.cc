// The bucket is shared by workers: no token is given out twice, none is lost.
#include "proxy/base/token_bucket.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace pillion {
namespace {

TEST(TokenBucket, ThreadsTakeEachTokenOnce) {
  constexpr uint32_t kTokens = 100'000;
  TokenBucket bucket(kTokens, 1, std::chrono::hours(1));
  const Instant now(std::chrono::hours(1'000'000));
  std::atomic<uint32_t> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      uint32_t mine = 0;
      while (bucket.try_take(now)) ++mine;
      taken += mine;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken.load(), kTokens);
}

// 200,000 at once and one more a day are 547 years of nanoseconds, more than 64 bits hold.
TEST(TokenBucket, HoldsEveryNumberOfTokensAtEveryPace) {
  constexpr uint32_t kTokens = 200'000;
  TokenBucket bucket(kTokens, 1, std::chrono::hours(24));
  const Instant now(std::chrono::hours(1000));
  EXPECT_EQ(bucket.remaining(now), kTokens);
  uint32_t taken = 0;
  while (taken <= kTokens && bucket.try_take(now)) ++taken;
  EXPECT_EQ(taken, kTokens);
  const Duration wait = bucket.until_next(now);
  EXPECT_GT(wait, std::chrono::hours(24) - std::chrono::milliseconds(1));
  EXPECT_LE(wait, std::chrono::hours(24));
  EXPECT_FALSE(bucket.try_take(now + std::chrono::hours(23)));
  EXPECT_TRUE(bucket.try_take(now + std::chrono::hours(24)));
  TokenBucket extreme(UINT32_MAX, 1, Duration::max());
  EXPECT_EQ(extreme.remaining(now), UINT32_MAX);
  EXPECT_TRUE(extreme.try_take(now));
  EXPECT_EQ(extreme.remaining(now), UINT32_MAX - 1);
}

}  // namespace
}  // namespace pillion
