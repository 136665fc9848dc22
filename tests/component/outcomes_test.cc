// What outlier detection hears of the attempts of a stream: one report an outcome.

#include <optional>

#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

class Outcomes : public WorkerTest {
 protected:
  void begin(std::string_view fields, const ListenerYaml& yaml = {}) {
    set_cluster({backend.address}, fields);
    listen(yaml);
  }
  std::shared_ptr<upstream::HostHealth> health() {
    upstream::Cluster& cluster = *clusters.find("app");
    return cluster.config().health->of(cluster.hosts()[0]->info().id);
  }
  // "answers/of them good, our own outcomes/of them good".
  std::string seen() {
    const upstream::HostHealth::Totals t = health()->sum();
    return str(t.total, '/', t.success, ' ', t.local_total, '/', t.local_success);
  }
  static constexpr std::string_view kSplit =
      "outlier_detection: { split_external_local_origin_errors: true }";
  static constexpr std::string_view kJoined = "outlier_detection: {}";
  Backend backend{loop};
};

TEST_F(Outcomes, AnAnswerCountsByItsStatus) {
  begin(kSplit);
  Peer client = request();
  Peer server = backend.accept();
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(seen(), "1/1 1/1");
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  server.answer("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 503);
  EXPECT_EQ(seen(), "2/1 2/2");
  EXPECT_EQ(health()->row_5xx.load(), 1u);
  EXPECT_EQ(health()->row_gateway.load(), 1u);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  server.answer("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 404);
  EXPECT_EQ(health()->row_5xx.load(), 0u);
}

TEST_F(Outcomes, ARefusedConnectIsAFailureOfOurs) {
  begin(kSplit);
  backend.stop();
  Peer client = request();
  EXPECT_EQ(status_of(client.message()), 503);
  EXPECT_EQ(seen(), "0/0 1/0");
  EXPECT_EQ(health()->row_local.load(), 1u);
}

TEST_F(Outcomes, AResetCountsOnce) {
  for (const std::string_view fields : {kSplit, kJoined}) {
    set_cluster({backend.address}, fields);
    if (!listener) listen({});
    const std::string before = seen();
    Peer client = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    Peer server = backend.accept();
    server.message();
    server.abort();
    EXPECT_EQ(status_of(client.message()), 503);
    if (fields == kSplit) {
      EXPECT_EQ(seen(), "0/0 2/1") << "connected, then reset";
    } else {
      EXPECT_EQ(seen(), "1/0 2/1") << "as an answer of 503; was " << before;
    }
  }
}

TEST_F(Outcomes, ATimeoutCountsOnce) {
  ListenerYaml yaml;
  yaml.routes = "{ match: { prefix: / }, route: { cluster: app, timeout: 1s } }";
  begin(kJoined, yaml);
  Peer client = request();
  Peer server = backend.accept();
  server.message();
  pass(seconds(2));
  EXPECT_EQ(status_of(client.message()), 504);
  EXPECT_EQ(seen(), "1/0 0/0");
  EXPECT_EQ(health()->row_gateway.load(), 1u);
}

TEST_F(Outcomes, ATimeoutWithinAnAnswerIsNoOther) {
  ListenerYaml yaml;
  yaml.routes = "{ match: { prefix: / }, route: { cluster: app, timeout: 1s } }";
  begin(kJoined, yaml);
  Peer client = request();
  Peer server = backend.accept();
  server.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
  EXPECT_TRUE(client.waits_for("01234"));
  pass(seconds(2));
  EXPECT_TRUE(client.waits_for_the_end());
  EXPECT_EQ(seen(), "1/1 0/0");
}

TEST_F(Outcomes, EachLimitOfAnAttemptCountsOnce) {
  for (const std::string_view limit : {"per_try_timeout", "per_try_idle_timeout"}) {
    SCOPED_TRACE(limit);
    ListenerYaml yaml;
    yaml.routes =
        str("{ match: { prefix: / }, route: { cluster: app, retry_policy: { ", limit, ": 1s } } }");
    begin(kJoined, yaml);
    Peer client = request();
    Peer server = backend.accept();
    server.message();
    const upstream::HostHealth::Totals before = health()->sum();
    pass(seconds(2));
    EXPECT_EQ(status_of(client.message()), 504);
    EXPECT_EQ(health()->sum().total - before.total, 1u);
    EXPECT_EQ(health()->sum().success - before.success, 0u);
    listener->close_connections();
    loop.delete_later(std::move(listener));
  }
}

TEST_F(Outcomes, AnAnswerOfGrpcCountsByItsOwnStatus) {
  begin(kJoined);
  struct Case {
    std::string_view status;
    bool is_grpc;
    uint64_t successes;
    uint32_t row_5xx, row_gateway;
  };
  const Case cases[] = {
      {"0", true, 1, 0, 0},   {"14", true, 0, 1, 1},  // 503
      {"4", true, 0, 2, 2},                           // 504
      {"13", true, 0, 3, 0},                          // 500
      {"12", true, 0, 4, 0},                          // 501
      {"99", true, 0, 5, 0},  {"x", true, 0, 6, 0},   // 500
      {"5", true, 1, 0, 0},                           // 404
      {"1", true, 1, 0, 0},                           // 499
      {"8", true, 1, 0, 0},                           // 429
      {"14", false, 1, 0, 0},                         // its request was none
  };
  Peer client = connect();
  std::optional<Peer> server;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.status);
    const uint64_t before = server ? health()->sum().success : 0;
    client.send(str("GET / HTTP/1.1\r\nHost: a\r\n",
                    c.is_grpc ? "Content-Type: application/grpc+proto\r\n" : "", "\r\n"));
    if (!server) server.emplace(backend.accept());
    server->answer(
        str("HTTP/1.1 200 OK\r\nGrpc-Status: ", c.status, "\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_EQ(status_of(client.message()), 200);
    EXPECT_EQ(health()->sum().success - before, c.successes);
    EXPECT_EQ(health()->row_5xx.load(), c.row_5xx);
    EXPECT_EQ(health()->row_gateway.load(), c.row_gateway);
  }
}

TEST_F(Outcomes, AFullBreakerIsNotTheHostsFault) {
  begin(str(kJoined, ", circuit_breakers: { thresholds: [ { max_pending_requests: 0 } ] }"));
  Peer client = request();
  EXPECT_EQ(status_of(client.message()), 503);
  EXPECT_EQ(seen(), "0/0 0/0");
}

TEST_F(Outcomes, AConnectionOfBytesCountsWhenItConnects) {
  log_format = "%RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%";
  ListenerYaml yaml;
  yaml.tcp = "max_connect_attempts: 1";
  begin(kJoined, yaml);
  Peer client = connect();
  Peer server = backend.accept();
  server.send("hello");
  EXPECT_TRUE(client.waits_for("hello"));
  EXPECT_EQ(seen(), "1/1 0/0");
  backend.stop();
  log.clear();
  Peer refused = connect();
  EXPECT_TRUE(refused.waits_for_the_end());
  EXPECT_EQ(logged(), "UF delayed_connect_error:_Connection_refused");
  EXPECT_EQ(seen(), "2/1 0/0");
  EXPECT_EQ(health()->row_gateway.load(), 1u);
}

}  // namespace
}  // namespace pillion::testing
