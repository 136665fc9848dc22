// When a client's HTTP/2 connection has to end, and what is counted then; an upstream of HTTP/2
// whose small frames must not become small writes.

#include "tests/component/http2_client_fixture.h"

namespace pillion::testing {
namespace {

class Http2Limits : public Http2ClientFixture {
 protected:
  void begin(const ListenerYaml& yaml, std::string_view cluster = {}) {
    set_cluster({backend.address}, cluster);
    listen(yaml);
  }
  static std::string reset(uint32_t id) { return frame(3, 0, id, be32(8)); }
  [[nodiscard]] const stats::Http2Stats& h2() const { return *http2; }

  static constexpr std::string_view kDirect =
      "{ match: { prefix: / }, direct_response: { status: 200 } }";
  Backend backend{loop, 1000};
  stats::BlockRef<stats::Http2Stats> http2 = registry.block<stats::Http2Stats>(0);
};

TEST_F(Http2Limits, AConnectionTakesItsNumberOfRequestsAndSaysSoBefore) {
  begin({.hcm = "codec_type: HTTP2, drain_timeout: 3s, delayed_close_timeout: 0s, "
                "common_http_protocol_options: { max_requests_per_connection: 2 }",
         .routes = std::string(kDirect)});
  Peer peer = client(headers(1, request_block()));
  EXPECT_EQ(told(peer), "HEADERS 1 end; ");
  peer.send(headers(3, request_block()));
  EXPECT_EQ(told(peer), "GOAWAY 0 last 2147483647 error 0; HEADERS 3 end; ");
  EXPECT_EQ(http->downstream_cx_max_requests_reached.value(), 1);
  peer.send(headers(5, request_block()));  // it was on its way
  EXPECT_EQ(told(peer), "HEADERS 5 end; ");
  pass(milliseconds(3100));
  EXPECT_EQ(told(peer), "GOAWAY 0 last 5 error 0; ");
  EXPECT_TRUE(peer.is_over());
  EXPECT_EQ(h2().goaway_sent.value(), 1);
}

TEST_F(Http2Limits, AConnectionHasAMaximumAgeAndTimeForWhatIsOnItsWay) {
  begin({.hcm = "codec_type: HTTP2, drain_timeout: 3s, delayed_close_timeout: 0s, "
                "common_http_protocol_options: { max_connection_duration: 10s }"});
  Peer peer = client("");
  pass(milliseconds(9900));
  EXPECT_EQ(told(peer), "");
  pass(milliseconds(200));
  EXPECT_EQ(told(peer), "GOAWAY 0 last 2147483647 error 0; ");
  EXPECT_EQ(http->downstream_cx_max_duration_reached.value(), 1);
  pass(milliseconds(3100));
  EXPECT_EQ(told(peer), "GOAWAY 0 last 0 error 0; ");
  EXPECT_TRUE(peer.is_over());
}

// Connections of one age do not end together, neither their first step nor their second.
TEST_F(Http2Limits, JitterSpreadsTheEndsOfConnections) {
  begin({.hcm = "codec_type: HTTP2, drain_timeout: 10s, drain_timeout_jitter: { value: 100 }, "
                "delayed_close_timeout: 0s, common_http_protocol_options: { "
                "max_connection_duration: 10s, max_connection_duration_jitter: { value: 100 } }"});
  constexpr size_t kClients = 40;
  std::vector<Peer> peers;
  for (size_t i = 0; i < kClients; ++i) peers.push_back(client(""));
  settle();
  pass(milliseconds(9900));
  EXPECT_EQ(http->downstream_cx_max_duration_reached.value(), 0);
  pass(milliseconds(5100));
  const uint64_t half = http->downstream_cx_max_duration_reached.value();
  EXPECT_GT(half, kClients / 8);
  EXPECT_LT(half, kClients - kClients / 8);
  pass(milliseconds(5100));
  EXPECT_EQ(http->downstream_cx_max_duration_reached.value(), kClients);
  pass(seconds(10));
  EXPECT_GT(connection_count, 0);
  EXPECT_LT(connection_count, static_cast<int>(kClients));
  pass(seconds(20));
  EXPECT_EQ(connection_count, 0);
}

TEST_F(Http2Limits, AClientThatGivesUpMostOfItsRequestsIsCutOff) {
  begin({.hcm = "codec_type: HTTP2"});
  Peer peer = client("");
  uint32_t id = 1;
  for (; id < 2 * 248; id += 2) peer.send(headers(id, request_block()) + reset(id)), settle();
  EXPECT_EQ(told(peer).find("GOAWAY"), std::string::npos);
  for (int i = 0; i < 4; ++i, id += 2)
    peer.send(headers(id, request_block()) + reset(id)), settle();
  EXPECT_TRUE(peer.waits_for_the_end());
  EXPECT_NE(told(peer).find("error 11; "), std::string::npos);
  EXPECT_EQ(http->downstream_rq_too_many_premature_resets.value(), 1);
  EXPECT_EQ(http->downstream_cx_protocol_error.value(), 0);
  EXPECT_EQ(h2().inbound_reset_flood.value(), 0);
}

TEST_F(Http2Limits, RequestsThatWereAnsweredOrAreOldAreNotGivenUpEarly) {
  begin(
      {.hcm = "codec_type: HTTP2",
       .routes = "{ match: { prefix: /old }, route: { cluster: app } }, " + std::string(kDirect)});
  Peer peer = client("");
  uint32_t id = 1;
  for (; id < 2 * 400; id += 2) peer.send(headers(id, request_block()) + reset(id)), settle();
  std::string begun;
  std::string resets;
  for (int i = 0; i < 300; ++i, id += 2) {
    begun += headers(id, request_block("GET", "/old"));
    resets += reset(id);
  }
  peer.send(begun);
  settle();
  pass(milliseconds(1100));
  peer.send(resets);
  EXPECT_EQ(told(peer).find("GOAWAY"), std::string::npos);
  EXPECT_EQ(http->downstream_rq_too_many_premature_resets.value(), 0);
}

TEST_F(Http2Limits, FloodsAreCountedAsProtocolErrorsOfTheManagerToo) {
  begin({.hcm = "codec_type: HTTP2"});
  Peer peer = client("");
  std::string pings;
  for (int i = 0; i < 500; ++i) pings += frame(6, 0, 0, "12345678");
  for (uint32_t i = 0; i < 21; ++i) {
    if (h2().inbound_ping_flood.value() != 0) break;
    peer.send(pings);
    EXPECT_TRUE(run_until(loop, [&] {
      return h2().inbound_ping_flood.value() != 0 ||
             http->downstream_cx_rx_bytes_total.value() >= 8500u * (i + 1);
    }));
    told(peer);
  }
  EXPECT_EQ(h2().inbound_ping_flood.value(), 1);
  EXPECT_EQ(h2().protocol_error.value(), 0);
  EXPECT_EQ(http->downstream_cx_protocol_error.value(), 1);
}

TEST_F(Http2Limits, FramesOfAByteFromAnUpstreamAreWrittenTogether) {
  constexpr int kBytes = 5000;
  begin({}, "http2_protocol_options: {}");
  Peer peer = request();
  Peer server = backend.accept();
  std::string frames = frame(4, 0, 0, "") + headers(1, literal(":status", "200"), false);
  for (int i = 0; i < kBytes; ++i) frames += data(1, "x");
  server.send(frames + data(1, "", true));
  const uint64_t writes = loop.counts.writes;
  const std::string response = peer.message();
  EXPECT_EQ(std::ranges::count(response.substr(response.find("\r\n\r\n")), 'x'), kBytes);
  EXPECT_LT(loop.counts.writes - writes, 100u);
}

// Bytes wait for a client that does not take them, and the upstream is told to wait.
TEST_F(Http2Limits, FramesOfAByteDoNotPileUpBeforeAStalledClient) {
  begin({}, "http2_protocol_options: { initial_stream_window_size: 65535 }");
  Peer peer = request();
  Peer server = backend.accept();
  server.send(frame(4, 0, 0, "") + headers(1, literal(":status", "200"), false));
  std::string frames;
  for (int i = 0; i < 1000; ++i) frames += data(1, "x");
  int64_t window = 0;
  int64_t sent = 0;
  std::string got;
  // Until it gives no window back: what it says of the stream is "WINDOW_UPDATE 1 n; ".
  for (int idle = 0; idle < 30;) {
    if (sent - window < 64'000) {
      server.send(frames);
      sent += 1000;
    } else {
      ++idle;
    }
    settle();
    got += server.received();
    server.discard();
    if (got.starts_with("PRI")) got.erase(0, 24);
    const std::string words = describe_frames(got);
    for (size_t at = 0; (at = words.find("WINDOW_UPDATE 1 ", at)) != words.npos; ++at) {
      window += std::stol(words.substr(at + 16));
      idle = 0;
    }
    ASSERT_LT(sent, 40'000'000);
  }
  EXPECT_GE(sent - window, 64'000);
}

}  // namespace
}  // namespace pillion::testing
