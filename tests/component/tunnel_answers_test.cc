// How a tunnel begins: the handshake, what is no agreement, attempts; and how it ends when its
// connection drains.

#include <optional>

#include "tests/component/tls_yaml.h"
#include "tests/component/tunnel_fixture.h"

namespace pillion::testing {
namespace {

// ---- the handshake ----

TEST_F(TunnelTest, AServerOfHttp1GetsAKeyOfOurs) {
  begin({Http::k2, Http::k1, false});
  ask();
  const std::string head = take();
  EXPECT_TRUE(head.starts_with("GET /chat HTTP/1.1\r\nhost: h\r\n")) << head;
  EXPECT_EQ(field_of(head, "upgrade"), "websocket");
  EXPECT_EQ(field_of(head, "connection"), "upgrade");
  EXPECT_EQ(field_of(head, "sec-websocket-key").size(), tls::kWebSocketKeyBytes);
  agree(head);
  EXPECT_EQ(field_of(answer(), "sec-websocket-accept"), "");
}

// Other proxies pass the key of their client through HTTP/2, and wait for its answer.
TEST_F(TunnelTest, AClientOfHttp2ThatSendsAKeyGetsItsAnswer) {
  begin({Http::k2, Http::k1, false});
  auto side = std::make_unique<H2ClientSide>(loop, batch, connect_to(address));
  ASSERT_TRUE(run_until(loop, [&] { return side->client->session.peer_takes_protocol(); }));
  side->exchange = &side->client->connect("websocket", {{"sec-websocket-key", kKey}});
  h2_client = side.get();
  client = std::move(side);
  const std::string head = take();
  EXPECT_NE(field_of(head, "sec-websocket-key"), kKey);
  agree(head);
  EXPECT_EQ(field_of(answer(), "sec-websocket-accept"), kAccept);
}

TEST_F(TunnelTest, AServerOfHttp2GetsTheClientsKey) {
  begin({Http::k1, Http::k2, false});
  ask();
  const std::string head = take();
  EXPECT_TRUE(
      head.starts_with("\n:method: CONNECT\n:protocol: websocket\n:scheme: http\n"
                       ":path: /chat\n:authority: h\nsec-websocket-version: 13\n"))
      << head;
  EXPECT_EQ(field_of(head, "sec-websocket-key"), kKey);
  EXPECT_EQ(field_of(head, "upgrade") + field_of(head, "connection"), "");
  agree(head);
  EXPECT_EQ(field_of(answer(), "sec-websocket-accept"), kAccept);
}

struct Answer {
  Http client;
  std::string_view answer;
  std::string_view wanted;  // in the log
};
constexpr Answer kAnswers[] = {
    // Only 101 is agreement, which a client of HTTP/2 could not tell from another success.
    {Http::k2, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "502 UPE upgrade_answer_invalid"},
    {Http::k2, "HTTP/1.1 204 No Content\r\n\r\n", "502 UPE upgrade_answer_invalid"},
    {Http::k1, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 - via_upstream"},
    {Http::k2, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "404 - via_upstream"},
    {Http::k1, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "404 - via_upstream"},
    // For another key.
    {Http::k2,
     "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
     "502 UPE upgrade_answer_invalid"},
    {Http::k2, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
     "502 UPE upgrade_answer_invalid"},
    // To something else.
    {Http::k2, "HTTP/1.1 101 S\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n",
     "502 UPE upgrade_answer_invalid"},
};

TEST_F(TunnelTest, AnAnswerThatIsNoAgreementOpensNone) {
  for (const Answer& row : kAnswers) {
    log.clear();
    begin({row.client, Http::k1, false});
    ask(row.client == Http::k2 ? "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n" : "");
    take();
    h1_server->send(row.answer);
    EXPECT_EQ(logged(), row.wanted) << row.answer;
    settle();
    EXPECT_EQ(h1_server->received(), "") << "early bytes of a tunnel that was not agreed to";
    begin_anew();
  }
}

TEST_F(TunnelTest, AnUpstreamOfHttp2ThatTakesNoneIsNotAsked) {
  server_options.allow_connect = false;
  begin({Http::k1, Http::k2, false});
  ask();
  H2ServerSide side(loop, batch, backend.accept_socket(), server_options);
  EXPECT_EQ(logged(),
            "502 UPE upstream_reset_before_response_started{extended_connect_not_allowed}");
  EXPECT_EQ(status_of(h1_client->message()), 502);
  EXPECT_TRUE(side.server->streams.empty());
  // The connection is as good as before.
  log.clear();
  Peer other = request();
  ASSERT_TRUE(run_until(loop, [&] { return side.server->streams.size() == 1; }));
  side.server->respond(0, "ok");
  EXPECT_EQ(status_of(other.message()), 200);
}

TEST_F(TunnelTest, AClusterOfHttp2HasToAllowUpgrades) {
  begin({Http::k1, Http::k2, false});
  set_cluster({backend.address}, "http2_protocol_options: {}");
  ask();
  EXPECT_EQ(logged(), "403 - upgrade_failed");
  EXPECT_FALSE(backend.is_called());
}

// In HTTP/2 there would be no telling the body from the tunnel.
TEST_F(TunnelTest, AnUpgradeWithABodyHasNoPlaceInHttp2) {
  begin({Http::k1, Http::k2, false});
  Peer peer = request(
      "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Content-Length: 4\r\n\r\nbody");
  EXPECT_EQ(logged(), "403 - upgrade_failed");
  EXPECT_FALSE(backend.is_called());
}

TEST_F(TunnelTest, AnUpgradeWithABodyGoesOnBehindItInHttp1) {
  begin({Http::k1, Http::k1, false});
  Peer peer = request(
      "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Content-Length: 4\r\n\r\nbodyearly ");
  Peer origin = backend.accept();
  EXPECT_TRUE(origin.message().ends_with("\r\n\r\nbody"));
  origin.send("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhello");
  EXPECT_TRUE(peer.waits_for("hello"));
  EXPECT_TRUE(origin.waits_for("early "));
  origin.end();
  EXPECT_TRUE(peer.waits_for_the_end());
  peer.send("late");
  EXPECT_TRUE(origin.waits_for("early late"));
  peer.end();
  EXPECT_TRUE(origin.waits_for_the_end());
  EXPECT_EQ(logged(), "101 - via_upstream");
}

// As Envoy ends a tunnel: the client must get all of it, which a reset would destroy.
TEST_F(TunnelTest, AServerOfHttp2MayEndAndStopTheClient) {
  for (const Http kind : {Http::k1, Http::k2}) {
    log.clear();
    begin({kind, Http::k2, false});
    open();
    h2_server->data(0, "bye", true);
    h2_server->reset(0, http::H2Error::kNone);
    EXPECT_TRUE(run_until(loop, [&] { return client->is_ended(); }));
    EXPECT_EQ(client->received(), "bye");
    EXPECT_FALSE(client->is_aborted());
    EXPECT_EQ(logged(), "101 - via_upstream");
    begin_anew();
  }
}

// ---- attempts ----

TEST_F(TunnelTest, AnotherAttemptGetsTheEarlyBytesToo) {
  begin({Http::k2, Http::k1, false}, {},
        ", retry_policy: { retry_on: '5xx,reset', num_retries: 2, retry_back_off: { "
        "base_interval: 0.001s } }");
  ask("early");
  {
    Peer first = backend.accept();
    first.message();
    first.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    settle();
    pass(milliseconds(50));
  }
  {
    Peer second = backend.accept();
    second.message();
  }
  settle();
  pass(milliseconds(50));
  const std::string head = take();
  agree(head);
  EXPECT_TRUE(waits(*server, "early"));
  EXPECT_NE(answer().find(":status: 200"), std::string::npos);
}

TEST_F(TunnelTest, ThatStandsIsNotTriedAgain) {
  begin({Http::k1, Http::k1, false}, {},
        ", retry_policy: { retry_on: '5xx,reset', num_retries: 2 }");
  open();
  server->abort();
  EXPECT_TRUE(run_until(loop, [&] { return client->is_aborted(); }));
  pass(seconds(1));
  EXPECT_FALSE(backend.is_called());
}

TEST_F(TunnelTest, EarlyBytesHaveABound) {
  begin({Http::k2, Http::k1, false});
  ask(std::string(4 << 20, 'x'));
  const std::string head = take();
  for (int i = 0; i < 50; ++i) settle();
  // The window of the stream, and no more.
  EXPECT_LE(http::H2Options().stream_window, 1u << 20);
  EXPECT_GE(h2_client->exchange->held(), 2u << 20);
  agree(head);
  EXPECT_TRUE(run_until(loop, [&] { return server->received().size() == (4u << 20); }));
}

TEST_F(TunnelTest, AClientThatLeavesWhileItIsAskedForEndsTheAttempt) {
  for (const Http kind : {Http::k1, Http::k2}) {
    log.clear();
    begin({kind, Http::k1, false});
    ask();
    take();
    client->abort();
    EXPECT_TRUE(run_until(loop, [&] { return h1_server->is_over(); }));
    EXPECT_TRUE(logged().starts_with("0 D")) << logged();
    begin_anew();
  }
}

// ---- CONNECT that ends here ----

TEST_F(TunnelTest, ARawConnectFailsAsItsUpstreamDoes) {
  begin({Http::k1, Http::kRaw, true});
  backend.stop();
  ask();
  EXPECT_TRUE(
      logged().starts_with("503 UF upstream_reset_before_response_started{remote_connection"))
      << logged();
  EXPECT_EQ(app->upstream_cx_connect_fail.value(), 1);
}

TEST_F(TunnelTest, WhyARawConnectFailedIsLogged) {
  log_format = "%RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%|%RESPONSE_CODE_DETAILS%";
  const TestCa ca;
  enum class Server { kRefuses, kCloses, kSpeaksNoTls };
  constexpr std::pair<Server, std::string_view> kCases[] = {
      {Server::kRefuses, "delayed_connect_error:_Connection_refused"},
      {Server::kCloses, "the_peer_closed_the_connection_during_the_TLS_handshake"},
      {Server::kSpeaksNoTls, "the_server_does_not_speak_TLS"}};
  for (const auto& [kind, reason] : kCases) {
    SCOPED_TRACE(reason);
    log.clear();
    begin({Http::k1, Http::kRaw, true});
    Backend origin(loop);
    set_cluster({origin.address}, client_tls(ca));
    if (kind == Server::kRefuses) origin.stop();
    ask();
    std::optional<Peer> peer;
    if (kind != Server::kRefuses) {
      peer.emplace(origin.accept());
      EXPECT_TRUE(run_until(loop, [&] { return !peer->received().empty(); }));
      if (kind == Server::kCloses) {
        peer->close();
      } else {
        peer->send("HTTP/1.1 400 Bad Request\r\n\r\n");
      }
    }
    const std::string line = logged();
    EXPECT_TRUE(line.starts_with("UF ")) << line;
    const size_t details = line.find('|');
    EXPECT_NE(line.substr(0, details).find(reason), line.npos) << line;
    EXPECT_NE(line.find(reason, details), line.npos) << line;
    EXPECT_EQ(status_of(h1_client->message()), 503);
    begin_anew();
  }
}

TEST_F(TunnelTest, ARawConnectPassesOverAHostThatRefuses) {
  begin({Http::k2, Http::kRaw, true});
  Backend gone(loop);
  gone.stop();
  set_cluster({gone.address, backend.address});
  for (int i = 0; i < 4; ++i) {  // whichever comes first
    ask("early");
    take();
    EXPECT_TRUE(waits(*server, "early"));
    client->end();
    server->end();
    EXPECT_TRUE(run_until(loop, [&] { return client->is_ended(); }));
    client.reset();
    server.reset();
    settle();
  }
  for (const std::string& line : log) EXPECT_EQ(line, "200 - via_upstream");
}

TEST_F(TunnelTest, ARawConnectTakesASlotOfTheConnections) {
  begin({Http::k1, Http::kRaw, true});
  set_cluster({backend.address}, "circuit_breakers: { thresholds: [ { max_connections: 1 } ] }");
  open();
  Peer second = request("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");
  EXPECT_EQ(logged(), "503 UO upstream_reset_before_response_started{overflow}");
  EXPECT_EQ(app->upstream_cx_active.value(), 1);
}

TEST_F(TunnelTest, ARawConnectThatIsGivenUpLeavesNothing) {
  begin({Http::k1, Http::kRaw, true});
  Backend full(loop, 1);
  set_cluster({full.address});
  // The kernel completes no handshake beyond its queue.
  std::vector<Fd> filling;
  for (int i = 0; i < 2; ++i) filling.push_back(connect_to(full.address));
  ask();
  settle();
  EXPECT_EQ(app->upstream_cx_active.value(), 1);
  client->abort();
  EXPECT_TRUE(logged().starts_with("0 D")) << logged();
  EXPECT_EQ(app->upstream_cx_active.value(), 0);
}

// ---- draining ----

TEST_F(TunnelTest, GoesOnWhileItsConnectionDrains) {
  begin({Http::k2, Http::k1, false}, ", drain_timeout: 5s");
  open();
  listener->drain_connections();
  pass(seconds(6));
  client->send("still");
  EXPECT_TRUE(waits(*server, "still"));
  server->send("here");
  EXPECT_TRUE(waits(*client, "here"));
  EXPECT_TRUE(h2_client->client->saw_goaway);
  client->end();
  server->end();
  EXPECT_TRUE(run_until(loop, [&] { return h2_client->client->saw_end; }));
  EXPECT_EQ(logged(), "101 - via_upstream");
}

}  // namespace
}  // namespace pillion::testing
