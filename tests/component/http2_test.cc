// Clients of HTTP/2, frame by frame, in front of servers of HTTP/1.

#include "tests/component/http2_client_fixture.h"

namespace pillion::testing {
namespace {

class Http2Clients : public Http2ClientFixture {
 protected:
  void begin(const ListenerYaml& yaml) {
    set_cluster({backend.address});
    listen(yaml);
  }
  Backend backend{loop};
};

// A request may be on its way: GOAWAY comes first, and drain_timeout before the last one.
TEST_F(Http2Clients, AreToldBeforeTheyAreClosedAsIdle) {
  begin({.hcm = "codec_type: HTTP2, drain_timeout: 3s, delayed_close_timeout: 0s, "
                "common_http_protocol_options: { idle_timeout: 30s }"});
  Peer peer = client("");
  pass(milliseconds(29900));
  EXPECT_EQ(told(peer), "");
  pass(milliseconds(200));
  EXPECT_EQ(told(peer), "GOAWAY 0 last 2147483647 error 0; ");
  peer.send(headers(1, request_block()));
  Peer server = backend.accept();
  server.answer();
  EXPECT_EQ(told(peer), "HEADERS 1; DATA 1 2 end; ");
  EXPECT_FALSE(peer.is_over());
  pass(milliseconds(3100));
  EXPECT_EQ(told(peer), "GOAWAY 0 last 1 error 0; ");
  EXPECT_TRUE(peer.is_over());
  EXPECT_EQ(http->downstream_cx_idle_timeout.value(), 1);
}

TEST_F(Http2Clients, ArePingedWhenAReloadHasTakenTheirFirstConfigurationAway) {
  ListenerYaml yaml{.hcm =
                        "codec_type: HTTP2, http2_protocol_options: { connection_keepalive: { "
                        "interval: 10s, timeout: 5s, interval_jitter: { value: 0 } } }"};
  begin(yaml);
  Peer peer = client("");
  EXPECT_EQ(told(peer), "");
  yaml.hcm += ", server_name: other";
  update(yaml);
  peer.send(headers(1, request_block()));
  Peer server = backend.accept();
  server.answer();
  EXPECT_EQ(told(peer), "HEADERS 1; DATA 1 2 end; ");
  for (char n = 1; n <= 3; ++n) {
    pass(milliseconds(10100));
    EXPECT_EQ(told(peer), "PING 0; ");
    peer.send(frame(6, 1, 0, str(std::string(1, n), std::string(7, '\0'))));
    EXPECT_EQ(told(peer), "");
  }
  pass(milliseconds(10100));
  EXPECT_EQ(told(peer), "PING 0; ");
  pass(milliseconds(5100));
  EXPECT_TRUE(peer.is_over());
}

TEST_F(Http2Clients, AreAnsweredWhenTheirHeadDoesNotEnd) {
  begin({.hcm = "codec_type: HTTP2"});
  Peer peer = client(frame(1, kEndStream, 1, request_block()));  // CONTINUATION is to follow
  pass(std::chrono::minutes(4));
  EXPECT_EQ(told(peer), "");
  pass(seconds(61));
  EXPECT_EQ(logged(), "408 SI stream_idle_timeout");
  EXPECT_EQ(http->downstream_rq_idle_timeout.value(), 1);
  EXPECT_TRUE(told(peer).starts_with("HEADERS 1; "));
}

TEST_F(Http2Clients, HaveALimitForTheirHeads) {
  begin({.hcm = "codec_type: HTTP2, request_headers_timeout: 5s"});
  Peer peer = client(frame(1, kEndStream, 1, request_block()));
  pass(milliseconds(4900));
  peer.send(frame(9, 0, 1, literal("a", "b")));  // a little of it gives no new time
  pass(milliseconds(200));
  EXPECT_EQ(http->downstream_rq_header_timeout.value(), 1);
  EXPECT_EQ(logged(), "408 - request_header_timeout");
}

// While a stream runs on a new connection, what comes next is read in the turn in which it comes,
// and not by the next tick.
TEST_F(Http2Clients, AreHeardAtOnceWhileTheirFirstRequestRuns) {
  begin({.hcm = "codec_type: HTTP2"});
  Peer peer = client(headers(1, request_block()));
  Peer server = backend.accept();
  EXPECT_NE(server.message(), "");
  peer.send(headers(3, request_block()));
  // No time passes here.
  for (int i = 0; i < 1000 && !backend.is_called(); ++i) loop.run_once(false);
  EXPECT_TRUE(backend.is_called()) << "for the second request";
}

// The DATA that comes before the answer would be another request to the server (CVE-2025-64763).
TEST_F(Http2Clients, DoNotSmuggleByWhatTheySendBehindAConnect) {
  begin({.hcm = "codec_type: HTTP2, upgrade_configs: [ { upgrade_type: CONNECT } ]",
         .routes = "{ match: { connect_matcher: {} }, route: { cluster: app } }"});
  const std::string block = str(literal(":method", "CONNECT"), literal(":authority", "h:1"));
  Peer peer = client(str(headers(1, block, false), data(1, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n")));
  Peer server = backend.accept();
  const std::string request = server.answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(request.starts_with("CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\n")) << request;
  EXPECT_EQ(logged(), "403 - via_upstream");
  EXPECT_TRUE(server.waits_for_the_end());
  EXPECT_EQ(server.received(), "");
}

}  // namespace
}  // namespace pillion::testing
