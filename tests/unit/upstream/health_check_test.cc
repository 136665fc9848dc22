// Active health checks: what an answer means, or none.
#include <map>

#include "tests/support/log_capture.h"
#include "tests/unit/upstream/health_check_fixture.h"

namespace pillion::upstream {
namespace {

using std::chrono::seconds;
using testing::LogCapture;

TEST_F(HealthCheckTest, AsksAtOnceAndBelievesTheFirstAnswer) {
  Backend backend;
  options.http.headers = {{"x-probe", "yes"}};
  start({backend.address});
  EXPECT_EQ(flags(), uint32_t{kFailedActive | kPendingActive});
  EXPECT_FALSE(checker->have_been_checked(HostSet{{host()}}));
  Conn conn = take(backend);
  const std::string request = answer(conn, "200");
  EXPECT_TRUE(request.starts_with("GET /up?all=1 HTTP/1.1\r\n")) << request;
  EXPECT_NE(request.find("host: c\r\n"), std::string::npos) << request;
  EXPECT_NE(request.find("user-agent: Envoy/HC\r\n"), std::string::npos) << request;
  EXPECT_NE(request.find("x-probe: yes\r\n"), std::string::npos) << request;
  EXPECT_EQ(flags(), 0u) << "healthy_threshold is 2, but it is the first check";
  EXPECT_TRUE(checker->have_been_checked(HostSet{{host()}}));
  EXPECT_EQ(checks->attempt.value(), 1u);
  EXPECT_EQ(checks->success.value(), 1u);
  EXPECT_EQ(checks->healthy.value(), 1);
  EXPECT_EQ(passed, 1);
}

TEST_F(HealthCheckTest, AnAnswerThatSaysNoIsBelievedAtOnce) {
  const struct {
    const char* status;
    bool is_healthy;
  } rows[] = {{"200", true}, {"204", true}, {"404", false}, {"503", false}, {"301", false}};
  for (const auto& row : rows) {
    Backend backend;
    options.http.expected = {{200, 201}, {204, 205}};
    start({backend.address});
    Conn conn = take(backend);
    answer(conn, "200");
    pass(seconds(61));
    answer(conn, row.status);
    EXPECT_EQ(is_healthy(), row.is_healthy) << row.status;
    checker.reset();
  }
  EXPECT_EQ(checks->network_failure.value(), 0u);
}

TEST_F(HealthCheckTest, RetriableStatusesNeedTheThreshold) {
  Backend backend;
  options.http.retriable = {{500, 600}};
  start({backend.address});
  Conn conn = take(backend);
  answer(conn, "200");
  for (int i = 1; i <= 3; ++i) {
    pass(seconds(61));
    answer(conn, "503");
    EXPECT_EQ(is_healthy(), i < 3) << i;
  }
  // Back: two in a row.
  pass(seconds(61));
  answer(conn, "200");
  EXPECT_FALSE(is_healthy());
  pass(seconds(61));
  answer(conn, "503");
  for (int i = 1; i <= 2; ++i) {
    pass(seconds(61));
    answer(conn, "200");
    EXPECT_EQ(is_healthy(), i == 2) << i;
  }
}

TEST_F(HealthCheckTest, RefusedConnectsAndResetsNeedTheThreshold) {
  LogCapture log;
  auto backend = std::make_unique<Backend>();
  start({backend->address});
  {
    Conn conn = take(*backend);
    answer(conn, "200");
  }
  backend.reset();
  turn();
  for (uint64_t i = 1; i <= 3; ++i) {
    const uint64_t before = results();
    loop.skip(seconds(61));
    ASSERT_TRUE(run_until(loop, [&] { return results() != before; }));
    EXPECT_EQ(is_healthy(), i < 3) << i;
    EXPECT_EQ(checks->network_failure.value(), i);
  }
  EXPECT_NE(log.text().find("host fails its health checks: cluster=c"), std::string::npos)
      << log.text();
  EXPECT_NE(log.text().find("Connection refused"), std::string::npos) << log.text();
}

TEST_F(HealthCheckTest, ASilentHostTimesOut) {
  Backend backend;
  options.unhealthy_threshold = 1;
  start({backend.address});
  Conn conn = take(backend);
  conn.read_head();
  pass(seconds(3));
  EXPECT_EQ(flags(), uint32_t{kFailedActive | kActiveTimeout});
  EXPECT_TRUE(checker->have_been_checked(HostSet{{host()}})) << "a cluster warms in any case";
  EXPECT_TRUE(conn.is_closed()) << "a late answer is not for the next check";
  pass(seconds(61));
  Conn next = take(backend);
  answer(next, "200");
  EXPECT_EQ(is_healthy(), false) << "the second of the threshold is missing";
  pass(seconds(61));
  answer(next, "200");
  EXPECT_EQ(flags(), 0u);
}

TEST_F(HealthCheckTest, WhatIsNoHttpIsAFailure) {
  const std::string_view answers[] = {"hello\r\n\r\n",
                                      "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1", ""};
  for (const std::string_view text : answers) {
    Backend backend;
    options.unhealthy_threshold = 1;
    start({backend.address});
    {
      Conn conn = take(backend);
      conn.read_head();
      if (!text.empty()) conn.send(text);
    }
    EXPECT_TRUE(run_until(loop, [&] { return (flags() & kPendingActive) == 0; })) << text;
    EXPECT_FALSE(is_healthy()) << text;
    checker.reset();
  }
  EXPECT_EQ(checks->network_failure.value(), std::size(answers));
}

TEST_F(HealthCheckTest, ADegradedHostIsUsedLess) {
  Backend backend;
  start({backend.address});
  Conn conn = take(backend);
  answer(conn, "200", "x-envoy-degraded: 1\r\n");
  EXPECT_EQ(flags(), uint32_t{kDegradedActive});
  EXPECT_EQ(checks->degraded.value(), 1);
  EXPECT_TRUE(clusters.find("c")->hosts()[0]->is_degraded());
  EXPECT_FALSE(clusters.find("c")->hosts()[0]->is_healthy());
  pass(seconds(61));
  answer(conn, "200");
  EXPECT_EQ(flags(), 0u);
}

TEST_F(HealthCheckTest, TrafficMayFailAHostAtOnce) {
  Backend backend;
  start({backend.address});
  Conn conn = take(backend);
  answer(conn, "200");
  struct Listener final : HealthListener {
    void on_health_report(HealthReport report) override { reports.push_back(report); }
    std::vector<HealthReport> reports;
  } listener;
  const std::vector<HealthReport>& reports = listener.reports;
  config->health->listen(&listener);
  Arena arena;
  http::ResponseHead head(arena);
  head.status = 200;
  Host& used = *clusters.find("c")->hosts()[0];
  used.on_response(head, false);
  EXPECT_TRUE(reports.empty());
  head.headers.add("x-envoy-immediate-health-check-fail", "true");
  used.on_response(head, false);
  ASSERT_EQ(reports.size(), 1u);
  checker->on_immediate_fail(reports[0].host);
  EXPECT_EQ(flags(), uint32_t{kFailedActive | kExcludedByAnswer});
  EXPECT_EQ(checks->passive_failure.value(), 1u);
  EXPECT_TRUE(used.is_excluded(kExcludedByAnswer));
  for (int i = 0; i < 2; ++i) {
    pass(seconds(61));
    answer(conn, "200");
  }
  EXPECT_EQ(flags(), 0u);
  config->health->listen(nullptr);
}

TEST_F(HealthCheckTest, HostsThatWereNotCheckedYetMayBeLeftOutOfTheCount) {
  for (const bool leaves_out : {false, true}) {
    Backend checked, unchecked[2];
    config->balancer.excludes_unchecked = leaves_out;
    start({checked.address, unchecked[0].address, unchecked[1].address});
    Conn conn = take(checked);
    answer(conn, "200");
    Failure failure;
    std::map<const Host*, int> picked;
    for (int i = 0; i < 30; ++i) ++picked[clusters.find("c")->pick({}, &failure)];
    EXPECT_EQ(picked.size(), leaves_out ? 1u : 3u) << "one of three is panic, one of one is not";
    checker.reset();
    clusters.clear();
  }
}

TEST_F(HealthCheckTest, AFloodIsNoAnswer) {
  Backend backend;
  options.kind = HealthCheckOptions::Kind::kTcp;
  options.tcp.receive = {"PONG"};
  start({backend.address});
  Conn conn = take(backend);
  const std::string noise(16 * 1024, 'x');
  for (int i = 0; i < 8 && (flags() & kPendingActive) != 0; ++i) {
    conn.send(noise);
    turn();
  }
  EXPECT_EQ(flags(), uint32_t{kFailedActive});
  EXPECT_EQ(checks->network_failure.value(), 1u) << "as silence: the threshold counts";
  EXPECT_TRUE(conn.is_closed());
}

}  // namespace
}  // namespace pillion::upstream
