// What is refused, how the connection lingers then, and answers that come before the whole request.
#include "proxy/http/h1_server.h"
#include "tests/support/run_until.h"
#include "tests/unit/http/server_fixture.h"

namespace pillion::http {
namespace {

const std::string kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string kChunked = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST_F(ServerTest, StrayBlankLinesBetweenRequestsMakeNoStream) {
  send(kGet + "\r\n");
  EXPECT_TRUE(server->is_idle());
  send("\r\n");
  EXPECT_TRUE(server->is_idle());
  EXPECT_EQ(streams, 1);
  send(kGet);
  EXPECT_EQ(streams, 2);
  for (int i = 0; i < 20 && !closed; ++i) send("\r\n");
  EXPECT_NE(noted().find("failed kTooManyBlankLines"), std::string::npos);
  EXPECT_EQ(malformed, 1);
}

TEST_F(ServerTest, HalfABlankLineMakesNoStreamEither) {
  send("\r");
  EXPECT_TRUE(server->is_idle());
  send("\n");
  EXPECT_EQ(streams, 0);
  send("\r");
  send("\n" + kGet);
  EXPECT_EQ(streams, 1);
}

TEST_F(ServerTest, RefusesACarriageReturnThatBeginsNoBlankLine) {
  send("\r");
  send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(noted(), "failed kBareCrOrLf  ; done; ");
}

TEST_F(ServerTest, RefusesAndLingers) {
  send("GET /secret HTTP/1.1\r\nHost: h\r\nBad Name: 1\r\n\r\n" + kGet);
  EXPECT_EQ(noted(), "failed kBadFieldName GET /secret; done; ");
  const std::string got = received();
  EXPECT_EQ(got.substr(0, 24), "HTTP/1.1 400 Bad Request") << got;
  EXPECT_NE(got.find("connection: close\r\n"), std::string::npos);
  // Our FIN is out, the client's bytes are dropped, its FIN ends it.
  EXPECT_TRUE(client->peer_sent_fin());
  EXPECT_FALSE(end_of_server->was_closed());
  send(kGet + kGet);
  EXPECT_EQ(streams, 1);
  end_of_server->inject_fin();
  turn();
  EXPECT_EQ(noted(), "closed kNone; ");
}

TEST_F(ServerTest, LingersForABoundedNumberOfBytes) {
  send("BAD\r\n\r\n");
  EXPECT_FALSE(closed);
  for (int i = 0; i < 8 && !closed; ++i) send(std::string(10'000, 'x'));
  EXPECT_TRUE(closed);
}

TEST_F(ServerTest, LingersForABoundedTime) {
  send("BAD\r\n\r\n");
  const Instant begin = MonotonicClock::now();
  EXPECT_TRUE(testing::run_until(loop, [&] { return closed; }));
  EXPECT_LE(MonotonicClock::now() - begin, std::chrono::seconds(3));
}

TEST_F(ServerTest, ARefusalIsNotAnsweredInTheMannerOfTheRequestBefore) {
  send("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(received(), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
  send("BAD\r\n\r\n");
  const std::string got = received();
  EXPECT_NE(got.find("\r\n\r\nBad Request"), std::string::npos) << got;
}

TEST_F(ServerTest, AHeadThatCameInPiecesCanBeLoggedAfterItsRefusal) {
  for (char c : std::string("GET /in/pieces HTTP/1.1\r\nHost: h\r\nX y\r\n")) send({&c, 1});
  EXPECT_EQ(noted(), "failed kBadFieldName GET /in/pieces; done; ");
}

TEST_F(ServerTest, RefusesBadBodies) {
  send(kChunked + "x\r\n");
  EXPECT_EQ(noted(), "head POST /c; failed kBadChunk POST /c; done; ");
  EXPECT_EQ(received().substr(0, 12), "HTTP/1.1 400");
  open();
  send(kChunked + "0\r\nHost: a\r\n\r\n");
  EXPECT_EQ(received().substr(0, 12), "HTTP/1.1 400");
  EXPECT_EQ(malformed, 2);
}

TEST_F(ServerTest, ABadBodyAfterTheResponseBeganCutsIt) {
  answer = false;
  send(kChunked + "1\r\na\r\n");
  server->send_head(*response(200), false);
  server->send_body("part", false);
  batch.flush();
  response_began = true;
  send("x\r\n");
  EXPECT_EQ(noted(), "head POST /c; failed kBadChunk POST /c; done; ");
  EXPECT_EQ(received().find("0\r\n\r\n"), std::string::npos);
  char room[10];
  EXPECT_EQ(client->read(room, sizeof room).status, io::IoStatus::kEof);
}

TEST_F(ServerTest, AnEarlyAnswerReachesAClientThatStillSends) {
  answer_at_head = true;
  send("POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" +
       std::string(200'000, 'x'));
  const std::string got = received();
  EXPECT_EQ(got, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\n/big");
  EXPECT_FALSE(closed) << "a close now would reset the connection and destroy the reply";
  EXPECT_EQ(body, "");
  for (int i = 0; i < 10 && !closed; ++i) send(std::string(10'000, 'x'));
  EXPECT_TRUE(closed);
}

TEST_F(ServerTest, BytesBehindTheLastRequestDoNotCostItsResponse) {
  send("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + kGet +
       std::string(100'000, 'x'));
  EXPECT_EQ(received(), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n/a");
  EXPECT_EQ(streams, 1);
}

}  // namespace
}  // namespace pillion::http
