// One connection to an upstream: what it writes, what it takes for a response, when it is used
// again.
#include "proxy/http/h1_client.h"

#include "tests/unit/http/client_fixture.h"

namespace pillion::http {
namespace {

TEST_F(ClientTest, ResponsesMeanTheSameHoweverTheyAreCut) {
  struct Case {
    std::string method;
    std::string bytes;
    std::string expected;  // after "connected; "
  };
  const Case cases[] = {
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "head 200; idle; end hello; "},
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "idle; head 200 end; "},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
       "head 200; idle; end abc; "},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: 1\r\n\r\n",
       "head 200; idle; end ab trailers x: 1\n; "},
      {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "idle; head 200 end; "},
      {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "idle; head 204 end; "},
      {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "idle; head 304 end; "},
      {"GET", "HTTP/1.1 205 R\r\n\r\n", "closed kNone; head 205 end; "},
      {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", "head 200; closed kNone; end ab; "},
      {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
       "head 200; closed kNone; end ab; "},
      {"GET",
       "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
       "0\r\n\r\n",
       "info 100; info 103; idle; head 200 end; "},
      {"GET", "HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n",
       "malformed; closed kUpstreamProtocol; reset kUpstreamProtocol; "},
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
       "malformed; closed kUpstreamProtocol; reset kUpstreamProtocol; "},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
       "head 200; malformed; closed kUpstreamProtocol; reset kUpstreamProtocol; "},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: a\r\n\r\n",
       "head 200; malformed; closed kUpstreamProtocol; reset kUpstreamProtocol; "},
  };
  for (const Case& c : cases) {
    for (size_t cut : {size_t{1000}, size_t{1}, size_t{3}, size_t{7}}) {
      if (connection == nullptr) open();
      noted();
      request(c.method);
      for (size_t i = 0; i < c.bytes.size() && connection != nullptr; i += cut) {
        respond(std::string_view(c.bytes).substr(i, cut));
      }
      EXPECT_EQ(noted(), c.expected) << c.bytes << " by " << cut;
    }
  }
}

TEST_F(ClientTest, ATruncatedResponseNeverLooksComplete) {
  const std::string cases[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1",
      "HTTP/1.1 200 OK\r\nContent-Le",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2",
  };
  for (const std::string& bytes : cases) {
    if (connection == nullptr) open();
    request();
    respond(bytes);
    own_end->inject_fin();
    turn();
    const std::string got = noted();
    EXPECT_NE(got.find("truncated; closed kUpstreamTruncated; reset kUpstreamTruncated; "),
              std::string::npos)
        << got;
    EXPECT_EQ(got.find("end"), std::string::npos) << got;
  }
}

TEST_F(ClientTest, AResetInAResponseIsATruncationToo) {
  const std::string cases[] = {
      "HTTP/1.1 200 OK\r\n\r\npart",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
      "HTTP/1.1 200 OK\r\nContent-Le",
  };
  for (const std::string& bytes : cases) {
    if (connection == nullptr) open();
    request();
    respond(bytes);
    noted();
    own_end->inject_reset();
    turn();
    EXPECT_EQ(noted(), "truncated; closed kUpstreamTruncated; reset kUpstreamTruncated; ");
  }
}

TEST_F(ClientTest, AnEndBeforeAnyByteMayBeTriedAgain) {
  request();
  own_end->inject_fin();
  turn();
  EXPECT_EQ(noted(), "connected; closed kUpstreamClosed; reset kUpstreamClosed; ");
  open();
  request();
  own_end->inject_reset();
  turn();
  EXPECT_EQ(noted(), "connected; closed kUpstreamReset; reset kUpstreamReset; ");
}

TEST_F(ClientTest, TheEndOfTheConnectionEndsABodyWithoutLength) {
  request();
  respond("HTTP/1.1 200 OK\r\n\r\nall");
  own_end->inject_fin();
  turn();
  EXPECT_EQ(noted(), "connected; head 200; closed kNone; end all; ");
}

