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
  EXPECT_EQ(stats_of("a")->membership_healthy.value(), 0);
  discovery.remove("a");
  config->health->tell({hosts->hosts[0]->id, upstream::HealthReport::What::kRow5xx});
  run_for(loop, std::chrono::milliseconds(10));
  EXPECT_EQ(unhealthy, 1);
}

}  // namespace
}  // namespace pillion::discovery
