// How many retries a budget allows (envoy.md 2.3).
#include "proxy/upstream/limits.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "proxy/stats/registry.h"
#include "proxy/upstream/breaker_gauges.h"

namespace pillion::upstream {
namespace {

TEST(RetryBudget, IsAShareOfTheRequestsUnderWayButAtLeastItsMinimum) {
  struct Case {
    double percent;
    uint32_t minimum;
    int requests;
    uint32_t allowed;
  };
  constexpr Case kCases[] = {
      {20, 3, 0, 3},      {20, 3, 15, 3},   {20, 3, 19, 3},       {20, 3, 20, 4},
      {20, 3, 1000, 200}, {100, 0, 7, 7},   {0, 0, 1000, 0},      {0, 2, 1000, 2},
      {0.5, 0, 199, 0},   {0.5, 0, 200, 1}, {100, 5000, 7, 5000},
  };
  for (const Case& c : kCases) {
    LimitValues limits;
    limits.retry_budget = RetryBudget{c.percent, c.minimum};
    SharedLimits used;
    for (int i = 0; i < c.requests; ++i) used.requests.acquire();
    EXPECT_EQ(limits.retries_allowed(used), c.allowed) << c.percent << "% of " << c.requests;
  }
}

TEST(LimitsRef, MakesLimitsForWhoeverCountsFirst) {
  ClusterConfig first;
  EXPECT_EQ(first.limits.used(), nullptr) << "nobody calls it";
  ClusterConfig second;
  EXPECT_FALSE(first.limits == second.limits);
  adopt_limits(second, first);
  EXPECT_TRUE(first.limits == second.limits);
  second.limits->requests.acquire();
  EXPECT_EQ(first.limits->requests.used(), 1);
  {
    const ClusterConfig copy = first;
    EXPECT_TRUE(copy.limits == second.limits);
  }
  first.limits = LimitsRef();
  EXPECT_FALSE(first.limits == second.limits);
  EXPECT_EQ(second.limits->requests.used(), 1);
}

TEST(LimitsRef, IsMadeByManyThreadsAtOnce) {
  for (int round = 0; round < 100; ++round) {
    const LimitsRef limits;
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) threads.emplace_back([&limits] { limits->requests.acquire(); });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(limits->requests.used(), 3);
  }
}

TEST(RetryBudget, TakesThePlaceOfMaxRetries) {
  SharedLimits used;
  LimitValues limits;
  limits.max_retries = 7;
  EXPECT_EQ(limits.retries_allowed(used), 7u);
  limits.retry_budget = RetryBudget{};
  EXPECT_EQ(limits.retries_allowed(used), 3u);
}

TEST(BreakerGauges, ShowWhetherABudgetIsUsedUp) {
  stats::Registry registry;
  auto config = std::make_shared<ClusterConfig>();
  config->name = config->stat_name = "c";
  config->tracks_remaining = true;
  config->pool->limits.retry_budget = RetryBudget{50, 1};
  BreakerGauges gauges;
  gauges.change_config(nullptr, *config);
  const auto open = registry.block<stats::ClusterBreakerStats>(stats::kControl, "c");
  const auto remaining = registry.block<stats::ClusterRemainingStats>(stats::kControl, "c");
  SharedLimits& used = *config->limits;
  used.requests.acquire();
  used.retries.acquire();
  gauges.refresh(registry, *config);
  EXPECT_EQ(open->default_rq_retry_open.value(), 1);
  EXPECT_EQ(remaining->default_remaining_retries.value(), 0);
  for (int i = 0; i < 3; ++i) used.requests.acquire();
  gauges.refresh(registry, *config);
  EXPECT_EQ(open->default_rq_retry_open.value(), 0);
  EXPECT_EQ(remaining->default_remaining_retries.value(), 0);
  EXPECT_EQ(remaining->default_remaining_rq.value(), 1020);
}

}  // namespace
}  // namespace pillion::upstream
