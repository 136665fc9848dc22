// WebSockets and CONNECT through a worker: each kind of client to each kind of server.

#include "tests/component/tunnel_fixture.h"

namespace pillion::testing {
namespace {

class Tunnels : public TunnelTest, public ::testing::WithParamInterface<Way> {};

TEST_P(Tunnels, CarryBytesBothWaysUntilBothSidesHaveEnded) {
  log_format = "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT%";
  const Way way = GetParam();
  begin(way);
  ask("early ");
  const std::string head = take();
  settle();
  if (way.server != Http::kRaw) {
    EXPECT_EQ(server->received(), "") << "nothing passes before the upstream has agreed";
  }
  agree(head, "hello ");
  ASSERT_TRUE(waits(*server, "early "));
  const std::string got = answer();
  const bool is_h1_upgrade = way.client == Http::k1 && !way.is_connect;
  EXPECT_TRUE(got.starts_with(way.client == Http::k2 ? "\n:status: 200\n"
                              : is_h1_upgrade        ? "HTTP/1.1 101 Switching Protocols\r\n"
                                                     : "HTTP/1.1 200 OK\r\n"))
      << got;
  EXPECT_EQ(field_of(got, "sec-websocket-accept"), is_h1_upgrade ? kAccept : "");
  if (!way.is_connect) {
    EXPECT_EQ(field_of(head, "sec-websocket-version"), "13");
    EXPECT_EQ(field_of(got, "sec-websocket-protocol"), "chat");
  }
  EXPECT_EQ(field_of(got, "content-length") + field_of(got, "transfer-encoding"), "");
  ASSERT_TRUE(waits(*client, "hello "));
  EXPECT_EQ(http->downstream_cx_upgrades_active.value(), 1);
  server->send("there");
  client->send("client");
  ASSERT_TRUE(waits(*client, "hello there"));
  ASSERT_TRUE(waits(*server, "early client"));
  client->end();
  ASSERT_TRUE(run_until(loop, [&] { return server->is_ended(); }));
  settle();
  EXPECT_FALSE(client->is_ended()) << "the server's direction goes on";
  server->send(", still");
  ASSERT_TRUE(waits(*client, "hello there, still"));
  server->end();
  ASSERT_TRUE(run_until(loop, [&] { return client->is_ended(); }));
  expect_the_end();
  EXPECT_EQ(log[0], way.is_connect ? "200 - 12 18" : "101 - 12 18");
  EXPECT_EQ(http->downstream_cx_upgrades_total.value(), 1);
  EXPECT_EQ(app->upstream_rq_tx_reset.value() + app->upstream_rq_rx_reset.value(), 0u);
}

TEST_P(Tunnels, GoOnForTheClientWhenTheServerHasEnded) {
  begin(GetParam());
  open();
  server->send("bye");
  server->end();
  ASSERT_TRUE(run_until(loop, [&] { return client->is_ended(); }));
  EXPECT_EQ(client->received(), "bye");
  for (int i = 0; i < 3; ++i) {
    client->send("more ");
    settle();
  }
  ASSERT_TRUE(waits(*server, "more more more "));
  EXPECT_TRUE(log.empty());
  client->send("last");
  client->end();
  ASSERT_TRUE(run_until(loop, [&] { return server->is_ended(); }));
  EXPECT_EQ(server->received(), "more more more last");
  expect_the_end();
  EXPECT_EQ(app->upstream_rq_tx_reset.value() + app->upstream_rq_rx_reset.value(), 0u);
}

TEST_P(Tunnels, AreCutForTheServerWhenTheClientCutsThem) {
  begin(GetParam());
  open();
  client->abort();
  ASSERT_TRUE(run_until(loop, [&] { return server->is_aborted(); }));
  expect_the_end();
  EXPECT_TRUE(log[0].ends_with("DR downstream_remote_reset")) << log[0];
}

TEST_P(Tunnels, AreCutForTheClientWhenTheServerCutsThem) {
  const Way way = GetParam();
  begin(way);
  open();
  server->abort();
  ASSERT_TRUE(run_until(loop, [&] { return client->is_aborted(); }));
  if (way.client == Http::k2) {
    EXPECT_EQ(h2_client->exchange->error,
              way.is_connect ? http::H2Error::kConnect : http::H2Error::kCancel);
  }
  expect_the_end();
  EXPECT_NE(log[0].find(way.server == Http::k2 ? " UR " : " UC "), std::string::npos) << log[0];
}

// A side that does not read stalls the other one: what the kernels and we take has a bound, and
// nothing of it is lost.
TEST_P(Tunnels, HoldASenderBackAndLoseNothing) {
  constexpr size_t kSize = 40 << 20;
  constexpr size_t kBound = 32 << 20;    // of buffers of sockets, mostly
  constexpr size_t kOwnBound = 4 << 20;  // of ours, the windows of two streams included
  begin(GetParam());
  open();
  std::string sent;
  for (int i = 0; sent.size() < kSize; ++i) sent += str("line ", i, "\n");
  client->stop_reading();
  server->stop_reading();
  for (const bool is_up : {true, false}) {
    TunnelSide& from = is_up ? *client : *server;
    TunnelSide& to = is_up ? *server : *client;
    size_t offered = 0;
    for (int idle = 0; idle < 100 && offered < sent.size();) {
      const size_t n = from.offer(std::string_view(sent).substr(offered));
      offered += n;
      idle = n == 0 ? idle + 1 : 0;
      loop.run_once(false);
    }
    for (int i = 0; i < 50; ++i) settle();
    EXPECT_LT(offered - from.held(), kBound);
    EXPECT_LT(static_cast<size_t>(Slab::live()) * Slab::kCapacity, from.held() + kOwnBound);
    size_t taken = 0;
    bool is_right = true;
    const bool all = run_until(loop, [&] {
      offered += from.offer(std::string_view(sent).substr(offered));
      const std::string part = to.take();
      is_right = sent.compare(taken, part.size(), part) == 0;
      taken += part.size();
      return taken >= sent.size() || !is_right;
    });
    EXPECT_TRUE(all && is_right) << taken;
    ASSERT_EQ(taken, sent.size()) << (is_up ? "up" : "down");
  }
  client->end();
  server->end();
  ASSERT_TRUE(run_until(loop, [&] { return client->is_ended() && server->is_ended(); }));
  expect_the_end();
}

TEST_P(Tunnels, EndAtTheIdleTimeoutOfTheirRoute) {
  begin(GetParam(), {}, ", idle_timeout: 30s");
  open();
  for (int i = 0; i < 3; ++i) {
    pass(seconds(20));
    i % 2 == 0 ? client->send("x") : server->send("y");
    settle();
  }
  EXPECT_TRUE(log.empty());
  pass(seconds(31));
  ASSERT_TRUE(run_until(loop, [&] { return client->is_aborted() && server->is_aborted(); }));
  expect_the_end();
  EXPECT_TRUE(log[0].ends_with("SI stream_idle_timeout")) << log[0];
  EXPECT_EQ(http->downstream_rq_idle_timeout.value(), 1);
}

TEST_P(Tunnels, EndAtTheLongestDurationOfAStream) {
  begin(GetParam(), ", common_http_protocol_options: { max_stream_duration: 60s }");
  open();
  pass(seconds(59));
  client->send("x");
  ASSERT_TRUE(waits(*server, "x"));
  pass(seconds(2));
  ASSERT_TRUE(run_until(loop, [&] { return client->is_aborted() && server->is_aborted(); }));
  expect_the_end();
  EXPECT_TRUE(log[0].ends_with("- max_duration_timeout")) << log[0];
}

TEST_P(Tunnels, AreRefusedWhereTheyAreNotConfigured) {
  const Way way = GetParam();
  begin(way, {}, {});
  update({.hcm = "codec_type: AUTO, http2_protocol_options: { allow_connect: true }",
          .routes = "{ match: { connect_matcher: {} }, route: { cluster: app } }, { match: { "
                    "prefix: / }, route: { cluster: app } }"});
  ask("early");
  EXPECT_EQ(logged(), way.is_connect ? "403 DPE connect_not_allowed" : "403 - upgrade_failed");
  EXPECT_FALSE(backend.is_called());
  EXPECT_EQ(http->downstream_cx_upgrades_total.value(), 0);
  EXPECT_EQ(http->downstream_rq_ws_on_non_ws_route.value(), 1);
}

INSTANTIATE_TEST_SUITE_P(All, Tunnels, ::testing::ValuesIn(kWays),
                         [](const auto& way) { return ::testing::PrintToString(way.param); });

}  // namespace
}  // namespace pillion::testing
