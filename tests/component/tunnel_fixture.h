#pragma once
// A worker between a client and a server of a tunnel, each of which speaks what a test wants.

#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "tests/component/tunnel_sides.h"

namespace pillion::testing {

enum class Http : uint8_t { k1, k2, kRaw };  // kRaw: CONNECT ends in the worker

struct Way {
  Http client, server;
  bool is_connect;
  friend std::ostream& operator<<(std::ostream& out, const Way& way) {
    constexpr const char* kNames[] = {"Http1", "Http2", "Raw"};
    return out << kNames[static_cast<int>(way.client)] << "To"
               << kNames[static_cast<int>(way.server)]
               << (way.is_connect ? "Connect" : "WebSocket");
  }
};

inline constexpr Way kWays[] = {{Http::k1, Http::k1, false},  {Http::k1, Http::k2, false},
                                {Http::k2, Http::k1, false},  {Http::k2, Http::k2, false},
                                {Http::k1, Http::k1, true},   {Http::k1, Http::k2, true},
                                {Http::k2, Http::k1, true},   {Http::k2, Http::k2, true},
                                {Http::k1, Http::kRaw, true}, {Http::k2, Http::kRaw, true}};

inline constexpr std::string_view kTunnelHcm =
    "codec_type: AUTO, http2_protocol_options: { allow_connect: true }, "
    "upgrade_configs: [ { upgrade_type: websocket }, { upgrade_type: CONNECT } ]";
inline constexpr std::string_view kH2Cluster = "http2_protocol_options: { allow_connect: true }";

class TunnelTest : public WorkerTest {
 protected:
  TunnelTest() { server_options.allow_connect = true; }
  void begin(const Way& way, std::string_view hcm = {}, std::string_view action = {}) {
    way_ = way;
    set_cluster({backend.address}, way.server == Http::k2 ? kH2Cluster : std::string_view());
    const std::string_view raw =
        way.server == Http::kRaw
            ? ", upgrade_configs: [ { upgrade_type: CONNECT, connect_config: {} } ]"
            : "";
    listen({.hcm = str(kTunnelHcm, hcm),
            .routes = str("{ match: { connect_matcher: {} }, route: { cluster: app", raw, action,
                          " } }, { match: { prefix: / }, route: { cluster: app", action, " } }"),
            .filters = filters});
  }
  // The client asks; one of HTTP/2 sends `early` at once.
  void ask(std::string_view early = {}) {
    if (way_.client == Http::k2) {
      auto side = std::make_unique<H2ClientSide>(loop, batch, connect_to(address));
      ASSERT_TRUE(run_until(loop, [&] { return side->client->session.peer_takes_protocol(); }));
      h2_client = side.get();
      side->exchange = way_.is_connect
                           ? &side->client->connect()
                           : &side->client->connect("websocket", {{"sec-websocket-version", "13"}});
      if (!early.empty()) side->send(early);
      client = std::move(side);
      return;
    }
    const std::string head = way_.is_connect
                                 ? std::string("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n")
                                 : str("GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
                                       "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                       "Sec-WebSocket-Key: ",
                                       kKey, "\r\n\r\n");
    auto side = std::make_unique<SocketSide>(request(str(head, early)));
    h1_client = &side->peer();
    client = std::move(side);
  }
  // The server takes what comes: the head of the request as it wrote it.
  std::string take() {
    if (way_.server == Http::k2) {
      auto side =
          std::make_unique<H2ServerSide>(loop, batch, backend.accept_socket(), server_options);
      h2_server = side->server.get();
      EXPECT_TRUE(run_until(loop, [&] { return !h2_server->streams.empty(); }));
      server = std::move(side);
      return "\n" + h2_server->stream(0).fields;
    }
    auto side = std::make_unique<SocketSide>(backend.accept());
    h1_server = &side->peer();
    server = std::move(side);
    return way_.server == Http::kRaw ? std::string() : h1_server->message();
  }
  // It agrees, with its first bytes behind the answer.
  void agree(const std::string& head, std::string_view first = {}) {
    if (way_.server == Http::k2) {
      h2_server->head(0, {{":status", "200"}, {"sec-websocket-protocol", "chat"}});
    } else if (way_.server == Http::k1 && way_.is_connect) {
      h1_server->send("HTTP/1.1 200 OK\r\n\r\n");
    } else if (way_.server == Http::k1) {
      h1_server->send(
          str("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
              "Connection: Upgrade\r\nSec-WebSocket-Protocol: chat\r\n"
              "Sec-WebSocket-Accept: ",
              accept_of(field_of(head, "sec-websocket-key")), "\r\n\r\n"));
    }
    if (!first.empty()) server->send(first);
  }
  static std::string accept_of(std::string_view key) {
    std::string accept(tls::kWebSocketAcceptBytes, '\0');
    tls::write_websocket_accept(key, accept.data());
    return accept;
  }
  // The head of the answer, taken from what the client got.
  std::string answer() {
    if (way_.client == Http::k2) {
      EXPECT_TRUE(run_until(loop, [&] { return !h2_client->exchange->head.empty(); }));
      return "\n" + h2_client->exchange->head;
    }
    return h1_client->message(true);
  }
  // A tunnel that stands.
  void open() {
    ask();
    agree(take());
    const std::string head = answer();
    EXPECT_NE(head, "");
  }
  // begin() may follow.
  void begin_anew() {
    client.reset();
    server.reset();
    listener->close_connections();
    loop.delete_later(std::move(listener));
    settle();
  }
  bool waits(TunnelSide& side, std::string_view text) {
    return run_until(loop, [&] { return side.received() == text; });
  }
  // All is over, here and at the other end.
  void expect_the_end() {
    EXPECT_TRUE(run_until(loop, [&] { return !log.empty(); }));
    EXPECT_EQ(http->downstream_cx_upgrades_active.value(), 0);
    EXPECT_EQ(app->upstream_rq_active.value(), 0);
  }
  void TearDown() override {
    client.reset();
    server.reset();
    WorkerTest::TearDown();
  }

  Backend backend{loop};
  std::string filters;  // of http_filters, as ListenerYaml's
  http::H2Options server_options;
  std::unique_ptr<TunnelSide> client, server;
  H2ClientSide* h2_client = nullptr;
  Peer* h1_client = nullptr;
  H2Peer* h2_server = nullptr;
  Peer* h1_server = nullptr;

 private:
  Way way_{};
};

}  // namespace pillion::testing
