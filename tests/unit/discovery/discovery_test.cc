// Sources and their reports, against a DNS server on loopback.
#include "proxy/discovery/discovery.h"

#include <map>

#include "proxy/discovery/dns_source.h"
#include "tests/support/dns_server.h"
#include "tests/support/log_capture.h"
#include "tests/support/run_until.h"
#include "tests/support/sockets.h"
#include "tests/unit/upstream/fixture.h"

namespace pillion::discovery {
namespace {

using testing::DnsReply;
using testing::DnsServer;
using testing::DnsType;
using testing::run_for;
using testing::run_until;
using upstream::cluster_of;
using upstream::endpoint;
using upstream::endpoints;
using upstream::HostSetPtr;

std::vector<std::string> addresses_of(const HostSetPtr& set) {
  std::vector<std::string> out;
  for (const auto& host : set->hosts) out.push_back(host->address.to_string());
  return out;
}
using Addresses = std::vector<std::string>;

class DiscoveryTest : public ::testing::Test, private DiscoveryObserver {
 protected:
  io::Resolver::Options options() {
    io::Resolver::Options o;
    o.servers = {server.address()};
    o.resolv_conf = "/dev/null";
    o.hosts = "/dev/null";
    o.try_timeout = std::chrono::milliseconds(100);
    o.tries = 1;
    o.deadline = std::chrono::milliseconds(300);
    return o;
  }
  std::shared_ptr<const upstream::ClusterConfig> dns(
      std::string_view name, std::string_view target,
      std::string_view more = "dns_refresh_rate: 0.03s", std::string_view type = "STRICT_DNS") {
    return cluster_of(
        str("{ name: ", name, ", type: ", type, ", ", more, ", ", endpoints({target}), " }"));
  }
  // Adds a cluster, waits until it is warm, commits.
  HostSetPtr settle(const std::shared_ptr<const upstream::ClusterConfig>& config) {
    discovery.add(config);
    EXPECT_TRUE(run_until(loop, [&] { return discovery.all_warm(); }));
    discovery.commit();
    return discovery.hosts(config->name);
  }
  bool wait_for(std::string_view name, const Addresses& expected) {
    return run_until(loop, [&] { return addresses_of(discovery.hosts(name)) == expected; });
  }
  stats::BlockRef<stats::ClusterInfoStats> stats_of(std::string_view name) {
    return registry.block<stats::ClusterInfoStats>(stats::kControl, name);
  }

  void on_hosts(std::string_view cluster, const HostSetPtr& hosts) override {
    reported[std::string(cluster)].push_back(hosts);
  }
  void on_warm() override { ++warm; }
  void on_health(std::string_view) override { ++unhealthy; }

