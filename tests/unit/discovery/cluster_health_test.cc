// Who watches the hosts of a cluster: active checks before it is warm, reports of workers.
#include "proxy/discovery/cluster_health.h"

#include "proxy/upstream/host_health.h"
#include "tests/support/sockets.h"
#include "tests/unit/discovery/fixture.h"

namespace pillion::discovery {
namespace {

constexpr std::string_view kChecks =
    "health_checks: [ { timeout: 0.2s, interval: 60s, unhealthy_threshold: 1, healthy_threshold: "
    "1, tcp_health_check: {} } ]";

class HealthTest : public DiscoveryTest {
 protected:
  HealthTest() : listener_(testing::loopback_listener()) {
    address = testing::local_address_of(listener_.get()).to_string();
  }
  std::shared_ptr<const upstream::ClusterConfig> checked(std::string_view more = "") {
    return cluster_of(str("{ name: a, ", more, kChecks, ", ", endpoints({address}), " }"));
  }
  uint32_t flags_of(std::string_view name) {
    return discovery.health(name)->verdict(discovery.hosts(name)->hosts[0]->id).flags;
  }
  // Its hosts are what is said under `service`.
  std::shared_ptr<const upstream::ClusterConfig> by_eds(std::string_view service,
                                                        std::string_view checks) {
    return cluster_of(str("{ name: a, type: EDS, eds_cluster_config: { service_name: ", service,
                          ", eds_config: { ads: {}, resource_api_version: V3 } }, ", checks, " }"));
  }
  void say(std::string_view service) {
    upstream::Endpoint host;
    host.address = testing::local_address_of(listener_.get());
    discovery.set_endpoints(service, {host});
  }
  stats::BlockRef<stats::ClusterHealthCheckStats> checks_of(std::string_view name) {
    return registry.block<stats::ClusterHealthCheckStats>(stats::kControl, name);
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

// It waits for endpoints that may never come, and nobody is there who would say what it expects.
TEST_F(HealthTest, AConfigurationThatWaitsFailsNoHostOfTheOneInForce) {
  const auto before = by_eds("e", kChecks);
  say("e");
  settle(before);
  ASSERT_EQ(flags_of("a"), 0u);
  const auto after = by_eds("f",
                            "health_checks: [ { timeout: 0.2s, interval: 60s, "
                            "unhealthy_threshold: 1, healthy_threshold: 1, "
                            "tcp_health_check: { receive: [ { text: 504F4E47 } ] } } ]");
  upstream::adopt_limits(*after, *before);
  discovery.add(after);
  const auto checks = checks_of("a");
  for (uint64_t check = 2; check <= 3; ++check) {
    loop.skip(std::chrono::seconds(61));
    ASSERT_TRUE(run_until(loop, [&] { return checks->attempt.value() == check; }));
    ASSERT_TRUE(run_until(
        loop, [&] { return checks->success.value() + checks->failure.value() == check; }));
    EXPECT_EQ(flags_of("a"), 0u) << "in force is that to connect is enough";
  }
  EXPECT_EQ(checks->failure.value(), 0u);
}

TEST_F(HealthTest, AClusterWithoutChecksHeedsNoneThatWait) {
  const std::string more =
      "outlier_detection: { successful_active_health_check_uneject_host: true "
      "}, ";
  for (const std::string& outlier : {std::string(), more}) {
    const auto before = cluster_of(str("{ name: a, ", outlier, endpoints({address}), " }"));
    discovery.add(before);
    discovery.commit();
    const auto after = checked(outlier);
    upstream::adopt_limits(*after, *before);
    discovery.add(after);
    EXPECT_FALSE(discovery.is_warm(*after));
    EXPECT_EQ(flags_of("a"), 0u);
    discovery.refresh_gauges();
    EXPECT_EQ(stats_of("a")->membership_healthy.value(), 1);
    discovery.commit();
    EXPECT_EQ(flags_of("a"), uint32_t{upstream::kFailedActive | upstream::kPendingActive})
        << "now it is in force";
    discovery.refresh_gauges();
    EXPECT_EQ(stats_of("a")->membership_healthy.value(), 0);
    discovery.remove("a");
  }
}

TEST_F(HealthTest, HostsThatWereCheckedWhileTheyWaitedNeedNoCheckAtCommit) {
  const auto before = by_eds("e", kChecks);
  say("e");
  settle(before);
  const auto after = by_eds("f", kChecks);
  upstream::adopt_limits(*after, *before);
  discovery.add(after);
  say("f");  // the same address, and another host
  EXPECT_FALSE(discovery.is_warm(*after));
  settle(after);
  EXPECT_EQ(flags_of("a"), 0u);
  EXPECT_EQ(checks_of("a")->attempt.value(), 2u);
  EXPECT_EQ(checks_of("a")->healthy.value(), 1);
}

TEST_F(HealthTest, AConfigurationThatReplacesOneThatWaitsKnowsWhatThatFound) {
  discovery.add(checked());
  const auto newer =
      checked("connect_timeout: 1s, ");  // before any is in force, with a health of its own
  discovery.add(newer);
  EXPECT_EQ(flags_of("a"), uint32_t{upstream::kFailedActive | upstream::kPendingActive});
  settle(newer);
  EXPECT_EQ(flags_of("a"), 0u);
  const HostSetPtr hosts = discovery.hosts("a");
  EXPECT_EQ(newer->health->of(hosts->hosts[0]->id)->flags(), 0u);
}

TEST_F(HealthTest, AnAbandonedConfigurationLeavesNothingBehind) {
  discovery.add(checked());
  discovery.abandon({"a"});
  EXPECT_EQ(discovery.health("a"), nullptr);
  run_for(loop, std::chrono::milliseconds(20));
  EXPECT_FALSE(testing::has_input(listener_.get())) << "nobody is checked any more";
}

// EDS: they may come after the cluster.
TEST_F(HealthTest, HostsThatComeWhileItWaitsAreCheckedFirst) {
  const auto config = cluster_of(
      str("{ name: a, type: EDS, eds_cluster_config: { service_name: e, eds_config: { ads: {}, "
          "resource_api_version: V3 } }, ",
          kChecks, " }"));
  discovery.add(config);
  EXPECT_TRUE(discovery.is_warm(*config)) << "there is nobody to check";
  upstream::Endpoint host;
  host.address = testing::local_address_of(listener_.get());
  discovery.set_endpoints("e", {host});
  EXPECT_FALSE(discovery.is_warm(*config));
  ASSERT_TRUE(run_until(loop, [&] { return warm == 1; }));
  EXPECT_TRUE(discovery.is_warm(*config));
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
  discovery.refresh_gauges();
  EXPECT_EQ(stats_of("a")->membership_healthy.value(), 0);
  discovery.remove("a");
  config->health->tell({hosts->hosts[0]->id, upstream::HealthReport::What::kRow5xx});
  run_for(loop, std::chrono::milliseconds(10));
  EXPECT_EQ(unhealthy, 1);
}

}  // namespace
}  // namespace pillion::discovery
