// Active health checks of many hosts: what they cost, and how many there are of each kind.
#include <ctime>

#include "tests/support/log_capture.h"
#include "tests/unit/upstream/health_check_fixture.h"

namespace pillion::upstream {
namespace {

using std::chrono::seconds;

// Nobody is asked before a turn.
class ManyHostsTest : public HealthCheckTest {
 protected:
  struct Observer final : HealthObserver {
    void on_health_changed() override { ++changes; }
    int changes = 0;
  };
  static HostSetPtr many(uint32_t count) {
    Endpoints endpoints(count);
    for (uint32_t i = 0; i < count; ++i)
      endpoints[i].address = io::Address::ipv4(0x7f010000 + i, 9);
    return make_host_set(endpoints, nullptr);
  }
  std::unique_ptr<HealthChecker> checker_of(const HostSetPtr& hosts) {
    configure();
    auto made = std::make_unique<HealthChecker>(HealthChecker::Context{loop, batch, registry, rng},
                                                config, observer);
    made->set_hosts(hosts->hosts);
    return made;
  }
  Observer observer;
};

TEST_F(ManyHostsTest, AVerdictCostsTheSameHoweverManyThereAre) {
  const testing::LogCapture quiet;
  // Of a thousand verdicts.
  const auto cost = [&](uint32_t hosts) {
    const HostSetPtr set = many(hosts);
    const auto many_checks = checker_of(set);
    const auto fail_some = [&] {
      for (uint32_t i = 0; i < 1000; ++i) many_checks->on_immediate_fail(set->hosts[i % hosts]->id);
    };
    fail_some();  // what is said once a host is said now
    const Duration begin = thread_cpu_time();
    fail_some();
    return thread_cpu_time() - begin;
  };
  const Duration of_few = cost(100);
  // Of 300 times as many: some times as long for what is not in the cache, but not 300 times.
  EXPECT_LT(cost(30'000), 100 * of_few);
  EXPECT_EQ(observer.changes, 4000);
}

TEST_F(ManyHostsTest, ChecksThatAreDueTogetherBeginInPortions) {
  constexpr uint64_t kHosts = 2000;
  const testing::LogCapture quiet;
  const HostSetPtr set = many(kHosts);
  options.kind = HealthCheckOptions::Kind::kTcp;
  const auto many_checks = checker_of(set);
  ASSERT_TRUE(run_until(loop, [&] { return checks->attempt.value() != 0; }));
  EXPECT_LT(checks->attempt.value(), kHosts) << "all others wait for as many connects";
  ASSERT_TRUE(run_until(loop, [&] { return checks->failure.value() == kHosts; }));
  EXPECT_EQ(checks->attempt.value(), kHosts);
}

TEST_F(ManyHostsTest, KnowsHowManyAreHealthyWhateverHappens) {
  Backend a, b, c;
  start({a.address, b.address, c.address});
  Conn to_a = take(a), to_b = take(b), to_c = take(c);
  answer(to_a, "200");
  answer(to_b, "200", "x-envoy-degraded: 1\r\n");
  answer(to_c, "404");
  EXPECT_EQ(checks->healthy.value(), 2);
  EXPECT_EQ(checks->degraded.value(), 1);
  checker->on_immediate_fail(host(1)->id);
  EXPECT_EQ(checks->healthy.value(), 1);
  EXPECT_EQ(checks->degraded.value(), 0);

  // Others of the cluster, by a configuration that waits, count too; and then hosts pass over.
  auto waiting = checker_of(many(3));
  EXPECT_EQ(checks->healthy.value(), 1);
  waiting->set_hosts({host(0)}, checker.get());
  EXPECT_EQ(checks->healthy.value(), 1);
  checker.reset();
  EXPECT_EQ(checks->healthy.value(), 1);
  EXPECT_EQ(flags(0), 0u);

  // Another name of its statistics takes what there is along.
  config = std::make_shared<ClusterConfig>(*config);
  config->stat_name = "d";
  waiting->set_config(config);
  EXPECT_EQ(checks->healthy.value(), 0);
  const auto under_d = registry.block<stats::ClusterHealthCheckStats>(stats::kControl, "d");
  EXPECT_EQ(under_d->healthy.value(), 1);
  waiting->set_hosts({});
  EXPECT_EQ(under_d->healthy.value(), 0);
}

}  // namespace
}  // namespace pillion::upstream
