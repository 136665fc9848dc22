// What a failed attempt leads to: another host, another try, or the client's error; and what it
// costs.

#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

class Retries : public WorkerTest {
 protected:
  void begin(const std::vector<io::Address>& hosts, std::string_view policy,
             std::string_view cluster = "") {
    set_cluster(hosts, cluster);
    listen({.routes = str("{ match: { prefix: / }, route: { cluster: app, timeout: 0s",
                          policy.empty() ? "" : ", retry_policy: { ", policy,
                          policy.empty() ? "" : " }", " } }")});
  }
  // A port where nobody listens.
  io::Address nobody() {
    Backend gone(loop);
    return gone.address;
  }
  Backend first{loop};
  Backend second{loop};
};

TEST_F(Retries, AHostThatRefusesToConnectIsPassedOverWhileAnotherIsThere) {
  begin({nobody(), first.address}, "");
  Peer server_side = [this] {
    request();  // whichever host comes first; the client leaves, the connection stays
    return first.accept();
  }();
  for (int i = 0; i < 4; ++i) {
    Peer client = request();
    server_side.close();
    Peer server = first.accept();
    server.answer();
    EXPECT_EQ(status_of(client.message()), 200);
    server_side = std::move(server);
  }
  EXPECT_GE(app->upstream_cx_connect_fail.value(), 1);
  EXPECT_EQ(app->upstream_rq_retry.value(), 0);  // nothing was sent: no retry in the policy's sense
}

TEST_F(Retries, ALoneHostThatRefusesToConnectIsTheClientsError) {
  begin({nobody()}, "");
  Peer client = request();
  EXPECT_EQ(status_of(client.message()), 503);
  EXPECT_EQ(logged(),
            "503 UF upstream_reset_before_response_started{remote_connection_failure|"
            "delayed_connect_error:_Connection_refused}");
  EXPECT_EQ(app->upstream_cx_connect_fail.value(), 1);
  EXPECT_FALSE(client.is_over());
}

TEST_F(Retries, ConnectFailureIsTriedAgainAsOftenAsThePolicySays) {
  begin({nobody()}, "retry_on: connect-failure, num_retries: 3");
  Peer client = request();
  settle();
  for (int i = 0; i < 3; ++i) pass(milliseconds(300));
  EXPECT_EQ(status_of(client.message()), 503);
  EXPECT_EQ(logged(),
            "503 URX,UF upstream_reset_before_response_started{remote_connection_failure|"
            "delayed_connect_error:_Connection_refused}");
  EXPECT_EQ(app->upstream_rq_retry.value(), 3);
  EXPECT_EQ(app->upstream_rq_retry_limit_exceeded.value(), 1);
  EXPECT_EQ(app->upstream_cx_total.value(), 4);
  EXPECT_EQ(app->upstream_rq_total.value(), 0) << "none got a connection";
}

TEST_F(Retries, AResetBeforeTheResponseIsTriedOnAnotherHost) {
  begin({first.address, second.address}, "retry_on: reset");
  Peer client = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
  ASSERT_TRUE(run_until(loop, [&] { return first.is_called() || second.is_called(); }));
  Backend& chosen = first.is_called() ? first : second;
  Backend& other = first.is_called() ? second : first;
  Peer failing = chosen.accept();
  EXPECT_TRUE(failing.message().ends_with("body"));
  failing.abort();
  settle();
  pass(milliseconds(300));
  Peer server = other.accept();
  EXPECT_TRUE(server.answer().ends_with("body"));  // the body was kept
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(app->upstream_rq_retry.value(), 1);
  EXPECT_EQ(app->upstream_rq_retry_success.value(), 1);
  EXPECT_EQ(app->upstream_rq_rx_reset.value(), 1);
}

TEST_F(Retries, AResetWithoutAPolicyIsTheClientsError) {
  begin({first.address, second.address}, "");
  Peer client = request();
  ASSERT_TRUE(run_until(loop, [&] { return first.is_called() || second.is_called(); }));
  Peer failing = (first.is_called() ? first : second).accept();
  failing.message();
  failing.abort();
  EXPECT_EQ(status_of(client.message()), 503);
  EXPECT_EQ(logged(), "503 UC upstream_reset_before_response_started{connection_termination}");
}

TEST_F(Retries, AResponseThatHasBegunIsNeverTriedAgain) {
  begin({first.address}, "retry_on: reset, num_retries: 5");
  Peer client = request();
  Peer server = first.accept();
  server.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
  EXPECT_TRUE(client.waits_for("01234"));
  server.abort();
  EXPECT_TRUE(client.waits_for_the_end());
  EXPECT_FALSE(message_size(client.received()));
  EXPECT_EQ(app->upstream_rq_retry.value(), 0);
}

TEST_F(Retries, AnIdleConnectionThatDiedCostsAnIdempotentRequestNoError) {
  begin({first.address}, "");
  Peer client = request();
  Peer stale = first.accept();
  stale.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  stale.message();
  stale.close();  // as a server does whose idle timeout crossed the request
  Peer fresh = first.accept();
  fresh.answer();
  EXPECT_EQ(status_of(client.message()), 200);
}

