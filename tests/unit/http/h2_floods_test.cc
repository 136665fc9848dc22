// Clients that keep an HTTP/2 connection busy with frames that cost them little: each is cut off
// with ENHANCE_YOUR_CALM, is counted as what it did, and costs little memory until then.
#include "tests/support/heap_bytes.h"
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

constexpr size_t kMaxCost = 4 * 1024 * 1024;

// The id of the client's i-th stream.
uint32_t id_of(int i) { return static_cast<uint32_t>(2 * i + 1); }
std::string open_post(uint32_t id, std::string_view more = {}) {
  return headers(id, str(request_block("POST"), more), false);
}
std::string goaway() { return frame(7, 0, 0, be32(0) + be32(0)); }
std::string setting(uint8_t id, uint32_t value) {
  return str(std::string(1, '\0'), std::string(1, static_cast<char>(id)), be32(value));
}
std::string repeated(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

class H2FloodTest : public H2ServerTest {
 protected:
  // Sends `make(i)` until the connection ends; false when it never does.
  template <typename Make>
  bool ends_within(int count, Make&& make) {
    greet();
    const size_t before = testing::heap_bytes();
    for (int i = 0; i < count;) {
      std::string bytes;
      for (int n = 0; n < 200 && i < count; ++n, ++i) bytes += make(i);
      if (is_over()) return true;
      end_of_server->inject(bytes);
      turn(2);
      told += received();
      most = std::max(most, testing::heap_bytes() - std::min(before, testing::heap_bytes()));
      if (is_over()) return true;
    }
    // Turns take less than was sent.
    for (int i = 0; i < count / 4 && !is_over(); ++i) {
      turn(1);
      told += received();
    }
    return is_over();
  }
  bool is_over() {
    return closed || end_of_server->was_closed() || told.find("GOAWAY") != std::string::npos;
  }
  std::string told;
  size_t most = 0;
};

struct Attack {
  const char* name;
  H2Flood flood;
  int count;  // that is enough
  std::string (*make)(int);
  bool answers = true;  // the server
};

void PrintTo(const Attack& attack, std::ostream* out) { *out << attack.name; }

class H2Attack : public H2FloodTest, public ::testing::WithParamInterface<Attack> {};

TEST_P(H2Attack, IsCutOffCountedAndCheap) {
  const Attack& attack = GetParam();
  answer = attack.answers;
  EXPECT_TRUE(ends_within(attack.count, attack.make)) << told.substr(0, 500);
  EXPECT_NE(told.find("error 11; "), std::string::npos) << told.substr(0, 500);
  EXPECT_EQ(floods, std::vector<H2Flood>{attack.flood});
  EXPECT_FALSE(saw(Event::kProtocolError));
  EXPECT_LT(most, kMaxCost);
}

const Attack kAttacks[] = {
    {"RapidReset", H2Flood::kResets, 1100,
     [](int i) { return headers(id_of(i), request_block()) + frame(3, 0, id_of(i), be32(8)); }},
    {"RapidResetOfUnansweredRequests", H2Flood::kResets, 1100,
     [](int i) { return headers(id_of(i), request_block()) + frame(3, 0, id_of(i), be32(8)); },
     false},
    // MadeYouReset: mistakes for which the server has to reset the stream.
    {"MalformedHeads", H2Flood::kOwnResets, 1100,
     [](int i) { return headers(id_of(i), literal(":method", "GET")); }},
    {"HeadsWithoutFields", H2Flood::kOwnResets, 3000, [](int i) { return headers(id_of(i), ""); }},
    {"OverflowingStreamWindows", H2Flood::kOwnResets, 1100,
     [](int i) { return open_post(id_of(i)) + frame(8, 0, id_of(i), be32(0x7fffffff)); }, false},
    {"BodiesLongerThanTheirLength", H2Flood::kOwnResets, 1100,
     [](int i) {
       return open_post(id_of(i), literal("content-length", "1")) + data(id_of(i), "22", true);
     }},
    {"TrailersThatDoNotEndTheStream", H2Flood::kOwnResets, 1100,
     [](int i) { return open_post(id_of(i)) + headers(id_of(i), literal("x", "y"), false); }},
    {"TooManyFieldsAgainAndAgain", H2Flood::kOwnResets, 1100,
     [](int i) {
       return headers(id_of(i), request_block() + repeated(std::string(1, '\x90'), 200));
     }},
    {"EmptyData", H2Flood::kEmptyFrames, 5,
     [](int i) { return i == 0 ? open_post(1) : data(1, ""); }},
    {"EmptyContinuations", H2Flood::kEmptyFrames, 5,
     [](int i) { return i == 0 ? frame(1, 0, 1, "") : frame(9, 0, 1, ""); }},
    {"DataOfPaddingAlone", H2Flood::kEmptyFrames, 5,
     [](int i) {
       return i == 0 ? open_post(1) : frame(0, 8, 1, str("\xff", std::string(255, '\0')));
     }},
    {"Priority", H2Flood::kPriority, 200, [](int) { return frame(2, 0, 1, be32(0) + "\x10"); }},
    {"PriorityOfIdleStreams", H2Flood::kPriority, 200,
     [](int i) { return frame(2, 0, id_of(i), be32(0) + "\x10"); }},
    {"WindowUpdates", H2Flood::kWindowUpdate, 100, [](int) { return frame(8, 0, 0, be32(1)); }},
    {"Continuations", H2Flood::kContinuation, 20,
     [](int i) {
       return i == 0 ? frame(1, 1, 1, request_block()) : frame(9, 0, 1, literal("x", "y"));
     }},
    {"Pings", H2Flood::kPing, 30'000, [](int) { return frame(6, 0, 0, "12345678"); }},
    {"AnswersToPingsThatNobodySent", H2Flood::kPing, 30'000,
     [](int) { return frame(6, 1, 0, "12345678"); }},
    {"Settings", H2Flood::kSettings, 3000, [](int) { return frame(4, 0, 0, ""); }},
    {"SettingsOfTheTableToAndFro", H2Flood::kSettings, 3000,
     [](int i) { return frame(4, 0, 0, setting(1, i % 2 == 0 ? 0 : 4096)); }},
    {"SettingsOfManyEntries", H2Flood::kSettings, 2,
     [](int) { return frame(4, 0, 0, repeated(setting(0x99, 1), 2000)); }},
    {"Goaway", H2Flood::kGoaway, 3000, [](int i) { return i == 0 ? open_post(1) : goaway(); },
     false},
    {"UnknownFrames", H2Flood::kIgnoredFrames, 1'500'000,
     [](int) { return frame(0x42, 0xff, 1, "what?"); }},
    // One whose end is not remembered (H2Past), once it is answered.
    {"DataOfAStreamThatIsOver", H2Flood::kIgnoredFrames, 1'500'000,
     [](int i) {
       if (i < 10) return headers(id_of(i), request_block());
       return i < 200 ? std::string() : data(1, "x");
     }},
    {"HeadsOfAStreamThatIsOver", H2Flood::kIgnoredFrames, 30'000,
     [](int i) {
       if (i < 10) return headers(id_of(i), request_block());
       return i < 200 ? std::string() : headers(1, request_block(), false);
     }},
    // One field of 3 KB in the dynamic table, and references to it of a byte each.
    {"BombOfIndexedFields", H2Flood::kHeaderList, 2,
     [](int i) {
       std::string entry = literal("x", std::string(3000, 'b'));
       entry[0] = 0x40;
       return headers(id_of(i), request_block() + entry + std::string(12'000, '\xbe'));
     }},
};

INSTANTIATE_TEST_SUITE_P(Kinds, H2Attack, ::testing::ValuesIn(kAttacks),
                         [](const auto& test) { return std::string(test.param.name); });

struct Mistake {
  const char* name;
  std::string bytes;
  const char* error;
};

// These would be a reset for some servers, and so a way to provoke it; for us the connection ends.
TEST_F(H2FloodTest, MistakesOfTheFramingEndTheConnectionAtOnce) {
  const Mistake mistakes[] = {
      {"update of 0", open_post(1) + frame(8, 0, 1, be32(0)), "error 1; "},
      {"DATA behind the end", headers(1, request_block()) + data(1, "x"), "error 5; "},
      {"HEADERS behind the end", headers(1, request_block()) + headers(1, literal("x", "y")),
       "error 5; "},
      {"depends on itself", frame(1, 0x25, 1, be32(1) + "\x10" + request_block()), "error 1; "},
      {"RST_STREAM of an idle stream", frame(3, 0, 9, be32(8)), "error 1; "},
      {"WINDOW_UPDATE of an idle stream", frame(8, 0, 9, be32(8)), "error 1; "},
      {"PRIORITY of 4 bytes", frame(2, 0, 1, be32(1)), "error 6; "},
      {"a frame of 16 MiB", std::string("\xff\xff\xff\0\0\0\0\0\1", 9), "error 6; "},
      {"a bad index", headers(1, "\xff\xff\xff\x7f"), "error 9; "},
      {"the connection's window", frame(8, 0, 0, be32(0x7fffffff)), "error 3; "},
  };
  answer = false;
  for (const Mistake& mistake : mistakes) {
    events.clear();
    open();
    greet();
    send(mistake.bytes);
    const std::string got = received();
    EXPECT_NE(got.find(mistake.error), std::string::npos) << mistake.name << ": " << got;
    EXPECT_TRUE(saw(Event::kProtocolError)) << mistake.name;
    EXPECT_TRUE(floods.empty()) << mistake.name;
  }
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
  for (int i = 1; i < 3000; ++i) many += headers(id_of(i), request_block());
  end_of_server->inject(many);
  turn(100);
  EXPECT_EQ(floods, std::vector<H2Flood>{H2Flood::kOwnResets});
  EXPECT_EQ(begun, 1);
}

TEST_F(H2FloodTest, RepeatedHeadsOfARefusedStream) {
  options.max_concurrent_streams = 1;
  answer = false;
  open();
  EXPECT_TRUE(ends_within(30'000, [](int i) {
    return i == 0 ? headers(1, request_block()) : headers(3, request_block(), false);
  }));
  EXPECT_EQ(floods, std::vector<H2Flood>{H2Flood::kIgnoredFrames});
}

TEST_F(H2FloodTest, ResetsForFailuresBehindUsAreNotTheClientsDoing) {
  answer = false;
  greet();
  for (int i = 0; i < 1500; ++i) {
    end_of_server->inject(headers(id_of(i), request_block()));
    turn(2);
    ASSERT_FALSE(exchanges.empty()) << i;
    last().stream->send_head(*response(last(), 200), false);
    last().stream->reset({FailureKind::kUpstreamReset});
    turn(2);
  }
  EXPECT_TRUE(floods.empty());
}

TEST_F(H2FloodTest, ResetsThatTimeAllowsAreFine) {
  options.stream_reset_burst = 10;
  options.stream_reset_rate = 5;
  open();
  greet();
  const auto reset = [this](int i) {
    send(headers(id_of(i), request_block()) + frame(3, 0, id_of(i), be32(8)));
  };
  int i = 0;
  for (; i < 10; ++i) reset(i);
  loop.skip(std::chrono::seconds(1));
  for (; i < 15; ++i) reset(i);
  EXPECT_TRUE(floods.empty());
  reset(i);
  EXPECT_EQ(floods, std::vector<H2Flood>{H2Flood::kResets});
}

TEST_F(H2FloodTest, ResetsThatAnswersHaveEarnedAreFine) {
  options.stream_reset_burst = 10;
  options.stream_reset_rate = 0;
  open();
  greet();
  int i = 0;
  for (; i < 10 * static_cast<int>(kServedForAReset); ++i) send(headers(id_of(i), request_block()));
  const auto reset = [this](int n) {
    send(headers(id_of(n), request_block()) + frame(3, 0, id_of(n), be32(8)));
  };
  for (const int last = i + 20; i < last; ++i) reset(i);
  EXPECT_TRUE(floods.empty());
  reset(i);
  EXPECT_EQ(floods, std::vector<H2Flood>{H2Flood::kResets});
}

// For each of them nghttp2 looks at all streams.
TEST_F(H2FloodTest, SettingsCostMoreWithManyStreams) {
  answer = false;
  greet();
  std::string posts;
  for (int i = 0; i < 600; ++i) posts += open_post(id_of(i));
  end_of_server->inject(posts);
  turn(100);
  ASSERT_EQ(streams, 600);
  send(repeated(frame(4, 0, 0, ""), 40));
  EXPECT_EQ(floods, std::vector<H2Flood>{H2Flood::kSettings});
}

TEST_F(H2FloodTest, PingsThatTimeOrDataAllowAreFine) {
  greet();
  const std::string pings = repeated(frame(6, 0, 0, "12345678"), 900);
  for (int i = 0; i < 30; ++i) {
    send(pings);
    received();
    loop.skip(std::chrono::seconds(1));
  }
  EXPECT_TRUE(floods.empty());
  // As gRPC does while it measures the bandwidth: a PING for each piece of a body.
  send(open_post(1));
  for (int i = 0; i < 300; ++i) {
    send(repeated(data(1, "x") + frame(6, 0, 0, "12345678"), 100));
    received();
  }
  EXPECT_TRUE(floods.empty());
  EXPECT_FALSE(closed);
}

TEST_F(H2FloodTest, PingsWhoseAnswersAreNotTaken) {
  raw->window = 1000;
  greet();
  const std::string pings = repeated(frame(6, 0, 0, "12345678"), 9000);
  for (size_t at = 0; at < pings.size() && !closed; at += 50'000) {
    end_of_server->inject(std::string_view(pings).substr(at, 50'000));
    turn(2);
  }
  EXPECT_EQ(floods, std::vector<H2Flood>{H2Flood::kOutbound});
}

TEST_F(H2FloodTest, SettingsWhoseAnswersAreNotTaken) {
  options.max_outbound_control_frames = 50;
  open();
  raw->window = 1000;
  greet();
  end_of_server->inject(repeated(frame(4, 0, 0, ""), 900));
  turn();
  EXPECT_EQ(floods, std::vector<H2Flood>{H2Flood::kOutbound});
}

// A head that is too large is answered; what it unpacks to is not kept.
TEST_F(H2FloodTest, AHeadThatIsTooLargeCostsItsLimitOnly) {
  greet();
  std::string entry = literal("x", std::string(3000, 'b'));
  entry[0] = 0x40;
  const size_t before = testing::heap_bytes();
  answer = false;
  send(headers(1, request_block() + entry + std::string(60, '\xbe')));
  EXPECT_NE(noted().find("failed kH2HeadTooLarge"), std::string::npos);
  EXPECT_LT(testing::heap_bytes() - before, 3 * limits.max_bytes);
  EXPECT_FALSE(closed);
  EXPECT_TRUE(floods.empty());
}

TEST_F(H2FloodTest, TrailersHaveALimitInNumberAndInSize) {
  answer = false;
  greet();
  send(open_post(1) + headers(1, repeated(literal("x", "y"), 101)));
  EXPECT_NE(noted().find("failed kH2TooManyFields"), std::string::npos);
  send(open_post(3) + frame(1, testing::kEndStream, 3, literal("x", std::string(16'000, 'y'))) +
       frame(9, testing::kEndHeaders, 3, literal("x", std::string(400, 'y'))));
  EXPECT_NE(noted().find("failed kH2HeadTooLarge"), std::string::npos);
  EXPECT_FALSE(closed);
}

TEST_F(H2FloodTest, CrumbsOfCookiesCountAsFields) {
  greet();
  send(headers(1, request_block() + repeated(literal("cookie", "a=b"), 100)));
  EXPECT_EQ(last_head.find("cookie: a=b; a=b; a=b"), 0u) << last_head;
  noted();
  send(headers(3, request_block() + repeated(literal("cookie", "a=b"), 101)));
  EXPECT_NE(noted().find("failed kH2TooManyFields"), std::string::npos);
}

TEST_F(H2FloodTest, AHeadMayNeedManyContinuationsWhereItMayBeLarge) {
  limits.max_bytes = 300 * 1024;
  options.max_head_bytes = limits.max_bytes;
  open();
  greet();
  std::string bytes = frame(1, testing::kEndStream, 1, request_block());
  for (int i = 0; i < 18; ++i) bytes += frame(9, 0, 1, literal("x", std::string(16'000, 'y')));
  send(bytes + frame(9, testing::kEndHeaders, 1, ""));
  EXPECT_NE(noted().find("head GET /a end"), std::string::npos);
  EXPECT_TRUE(floods.empty());
}

// Entries that push each other out of the decoder's table, whose size goes to and fro.
TEST_F(H2FloodTest, ThrashingTheTableCostsNoMemory) {
  greet();
  std::string fields;
  for (int i = 0; i < 30; ++i) {
    std::string entry = literal(str("x-", i), std::string(500, 'b'));
    entry[0] = 0x40;
    fields += entry;
  }
  const std::string sizes("\x20\x3f\xe1\x1f", 4);  // 0, then 4096
  size_t before = 0;
  for (int i = 0; i < 300; ++i) {
    send(headers(id_of(i), sizes + request_block() + fields));
    received();
    log.clear();
    if (i == 10) before = testing::heap_bytes();
  }
  EXPECT_EQ(begun, 300);
  EXPECT_LT(testing::heap_bytes(), before + 64 * 1024);
  EXPECT_FALSE(closed);
}

TEST_F(H2FloodTest, StreamsOpenedOneAfterAnotherLeaveNothingBehind) {
  constexpr int kStreams = 20'000;
  greet();
  size_t before = 0;
  for (int i = 0; i < kStreams;) {
    std::string bytes;
    for (int n = 0; n < 50; ++n, ++i) bytes += headers(id_of(i), request_block());
    send(bytes);
    received();
    log.clear();
    if (i == 1000) before = testing::heap_bytes();
  }
  EXPECT_EQ(begun, kStreams);
  EXPECT_LT(testing::heap_bytes(), before + 64 * 1024);
  EXPECT_FALSE(closed);
}

TEST_F(H2FloodTest, StreamsThatAreNeverEndedAreRefusedAtTheLimit) {
  options.max_concurrent_streams = 100;
  answer = false;
  open();
  greet();
  send(frame(4, 1, 0, ""));  // it knows
  std::string many;
  for (int i = 0; i < 100; ++i) many += open_post(id_of(i));
  send(many);
  EXPECT_EQ(streams, 100);
  EXPECT_FALSE(closed);
  send(open_post(id_of(100)));  // beyond the limit that it knows
  EXPECT_EQ(begun, 100);
  EXPECT_NE(received().find("GOAWAY 0 last 199 error 1; "), std::string::npos);
}

TEST_F(H2FloodTest, PaddingGivesItsWindowBack) {
  options.stream_window = options.connection_window = 65535;
  answer = false;
  open();
  greet();
  send(open_post(1));
  const std::string padded = frame(0, 8, 1, str("\xff", "x", std::string(255, '\0')));
  for (int i = 0; i < 30; ++i) send(repeated(padded, 100));
  EXPECT_EQ(body.size(), 3000u);
  EXPECT_FALSE(closed);
}

TEST_F(H2FloodTest, WindowUpdatesOfAByteAreAnsweredTogether) {
  answer = false;
  greet();
  send(frame(4, 0, 0, setting(4, 0)) + headers(1, request_block()));
  last().stream->send_head(*response(last(), 200), false);
  last().stream->send_body(std::string(1000, 'x'), true);
  turn();
  received();
  const uint64_t writes = end_of_server->writes;
  end_of_server->inject(repeated(frame(8, 0, 1, be32(1)), 30));
  turn();
  EXPECT_EQ(received(), "DATA 1 30; ");
  EXPECT_EQ(end_of_server->writes, writes + 1);
}

TEST_F(H2FloodTest, FramesOfAByteAreTakenAndCostNothingToKeep) {
  greet();
  send(open_post(1));
  const size_t before = testing::heap_bytes();
  const std::string many = repeated(data(1, "x"), 5000);
  end_of_server->inject(many);
  turn(40);
  EXPECT_EQ(body.size(), 5000u);
  EXPECT_LT(testing::heap_bytes(), before + 256 * 1024);  // the test's own copies, mostly
  EXPECT_FALSE(closed);
}

TEST_F(H2FloodTest, OneTurnTakesABoundedNumberOfRequests) {
  greet();
  std::string many;
  for (int i = 0; i < 500; ++i) many += headers(id_of(i), request_block());
  end_of_server->inject(many);
  loop.run_once(false);
  EXPECT_LE(begun, 70);
  turn(20);
  EXPECT_EQ(begun, 500);
  EXPECT_FALSE(closed);
}

// The first slice is large, as those of everybody; then frames are counted more closely.
TEST_F(H2FloodTest, OneTurnTakesABoundedNumberOfFrames) {
  answer = false;
  greet();
  send(open_post(1));
  constexpr size_t kFrame = 10;
  end_of_server->inject(repeated(data(1, "x"), 20'000));
  loop.run_once(false);
  EXPECT_LE(body.size(), kFirstSliceBytes / kFrame + 1);
  for (int i = 0; i < 5; ++i) {
    const size_t had = body.size();
    loop.run_once(false);
    EXPECT_LE(body.size() - had, kFramesPerTurn + kWarySliceBytes / kFrame + 1);
  }
  turn(40);
  EXPECT_EQ(body.size(), 20'000u);
}

TEST_F(H2FloodTest, ResetsOfRunningStreamsWeighMore) {
  answer = false;
  greet();
  std::string opened;
  std::string resets;
  for (int i = 0; i < 400; ++i) {
    opened += open_post(id_of(i));
    resets += frame(3, 0, id_of(i), be32(8));
  }
  send(opened);
  turn(10);
  EXPECT_EQ(streams, 400);
  // Behind frames that made the connection suspicious.
  end_of_server->inject(repeated(data(1, "x"), 7000) + resets);
  while (streams == 400) loop.run_once(false);
  const int left = streams;
  EXPECT_LE(400 - left, static_cast<int>(kWarySliceBytes / 13 + 1));
  turn(20);
  EXPECT_EQ(streams, 0);
}

// Each may end an exchange with an upstream, too.
TEST_F(H2FloodTest, TheStreamsOfALostConnectionEndOverSomeTurns) {
  answer = false;
  greet();
  std::string many;
  for (int i = 0; i < 300; ++i) many += open_post(id_of(i));
  send(many);
  turn(10);
  EXPECT_EQ(streams, 300);
  end_of_server->inject_reset();
  for (int left = 300; left > 0; left = streams) {
    loop.run_once(false);
    EXPECT_LE(left - streams, static_cast<int>(kEndsPerTurn));
    EXPECT_LT(streams, left);
  }
  turn();
  EXPECT_TRUE(closed);
}

TEST_F(H2FloodTest, TheStreamsOfAHostileConnectionEndOverSomeTurns) {
  answer = false;
  greet();
  std::string many;
  for (int i = 0; i < 300; ++i) many += open_post(id_of(i));
  send(many);
  turn(10);
  end_of_server->inject(data(1, "") + data(1, ""));
  while (streams == 300) loop.run_once(false);
  EXPECT_GE(streams, 300 - static_cast<int>(kEndsPerTurn));
  turn(20);
  EXPECT_EQ(streams, 0);
  EXPECT_EQ(floods, std::vector<H2Flood>{H2Flood::kEmptyFrames});
  EXPECT_NE(received().find("error 11; "), std::string::npos);
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

TEST_F(H2FloodTest, AnsweredPingsMayBeLateWhileBytesCome) {
  options.ping_interval = std::chrono::seconds(10);
  options.ping_timeout = std::chrono::seconds(5);
  options.ping_jitter_percent = 0;
  open();
  greet();
  loop.skip(std::chrono::seconds(11));
  turn();
  EXPECT_NE(received().find("PING 0; "), std::string::npos);
  for (int i = 0; i < 4; ++i) {
    loop.skip(std::chrono::seconds(4));
    send(headers(id_of(i), request_block()));
  }
  EXPECT_FALSE(closed);
  loop.skip(std::chrono::seconds(6));
  turn();
  EXPECT_TRUE(closed);
  EXPECT_TRUE(saw(Event::kPingTimeout));
}

}  // namespace
}  // namespace pillion::http
