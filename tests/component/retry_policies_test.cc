// What a retry policy makes of responses, resets and slow upstreams: what the client sees, what the
// upstream gets, and what is counted.  (Connect failures and back-off: retries_test.cc.)

#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kEmpty503 =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
constexpr std::string_view kShort503 =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

class RetryPolicies : public WorkerTest {
 protected:
  struct Yaml {
    std::string policy;
    std::string cluster = {};
    std::string action = "timeout: 0s";
    std::string route = {};
    std::string host = {};
  };
  void begin(const Yaml& yaml) {
    set_cluster({backend.address}, yaml.cluster);
    listen(yaml);
  }
  void listen(const Yaml& yaml) {
    const std::string routes =
        str("{ match: { prefix: / }, ", yaml.route, yaml.route.empty() ? "" : ", ",
            "route: { cluster: app, ", yaml.action, ", retry_policy: { ", yaml.policy, " } } }");
    // The fixture ends the list and its host after the routes.
    WorkerTest::listen({.routes = yaml.host.empty() ? routes
                                                    : str(routes, " ], ", yaml.host,
                                                          ", request_headers_to_add: [")});
  }
  // So that another one can begin.
  void end() {
    listener->close_connections();
    loop.delete_later(std::move(listener));
    clusters.clear();
    settle();
  }
  // The longest back-off passes.
  void back_off() {
    settle();
    pass(milliseconds(260));
  }
  Backend backend{loop};
};

TEST_F(RetryPolicies, AResponseThatIsRetriedNeverReachesTheClientAndItsConnectionIsUsedAgain) {
  for (const std::string_view unwanted : {kEmpty503, kShort503}) {
    SCOPED_TRACE(unwanted);
    begin({"retry_on: 5xx"});
    const auto connections = app->upstream_cx_total.value();
    Peer client = request();
    Peer server = backend.accept();
    server.answer(unwanted);
    back_off();
    server.answer();
    EXPECT_TRUE(client.message().ends_with("ok"));
    EXPECT_EQ(client.received(), "");
    EXPECT_EQ(logged(), "200 - via_upstream");
    EXPECT_EQ(app->upstream_cx_total.value(), connections + 1);
    end();
  }
  EXPECT_EQ(app->upstream_rq_retry.value(), 2);
  EXPECT_EQ(app->upstream_rq_retry_success.value(), 2);
  EXPECT_EQ(app->upstream_rq_retry_backoff_exponential.value(), 2);
  EXPECT_EQ(app->upstream_rq_5xx.value(), 0);
  EXPECT_EQ(app->upstream_rq_2xx.value(), 2);
  EXPECT_EQ(app->upstream_rq_completed.value(), 2);
}

TEST_F(RetryPolicies, ARetriedResponseIsCountedApart) {
  begin({"retry_on: 5xx"});
  const auto retried = registry.block<stats::ClusterRetryStats>(0, "app");
  Peer client = request();
  Peer server = backend.accept();
  server.answer(kEmpty503);
  back_off();
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(retried->upstream_rq_completed.value(), 1);
  EXPECT_EQ(retried->upstream_rq_5xx.value(), 1);
}

TEST_F(RetryPolicies, WhenNoneIsLeftTheLastResponseIsTheClients) {
  begin({"retry_on: 5xx, num_retries: 2"});
  Peer client = request();
  Peer server = backend.accept();
  for (int i = 0; i < 3; ++i) {
    server.answer(kShort503);
    back_off();
  }
  EXPECT_TRUE(client.message().ends_with("busy"));
  EXPECT_EQ(logged(), "503 URX via_upstream");
  EXPECT_EQ(app->upstream_rq_retry.value(), 2);
  EXPECT_EQ(app->upstream_rq_retry_limit_exceeded.value(), 1);
  EXPECT_EQ(app->upstream_rq_retry_success.value(), 0);
}

