// Circuit breakers: what waits, what is refused, and that every slot comes back.

#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

class Breakers : public WorkerTest {
 protected:
  void begin(std::string_view thresholds) {
    set_cluster({backend.address},
                str("circuit_breakers: { thresholds: [ { ", thresholds, " } ] }"));
    listen({});
  }
  Backend backend{loop};
};

TEST_F(Breakers, RequestsBeyondMaxConnectionsWaitForOne) {
  begin("max_connections: 1");
  Peer a = request();
  Peer server = backend.accept();
  settle();
  Peer b = request();
  settle();
  EXPECT_FALSE(backend.is_called());
  EXPECT_EQ(app->upstream_cx_overflow.value(), 1);
  EXPECT_EQ(app->upstream_rq_pending_active.value(), 1);
  server.answer();
  EXPECT_EQ(status_of(a.message()), 200);
  server.answer();
  EXPECT_EQ(status_of(b.message()), 200);
  EXPECT_EQ(app->upstream_cx_total.value(), 1);
}

TEST_F(Breakers, RequestsBeyondMaxPendingAreRefused) {
  begin("max_connections: 1, max_pending_requests: 1");
  Peer a = request();
  Peer server = backend.accept();
  server.message();
  Peer b = request();
  settle();
  Peer c = request();
  const std::string refused = c.message();
  EXPECT_EQ(status_of(refused), 503);
  EXPECT_NE(refused.find("x-envoy-overloaded: true"), std::string::npos) << refused;
  EXPECT_EQ(logged(), "503 UO upstream_reset_before_response_started{overflow}");
  EXPECT_EQ(app->upstream_rq_pending_overflow.value(), 1);
  server.send(kOk);
  EXPECT_EQ(status_of(a.message()), 200);
  server.answer();
  EXPECT_EQ(status_of(b.message()), 200);
  EXPECT_FALSE(c.is_over());  // the next request has its chance
}

TEST_F(Breakers, RequestsBeyondMaxRequestsAreRefused) {
  begin("max_requests: 2");
  Peer a = request();
  Peer on_a = backend.accept();
  Peer b = request();
  Peer on_b = backend.accept();
  Peer c = request();
  EXPECT_EQ(status_of(c.message()), 503);
  EXPECT_EQ(logged(), "503 UO upstream_reset_before_response_started{overflow}");
  EXPECT_EQ(app->upstream_rq_active_overflow.value(), 1);
  on_a.answer();
  EXPECT_EQ(status_of(a.message()), 200);
  c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");  // a slot is free again
  on_a.answer();
  EXPECT_EQ(status_of(c.message()), 200);
  on_b.answer();
  EXPECT_EQ(status_of(b.message()), 200);
}

TEST_F(Breakers, AClientThatLeavesGivesItsSlotsBack) {
  begin("max_connections: 1, max_pending_requests: 1, max_requests: 2");
  Peer a = request();
  Peer server = backend.accept();
  server.message();
  Peer b = request();
  settle();
  EXPECT_EQ(limits->pending.used(), 1);
  b.abort();
  EXPECT_TRUE(run_until(loop, [&] { return limits->pending.used() == 0; }));
  EXPECT_EQ(app->upstream_rq_cancelled.value(), 1);
  a.abort();
  EXPECT_TRUE(run_until(loop, [&] { return limits->requests.used() == 0; }));
  EXPECT_TRUE(server.waits_for_the_end());
  EXPECT_EQ(limits->connections.used(), 0);
}

TEST_F(Breakers, ARequestThatIsTriedAgainHoldsItsSlotsOnce) {
  begin("max_requests: 1");
  Peer client = request();
  Peer stale = backend.accept();
  stale.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  stale.message();
  stale.close();
  Peer fresh = backend.accept();
  EXPECT_EQ(limits->requests.used(), 1);
  fresh.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(limits->requests.used(), 0);
}

TEST_F(Breakers, ATcpConnectionBeyondMaxConnectionsIsClosed) {
  set_cluster({backend.address}, "circuit_breakers: { thresholds: [ { max_connections: 1 } ] }");
  listen({.tcp = "max_connect_attempts: 1"});
  Peer a = connect();
  Peer on_a = backend.accept();
  Peer b = connect();
  EXPECT_TRUE(b.waits_for_the_end());
  EXPECT_EQ(app->upstream_cx_overflow.value(), 1);
  a.send("x");
  EXPECT_TRUE(on_a.waits_for("x"));
}

TEST_F(Breakers, WithoutEnvoysFieldsNobodyIsToldWhichBreakerItWas) {
  set_cluster({backend.address}, "circuit_breakers: { thresholds: [ { max_requests: 0 } ] }");
  listen({.router = "suppress_envoy_headers: true"});
  const std::string refused = request().message();
  EXPECT_EQ(status_of(refused), 503);
  EXPECT_EQ(refused.find("x-envoy-"), std::string::npos) << refused;
}

}  // namespace
}  // namespace pillion::testing
