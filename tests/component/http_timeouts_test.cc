// The deadlines of an exchange: each fires when it must and not before, answers as Envoy does,
// counts and is logged.

#include "tests/component/tls_yaml.h"
#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kUpload = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";

class HttpTimeouts : public WorkerTest {
 protected:
  // A listener in front of one silent backend.
  void begin(const std::string& hcm, const std::string& route = "timeout: 0s") {
    set_cluster({backend.address});
    listen({.hcm = hcm,
            .routes = str("{ match: { prefix: / }, route: { cluster: app, ", route, " } }")});
  }
  struct Exchange {
    Peer client;
    Peer server;
  };
  // A request that is on its way to the backend, which is silent so far.
  Exchange exchange(std::string_view text = kGet) { return {request(text), backend.accept()}; }
  // Silence until `limit` is over, then this answer.
  void expect_after(Duration limit, Peer& client, int status) {
    pass(limit - milliseconds(100));
    EXPECT_EQ(client.received(), "");
    pass(milliseconds(200));
    EXPECT_EQ(status_of(client.message()), status);
  }
  Backend backend{loop};
};

TEST_F(HttpTimeouts, StreamIdleWhileTheUpstreamIsSilentGives504) {
  begin("stream_idle_timeout: 5s");
  auto [client, server] = exchange();
  server.message();
  expect_after(seconds(5), client, 504);
  EXPECT_EQ(logged(), "504 SI stream_idle_timeout");
  EXPECT_EQ(http->downstream_rq_idle_timeout.value(), 1);
  EXPECT_TRUE(
      server.waits_for_the_end());  // a connection that owes a response is of no further use
  EXPECT_FALSE(client.is_over());
}

TEST_F(HttpTimeouts, StreamIdleWhileTheClientIsSilentGives408AndEndsTheConnection) {
  begin("stream_idle_timeout: 5s");
  auto [client, server] = exchange(kUpload);
  pass(milliseconds(5100));
  const std::string reply = client.message();
  EXPECT_EQ(status_of(reply), 408);
  EXPECT_NE(reply.find("connection: close"), std::string::npos) << reply;
  EXPECT_EQ(logged(), "408 SI stream_idle_timeout");
  EXPECT_TRUE(client.waits_for_the_end());
}

TEST_F(HttpTimeouts, EachPieceOfABodyGivesTheStreamNewTime) {
  begin("stream_idle_timeout: 5s");
  auto [client, server] = exchange(kUpload);
  for (int i = 0; i < 10; ++i) {
    pass(seconds(4));
    client.send("x");
  }
  EXPECT_NE(server.message().find("xxxxxxxxxx"), std::string::npos);
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  for (int i = 0; i < 3; ++i) {
    pass(seconds(4));
    server.send("y");
  }
  EXPECT_TRUE(client.message().ends_with("yyy"));
  EXPECT_EQ(http->downstream_rq_idle_timeout.value(), 0);
}

TEST_F(HttpTimeouts, InterimAnswersGiveTheStreamNewTime) {
  begin("stream_idle_timeout: 5s", "timeout: 0s");
  auto [client, server] = exchange();
  for (int i = 0; i < 3; ++i) {
    pass(seconds(4));
    server.send("HTTP/1.1 102 Processing\r\n\r\n");
    EXPECT_EQ(status_of(client.message()), 102);
  }
  pass(seconds(4));
  server.send(kOk);
  EXPECT_EQ(status_of(client.message()), 200);
}

TEST_F(HttpTimeouts, AStreamIsIdleForFiveMinutesUnlessConfigured) {
  begin("");
  auto [client, server] = exchange();
  expect_after(seconds(300), client, 504);
}

TEST_F(HttpTimeouts, TheIdleTimeoutOfARouteReplacesTheManagers) {
  begin("stream_idle_timeout: 5s", "timeout: 0s, idle_timeout: 20s");
  auto [client, server] = exchange();
  expect_after(seconds(20), client, 504);
}

