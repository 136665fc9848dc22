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

}  // namespace
}  // namespace pillion
