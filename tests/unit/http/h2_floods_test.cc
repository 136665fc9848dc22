// Clients that keep an HTTP/2 connection busy with frames that cost them little: each is cut off.
#include "tests/unit/http/h2_server_fixture.h"

namespace pillion::http {
namespace {

using testing::be32;
using testing::data;
using testing::frame;
using testing::headers;
using testing::literal;
using testing::request_block;
using Event = H2ServerConnection::Event;

class H2FloodTest : public H2ServerTest {
 protected:
  // Sends `make(i)` until the connection ends; false when it never does.
  template <typename Make>
  bool ends_within(int count, Make&& make) {
    greet();
    for (int i = 0; i < count;) {
      std::string bytes;
      for (int n = 0; n < 200 && i < count; ++n, ++i) bytes += make(i);
      if (end_of_server->was_closed()) return true;
      end_of_server->inject(bytes);
      turn(2);
      told += received();
      if (told.find("GOAWAY") != std::string::npos || closed) return true;
    }
    return false;
  }
  std::string told;
};

TEST_F(H2FloodTest, RapidReset) {
  EXPECT_TRUE(ends_within(5000, [](int i) {
    const auto id = static_cast<uint32_t>(2 * i + 1);
    return headers(id, request_block()) + frame(3, 0, id, be32(8));
  }));
  EXPECT_LE(begun, 1500);
  EXPECT_TRUE(saw(Event::kResetFlood));
}

// A client that never says that it knows our limit, and takes nothing of what it is told.
TEST_F(H2FloodTest, StreamsBeyondTheLimitWhoseRefusalsAreNotTaken) {
  options.max_concurrent_streams = 1;
  answer = false;
  open();
  raw->window = 0;
  greet();
  send(headers(1, request_block()));
  const std::string large(100'000, 'x');
  last().stream->send_head(*response(last(), 200), false);
  last().stream->send_body(large, false);
  turn();
  std::string many;
  for (uint32_t i = 1; i < 3000; ++i) many += headers(2 * i + 1, request_block());
  end_of_server->inject(many);
  turn(100);
  EXPECT_TRUE(saw(Event::kResetFlood));
  EXPECT_EQ(begun, 1);
}

TEST_F(H2FloodTest, ResetsForFailuresBehindUsAreNotTheClientsDoing) {
  answer = false;
  greet();
  for (uint32_t i = 0; i < 1500; ++i) {
    end_of_server->inject(headers(2 * i + 1, request_block()));
    turn(2);
    ASSERT_FALSE(exchanges.empty()) << i;
    last().stream->send_head(*response(last(), 200), false);
    last().stream->reset({FailureKind::kUpstreamReset});
    turn(2);
  }
  EXPECT_FALSE(saw(Event::kResetFlood));
}

TEST_F(H2FloodTest, ResetsThatTheClientProvokes) {
  EXPECT_TRUE(ends_within(5000, [](int i) {
    return headers(static_cast<uint32_t>(2 * i + 1), literal(":method", "GET"));
  }));
  EXPECT_NE(told.find("error 11"), std::string::npos);
  EXPECT_TRUE(saw(Event::kResetFlood));
}

TEST_F(H2FloodTest, EmptyData) {
  EXPECT_TRUE(ends_within(
      5, [](int i) { return i == 0 ? headers(1, request_block("POST"), false) : data(1, ""); }));
  EXPECT_TRUE(saw(Event::kEmptyFramesFlood));
}

TEST_F(H2FloodTest, PriorityFrames) {
  EXPECT_TRUE(ends_within(1000, [](int) { return frame(2, 0, 1, be32(0) + "\x10"); }));
  EXPECT_TRUE(saw(Event::kPriorityFlood));
}

TEST_F(H2FloodTest, WindowUpdates) {
  EXPECT_TRUE(ends_within(1000, [](int) { return frame(8, 0, 0, be32(1)); }));
  EXPECT_TRUE(saw(Event::kWindowUpdateFlood));
}

TEST_F(H2FloodTest, ContinuationWithoutEnd) {
  EXPECT_TRUE(ends_within(100, [](int i) {
    return i == 0 ? frame(1, 1, 1, request_block()) : frame(9, 0, 1, literal("x", "y"));
  }));
}

TEST_F(H2FloodTest, PingsWhoseAnswersAreNotTaken) {
  raw->window = 1000;
  greet();
  std::string pings;
  for (int i = 0; i < 20'000; ++i) pings += frame(6, 0, 0, "12345678");
  for (size_t at = 0; at < pings.size() && !closed; at += 50'000) {
    end_of_server->inject(std::string_view(pings).substr(at, 50'000));
    turn(2);
  }
  EXPECT_TRUE(saw(Event::kControlFlood));
}

TEST_F(H2FloodTest, SettingsWhoseAnswersAreNotTaken) {
  raw->window = 1000;
  greet();
  std::string settings;
  for (int i = 0; i < 20'000; ++i) settings += frame(4, 0, 0, "");
  for (size_t at = 0; at < settings.size() && !closed; at += 50'000) {
    end_of_server->inject(std::string_view(settings).substr(at, 50'000));
    turn(2);
  }
  EXPECT_TRUE(saw(Event::kControlFlood));
}

TEST_F(H2FloodTest, ABombOfIndexedFieldsCostsItsBytesOnly) {
  limits.max_fields = 100;
  open();
  greet();
  // One large field into the dynamic table, then thousands of references to it.
  std::string entry = literal("x", std::string(3000, 'b'));
  entry[0] = 0x40;
  send(headers(1, request_block() + entry + std::string(12'000, '\xbe')));
  EXPECT_NE(noted().find("failed kH2"), std::string::npos);
  EXPECT_FALSE(closed);
}

TEST_F(H2FloodTest, OneTurnTakesABoundedNumberOfRequests) {
  greet();
  std::string many;
  for (uint32_t i = 0; i < 500; ++i) many += headers(2 * i + 1, request_block());
  end_of_server->inject(many);
  loop.run_once(false);
  EXPECT_LE(begun, 70);
  turn(20);
  EXPECT_EQ(begun, 500);
  EXPECT_FALSE(closed);
}

TEST_F(H2FloodTest, AnythingButTheProtocolEndsTheConnection) {
  send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  loop.skip(std::chrono::seconds(2));
  turn();
  EXPECT_TRUE(closed);
  EXPECT_EQ(begun, 0);
}

TEST_F(H2FloodTest, ADrainGivesNoTimeToAConnectionThatIsToEnd) {
  raw->window = 0;  // it does not take the GOAWAY
  send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  server->drain(std::chrono::hours(1));
  loop.skip(std::chrono::seconds(2));
  turn();
  EXPECT_TRUE(closed);
}

}  // namespace
}  // namespace pillion::http
