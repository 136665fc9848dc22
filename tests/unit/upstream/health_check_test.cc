// Active health checks against servers that the test plays by hand, over loopback.
#include "proxy/upstream/health_check.h"

#include <algorithm>
#include <map>

#include "tests/support/log_capture.h"
#include "tests/unit/upstream/fixture.h"
#include "tests/unit/upstream/pool_fixture.h"

namespace pillion::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::LogCapture;

class HealthCheckTest : public UpstreamTest, protected HealthObserver {
 protected:
  HealthCheckTest() {
    options.timeout = seconds(2);
    options.interval = options.unhealthy_interval = seconds(5);
    options.healthy_edge_interval = options.unhealthy_edge_interval = seconds(1);
    options.no_traffic_interval = options.no_traffic_healthy_interval = seconds(60);
    options.unhealthy_threshold = 3;
    options.healthy_threshold = 2;
    options.http.path = "/up?all=1";
    config->health = std::make_shared<SharedHealth>();
  }
  void start(const std::vector<io::Address>& addresses) {
    Endpoints infos;
    for (const io::Address& address : addresses) {
      infos.emplace_back().address = address;
      infos.back().transport = labels;
    }
    set_ = make_host_set(infos, nullptr);
    configure();
    checker = std::make_unique<HealthChecker>(HealthChecker::Context{loop, batch, registry, rng},
                                              config, static_cast<HealthObserver&>(*this));
    checker->set_hosts(set_->hosts);
    set(set_);
  }
  void configure() {
    config = std::make_shared<ClusterConfig>(*config);
    config->health_check = std::make_shared<HealthCheckOptions>(options);
  }
  void TearDown() override {
    checker.reset();
    UpstreamTest::TearDown();
  }
  void on_health_changed() override {
    ++changes;
    clusters.update_health("c");
  }
  void on_check_passed(HostId) override { ++passed; }

  [[nodiscard]] uint32_t flags(size_t i = 0) {
    return config->health->of(set_->hosts[i]->id)->flags();
  }
  bool is_healthy(size_t i = 0) { return (flags(i) & kFailedActive) == 0; }
  // A server's whole life with one check.
  std::string answer(Conn& conn, std::string_view status, std::string_view fields = "") {
    turn();
    std::string request = conn.read_head();
    conn.send(str("HTTP/1.1 ", status, " x\r\nContent-Length: 0\r\n", fields, "\r\n"));
    const uint64_t before = results();
    EXPECT_TRUE(run_until(loop, [&] { return results() != before; })) << "no verdict";
    return request;
  }
  Conn take(Backend& backend) {
    EXPECT_TRUE(run_until(loop, [&] { return backend.has_waiting(); })) << "nobody checks";
    Conn conn = backend.accept();
    turn();
    return conn;
  }
  void turn() { run_for(loop, milliseconds(1)); }
  void pass(Duration time) {
    turn();
    loop.skip(time);
    turn();
  }
  // The next check falls due now.
  uint64_t results() { return checks->success.value() + checks->failure.value(); }
  HostInfoPtr host(size_t i = 0) { return set_->hosts[i]; }

  HealthCheckOptions options;
  TransportLabelsPtr labels;  // of all hosts
  std::unique_ptr<HealthChecker> checker;
  stats::BlockRef<stats::ClusterHealthCheckStats> checks =
      registry.block<stats::ClusterHealthCheckStats>(stats::kControl, "c");
  int changes = 0;
  int passed = 0;

 private:
  HostSetPtr set_;
};

// Two sockets: hosts with `tls: true` have TLS, others not.
std::vector<TransportMatch> tls_by_label() {
  constexpr std::string_view kType =
      "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
  return cluster_of(str("{ name: a, transport_socket_matches: [ { name: tls, match: { tls: true }, "
                        "transport_socket: { name: t, typed_config: { '@type': ",
                        kType, ", common_tls_context: {} } } } ] }"))
      ->pool->transport_matches;
}
constexpr char kHandshake = 0x16;  // the first byte of TLS

TEST_F(HealthCheckTest, AsksOverTheTransportSocketOfTheHost) {
  Backend backend;
  config->pool->transport_matches = tls_by_label();
  labels = make_transport_labels({{"tls", "true"}}, {});
  start({backend.address});
  EXPECT_EQ(take(backend).read_byte(), kHandshake);
}

TEST_F(HealthCheckTest, AsksOverTheTransportSocketOfItsCriteria) {
  Backend backend;
  config->pool->transport_matches = tls_by_label();
  labels = make_transport_labels({{"tls", "true"}}, {});
  options.transport_criteria = LabelSet{{"tls", "false"}};
  start({backend.address});
  EXPECT_EQ(take(backend).read_byte(), 'G') << "plain HTTP, though traffic is TLS";
}

TEST_F(HealthCheckTest, AsksTheLocalityWhereItsCriteriaFindNothing) {
  Backend backend;
  config->pool->transport_matches = tls_by_label();
  labels = make_transport_labels({{"tls", "false"}}, {{"tls", "true"}});
  options.transport_criteria = LabelSet{};
  start({backend.address});
  EXPECT_EQ(take(backend).read_byte(), kHandshake);
}

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

TEST_F(HealthCheckTest, AsksMoreOftenOnceThereIsTraffic) {
  Backend backend;
  start({backend.address});
  Conn conn = take(backend);
  answer(conn, "200");
  pass(seconds(59));
  EXPECT_EQ(checks->attempt.value(), 1u) << "nobody calls the cluster";
  host()->stats->of(0).cx_total.inc();
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

TEST_F(HealthCheckTest, OnTheEdgeOfAVerdictTheEdgeIntervalsCount) {
  Backend backend;
  options.http.retriable = {{500, 600}};
  start({backend.address});
  host()->stats->of(0).cx_total.inc();
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

TEST_F(HealthCheckTest, ConnectingIsEnoughForTcp) {
  Backend backend;
  Backend silent(-1);  // bound, but nobody listens
  options.kind = HealthCheckOptions::Kind::kTcp;
  start({backend.address, silent.address});
  ASSERT_TRUE(run_until(loop, [&] { return results() == 2; }));
  EXPECT_TRUE(is_healthy(0));
  EXPECT_FALSE(is_healthy(1));
  EXPECT_EQ(checks->network_failure.value(), 1u);
}

TEST_F(HealthCheckTest, ComparesWhatAHostSaysOverTcp) {
  const struct {
    std::vector<std::string_view> pieces;
    bool is_healthy;
  } rows[] = {
      {{"PONG"}, true},
      {{"xxPO", "yyNG"}, true},
      {{"P", "ON", "G"}, true},
      {{"NGPO"}, false},  // in this order
  };
  for (const auto& row : rows) {
    Backend backend;
    options.kind = HealthCheckOptions::Kind::kTcp;
    options.tcp.send = "PING";
    options.tcp.receive = {"PO", "NG"};
    options.unhealthy_threshold = 1;
    start({backend.address});
    Conn conn = take(backend);
    for (const std::string_view piece : row.pieces) {
      conn.send(piece);
      turn();
    }
    if (!row.is_healthy) conn.close();
    EXPECT_TRUE(run_until(loop, [&] { return (flags() & kPendingActive) == 0; }));
    EXPECT_EQ(is_healthy(), row.is_healthy) << row.pieces[0];
    checker.reset();
    turn();
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
