// What one client can make its connection keep, against the bound that h2_budget.h writes down.
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

// All at once: a window of 0, as many streams as are allowed, heads as large as is allowed, bodies
// that nobody takes, responses that the client does not take, and more frames than a turn takes.
TEST_F(H2ServerTest, CostsNoMoreThanItsBound) {
  options.max_concurrent_streams = 64;
  options.stream_window = 256 * 1024;
  options.connection_window = 1024 * 1024;
  limits.flush_time = {};
  answer = false;
  open();
  greet();
  const size_t before = testing::heap_bytes();
  send(frame(4, 0, 0, std::string("\0\4", 2) + be32(0)));
  const size_t fill = limits.max_bytes - 1000;
  for (uint32_t id = 1; id < 2 * 64; id += 2) {
    std::string bytes = frame(1, 0, id, request_block("POST"));
    for (size_t left = fill; left != 0;) {
      const size_t n = std::min<size_t>(left, 15'000);
      left -= n;
      bytes +=
          frame(9, left == 0 ? testing::kEndHeaders : 0, id, literal("x", std::string(n, 'y')));
    }
    send(bytes);
    Exchange& e = last();
    e.stream->pause_request();
    auto* head = response(e, 200);
    head->headers.add("x", e.arena.copy(std::string(fill, 'z')));
    e.stream->send_head(*head, false);
    while (!e.stream->is_backed_up()) e.stream->send_body(std::string(48 * 1024, 'b'), false);
  }
  body.clear();
  for (uint32_t id = 1; id < 2 * 64; id += 2) send(data(id, std::string(15'000, 'u')));
  std::string pings;
  for (int i = 0; i < 5000; ++i) pings += frame(6, 0, 0, "12345678");
  end_of_server->inject(pings);
  loop.run_once(false);
  const size_t kept = testing::heap_bytes() - before;
  EXPECT_EQ(streams, 64);
  EXPECT_GT(kept, size_t{64} * (2 * fill + 80 * 1024));  // it is as bad as it is meant to be
  EXPECT_LT(kept, h2_memory_bound(options, limits));
  EXPECT_FALSE(closed);
  RecordProperty("kept", static_cast<int>(kept));
  RecordProperty("bound", static_cast<int>(h2_memory_bound(options, limits)));
}

TEST(H2Memory, HasTheBoundThatIsWrittenDown) {
  const H2Options options;
  const H1Limits limits;
  H2Options edge;
  edge.max_concurrent_streams = 100;
  constexpr size_t kMiB = 1024 * 1024;
  EXPECT_LE(h2_memory_bound(options, limits), 25 * kMiB + 1024 * size_t{302} * 1024);
  EXPECT_LE(h2_memory_bound(edge, limits), 55 * kMiB);
}

TEST(H2Bucket, GivesWhatTimeBrings) {
  const Instant start{std::chrono::seconds(100)};
  constexpr H2Bucket::Size kSize{10, 100};
  H2Bucket bucket(kSize.burst, start);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(bucket.take(1));
  EXPECT_FALSE(bucket.take(1));
  EXPECT_FALSE(bucket.refill_and_take(1, kSize, start));
  EXPECT_TRUE(bucket.refill_and_take(5, kSize, start + std::chrono::milliseconds(50)));
  EXPECT_FALSE(bucket.take(1));
  EXPECT_TRUE(bucket.refill_and_take(1, kSize, start + std::chrono::milliseconds(50), 3));
  EXPECT_TRUE(bucket.take(2));
  EXPECT_FALSE(bucket.take(1));
  // However long it waits, and however much is earned, it holds its burst.
  EXPECT_TRUE(bucket.refill_and_take(1, kSize, start + std::chrono::hours(1), 1 << 30));
  EXPECT_TRUE(bucket.take(9));
  EXPECT_FALSE(bucket.take(1));
  EXPECT_FALSE(bucket.refill_and_take(11, kSize, start + std::chrono::hours(2)));
  // Its clock comes round after 2^32 milliseconds.
  EXPECT_TRUE(bucket.take(10));
  EXPECT_TRUE(bucket.refill_and_take(10, kSize, start + std::chrono::hours(24 * 60)));
}

}  // namespace
}  // namespace pillion::http
