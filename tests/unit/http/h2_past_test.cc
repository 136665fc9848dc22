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
// What a scan of `frames` finds: where the connection ends, and which stream is to be reset.
std::string scan(H2Past& past, std::string_view frames) {
  const H2Past::Found found = past.scan(frames);
  std::string out;
  if (found.reset != 0) out += str("reset ", found.reset, "; ");
  if (found.verdict == H2Past::Verdict::kFine) return out;
  const bool is_closed = found.verdict == H2Past::Verdict::kStreamClosed;
  return out + str(is_closed ? "STREAM_CLOSED" : "PROTOCOL_ERROR", " at ", found.fine);
}

std::string scan_all(const std::string& frames, size_t piece = 1 << 20) {
  H2Past past(true, 0);
  for (size_t at = 0; at < frames.size(); at += piece) {
    const std::string found = scan(past, std::string_view(frames).substr(at, piece));
    if (!found.empty()) return found;
  }
  return "fine";
}

const std::string kReset1 = frame(3, 0, 1, be32(8));

TEST(H2Past, FindsFramesBehindTheEndOfTheirStream) {
  const std::string one = headers(1, "x"), two = headers(1, "x", false);
  for (const auto& [frames, found] : {
           std::pair{one + headers(3, "y") + data(3, "z"), std::string("STREAM_CLOSED at 20")},
           {one + data(1, ""), "STREAM_CLOSED at 10"},
           {one + headers(1, "x"), "STREAM_CLOSED at 10"},
           {two + data(1, "abc", true) + data(1, "d"), "STREAM_CLOSED at 22"},
           {two + kReset1 + data(1, "d"), "reset 1; "},
           {two + kReset1 + headers(1, "x") + data(1, "d"), "reset 1; "},
           {one + kReset1 + headers(1, "x") + kReset1, "reset 1; "},
           {headers(5, "x") + headers(3, "x"), "PROTOCOL_ERROR at 10"},
           {frame(2, 0, 0, "12345"), "PROTOCOL_ERROR at 0"},
           {two + data(1, "a") + data(1, "b") + headers(1, "t"), "fine"},
           {one + frame(8, 0, 1, be32(1)) + kReset1 + frame(2, 0, 1, "12345"), "fine"},
           {headers(1, "x") + headers(3, "x") + headers(9, "x"), "fine"},
           {frame(4, 0, 0, "") + frame(6, 0, 0, "12345678") + frame(9, 0, 1, "x"), "fine"},
       }) {
    EXPECT_EQ(scan_all(frames), found);
  }
}

TEST(H2Past, FindsThemInWhateverPiecesTheyCome) {
  const std::string frames = headers(1, "x", false) + data(1, "abc", true) + data(1, "d");
  for (const size_t piece : {1u, 2u, 8u, 9u, 10u, 11u}) {
    EXPECT_TRUE(scan_all(frames, piece).starts_with("STREAM_CLOSED at ")) << piece;
  }
  EXPECT_EQ(scan_all(frames, 26), "STREAM_CLOSED at 0") << "its header began in the piece before";
}

TEST(H2Past, SkipsThePreface) {
  H2Past past(true, kH2Preface.size());
  EXPECT_EQ(scan(past, kH2Preface.substr(0, 10)), "");
  EXPECT_EQ(scan(past, str(kH2Preface.substr(10), headers(1, "x"), data(1, "d"))),
            "STREAM_CLOSED at 24");
}

TEST(H2Past, ForgetsWhatIsOverForLong) {
  std::string frames;
  for (uint32_t id = 1; id < 11; id += 2) frames += headers(id, "x");
  EXPECT_EQ(scan_all(frames + data(1, "d")), "fine");
  EXPECT_EQ(scan_all(frames + data(3, "d")), "STREAM_CLOSED at 50");
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

TEST_F(H2ClientTest, KeepsAConnectionWhoseServerGoesOnBehindAnEnd) {
  open();
  Exchange& e = get();
  own_end->inject(frame(3, 0, 1, be32(2)) + data(1, "x") + data(1, "y"));
  turn();
  EXPECT_EQ(e.log, "reset kStreamReset; ");
  EXPECT_EQ((get(), peer->respond(1), turn(), exchanges[1]->log), "head 200 end; ");
  // As gRPC's C core when a call is cancelled.
  own_end->inject(headers(3, "") + frame(3, 0, 3, be32(0)));
  turn();
  Exchange& other = get();
  peer->respond(2, "ok");
  turn();
  EXPECT_EQ(other.log, "head 200; end ok; ");
  EXPECT_FALSE(has_event(ClientConnection::Event::kConnectionError));
}

}  // namespace
}  // namespace pillion::http
