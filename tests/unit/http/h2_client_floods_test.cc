// Upstreams that keep a connection busy for nothing, and those that answer and do not end: the
// first are cut off with ENHANCE_YOUR_CALM, of the others the stream is reset.
#include "tests/support/h2_frames.h"
#include "tests/support/heap_bytes.h"
#include "tests/unit/http/h2_client_fixture.h"

namespace pillion::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::be32;
using testing::data;
using testing::frame;
using testing::headers;
using testing::literal;
using Event = ClientConnection::Event;

const std::string kOk = literal(":status", "200");

class H2HostileUpstream : public H2ClientTest {
 protected:
  // The test writes the frames of the other end itself.
  void open_raw() {
    auto [a, b] = testing::FakeTransport::make_pair(loop);
    own_end = a.get();
    raw = std::move(b);
    connection = std::make_unique<H2ClientConnection>(loop, batch, limits, options, *this);
    connection->start(std::move(a));
    say(frame(4, 0, 0, ""));
    EXPECT_EQ(noted(), "connected; room; ");
  }
  void TearDown() override {
    H2ClientTest::TearDown();
    raw.reset();
    turn();
  }
  void say(std::string_view bytes) {
    own_end->inject(bytes);
    turn(2);
  }
  // What we told it since the last call, in words; at first without the preface.
  std::string told() {
    char room[4096];
    while (true) {
      const io::IoResult r = raw->read(room, sizeof room);
      if (r.bytes == 0) break;
      inbox.append(room, r.bytes);
    }
    if (inbox.starts_with("PRI")) inbox.erase(0, 24);
    return testing::describe_frames(inbox);
  }
  std::unique_ptr<testing::FakeTransport> raw;
  std::string inbox;
};

struct Attack {
  const char* name;
  H2Flood flood;
  int count;  // that is enough
  std::string (*make)(int);
};

void PrintTo(const Attack& attack, std::ostream* out) { *out << attack.name; }

class H2UpstreamAttack : public H2HostileUpstream, public ::testing::WithParamInterface<Attack> {};

TEST_P(H2UpstreamAttack, IsCutOffCountedAndCheap) {
  const Attack& attack = GetParam();
  open_raw();
  get();
  const size_t before = testing::heap_bytes();
  size_t most = 0;
  std::string all;
  for (int i = 0; i < attack.count && connection != nullptr;) {
    std::string bytes;
    for (int n = 0; n < 500 && i < attack.count; ++n, ++i) bytes += attack.make(i);
    say(bytes);
    all += told();
    most = std::max(most, testing::heap_bytes() - std::min(before, testing::heap_bytes()));
  }
  EXPECT_EQ(connection, nullptr);
  EXPECT_EQ(floods, std::vector<H2Flood>{attack.flood});
  EXPECT_FALSE(has_event(Event::kConnectionError));
  EXPECT_NE(all.find("error 11; "), std::string::npos) << all.substr(0, 500);
  EXPECT_NE(log.find("closed kUpstreamProtocol; "), std::string::npos) << log;
  EXPECT_LT(most, size_t{4} * 1024 * 1024);
  EXPECT_EQ(active, 0);
}