  DnsServer server;
  io::Loop loop;
  io::Resolver resolver{loop, options()};
  stats::Registry registry;
  Rng rng{7};
  std::map<std::string, std::vector<HostSetPtr>> reported;
  int warm = 0;
  int unhealthy = 0;  // how often the health of hosts was reported
  io::WriteBatch batch{loop};
  Discovery discovery{{loop, resolver, registry, rng, &batch}, *this};
};

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

TEST_F(DiscoveryTest, MakesAHostOfEachAddressOfEachName) {
  server.set_a("orders.shop", {"10.0.0.1", "10.0.0.2"});
  server.set_a("more.shop", {"10.0.0.3"});
  discovery.add(cluster_of("{ name: a, type: STRICT_DNS, " +
                           endpoints({"orders.shop:80", "more.shop:81", "10.0.0.9:82"}) + " }"));
  EXPECT_FALSE(discovery.all_warm());
  EXPECT_EQ(stats_of("a")->warming_state.value(), 1);
  ASSERT_TRUE(run_until(loop, [&] { return warm == 1; }));
  EXPECT_EQ(reported.count("a"), 0u) << "before it was committed";
  discovery.commit();
  const HostSetPtr hosts = discovery.hosts("a");
  ASSERT_EQ(addresses_of(hosts),
            (Addresses{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:81", "10.0.0.9:82"}));
  EXPECT_EQ(hosts->hosts[0]->hostname, "orders.shop");
  EXPECT_EQ(hosts->hosts[2]->hostname, "more.shop");
  EXPECT_EQ(stats_of("a")->warming_state.value(), 0);
  EXPECT_EQ(stats_of("a")->update_attempt.value(), 2u);
  EXPECT_EQ(stats_of("a")->update_success.value(), 2u);
  EXPECT_EQ(stats_of("a")->membership_total.value(), 4);
}

TEST_F(DiscoveryTest, NeverAsksForAddresses) {
  discovery.add(dns("a", "10.0.0.1:80"));
  EXPECT_TRUE(discovery.all_warm());
  run_for(loop, std::chrono::milliseconds(50));
  EXPECT_TRUE(server.questions().empty());
}

TEST_F(DiscoveryTest, FollowsAnswersAndKeepsHostsThatStay) {
  server.set_a("orders.shop", {"10.0.0.1", "10.0.0.2"});
  const HostSetPtr before = settle(dns("a", "orders.shop:80"));
  server.set_a("orders.shop", {"10.0.0.3", "10.0.0.2"});
  ASSERT_TRUE(wait_for("a", {"10.0.0.2:80", "10.0.0.3:80"}));
  EXPECT_EQ(discovery.hosts("a")->hosts[0], before->hosts[1]);
  ASSERT_EQ(reported["a"].size(), 1u);
  EXPECT_EQ(reported["a"][0], discovery.hosts("a"));
  EXPECT_EQ(stats_of("a")->membership_change.value(), 2u);
}

TEST_F(DiscoveryTest, ChangesNothingWhenAnswersAreOnlyReordered) {
  server.set_a("orders.shop", {"10.0.0.1", "10.0.0.2"});
  const HostSetPtr before = settle(dns("a", "orders.shop:80"));
  server.set_a("orders.shop", {"10.0.0.2", "10.0.0.1"});
  const size_t asked = server.count("orders.shop");
  ASSERT_TRUE(run_until(loop, [&] { return server.count("orders.shop") >= asked + 6; }));
  EXPECT_EQ(discovery.hosts("a"), before);
  EXPECT_TRUE(reported["a"].empty());
  EXPECT_GE(stats_of("a")->update_no_rebuild.value(), 2u);
}

TEST_F(DiscoveryTest, KeepsTheLastAnswerWhenLookupsFail) {
  server.set_a("orders.shop", {"10.0.0.1"});
  const HostSetPtr before = settle(dns("a", "orders.shop:80"));
  server.set("orders.shop", DnsType::kA, DnsReply::fails(2));
  server.set("orders.shop", DnsType::kAaaa, DnsReply::fails(2));
  ASSERT_TRUE(run_until(loop, [&] { return stats_of("a")->update_failure.value() >= 2; }));
  EXPECT_EQ(discovery.hosts("a"), before);
  server.set_a("orders.shop", {"10.0.0.2"});
  EXPECT_TRUE(wait_for("a", {"10.0.0.2:80"})) << "it goes on asking";
}

TEST_F(DiscoveryTest, KeepsOneFamilyWhenOnlyItFails) {
  server.set_a("orders.shop", {"10.0.0.1"});
  server.set_aaaa("orders.shop", {"fd00::1"});
  settle(dns("a", "orders.shop:80", "dns_refresh_rate: 0.03s, dns_lookup_family: ALL"));
  ASSERT_EQ(addresses_of(discovery.hosts("a")), (Addresses{"10.0.0.1:80", "[fd00::1]:80"}));
  server.set("orders.shop", DnsType::kAaaa, DnsReply::fails(2));
  server.set_a("orders.shop", {"10.0.0.2"});
  EXPECT_TRUE(wait_for("a", {"[fd00::1]:80", "10.0.0.2:80"}));
}

TEST_F(DiscoveryTest, HasNoHostsWhenTheNameHasNone) {
  server.set_a("orders.shop", {"10.0.0.1"});
  settle(dns("a", "orders.shop:80"));
  server.forget("orders.shop");
  EXPECT_TRUE(wait_for("a", {}));
  EXPECT_GE(stats_of("a")->update_empty.value(), 1u);
  EXPECT_EQ(stats_of("a")->membership_total.value(), 0);
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

TEST_F(DiscoveryTest, TellsOnceThatANameHasNoAddress) {
  testing::LogCapture log;
  settle(dns("shop", "nosuch.invalid:80"));
  const std::string_view line =
      "[warning][dns] DNS has no address for the name: mistyped, or a service without endpoints; "
      "calls to the cluster get 503 no healthy upstream: cluster=shop name=nosuch.invalid\n";
  EXPECT_EQ(log.count(line), 1u) << log.text();
  ASSERT_TRUE(run_until(loop, [&] { return stats_of("shop")->update_empty.value() >= 4; }));
  EXPECT_EQ(log.count("nosuch.invalid"), 1u) << log.text();
}

TEST_F(DiscoveryTest, TellsThatANameHasLostItsAddressesAndWhatIsLeft) {
  testing::LogCapture log;
  server.set_a("orders.shop", {"10.0.0.1"});
  server.set_a("more.shop", {"10.0.0.2"});
  settle(cluster_of("{ name: a, type: STRICT_DNS, dns_refresh_rate: 0.03s, " +
                    endpoints({"orders.shop:80", "more.shop:80"}) + " }"));
  EXPECT_EQ(log.text(), "");
  server.forget("orders.shop");
  ASSERT_TRUE(wait_for("a", {"10.0.0.2:80"}));
  EXPECT_EQ(log.count("goes on with its other endpoints: cluster=a name=orders.shop endpoints=1\n"),
            1u)
      << log.text();
}

TEST_F(DiscoveryTest, SaysOfAFirstFailureThatNoAddressIsKnown) {
  testing::LogCapture log;
  server.set("orders.shop", DnsType::kA, DnsReply::fails(2));
  server.set("orders.shop", DnsType::kAaaa, DnsReply::fails(2));
  settle(dns("a", "orders.shop:80"));
  EXPECT_EQ(
      log.count("lookup failed, and no address is known yet; asking again: name=orders.shop "), 1u)
      << log.text();
  EXPECT_EQ(log.count("the last answer stays"), 0u) << log.text();
  EXPECT_EQ(log.count("no address for the name"), 0u) << log.text();
}

TEST_F(DiscoveryTest, IsWarmAfterAFailureToo) {
  server.set("orders.shop", DnsType::kA, DnsReply::silence());
  server.set("orders.shop", DnsType::kAaaa, DnsReply::silence());
  discovery.add(dns("a", "orders.shop:80"));
  ASSERT_TRUE(run_until(loop, [&] { return warm == 1; }));
  EXPECT_TRUE(discovery.hosts("a")->hosts.empty());
  EXPECT_EQ(stats_of("a")->update_failure.value(), 1u);
}

TEST_F(DiscoveryTest, ChoosesTheFamilyThatIsAskedFor) {
  server.set_a("both.shop", {"10.0.0.1"});
  server.set_aaaa("both.shop", {"fd00::1"});
  server.set_a("four.shop", {"10.0.0.1"});
  server.set_aaaa("six.shop", {"fd00::1"});
  const std::string v4 = "10.0.0.1:80";
  const std::string v6 = "[fd00::1]:80";
  const struct {
    const char* family;
    Addresses both, four, six;
  } cases[] = {
      {"AUTO", {v6}, {v4}, {v6}},  {"V4_PREFERRED", {v4}, {v4}, {v6}}, {"V4_ONLY", {v4}, {v4}, {}},
      {"V6_ONLY", {v6}, {}, {v6}}, {"ALL", {v4, v6}, {v4}, {v6}},
  };
  for (const auto& c : cases) {
    const std::string more = str("dns_lookup_family: ", c.family);
    EXPECT_EQ(addresses_of(settle(dns("both", "both.shop:80", more))), c.both) << c.family;
    EXPECT_EQ(addresses_of(settle(dns("four", "four.shop:80", more))), c.four) << c.family;
    EXPECT_EQ(addresses_of(settle(dns("six", "six.shop:80", more))), c.six) << c.family;
    for (const char* name : {"both", "four", "six"}) discovery.remove(name);
  }
}

TEST_F(DiscoveryTest, StaysWithTheAddressOfALogicalNameWhileAnswersNameIt) {
  server.set_a("s.shop", {"10.0.0.1", "10.0.0.2"});
  const HostSetPtr before = settle(dns("a", "s.shop:80", "dns_refresh_rate: 0.03s", "LOGICAL_DNS"));
  EXPECT_EQ(addresses_of(before), Addresses{"10.0.0.1:80"});
  server.set_a("s.shop", {"10.0.0.2", "10.0.0.1"});
  const size_t asked = server.count("s.shop");
  ASSERT_TRUE(run_until(loop, [&] { return server.count("s.shop") >= asked + 6; }));
  EXPECT_EQ(discovery.hosts("a"), before);
  server.set_a("s.shop", {"10.0.0.2"});
  EXPECT_TRUE(wait_for("a", {"10.0.0.2:80"}));
}

TEST_F(DiscoveryTest, HonoursTheTimeToLiveWithAFloor) {
  server.set_a("long.shop", {"10.0.0.1"}, 60);
  server.set_a("zero.shop", {"10.0.0.1"}, 1);
  settle(dns("long", "long.shop:80", "dns_refresh_rate: 0.02s, respect_dns_ttl: true"));
  const size_t asked = server.count("long.shop");
  run_for(loop, std::chrono::milliseconds(150));
  EXPECT_EQ(server.count("long.shop"), asked) << "60 s have not passed";
  settle(dns("short", "zero.shop:80", "dns_refresh_rate: 60s, respect_dns_ttl: true"));
  const size_t short_asked = server.count("zero.shop");
  const Instant before = MonotonicClock::now();
  ASSERT_TRUE(run_until(loop, [&] { return server.count("zero.shop") > short_asked; }));
  EXPECT_GE(MonotonicClock::now() - before, std::chrono::milliseconds(800));
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
  discovery.add(dns("a", "new.shop:80"));
  server.set_a("old.shop", {"10.0.0.2"});
  ASSERT_TRUE(run_until(loop, [&] { return !reported["a"].empty(); }));
  EXPECT_EQ(addresses_of(reported["a"].back()), Addresses{"10.0.0.2:80"});
  ASSERT_TRUE(run_until(loop, [&] { return discovery.all_warm(); }));
  EXPECT_EQ(addresses_of(discovery.hosts("a")), Addresses{"10.0.1.1:80"});
  discovery.commit();
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
  discovery.abandon();
  EXPECT_TRUE(discovery.all_warm());
  EXPECT_EQ(discovery.hosts("a"), before);
  EXPECT_EQ(discovery.hosts("b"), nullptr);
  ASSERT_TRUE(run_until(loop, [&] { return warm > was_warm; }));
}

TEST_F(DiscoveryTest, StartsFromWhatAnEarlierSourceKnewWhenDnsIsDown) {
  server.set_a("orders.shop", {"10.0.0.1"});
  const HostSetPtr before = settle(dns("a", "orders.shop:80", "dns_refresh_rate: 60s"));
  server.set("orders.shop", DnsType::kA, DnsReply::fails(2));
  server.set("orders.shop", DnsType::kAaaa, DnsReply::fails(2));
  settle(dns("a", "orders.shop:80", "dns_refresh_rate: 30s"));
  EXPECT_EQ(discovery.hosts("a"), before);
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

// ---- who watches the hosts ----

class HealthTest : public DiscoveryTest {
 protected:
  HealthTest() : listener_(testing::loopback_listener()) {
    address = testing::local_address_of(listener_.get()).to_string();
  }
  std::shared_ptr<const upstream::ClusterConfig> checked(std::string_view more = "") {
    return cluster_of(str("{ name: a, ", more,
                          "health_checks: [ { timeout: 0.2s, interval: 60s, unhealthy_threshold: "
                          "1, healthy_threshold: 1, tcp_health_check: {} } ], ",
                          endpoints({address}), " }"));
  }
  uint32_t flags_of(std::string_view name) {
    return discovery.health(name)->verdict(discovery.hosts(name)->hosts[0]->id).flags;
  }
  std::string address;
  testing::Fd listener_;
};

TEST_F(HealthTest, AClusterWithHealthChecksIsWarmWhenEachHostWasChecked) {
  discovery.add(checked());
  EXPECT_FALSE(discovery.all_warm());
  EXPECT_EQ(stats_of("a")->warming_state.value(), 1);
  EXPECT_EQ(flags_of("a"), uint32_t{upstream::kFailedActive | upstream::kPendingActive});
  ASSERT_TRUE(run_until(loop, [&] { return warm == 1; }));
  EXPECT_TRUE(discovery.all_warm());
  EXPECT_EQ(stats_of("a")->warming_state.value(), 0);
  discovery.commit();
  EXPECT_EQ(flags_of("a"), 0u);
  EXPECT_EQ(stats_of("a")->membership_healthy.value(), 1);
}

TEST_F(HealthTest, AHostThatFailsItsChecksMakesItWarmToo) {
  listener_.reset();
  discovery.add(checked());
  ASSERT_TRUE(run_until(loop, [&] { return warm == 1; }));
  discovery.commit();
  EXPECT_EQ(flags_of("a"), uint32_t{upstream::kFailedActive});
  EXPECT_EQ(stats_of("a")->membership_healthy.value(), 0);
  EXPECT_EQ(stats_of("a")->membership_total.value(), 1);
}

TEST_F(HealthTest, AReloadKeepsVerdictsAndNeedsNoNewCheck) {
  const auto before = checked();
  discovery.add(before);
  ASSERT_TRUE(run_until(loop, [&] { return warm == 1; }));
  discovery.commit();
  const auto after = checked("connect_timeout: 1s, ");
  upstream::adopt_limits(*after, *before);
  discovery.add(after);
  EXPECT_TRUE(discovery.all_warm());
  discovery.commit();
  EXPECT_EQ(flags_of("a"), 0u);
  const auto unchecked = cluster_of(str("{ name: a, ", endpoints({address}), " }"));
  upstream::adopt_limits(*unchecked, *after);
  discovery.add(unchecked);
  EXPECT_NE(discovery.health("a"), nullptr) << "until it is in force";
  discovery.commit();
  EXPECT_EQ(discovery.health("a"), nullptr);
}

TEST_F(HealthTest, AnAbandonedConfigurationLeavesNothingBehind) {
  discovery.add(checked());
  discovery.abandon();
  EXPECT_EQ(discovery.health("a"), nullptr);
  run_for(loop, std::chrono::milliseconds(20));
  EXPECT_FALSE(testing::has_input(listener_.get())) << "nobody is checked any more";
}

TEST_F(HealthTest, ReportsOfWorkersReachTheDetector) {
  const auto config = cluster_of(str(
      "{ name: a, outlier_detection: { max_ejection_percent: 100 }, ", endpoints({address}), " }"));
  const HostSetPtr hosts = discovery.add(config);
  discovery.commit();
  config->health->tell({hosts->hosts[0]->id, upstream::HealthReport::What::kRow5xx});
  EXPECT_EQ(flags_of("a"), 0u) << "in a turn of the control loop";
  ASSERT_TRUE(run_until(loop, [&] { return unhealthy == 1; }));
  EXPECT_EQ(flags_of("a"), uint32_t{upstream::kFailedOutlier});
  EXPECT_EQ(stats_of("a")->membership_healthy.value(), 0);
  discovery.remove("a");
  config->health->tell({hosts->hosts[0]->id, upstream::HealthReport::What::kRow5xx});
  run_for(loop, std::chrono::milliseconds(10));
  EXPECT_EQ(unhealthy, 1);
}

TEST(DnsSourceKey, TellsApartWhatMatters) {
  const auto key = [](std::string_view fields, std::string_view target) {
    return DnsSource::key_of(
        *cluster_of(str("{ name: a, type: STRICT_DNS, ", fields, endpoints({target}), " }")));
  };
  const std::string base = key("", "a.b:80");
  EXPECT_EQ(base, key("connect_timeout: 1s, ", "a.b:80"));
  EXPECT_NE(base, key("", "a.b:81"));
  EXPECT_NE(base, key("", "a.c:80"));
  EXPECT_NE(base, key("dns_refresh_rate: 1s, ", "a.b:80"));
  EXPECT_NE(base, key("dns_lookup_family: ALL, ", "a.b:80"));
  EXPECT_NE(base, key("respect_dns_ttl: true, ", "a.b:80"));
  EXPECT_NE(base, key("dns_jitter: 1s, ", "a.b:80"));
}

}  // namespace
}  // namespace pillion::discovery
