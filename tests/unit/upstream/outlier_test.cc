// Outlier detection: what is found out, who is ejected for how long, and what workers make of it.
#include "proxy/upstream/outlier.h"

#include <map>

#include "proxy/upstream/success_rates.h"
#include "tests/support/log_capture.h"
#include "tests/unit/upstream/fixture.h"
#include "tests/unit/upstream/pool_fixture.h"

namespace pillion::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::LogCapture;

// Hosts of a cluster "c", a detector on the loop, and up to two workers that see their traffic.
class OutlierTest : public UpstreamTest, protected HealthObserver, private HealthListener {
 protected:
  void start(size_t hosts, OutlierOptions options = {}) {
    configure(std::move(options));
    std::vector<io::Address> addresses;
    for (size_t i = 0; i < hosts; ++i)
      addresses.push_back(io::Address::ipv4(0x0a000001u + static_cast<uint32_t>(i), 80));
    set_ = hosts_at(addresses);
    detector = std::make_unique<OutlierDetector>(OutlierDetector::Context{loop, registry, rng},
                                                 config, static_cast<HealthObserver&>(*this));
    detector->set_hosts(set_->hosts);
    for (ClusterMap* worker : {&clusters, &second_}) worker->set({config, set_});
  }
  void configure(OutlierOptions options) {
    config->outlier = std::make_shared<OutlierOptions>(std::move(options));
    if (config->health == nullptr) config->health = std::make_shared<SharedHealth>();
    config->health->listen(this);
  }
  void TearDown() override {
    detector.reset();
    second_.clear();
    UpstreamTest::TearDown();
  }
  void on_health_report(HealthReport report) override { reports.push_back(report); }
  void on_health_changed() override {
    ++changes;
    clusters.update_health("c");
    second_.update_health("c");
  }
  Cluster& cluster(int worker = 0) { return *(worker == 0 ? clusters : second_).find("c"); }
  Host& host(size_t i, int worker = 0) { return *cluster(worker).hosts()[i]; }

  // Tells control what workers reported.
  void deliver() {
    for (const HealthReport& report : std::exchange(reports, {})) detector->on_report(report);
  }
  // An outcome: an HTTP status, or c(onnected) f(ailed) t(imeout) r(aw connection).
  void outcome(size_t i, std::string_view what, int worker = 0) {
    if (what == "c") return host(i, worker).on_outcome(AttemptOutcome::kConnected);
    if (what == "f") return host(i, worker).on_failure({FailureKind::kConnectFailed});
    if (what == "t") return host(i, worker).on_outcome(AttemptOutcome::kTimeout);
    if (what == "r") return host(i, worker).on_outcome(AttemptOutcome::kConnectedRaw);
    Arena arena;
    http::ResponseHead head(arena);
    head.status = static_cast<uint16_t>(std::stoi(std::string(what)));
    host(i, worker).on_response(head, false);
  }
  // "503 503 200", one after another.
  void play(size_t i, std::string_view outcomes, int worker = 0) {
    while (!outcomes.empty()) {
      const size_t end = std::min(outcomes.find(' '), outcomes.size());
      outcome(i, outcomes.substr(0, end), worker);
      deliver();
      outcomes.remove_prefix(std::min(end + 1, outcomes.size()));
    }
  }
  void fail(size_t i) { play(i, "500 500 500 500 500"); }
  bool is_ejected(size_t i) { return config->health->of(set_->hosts[i]->id)->has(kFailedOutlier); }
  // As many characters as hosts: x is ejected.
  std::string ejected() {
    std::string out;
    for (size_t i = 0; i < set_->hosts.size(); ++i) out += is_ejected(i) ? 'x' : '-';
    return out;
  }
  void pass(Duration time) {
    loop.run_once(false);
    loop.skip(time + milliseconds(20));  // a timer comes up to a slot late
    loop.run_once(false);
  }
  static OutlierOptions all_may_go() {
    OutlierOptions options;
    options.max_ejection_percent = 100;
    return options;
  }
  stats::ClusterOutlierStats& counters() { return *counters_; }

  std::unique_ptr<OutlierDetector> detector;
  std::vector<HealthReport> reports;
  int changes = 0;

 private:
  HostSetPtr set_;
  ClusterMap second_{ClusterContext{loop, batch, registry, 1, rng}};
  stats::BlockRef<stats::ClusterOutlierStats> counters_ =
      registry.block<stats::ClusterOutlierStats>(stats::kControl, "c");
};

