// Frames on streams that are over, or that were never opened.
#include "proxy/http/h2_past.h"

#include "tests/unit/http/h2_client_fixture.h"
#include "tests/unit/http/h2_server_fixture.h"

namespace pillion::http {
namespace {

using testing::be32;
using testing::data;
using testing::frame;
using testing::headers;
using testing::literal;
using testing::request_block;
using enum H2Past::Verdict;

TEST(H2Past, RemembersTheLastStreamsThatThePeerEnded) {
  H2Past past;
  EXPECT_EQ(past.judge_data(1), kIgnore);
  for (const int32_t id : {1, 3, 5, 7, 9}) past.on_ended(id);
  EXPECT_EQ(past.judge_data(1), kIgnore) << "forgotten";
  EXPECT_EQ(past.judge_data(3), kConnectionClosed);
  EXPECT_EQ(past.judge_headers(9), kConnectionClosed);
  EXPECT_EQ(past.judge_data(11), kIgnore);
}

TEST(H2Past, SaysOnceThatAStreamWasReset) {
  H2Past past;
  past.on_reset(1);
  EXPECT_EQ(past.judge_data(1), kStreamClosed);
  EXPECT_EQ(past.judge_data(1), kIgnore);
  EXPECT_EQ(past.judge_headers(1), kIgnore);
}

TEST(H2Past, KnowsIdsThatWereJumpedOver) {
  H2Past past;
  past.on_opened(1);
  EXPECT_EQ(past.judge_headers(3), kIgnore);
  past.on_opened(9);
  past.on_opened(9);
  for (const int32_t id : {3, 5, 7}) EXPECT_EQ(past.judge_headers(id), kNeverOpened);
  EXPECT_EQ(past.judge_headers(1), kIgnore);
  EXPECT_EQ(past.judge_headers(9), kIgnore);
  EXPECT_EQ(past.judge_headers(11), kIgnore);
  past.on_opened(11);
  EXPECT_EQ(past.judge_headers(7), kNeverOpened);
}

TEST(H2Past, TakesTheFirstIdOfAConnectionForNoJump) {
  H2Past past;
  past.on_opened(1);
  EXPECT_EQ(past.judge_headers(1), kIgnore);
  H2Past late;
  late.on_opened(5);
  EXPECT_EQ(late.judge_headers(1), kNeverOpened);
}

TEST_F(H2ServerTest, EndsAConnectionThatGoesOnBehindAnEnd) {
  const std::string done = headers(1, request_block());
  for (const auto& [frames, error] : {
           std::pair{done + data(1, "x"), 5},
           {done + headers(1, literal("t", "1")), 5},
           {headers(5, request_block()) + headers(3, request_block()), 1},
           {frame(2, 0, 0, str(be32(0), "x")), 1},
       }) {
    open();
    greet();
    received();
    send(frames);
    EXPECT_TRUE(received().ends_with(str(" error ", error, "; "))) << error;
    raw->close();
    turn();
    EXPECT_TRUE(closed);
    EXPECT_TRUE(saw(H2ServerConnection::Event::kProtocolError));
  }
}

TEST_F(H2ServerTest, SaysOnceThatAStreamWasResetByItsClient) {
  answer = false;
  greet();
  send(headers(1, request_block(), false) + frame(3, 0, 1, be32(8)));
  received();
  send(data(1, "x") + data(1, "x") + headers(1, literal("t", "1")));
  EXPECT_EQ(received(), "RST_STREAM 1 error 5; ");
  answer = true;
  send(headers(3, request_block()));
  EXPECT_EQ(received(), "HEADERS 3; DATA 3 2 end; ");
}

TEST_F(H2ServerTest, IgnoresWhatWasOnItsWayWhenItResetTheStream) {
  greet();
  send(headers(1, str(request_block(), literal("Upper", "1")), false));
  EXPECT_TRUE(received().ends_with("RST_STREAM 1 error 1; "));
  send(data(1, "x") + headers(1, literal("t", "1")) + headers(3, request_block()));
  EXPECT_EQ(received(), "HEADERS 3; DATA 3 2 end; ");
}

TEST_F(H2ClientTest, EndsAConnectionWhoseServerGoesOnBehindAnEnd) {
  open();
  EXPECT_EQ((get(), peer->respond(0, "ok"), turn(), exchanges[0]->log), "head 200; end ok; ");
  Exchange& other = get();
  own_end->inject(data(1, "x"));
  turn();
  EXPECT_EQ(other.log, "reset kUpstreamProtocol; ");
  EXPECT_TRUE(has_event(ClientConnection::Event::kConnectionError));
  EXPECT_EQ(connection, nullptr);
}

TEST_F(H2ClientTest, KeepsAConnectionWhoseServerGoesOnBehindAReset) {
  open();
  Exchange& e = get();
  own_end->inject(frame(3, 0, 1, be32(2)) + data(1, "x") + data(1, "y"));
  turn();
  EXPECT_EQ(e.log, "reset kStreamReset; ");
  Exchange& other = get();
  peer->respond(1, "ok");
  turn();
  EXPECT_EQ(other.log, "head 200; end ok; ");
  EXPECT_FALSE(has_event(ClientConnection::Event::kConnectionError));
}

}  // namespace
}  // namespace pillion::http
