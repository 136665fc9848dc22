// Upgrades (RFC 8441) and tunnels on a connection to an upstream of HTTP/2.
#include "tests/unit/http/h2_client_fixture.h"

namespace pillion::http {
namespace {

class H2ClientTunnels : public H2ClientTest {
 protected:
  // The peer's SETTINGS have not come: it is not there yet.
  void open_early() {
    auto [a, b] = testing::FakeTransport::make_pair(loop);
    own_end = a.get();
    peer_end = b.get();
    later_ = std::move(b);
    connection = std::make_unique<H2ClientConnection>(loop, batch, limits, options, *this);
    connection->start(std::move(a));
    turn();
    noted();
  }
  void let_peer_speak() {
    peer = std::make_unique<testing::H2Peer>(loop, batch, std::move(later_), peer_options);
    turn();
  }
  Exchange& upgrade(std::string_view protocol = "websocket") {
    Exchange& e = begin();
    e.request.upgrade = protocol;
    e.stream->send_head(e.request, false);
    turn();
    return e;
  }
  // A tunnel that stands.
  Exchange& tunnel() {
    peer_options.allow_connect = true;
    open(peer_options);
    Exchange& e = upgrade();
    peer->head(0, {{":status", "200"}});
    turn();
    EXPECT_EQ(std::exchange(e.log, {}), "head 101; ");
    return e;
  }
  // Of whose server we have sent it all, the end too, and no window is given back.
  Exchange& tunnel_that_takes_nothing(const std::string& all) {
    Exchange& e = tunnel();
    peer->holds_window = true;
    turn();
    e.stream->send_body(all, true);
    batch.flush();
    turn(20);
    return e;
  }
  H2Options peer_options;