TEST_F(OutlierTest, FindsOutRowsOfFailures) {
  const struct {
    const char* outcomes;
    bool is_ejected;
    bool splits = false;
    bool enforces_gateway = false;
  } rows[] = {
      {"500 500 500 500", false},
      {"500 501 502 503 599", true},
      {"500 500 500 500 200 500", false},
      {"500 500 500 500 404 500", false},
      {"f f f f f", true},  // as 503
      {"t t t t t", true},  // as 504
      {"503 f t 503 500", true},
      {"c f c f c f c f c f", true},  // a connection alone is no success of an answer
      {"f f f f r f", false},         // but all that a relay of bytes asks for
      {"503 503 503 503", false, false, true},
      {"502 503 504 f t", true, false, true},
      {"502 502 500 502 502", true},  // not a row of gateway failures, but one of 5xx
      // Split: our failures count apart from what the host says.
      {"f f f f f", true, true},
      {"f f f f 503", false, true},
      {"503 503 f 503 503 f 503", true, true},
      {"f f f f c f", false, true},
      {"f f f f r f", false, true},
      {"t t t t t", true, true},
      {"c t c t c t c t c t", false, true},  // as Envoy: the connect was a success
  };
  for (const auto& row : rows) {
    OutlierOptions options = all_may_go();
    options.split_local_origin = row.splits;
    if (row.enforces_gateway)
      options.enforcing[static_cast<size_t>(OutlierKind::kConsecutiveGateway)] = 100;
    start(2, options);
    play(0, row.outcomes);
    EXPECT_EQ(is_ejected(0), row.is_ejected) << row.outcomes << (row.splits ? " split" : "");
    EXPECT_FALSE(is_ejected(1)) << row.outcomes;
    detector.reset();
    clusters.clear();
  }
}

TEST_F(OutlierTest, CountsWhatWasDetectedAndWhatWasEnforced) {
  start(2, all_may_go());
  play(0, "503 503 503 503 503");
  EXPECT_EQ(counters().ejections_detected_consecutive_gateway_failure.value(), 1u);
  EXPECT_EQ(counters().ejections_enforced_consecutive_gateway_failure.value(), 0u)
      << "0 % by default";
  EXPECT_EQ(counters().ejections_detected_consecutive_5xx.value(), 1u);
  EXPECT_EQ(counters().ejections_enforced_consecutive_5xx.value(), 1u);
  EXPECT_EQ(counters().ejections_enforced_total.value(), 1u);
  EXPECT_EQ(counters().ejections_active.value(), 1);
  EXPECT_EQ(counters().ejections_overflow.value(), 0u);
}

TEST_F(OutlierTest, LetsAsManyGoAsThePercentageSays) {
  const struct {
    size_t hosts;
    uint32_t per_cent;
    bool always_one;
    const char* after_all_fail;
  } rows[] = {
      {1, 10, false, "-"},           {1, 10, true, "x"},
      {1, 100, false, "x"},          {2, 10, false, "--"},
      {2, 10, true, "x-"},           {2, 50, false, "x-"},
      {3, 33, false, "---"},  // one of three is more than 33 %
      {3, 34, false, "x--"},         {3, 50, true, "x--"},
      {3, 0, true, "x--"},           {3, 0, false, "---"},
      {10, 10, false, "x---------"}, {10, 30, false, "xxx-------"},
      {10, 30, true, "xxx-------"},  {10, 100, false, "xxxxxxxxxx"},
  };
  for (const auto& row : rows) {
    OutlierOptions options;
    options.max_ejection_percent = row.per_cent;
    options.always_eject_one = row.always_one;
    options.success_rate_hosts = options.failure_percentage_hosts = 100;
    start(row.hosts, options);
    const uint64_t overflow = counters().ejections_overflow.value();
    for (size_t i = 0; i < row.hosts; ++i) fail(i);
    const std::string expected = row.after_all_fail;
    EXPECT_EQ(ejected(), expected) << row.hosts << " hosts, " << row.per_cent << " %";
    const auto stay = static_cast<uint64_t>(std::count(expected.begin(), expected.end(), '-'));
    EXPECT_EQ(counters().ejections_overflow.value() - overflow, stay);
    detector.reset();
    clusters.clear();
  }
}

TEST_F(OutlierTest, ARowThatLedToNothingIsFollowedByTheNext) {
  OutlierOptions options;
  options.max_ejection_percent = 50;
  start(2, options);
  fail(0);
  fail(1);
  EXPECT_EQ(ejected(), "x-");
  pass(seconds(31));
  pass(seconds(10));
  EXPECT_EQ(ejected(), "--");
  fail(1);
  EXPECT_EQ(ejected(), "-x");
}

