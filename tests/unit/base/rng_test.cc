#include "proxy/base/rng.h"

#include <gtest/gtest.h>

#include <set>

namespace pillion {
namespace {

TEST(Rng, RepeatsForASeedAndDiffersBetweenSeeds) {
  Rng a(1);
  Rng b(1);
  Rng c(2);
  for (int i = 0; i < 10; ++i) {
    const uint64_t value = a.next();
    EXPECT_EQ(value, b.next());
    EXPECT_NE(value, c.next());
  }
}

TEST(Rng, StaysBelowTheBoundAndReachesAllOfIt) {
  Rng rng(7);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t value = rng.below(10);
    ASSERT_LT(value, 10u);
    seen.insert(value);
  }
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(rng.below(0), 0u);
  EXPECT_EQ(rng.below(1), 0u);
}

TEST(Rng, SpreadsEvenly) {
  Rng rng(3);
  int counts[8] = {};
  for (int i = 0; i < 80'000; ++i) ++counts[rng.below(8)];
  for (const int n : counts) EXPECT_NEAR(n, 10'000, 500);
}

}  // namespace
}  // namespace pillion