const Attack kAttacks[] = {
    {"EmptyData", H2Flood::kEmptyFrames, 5,
     [](int i) { return i == 0 ? headers(1, kOk, false) : data(1, ""); }},
    {"DataOfPaddingAlone", H2Flood::kEmptyFrames, 5,
     [](int i) {
       return i == 0 ? headers(1, kOk, false) : frame(0, 8, 1, str("\xff", std::string(255, '\0')));
     }},
    {"Continuations", H2Flood::kContinuation, 20,
     [](int i) { return i == 0 ? frame(1, 0, 1, kOk) : frame(9, 0, 1, literal("x", "y")); }},
    {"Priority", H2Flood::kPriority, 1000, [](int) { return frame(2, 0, 1, be32(0) + "\x10"); }},
    {"WindowUpdates", H2Flood::kWindowUpdate, 200, [](int) { return frame(8, 0, 0, be32(1)); }},
    {"Pings", H2Flood::kPing, 30'000, [](int) { return frame(6, 0, 0, "12345678"); }},
    {"Settings", H2Flood::kSettings, 3000, [](int) { return frame(4, 0, 0, ""); }},
    {"SettingsOfManyEntries", H2Flood::kSettings, 2,
     [](int) { return frame(4, 0, 0, std::string(6 * 2000, '\x77')); }},
    {"Goaway", H2Flood::kGoaway, 3000, [](int) { return frame(7, 0, 0, be32(1) + be32(0)); }},
    {"UnknownFrames", H2Flood::kIgnoredFrames, 1'500'000,
     [](int) { return frame(0x42, 0xff, 1, "what?"); }},
    {"DataOfAStreamThatIsOver", H2Flood::kIgnoredFrames, 1'500'000,
     [](int i) { return i == 0 ? headers(1, kOk) : data(1, "x"); }},
    {"ResetsOfAStreamThatIsOver", H2Flood::kIgnoredFrames, 30'000,
     [](int) { return frame(3, 0, 1, be32(8)); }},
    {"BombOfIndexedFields", H2Flood::kHeaderList, 2,
     [](int) {
       std::string entry = literal("x", std::string(3000, 'b'));
       entry[0] = 0x40;
       return headers(1, kOk + entry + std::string(12'000, '\xbe'));
     }},
};

INSTANTIATE_TEST_SUITE_P(Kinds, H2UpstreamAttack, ::testing::ValuesIn(kAttacks),
                         [](const auto& test) { return std::string(test.param.name); });

// A window full of DATA for each: it could not know yet.
TEST_F(H2HostileUpstream, IsNotBlamedForWhatWasOnItsWayWhenWeResetTheStream) {
  open_raw();
  std::string window;
  for (uint32_t i = 0; i < 20; ++i) {
    Exchange& e = get();
    e.stream->reset();
    turn();
    window.clear();
    for (int n = 0; n < 64; ++n) window += data(2 * i + 1, std::string(16'384, 'x'));
    say(window);
    turn(20);
    told();
    ASSERT_NE(connection, nullptr) << i;
  }
  EXPECT_TRUE(floods.empty());
}

TEST_F(H2HostileUpstream, OneTurnTakesABoundedNumberOfFrames) {
  open_raw();
  Exchange& e = get();
  constexpr size_t kFrame = 10;
  std::string many = headers(1, kOk, false);
  for (int i = 0; i < 20'000; ++i) many += data(1, "x");
  own_end->inject(many);
  loop.run_once(false);
  EXPECT_LE(e.body.size(), kFirstSliceBytes / kFrame + 1);
  for (int i = 0; i < 5; ++i) {
    const size_t had = e.body.size();
    loop.run_once(false);
    EXPECT_LE(e.body.size() - had, kFramesPerTurn + kWarySliceBytes / kFrame + 1);
  }
  turn(40);
  EXPECT_EQ(e.body.size(), 20'000u);
}

TEST_F(H2HostileUpstream, DoesNotHoldAStreamWhoseResponseHasNoBody) {
  struct Row {
    const char* method;
    const char* status;
  };
  for (const Row& row : {Row{"HEAD", "200"}, Row{"GET", "204"}, Row{"GET", "304"}}) {
    open();
    Exchange& e = get(row.method);
    peer->head(0, {{":status", row.status}});
    turn();
    EXPECT_EQ(e.log, str("head ", row.status, " end; "));
    EXPECT_EQ(active, 1);
    loop.skip(milliseconds(1100));
    loop.skip(milliseconds(600));
    turn();
    EXPECT_EQ(active, 0);
    EXPECT_TRUE(has_event(Event::kCutOff));
    EXPECT_TRUE(peer->stream(0).closed);
    EXPECT_EQ(peer->stream(0).error, H2Error::kCancel);
    events.clear();
    connection->close({FailureKind::kNone});
    turn();
    peer.reset();
    log.clear();
  }
}

TEST_F(H2HostileUpstream, DoesNotHoldAStreamWhoseBodyHasItsLength) {
  open();
  Exchange& e = get();
  peer->head(0, {{":status", "200"}, {"content-length", "2"}});
  peer->data(0, "ok", false);
  turn();
  EXPECT_EQ(e.log, "head 200; ");
  loop.skip(milliseconds(600));
  loop.skip(milliseconds(600));
  turn();
  EXPECT_EQ(e.log, "head 200; end ok; ");
  EXPECT_EQ(peer->stream(0).error, H2Error::kCancel);
  EXPECT_EQ(active, 0);
  // The connection goes on.
  Exchange& next = get();
  peer->respond(1, "fine");
  turn();
  EXPECT_EQ(next.log, "head 200; end fine; ");
}

TEST_F(H2HostileUpstream, HasTimeForTrailersAndForAnEndOfItsOwn) {
  open();
  Exchange& a = get();
  Exchange& b = get();
  Exchange& streaming = get();
  for (size_t i = 0; i < 2; ++i) {
    peer->head(i, {{":status", "200"}, {"content-length", "2"}});
    peer->data(i, "ok", false);
  }
  peer->head(2, {{":status", "200"}});
  peer->data(2, "more to come", false);
  turn();
  loop.skip(milliseconds(400));
  peer->trailers(0, {{"x-end", "yes"}});
  peer->data(1, "", true);
  turn();
  loop.skip(milliseconds(600));
  loop.skip(seconds(60));
  turn();
  EXPECT_EQ(a.log, "head 200; end ok trailers x-end: yes\n; ");
  EXPECT_EQ(b.log, "head 200; end ok; ");
  EXPECT_EQ(streaming.log, "head 200; ");
  EXPECT_FALSE(has_event(Event::kCutOff));
  EXPECT_EQ(active, 1);
}

TEST_F(H2HostileUpstream, IsPingedInFrontOfARequestAfterAnIdleTime) {
  options.ping_after_idle = seconds(10);
  options.ping_timeout = seconds(2);
  open_raw();
  get();
  say(headers(1, kOk));
  EXPECT_EQ(told().find("PING"), std::string::npos);
  loop.skip(seconds(9));
  get();
  say(headers(3, kOk));
  EXPECT_EQ(told().find("PING"), std::string::npos);
  loop.skip(seconds(11));
  get();
  std::string sent = told();
  EXPECT_LT(sent.find("PING 0; "), sent.find("HEADERS 5")) << sent;
  say(frame(6, 1, 0, str("\1", std::string(7, '\0'))));
  loop.skip(seconds(3));
  turn();
  EXPECT_NE(connection, nullptr);
  // This time it is dead.
  loop.skip(seconds(11));
  Exchange& lost = get();
  loop.skip(seconds(3));
  turn();
  EXPECT_EQ(connection, nullptr);
  EXPECT_TRUE(has_event(Event::kKeepaliveTimeout));
  EXPECT_EQ(lost.log, "reset kUpstreamClosed; ");
}

TEST_F(H2HostileUpstream, MayBeLateWithAPingWhileBytesCome) {
  options.ping_interval = seconds(10);
  options.ping_timeout = seconds(5);
  options.ping_jitter_percent = 0;
  open_raw();
  get();
  say(headers(1, kOk, false));
  loop.skip(seconds(11));
  turn();
  for (int i = 0; i < 4; ++i) {
    loop.skip(seconds(4));
    say(data(1, "x"));
  }
  EXPECT_NE(connection, nullptr);
  loop.skip(seconds(6));
  turn();
  EXPECT_EQ(connection, nullptr);
  EXPECT_TRUE(has_event(Event::kKeepaliveTimeout));
}

}  // namespace
}  // namespace pillion::http
