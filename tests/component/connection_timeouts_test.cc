// The deadlines of connections: idle and too old ones, handshakes, inspections, lingering closes,
// and idle connections to upstreams.

#include "tests/component/tls_yaml.h"
#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

class ConnectionTimeouts : public WorkerTest {
 protected:
  void begin(const ListenerYaml& yaml) {
    set_cluster({backend.address});
    listen(yaml);
  }
  // A request with its answer on a connection that stays.
  void exchange(Peer& client, Peer& server) {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.answer();
    EXPECT_EQ(status_of(client.message()), 200);
  }
  Backend backend{loop};
};

TEST_F(ConnectionTimeouts, AnIdleClientIsClosedAfterItsIdleTimeout) {
  begin({.hcm = "common_http_protocol_options: { idle_timeout: 30s }"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  pass(milliseconds(29900));
  EXPECT_FALSE(client.is_over());
  pass(milliseconds(200));
  EXPECT_TRUE(client.is_over());
  EXPECT_EQ(http->downstream_cx_idle_timeout.value(), 1);
  EXPECT_EQ(http->downstream_cx_destroy.value(), 1);
}

TEST_F(ConnectionTimeouts, EveryRequestGivesTheConnectionNewTime) {
  begin({.hcm = "common_http_protocol_options: { idle_timeout: 30s }"});
  Peer client = request();
  Peer server = backend.accept();
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  for (int i = 0; i < 4; ++i) {
    pass(seconds(20));
    exchange(client, server);
  }
  EXPECT_EQ(http->downstream_cx_idle_timeout.value(), 0);
}

TEST_F(ConnectionTimeouts, AClientThatSaysNothingIsClosedAfterAnHour) {
  begin({});
  Peer client = connect();
  pass(std::chrono::minutes(59));
  EXPECT_FALSE(client.is_over());
  pass(std::chrono::minutes(2));
  EXPECT_TRUE(client.is_over());
}

TEST_F(ConnectionTimeouts, ARunningRequestIsNotIdle) {
  begin({.hcm = "common_http_protocol_options: { idle_timeout: 30s }, stream_idle_timeout: 0s",
         .routes = "{ match: { prefix: / }, route: { cluster: app, timeout: 0s } }"});
  Peer client = request();
  Peer server = backend.accept();
  pass(std::chrono::hours(5));
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
}

TEST_F(ConnectionTimeouts, AnOldIdleConnectionClosesAfterTheDrainTimeout) {
  begin(
      {.hcm = "drain_timeout: 3s, common_http_protocol_options: { max_connection_duration: 60s }"});
  Peer client = connect();
  pass(seconds(59));
  EXPECT_FALSE(client.is_over());
  pass(seconds(2));
  EXPECT_FALSE(client.is_over());  // a request may be on its way, and is told of the end
  pass(seconds(4));
  EXPECT_TRUE(client.is_over());
  EXPECT_EQ(http->downstream_cx_max_duration_reached.value(), 1);
}

TEST_F(ConnectionTimeouts, AnOldConnectionWithARequestClosesAfterItsResponse) {
  begin({.hcm = "common_http_protocol_options: { max_connection_duration: 10s }",
         .routes = "{ match: { prefix: / }, route: { cluster: app, timeout: 0s } }"});
  Peer client = request();
  Peer server = backend.accept();
  pass(seconds(11));
  EXPECT_FALSE(client.is_over());
  server.answer();
  const std::string response = client.message();
  EXPECT_EQ(status_of(response), 200);
  EXPECT_NE(response.find("connection: close"), std::string::npos) << response;
  EXPECT_TRUE(client.waits_for_the_end());
}

TEST_F(ConnectionTimeouts, ATlsHandshakeHasTenSeconds) {
  const TestCa ca;
  begin({.chain = server_tls(ca)});
  const auto stats = registry.block<stats::ListenerStats>(0, listener->config().stat_name);
  Peer client = connect();
  pass(milliseconds(9900));
  EXPECT_FALSE(client.is_over());
  pass(milliseconds(200));
  EXPECT_TRUE(client.is_over());
  EXPECT_EQ(stats->downstream_cx_transport_socket_connect_timeout.value(), 1);
}

TEST_F(ConnectionTimeouts, ATlsHandshakeHasTheTimeThatItsChainSays) {
  const TestCa ca;
  begin({.chain = server_tls(ca) + ", transport_socket_connect_timeout: 2s"});
  Peer client = connect();
  pass(milliseconds(2100));
  EXPECT_TRUE(client.is_over());
}

TEST_F(ConnectionTimeouts, AListenerFilterThatHearsNothingGivesUpAfter15Seconds) {
  begin({.chain = "filter_chain_match: { transport_protocol: raw_buffer }",
         .listener = str("listener_filters: [ { name: t, typed_config: { ", kExtension,
                         "filters.listener.tls_inspector.v3.TlsInspector } } ]")});
  const auto stats = registry.block<stats::ListenerStats>(0, listener->config().stat_name);
  Peer client = connect();
  pass(milliseconds(14900));
  EXPECT_FALSE(client.is_over());
  EXPECT_EQ(stats->downstream_pre_cx_active.value(), 1);
  pass(milliseconds(200));
  EXPECT_TRUE(client.is_over());
  EXPECT_EQ(stats->downstream_pre_cx_timeout.value(), 1);
  EXPECT_EQ(stats->downstream_pre_cx_active.value(), 0);
}

TEST_F(ConnectionTimeouts, AListenerMayGoOnWithoutWhatItsFiltersWaitFor) {
  // Protocols in which the server speaks first: the client says nothing that could be inspected.
  begin(
      {.tcp = "idle_timeout: 0s",
       .chain = "filter_chain_match: { transport_protocol: raw_buffer }",
       .listener = str("listener_filters_timeout: 1s, continue_on_listener_filters_timeout: true, "
                       "listener_filters: [ { name: t, typed_config: { ",
                       kExtension, "filters.listener.tls_inspector.v3.TlsInspector } } ]")});
  Peer client = connect();
  pass(milliseconds(1100));
  Peer server = backend.accept();
  server.send("220 ready\r\n");
  EXPECT_TRUE(client.waits_for("220 ready"));
}

TEST_F(ConnectionTimeouts, AfterAnErrorReplyTheClientHasASecondToReadIt) {
  begin({});
  Peer client = request("GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 400);
  EXPECT_TRUE(client.waits_for_the_end());  // our FIN
  client.send("what follows is read and dropped");
  pass(milliseconds(900));
  EXPECT_EQ(connection_count, 1);
  EXPECT_FALSE(client.was_reset());
  pass(milliseconds(200));
  EXPECT_EQ(connection_count, 0);
}

TEST_F(ConnectionTimeouts, AnIdleTcpConnectionEndsAfterItsIdleTimeout) {
  begin({.tcp = "idle_timeout: 10s"});
  Peer client = connect();
  Peer server = backend.accept();
  for (int i = 0; i < 3; ++i) {  // bytes of either side count
    pass(seconds(8));
    client.send("a");
    pass(seconds(8));
    server.send("b");
  }
  EXPECT_TRUE(client.waits_for("bbb"));
  EXPECT_TRUE(server.waits_for("aaa"));
  pass(milliseconds(10100));
  EXPECT_TRUE(client.is_over());
  EXPECT_TRUE(server.is_over());
  EXPECT_EQ(tcp->idle_timeout.value(), 1);
}

TEST_F(ConnectionTimeouts, ATcpConnectionIsIdleForAnHourUnlessConfigured) {
  begin({.tcp = "max_connect_attempts: 1"});
  Peer client = connect();
  Peer server = backend.accept();
  settle();
  pass(std::chrono::minutes(59));
  EXPECT_FALSE(client.is_over());
  pass(std::chrono::minutes(2));
  EXPECT_TRUE(client.is_over());
}

TEST_F(ConnectionTimeouts, ATcpConnectionHasItsMaximumDuration) {
  begin({.tcp = "max_downstream_connection_duration: 20s"});
  Peer client = connect();
  Peer server = backend.accept();
  for (int i = 0; i < 2; ++i) {
    pass(milliseconds(9900));
    client.send("a");
  }
  EXPECT_FALSE(client.is_over());
  pass(milliseconds(300));
  EXPECT_TRUE(client.is_over());
  EXPECT_EQ(tcp->max_downstream_connection_duration.value(), 1);
}

TEST_F(ConnectionTimeouts, AnIdleConnectionToAnUpstreamClosesAfterAMinute) {
  begin({});
  Peer client = request();
  Peer server = backend.accept();
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  pass(milliseconds(59900));
  EXPECT_FALSE(server.is_over());
  pass(milliseconds(200));
  EXPECT_TRUE(server.is_over());
  EXPECT_EQ(app->upstream_cx_idle_timeout.value(), 1);
  EXPECT_FALSE(client.is_over());
}

TEST_F(ConnectionTimeouts, AClosedIdleUpstreamCostsTheNextRequestNothing) {
  begin({});
  Peer client = request();
  Peer first = backend.accept();
  first.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  pass(seconds(61));
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer second = backend.accept();
  second.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(app->upstream_cx_total.value(), 2);
}

}  // namespace
}  // namespace pillion::testing