TEST_F(RetryPolicies, AnAnswerThatIsNotRetriedIsASuccessWhateverItsStatus) {
  begin({"retry_on: gateway-error"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer(kEmpty503);
  back_off();
  server.answer("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 500);
  EXPECT_EQ(app->upstream_rq_retry_success.value(), 1);
  EXPECT_EQ(logged(), "500 - via_upstream");
}

TEST_F(RetryPolicies, ABudgetIsAShareOfTheRequestsUnderWay) {
  begin({"retry_on: 5xx, retry_back_off: { base_interval: 60s, max_interval: 60s }",
         "circuit_breakers: { thresholds: [ { retry_budget: { budget_percent: { value: 50 }, "
         "min_retry_concurrency: 1 } } ] }"});
  std::vector<Peer> clients, servers;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(request());
    servers.push_back(backend.accept());
    servers.back().message();
  }
  // Of four requests two may be tried again.
  for (int i = 0; i < 3; ++i) {
    servers[static_cast<size_t>(i)].send(kEmpty503);
    settle();
  }
  EXPECT_EQ(status_of(clients[2].message()), 503);
  EXPECT_EQ(logged(), "503 UO via_upstream");
  EXPECT_EQ(app->upstream_rq_retry.value(), 2);
  EXPECT_EQ(app->upstream_rq_retry_overflow.value(), 1);
  EXPECT_EQ(limits->retries.used(), 2);
  servers[3].send(kOk);
  EXPECT_EQ(status_of(clients[3].message()), 200);
}

TEST_F(RetryPolicies, AGrpcStatusInTheHeadIsRetried) {
  begin({"retry_on: unavailable"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer("HTTP/1.1 200 OK\r\ngrpc-status: 14\r\nContent-Length: 0\r\n\r\n");
  back_off();
  server.answer("HTTP/1.1 200 OK\r\ngrpc-status: 0\r\nContent-Length: 0\r\n\r\n");
  EXPECT_NE(client.message().find("grpc-status: 0"), std::string::npos);
  EXPECT_EQ(app->upstream_rq_retry_success.value(), 1);
}

TEST_F(RetryPolicies, BodiesAreSentAgainUpToTheirLimit) {
  constexpr size_t kKiB = 1024;
  for (const size_t size : {size_t{0}, size_t{1}, 63 * kKiB, 65 * kKiB, 300 * kKiB, 1024 * kKiB}) {
    SCOPED_TRACE(size);
    begin({"retry_on: 5xx"});
    std::string body(size, 'x');
    for (size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i % 23);
    Peer client = connect();
    client.send(str("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ", size, "\r\n\r\n"));
    Peer server = backend.accept();
    for (size_t at = 0; at < size; at += 32 * kKiB) {
      client.send(std::string_view(body).substr(at, 32 * kKiB));
      server.received();
      settle();
    }
    EXPECT_TRUE(server.answer(kEmpty503).ends_with(body));
    back_off();
    EXPECT_TRUE(server.answer().ends_with(body));
    EXPECT_EQ(status_of(client.message()), 200);
    end();
  }
  EXPECT_EQ(app->retry_or_shadow_abandoned.value(), 0);
}

TEST_F(RetryPolicies, ChunksAndTrailersAreSentAgain) {
  begin({"retry_on: 5xx"});
  Peer client = request(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: "
      "5\r\n\r\n");
  Peer server = backend.accept();
  const std::string first = server.answer(kEmpty503);
  EXPECT_TRUE(first.ends_with("5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n")) << first;
  back_off();
  const std::string second = server.answer();
  EXPECT_TRUE(second.ends_with("5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n")) << second;
  EXPECT_EQ(status_of(client.message()), 200);
}

TEST_F(RetryPolicies, AReplyAfterRetriesSaysSo) {
  begin({"retry_on: reset"});
  Peer client = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  for (int i = 0; i < 2; ++i) {
    Peer server = backend.accept();
    server.message();
    server.abort();
    back_off();
  }
  EXPECT_TRUE(client.message().ends_with(
      "before headers. retried and the latest reset reason: connection termination"));
  EXPECT_EQ(logged(), "503 URX,UC upstream_reset_before_response_started{connection_termination}");
}

TEST_F(RetryPolicies, ABodyThatIsTooLongIsNotSentAgain) {
  begin({.policy = "retry_on: 5xx", .route = "per_request_buffer_limit_bytes: 100"});
  Peer client = request(
      str("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", std::string(101, 'x')));
  Peer server = backend.accept();
  server.answer(kEmpty503);
  back_off();
  EXPECT_EQ(status_of(client.message()), 503);
  EXPECT_EQ(logged(), "503 - via_upstream");
  EXPECT_EQ(app->retry_or_shadow_abandoned.value(), 1);
  EXPECT_EQ(app->upstream_rq_retry.value(), 0);
  EXPECT_EQ(app->upstream_rq_retry_limit_exceeded.value(), 0);
}

TEST_F(RetryPolicies, ARequestThatIsNotCompleteYetIsGoneOnWithOnAnotherConnection) {
  begin({"retry_on: 5xx"});
  Peer client = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
  Peer server = backend.accept();
  EXPECT_TRUE(server.waits_for("01234"));
  server.send(kEmpty503);
  settle();
  client.send("567");
  back_off();
  EXPECT_TRUE(server.waits_for_the_end());
  Peer second = backend.accept();
  EXPECT_TRUE(second.waits_for("01234567"));
  client.send("89");
  EXPECT_TRUE(second.answer().ends_with("0123456789"));
  EXPECT_EQ(status_of(client.message()), 200);
}

TEST_F(RetryPolicies, AfterAnInterimResponseNothingIsRetried) {
  begin({"retry_on: 5xx"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer(str("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", kEmpty503));
  EXPECT_TRUE(client.waits_for("103"));
  EXPECT_TRUE(client.waits_for("503"));
  EXPECT_EQ(app->upstream_rq_retry.value(), 0);
  EXPECT_EQ(logged(), "503 - via_upstream");
}

TEST_F(RetryPolicies, ABodyThatGoesOnTooLongIsNotWaitedFor) {
  begin({"retry_on: 5xx"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer("HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\n01234");
  back_off();
  EXPECT_TRUE(server.waits_for_the_end());
  Peer second = backend.accept();
  second.answer();
  EXPECT_TRUE(client.message().ends_with("ok"));
  EXPECT_EQ(app->upstream_rq_tx_reset.value(), 1);
}

TEST_F(RetryPolicies, ABodyThatBreaksOffWhileItIsNotWantedChangesNothing) {
  begin({"retry_on: 5xx, retry_back_off: { base_interval: 10s }"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer("HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\n01234");
  settle();
  server.abort();
  settle();
  EXPECT_EQ(client.received(), "");
  pass(seconds(11));
  Peer second = backend.accept();
  second.answer();
  EXPECT_TRUE(client.message().ends_with("ok"));
  EXPECT_EQ(logged(), "200 - via_upstream");
}

TEST_F(RetryPolicies, AClientThatLeavesDuringTheBackOffEndsTheResponseToo) {
  begin({"retry_on: 5xx, retry_back_off: { base_interval: 60s, max_interval: 60s }"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer("HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\n01234");
  settle();
  client.abort();
  EXPECT_TRUE(server.waits_for_the_end());
  EXPECT_TRUE(run_until(loop, [&] { return limits->retries.used() == 0; }));
  EXPECT_EQ(logged(), "0 DR downstream_remote_reset");
}

TEST_F(RetryPolicies, AProtocolErrorIsAResetToo) {
  begin({"retry_on: 5xx"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer("noise\r\n\r\n");
  back_off();
  Peer second = backend.accept();
  second.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(app->upstream_rq_retry.value(), 1);
}

TEST_F(RetryPolicies, TheUpstreamMaySayHowLongToWait) {
  begin(
      {"retry_on: 5xx, rate_limited_retry_back_off: { reset_headers: [ { name: retry-after } ] }"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer("HTTP/1.1 503 Busy\r\nRetry-After: 10\r\nContent-Length: 0\r\n\r\n");
  pass(milliseconds(9900));
  EXPECT_EQ(server.received(), "");
  pass(milliseconds(5200));
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(app->upstream_rq_retry_backoff_ratelimited.value(), 1);
  EXPECT_EQ(app->upstream_rq_retry_backoff_exponential.value(), 0);
}

// What the request began with goes on until it ends.
TEST_F(RetryPolicies, AReloadDuringTheBackOffLeavesTheRetryAlone) {
  for (const bool removes_cluster : {false, true}) {
    SCOPED_TRACE(removes_cluster);
    begin({"retry_on: 5xx, retry_back_off: { base_interval: 60s, max_interval: 60s }"});
    const auto retries = app->upstream_rq_retry.value();
    Peer client = request();
    Peer server = backend.accept();
    server.answer(kEmpty503);
    ASSERT_TRUE(run_until(loop, [&] { return app->upstream_rq_retry.value() == retries + 1; }));
    update({.routes = "{ match: { prefix: / }, direct_response: { status: 418 } }"});
    if (removes_cluster) {
      clusters.remove("app");
    } else {
      // Of connections with another setting: the cluster gives way to a new one.
      set_cluster({backend.address},
                  "upstream_connection_options: { tcp_keepalive: { keepalive_time: 9 } }");
    }
    EXPECT_TRUE(server.waits_for_the_end());
    pass(seconds(61));
    backend.accept().answer();
    EXPECT_EQ(status_of(client.message()), 200);
    client.send(kGet);
    EXPECT_EQ(status_of(client.message()), 418);
    end();
  }
  EXPECT_EQ(app->upstream_rq_retry_success.value(), 2);
}

// ---- the limits of one attempt ----

TEST_F(RetryPolicies, AnAttemptThatIsTooSlowIsFollowedByAnother) {
  begin({"retry_on: gateway-error, per_try_timeout: 2s"});
  Peer client = request();
  Peer slow = backend.accept();
  slow.message();
  pass(milliseconds(1900));
  EXPECT_FALSE(slow.is_over());
  pass(milliseconds(200));
  EXPECT_TRUE(slow.waits_for_the_end());
  back_off();
  Peer server = backend.accept();
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(app->upstream_rq_per_try_timeout.value(), 1);
  EXPECT_EQ(app->upstream_rq_retry_success.value(), 1);
  EXPECT_EQ(app->upstream_rq_timeout.value(), 0);
}

TEST_F(RetryPolicies, WithoutARetryItIsTheClientsTimeout) {
  for (const std::string_view policy : {"retry_on: connect-failure, ", ""}) {
    begin({str(policy, "per_try_timeout: 2s")});
    Peer client = request();
    Peer slow = backend.accept();
    slow.message();
    pass(milliseconds(2100));
    EXPECT_TRUE(client.message().ends_with("upstream request timeout"));
    EXPECT_EQ(logged(), "504 UT upstream_per_try_timeout");
    end();
  }
  EXPECT_EQ(app->upstream_rq_per_try_timeout.value(), 2);
}

TEST_F(RetryPolicies, TheTimeOfAnAttemptBeginsWithTheWholeRequest) {
  begin({"per_try_timeout: 2s"});
  Peer client = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
  Peer server = backend.accept();
  pass(seconds(10));
  client.send("x");
  EXPECT_TRUE(server.waits_for("x"));
  pass(milliseconds(1900));
  EXPECT_EQ(client.received(), "");
  pass(milliseconds(200));
  EXPECT_EQ(status_of(client.message()), 504);
}

TEST_F(RetryPolicies, AResponseThatHasBegunMayTakeLongerThanAnAttempt) {
  begin({"retry_on: 5xx, per_try_timeout: 2s"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
  pass(seconds(10));
  server.send("k");
  EXPECT_TRUE(client.message().ends_with("ok"));
  EXPECT_EQ(app->upstream_rq_per_try_timeout.value(), 0);
}

TEST_F(RetryPolicies, AnAttemptMayNotBeIdleForTooLong) {
  begin({"retry_on: reset, per_try_idle_timeout: 2s"});
  Peer client = request();
  Peer silent = backend.accept();
  silent.message();
  pass(milliseconds(2100));
  EXPECT_TRUE(silent.waits_for_the_end());
  back_off();
  Peer server = backend.accept();
  server.answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
  for (int i = 0; i < 4; ++i) {
    pass(milliseconds(1500));
    server.send("x");
  }
  EXPECT_TRUE(client.waits_for("xxxx"));
  pass(milliseconds(2100));
  EXPECT_TRUE(client.waits_for_the_end());
  EXPECT_EQ(logged(), "200 UT upstream_per_try_idle_timeout");
  EXPECT_EQ(app->upstream_rq_per_try_idle_timeout.value(), 2);
  EXPECT_EQ(app->upstream_rq_retry.value(), 1);
}

TEST_F(RetryPolicies, ARestThatIsNotWantedIsNoIdleAttempt) {
  begin(
      {"retry_on: 5xx, per_try_idle_timeout: 2s, rate_limited_retry_back_off: { reset_headers: [ { "
       "name: retry-after } ] }"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer("HTTP/1.1 503 Busy\r\nRetry-After: 10\r\nContent-Length: 10\r\n\r\n01234");
  pass(seconds(3));
  EXPECT_EQ(client.received(), "");
  pass(seconds(13));
  Peer second = backend.accept();
  second.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(app->upstream_rq_retry.value(), 1);
  EXPECT_EQ(app->upstream_rq_per_try_idle_timeout.value(), 0);
}

TEST_F(RetryPolicies, ATimeoutBetweenTwoAttemptsIsNobodysFault) {
  begin({.policy = "retry_on: 5xx, retry_back_off: { base_interval: 60s, max_interval: 60s }",
         .action = "timeout: 1s"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer(kEmpty503);
  pass(milliseconds(1100));
  EXPECT_EQ(status_of(client.message()), 504);
  EXPECT_EQ(logged(), "504 UT response_timeout");
  EXPECT_EQ(app->upstream_rq_timeout.value(), 0);
  EXPECT_EQ(app->upstream_rq_5xx.value(), 0);
}

TEST_F(RetryPolicies, EachHostIsToldHowItsRequestsEnded) {
  begin({"retry_on: 'retriable-4xx,gateway-error', num_retries: 2, per_try_timeout: 2s"});
  upstream::Cluster& called = *clusters.find("app");
  const upstream::HostCounters& host = called.use(*called.hosts()[0]).counters();
  Peer client = request();
  Peer server = backend.accept();
  server.answer("HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n");
  back_off();
  EXPECT_EQ(host.rq_error.value(), 1) << "a response that is not passed on";
  for (int i = 0; i < 2; ++i) {
    Peer slow = i == 0 ? std::move(server) : backend.accept();
    slow.message();
    pass(milliseconds(2100));
    back_off();
  }
  EXPECT_EQ(status_of(client.message()), 504);
  EXPECT_EQ(host.rq_timeout.value(), 2);
  EXPECT_EQ(host.rq_error.value(), 3) << "the last one, too";
  EXPECT_EQ(host.rq_success.value(), 0);
  client.send(kGet);
  backend.accept().answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(host.rq_success.value(), 1);
}

TEST_F(RetryPolicies, TheTimeoutOfAllEndsTheLastAttempt) {
  begin({.policy = "retry_on: 5xx, num_retries: 9, per_try_timeout: 2s", .action = "timeout: 5s"});
  Peer client = request();
  for (int i = 0; i < 2; ++i) {
    Peer slow = backend.accept();
    slow.message();
    pass(milliseconds(2050));
    EXPECT_TRUE(slow.waits_for_the_end());
    back_off();
  }
  pass(seconds(1));
  EXPECT_EQ(status_of(client.message()), 504);
  EXPECT_EQ(logged(), "504 UT response_timeout");
  EXPECT_EQ(app->upstream_rq_timeout.value(), 1);
}

// ---- what the upstream and the client are told ----

TEST_F(RetryPolicies, EachAttemptIsToldItsNumberAndItsTime) {
  begin({.policy = "retry_on: 5xx, per_try_timeout: 2s",
         .action = "timeout: 15s",
         .host = "include_request_attempt_count: true, include_attempt_count_in_response: true, "
                 "include_is_timeout_retry_header: true"});
  Peer client = request("GET / HTTP/1.1\r\nHost: a\r\nX-Envoy-Attempt-Count: 7\r\n\r\n");
  Peer server = backend.accept();
  const std::string first = server.message();
  EXPECT_NE(first.find("x-envoy-attempt-count: 1\r\n"), std::string::npos) << first;
  EXPECT_NE(first.find("x-envoy-expected-rq-timeout-ms: 2000\r\n"), std::string::npos) << first;
  EXPECT_EQ(first.find("x-envoy-is-timeout-retry"), std::string::npos) << first;
  pass(milliseconds(2050));
  back_off();
  Peer again = backend.accept();
  const std::string second = again.answer();
  EXPECT_NE(second.find("x-envoy-attempt-count: 2\r\n"), std::string::npos) << second;
  EXPECT_EQ(second.find("x-envoy-attempt-count: 1\r\n"), std::string::npos) << second;
  EXPECT_NE(second.find("x-envoy-is-timeout-retry: true\r\n"), std::string::npos) << second;
  EXPECT_NE(client.message().find("x-envoy-attempt-count: 2\r\n"), std::string::npos);
}

TEST_F(RetryPolicies, LocalRepliesCountTheAttemptsToo) {
  begin({.policy = "per_try_timeout: 2s", .host = "include_attempt_count_in_response: true"});
  Peer client = request();
  Peer server = backend.accept();
  server.message();
  pass(milliseconds(2100));
  EXPECT_NE(client.message().find("x-envoy-attempt-count: 1\r\n"), std::string::npos);
}

TEST_F(RetryPolicies, PreviousHostsArePassedOver) {
  Backend more[2] = {Backend(loop), Backend(loop)};
  set_cluster({backend.address, more[0].address, more[1].address}, "lb_policy: RANDOM");
  listen({.policy = str("retry_on: 5xx, num_retries: 2, host_selection_retry_max_attempts: 100, "
                        "retry_host_predicate: [ { name: p, typed_config: { ",
                        kExtension, "retry.host.previous_hosts.v3.PreviousHostsPredicate } } ]")});
  for (int run = 0; run < 8; ++run) {
    Peer client = request();
    std::vector<Backend*> left = {&backend, &more[0], &more[1]};
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(run_until(
          loop,
          [&] { return std::ranges::any_of(left, [](Backend* b) { return b->is_called(); }); }))
          << "a host a second time in run " << run;
      const auto called = std::ranges::find_if(left, [](Backend* b) { return b->is_called(); });
      Peer server = (*called)->accept();
      left.erase(called);
      server.message();
      server.send("HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      back_off();
    }
    EXPECT_EQ(status_of(client.message()), 503);
  }
}

TEST_F(RetryPolicies, AHostThatRefusedIsAPreviousHostToo) {
  Backend other(loop), dead(loop);
  dead.stop();
  set_cluster({backend.address, other.address, dead.address}, "lb_policy: RANDOM");
  listen({.policy = str("retry_on: 5xx, host_selection_retry_max_attempts: 100, "
                        "retry_host_predicate: [ { name: p, typed_config: { ",
                        kExtension, "retry.host.previous_hosts.v3.PreviousHostsPredicate } } ]")});
  for (int run = 0; run < 30; ++run) {
    const auto refused = app->upstream_cx_connect_fail.value();
    Peer client = request();
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(run_until(loop, [&] { return backend.is_called() || other.is_called(); }));
      Peer server = backend.is_called() ? backend.accept() : other.accept();
      server.message();
      server.send("HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      back_off();
    }
    EXPECT_EQ(status_of(client.message()), 503);
    EXPECT_LE(app->upstream_cx_connect_fail.value() - refused, 1) << "a second time in " << run;
  }
}

TEST_F(RetryPolicies, OnlyRequestsThatThePolicyNamesAreRetried) {
  begin(
      {"retry_on: 5xx, retriable_request_headers: [ { name: ':method', string_match: { exact: "
       "GET } } ]"});
  Peer client = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  Peer server = backend.accept();
  server.answer(kEmpty503);
  EXPECT_EQ(status_of(client.message()), 503);
  client.send(kGet);
  server.answer(kEmpty503);
  back_off();
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(app->upstream_rq_retry.value(), 1);
}

TEST_F(RetryPolicies, ClientsCannotAskForRetries) {
  set_cluster({backend.address});
  WorkerTest::listen({});
  Peer client = request(
      "GET / HTTP/1.1\r\nHost: a\r\nX-Envoy-Retry-On: 5xx\r\nX-Envoy-Max-Retries: 9\r\n"
      "X-Envoy-Retry-Grpc-On: unavailable\r\nX-Envoy-Upstream-Rq-Per-Try-Timeout-Ms: 1\r\n\r\n");
  Peer server = backend.accept();
  const std::string request = server.answer(kEmpty503);
  EXPECT_EQ(request.find("retr"), std::string::npos) << request;
  EXPECT_EQ(request.find("per-try"), std::string::npos) << request;
  EXPECT_EQ(status_of(client.message()), 503);
}

TEST_F(RetryPolicies, AGrpcTimeoutIsTheStreamsWithinTheRoutes) {
  begin({.policy = "retry_on: unavailable",
         .action = "max_stream_duration: { grpc_timeout_header_max: 5s }"});
  Peer client = request("GET / HTTP/1.1\r\nHost: a\r\ngrpc-timeout: 9S\r\n\r\n");
  Peer server = backend.accept();
  EXPECT_NE(server.message().find("grpc-timeout: 5000m\r\n"), std::string::npos);
  pass(milliseconds(4900));
  EXPECT_EQ(client.received(), "");
  pass(milliseconds(200));
  EXPECT_EQ(status_of(client.message()), 504);
  EXPECT_EQ(logged(), "504 - max_duration_timeout");
}

}  // namespace
}  // namespace pillion::testing
