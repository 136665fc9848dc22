// Tunnels whose bytes and ends wait at a filter, for each kind of client and server.

#include "tests/component/scripted_types.h"
#include "tests/component/tunnel_fixture.h"

namespace pillion::testing {
namespace {

class TunnelFilters : public TunnelTest,
                      protected ScriptedTypes,
                      public ::testing::WithParamInterface<Way> {
 protected:
  TunnelFilters() { http_filters = scripted_types(); }
  void open_filtered(std::string_view action = {}) {
    filters = kScriptedFilters;
    begin(GetParam(), {}, action);
    open();
  }
  // An end goes as far as the filter.
  void end_held(TunnelSide& side, const std::string& hook) {
    stops(hook);
    side.end();
    ASSERT_TRUE(run_until(loop, [&] { return is_stopped(hook); }));
    settle();
  }
  void expect_order_at_the_end() {
    ASSERT_TRUE(run_until(loop, [&] { return client->is_ended() && server->is_ended(); }));
    expect_the_end();
    ASSERT_FALSE(log.empty());
    EXPECT_TRUE(log[0].ends_with("- via_upstream")) << log[0];
    EXPECT_EQ(app->upstream_rq_tx_reset.value() + app->upstream_rq_rx_reset.value(), 0u);
  }
  static constexpr const char* kUp = "a.request_body";
  static constexpr const char* kDown = "b.response_body";
};

TEST_P(TunnelFilters, MayHoldTheServersEndWhileTheClientEnds) {
  open_filtered();
  server->send("bye");
  ASSERT_TRUE(waits(*client, "bye"));
  end_held(*server, kDown);
  client->send("last");
  client->end();
  ASSERT_TRUE(run_until(loop, [&] { return server->is_ended(); }));
  EXPECT_EQ(server->received(), "last");
  settle();
  EXPECT_FALSE(client->is_ended()) << "a filter has the end";
  EXPECT_TRUE(log.empty());
  resume(kDown);
  EXPECT_EQ(client->received(), "bye");
  expect_order_at_the_end();
}

TEST_P(TunnelFilters, MayHoldTheLastBytesOfTheServerToo) {
  open_filtered();
  stops(kDown);
  server->send("bye");
  server->end();
  client->end();
  ASSERT_TRUE(run_until(loop, [&] { return server->is_ended() && is_stopped(kDown); }));
  settle();
  EXPECT_EQ(client->received(), "");
  resume(kDown);
  ASSERT_TRUE(waits(*client, "bye"));
  expect_order_at_the_end();
}

TEST_P(TunnelFilters, MayHoldTheClientsEndWhileTheServerEnds) {
  open_filtered();
  client->send("last");
  ASSERT_TRUE(waits(*server, "last"));
  end_held(*client, kUp);
  server->send("bye");
  server->end();
  ASSERT_TRUE(waits(*client, "bye"));
  settle();
  EXPECT_FALSE(server->is_ended()) << "a filter has the end";
  resume(kUp);
  expect_order_at_the_end();
}

// To the client both directions have ended, and its session may forget the stream.
TEST_P(TunnelFilters, MayHoldTheClientsEndBehindTheServers) {
  open_filtered();
  server->send("bye");
  server->end();
  ASSERT_TRUE(run_until(loop, [&] { return client->is_ended(); }));
  client->send("last");
  ASSERT_TRUE(waits(*server, "last"));
  end_held(*client, kUp);
  EXPECT_FALSE(server->is_ended()) << "a filter has the end";
  EXPECT_TRUE(log.empty());
  resume(kUp);
  EXPECT_EQ(client->received(), "bye");
  expect_order_at_the_end();
}

TEST_P(TunnelFilters, MayHoldBothEnds) {
  for (const bool client_first : {false, true}) {
    SCOPED_TRACE(client_first);
    log.clear();
    stopped.clear();
    open_filtered();
    end_held(*server, kDown);
    end_held(*client, kUp);
    resume(client_first ? kUp : kDown);
    settle();
    resume(client_first ? kDown : kUp);
    expect_order_at_the_end();
    begin_anew();
  }
}

// Whoever holds an end for ever holds the tunnel no longer than its idle timeout.
TEST_P(TunnelFilters, EndAtTheirIdleTimeoutWithAnEndThatIsHeld) {
  open_filtered(", idle_timeout: 30s");
  end_held(*server, kDown);
  client->end();
  ASSERT_TRUE(run_until(loop, [&] { return server->is_ended(); }));
  pass(seconds(31));
  ASSERT_TRUE(run_until(loop, [&] { return client->is_aborted(); }));
  expect_the_end();
  EXPECT_TRUE(log[0].ends_with("SI stream_idle_timeout")) << log[0];
}

TEST_P(TunnelFilters, EndWithTheirClientWhileTheServersEndIsHeld) {
  for (const bool has_ended : {false, true}) {
    if (has_ended && GetParam().client == Http::k2) continue;  // it cannot reset any more
    SCOPED_TRACE(has_ended);
    log.clear();
    stopped.clear();
    open_filtered();
    end_held(*server, kDown);
    if (has_ended) {
      client->end();
      ASSERT_TRUE(run_until(loop, [&] { return server->is_ended(); }));
    }
    client->abort();
    expect_the_end();
    EXPECT_TRUE(log[0].ends_with("DR downstream_remote_reset")) << log[0];
    begin_anew();
  }
}

INSTANTIATE_TEST_SUITE_P(All, TunnelFilters, ::testing::ValuesIn(kWays),
                         [](const auto& way) { return ::testing::PrintToString(way.param); });

class FilteredTunnel : public TunnelTest, protected ScriptedTypes {};

// The server takes no more (RST_STREAM with NO_ERROR) while a filter has its end.
TEST_F(FilteredTunnel, IsWholeThoughItsServerStopsTheClient) {
  for (const Http kind : {Http::k1, Http::k2}) {
    log.clear();
    stopped.clear();
    http_filters = scripted_types();
    filters = kScriptedFilters;
    begin({kind, Http::k2, false});
    open();
    stops("b.response_body");
    h2_server->data(0, "bye", true);
    h2_server->reset(0, http::H2Error::kNone);
    ASSERT_TRUE(run_until(loop, [&] { return is_stopped("b.response_body"); }));
    settle();
    client->send("nobody takes it");
    settle();
    resume("b.response_body");
    ASSERT_TRUE(run_until(loop, [&] { return client->is_ended(); }));
    EXPECT_EQ(client->received(), "bye");
    EXPECT_EQ(logged(), "101 - via_upstream");
    begin_anew();
  }
}

// The answer itself waits, and with it all that came behind.
TEST_F(FilteredTunnel, IsWholeWhenItsAnswerWasHeld) {
  for (const Http kind : {Http::k1, Http::k2}) {
    log.clear();
    stopped.clear();
    http_filters = scripted_types();
    filters = kScriptedFilters;
    begin({kind, Http::k2, true});
    ask();
    const std::string head = take();
    stops("b.response_head");
    agree(head, "bye");
    server->end();
    ASSERT_TRUE(run_until(loop, [&] { return is_stopped("b.response_head"); }));
    settle();
    resume("b.response_head");
    EXPECT_NE(answer(), "");
    ASSERT_TRUE(waits(*client, "bye"));
    client->send("last");
    client->end();
    ASSERT_TRUE(run_until(loop, [&] { return server->is_ended(); }));
    EXPECT_EQ(server->received(), "last");
    ASSERT_TRUE(run_until(loop, [&] { return client->is_ended(); }));
    EXPECT_EQ(logged(), "200 - via_upstream");
    begin_anew();
  }
}

}  // namespace
}  // namespace pillion::testing
