// Spans from other threads to a collector that the test plays.
#include "proxy/telemetry/span_exporter.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "proxy/telemetry/otlp.h"
#include "tests/support/run_until.h"

namespace pillion::telemetry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::run_for;
using testing::run_until;

// Notes what is called, and answers when the test says so.
class FakeClient final : public upstream::ClusterClient {
 public:
  struct Call final : upstream::ClientCall {
    explicit Call(FakeClient& c) : client(c) {}
    void send(std::string_view data, bool) override { client.bodies.emplace_back(data); }
    [[nodiscard]] bool is_backed_up() const noexcept override { return false; }
    void pause() override {}
    void resume() override {}
    [[nodiscard]] std::string_view host() const noexcept override { return {}; }
    void close() noexcept override {
      client.observer = nullptr;
      delete this;
    }
    FakeClient& client;
  };
  upstream::ClientCallPtr open(std::string_view cluster, const upstream::CallHead& head,
                               upstream::ClientCallObserver& o) override {
    EXPECT_EQ(cluster, "c");
    EXPECT_EQ(head.path, "/v1/traces");
    EXPECT_EQ(observer, nullptr) << "one call at a time";
    observer = &o;
    return upstream::ClientCallPtr(new Call(*this));
  }
  void answer(uint16_t status, std::string_view retry_after = {}) {
    Arena arena;
    http::ResponseHead head(arena);
    head.status = status;
    if (!retry_after.empty()) head.headers.add("retry-after", retry_after);
    ASSERT_NE(observer, nullptr);
    observer->on_call_head(head, true);
  }
  void fail() { observer->on_call_failed({FailureKind::kConnectFailed}, "Connection refused"); }
  upstream::ClientCallObserver* observer = nullptr;
  std::vector<std::string> bodies;
};

class SpanExporterTest : public ::testing::Test {
 protected:
  SpanExporterTest() { exporter.use(client); }
  ~SpanExporterTest() override { exporter.close(); }
  void push(int count, std::string_view span = "span") {
    std::thread([&] {
      for (int i = 0; i < count; ++i) exporter.push(*target, span);
    }).join();
  }
  // A second later.
  void flush() {
    run_for(loop, milliseconds(1));
    loop.skip(SpanExporter::kFlushInterval);
    run_for(loop, milliseconds(1));
  }
  static std::string request_of(int count) {
    std::string spans;
    for (int i = 0; i < count; ++i) append_span(spans, "span");
    return write_request("resource", spans);
  }
  stats::OpenTelemetryStats& stats() { return *stats_; }

  io::Loop loop;
  stats::Registry registry;
  FakeClient client;
  SpanExporter exporter{loop, registry};
  SpanTargetPtr target = exporter.target({.cluster = "c",
                                          .authority = "c",
                                          .path = "/v1/traces",
                                          .fields = {},
                                          .resource = "resource"});
  stats::BlockRef<stats::OpenTelemetryStats> stats_ =
      registry.block<stats::OpenTelemetryStats>(stats::kControl);
};

TEST_F(SpanExporterTest, GathersSpansForASecondAndSendsThemAtOnce) {
  push(2);
  run_for(loop, milliseconds(1));
  push(1);
  EXPECT_TRUE(client.bodies.empty());
  flush();
  ASSERT_EQ(client.bodies.size(), 1u);
  EXPECT_EQ(client.bodies[0], request_of(3));
  client.answer(200);
  EXPECT_EQ(stats().spans_sent.value(), 3u);
  EXPECT_EQ(stats().timer_flushed.value(), 1u);
  EXPECT_TRUE(exporter.is_idle());
}

TEST_F(SpanExporterTest, WakesNobodyWhileNoSpanWaits) {
  push(1);
  flush();
  client.answer(200);
  run_for(loop, milliseconds(1));
  const uint64_t turns = loop.counts.turns;
  run_for(loop, milliseconds(100));
  EXPECT_LE(loop.counts.turns, turns + 8) << "the test's own timer";
}