TEST_F(ClientTest, BytesThatNobodyAskedForCloseTheConnection) {
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(noted(), "connected; unsolicited; closed kUpstreamProtocol; ");
  open();
  request();
  respond("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n");
  EXPECT_EQ(noted(), "connected; head 200; unsolicited; closed kNone; end a; ");
  open();
  request("HEAD");  // an origin that sends the body nevertheless
  respond("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
  EXPECT_EQ(noted(), "connected; unsolicited; closed kNone; head 200 end; ");
}

TEST_F(ClientTest, AnIdleConnectionThatEndsIsClosed) {
  own_end->inject_fin();
  turn();
  EXPECT_EQ(noted(), "connected; closed kUpstreamClosed; ");
}

TEST_F(ClientTest, CapsInterimResponsesAndHeads) {
  request();
  std::string flood;
  for (int i = 0; i < 17; ++i) flood += "HTTP/1.1 102 P\r\n\r\n";
  respond(flood);
  EXPECT_NE(
      noted().find("info 102; interim flood; closed kUpstreamProtocol; reset kUpstreamProtocol; "),
      std::string::npos);
  open();
  noted();
  request();
  respond("HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x'));
  EXPECT_EQ(noted(), "too large; closed kUpstreamProtocol; reset kUpstreamProtocol; ");
  open();
  noted();
  H1Limits strict;
  strict.max_fields = 1;
  connection->set_limits(strict);
  request();
  respond("HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n");
  EXPECT_EQ(noted(), "too large; closed kUpstreamProtocol; reset kUpstreamProtocol; ");
}

TEST_F(ClientTest, ASinkMayGiveUpInsideACallback) {
  reset_on_informational = true;
  request();
  respond("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(noted(), "connected; info 100; closed kLocalReset; ");
}

TEST_F(ClientTest, WritesRequestsAndTheirBodies) {
  request();
  EXPECT_EQ(written(), "GET / HTTP/1.1\r\nhost: h\r\n\r\n");
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(bytes_out, 0u + std::string_view("GET / HTTP/1.1\r\nhost: h\r\n\r\n").size());
  request("POST");
  EXPECT_EQ(written(), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");

  begin_upload(Framing::kChunked);
  upstream->send_body("hello", false);
  upstream->send_body("", false);
  upstream->send_body("0123456789abcdef0", true);
  batch.flush();
  EXPECT_EQ(written(),
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
            "11\r\n0123456789abcdef0\r\n0\r\n\r\n");
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  begin_upload(Framing::kChunked);
  Headers trailers(sink->arena);
  trailers.add("x-t", "1");
  upstream->send_body("a", false);
  upstream->send_trailers(trailers);
  batch.flush();
  EXPECT_NE(written().find("1\r\na\r\n0\r\nx-t: 1\r\n\r\n"), std::string::npos);
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  begin_upload(Framing::kLength, 3);
  upstream->send_body("abc", true);
  batch.flush();
  EXPECT_EQ(written(), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc");
  noted();
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(noted(), "idle; head 200 end; ");
  EXPECT_EQ(connection->exchanges(), 5u);
}

TEST_F(ClientTest, AnEarlyResponseIsPassedOnAndTheConnectionNotUsedAgain) {
  begin_upload(Framing::kLength, 1000);
  upstream->send_body("some", false);
  batch.flush();
  respond("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(noted(), "connected; head 413; closed kNone; end no; ");
}

TEST_F(ClientTest, AResponseIsReadEvenIfWritingTheRequestFailed) {
  begin_upload(Framing::kLength, 1000);
  own_end->inject("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
  own_end->inject_reset();
  upstream->send_body("some", false);
  batch.flush();
  upstream->send_body("more", false);  // goes nowhere
  turn();
  EXPECT_EQ(noted(), "connected; head 413; closed kNone; end no; ");
}

TEST_F(ClientTest, BackPressureWorksBothWays) {
  origin->window = 100;
  begin_upload(Framing::kLength, 5000);
  const std::string large(5000, 'x');
  upstream->send_body(large, true);
  batch.flush();
  EXPECT_TRUE(upstream->is_backed_up());
  size_t got = 0;
  for (int i = 0; i < 200; ++i) {
    got += written().size();
    turn(1);
  }
  EXPECT_GT(got, 5000u);
  EXPECT_EQ(noted(), "connected; drained; ");
  sink->limit = 10;
  upstream->pause_response();
  respond("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(noted(), "");
  upstream->resume_response();
  turn(20);
  EXPECT_EQ(noted(), "head 200; idle; end hello; ");
}

TEST_F(ClientTest, TunnelsPassBytesAndEndWithTheServer) {
  request("GET", "x");
  EXPECT_EQ(written(), "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
  respond("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nfirst");
  EXPECT_EQ(sink->body, "first");
  upstream->send_body("up", false);
  batch.flush();
  EXPECT_EQ(written(), "up");
  upstream->send_body("end", true);
  batch.flush();
  turn();
  EXPECT_EQ(written(), "end");
  EXPECT_TRUE(origin->peer_sent_fin());
  respond(" still");
  own_end->inject_fin();
  turn();
  EXPECT_EQ(noted(), "connected; head 101; closed kNone; end first still; ");

  open();
  noted();
  request("CONNECT");
  respond("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nraw bytes");
  EXPECT_EQ(sink->body, "raw bytes");
  upstream->reset();
  EXPECT_EQ(noted(), "head 200; closed kLocalReset; ");
  // What the server has got must not look like all.
  char byte;
  EXPECT_EQ(origin->read(&byte, 1).bytes, 1u);
  while (origin->read(&byte, 1).bytes != 0) {
  }
  EXPECT_EQ(origin->read(&byte, 1).status, io::IoStatus::kError);
}

TEST_F(ClientTest, TheServerOfATunnelMayEndFirst) {
  request("GET", "x");
  respond("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nall");
  own_end->inject_fin();
  turn();
  EXPECT_EQ(noted(), "connected; head 101; half; ");
  upstream->resume_response();
  turn();
  EXPECT_EQ(noted(), "") << "told once";
  written();
  upstream->send_body("more", false);
  upstream->send_body("last", true);
  batch.flush();
  EXPECT_EQ(written(), "morelast");
  EXPECT_TRUE(origin->peer_sent_fin());
  upstream->reset();
  EXPECT_EQ(noted(), "closed kNone; ");
  EXPECT_EQ(sink->body, "all");
}

TEST_F(ClientTest, AnUpgradeInTheMiddleOfABodyIsRefused) {
  begin_upload(Framing::kLength, 10);
  connection->reset();
  open();
  noted();
  sink = std::make_unique<Sink>(*this);
  head->upgrade = "x";
  upstream = &connection->begin(*sink);
  upstream->send_head(*head, false);
  upstream->send_body("half", false);
  batch.flush();
  respond("HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n");
  EXPECT_EQ(noted(), "malformed; closed kUpstreamProtocol; reset kUpstreamProtocol; ");
}

TEST_F(ClientTest, NothingHappensAfterTheEnd) {
  request();
  upstream->reset();
  H1ClientConnection* dead = static_cast<H1ClientConnection*>(upstream);  // until the turn ends
  dead->send_head(*head, true);
  dead->send_body("x", true);
  dead->send_trailers(head->headers);
  dead->pause_response();
  dead->resume_response();
  dead->close({FailureKind::kNone});
  EXPECT_EQ(noted(), "connected; closed kLocalReset; ");
}

}  // namespace
}  // namespace pillion::http
