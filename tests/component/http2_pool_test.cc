// Servers of HTTP/2 that refuse, leave, change their minds and fall silent, behind a worker with
// clients of HTTP/1: what becomes of requests, and how many connections there are.

#include <fcntl.h>

#include <memory>

#include "tests/component/worker_fixture.h"
#include "tests/support/h2_frames.h"
#include "tests/support/h2_peer.h"

namespace pillion::testing {
namespace {

using http::H2Error;
using H2Server = std::unique_ptr<H2Peer>;

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view kPost = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
constexpr std::string_view kOneConnection =
    "http2_protocol_options: {}, circuit_breakers: { thresholds: [ { max_connections: 1 } ] }";

class Http2Pool : public WorkerTest {
 protected:
  void begin(std::string_view cluster = "http2_protocol_options: {}", ListenerYaml yaml = {}) {
    set_cluster({backend.address}, cluster);
    listen(yaml);
  }
  H2Server accept(uint32_t streams = 100) {
    Fd fd = backend.accept_socket();
    ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    http::H2Options options;
    options.max_concurrent_streams = streams;
    return std::make_unique<H2Peer>(loop, batch, io::Socket::adopt(loop, fd.release()), options);
  }
  // A server that has answered one request, so that its SETTINGS are known.
  H2Server warm_up(uint32_t streams) {
    Peer client = request(kGet);
    H2Server server = accept(streams);
    EXPECT_TRUE(has(server, 1));
    server->respond(0, "ok");
    EXPECT_EQ(status_of(client.message()), 200);
    settle();
    return server;
  }
  bool has(H2Server& server, size_t streams) {
    return run_until(loop, [&] {
      return server->streams.size() >= streams && server->streams[streams - 1]->ended;
    });
  }
  // Of a server that has that many requests it does not take the last.
  void refuse(H2Server& server, size_t streams) {
    ASSERT_TRUE(has(server, streams));
    server->reset(streams - 1, H2Error::kRefusedStream);
  }
  // A GOAWAY that the server's own session knows nothing of.
  static void leave(H2Server& server, uint32_t last_stream) {
    server->raw(frame(7, 0, 0, str(be32(last_stream), be32(0))));
  }
  void TearDown() override {
    settle();
    WorkerTest::TearDown();
  }

