// What a keep-alive request costs in system calls: two reads, two writes, and nothing that changes
// epoll (design, section 14).

#include "tests/perf/steady_state.h"

namespace pillion::testing {
namespace {

constexpr int kWarmUp = 20;
constexpr uint64_t kMeasured = 200;

class SystemCalls : public SteadyState {
 protected:
  void expect_least(const Exchange& exchange) {
    set_cluster({backend.address});
    listen({});
    run(exchange, kWarmUp, kMeasured);
    EXPECT_EQ(loop.counts.reads, 2 * kMeasured);
    EXPECT_EQ(loop.counts.writes, 2 * kMeasured);
    EXPECT_EQ(loop.counts.poll_changes, 0u);
  }
};

TEST_F(SystemCalls, OfAGetAreTwoReadsAndTwoWrites) { expect_least(get_1k()); }
TEST_F(SystemCalls, OfAPostAreTwoReadsAndTwoWrites) { expect_least(post_4k()); }
TEST_F(SystemCalls, OfChunkedBodiesAreTwoReadsAndTwoWrites) { expect_least(chunked()); }

// Clients that send requests without waiting pay less, not more.
TEST_F(SystemCalls, OfPipelinedRequestsAreOneReadForAllOfThem) {
  set_cluster({backend.address});
  listen({});
  run(get_1k(), 1, 1);
  begin_measurement();
  const Exchange exchange = get_1k();
  client_->send(exchange.request + exchange.request + exchange.request);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(take_message(*server_));
    server_->send(exchange.response);
  }
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(take_message(*client_, true));
  EXPECT_LE(loop.counts.reads, 5u);
  EXPECT_EQ(loop.counts.poll_changes, 0u);
}

}  // namespace
}  // namespace pillion::testing
