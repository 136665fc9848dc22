// Calls of control over real loopback sockets.
#include "proxy/upstream/map_client.h"

#include <fcntl.h>

#include <optional>

#include "proxy/base/str.h"
#include "proxy/io/socket.h"
#include "tests/support/h2_peer.h"
#include "tests/unit/upstream/pool_fixture.h"

namespace pillion::upstream {
namespace {

using std::chrono::milliseconds;

class Caller final : public ClientCallObserver {
 public:
  void on_call_head(const http::ResponseHead& head, bool end) override {
    status = head.status;
    done = end;
    if (release_on_head) call.reset();
  }
  void on_call_data(std::string_view data, bool end) override {
    body += data;
    done = end;
  }
  void on_call_trailers(const http::Headers& t) override {
    trailer = t.get(http::HeaderId::kGrpcStatus);
    done = true;
  }
  void on_call_failed(Failure f, std::string_view r) override {
    EXPECT_FALSE(failure) << "told twice";
    failure = f;
    reason = r;
  }
  void on_call_drained() override { ++taken; }
  [[nodiscard]] bool is_over() const { return done || failure; }

  ClientCallPtr call;
  int taken = 0;
  uint16_t status = 0;
  std::string body;
  std::string trailer;
  std::string reason;
  Failure failure;
  bool done = false;
  bool release_on_head = false;
};

class MapClientTest : public UpstreamTest {
 protected:
  void TearDown() override {
    caller.call.reset();
    UpstreamTest::TearDown();
  }
  void open(const CallHead& head) { caller.call = client.open("c", head, caller); }
  bool is_over() {
    return run_until(loop, [&] { return caller.is_over(); });
  }
  MapClient client{loop, batch, clusters};
  Caller caller;
};

TEST_F(MapClientTest, SendsARequestAndDeliversItsResponse) {
  Backend backend;
  set(hosts_at({backend.address}));
  const CallField fields[] = {{"content-type", "text/plain"}};
  open({.path = "/v1/traces", .authority = "collector", .fields = fields, .content_length = 5});
  caller.call->send("hel", false);
  caller.call->send("lo", true);
  EXPECT_EQ(caller.call->host(), "") << "nothing happens on the caller's stack";
  run_for(loop, milliseconds(5));
  Conn conn = backend.accept();
  const std::string head = conn.read_head();
  EXPECT_TRUE(head.starts_with("POST /v1/traces HTTP/1.1\r\n")) << head;
  EXPECT_NE(head.find("host: collector\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("content-type: text/plain\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("content-length: 5\r\n"), std::string::npos) << head;
  conn.send("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok");
  ASSERT_TRUE(is_over());
  EXPECT_EQ(caller.status, 202);
  EXPECT_EQ(caller.body, "ok");
  EXPECT_EQ(caller.call->host(), backend.address.to_string());
  EXPECT_EQ(stats->upstream_rq_active.value(), 0);
  EXPECT_EQ(stats->upstream_rq_total.value(), 1u);
}

TEST_F(MapClientTest, TalksInBothDirectionsAtOnce) {
  Backend backend;
  set(hosts_at({backend.address}));
  open({.path = "/stream"});  // of unknown length
  caller.call->send("one", false);
  run_for(loop, milliseconds(5));
  Conn conn = backend.accept();
  (void)conn.read_head();
  conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  ASSERT_TRUE(run_until(loop, [&] { return caller.body == "abc"; }));
  EXPECT_FALSE(caller.done);
  caller.call->send("two", true);
  conn.send("0\r\ngrpc-status: 0\r\n\r\n");
  ASSERT_TRUE(is_over());
  EXPECT_EQ(caller.trailer, "0");
  EXPECT_FALSE(caller.failure);
}

// A connection alone is no word of an HTTP/2 server: its SETTINGS are.
TEST_F(MapClientTest, TellsThatTheServerTakesTheCallBeforeThereIsAnAnswer) {
  config->pool->protocol = UpstreamProtocol::kHttp2;
  Backend backend;
  set(hosts_at({backend.address}));
  open({.path = "/stream"});
  caller.call->send("one", false);
  ASSERT_TRUE(run_until(loop, [&] { return backend.has_waiting(); }));
  run_for(loop, milliseconds(5));
  EXPECT_EQ(caller.taken, 0);
  Conn conn = backend.accept();
  const int fd = conn.release();
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  testing::H2Peer peer(loop, batch, io::Socket::adopt(loop, fd));
  ASSERT_TRUE(run_until(loop, [&] { return caller.taken != 0; }));
  EXPECT_EQ(caller.taken, 1);
  EXPECT_EQ(caller.status, 0);
  // The next one finds that they have come.
  Caller second;
  second.call = client.open("c", {.path = "/stream"}, second);
  EXPECT_EQ(second.taken, 0) << "not on the caller's stack";
  ASSERT_TRUE(run_until(loop, [&] { return second.taken != 0; }));
  EXPECT_EQ(second.taken, 1);
}

TEST_F(MapClientTest, TellsThatThereIsNoSuchCluster) {
  caller.call = client.open("unheard-of", {.path = "/"}, caller);
  EXPECT_FALSE(caller.failure) << "no callback inside open()";
  ASSERT_TRUE(is_over());
  EXPECT_EQ(caller.failure.kind, FailureKind::kNoCluster);
}

TEST_F(MapClientTest, TellsWhyItCannotConnect) {
  Backend nobody(-1);  // bound, and does not listen
  set(hosts_at({nobody.address}));
  open({.path = "/"});
  caller.call->send("x", true);
  ASSERT_TRUE(is_over());
  EXPECT_EQ(caller.failure.kind, FailureKind::kConnectFailed);
  EXPECT_EQ(caller.reason, "delayed connect error: Connection refused");
  EXPECT_EQ(stats->upstream_rq_active.value(), 0);
}

// Whoever calls a host, its outcomes count for outlier detection.
TEST_F(MapClientTest, OutcomesOfCallsCountForTheHost) {
  config->outlier = std::make_shared<OutlierOptions>();
  config->health = std::make_shared<SharedHealth>();
  Backend backend;
  const HostSetPtr hosts = hosts_at({backend.address});
  set(hosts);
  const auto seen = [&] {
    const HostHealth::Totals t = config->health->of(hosts->hosts[0]->id)->sum();
    return str(t.success, " of ", t.total);
  };
  const CallField fields[] = {{"content-type", "application/grpc"}};
  const auto ask = [&] {
    caller.call.reset();
    caller.failure = {};
    caller.done = false;
    open({.path = "/", .fields = fields, .content_length = 0, .timeout = milliseconds(500)});
    caller.call->send("", true);
    run_for(loop, milliseconds(5));
    Conn conn = backend.accept();
    (void)conn.read_head();
    return conn;
  };
  {
    Conn conn = ask();
    conn.send(
        "HTTP/1.1 200 OK\r\nGrpc-Status: 14\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    ASSERT_TRUE(is_over());
    EXPECT_EQ(seen(), "0 of 1") << "unavailable is a 503";
  }
  {
    Conn conn = ask();
    conn.close();
    ASSERT_TRUE(is_over());
    EXPECT_EQ(seen(), "0 of 2");
  }
  Conn conn = ask();
  loop.skip(milliseconds(600));
  ASSERT_TRUE(is_over());
  EXPECT_EQ(seen(), "0 of 3");
}

TEST_F(MapClientTest, TellsThatThereIsNoHost) {
  set(hosts_at({}));
  open({.path = "/"});
  ASSERT_TRUE(is_over());
  EXPECT_EQ(caller.failure.kind, FailureKind::kNoHealthyUpstream);
}

TEST_F(MapClientTest, EndsACallThatTakesTooLong) {
  Backend backend;
  set(hosts_at({backend.address}));
  open({.path = "/", .content_length = 0, .timeout = std::chrono::seconds(10)});
  caller.call->send({}, true);
  run_for(loop, milliseconds(5));
  Conn conn = backend.accept();
  (void)conn.read_head();
  loop.skip(std::chrono::seconds(11));
  ASSERT_TRUE(is_over());
  EXPECT_EQ(caller.failure.kind, FailureKind::kRequestTimeoutUpstream);
  EXPECT_TRUE(conn.is_closed()) << "its answer would be taken for that of the next request";
}

TEST_F(MapClientTest, TellsThatTheUpstreamWentAway) {
  Backend backend;
  set(hosts_at({backend.address}));
  open({.path = "/", .content_length = 0});
  caller.call->send({}, true);
  run_for(loop, milliseconds(5));
  Conn conn = backend.accept();
  (void)conn.read_head();
  conn.close();
  ASSERT_TRUE(is_over());
  EXPECT_EQ(caller.failure.kind, FailureKind::kUpstreamClosed);
}

TEST_F(MapClientTest, MayBeGivenUpAtAnyMoment) {
  Backend backend;
  set(hosts_at({backend.address}));
  open({.path = "/"});
  caller.call.reset();  // before it begins
  run_for(loop, milliseconds(1));
  open({.path = "/"});
  loop.run_once(false);
  caller.call.reset();  // while it waits for a connection
  run_for(loop, milliseconds(5));
  open({.path = "/"});
  run_for(loop, milliseconds(5));
  Conn conn = backend.accept();
  (void)conn.read_head();
  caller.release_on_head = true;  // from within a callback
  conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  ASSERT_TRUE(run_until(loop, [&] { return caller.call == nullptr; }));
  run_for(loop, milliseconds(1));
  EXPECT_EQ(caller.body, "");
  EXPECT_FALSE(caller.failure);
}

TEST_F(MapClientTest, KeepsTheConnectionForTheNextCall) {
  Backend backend;
  set(hosts_at({backend.address}));
  std::optional<Conn> conn;
  for (int i = 0; i < 2; ++i) {
    caller.done = false;
    open({.path = "/", .content_length = 0});
    caller.call->send({}, true);
    run_for(loop, milliseconds(5));
    if (!conn) conn.emplace(backend.accept());
    (void)conn->read_head();
    conn->respond();
    ASSERT_TRUE(is_over());
  }
  EXPECT_EQ(stats->upstream_cx_total.value(), 1u);
}

// As the requests of workers do (design section 10).
TEST_F(MapClientTest, TellsOutlierDetectionWhatBecameOfACall) {
  Backend backend;
  config->health = std::make_shared<SharedHealth>();
  config->outlier = std::make_shared<OutlierOptions>();
  const HostSetPtr hosts = hosts_at({backend.address});
  const auto health = config->health->of(set(hosts).hosts()[0]->info().id);
  const auto call = [&](auto&& answer) {
    caller.done = false;
    caller.failure = {};
    open({.path = "/", .content_length = 0, .timeout = std::chrono::seconds(10)});
    caller.call->send({}, true);
    run_for(loop, milliseconds(5));
    Conn conn = backend.accept();
    (void)conn.read_head();
    answer(conn);
    EXPECT_TRUE(is_over());
  };
  call(
      [](Conn& c) { c.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); });
  EXPECT_EQ(health->row_5xx.load(), 1u);
  call([](Conn& c) { c.close(); });
  EXPECT_EQ(health->row_5xx.load(), 2u) << "a reset";
  call([&](Conn&) { loop.skip(std::chrono::seconds(11)); });
  EXPECT_EQ(health->row_5xx.load(), 3u) << "a timeout";
  call([](Conn& c) { c.respond("Connection: close\r\n"); });
  EXPECT_EQ(health->row_5xx.load(), 0u);
}

TEST_F(MapClientTest, HoldsTheResponseBackWhilePaused) {
  Backend backend;
  set(hosts_at({backend.address}));
  open({.path = "/", .content_length = 0});
  caller.call->pause();
  caller.call->send({}, true);
  run_for(loop, milliseconds(5));
  Conn conn = backend.accept();
  (void)conn.read_head();
  conn.respond();
  run_for(loop, milliseconds(20));
  EXPECT_EQ(caller.status, 0);
  caller.call->resume();
  ASSERT_TRUE(is_over());
  EXPECT_EQ(caller.status, 200);
}

}  // namespace
}  // namespace pillion::upstream