TEST_F(OutlierTest, ARowIsFoundOutThoughANewLimitIsBelowIt) {
  OutlierOptions options = all_may_go();
  options.consecutive_5xx = 10;
  start(2, options);
  play(0, "500 500 500 500 500");
  options.consecutive_5xx = 3;
  const auto next = std::make_shared<ClusterConfig>(*config);
  next->outlier = std::make_shared<OutlierOptions>(options);
  next->hash = 77;
  config = next;
  detector->set_config(next);
  clusters.set({next, nullptr});
  EXPECT_EQ(ejected(), "--");
  play(0, "500 500 500");
  EXPECT_EQ(ejected(), "x-");
}

// Of a cluster in panic all requests may fail: control is not told of each.
TEST_F(OutlierTest, ARowThatGoesOnIsToldLessAndLess) {
  start(1, all_may_go());
  fail(0);
  ASSERT_EQ(ejected(), "x");
  reports.clear();
  for (int i = 0; i < 1000; ++i) outcome(0, "500");
  EXPECT_LT(reports.size(), 10u);
}

TEST_F(OutlierTest, EjectsForLongerEachTimeAndForgivesStepByStep) {
  OutlierOptions options = all_may_go();
  options.max_ejection_time = seconds(90);
  start(2, options);
  // In whole intervals: how long host 0 is out after it fails.
  const auto intervals_out = [&] {
    fail(0);
    EXPECT_TRUE(is_ejected(0));
    int n = 0;
    while (is_ejected(0) && n < 50) {
      pass(seconds(10));
      ++n;
    }
    return n;
  };
  const auto near = [](int n, int expected) { return n == expected || n == expected + 1; };
  for (const int expected : {3, 6, 9, 9, 9}) {
    const int n = intervals_out();
    EXPECT_TRUE(near(n, expected)) << n << " instead of " << expected;
  }
  // Four times the base is the most that is remembered; each interval takes off one.
  for (int i = 0; i < 5; ++i) pass(seconds(10));
  const int n = intervals_out();
  EXPECT_TRUE(near(n, 3)) << n;
}

TEST_F(OutlierTest, ComesBackAtATickAndNotBefore) {
  start(2, all_may_go());
  pass(seconds(4));
  fail(0);
  pass(seconds(29));
  EXPECT_TRUE(is_ejected(0)) << "29 s";
  pass(seconds(2));
  EXPECT_TRUE(is_ejected(0)) << "31 s, but the tick is at 36";
  pass(seconds(6));
  EXPECT_FALSE(is_ejected(0));
  EXPECT_EQ(counters().ejections_active.value(), 0);
  EXPECT_EQ(changes, 2);
}

TEST_F(OutlierTest, SaysWhoIsEjectedWhyAndWhenItIsBack) {
  LogCapture log;
  start(2, all_may_go());
  fail(0);
  EXPECT_NE(log.text().find("host ejected: cluster=c host=10.0.0.1:80 cause=consecutive_5xx "
                            "for=30s ejected=1 hosts=2"),
            std::string::npos)
      << log.text();
  pass(seconds(31));
  pass(seconds(10));
  EXPECT_NE(log.text().find("ejected host is back: cluster=c host=10.0.0.1:80"), std::string::npos)
      << log.text();
}

TEST_F(OutlierTest, TwoWorkersFillOneRowAndBothLeaveTheHostOut) {
  start(3, all_may_go());
  for (int i = 0; i < 5; ++i) play(0, "500", i % 2);
  EXPECT_EQ(ejected(), "x--");
  for (const int worker : {0, 1}) {
    std::map<const Host*, int> picked;
    Failure failure;
    for (int i = 0; i < 30; ++i) ++picked[cluster(worker).pick({}, &failure)];
    EXPECT_EQ(picked.size(), 2u) << worker;
    EXPECT_EQ(picked.count(&host(0, worker)), 0u) << worker;
  }
  pass(seconds(31));
  pass(seconds(10));
  for (const int worker : {0, 1}) {
    std::map<const Host*, int> picked;
    Failure failure;
    for (int i = 0; i < 30; ++i) ++picked[cluster(worker).pick({}, &failure)];
    EXPECT_EQ(picked.size(), 3u) << worker;
  }
}

TEST_F(OutlierTest, TooManyEjectedHostsArePanic) {
  start(3, all_may_go());
  fail(0);
  fail(1);
  Failure failure;
  std::map<const Host*, int> picked;
  for (int i = 0; i < 30; ++i) ++picked[cluster().pick({}, &failure)];
  EXPECT_EQ(picked.size(), 3u) << "33 % healthy are less than 50 %";
  EXPECT_EQ(stats->lb_healthy_panic.value(), 30u);
}

TEST_F(OutlierTest, WithoutPanicNobodyIsLeft) {
  config->balancer.panic_threshold = 0;
  start(1, all_may_go());
  fail(0);
  Failure failure;
  EXPECT_EQ(cluster().pick({}, &failure), nullptr);
  EXPECT_EQ(failure.kind, FailureKind::kNoHealthyUpstream);
}