TEST_F(Retries, APostOnAnIdleConnectionThatDiedIsNotSentTwice) {
  begin({first.address}, "");
  Peer client = request();
  Peer stale = first.accept();
  stale.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
  stale.message();
  stale.close();
  EXPECT_EQ(status_of(client.message()), 503);
  EXPECT_FALSE(first.is_called());
}

// Retry n waits a random time within [0, min(base * 2^n, max)]; base 10 s makes that visible.
TEST_F(Retries, TheBackOffIsRandomWithinItsBounds) {
  begin({nobody()},
        "retry_on: connect-failure, num_retries: 1, retry_back_off: { base_interval: 10s, "
        "max_interval: 60s }");
  std::vector<int> waits;
  for (int n = 0; n < 30; ++n) {
    const auto tries = [&] { return app->upstream_cx_total.value(); };
    const uint64_t before = tries();
    Peer client = request();
    ASSERT_TRUE(run_until(loop, [&] { return tries() == before + 1; }));
    int waited = 0;
    for (settle(); tries() == before + 1 && waited < 20; ++waited) pass(seconds(1));
    waits.push_back(waited);
    EXPECT_EQ(status_of(client.message()), 503);
  }
  EXPECT_LE(*std::ranges::max_element(waits), 11);  // a step and a slot more at most
  EXPECT_GE(*std::ranges::max_element(waits), 7);
  EXPECT_LE(*std::ranges::min_element(waits), 3);
}

TEST_F(Retries, TheBackOffDoublesUpToItsMaximum) {
  begin({nobody()},
        "retry_on: connect-failure, num_retries: 6, retry_back_off: { base_interval: 1s, "
        "max_interval: 4s }");
  constexpr int kMost[] = {1, 2, 4, 4, 4, 4};
  int longest = 0;
  for (int n = 0; n < 10; ++n) {
    const uint64_t before = app->upstream_cx_total.value();
    Peer client = request();
    for (size_t i = 0; i < std::size(kMost); ++i) {
      const auto has_tried = [&] { return app->upstream_cx_total.value() > before + i + 1; };
      ASSERT_TRUE(
          run_until(loop, [&] { return app->upstream_cx_connect_fail.value() > before + i; }));
      int waited = 0;
      for (settle(); !has_tried() && waited < 100; ++waited) pass(milliseconds(100));
      EXPECT_LE(waited, kMost[i] * 10 + 1) << "retry " << i + 1;
      longest = std::max(longest, waited);
    }
    EXPECT_EQ(status_of(client.message()), 503);
  }
  EXPECT_GT(longest, 20);  // beyond what the second retry could wait
}

TEST_F(Retries, NoMoreRetriesAreUnderWayThanMaxRetries) {
  begin({nobody()},
        "retry_on: connect-failure, num_retries: 1, retry_back_off: { base_interval: 60s, "
        "max_interval: 60s }",
        "circuit_breakers: { thresholds: [ { max_retries: 2 } ] }");
  Peer a = request(), b = request();
  ASSERT_TRUE(run_until(loop, [&] { return app->upstream_rq_retry.value() == 2; }));
  Peer c = request();
  EXPECT_EQ(status_of(c.message()), 503);
  EXPECT_EQ(logged(),
            "503 UO,UF upstream_reset_before_response_started{remote_connection_failure|"
            "delayed_connect_error:_Connection_refused}");
  EXPECT_EQ(app->upstream_rq_retry_overflow.value(), 1);
  pass(seconds(61));
  EXPECT_EQ(status_of(a.message()), 503);
  EXPECT_EQ(status_of(b.message()), 503);
  EXPECT_EQ(limits->retries.used(), 0);
}

TEST_F(Retries, AClientThatLeavesDuringTheBackOffEndsIt) {
  begin({nobody()},
        "retry_on: connect-failure, retry_back_off: { base_interval: 60s, max_interval: 60s }");
  Peer client = request();
  ASSERT_TRUE(run_until(loop, [&] { return app->upstream_rq_retry.value() == 1; }));
  client.abort();
  EXPECT_TRUE(run_until(loop, [&] { return connection_count == 0; }));
  EXPECT_EQ(logged(), "0 DR downstream_remote_reset");
  EXPECT_EQ(limits->retries.used(), 0);
  pass(seconds(61));
  EXPECT_EQ(app->upstream_cx_total.value(), 1);
}

TEST_F(Retries, TheRouteTimeoutCoversAllAttempts) {
  set_cluster({nobody()});
  listen({.routes =
              "{ match: { prefix: / }, route: { cluster: app, timeout: 5s, retry_policy: { "
              "retry_on: connect-failure, "
              "num_retries: 20, retry_back_off: { base_interval: 60s, max_interval: 600s } } } }"});
  Peer client = request();
  ASSERT_TRUE(run_until(loop, [&] { return app->upstream_rq_retry.value() == 1; }));
  pass(milliseconds(5100));
  EXPECT_EQ(status_of(client.message()), 504);
  EXPECT_EQ(limits->retries.used(), 0);
}

}  // namespace
}  // namespace pillion::testing
