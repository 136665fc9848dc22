#include "proxy/upstream/host_stats.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "proxy/upstream/host_set.h"

namespace pillion::upstream {
namespace {

HostSetPtr one_host(uint32_t weight, const HostSetPtr& previous) {
  Endpoint info;
  info.address = io::Address::ipv4(0x0a000001, 80);
  info.weight = weight;
  return make_host_set({info}, previous);
}

TEST(HostStats, AreOneForAllThatSucceedOneAnother) {
  const HostSetPtr first = one_host(1, nullptr);
  const HostSetPtr second = one_host(2, first);
  second->hosts[0]->stats->of(0).rq_total.inc();
  first->hosts[0]->stats->of(1).rq_total.inc();
  EXPECT_EQ(first->hosts[0]->stats.sum().rq_total, 2U);
  EXPECT_EQ(one_host(3, second)->hosts[0]->stats.sum().rq_total, 2U);
}

// Each worker makes its block when it first calls the endpoint, while others do, while control
// replaces the endpoint and while somebody reads.
TEST(HostStats, AreMadeByManyThreadsAtOnce) {
  constexpr uint16_t kWorkers = 4;
  constexpr uint64_t kCalls = 1000;
  for (int round = 0; round < 50; ++round) {
    const HostSetPtr set = one_host(1, nullptr);
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    for (uint16_t worker = 0; worker < kWorkers; ++worker) {
      threads.emplace_back([&, worker] {
        ++ready;
        while (ready.load() != kWorkers + 1) std::this_thread::yield();
        HostCounters& mine = set->hosts[0]->stats->of(worker);
        for (uint64_t i = 0; i < kCalls; ++i) mine.rq_total.inc();
      });
    }
    ++ready;
    const HostSetPtr newer = one_host(2, set);
    while (newer->hosts[0]->stats.sum().rq_total != kWorkers * kCalls) std::this_thread::yield();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(set->hosts[0]->stats.sum().rq_total, kWorkers * kCalls);
  }
}

}  // namespace
}  // namespace pillion::upstream