TEST_F(OutlierTest, KeepsHostsEjectedOverAReload) {
  start(2, all_may_go());
  fail(0);
  OutlierOptions options = all_may_go();
  options.base_ejection_time = seconds(5);
  const auto next = std::make_shared<ClusterConfig>(*config);
  next->outlier = std::make_shared<OutlierOptions>(options);
  next->health = std::make_shared<SharedHealth>();
  adopt_limits(*next, *config);
  next->hash = 77;
  config = next;
  detector->set_config(next);
  clusters.set({next, nullptr});
  EXPECT_TRUE(is_ejected(0));
  EXPECT_FALSE(host(0).is_healthy());
  pass(seconds(11));
  EXPECT_FALSE(is_ejected(0)) << "the new time counts";
  EXPECT_TRUE(host(0).is_healthy());
}

TEST_F(OutlierTest, AHostThatIsGoneNoLongerCounts) {
  start(2, all_may_go());
  fail(0);
  detector->set_hosts({});
  EXPECT_EQ(counters().ejections_active.value(), 0);
  detector->on_report({1, HealthReport::What::kRow5xx});
}

TEST_F(OutlierTest, APassedActiveCheckEndsTheEjection) {
  start(2, all_may_go());
  fail(0);
  detector->on_active_check_passed(cluster().hosts()[0]->info().id);
  EXPECT_EQ(ejected(), "--");
  OutlierOptions options = all_may_go();
  options.uneject_by_active_check = false;
  configure(options);
  detector->set_config(config);
  fail(0);
  detector->on_active_check_passed(cluster().hosts()[0]->info().id);
  EXPECT_EQ(ejected(), "x-");
}

TEST_F(OutlierTest, TicksOnlyWhileThereIsSomethingToDo) {
  start(4, all_may_go());
  EXPECT_FALSE(detector->is_ticking());
  fail(0);
  EXPECT_TRUE(detector->is_ticking());
  for (int i = 0; i < 10 && is_ejected(0); ++i) pass(seconds(10));
  EXPECT_FALSE(is_ejected(0));
  EXPECT_TRUE(detector->is_ticking()) << "it is not forgiven yet";
  for (int i = 0; i < 2; ++i) pass(seconds(10));
  EXPECT_FALSE(detector->is_ticking());
}

TEST_F(OutlierTest, EjectsHostsWhoseSuccessRateIsFarBelowTheAverage) {
  OutlierOptions options = all_may_go();
  options.consecutive_5xx = 0;
  options.success_rate_volume = 10;
  start(6, options);
  for (size_t i = 0; i < 6; ++i) {
    for (int n = 0; n < 20; ++n) outcome(i, i == 2 && n % 2 == 0 ? "500" : "200");
  }
  pass(seconds(11));
  EXPECT_EQ(ejected(), "--x---");
  EXPECT_EQ(counters().ejections_enforced_success_rate.value(), 1u);
  EXPECT_DOUBLE_EQ(detector->rates_of(cluster().hosts()[2]->info().id).success, 50.0);
  EXPECT_NEAR(detector->external_rates().average, 91.67, 0.01);
}

TEST(SuccessRates, AreJudgedAsEnvoys) {
  OutlierOptions o;
  o.success_rate_volume = 100;
  o.failure_percentage_volume = 50;
  const auto rates = [](std::initializer_list<double> values, uint64_t volume) {
    std::vector<HostRate> out;
    for (const double value : values) out.push_back({out.size() + 1, value, volume});
    return out;
  };
  EXPECT_EQ(judge(rates({100, 100, 100, 0}, 200), 4, o).average, -1) << "too few hosts";
  EXPECT_EQ(judge(rates({100, 100, 100, 100, 0}, 99), 5, o).average, -1) << "too little traffic";
  const RateVerdict verdict = judge(rates({100, 100, 100, 100, 10}, 100), 5, o);
  EXPECT_DOUBLE_EQ(verdict.average, 82);
  EXPECT_NEAR(verdict.threshold, 82 - 1.9 * 36, 1e-9);
  EXPECT_EQ(verdict.below_threshold, std::vector<HostId>{5});
  EXPECT_EQ(verdict.failing, std::vector<HostId>{5}) << "90 % fail";
  EXPECT_TRUE(judge(rates({100, 100, 100, 100, 16}, 60), 5, o).failing.empty()) << "84 %";
  EXPECT_EQ(judge(rates({100, 100, 100, 100, 15}, 60), 5, o).failing.size(), 1u) << "85 %";
  EXPECT_TRUE(judge(rates({50, 50, 50, 50, 50}, 100), 5, o).below_threshold.empty());
}

}  // namespace
}  // namespace pillion::upstream
