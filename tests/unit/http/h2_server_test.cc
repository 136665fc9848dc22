// One HTTP/2 connection of a client: exchanges, flow control, ends.
#include "proxy/http/h2_server.h"

#include "tests/unit/http/h2_server_fixture.h"

namespace pillion::http {
namespace {

using testing::data;
using testing::frame;
using testing::headers;
using testing::literal;
using testing::request_block;
using Event = H2ServerConnection::Event;
using Client = testing::H2TestClient;

TEST_F(H2ServerTest, AnswersManyStreamsAtATimeWithOneWrite) {
  Client& c = client();
  const uint64_t writes = end_of_server->writes;
  std::vector<Client::Exchange*> all;
  for (int i = 0; i < 20; ++i) all.push_back(&c.request("GET", "/a"));
  turn();
  for (const Client::Exchange* e : all) {
    EXPECT_EQ(e->head, ":status: 200\ncontent-length: 2\n");
    EXPECT_EQ(e->body, "/a");
    EXPECT_TRUE(e->ended);
    EXPECT_TRUE(e->closed);
    EXPECT_EQ(e->error, H2Error::kNone);
  }
  EXPECT_LE(end_of_server->writes - writes, 2u);
  EXPECT_EQ(streams, 0);
}

TEST_F(H2ServerTest, MeansTheSameByteByByte) {
  const std::string all = str(kH2Preface, frame(4, 0, 0, ""), headers(1, request_block()),
                              headers(3, request_block("POST", "/p"), false), data(3, "hel"),
                              data(3, "lo", true), headers(5, request_block("POST", "/t"), false),
                              data(5, "x"), headers(5, literal("x-t", "1")));
  send(all);
  const std::string whole_log = noted();
  EXPECT_EQ(
      whole_log,
      "head GET /a end; done; head POST /p; end; done; head POST /t; trailers x-t: 1\n; done; ");
  EXPECT_EQ(std::exchange(body, {}), "hellox");
  for (const size_t cut : {1u, 2u, 3u, 7u, 64u}) {
    open();
    for (size_t i = 0; i < all.size(); i += cut) send(std::string_view(all).substr(i, cut));
    EXPECT_EQ(noted(), whole_log) << cut;
    EXPECT_EQ(std::exchange(body, {}), "hellox") << cut;
  }
}

TEST_F(H2ServerTest, JoinsCookiesAndTakesHostForAuthority) {
  greet();
  send(headers(1, str(literal(":method", "GET"), literal(":scheme", "http"), literal(":path", "/"),
                      literal("host", "there"), literal("cookie", "a=1"), literal("x", "y"),
                      literal("cookie", "b=2"), literal("te", "trailers"))));
  EXPECT_EQ(last_head, "cookie: a=1; b=2\nx: y\n");
  EXPECT_EQ(last_authority, "there");
}

TEST_F(H2ServerTest, ResetsMalformedRequests) {
  const std::string good = request_block();
  const std::string cases[] = {
      "",
      literal(":method", "GET"),
      str(good, literal(":path", "/b")),
      str(good, literal("Upper", "1")),
      str(good, literal("connection", "close")),
      str(good, literal("keep-alive", "1")),
      str(good, literal("proxy-connection", "1")),
      str(good, literal("transfer-encoding", "chunked")),
      str(good, literal("upgrade", "h2c")),
      str(good, literal("te", "gzip")),
      str(good, literal("host", "other")),
      str(good, literal("x", "a\r\nb: c")),
      str(good, literal("x", std::string_view("a\0b", 3))),
      str(good, literal("x", " a")),
      str(good, literal("x", "a ")),
      str(good, literal("x y", "a")),
      str(good, literal("x:", "a")),
      str(good, literal("", "a")),
      str(good, literal("content-length", "5")),
      str(good, literal("content-length", "0"), literal("content-length", "0")),
      str(good, literal("content-length", "-1")),
      str(good, literal(":authority", "h")),
      str(good, literal(":protocol", "websocket")),
      str(good, literal(":status", "200")),
      str(literal("x", "1"), good),
      request_block("G T"),
      request_block("GET", "a"),
      request_block("GET", ""),
      request_block("GET", "/a b"),
      request_block("GET", "/a\r\nx: y"),
      request_block("GET", "*"),
      request_block("CONNECT", "/"),
      str(literal(":method", "GET"), literal(":scheme", "ftp"), literal(":path", "/"),
          literal(":authority", "h")),
      str(literal(":method", "GET"), literal(":scheme", "http"), literal(":path", "/"),
          literal(":authority", "u@h")),
  };
  for (const std::string& block : cases) {
    open();
    greet();
    received();
    send(headers(1, block));
    EXPECT_EQ(received(), "RST_STREAM 1 error 1; ") << block;
    EXPECT_EQ(noted(), "failed kH2Malformed; done; ") << block;
    send(headers(3, good));
    EXPECT_EQ(received(), "HEADERS 3; DATA 3 2 end; ") << block;  // the connection goes on
  }
  EXPECT_EQ(malformed, static_cast<int>(std::size(cases)));
}

TEST_F(H2ServerTest, ChecksBodiesAgainstTheirLength) {
  const std::string post = str(request_block("POST"), literal("content-length", "3"));
  const std::string cases[] = {data(1, "ab", true),
                               data(1, "abcd", true),
                               str(data(1, "ab"), data(1, "cd")),
                               str(data(1, "ab"), headers(1, literal("t", "1"))),
                               str(data(1, "abc"), headers(1, literal("t", "1"), false)),
                               str(data(1, "abc"), headers(1, literal(":path", "/"))),
                               str(data(1, "abc"), headers(1, literal("host", "x")))};
  for (const std::string& rest : cases) {
    open();
    greet();
    received();
    send(headers(1, post, false) + rest);
    EXPECT_EQ(received(), "RST_STREAM 1 error 1; ");
  }
  open();
  greet();
  received();
  send(headers(1, post, false) + data(1, "abc") + headers(1, literal("t", "1")));
  EXPECT_EQ(received(), "HEADERS 1; DATA 1 2 end; ");
}

TEST_F(H2ServerTest, AnswersRequestsThatAreTooLarge) {
  limits.max_bytes = 4000;
  limits.max_fields = 10;
  open();
  greet();
  received();
  std::string many = request_block();
  for (int i = 0; i < 11; ++i) many += literal("cookie", "a=b");
  send(headers(1, many));
  EXPECT_EQ(noted(), "failed kH2TooManyFields; done; ");
  EXPECT_TRUE(received().starts_with("HEADERS 1; DATA 1 "));
  send(headers(3, str(request_block(), literal("x", std::string(5000, 'x')))));
  EXPECT_EQ(noted(), "failed kH2HeadTooLarge; done; ");
  EXPECT_TRUE(received().starts_with("HEADERS 3; DATA 3 "));
}

TEST_F(H2ServerTest, ResetsTheRestOfARequestThatWasAnsweredEarly) {
  answer_at_head = true;
  greet();
  received();
  send(headers(1, request_block("POST"), false));
  EXPECT_EQ(received(), "HEADERS 1; DATA 1 2 end; ");
  // It has a while to end by itself.
  send(data(1, "what was on its way", true));
  EXPECT_EQ(noted(), "head POST /a; done; ");
  EXPECT_EQ(streams, 0);
  send(headers(3, request_block("POST"), false));
  loop.skip(std::chrono::seconds(2));
  turn();
  EXPECT_EQ(received(), "HEADERS 3; DATA 3 2 end; RST_STREAM 3 error 0; ");
  send(
      frame(4, 1, 0, ""));  // our SETTINGS are in force: the window is larger than what it may send
  send(headers(5, request_block("POST"), false));
  for (int i = 0; i < 5; ++i) send(data(5, std::string(16'000, 'x')));
  EXPECT_EQ(received(), "HEADERS 5; DATA 5 2 end; RST_STREAM 5 error 0; ");
  EXPECT_FALSE(closed);
}

TEST_F(H2ServerTest, SendsBodiesAsTheClientReturnsWindow) {
  answer = false;
  H2Options small;
  small.stream_window = 65535;
  Client& c = client(small);
  c.returns_window = false;
  Client::Exchange& e = c.request("GET", "/large");
  turn();
  send_head();
  const std::string large(100'000, 'x');
  last().stream->send_body(large, false);
  batch.flush();
  EXPECT_TRUE(last().stream->is_backed_up());
  turn();
  EXPECT_EQ(e.body.size(), 65535u);
  noted();
  c.session.consume(e, 65535);
  c.flush();
  turn();
  EXPECT_EQ(e.body, large);
  EXPECT_EQ(noted(), "drained; ");
  EXPECT_FALSE(last().stream->is_backed_up());
  send_trailers("grpc-status", "0");
  turn();
  EXPECT_EQ(e.trailers, "grpc-status: 0\n");
  EXPECT_TRUE(e.closed);
}

TEST_F(H2ServerTest, KeepsTrailersBehindABodyThatTheClientHasNoRoomFor) {
  answer = false;
  Client& c = client();
  c.returns_window = false;
  Client::Exchange& e = c.request("GET", "/large");
  turn();
  send_head();
  const std::string large(3 << 20, 'x');
  last().stream->send_body(large, false);
  batch.flush();
  send_trailers("x-checksum", "abc");
  EXPECT_TRUE(exchanges.empty());  // all of it is made
  for (int i = 0; i < 10 && !e.closed; ++i) {
    turn(20);
    c.session.consume(e, 1 << 19);
    c.flush();
  }
  EXPECT_EQ(e.body.size(), large.size());
  EXPECT_EQ(e.trailers, "x-checksum: abc\n");
}

// Trailers need no window, and a client may wait for them before it returns any.
TEST_F(H2ServerTest, SendsTrailersWhereTheWindowOfTheStreamIsUsedUp) {
  answer = false;
  H2Options small;
  small.stream_window = 65535;
  Client& c = client(small);
  c.returns_window = false;
  Client::Exchange& e = c.request("GET", "/exact");
  turn();
  send_head();
  const std::string exact(65535, 'x');
  last().stream->send_body(exact, false);
  batch.flush();
  turn();
  ASSERT_EQ(e.body.size(), exact.size());
  send_trailers("grpc-status", "0");
  turn();
  EXPECT_EQ(e.trailers, "grpc-status: 0\n");
  EXPECT_TRUE(e.closed);
}

TEST_F(H2ServerTest, SendsTrailersWhereTheWindowOfTheConnectionIsUsedUp) {
  answer = false;
  H2Options small;
  small.connection_window = 65535;
  Client& c = client(small);
  c.returns_window = false;
  Client::Exchange& large = c.request("GET", "/large");
  turn();
  send_head();
  const std::string all(200'000, 'x');
  last().stream->send_body(all, false);
  batch.flush();
  turn();
  ASSERT_LT(large.body.size(), all.size());
  Client::Exchange& e = c.request("GET", "/other");
  turn();
  send_head();
  turn();
  send_trailers("grpc-status", "0");
  turn();
  EXPECT_EQ(e.trailers, "grpc-status: 0\n");
  EXPECT_TRUE(e.closed);
}

// What still comes for a stream that we have reset is dropped, and its window is the others'.
TEST_F(H2ServerTest, ReturnsTheConnectionsWindowForDataOfStreamsThatWereReset) {
  options.connection_window = 65535;
  open();
  greet();
  for (uint32_t id = 1; id < 40; id += 2) {
    send(headers(id, str(request_block("POST"), literal("Bad", "name")), false) +
         data(id, std::string(16'000, 'x')));
    EXPECT_EQ(received(), str("RST_STREAM ", id, " error 1; "));
  }
  EXPECT_FALSE(closed);
}

TEST_F(H2ServerTest, TakesTheWishThatPathAndAuthorityAreNeverIndexed) {
  answer = false;
  greet();
  const auto never = [](std::string_view name, std::string_view value) {
    std::string field = literal(name, value);
    field[0] = 0x10;
    return field;
  };
  const std::string start = literal(":method", "GET") + literal(":scheme", "http");
  send(headers(1, start + never(":path", "/secret") + literal(":authority", "h")));
  EXPECT_TRUE(last().head.path_never_index);
  EXPECT_FALSE(last().head.authority_never_index);
  send(headers(3, start + literal(":path", "/") + never(":authority", "h")));
  EXPECT_FALSE(last().head.path_never_index);
  EXPECT_TRUE(last().head.authority_never_index);
  send(headers(5, start + literal(":path", "/") + never("host", "h")));
  EXPECT_TRUE(last().head.authority_never_index);
}

TEST_F(H2ServerTest, HoldsTheWindowOfAPausedRequest) {
  options.stream_window = 65535;
  options.connection_window = 1 << 20;
  open();
  answer = false;
  Client& c = client();
  Client::Exchange& paused = c.request("POST", "/paused", false);
  turn();
  Exchange& e = last();
  e.stream->pause_request();
  c.send_body(paused, std::string(200'000, 'x'), true);
  turn(20);
  EXPECT_EQ(body.size(), 65535u);
  // Another stream is not stopped by it.
  body.clear();
  Client::Exchange& other = c.request("POST", "/other", false);
  c.send_body(other, std::string(100'000, 'y'), true);
  turn(20);
  EXPECT_EQ(body, std::string(100'000, 'y'));
  body.clear();
  e.stream->resume_request();
  turn(20);
  EXPECT_EQ(body.size(), 200'000u - 65535u);
}

TEST_F(H2ServerTest, ReturnsTheConnectionsWindowOfPausedStreamsThatEnd) {
  options.stream_window = 65535;
  options.connection_window = 65535;
  open();
  answer = false;
  Client& c = client();
  for (int i = 0; i < 6; ++i) {
    body.clear();
    Client::Exchange& e = c.request("POST", "/p", false);
    turn();
    last().stream->pause_request();
    c.send_body(e, std::string(60'000, 'x'), false);
    turn(10);
    ASSERT_EQ(body.size(), 60'000u) << i;
    if (i % 2 == 0) {
      c.session.reset(e, H2Error::kCancel);
      c.flush();
    } else {
      last().stream->reset({FailureKind::kUpstreamReset});
    }
    turn();
    EXPECT_TRUE(e.closed);
  }
  EXPECT_EQ(streams, 0);
}

TEST_F(H2ServerTest, RefusesStreamsBeyondTheLimit) {
  options.max_concurrent_streams = 2;
  answer = false;
  open();
  greet();
  send(frame(4, 1, 0, ""));  // the client has seen our SETTINGS
  received();
  send(headers(1, request_block()) + headers(3, request_block()));
  EXPECT_EQ(streams, 2);
  send(headers(5, request_block()));
  EXPECT_EQ(begun, 2);
  EXPECT_NE(received().find("error"), std::string::npos);
}

// Until its acknowledgement a client cannot be blamed, and the connection is as good as before.
TEST_F(H2ServerTest, GoesOnAfterStreamsOfAClientThatCouldNotKnowTheLimit) {
  options.max_concurrent_streams = 1;
  answer = false;
  open();
  greet();
  received();
  send(headers(1, request_block()) + headers(3, request_block()));
  EXPECT_EQ(received(), "RST_STREAM 3 error 7; ");
  EXPECT_TRUE(saw(Event::kStreamRefused));
  EXPECT_TRUE(saw(Event::kResetSent));
  EXPECT_FALSE(saw(Event::kProtocolError));
  loop.skip(std::chrono::seconds(5));
  turn();
  ASSERT_FALSE(closed);
  reply(last(), 200, "ok");
  turn();
  EXPECT_EQ(received(), "HEADERS 1; DATA 1 2 end; ");
}

// What the GOAWAY will say was decided when it was made.
TEST_F(H2ServerTest, TakesNoStreamBehindAGoawayThatWaits) {
  answer = false;
  raw->window = 0;
  greet();
  send(headers(1, request_block()));
  const std::string large(100'000, 'x');
  send_head();
  last().stream->send_body(large, false);
  server->drain(std::chrono::seconds(1));
  turn();
  loop.skip(std::chrono::seconds(2));
  turn();
  send(headers(3, request_block()));
  EXPECT_EQ(begun, 1);
  EXPECT_EQ(streams, 1);
  raw->window = 1 << 20;
  send("");  // it looks whether there is room
  const std::string told = received();
  EXPECT_NE(told.find("GOAWAY 0 last 1 error 0; "), std::string::npos) << told;
}

TEST_F(H2ServerTest, ClosesADrainedConnectionWhoseClientTakesNothing) {
  answer = false;
  limits.flush_time = std::chrono::seconds(30);
  open();
  greet();
  send(headers(1, request_block()));
  raw->window = 0;
  server->drain(std::chrono::seconds(1));
  turn();
  loop.skip(std::chrono::seconds(2));
  reply(last(), 200, "late");
  turn();
  loop.skip(std::chrono::seconds(29));
  turn();
  EXPECT_FALSE(closed);
  loop.skip(std::chrono::seconds(2));
  turn();
  EXPECT_TRUE(closed);
}

TEST_F(H2ServerTest, DrainsInTwoSteps) {
  answer = false;
  Client& c = client();
  Client::Exchange& first = c.request("GET", "/1");
  turn();
  server->drain(std::chrono::seconds(5));
  turn();
  EXPECT_TRUE(c.saw_goaway);
  EXPECT_EQ(c.goaway_last, INT32_MAX);
  loop.skip(std::chrono::seconds(6));
  turn();
  EXPECT_EQ(c.goaway_last, 1);
  EXPECT_FALSE(closed);
  reply(last(), 200, "late");
  turn();
  EXPECT_EQ(first.body, "late");
  EXPECT_TRUE(first.closed);
  EXPECT_TRUE(c.saw_end);
  loop.skip(std::chrono::seconds(2));
  turn();
  EXPECT_TRUE(closed);
}

TEST_F(H2ServerTest, TellsExchangesWhenTheClientResetsOrLeaves) {
  answer = false;
  greet();
  send(headers(1, request_block()) + headers(3, request_block()));
  noted();
  send(frame(3, 0, 1, testing::be32(8)));
  EXPECT_EQ(noted(), "failed kDownstreamReset; done; ");
  EXPECT_TRUE(saw(Event::kResetReceived));
  end_of_server->inject_fin();
  turn();
  EXPECT_EQ(noted(), "failed kDownstreamClosed; done; closed kDownstreamClosed; ");
}

TEST_F(H2ServerTest, TakesTheLeaveOfAClientThatNamesItsOwnLastStream) {
  // As grpc-go does when a channel is closed; RFC 9113, 6.8, means one of the server's.
  for (const auto& [error, is_wrong] : {std::pair{0, false}, {1, true}}) {
    events.clear();
    open();
    greet();
    send(testing::headers(1, testing::request_block()));
    send(testing::frame(7, 0, 0, testing::be32(1) + testing::be32(static_cast<uint32_t>(error))));
    EXPECT_EQ(saw(H2ServerConnection::Event::kProtocolError), is_wrong);
    raw->close();
    turn();
    EXPECT_TRUE(closed);
  }
}

TEST_F(H2ServerTest, AnswersHeadWithTheLengthOfTheBodyThatIsNotSent) {
  Client& c = client();
  Client::Exchange& e = c.request("HEAD", "/abc");
  turn();
  EXPECT_EQ(e.head, ":status: 200\ncontent-length: 4\n");
  EXPECT_EQ(e.body, "");
  EXPECT_TRUE(e.closed);
}

TEST_F(H2ServerTest, GivesUpOnAFinishedResponseThatNobodyTakes) {
  answer = false;
  limits.flush_time = std::chrono::seconds(3);
  open();
  Client& c = client();
  c.returns_window = false;
  Client::Exchange& e = c.request("GET", "/large");
  turn();
  send_head();
  const std::string large(3 << 20, 'x');
  last().stream->send_body(large, true);
  turn();
  EXPECT_FALSE(e.closed);
  loop.skip(std::chrono::seconds(4));
  turn();
  EXPECT_TRUE(e.closed);
  EXPECT_EQ(e.error, H2Error::kCancel);
  EXPECT_TRUE(saw(Event::kFlushTimeout));
}

}  // namespace
}  // namespace pillion::http
