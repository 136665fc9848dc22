// Active health checks: when a host is asked, and for how long its verdict stands.
#include "tests/unit/upstream/health_check_fixture.h"

namespace pillion::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(HealthCheckTest, KeepsItsConnectionUnlessToldNotTo) {
  for (const bool keeps : {true, false}) {
    Backend backend;
    options.reuse_connection = keeps;
    start({backend.address});
    Conn conn = take(backend);
    answer(conn, "200");
    if (!keeps) {
      EXPECT_TRUE(conn.is_closed());
    }
    pass(seconds(61));
    if (keeps) {
      answer(conn, "200");
      EXPECT_FALSE(backend.has_waiting());
    } else {
      Conn next = take(backend);
      answer(next, "200");
    }
    EXPECT_TRUE(is_healthy());
    checker.reset();
    turn();
  }
}

TEST_F(HealthCheckTest, AsksMoreOftenOnceThereIsTraffic) {
  Backend backend;
  start({backend.address});
  Conn conn = take(backend);
  answer(conn, "200");
  pass(seconds(59));
  EXPECT_EQ(checks->attempt.value(), 1u) << "nobody calls the cluster";
  call();
  pass(seconds(2));
  answer(conn, "200");
  pass(seconds(4));
  EXPECT_EQ(checks->attempt.value(), 2u);
  pass(seconds(2));
  EXPECT_EQ(checks->attempt.value(), 3u) << "interval is 5 s";
}

TEST_F(HealthCheckTest, AHostOnItsWayBackIsNotAskedAsOneThatIsHealthy) {
  Backend backend;
  options.no_traffic_interval = seconds(10);
  options.no_traffic_healthy_interval = seconds(60);
  start({backend.address});
  Conn conn = take(backend);
  answer(conn, "404");
  pass(seconds(11));
  answer(conn, "200");
  EXPECT_FALSE(is_healthy());
  pass(seconds(11));
  answer(conn, "200");
  EXPECT_TRUE(is_healthy());
  pass(seconds(11));
  EXPECT_EQ(checks->attempt.value(), 3u);
}

TEST_F(HealthCheckTest, AHostThatIsNotCheckedAnyMoreHasNoVerdict) {
  Backend backend;
  start({backend.address});
  Conn conn = take(backend);
  answer(conn, "404");
  ASSERT_FALSE(is_healthy());
  CheckTarget target;
  target.is_disabled = true;
  HostTraits traits = host()->like();
  traits.check = SharedValue<CheckTarget>(target);
  const auto info = make_atomic_ref<HostInfo>();
  info->id = host()->id;
  info->address = host()->address;
  info->traits = SharedValue<HostTraits>(traits);
  checker->set_hosts({info});
  EXPECT_EQ(flags(), 0u);
}

TEST_F(HealthCheckTest, OnTheEdgeOfAVerdictTheEdgeIntervalsCount) {
  Backend backend;
  options.http.retriable = {{500, 600}};
  start({backend.address});
  call();
  Conn conn = take(backend);
  answer(conn, "200");
  pass(seconds(6));
  answer(conn, "500");
  for (int i = 0; i < 2; ++i) {
    pass(milliseconds(1100));
    answer(conn, "500");
  }
  EXPECT_FALSE(is_healthy());
  pass(milliseconds(1100));
  EXPECT_EQ(checks->attempt.value(), 4u) << "decided: unhealthy_interval is 5 s";
  pass(seconds(5));
  answer(conn, "200");
  pass(milliseconds(1100));
  answer(conn, "200");
  EXPECT_TRUE(is_healthy());
}

TEST_F(HealthCheckTest, KeepsVerdictsOverAReload) {
  Backend backend;
  start({backend.address});
  Conn conn = take(backend);
  answer(conn, "404");
  ASSERT_FALSE(is_healthy());
  options.interval = seconds(7);
  configure();
  checker->set_config(config);
  EXPECT_EQ(flags(), uint32_t{kFailedActive}) << "failed, not pending";
  pass(seconds(8));
  Conn next = take(backend);
  answer(next, "200");
  EXPECT_FALSE(is_healthy()) << "its second check: the threshold counts";
}

TEST_F(HealthCheckTest, AHostThatGoesTakesItsCheckAlong) {
  Backend backend;
  start({backend.address});
  Conn conn = take(backend);
  conn.read_head();
  checker->set_hosts({});
  turn();
  EXPECT_TRUE(conn.is_closed());
  EXPECT_EQ(results(), 0u);
  EXPECT_EQ(checks->healthy.value(), 0);
}

// Lowered below what a host has already: it must not wait for a number that has gone by.
TEST_F(HealthCheckTest, ALoweredThresholdDecidesAtTheNextAnswer) {
  Backend backend;
  options.http.retriable = {{500, 600}};
  options.unhealthy_threshold = options.healthy_threshold = 40;
  start({backend.address});
  const auto answer_all = [&](Conn& conn, const char* status, int times) {
    for (int i = 0; i < times; ++i) {
      answer(conn, status);
      pass(seconds(61));
    }
  };
  const auto lower = [&] {
    options.unhealthy_threshold = options.healthy_threshold = 3;
    configure();
    checker->set_config(config);  // one that runs begins again
  };
  {
    Conn conn = take(backend);
    answer_all(conn, "404", 1);
    answer_all(conn, "200", 13);
    EXPECT_FALSE(is_healthy());
    lower();
    Conn next = take(backend);
    answer(next, "200");
    EXPECT_TRUE(is_healthy());
  }
  options.unhealthy_threshold = 40;
  configure();
  checker->set_config(config);
  pass(seconds(61));
  Conn conn = take(backend);
  answer_all(conn, "503", 13);
  EXPECT_TRUE(is_healthy());
  lower();
  Conn next = take(backend);
  answer(next, "503");
  EXPECT_FALSE(is_healthy());
}

}  // namespace
}  // namespace pillion::upstream
