// Responses that wait for the transport, and what becomes of them when their stream ends.
#include "tests/unit/http/h2_server_fixture.h"

namespace pillion::http {
namespace {

using testing::H2TestClient;

class H2ServerBacklog : public H2ServerTest {
 protected:
  static constexpr int kStreams = 5;

  // The first fills the transport in the middle of a frame.
  static std::string body_of(int i) {
    return std::string(i == 0 ? 1'000'000 : 20'000, static_cast<char>('a' + i));
  }

  // A client that takes nothing, and so many half made responses for it.
  void fill() {
    open();
    wire = raw.get();
    H2TestClient& c = client();
    for (int i = 0; i < kStreams; ++i) {
      asked[i] = &c.request("GET", "/");
      turn();
      made[i] = last().stream;
      made[i]->send_head(*response(last(), 200), false);
    }
    turn();
    wire->window = 1000;
    wire->pause(io::PauseReason::kBusy);
    for (int i = 0; i < kStreams; ++i) {
      const std::string text = body_of(i);
      made[i]->send_body(text, false);
      batch.flush();
      turn();
    }
  }
  void take() {
    wire->window = 1 << 20;
    wire->resume(io::PauseReason::kBusy);
    turn(100);
  }

  testing::FakeTransport* wire = nullptr;
  H2TestClient::Exchange* asked[kStreams] = {};
  H2ServerStream* made[kStreams] = {};
};

// nghttp2 has begun a frame of one of them: its header says how much of others' bytes would be
// taken for its payload.
TEST_F(H2ServerBacklog, OfAStreamThatIsResetTakesNothingOfOthers) {
  answer = false;
  for (int victim = 0; victim < kStreams; ++victim) {
    fill();
    made[victim]->reset({FailureKind::kStreamReset});
    turn();
    take();
    EXPECT_FALSE(test_client->saw_goaway) << victim;
    EXPECT_TRUE(asked[victim]->closed) << victim;
    for (int i = 0; i < kStreams; ++i) {
      if (i == victim) continue;
      EXPECT_TRUE(asked[i]->body == body_of(i)) << i << " beside " << victim;
    }
    for (int i = 0; i < kStreams; ++i) {
      if (i == victim) continue;
      made[i]->send_body({}, true);
    }
    turn(20);
    for (int i = 0; i < kStreams; ++i) {
      if (i == victim) continue;
      EXPECT_TRUE(asked[i]->ended) << i << " beside " << victim;
    }
    server->close({FailureKind::kNone});
    turn();
    test_client.reset();
  }
}

// DATA would have to wait for a window; HEADERS need none (RFC 9113, 5.2.1).
TEST_F(H2ServerBacklog, OfOneStreamHoldsNoTrailersOfAnother) {
  answer = false;
  open();
  H2TestClient& c = client();
  c.returns_window = false;
  H2TestClient::Exchange& unread = c.request("GET", "/unread");
  turn();
  H2ServerStream* large = last().stream;
  H2TestClient::Exchange& waits = c.request("GET", "/waits");
  turn();
  Exchange& e = last();
  H2ServerStream* small = e.stream;
  large->send_head(*response(e, 200), false);
  small->send_head(*response(e, 200), false);
  turn();
  const std::string text(256 * 1024, 'x');
  while (!large->is_backed_up()) {
    large->send_body(text, false);
    batch.flush();
    turn();
  }
  EXPECT_GT(unread.body.size(), 65'000u);
  Headers trailers(e.arena);
  trailers.add("grpc-status", "0");
  small->send_trailers(trailers);
  turn();
  EXPECT_EQ(waits.trailers, "grpc-status: 0\n");
  EXPECT_TRUE(waits.closed);
}

}  // namespace
}  // namespace pillion::http