  Backend backend{loop};
  stats::BlockRef<stats::ClusterHttp2Stats> h2 = registry.block<stats::ClusterHttp2Stats>(0, "app");
};

TEST_F(Http2Pool, TriesARefusedPostAgainAndNobodyIsToldOfIt) {
  begin();
  Peer client = request(kPost);
  H2Server server = accept();
  ASSERT_NO_FATAL_FAILURE(refuse(server, 1));
  ASSERT_TRUE(has(server, 2)) << "at once";
  EXPECT_EQ(server->stream(1).body, "body");
  server->respond(1, "ok");
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(logged(), "200 - via_upstream");
  EXPECT_EQ(h2->stream_refused_errors.value(), 1u);
  EXPECT_EQ(app->upstream_rq_retry.value(), 0u) << "no policy was asked";
  EXPECT_EQ(app->upstream_rq_5xx.value(), 0u);
  EXPECT_EQ(app->upstream_cx_total.value(), 1u);
}

TEST_F(Http2Pool, GivesUpOnAServerThatRefusesAllAndGivesItTimeBeforeTheLastTry) {
  begin();
  Peer client = request(kGet);
  H2Server server = accept();
  ASSERT_NO_FATAL_FAILURE(refuse(server, 1));
  ASSERT_NO_FATAL_FAILURE(refuse(server, 2));
  settle();
  EXPECT_EQ(server->streams.size(), 2u) << "not at once a second time";
  pass(milliseconds(50));
  ASSERT_NO_FATAL_FAILURE(refuse(server, 3));
  EXPECT_EQ(status_of(client.message()), 503);
  EXPECT_EQ(logged(), "503 UR upstream_reset_before_response_started{remote_refused_stream_reset}");
  pass(seconds(5));
  EXPECT_EQ(server->streams.size(), 3u);
  EXPECT_EQ(h2->stream_refused_errors.value(), 3u);
}

TEST_F(Http2Pool, LeavesTheRetryPolicyWholeForWhatComesAfterARefusal) {
  begin("http2_protocol_options: {}",
        {.routes = "{ match: { prefix: / }, route: { cluster: app, retry_policy: { retry_on: "
                   "'5xx', num_retries: 1, retry_back_off: { base_interval: 1ms } } } }"});
  Peer client = request(kGet);
  H2Server server = accept();
  ASSERT_NO_FATAL_FAILURE(refuse(server, 1));
  ASSERT_TRUE(has(server, 2));
  server->head(1, {{":status", "500"}}, true);
  settle();
  pass(milliseconds(20));
  ASSERT_TRUE(has(server, 3)) << "the one retry of the policy";
  server->respond(2, "ok");
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(app->upstream_rq_retry.value(), 1u);
  EXPECT_EQ(app->upstream_rq_retry_success.value(), 1u);
}

TEST_F(Http2Pool, ForgetsTheWaitOfARefusedRequestWhoseClientHasGone) {
  begin();
  Peer client = request(kGet);
  H2Server server = accept();
  ASSERT_NO_FATAL_FAILURE(refuse(server, 1));
  ASSERT_NO_FATAL_FAILURE(refuse(server, 2));
  settle();
  client.close();
  pass(seconds(1));
  EXPECT_EQ(server->streams.size(), 2u);
}

TEST_F(Http2Pool, TakesWhatAGoawayLeftUndoneToAnotherConnection) {
  begin();
  Peer done = request(kGet);
  H2Server old = accept();
  ASSERT_TRUE(has(old, 1));
  Peer undone = request(kPost);
  ASSERT_TRUE(has(old, 2));
  leave(old, 1);
  H2Server next = accept();
  ASSERT_TRUE(has(next, 1));
  EXPECT_EQ(next->stream(0).body, "body");
  Peer later = request(kGet);
  ASSERT_TRUE(has(next, 2)) << "a connection that leaves gets nothing new";
  next->respond(0, "ok");
  next->respond(1, "ok");
  EXPECT_EQ(status_of(undone.message()), 200);
  EXPECT_EQ(status_of(later.message()), 200);
  old->respond(0, "ok");
  EXPECT_EQ(status_of(done.message()), 200) << "what it had begun goes on";
  ASSERT_TRUE(run_until(loop, [&] { return old->eof; })) << "and then it is closed";
  EXPECT_EQ(app->upstream_cx_close_notify.value(), 1u);
  EXPECT_EQ(app->upstream_rq_5xx.value(), 0u);
}

TEST_F(Http2Pool, StopsWhenEveryConnectionIsMetByAGoaway) {
  begin();
  Peer client = request(kGet);
  std::vector<H2Server> servers;
  for (int i = 0; i < 3; ++i) {
    servers.push_back(accept());
    ASSERT_TRUE(has(servers.back(), 1));
    leave(servers.back(), 0);
    settle();
    if (i == 1) pass(milliseconds(50));
  }
  EXPECT_EQ(status_of(client.message()), 503);
  pass(seconds(1));
  EXPECT_FALSE(backend.is_called());
  EXPECT_EQ(app->upstream_cx_total.value(), 3u);
}

TEST_F(Http2Pool, OpensAnotherConnectionWhenTheServersStreamsAreInUse) {
  begin();
  H2Server one = warm_up(2);
  Peer a = request(kGet), b = request(kGet), c = request(kGet);
  ASSERT_TRUE(has(one, 3));
  H2Server two = accept(2);
  ASSERT_TRUE(has(two, 1));
  one->respond(1, "ok");
  one->respond(2, "ok");
  two->respond(0, "ok");
  for (Peer* client : {&a, &b, &c}) EXPECT_EQ(status_of(client->message()), 200);
  EXPECT_EQ(app->upstream_cx_total.value(), 2u);
}

TEST_F(Http2Pool, ObeysAServerThatAllowsFewerStreamsThanRun) {
  begin(kOneConnection);
  H2Server server = warm_up(4);
  Peer a = request(kGet), b = request(kGet), c = request(kGet);
  ASSERT_TRUE(has(server, 4));
  server->set_max_streams(2);
  settle();
  Peer waits = request(kGet);
  settle();
  EXPECT_EQ(server->streams.size(), 4u) << "three run where two may";
  server->respond(1, "ok");
  settle();
  EXPECT_EQ(server->streams.size(), 4u) << "two";
  server->respond(2, "ok");
  ASSERT_TRUE(has(server, 5)) << "one: there is room";
  server->respond(3, "ok");
  server->respond(4, "ok");
  for (Peer* client : {&a, &b, &c, &waits}) EXPECT_EQ(status_of(client->message()), 200);
  EXPECT_EQ(app->upstream_cx_total.value(), 1u);
}

TEST_F(Http2Pool, ServesWhoWaitsAtOnceWhenTheServerAllowsMore) {
  begin(kOneConnection);
  H2Server server = warm_up(100);
  server->set_max_streams(1);
  settle();
  Peer a = request(kGet), b = request(kGet), c = request(kGet);
  ASSERT_TRUE(has(server, 2));
  settle();
  EXPECT_EQ(server->streams.size(), 2u);
  EXPECT_EQ(app->upstream_rq_pending_active.value(), 2);
  server->set_max_streams(3);
  ASSERT_TRUE(has(server, 4)) << "without waiting for an end";
  for (size_t i = 1; i < 4; ++i) server->respond(i, "ok");
  for (Peer* client : {&a, &b, &c}) EXPECT_EQ(status_of(client->message()), 200);
}

TEST_F(Http2Pool, WaitsForAServerThatAllowsNoStreamAndOpensNothing) {
  begin("http2_protocol_options: {}",
        {.routes = "{ match: { prefix: / }, route: { cluster: app, timeout: 3s } }"});
  H2Server server = warm_up(100);
  server->set_max_streams(0);
  settle();
  Peer a = request(kGet), b = request(kGet);
  pass(seconds(2));
  EXPECT_EQ(app->upstream_cx_total.value(), 1u);
  EXPECT_EQ(app->upstream_rq_pending_active.value(), 2);
  server->set_max_streams(2);
  ASSERT_TRUE(has(server, 3));
  server->set_max_streams(0);
  server->respond(1, "ok");
  server->respond(2, "ok");
  EXPECT_EQ(status_of(a.message()), 200);
  EXPECT_EQ(status_of(b.message()), 200);
  Peer late = request(kGet);
  pass(milliseconds(3100));
  EXPECT_EQ(status_of(late.message()), 504);
  EXPECT_EQ(app->upstream_rq_pending_active.value(), 0);
  EXPECT_FALSE(backend.is_called());
}

TEST_F(Http2Pool, ClosesAConnectionAfterTheRequestsThatItMayServe) {
  begin("http2_protocol_options: {}, max_requests_per_connection: 2");
  Peer a = request(kGet);
  H2Server one = accept();
  ASSERT_TRUE(has(one, 1));
  Peer b = request(kGet), c = request(kGet);
  ASSERT_TRUE(has(one, 2));
  H2Server two = accept();
  ASSERT_TRUE(has(two, 1));
  one->respond(0, "ok");
  one->respond(1, "ok");
  two->respond(0, "ok");
  for (Peer* client : {&a, &b, &c}) EXPECT_EQ(status_of(client->message()), 200);
  ASSERT_TRUE(run_until(loop, [&] { return one->eof; }));
  EXPECT_EQ(app->upstream_cx_max_requests.value(), 1u);
  EXPECT_EQ(app->upstream_cx_active.value(), 1);
}

TEST_F(Http2Pool, ClosesAnIdleConnection) {
  begin(
      "typed_extension_protocol_options: { envoy.extensions.upstreams.http.v3.HttpProtocolOptions: "
      "{ '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, "
      "common_http_protocol_options: { idle_timeout: 5s }, explicit_http_config: { "
      "http2_protocol_options: {} } } }");
  H2Server server = warm_up(100);
  pass(milliseconds(4900));
  EXPECT_FALSE(server->eof);
  pass(milliseconds(200));
  ASSERT_TRUE(run_until(loop, [&] { return server->eof; }));
  EXPECT_EQ(app->upstream_cx_idle_timeout.value(), 1u);
}

// The connection looks alive to TCP; only the PING tells.
TEST_F(Http2Pool, FailsTheRequestsOfAServerThatAnswersNoPing) {
  begin(
      "http2_protocol_options: { connection_keepalive: { interval: 10s, timeout: 2s, "
      "interval_jitter: { value: 0 } } }");
  Peer a = request(kGet), b = request(kPost);
  Peer silent = backend.accept();
  silent.send(frame(4, 0, 0, ""));
  settle();
  pass(milliseconds(10100));
  EXPECT_FALSE(silent.is_over());
  pass(milliseconds(2100));
  EXPECT_EQ(status_of(a.message()), 503);
  EXPECT_EQ(logged(), "503 UC upstream_reset_before_response_started{connection_termination}");
  EXPECT_EQ(status_of(b.message()), 503);
  EXPECT_TRUE(silent.waits_for_the_end());
  EXPECT_EQ(h2->keepalive_timeout.value(), 1u);
  EXPECT_EQ(app->upstream_cx_destroy_local_with_active_rq.value(), 1u);
}

}  // namespace
}  // namespace pillion::testing