TEST_F(HttpTimeouts, ARequestThatIsNotCompleteInTimeGets408) {
  begin("request_timeout: 10s");
  auto [client, server] = exchange(kUpload);
  for (int i = 0; i < 3; ++i) {
    pass(seconds(3));
    client.send("x");
  }
  EXPECT_EQ(client.received(), "");
  pass(seconds(2));
  EXPECT_EQ(status_of(client.message()), 408);
  EXPECT_EQ(logged(), "408 - request_overall_timeout");
  EXPECT_EQ(http->downstream_rq_timeout.value(), 1);
}

TEST_F(HttpTimeouts, TheRequestTimeoutEndsWithTheRequest) {
  begin("request_timeout: 10s");
  auto [client, server] = exchange();
  pass(seconds(60));
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(http->downstream_rq_timeout.value(), 0);
}

TEST_F(HttpTimeouts, AHeadThatDoesNotEndInTimeGets408) {
  begin("request_headers_timeout: 10s");
  Peer client = request("GET / HTTP/1.1\r\nHo");
  for (int i = 0; i < 3; ++i) {
    pass(seconds(3));
    client.send("st");  // slowly is not in time
  }
  pass(seconds(2));
  EXPECT_EQ(status_of(client.message()), 408);
  EXPECT_EQ(logged(), "408 - request_header_timeout");
  EXPECT_EQ(http->downstream_rq_header_timeout.value(), 1);
  EXPECT_TRUE(client.waits_for_the_end());
}

TEST_F(HttpTimeouts, ARouteTimeoutRunsFromTheEndOfTheRequest) {
  begin("", "timeout: 3s");
  auto [client, server] = exchange(kUpload);
  pass(seconds(30));
  client.send("0123456789");
  server.message();
  expect_after(seconds(3), client, 504);
  EXPECT_EQ(logged(), "504 UT response_timeout");
  EXPECT_EQ(app->upstream_rq_timeout.value(), 1);
  EXPECT_TRUE(server.waits_for_the_end());
}

TEST_F(HttpTimeouts, ARouteWithoutATimeoutHas15Seconds) {
  set_cluster({backend.address});
  listen({});
  auto [client, server] = exchange();
  expect_after(seconds(15), client, 504);
}

TEST_F(HttpTimeouts, ATimeoutWithinAResponseNeverLooksLikeItsEnd) {
  begin("", "timeout: 3s");
  auto [client, server] = exchange();
  server.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
  EXPECT_TRUE(client.waits_for("01234"));
  pass(milliseconds(3100));
  EXPECT_TRUE(client.waits_for_the_end());
  EXPECT_FALSE(message_size(client.received()));
  EXPECT_EQ(logged(), "200 UT response_timeout");
  EXPECT_EQ(http->downstream_rq_tx_reset.value(), 1);
}

TEST_F(HttpTimeouts, TheWholeExchangeHasItsMaximum) {
  begin("common_http_protocol_options: { max_stream_duration: 7s }");
  auto [client, server] = exchange();
  expect_after(seconds(7), client, 504);
  EXPECT_EQ(logged(), "504 - max_duration_timeout");
  EXPECT_EQ(http->downstream_rq_max_duration_reached.value(), 1);
}

TEST_F(HttpTimeouts, TheMaximumIsTheClientsFaultWhileItSends) {
  begin("common_http_protocol_options: { max_stream_duration: 7s }");
  auto [client, server] = exchange(kUpload);
  expect_after(seconds(7), client, 408);
  EXPECT_EQ(logged(), "408 - max_duration_timeout");
}

TEST_F(HttpTimeouts, AnIdleStreamIsNoAnswerOfTheCluster) {
  begin("stream_idle_timeout: 5s");
  auto [client, server] = exchange();
  expect_after(seconds(5), client, 504);
  EXPECT_EQ(app->upstream_rq_5xx.value(), 0);
}