 private:
  std::unique_ptr<io::Transport> later_;
};

TEST_F(H2ClientTunnels, AreAskedForByExtendedConnect) {
  peer_options.allow_connect = true;
  open(peer_options);
  Exchange& e = begin();
  e.request.upgrade = "WebSocket";  // HTTP/1 compares it without case
  e.request.headers.add("sec-websocket-version", "13");
  e.stream->send_head(e.request, false);
  turn();
  EXPECT_EQ(peer->stream(0).fields,
            ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:path: /p?q\n:authority: h\n"
            "sec-websocket-version: 13\n");
  EXPECT_FALSE(peer->stream(0).ended);
  peer->head(0, {{":status", "200"}, {"sec-websocket-protocol", "chat"}, {"content-length", "5"}});
  peer->data(0, "down", false);
  e.stream->send_body("up", false);
  turn();
  EXPECT_EQ(e.log, "head 101; ");
  EXPECT_EQ(e.response->upgrade, "WebSocket");
  EXPECT_FALSE(e.response->has_content_length);
  EXPECT_EQ(testing::describe(e.response->headers), "sec-websocket-protocol: chat\n");
  EXPECT_EQ(e.body, "down");
  EXPECT_EQ(peer->stream(0).body, "up");
}

TEST_F(H2ClientTunnels, MayBeRefusedWithAnOrdinaryAnswer) {
  peer_options.allow_connect = true;
  open(peer_options);
  Exchange& e = upgrade();
  peer->head(0, {{":status", "404"}, {"content-length", "2"}});
  peer->data(0, "no", true);
  turn();
  EXPECT_EQ(e.log, "head 404; end no; ");
  EXPECT_EQ(peer->stream(0).error, H2Error::kCancel) << "our direction had not ended";
}

// It may refuse the stream, and then the body must still be there for another attempt.
TEST_F(H2ClientTunnels, BodiesWaitForThePeersSettingsTooButForTheirFirstPiece) {
  open_early();
  Exchange& e = begin("POST");
  e.request.framing = Framing::kChunked;
  e.stream->send_head(e.request, false);
  e.stream->send_body("a", false);
  EXPECT_TRUE(e.stream->is_backed_up());
  let_peer_speak();
  EXPECT_EQ(e.log, "drained; ");
  EXPECT_FALSE(e.stream->is_backed_up());
  e.stream->send_body("b", true);
  turn();
  EXPECT_EQ(peer->stream(0).body, "ab");
}

TEST_F(H2ClientTunnels, AStreamThatEndsWhenItMayGoOnStopsNoOther) {
  open_early();
  Exchange& one = begin("POST");
  Exchange& other = begin("POST");
  for (Exchange* e : {&one, &other}) {
    e->request.framing = Framing::kChunked;
    e->stream->send_head(e->request, false);
    e->stream->send_body("a", false);
    e->resets_when_drained = e == &one;
  }
  let_peer_speak();
  EXPECT_EQ(one.log, "drained; ");
  EXPECT_EQ(other.log, "drained; ");
}

TEST_F(H2ClientTunnels, WaitForThePeersSettings) {
  peer_options.allow_connect = true;
  open_early();
  Exchange& one = upgrade();
  Exchange& other = get();
  Exchange& gone = upgrade();
  gone.stream->reset();
  EXPECT_EQ(one.log + other.log, "");
  let_peer_speak();
  ASSERT_EQ(peer->streams.size(), 2u);
  EXPECT_TRUE(peer->stream(0).fields.starts_with(":method: GET\n"));
  EXPECT_TRUE(peer->stream(1).fields.starts_with(":method: CONNECT\n:protocol: websocket\n"));
  peer->head(1, {{":status", "200"}});
  peer->respond(0);
  turn();
  EXPECT_EQ(one.log, "head 101; ");
}

TEST_F(H2ClientTunnels, FailWhenThePeerTakesNone) {
  open_early();
  Exchange& early = upgrade();
  let_peer_speak();
  EXPECT_EQ(early.log, "reset kNoConnectProtocol; ");
  Exchange& late = begin();
  late.request.upgrade = "websocket";
  late.stream->send_head(late.request, false);
  EXPECT_EQ(late.log, "") << "not on the caller's stack";
  turn();
  EXPECT_EQ(late.log, "reset kNoConnectProtocol; ");
  EXPECT_TRUE(peer->streams.empty());
  EXPECT_EQ(active, 0);
  // The connection serves others.
  Exchange& other = get();
  peer->respond(0, "ok");
  turn();
  EXPECT_EQ(other.log, "head 200; end ok; ");
  EXPECT_EQ(noted().find("leaving"), std::string::npos);
}

TEST_F(H2ClientTunnels, FailWithTheirConnectionWhileTheyWait) {
  open_early();
  Exchange& e = upgrade();
  own_end->inject_fin();
  turn();
  EXPECT_EQ(e.log, "reset kUpstreamClosed; ");
}

TEST_F(H2ClientTunnels, GoOnForUsWhenTheServerHasEnded) {
  Exchange& e = tunnel();
  peer->data(0, "bye", true);
  turn();
  EXPECT_EQ(e.body, "bye");
  EXPECT_EQ(e.log, "half; ");
  e.stream->send_body("still ", false);
  e.stream->send_body("here", true);
  turn();
  EXPECT_EQ(peer->stream(0).body, "still here");
  EXPECT_TRUE(peer->stream(0).ended);
  EXPECT_EQ(e.log, "half; end bye; ") << "who has not said reset() must not think that it lives";
  EXPECT_EQ(active, 0);
}

// Whoever ends a tunnel says so by reset(), which is none then.
TEST_F(H2ClientTunnels, EndInOrderWhenBothHaveEnded) {
  for (const size_t size : {size_t{4}, size_t{20'000}}) {
    Exchange& e = tunnel();
    peer->data(0, {}, true);
    turn();
    const std::string last(size, 'x');
    e.stream->send_body(last, true);
    e.stream->reset();
    batch.flush();
    turn();
    // What is large goes out at once, and with it the stream is over.
    EXPECT_EQ(e.log, size == 4 ? "half; " : "half; end ; ");
    EXPECT_EQ(peer->stream(0).body, last);
    EXPECT_TRUE(peer->stream(0).closed);
    EXPECT_EQ(peer->stream(0).error, H2Error::kNone);
    EXPECT_EQ(active, 0);
    connection->close({FailureKind::kNone});
    turn();
    peer.reset();
    noted();
  }
}

// What is still to be sent when the server ends is not thrown away.
TEST_F(H2ClientTunnels, KeepWhatTheServerHasNoRoomForWhenItEnds) {
  const std::string large(3 << 20, 'x');
  Exchange& e = tunnel_that_takes_nothing(large);
  EXPECT_TRUE(e.stream->is_backed_up());
  peer->data(0, {}, true);
  turn();
  EXPECT_EQ(e.log, "half; ");
  e.resets_when_drained = true;
  for (int i = 0; i < 10 && !peer->stream(0).ended; ++i) {
    peer->session.consume(peer->stream(0), std::exchange(peer->stream(0).unconsumed, 0));
    peer->flush();
    turn(20);
  }
  EXPECT_EQ(peer->stream(0).body.size(), large.size());
  EXPECT_EQ(e.log, "half; drained; ");
  turn();
  EXPECT_TRUE(peer->stream(0).closed);
  EXPECT_EQ(peer->stream(0).error, H2Error::kNone);
}

TEST_F(H2ClientTunnels, HaveAMinuteForLastBytesThatTheServerDoesNotTake) {
  const std::string large(3 << 20, 'x');
  Exchange& e = tunnel_that_takes_nothing(large);
  peer->data(0, {}, true);
  turn();
  e.stream->reset();
  const auto pass = [this](int ticks) {
    for (int i = 0; i < ticks; ++i) {
      loop.skip(H2ClientConnection::kGraceTick + std::chrono::milliseconds(10));
      turn(2);
    }
  };
  pass(H2ClientConnection::kTunnelPatience - 10);
  EXPECT_EQ(active, 1);
  EXPECT_FALSE(peer->stream(0).closed);
  pass(20);
  EXPECT_TRUE(has_event(ClientConnection::Event::kCutOff));
  EXPECT_EQ(active, 0);
  EXPECT_EQ(peer->stream(0).error, H2Error::kCancel);
  EXPECT_EQ(e.log, "half; ");
}

// As Envoy does when it ends a tunnel; our last bytes are thrown away then.
TEST_F(H2ClientTunnels, TellTheirEndWhenTheServerStopsUsBeforeOurEndIsSent) {
  const std::string large(3 << 20, 'x');
  Exchange& e = tunnel_that_takes_nothing(large);
  peer->data(0, {}, true);
  turn();
  EXPECT_EQ(e.log, "half; ");
  peer->reset(0, H2Error::kNone);
  turn();
  EXPECT_EQ(e.log, "half; end ; ");
  EXPECT_EQ(active, 0);
}

TEST_F(H2ClientTunnels, MayEndWithTheHeadOfTheAnswer) {
  peer_options.allow_connect = true;
  open(peer_options);
  Exchange& e = upgrade();
  peer->head(0, {{":status", "200"}}, true);
  turn();
  EXPECT_EQ(e.log, "head 101; half; ");
  e.stream->reset();
  turn();
  EXPECT_EQ(peer->stream(0).error, H2Error::kCancel);
}

// RST_STREAM with NO_ERROR: the server has said all, and takes no more.
TEST_F(H2ClientTunnels, EndInOrderWhenTheServerStopsUs) {
  Exchange& e = tunnel();
  peer->data(0, "bye", true);
  peer->reset(0, H2Error::kNone);
  turn();
  EXPECT_EQ(e.log, "half; end bye; ");
  EXPECT_EQ(active, 0);
}

TEST_F(H2ClientTunnels, HaveDataAlone) {
  Exchange& e = tunnel();
  peer->trailers(0, {{"x-sum", "1"}});
  turn();
  EXPECT_EQ(e.log, "reset kUpstreamProtocol; ");
  EXPECT_EQ(peer->stream(0).error, H2Error::kProtocol);
}

}  // namespace
}  // namespace pillion::http
