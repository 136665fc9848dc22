// Changes of configuration under live connections, and draining: what runs ends as it began, what
// begins afterwards is new.

#include <optional>

#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kReply = "{ match: { prefix: / }, direct_response: { status: 418 } }";

class Updates : public WorkerTest {
 protected:
  // A client with one answered request, and the worker's connection to the backend.
  void begin() {
    set_cluster({backend.address});
    listen({});
    client.emplace(request());
    server.emplace(backend.accept());
    server->answer();
    EXPECT_EQ(status_of(client->message()), 200);
  }
  Backend backend{loop};
  Backend other{loop};
  std::optional<Peer> client;
  std::optional<Peer> server;
};
using Drain = Updates;

TEST_F(Updates, TheNextRequestOfALiveConnectionTakesTheNewRoutes) {
  begin();
  update({.routes = std::string(kReply)});
  client->send(kGet);
  EXPECT_EQ(status_of(client->message()), 418);
  update({});
  client->send(kGet);
  server->answer();
  EXPECT_EQ(status_of(client->message()), 200);
}

TEST_F(Updates, ARunningRequestKeepsTheRouteThatItChose) {
  begin();
  client->send(kGet);
  settle();
  update({.routes = std::string(kReply)});
  server->answer();
  EXPECT_EQ(status_of(client->message()), 200);
  client->send(kGet);
  EXPECT_EQ(status_of(client->message()), 418);
}

TEST_F(Updates, AnIdleConnectionTakesTheLastOfSeveralUpdates) {
  begin();
  for (int status = 201; status < 210; ++status) {
    update({.routes = str("{ match: { prefix: / }, direct_response: { status: ", status, " } }")});
  }
  client->send(kGet);
  EXPECT_EQ(status_of(client->message()), 209);
}

TEST_F(Updates, NewLimitsOfHeadsCountFromTheNextRequest) {
  begin();
  update({.hcm = "max_request_headers_kb: 1"});
  const std::string large =
      str("GET / HTTP/1.1\r\nHost: a\r\nx: ", std::string(2000, 'x'), "\r\n\r\n");
  client->send(kGet);
  server->answer();
  EXPECT_EQ(status_of(client->message()), 200);
  client->send(large);
  EXPECT_EQ(status_of(client->message()), 431);
}

TEST_F(Updates, AChangedTimeoutOfAClusterKeepsItsConnections) {
  begin();
  set_cluster({backend.address}, "connect_timeout: 1s");
  client->send(kGet);
  server->answer();
  EXPECT_EQ(status_of(client->message()), 200);
  EXPECT_EQ(app->upstream_cx_total.value(), 1);
}

TEST_F(Updates, AHostThatLeavesLosesItsIdleConnectionsAtOnce) {
  begin();
  set_cluster({other.address});
  EXPECT_TRUE(server->waits_for_the_end());
  client->send(kGet);
  Peer next = other.accept();
  next.answer();
  EXPECT_EQ(status_of(client->message()), 200);
}

TEST_F(Updates, AHostThatLeavesFinishesWhatItBegan) {
  begin();
  client->send(kGet);
  settle();
  set_cluster({other.address});
  settle();
  EXPECT_FALSE(server->is_over());
  server->answer();
  EXPECT_EQ(status_of(client->message()), 200);
  EXPECT_TRUE(server->waits_for_the_end());
}

TEST_F(Updates, AHostThatStaysKeepsItsConnectionWhileOthersCome) {
  begin();
  set_cluster({backend.address, other.address});
  for (int i = 0; i < 8; ++i) {
    client->send(kGet);
    ASSERT_TRUE(run_until(loop, [&] { return server->received() != "" || other.is_called(); }));
    if (other.is_called()) break;
    server->answer();
    EXPECT_EQ(status_of(client->message()), 200);
  }
  Peer next = other.accept();
  next.answer();
  EXPECT_EQ(status_of(client->message()), 200);
  EXPECT_FALSE(server->is_over());
  EXPECT_EQ(app->upstream_cx_total.value(), 2);
}

TEST_F(Updates, AClusterThatIsGoneFailsTheNextRequestOnly) {
  begin();
  client->send(kGet);
  settle();
  clusters.remove("app");
  server->answer();
  EXPECT_EQ(status_of(client->message()), 200);
  client->send(kGet);
  EXPECT_EQ(status_of(client->message()), 503);
  EXPECT_EQ(logged(), "503 NC cluster_not_found");
}

TEST_F(Updates, AClusterWithoutHostsSaysSo) {
  begin();
  set_cluster({});
  client->send(kGet);
  EXPECT_EQ(status_of(client->message()), 503);
  EXPECT_EQ(logged(), "503 UH no_healthy_upstream");
  EXPECT_EQ(app->upstream_cx_none_healthy.value(), 1);
}