TEST_F(HttpTimeouts, ARoutesMaximumOfTheExchangeCountsToo) {
  begin("", "timeout: 0s, max_stream_duration: { max_stream_duration: 7s }");
  auto [client, server] = exchange();
  pass(milliseconds(7100));
  EXPECT_EQ(status_of(client.message()), 504);
  EXPECT_EQ(http->downstream_rq_max_duration_reached.value(), 1);
}

TEST_F(HttpTimeouts, AConnectThatIsNeverAnsweredIsGivenUp) {
  // A queue of one that is full: the kernel drops further attempts.
  Backend deaf(loop, 1);
  std::vector<Fd> fillers;
  for (int i = 0; i < 4; ++i) {
    sockaddr_storage sa{};
    const socklen_t n = deaf.address.to_sockaddr(sa);
    fillers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    static_cast<void>(::connect(fillers.back().get(), reinterpret_cast<sockaddr*>(&sa), n));
  }
  set_cluster({deaf.address}, "connect_timeout: 2s");
  listen({});
  Peer client = request();
  expect_after(seconds(2), client, 503);
  EXPECT_EQ(logged(), "503 UF upstream_reset_before_response_started{connection_timeout}");
  EXPECT_EQ(app->upstream_cx_connect_timeout.value(), 1);
  EXPECT_EQ(app->upstream_cx_connect_fail.value(), 1);
  EXPECT_EQ(app->upstream_rq_pending_failure_eject.value(), 1);
}

TEST_F(HttpTimeouts, TheHandshakeWithAnUpstreamIsPartOfTheConnect) {
  const TestCa ca;
  set_cluster({backend.address}, "connect_timeout: 2s, " + client_tls(ca));
  listen({});
  Peer client = request();
  Peer silent = backend.accept();
  EXPECT_TRUE(run_until(loop, [&] { return !silent.received().empty(); }));  // the ClientHello
  expect_after(seconds(2), client, 503);
  EXPECT_EQ(logged(), "503 UF upstream_reset_before_response_started{connection_timeout}");
  EXPECT_EQ(app->upstream_cx_connect_timeout.value(), 1);
  EXPECT_TRUE(silent.waits_for_the_end());
}

TEST_F(HttpTimeouts, AnUpstreamIsToldHowMuchTimeIsLeft) {
  begin("", "timeout: 3s");
  auto [client, server] = exchange();
  EXPECT_NE(server.answer().find("x-envoy-expected-rq-timeout-ms: 3000\r\n"), std::string::npos);
  EXPECT_EQ(status_of(client.message()), 200);
}

// The time that counts begins with the end of the request, as the timeout does.
TEST_F(HttpTimeouts, ASlowUploadTakesNoneOfTheUpstreamsTime) {
  begin("", "timeout: 3s, retry_policy: { retry_on: 5xx }");
  auto [client, server] = exchange(kUpload);
  pass(seconds(30));
  server.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
  pass(milliseconds(300));
  Peer second = backend.accept();
  EXPECT_TRUE(second.waits_for("x-envoy-expected-rq-timeout-ms: 3000\r\n"));
  client.send("0123456789");
  EXPECT_TRUE(second.waits_for("0123456789"));
  pass(milliseconds(1000));
  second.send(kOk);
  const std::string response = client.message();
  const size_t at = response.find("x-envoy-upstream-service-time: 1");
  ASSERT_NE(at, std::string::npos) << response;
  EXPECT_EQ(response.substr(at + 35, 2), "\r\n") << "a second: " << response;
}

TEST_F(HttpTimeouts, AnAnswerBeforeTheEndOfTheRequestHasNoServiceTime) {
  begin("");
  auto [client, server] = exchange(kUpload);
  EXPECT_TRUE(server.waits_for("\r\n\r\n"));
  server.send(kOk);
  EXPECT_EQ(client.message().find("x-envoy-upstream-service-time"), std::string::npos);
}

}  // namespace
}  // namespace pillion::testing
