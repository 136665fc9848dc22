// One connection of a client: exchanges, framing, slow readers, ends.
#include "proxy/http/h1_server.h"

#include "tests/unit/http/server_fixture.h"

namespace pillion::http {
namespace {

const std::string kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string kOkA = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/a";
const std::string kPost = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n";
const std::string kChunked = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string kLarge(5000, 'x');

TEST_F(ServerTest, AnswersOneRequestAfterAnother) {
  send(kGet);
  EXPECT_EQ(received(), kOkA);
  EXPECT_EQ(noted(), "head GET /a end; done reusable; ");
  EXPECT_TRUE(server->is_idle());
  send(kPost + "hello");
  EXPECT_EQ(body, "hello");
  EXPECT_EQ(noted(), "head POST /p; end; done reusable; ");
  EXPECT_EQ(server->requests(), 2u);
  EXPECT_EQ(server->bytes_received(), kGet.size() + kPost.size() + 5);
  EXPECT_EQ(head_bytes, kPost.size());
}

TEST_F(ServerTest, MeansTheSameByteByByte) {
  const std::string all = kGet + kPost + "hello" + kChunked + "3;x\r\nabc\r\n0\r\nX-T: 1\r\n\r\n" +
                          kGet + "\r\n" + kChunked + "0\r\n\r\n" +
                          "GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  send(all);
  turn(20);
  const std::string whole_log = noted();
  const std::string whole_body = std::exchange(body, {});
  const std::string whole_reply = received();
  EXPECT_TRUE(closed);
  EXPECT_EQ(whole_body, "helloabc");
  EXPECT_NE(whole_log.find("trailers x-t: 1"), std::string::npos) << whole_log;
  for (const size_t cut : {1u, 2u, 3u, 7u, 64u}) {
    open();
    for (size_t i = 0; i < all.size(); i += cut) send(std::string_view(all).substr(i, cut));
    turn(20);
    EXPECT_EQ(noted(), whole_log) << cut;
    EXPECT_EQ(std::exchange(body, {}), whole_body) << cut;
    EXPECT_EQ(received(), whole_reply) << cut;
  }
}

TEST_F(ServerTest, BytesThatAnInspectorReadComeBeforeThoseOfTheSocket) {
  server->close({FailureKind::kNone});
  open(kGet.substr(0, 10));
  end_of_server->inject(kGet.substr(10));
  server->read_now();  // as a listener does right after accept
  turn();
  EXPECT_EQ(received(), kOkA);
  EXPECT_EQ(server->bytes_received(), kGet.size());
}

TEST_F(ServerTest, PipelinedBytesKeepTheirOrderWhenAnExchangeEndsBetweenReads) {
  answer = false;
  send(kGet + "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Le");
  reply(200, "/a");
  end_of_server->inject("ngth: 2\r\n\r\nok");  // is there before what waits had its turn
  server->read_now();
  answer = true;
  turn();
  EXPECT_EQ(body, "ok");
  EXPECT_EQ(noted(), "head GET /a end; done reusable; head POST /2; end; done reusable; ");
}

TEST_F(ServerTest, GoesOnReadingAfterAFullPipelineBuffer) {
  // The held bytes end inside a body: somebody must resume reading the rest.
  answer = false;
  const std::string large(100'000, 'x');
  send(kGet + "POST /l HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" +
       large.substr(0, 40'000));
  end_of_server->inject(large.substr(40'000));
  turn();
  answer = true;
  reply(200, "/a");
  turn(20);
  EXPECT_EQ(body, large);
  EXPECT_EQ(received(), kOkA + kOkA.substr(0, kOkA.size() - 1) + "l");
}

TEST_F(ServerTest, APauseEndsWithItsExchange) {
  answer = false;
  send(kPost + "he");
  server->pause_request();
  end_of_server->inject("llo" + kGet);
  turn();
  EXPECT_EQ(body, "he");
  server->resume_request();
  turn();
  EXPECT_EQ(body, "hello");
  server->pause_request();
  reply(200, "/p");
  turn();
  answer = true;
  send(kGet);
  EXPECT_EQ(noted(), "head POST /p; end; done reusable; head GET /a end; ");
  reply(200, "/a");
  turn();
  EXPECT_EQ(noted(), "done reusable; head GET /a end; done reusable; ");
}

TEST_F(ServerTest, TenThousandPipelinedRequestsShareTheLoop) {
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += kGet;
  end_of_server->window = many.size();
  loop.run_once(false);
  end_of_server->inject(many);
  loop.run_once(false);
  EXPECT_LE(streams, 64) << "one turn must not serve them all";
  size_t got = 0;
  int turns = 0;
  int peak = 0;
  for (; turns < 10'000 && got < 10'000 * kOkA.size(); ++turns) {
    const int before = streams;
    loop.run_once(false);
    peak = std::max(peak, streams - before);
    got += received().size();
  }
  EXPECT_EQ(streams, 10'000);
  EXPECT_EQ(got, 10'000 * kOkA.size());
  EXPECT_LE(peak, 64);
  EXPECT_TRUE(server->is_idle());
}

TEST_F(ServerTest, NoFurtherResponseIsMadeForAClientThatTakesNone) {
  client->window = 100;
  std::string many;
  for (int i = 0; i < 1000; ++i) many += kGet;
  send(many);
  turn(50);
  EXPECT_LE(streams, 32);
  EXPECT_LE(server->backlog(), 2000u);
  size_t got = 0;
  for (int i = 0; i < 5000 && got < 1000 * kOkA.size(); ++i) {
    got += received().size();
    turn(2);
  }
  EXPECT_EQ(got, 1000 * kOkA.size());
}

TEST_F(ServerTest, FramesTheResponseForItsClient) {
  answer = false;
  struct Case {
    std::string request;
    uint16_t status;
    std::string expected;
  };
  const Case cases[] = {
      {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200,
       "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n"},
      // HTTP/1.0 knows no chunks: the end of the connection is the end of the body.
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200,
       "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc"},
  };
  for (const Case& c : cases) {
    open();
    send(c.request);
    ResponseHead* hints = response(103);
    hints->framing = Framing::kNone;
    if (c.request.find("1.1") == std::string::npos)
      server->send_informational(*hints);  // not for HTTP/1.0
    server->send_head(*response(c.status), false);
    server->send_body("abc", false);
    Headers trailers(arena);
    trailers.add("x-t", "1");
    server->send_trailers(trailers);
    turn();
    EXPECT_EQ(received(), c.expected);
    if (server != nullptr) server->close({FailureKind::kNone});
  }
  for (const uint16_t status : {uint16_t{204}, uint16_t{304}}) {
    open();
    send(kGet);
    ResponseHead* h = response(status);
    h->framing = Framing::kNone;
    server->send_head(*h, true);
    turn();
    const std::string got = received();
    EXPECT_EQ(got.find("content-length"), std::string::npos) << got;
    EXPECT_TRUE(server->is_idle());
    server->close({FailureKind::kNone});
  }
  open();
  send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  reply(205, "");
  turn();
  EXPECT_EQ(received(),
            "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n");
  open();
  send(kGet);
  ResponseHead* hints = response(103);
  server->send_informational(*hints);
  server->send_head(*response(200), false);
  server->send_body("abc", true);
  turn();
  EXPECT_EQ(received(),
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: "
            "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
}

TEST_F(ServerTest, ABrokenResponseNeverLooksComplete) {
  answer = false;
  send("GET / HTTP/1.0\r\n\r\n");  // framed by the end of the connection
  server->send_head(*response(200), false);
  server->send_body("part", false);
  batch.flush();
  server->reset({FailureKind::kUpstreamTruncated});
  char room[1000];
  turn();
  EXPECT_GT(client->read(room, sizeof room).bytes, 0u);
  EXPECT_EQ(client->read(room, sizeof room).status, io::IoStatus::kError);  // a reset, no FIN
}

TEST_F(ServerTest, WhatCameOfABrokenResponseReachesTheClientWhereItsFramingShowsTheGap) {
  for (const bool has_length : {true, false}) {
    if (closed) open();
    answer = false;
    send(kGet);
    http::ResponseHead* head = response(200);
    head->framing = has_length ? Framing::kLength : Framing::kChunked;
    head->content_length = 10;
    server->send_head(*head, false);
    server->send_body("part", false);
    server->reset({FailureKind::kUpstreamTruncated});
    turn();
    char room[1000];
    const io::IoResult r = client->read(room, sizeof room);
    const std::string got(room, r.bytes);
    EXPECT_NE(got.find("part"), got.npos);
    EXPECT_EQ(got.find("\r\n0\r\n"), got.npos);
    EXPECT_EQ(client->read(room, sizeof room).status, io::IoStatus::kEof);
    EXPECT_TRUE(closed);
  }
}

TEST_F(ServerTest, ASlowReaderIsToldOfAndHeardAgain) {
  answer = false;
  client->window = 1000;
  send(kGet);
  server->send_head(*response(200), false);
  const std::string large(5000, 'x');
  server->send_body(large, false);
  batch.flush();
  EXPECT_TRUE(server->is_backed_up());
  size_t got = 0;
  for (int i = 0; i < 20; ++i) {
    got += received().size();
    turn();
  }
  EXPECT_FALSE(server->is_backed_up());
  EXPECT_GT(got, 5000u);
  EXPECT_EQ(noted(), "head GET /a end; drained; ");
}

TEST_F(ServerTest, DrainAnnouncesAndClosesIdleConnectionsWithTheirLastResponse) {
  answer = false;
  send(kGet);
  server->drain();
  reply(200, "/a");
  turn();
  EXPECT_EQ(received(), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n/a");
  EXPECT_TRUE(closed);
  open();
  server->drain();
  EXPECT_TRUE(closed);
  open();
  noted();
  client->window = 1000;
  send(kGet);
  reply(200, kLarge);
  turn();
  EXPECT_TRUE(server->is_idle());
  server->drain();  // idle, but the client is still taking the response
  size_t got = 0;
  for (int i = 0; i < 20; ++i) {
    got += received().size();
    turn();
  }
  EXPECT_GT(got, 5000u);
  EXPECT_TRUE(closed);
}

TEST_F(ServerTest, TheClientsEndInEachState) {
  end_of_server->inject_fin();
  turn();
  EXPECT_EQ(noted(), "closed kNone; ");
  struct Case {
    std::string bytes;
    std::string expected;
  };
  const Case cases[] = {
      {"GET /", "failed kRequestTruncated  ; closed kRequestTruncated; "},
      {kPost + "he", "head POST /p; failed kRequestTruncated POST /p; closed kRequestTruncated; "},
      {kChunked + "0\r\nX",
       "head POST /c; failed kRequestTruncated POST /c; closed kRequestTruncated; "},
      {kGet, "head GET /a end; failed kDownstreamClosed GET /a; closed kDownstreamClosed; "},
  };
  answer = false;
  for (const Case& c : cases) {
    open();
    send(c.bytes);
    end_of_server->inject_fin();
    turn();
    EXPECT_EQ(noted(), c.expected);
  }
  open();
  send(kPost + "he");
  end_of_server->inject_reset();
  turn();
  EXPECT_EQ(noted(), "head POST /p; failed kDownstreamReset POST /p; closed kDownstreamReset; ");
}

TEST_F(ServerTest, RequestsThatCameBeforeTheClientsEndAreAnswered) {
  std::string many;
  for (int i = 0; i < 100; ++i) many += kGet;
  end_of_server->inject(many);
  end_of_server->inject_fin();
  turn(60);
  EXPECT_EQ(streams, 100);
  EXPECT_EQ(received().size(), 100 * kOkA.size());
  EXPECT_TRUE(closed);
}

TEST_F(ServerTest, AClientThatEndedItsDirectionStillGetsTheWholeLastResponse) {
  client->window = 1000;
  answer = false;
  send(kGet);
  reply(200, kLarge);
  end_of_server->inject_fin();
  turn();
  size_t got = 0;
  for (int i = 0; i < 20; ++i) {
    got += received().size();
    turn();
  }
  EXPECT_GT(got, 5000u);
  EXPECT_TRUE(closed);
}

TEST_F(ServerTest, AFailedWriteEndsTheExchange) {
  answer = false;
  send(kGet);
  client->close(io::Transport::CloseMode::kReset);
  server->send_head(*response(200), false);
  batch.flush();
  turn();
  EXPECT_NE(noted().find("failed kDownstreamReset"), std::string::npos);
  EXPECT_TRUE(closed);
}

TEST_F(ServerTest, LimitsCanChangeBetweenRequests) {
  send(kGet);
  default_limits.max_fields = 0;
  send(kGet);
  EXPECT_NE(noted().find("failed kTooManyFields"), std::string::npos);
}

}  // namespace
}  // namespace pillion::http