TEST_F(SpanExporterTest, TriesAgainWhatMayWorkLater) {
  push(1);
  flush();
  client.fail();
  EXPECT_EQ(client.observer, nullptr);
  loop.skip(seconds(1));
  ASSERT_EQ(client.bodies.size(), 2u);
  EXPECT_EQ(client.bodies[1], client.bodies[0]);
  client.answer(503);
  loop.skip(seconds(2));
  ASSERT_EQ(client.bodies.size(), 3u);
  push(1);  // meanwhile
  flush();
  EXPECT_EQ(client.bodies.size(), 3u) << "one call at a time";
  client.answer(200);
  EXPECT_EQ(client.bodies.size(), 4u) << "what waited too long already goes at once";
  client.answer(200);
  EXPECT_EQ(stats().spans_sent.value(), 2u);
  EXPECT_EQ(stats().spans_dropped.value(), 0u);
  EXPECT_EQ(stats().http_reports_failed.value(), 2u);
}

TEST_F(SpanExporterTest, WaitsAsLongAsTheCollectorAsks) {
  push(1);
  flush();
  client.answer(429, "20");
  loop.skip(seconds(19));
  EXPECT_EQ(client.bodies.size(), 1u);
  loop.skip(seconds(2));
  ASSERT_EQ(client.bodies.size(), 2u);
  client.answer(503, "in a while");
  loop.skip(seconds(3));
  ASSERT_EQ(client.bodies.size(), 3u) << "its own pause";
  client.answer(503, "4000000000");
  loop.skip(seconds(301));
  ASSERT_EQ(client.bodies.size(), 4u) << "not for ever";
  client.answer(200);
  EXPECT_EQ(stats().spans_sent.value(), 1u);
}

TEST_F(SpanExporterTest, DropsWhatIsRefusedAndWhatFailsTooOften) {
  push(2);
  flush();
  client.answer(400);
  EXPECT_EQ(stats().spans_dropped.value(), 2u);
  push(3);
  flush();
  for (int i = 0; i < 5; ++i) {
    ASSERT_NE(client.observer, nullptr) << i;
    client.fail();
    loop.skip(seconds(30));
  }
  EXPECT_EQ(client.observer, nullptr);
  EXPECT_EQ(stats().spans_dropped.value(), 5u);
  EXPECT_TRUE(exporter.is_idle());
}

TEST_F(SpanExporterTest, KeepsNoMoreThanItIsAllowed) {
  target = exporter.target({.cluster = "c",
                            .authority = "c",
                            .path = "/v1/traces",
                            .fields = {},
                            .resource = "resource",
                            .max_waiting = 10});
  push(30);
  flush();
  EXPECT_EQ(stats().spans_dropped.value(), 20u);
  EXPECT_EQ(client.bodies[0], request_of(10));
}

TEST_F(SpanExporterTest, CountsWhatFindsTheQueueFull) {
  const std::string large(10'000, 'x');
  push(200, large);  // 2 MB, and the queue holds one
  flush();
  const uint64_t lost = stats().spans_dropped.value();
  EXPECT_GT(lost, 50u);
  EXPECT_LT(lost, 150u);
}

TEST_F(SpanExporterTest, SendsWhatWaitsWhenTheProcessEnds) {
  push(1);
  exporter.finish();
  ASSERT_EQ(client.bodies.size(), 1u);
  EXPECT_FALSE(exporter.is_idle());
  client.fail();
  EXPECT_TRUE(exporter.is_idle()) << "nothing is tried twice now";
  EXPECT_EQ(stats().spans_dropped.value(), 1u);
}

TEST_F(SpanExporterTest, ForgetsTheSpansOfACollectorThatIsNotConfiguredAnyMore) {
  push(1);
  target.reset();
  flush();
  EXPECT_TRUE(client.bodies.empty());
  EXPECT_EQ(stats().spans_dropped.value(), 1u);
}

}  // namespace
}  // namespace pillion::telemetry
