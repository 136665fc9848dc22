// CONNECT and the upgrades of RFC 8441 on a connection of a client of HTTP/2.
#include "tests/unit/http/h2_server_fixture.h"

namespace pillion::http {
namespace {

using testing::data;
using testing::headers;
using testing::literal;

std::string upgrade_block(std::string_view protocol = "websocket",
                          std::string_view path = "/chat") {
  return str(literal(":method", "CONNECT"), literal(":protocol", protocol),
             literal(":scheme", "https"), literal(":path", path), literal(":authority", "h"));
}
std::string connect_block() {
  return str(literal(":method", "CONNECT"), literal(":authority", "h:1"));
}

class H2ServerTunnels : public H2ServerTest {
 protected:
  void SetUp() override {
    options.allow_connect = true;
    answer = false;
    open();
  }
  // A tunnel that stands.
  H2ServerStream& begin(std::string_view block, uint16_t status = 101) {
    greet();
    received();
    send(headers(1, block, false));
    noted();
    ResponseHead* head = response(last(), status);
    head->framing = Framing::kNone;
    head->upgrade = "websocket";
    H2ServerStream* stream = last().stream;
    stream->send_head(*head, false);
    turn();
    EXPECT_EQ(received(), "HEADERS 1; ");
    return *stream;
  }
};

TEST_F(H2ServerTunnels, AreAnnouncedOnlyWhereAllowed) {
  EXPECT_TRUE(client().session.peer_takes_protocol());
  test_client.reset();
  options.allow_connect = false;
  open();
  EXPECT_FALSE(client().session.peer_takes_protocol());
}

TEST_F(H2ServerTunnels, AreReadAsTheUpgradesOfHttp1) {
  greet();
  received();
  send(headers(1,
               str(upgrade_block(), literal("sec-websocket-version", "13"),
                   literal("expect", "100-continue")),
               false));
  EXPECT_EQ(noted(), "head GET /chat; ");
  const RequestHead& head = last().head;
  EXPECT_EQ(head.upgrade, "websocket");
  EXPECT_EQ(head.method, Method::kGet);
  EXPECT_EQ(head.scheme, "https");
  EXPECT_EQ(head.authority, "h");
  EXPECT_EQ(head.framing, Framing::kNone);
  EXPECT_FALSE(head.expects_continue);
  EXPECT_TRUE(head.asks_tunnel());
  EXPECT_EQ(last_head, "sec-websocket-version: 13\n");
}

TEST_F(H2ServerTunnels, AreAgreedToByA200) {
  testing::H2TestClient& c = client();
  testing::H2TestClient::Exchange& e = c.connect("websocket");
  turn();
  ResponseHead* head = response(last(), 101);
  head->framing = Framing::kNone;
  head->upgrade = "websocket";
  head->has_content_length = true;
  last().stream->send_head(*head, false);
  last().stream->send_body("down", false);
  turn();
  EXPECT_EQ(e.head, ":status: 200\n");
  EXPECT_EQ(e.body, "down");
  c.send_body(e, "up", false);
  turn();
  EXPECT_EQ(body, "up");
}

TEST_F(H2ServerTunnels, AreResetWhenMalformed) {
  const std::string method = literal(":method", "CONNECT");
  const std::string protocol = literal(":protocol", "websocket");
  const std::string scheme = literal(":scheme", "http");
  const std::string path = literal(":path", "/");
  const std::string authority = literal(":authority", "h");
  const std::string cases[] = {
      str(literal(":method", "GET"), protocol, scheme, path, authority),
      str(method, protocol, path, authority),
      str(method, protocol, scheme, authority),
      str(method, protocol, scheme, path),
      str(method, protocol, scheme, path, literal("host", "h")),
      str(method, protocol, protocol, scheme, path, authority),
      str(method, literal(":protocol", ""), scheme, path, authority),
      str(method, literal(":protocol", "a b"), scheme, path, authority),
      str(method, literal(":protocol", "a,b"), scheme, path, authority),
      str(method, literal(":protocol", "a\r\nx: y"), scheme, path, authority),
      str(method, literal(":protocol", std::string(65, 'a')), scheme, path, authority),
      str(method, protocol, scheme, literal(":path", "*"), authority),
      str(method, protocol, scheme, literal(":path", "h:1"), authority),
      str(method, protocol, scheme, path, authority, literal("content-length", "0")),
      str(method, protocol, scheme, path, authority, literal("upgrade", "websocket")),
      str(method, scheme, path, authority),
      str(method, authority, literal("content-length", "1")),
  };
  for (const std::string& block : cases) {
    open();
    greet();
    received();
    send(headers(1, block, false));
    EXPECT_EQ(received(), "RST_STREAM 1 error 1; ") << block;
    EXPECT_EQ(noted(), "failed kH2Malformed; done; ") << block;
  }
  EXPECT_EQ(malformed, static_cast<int>(std::size(cases)));
}

TEST_F(H2ServerTunnels, HaveDataAlone) {
  for (const std::string& block : {upgrade_block(), connect_block()}) {
    open();
    begin(block, block == connect_block() ? 200 : 101);
    send(headers(1, literal("x-sum", "1")));
    EXPECT_EQ(received(), "RST_STREAM 1 error 1; ");
    EXPECT_EQ(noted(), "failed kH2Malformed; done; ");
  }
}

TEST_F(H2ServerTunnels, GoOnForTheClientWhenTheServerHasEnded) {
  H2ServerStream& stream = begin(upgrade_block());
  stream.send_body("bye", false);
  stream.half_close();
  turn();
  EXPECT_EQ(received(), "DATA 1 3 end; ");
  send(data(1, "still "));
  send(data(1, "here", true));
  EXPECT_EQ(body, "still here");
  EXPECT_EQ(noted(), "end; ");
  EXPECT_EQ(streams, 1) << "what the client sent may not have left us";
  stream.pause_request();
  stream.resume_request();
  EXPECT_FALSE(stream.is_backed_up());
  stream.send_body({}, true);
  EXPECT_EQ(noted(), "done; ");
  EXPECT_EQ(streams, 0);
  turn();
  send(headers(3, testing::request_block()));
  EXPECT_EQ(noted(), "head GET /a end; ") << "the connection goes on";
}

TEST_F(H2ServerTunnels, GoOnForTheServerWhenTheClientHasEnded) {
  H2ServerStream& stream = begin(connect_block(), 200);
  send(data(1, "all", true));
  EXPECT_EQ(body, "all");
  EXPECT_EQ(noted(), "end; ");
  stream.send_body("last", true);
  turn();
  EXPECT_EQ(received(), "DATA 1 4 end; ");
  EXPECT_EQ(noted(), "done; ");
  EXPECT_EQ(streams, 0);
}

// RFC 8441, 5: CANCEL; RFC 9113, 8.5: CONNECT_ERROR.
TEST_F(H2ServerTunnels, AreCutWithACodeThatSaysSo) {
  begin(upgrade_block()).reset({FailureKind::kUpstreamReset});
  turn();
  EXPECT_EQ(received(), "RST_STREAM 1 error 8; ");
  open();
  begin(connect_block(), 200).reset({FailureKind::kUpstreamReset});
  turn();
  EXPECT_EQ(received(), "RST_STREAM 1 error 10; ");
}

TEST_F(H2ServerTunnels, TellWhenTheClientCutsThemBehindTheServersEnd) {
  for (const uint32_t error : {0u, 8u}) {
    open();
    begin(upgrade_block()).half_close();
    turn();
    received();
    send(testing::frame(3, 0, 1, testing::be32(error)));
    EXPECT_EQ(noted(), "failed kDownstreamReset; done; ");
    EXPECT_EQ(streams, 0);
  }
}

TEST_F(H2ServerTunnels, EndWithTheirConnectionEvenIfTheSessionHasForgottenThem) {
  begin(upgrade_block()).half_close();
  turn();
  send(data(1, "tail", true));
  noted();
  end_of_server->inject_fin();
  turn();
  EXPECT_EQ(noted(), "failed kDownstreamClosed; done; closed kDownstreamClosed; ");
}

// A connection that drains does not end before its tunnel has passed on what it got.
TEST_F(H2ServerTunnels, KeepADrainingConnectionUntilTheyAreOver) {
  H2ServerStream& stream = begin(upgrade_block());
  server->drain(std::chrono::milliseconds(10));
  loop.skip(std::chrono::milliseconds(20));
  turn();
  stream.half_close();
  turn();
  EXPECT_EQ(received(),
            "GOAWAY 0 last 2147483647 error 0; GOAWAY 0 last 1 error 0; DATA 1 0 end; ");
  send(data(1, "tail", true));
  turn();
  EXPECT_EQ(noted(), "end; ");
  EXPECT_FALSE(closed);
  stream.send_body({}, true);
  turn();
  loop.skip(std::chrono::seconds(2));
  turn();
  EXPECT_EQ(noted(), "done; closed kNone; ");
}

}  // namespace
}  // namespace pillion::http