TEST_F(Updates, AChainThatIsGoneDrainsItsConnectionsWithinTheDrainTime) {
  worker.drain_time = seconds(30);
  begin();
  Peer silent = connect();
  settle();
  update({.tcp = "max_connect_attempts: 1"});  // HTTP no more
  client->send(kGet);
  server->answer();
  const std::string last = client->message();
  EXPECT_EQ(status_of(last), 200);
  EXPECT_NE(last.find("connection: close"), std::string::npos) << last;
  EXPECT_TRUE(client->waits_for_the_end());
  pass(seconds(29));
  EXPECT_FALSE(silent.is_over());
  pass(seconds(2));
  EXPECT_TRUE(silent.is_over());
}

TEST_F(Updates, EachGenerationOfADrainedChainHasADeadlineOfItsOwn) {
  worker.drain_time = seconds(30);
  const auto raw = [](int attempts) { return str("max_connect_attempts: ", attempts); };
  begin();
  Peer first = connect();
  settle();
  update({.tcp = raw(1)});
  Peer second = connect();
  settle();
  pass(seconds(10));
  update({});
  Peer third = connect();
  settle();
  pass(seconds(10));
  update({.tcp = raw(2)});
  pass(seconds(9));
  EXPECT_FALSE(first.is_over());
  pass(seconds(2));  // 31
  EXPECT_TRUE(first.is_over()) << "no later update postpones it";
  EXPECT_FALSE(second.is_over());
  pass(seconds(10));  // 41
  EXPECT_TRUE(second.is_over());
  EXPECT_FALSE(third.is_over()) << "no earlier deadline shortens it";
  pass(seconds(10));
  EXPECT_TRUE(third.is_over());
}

TEST_F(Updates, AnIdleConnectionOfTwoUpdatesAgoEndsWithTheChainThatItWouldTake) {
  worker.drain_time = seconds(10);
  begin();
  update({});                                  // the chain stays; `client` has not taken it yet
  update({.tcp = "max_connect_attempts: 1"});  // and is gone
  client->send(kGet);                          // takes longer than the drain
  settle();
  pass(seconds(9));
  EXPECT_FALSE(client->is_over());
  pass(seconds(2));
  EXPECT_TRUE(client->is_over());
}

TEST_F(Updates, TheDeadlineOfAChainEndsNobodyWhoseOwnTimeIsUp) {
  worker.drain_time = seconds(10);
  begin();
  Peer old = connect();
  settle();
  update({.tcp = "max_connect_attempts: 1"});
  update({.hcm = "common_http_protocol_options: { max_connection_duration: 3s }"});
  Peer slow = request();  // on the connection to the backend that is there
  pass(seconds(11));
  EXPECT_TRUE(old.is_over());
  EXPECT_FALSE(slow.is_over()) << "its chain is there";
  server->answer();
  EXPECT_EQ(status_of(slow.message()), 200);
  EXPECT_TRUE(slow.waits_for_the_end());
}

TEST_F(Drain, TheNextResponseAnnouncesTheEnd) {
  begin();
  worker.draining = true;
  client->send(kGet);
  server->answer();
  const std::string last = client->message();
  EXPECT_NE(last.find("connection: close"), std::string::npos) << last;
  EXPECT_TRUE(client->waits_for_the_end());
  EXPECT_EQ(http->downstream_cx_drain_close.value(), 1);
}

TEST_F(Drain, ARequestThatRunsIsAnsweredAndAnnouncesTheEnd) {
  begin();
  client->send(kGet);
  settle();
  listener->drain_connections();
  server->answer();
  const std::string last = client->message();
  EXPECT_EQ(status_of(last), 200);
  EXPECT_NE(last.find("connection: close"), std::string::npos) << last;
  EXPECT_TRUE(client->waits_for_the_end());
}

TEST_F(Drain, AGradualDrainAnnouncesItMoreAndMoreOften) {
  begin();
  worker.draining = worker.gradual_drain = true;
  worker.drain_time = seconds(100);
  worker.drain_begin = loop.now();
  int announced = 0;
  for (int i = 0; i < 200; ++i) announced += worker.announces_close() ? 1 : 0;
  EXPECT_LT(announced, 20);
  loop.skip(seconds(50));
  announced = 0;
  for (int i = 0; i < 200; ++i) announced += worker.announces_close() ? 1 : 0;
  EXPECT_GT(announced, 60);
  EXPECT_LT(announced, 140);
  loop.skip(seconds(51));
  EXPECT_TRUE(worker.announces_close());
}

TEST_F(Drain, WhoWaitsInTheQueueOfAClosingListenerIsServed) {
  set_cluster({backend.address});
  listen({});
  Peer queued = request();
  listener->close_socket();
  Peer on_queued = backend.accept();
  on_queued.answer();
  const std::string last = queued.message();
  EXPECT_EQ(status_of(last), 200);
  EXPECT_NE(last.find("connection: close"), std::string::npos) << last;
  EXPECT_TRUE(run_until(loop, [&] { return times_empty == 1; }));
}

}  // namespace
}  // namespace pillion::testing
