// Which host is picked how often.
#include "proxy/upstream/balancer.h"

#include <algorithm>
#include <map>

#include "proxy/upstream/priority_load.h"
#include "tests/unit/upstream/pool_fixture.h"

namespace pillion::upstream {
namespace {

TEST(PriorityLoads, SpreadAsEnvoys) {
  using Health = std::vector<PriorityHealth>;
  using Loads = std::vector<PriorityLoad>;
  const struct {
    const char* what;
    Health health;  // healthy, degraded, total
    Loads loads;    // healthy, degraded, panic
    uint32_t threshold = 50;
    uint32_t overprovisioning = 140;
  } rows[] = {
      {"no priority", {}, {{100, 0, false}}},
      {"all healthy", {{4, 0, 4}}, {{100, 0, false}}},
      {"72 % suffice", {{72, 0, 100}, {10, 0, 10}}, {{100, 0, false}, {0, 0, false}}},
      {"71 % do not", {{71, 0, 100}, {10, 0, 10}}, {{99, 0, false}, {1, 0, false}}},
      {"half", {{50, 0, 100}, {100, 0, 100}}, {{70, 0, false}, {30, 0, false}}},
      {"none in P0", {{0, 0, 100}, {100, 0, 100}}, {{0, 0, false}, {100, 0, false}}},
      {"both weak, scaled up", {{50, 0, 100}, {10, 0, 100}}, {{84, 0, false}, {16, 0, true}}},
      {"both weak, panic", {{20, 0, 100}, {20, 0, 100}}, {{50, 0, true}, {50, 0, true}}},
      {"panic by size", {{0, 0, 30}, {0, 0, 10}}, {{75, 0, true}, {25, 0, true}}},
      {"no panic wanted", {{20, 0, 100}, {20, 0, 100}}, {{50, 0, false}, {50, 0, false}}, 0},
      {"nobody, no panic wanted", {{0, 0, 100}}, {{100, 0, false}}, 0},
      {"no hosts at all", {{0, 0, 0}}, {{100, 0, true}}},
      {"degraded fill up", {{50, 50, 100}}, {{70, 30, false}}},
      {"degraded of P0 after healthy of P1",
       {{25, 75, 100}, {25, 75, 100}},
       {{35, 30, false}, {35, 0, false}}},
      {"no overprovisioning",
       {{90, 0, 100}, {100, 0, 100}},
       {{90, 0, false}, {10, 0, false}},
       50,
       100},
  };
  for (const auto& row : rows) {
    const Loads loads = spread_load(row.health, row.overprovisioning, row.threshold);
    EXPECT_EQ(loads, row.loads) << row.what;
    uint32_t sum = 0;
    for (const PriorityLoad& load : loads) sum += load.healthy + load.degraded;
    EXPECT_EQ(sum, 100u) << row.what;
  }
}

class BalancerTest : public UpstreamTest {
 protected:
  struct Spec {
    uint32_t weight = 1;
    uint8_t priority = 0;
    HealthStatus health = HealthStatus::kHealthy;
  };
  Cluster& make(const std::vector<Spec>& specs) {
    Endpoints infos;
    for (size_t i = 0; i < specs.size(); ++i) {
      Endpoint& info = infos.emplace_back();
      info.address = io::Address::ipv4(0x0a000000u + static_cast<uint32_t>(i), 80);
      info.weight = specs[i].weight;
      info.priority = specs[i].priority;
      info.health = specs[i].health;
    }
    return set(make_host_set(infos, nullptr));
  }
  // Share of picks in per cent, by the host's number; -1: none was given.
  std::map<int, int> shares(Cluster& cluster, const Host* exclude = nullptr) {
    std::map<int, int> counts;
    Failure failure;
    constexpr int kPicks = 20000;
    for (int i = 0; i < kPicks; ++i) {
      const Host* host = cluster.pick({exclude}, &failure);
      ++counts[host == nullptr ? -1 : host->address().ip_bytes()[3]];
    }
    for (auto& [number, count] : counts) count = (count + kPicks / 200) / (kPicks / 100);
    return counts;
  }
  using Shares = std::map<int, int>;
  static void expect_near(const Shares& got, const Shares& expected, int tolerance) {
    EXPECT_EQ(got.size(), expected.size());
    for (const auto& [number, share] : expected) {
      ASSERT_TRUE(got.contains(number)) << number;
      EXPECT_NEAR(got.at(number), share, tolerance) << "host " << number;
    }
  }
};

TEST_F(BalancerTest, RotatesEvenly) {
  Cluster& cluster = make({{}, {}, {}, {}});
  EXPECT_EQ(shares(cluster), (Shares{{0, 25}, {1, 25}, {2, 25}, {3, 25}}));
  Failure failure;
  const Host* first = cluster.pick({}, &failure);
  for (int i = 0; i < 3; ++i) EXPECT_NE(cluster.pick({}, &failure), first);
  EXPECT_EQ(cluster.pick({}, &failure), first);
}

TEST_F(BalancerTest, RotatesByWeight) {
  expect_near(shares(make({{1}, {2}, {7}})), {{0, 10}, {1, 20}, {2, 70}}, 0);
}

TEST_F(BalancerTest, PicksAtRandomEvenly) {
  config->balancer.group.policy = BalancePolicy::kRandom;
  expect_near(shares(make({{}, {}, {}, {}})), {{0, 25}, {1, 25}, {2, 25}, {3, 25}}, 1);
}

TEST_F(BalancerTest, PrefersTheHostWithFewerRequests) {
  config->balancer.group.policy = BalancePolicy::kLeastRequest;
  Cluster& cluster = make({{}, {}});
  use(cluster).on_request_start();
  // The idle one wins unless both choices fall on the busy one.
  expect_near(shares(cluster), {{0, 25}, {1, 75}}, 2);
  use(cluster).on_request_end();
  expect_near(shares(cluster), {{0, 50}, {1, 50}}, 2);
}

TEST_F(BalancerTest, DividesWeightsByLoad) {
  config->balancer.group.policy = BalancePolicy::kLeastRequest;
  Cluster& cluster = make({{3}, {1}});
  expect_near(shares(cluster), {{0, 75}, {1, 25}}, 1);
  use(cluster).on_request_start();
  use(cluster).on_request_start();
  expect_near(shares(cluster), {{0, 50}, {1, 50}}, 1);
  use(cluster).on_request_end();
  use(cluster).on_request_end();
}

TEST_F(BalancerTest, PassesOverTheHostThatJustFailed) {
  for (BalancePolicy policy :
       {BalancePolicy::kRoundRobin, BalancePolicy::kLeastRequest, BalancePolicy::kRandom}) {
    config->balancer.group.policy = policy;
    for (uint32_t weight : {1u, 5u}) {
      Cluster& cluster = make({{weight}, {1}, {1}});
      const Shares got = shares(cluster, cluster.hosts()[0].get());
      EXPECT_FALSE(got.contains(0)) << static_cast<int>(policy) << " weight " << weight;
      EXPECT_EQ(got.size(), 2u);
      Cluster& lonely = make({{weight}});
      EXPECT_EQ(shares(lonely, lonely.hosts()[0].get()), (Shares{{0, 100}})) << "better than none";
    }
  }
}

TEST_F(BalancerTest, LeavesOutUnhealthyHosts) {
  for (HealthStatus health :
       {HealthStatus::kUnhealthy, HealthStatus::kDraining, HealthStatus::kTimeout}) {
    expect_near(shares(make({{}, {}, {1, 0, health}})), {{0, 50}, {1, 50}}, 0);
  }
}

TEST_F(BalancerTest, SpreadsOverPrioritiesByTheirHealth) {
  Cluster& cluster = make({{}, {1, 0, HealthStatus::kUnhealthy}, {1, 1}});
  expect_near(shares(cluster), {{0, 70}, {2, 30}}, 1);
}

TEST_F(BalancerTest, UsesDegradedHostsForTheRest) {
  expect_near(shares(make({{}, {1, 0, HealthStatus::kDegraded}})), {{0, 70}, {1, 30}}, 1);
}

TEST_F(BalancerTest, UsesAllHostsInPanicAndCountsIt) {
  Cluster& cluster = make({{}, {1, 0, HealthStatus::kUnhealthy}, {1, 0, HealthStatus::kUnhealthy}});
  expect_near(shares(cluster), {{0, 33}, {1, 33}, {2, 33}}, 1);
  EXPECT_EQ(stats->lb_healthy_panic.value(), 20000u);
}

TEST_F(BalancerTest, UsesAllHostsInPanicWhenSomeAreDegraded) {
  using enum HealthStatus;
  Cluster& cluster =
      make({{}, {1, 0, kDegraded}, {1, 0, kUnhealthy}, {1, 0, kUnhealthy}, {1, 0, kUnhealthy}});
  expect_near(shares(cluster), {{0, 20}, {1, 20}, {2, 20}, {3, 20}, {4, 20}}, 1);
}

TEST_F(BalancerTest, FailsInPanicWhenToldSo) {
  config->balancer.fail_traffic_on_panic = true;
  EXPECT_EQ(shares(make({{}, {1, 0, HealthStatus::kUnhealthy}, {1, 0, HealthStatus::kUnhealthy}})),
            (Shares{{-1, 100}}));
}

TEST_F(BalancerTest, NeverPanicsWithAThresholdOfZero) {
  config->balancer.panic_threshold = 0;
  EXPECT_EQ(shares(make({{}, {1, 0, HealthStatus::kUnhealthy}, {1, 0, HealthStatus::kUnhealthy}})),
            (Shares{{0, 100}}));
  EXPECT_EQ(shares(make({{1, 0, HealthStatus::kUnhealthy}})), (Shares{{-1, 100}}));
}

TEST(HostSets, KeepTheIdentityOfWhatStays) {
  const auto info = [](const char* ip, uint32_t weight = 1, const char* name = "") {
    Endpoint i;
    i.address = *io::Address::parse_ip(ip, 80);
    i.weight = weight;
    i.hostname = name;
    return i;
  };
  const HostSetPtr a =
      make_host_set({info("10.0.0.1"), info("10.0.0.2"), info("10.0.0.1")}, nullptr);
  ASSERT_EQ(a->hosts.size(), 2u);
  EXPECT_EQ(make_host_set({info("10.0.0.1"), info("10.0.0.2")}, a), a);
  const HostSetPtr b =
      make_host_set({info("10.0.0.2"), info("10.0.0.1", 5), info("10.0.0.2", 1, "n")}, a);
  ASSERT_EQ(b->hosts.size(), 3u);
  EXPECT_EQ(b->hosts[0], a->hosts[1]) << "nothing changed";
  EXPECT_NE(b->hosts[1], a->hosts[0]);
  EXPECT_EQ(b->hosts[1]->id, a->hosts[0]->id) << "the same endpoint with another weight";
  EXPECT_NE(b->hosts[2]->id, a->hosts[1]->id) << "another host name is another endpoint";
  const HostChange change = compare(a.get(), *b);
  EXPECT_EQ(change.added.size(), 1u);
  EXPECT_TRUE(change.removed.empty());
  EXPECT_EQ(change.kept, 2u);
  EXPECT_EQ(compare(b.get(), *a).removed.size(), 1u);
}

// Whatever comes, goes, moves and is said twice: what stays keeps its id, and its object if it is
// equal.
TEST(HostSets, FollowAnyChangeOfOrder) {
  Rng rng(7);
  HostSetPtr before = make_host_set({}, nullptr);
  for (int round = 0; round < 500; ++round) {
    Endpoints endpoints(rng.below(12));
    for (Endpoint& info : endpoints) {
      info.address = io::Address::ipv4(0x0a000000u + static_cast<uint32_t>(rng.below(10)), 80);
      info.weight = 1 + static_cast<uint32_t>(rng.below(2));
    }
    std::vector<const Endpoint*> expected;
    for (const Endpoint& info : endpoints) {
      const auto is_same = [&info](const Endpoint* o) { return o->address == info.address; };
      if (std::ranges::none_of(expected, is_same)) expected.push_back(&info);
    }
    const HostSetPtr set = make_host_set(endpoints, before);
    ASSERT_EQ(set->hosts.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(set->hosts[i]->address, expected[i]->address);
      EXPECT_EQ(set->hosts[i]->weight, expected[i]->weight);
      for (const HostInfoPtr& old : before->hosts) {
        if (!(old->address == expected[i]->address)) {
          EXPECT_NE(old->id, set->hosts[i]->id);
          continue;
        }
        EXPECT_EQ(old->id, set->hosts[i]->id);
        EXPECT_EQ(old == set->hosts[i], old->weight == expected[i]->weight);
      }
    }
    EXPECT_EQ(make_host_set(endpoints, set), set);
    before = set;
  }
}

}  // namespace
}  // namespace pillion::upstream
