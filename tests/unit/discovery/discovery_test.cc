// Clusters that come, change and go: commit, abandon, shared sources, what is told of hosts.
#include "proxy/discovery/discovery.h"

#include "tests/support/log_capture.h"
#include "tests/unit/discovery/fixture.h"

namespace pillion::discovery {
namespace {

TEST_F(DiscoveryTest, KnowsStaticHostsAtOnce) {
  const HostSetPtr hosts =
      discovery.add(cluster_of("{ name: a, " + endpoints({"10.0.0.1:80", "10.0.0.2:80"}) + " }"));
  EXPECT_EQ(addresses_of(hosts), (Addresses{"10.0.0.1:80", "10.0.0.2:80"}));
  EXPECT_TRUE(discovery.all_warm());
  discovery.commit();
  EXPECT_EQ(stats_of("a")->membership_total.value(), 2);
  EXPECT_EQ(stats_of("a")->membership_healthy.value(), 2);
  EXPECT_EQ(stats_of("a")->membership_change.value(), 1u);
  run_for(loop, std::chrono::milliseconds(20));
  EXPECT_EQ(warm, 0) << "nobody had to wait";
}

TEST_F(DiscoveryTest, KeepsTheIdentityOfStaticHostsOverAReload) {
  const HostSetPtr before =
      settle(cluster_of("{ name: a, " + endpoints({"10.0.0.1:80", "10.0.0.2:80"}) + " }"));
  const HostSetPtr same = settle(cluster_of("{ name: a, connect_timeout: 1s, " +
                                            endpoints({"10.0.0.1:80", "10.0.0.2:80"}) + " }"));
  EXPECT_EQ(before, same);
  const HostSetPtr after =
      settle(cluster_of("{ name: a, " + endpoints({"10.0.0.2:80", "10.0.0.3:80"}) + " }"));
  EXPECT_EQ(after->hosts[0], before->hosts[1]);
  EXPECT_NE(after->hosts[1]->id, before->hosts[0]->id);
}

TEST_F(DiscoveryTest, HasNoHostsForOriginalDestinations) {
  EXPECT_EQ(
      discovery.add(cluster_of("{ name: o, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED }")),
      nullptr);
  EXPECT_TRUE(discovery.all_warm());
  discovery.commit();
  EXPECT_EQ(discovery.hosts("o"), nullptr);
}

TEST_F(DiscoveryTest, TellsAtDebugWhichHostsCameAndWent) {
  testing::LogCapture log(log::Level::kDebug);
  const auto with = [](std::initializer_list<std::string_view> hosts) {
    return cluster_of("{ name: a, " + endpoints(hosts) + " }");
  };
  settle(with({"10.0.0.1:80", "10.0.0.2:80"}));
  EXPECT_EQ(log.count("[debug][upstream] hosts changed: cluster=a added=2 removed=0 hosts=2\n"), 1u)
      << log.text();
  settle(with({"10.0.0.2:80", "10.0.0.3:80"}));
  EXPECT_EQ(log.count("hosts changed: cluster=a added=1 removed=1 hosts=2\n"), 1u) << log.text();
  settle(with({"10.0.0.2:80", "10.0.0.3:80"}));
  EXPECT_EQ(log.count("hosts changed"), 2u) << log.text();
}

TEST_F(DiscoveryTest, CountsTheHostsAgainUnderAnotherStatName) {
  settle(cluster_of("{ name: a, " + endpoints({"10.0.0.1:80"}) + " }"));
  settle(cluster_of("{ name: a, alt_stat_name: b, " + endpoints({"10.0.0.1:80"}) + " }"));
  EXPECT_EQ(stats_of("b")->membership_total.value(), 1);
}

TEST_F(DiscoveryTest, SharesTheSourceOfEqualTargets) {
  server.set_a("orders.shop", {"10.0.0.1"});
  discovery.add(dns("a", "orders.shop:80", "dns_refresh_rate: 60s"));
  const HostSetPtr b =
      discovery.add(dns("b", "orders.shop:80", "dns_refresh_rate: 60s, connect_timeout: 1s"));
  ASSERT_TRUE(run_until(loop, [&] { return warm == 1; }));
  EXPECT_EQ(discovery.hosts("a"), discovery.hosts("b"));
  EXPECT_EQ(server.count("orders.shop"), 2u) << "A and AAAA, once";
  discovery.commit();
  discovery.remove("a");
  EXPECT_EQ(addresses_of(discovery.hosts("b")), Addresses{"10.0.0.1:80"});
}

TEST_F(DiscoveryTest, OutlivesAReloadThatLeavesTheTargetsAlone) {
  server.set_a("orders.shop", {"10.0.0.1"});
  const HostSetPtr before = settle(dns("a", "orders.shop:80", "dns_refresh_rate: 60s"));
  server.forget("orders.shop");
  EXPECT_EQ(discovery.add(dns("a", "orders.shop:80", "dns_refresh_rate: 60s, lb_policy: RANDOM")),
            before);
  EXPECT_TRUE(discovery.all_warm());
  discovery.commit();
  EXPECT_EQ(discovery.hosts("a"), before);
}

TEST_F(DiscoveryTest, ReportsTheOldTargetsUntilTheNewOnesAreCommitted) {
  server.set_a("old.shop", {"10.0.0.1"});
  server.set_a("new.shop", {"10.0.1.1"});
  settle(dns("a", "old.shop:80"));
  const auto next = dns("a", "new.shop:80");
  discovery.add(next);
  server.set_a("old.shop", {"10.0.0.2"});
  ASSERT_TRUE(run_until(loop, [&] { return !reported["a"].empty(); }));
  EXPECT_EQ(addresses_of(reported["a"].back()), Addresses{"10.0.0.2:80"});
  ASSERT_TRUE(run_until(loop, [&] { return discovery.all_warm(); }));
  EXPECT_EQ(addresses_of(discovery.hosts("a")), Addresses{"10.0.0.2:80"});
  EXPECT_EQ(addresses_of(discovery.hosts(*next)), Addresses{"10.0.1.1:80"});
  discovery.commit();
  EXPECT_EQ(addresses_of(discovery.hosts("a")), Addresses{"10.0.1.1:80"});
  reported.clear();
  const size_t asked = server.count("old.shop");
  server.set_a("new.shop", {"10.0.1.2"});
  ASSERT_TRUE(run_until(loop, [&] { return !reported["a"].empty(); }));
  EXPECT_EQ(addresses_of(reported["a"].back()), Addresses{"10.0.1.2:80"});
  EXPECT_EQ(server.count("old.shop"), asked) << "nobody needs it any more";
}

TEST_F(DiscoveryTest, ForgetsWhatIsAbandoned) {
  server.set_a("old.shop", {"10.0.0.1"});
  server.set("slow.shop", DnsType::kA, DnsReply::silence());
  server.set("slow.shop", DnsType::kAaaa, DnsReply::silence());
  const HostSetPtr before = settle(dns("a", "old.shop:80", "dns_refresh_rate: 60s"));
  const int was_warm = warm;
  discovery.add(dns("a", "slow.shop:80"));
  discovery.add(dns("b", "slow.shop:80"));
  EXPECT_FALSE(discovery.all_warm());
  discovery.abandon({"a", "b", "unknown"});
  EXPECT_TRUE(discovery.all_warm());
  EXPECT_EQ(discovery.hosts("a"), before);
  EXPECT_EQ(stats_of("a")->warming_state.value(), 0);
  EXPECT_EQ(discovery.hosts("b"), nullptr);
  ASSERT_TRUE(run_until(loop, [&] { return warm > was_warm; }));
}

TEST_F(DiscoveryTest, OneThatWaitsDoesNotHoldUpOthers) {
  server.set_a("quick.shop", {"10.0.0.1"});
  server.set("slow.shop", DnsType::kA, DnsReply::silence());
  server.set("slow.shop", DnsType::kAaaa, DnsReply::silence());
  const auto slow = dns("slow", "slow.shop:80", "dns_refresh_rate: 60s");
  const auto quick = dns("quick", "quick.shop:80", "dns_refresh_rate: 60s");
  discovery.add(slow);
  discovery.add(quick);
  ASSERT_TRUE(run_until(loop, [&] { return discovery.is_warm(*quick); }));
  EXPECT_FALSE(discovery.is_warm(*slow));
  discovery.commit({"quick"});
  EXPECT_EQ(stats_of("quick")->membership_total.value(), 1);
  EXPECT_EQ(stats_of("slow")->warming_state.value(), 1);
  ASSERT_TRUE(run_until(loop, [&] { return warm == 1; })) << "it is told of each";
  // A lookup that fails ends the wait.
  ASSERT_TRUE(run_until(loop, [&] { return warm == 2; }));
  EXPECT_TRUE(discovery.is_warm(*slow));
  discovery.commit({"slow"});
  EXPECT_TRUE(discovery.hosts("slow")->hosts.empty());
}

TEST_F(DiscoveryTest, OnlyTheLastConfigurationThatWaitsBecomesWarm) {
  const auto first = cluster_of("{ name: a, " + endpoints({"10.0.0.1:80"}) + " }");
  const auto second = cluster_of("{ name: a, " + endpoints({"10.0.0.2:80"}) + " }");
  discovery.add(first);
  EXPECT_TRUE(discovery.is_warm(*first));
  const HostSetPtr hosts = discovery.add(second);
  EXPECT_FALSE(discovery.is_warm(*first));
  EXPECT_TRUE(discovery.is_warm(*second));
  EXPECT_EQ(discovery.add(second), hosts) << "said twice is nothing new";
  discovery.commit({"a"});
  EXPECT_EQ(addresses_of(discovery.hosts("a")), Addresses{"10.0.0.2:80"});
}

TEST_F(DiscoveryTest, CountsForTheNewScopeWhenItIsInForce) {
  settle(cluster_of("{ name: a, " + endpoints({"10.0.0.1:80"}) + " }"));
  server.set("slow.shop", DnsType::kA, DnsReply::silence());
  server.set("slow.shop", DnsType::kAaaa, DnsReply::silence());
  discovery.add(dns("a", "slow.shop:80", "alt_stat_name: b"));
  EXPECT_EQ(stats_of("a")->warming_state.value(), 1);
  EXPECT_EQ(stats_of("a")->membership_total.value(), 1);
  EXPECT_EQ(stats_of("b")->membership_total.value(), 0);
  const auto old_scope = stats_of("a");
  discovery.commit();
  EXPECT_EQ(old_scope->warming_state.value(), 0);
}

TEST_F(DiscoveryTest, BringsTheGaugesOfBreakersUpToDate) {
  const auto config = cluster_of(
      "{ name: a, circuit_breakers: { thresholds: [ { max_requests: 2, track_remaining: true } ] } "
      "}");
  settle(config);
  discovery.refresh_gauges();
  EXPECT_TRUE(registry.scopes(stats::Kind::kClusterBreakerStats).empty()) << "nobody called it";
  config->limits->requests.acquire();
  discovery.refresh_gauges();
  const auto open = registry.block<stats::ClusterBreakerStats>(stats::kControl, "a");
  const auto remaining = registry.block<stats::ClusterRemainingStats>(stats::kControl, "a");
  EXPECT_EQ(open->default_rq_open.value(), 0);
  EXPECT_EQ(remaining->default_remaining_rq.value(), 1);
  config->limits->requests.acquire();
  discovery.refresh_gauges();
  EXPECT_EQ(open->default_rq_open.value(), 1);
  EXPECT_EQ(open->default_cx_open.value(), 0);
  config->limits->requests.release();
  config->limits->requests.release();
  discovery.refresh_gauges();
  EXPECT_EQ(open->default_rq_open.value(), 0);
  EXPECT_EQ(remaining->default_remaining_rq.value(), 2);
}

}  // namespace
}  // namespace pillion::discovery
