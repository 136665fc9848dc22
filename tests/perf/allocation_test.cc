// A keep-alive request costs no heap allocation (design, section 14): through the whole data path
// of a worker, from the listener's socket to the upstream's and back.

#include <filesystem>

#include "proxy/base/log_queue.h"
#include "proxy/tls/context_config.h"
#include "tests/perf/steady_state.h"

namespace pillion::testing {
namespace {

constexpr int kWarmUp = 100;
constexpr int kMeasured = 1000;

class Allocation : public SteadyState {
 protected:
  void expect_none(const Exchange& exchange, const ListenerYaml& yaml = {}) {
    if (!can_count_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
    set_cluster({backend.address});
    listen(yaml);
    run(exchange, kWarmUp, kMeasured);
    EXPECT_EQ(allocations.ours, 0u) << "in " << kMeasured << " requests";
    EXPECT_EQ(allocations.of_tls_library, 0u);
    EXPECT_EQ(app->upstream_cx_total.value(), 1);
  }
};

TEST_F(Allocation, AGetOf1KbNeedsNone) { expect_none(get_1k()); }
TEST_F(Allocation, APostOf4KbNeedsNone) { expect_none(post_4k()); }
TEST_F(Allocation, ChunkedBodiesNeedNone) { expect_none(chunked()); }

TEST_F(Allocation, MatchingAndMutatingHeadersNeedsNone) {
  expect_none(
      get_1k(),
      {.hcm = "use_remote_address: true, via: pillion, normalize_path: true, merge_slashes: true",
       .routes = "{ match: { prefix: /users, headers: [ { name: user-agent, string_match: { "
                 "prefix: test } } ] }, "
                 "route: { cluster: app, prefix_rewrite: /v2, host_rewrite_literal: other }, "
                 "request_headers_to_add: [ { header: { key: x-a, value: "
                 "'%DOWNSTREAM_REMOTE_ADDRESS%' } } ], "
                 "response_headers_to_add: [ { header: { key: x-b, value: y } } ] }"});
}

TEST_F(Allocation, TimeoutsAndRetriesThatDoNotHappenNeedNone) {
  expect_none(
      get_1k(),
      {.hcm = "request_timeout: 10s, request_headers_timeout: 5s, "
              "common_http_protocol_options: { max_stream_duration: 60s, idle_timeout: 60s }",
       .routes = "{ match: { prefix: / }, route: { cluster: app, timeout: 5s, idle_timeout: 2s, "
                 "retry_policy: { retry_on: 'connect-failure,reset', num_retries: 3 } } }"});
}

std::string tracing(std::string_view fields) {
  return str("tracing: { spawn_upstream_span: true, ", fields,
             ", provider: { name: t, typed_config: { '@type': "
             "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig, http_service: { "
             "http_uri: { uri: 'http://c:4318', cluster: c, timeout: 1s } } } } }");
}

TEST_F(Allocation, TracingThatChoosesNoRequestNeedsNone) {
  expect_none(get_1k(), {.hcm = tracing("random_sampling: { value: 0 }")});
}

TEST_F(Allocation, TracingOfACallerThatIsNotSampledNeedsNone) {
  Exchange exchange = get_1k();
  exchange.request.insert(
      exchange.request.size() - 2,
      "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n");
  expect_none(exchange, {.hcm = tracing("verbose: true")});
}

// Spans wait for control, which here takes them away once a second at most.
TEST_F(Allocation, ASampledRequestNeedsNoneBeyondTheQueuesChunks) {
  if (!can_count_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
  set_cluster({backend.address});
  listen({.hcm = tracing("verbose: true")});
  run(get_1k(), kWarmUp, kMeasured);
  const size_t chunks = telemetry::SpanQueues::kQueueBytes / LogQueue::kChunkBytes;
  const size_t wakes = telemetry::SpanQueues::kQueueBytes / telemetry::SpanQueues::kUrgentBytes;
  EXPECT_LE(allocations.ours, 2 * chunks + 4 * wakes) << "in " << kMeasured << " requests";
  EXPECT_EQ(http->tracing_random_sampling.value(), kWarmUp + kMeasured + 1u);
}

// With an access log to a file: the worker formats and hands over; the writer thread may do what it
// likes.
class LoggedAllocation : public Allocation,
                         public ::testing::WithParamInterface<std::string_view> {};

TEST_P(LoggedAllocation, ALineOfTheAccessLogNeedsNoneBeyondTheQueuesChunks) {
  if (!can_count_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
  LogWriter writer;
  writer.start();
  log_writer = &writer;
  const std::string path = str(::testing::TempDir(), "pillion-allocation-", ::getpid(), ".log");
  set_cluster({backend.address});
  listen({.hcm = str("access_log: [ { name: f, typed_config: { ", kExtension,
                     "access_loggers.file.v3.FileAccessLog, path: '", path, "' ", GetParam(),
                     " } } ]")});
  run(get_1k(), kWarmUp, kMeasured);
  EXPECT_EQ(allocations.ours, allocations.direct) << "by new";
  // The listener holds the log, the log the writer's file.
  client_.reset();
  listener->close_connections();
  loop.delete_later(std::move(listener));
  settle();
  writer.stop();
  // While a burst lasts, lines wait for the writer in chunks that it recycles, or gives back when
  // it has caught up: at most one is new for each that was filled.
  const size_t bytes = std::filesystem::file_size(path);
  EXPECT_GT(bytes, size_t{50} * kMeasured);
  EXPECT_LE(allocations.ours, bytes / (LogQueue::kChunkBytes / 2));
  std::filesystem::remove(path);
}
INSTANTIATE_TEST_SUITE_P(
    Formats, LoggedAllocation,
    ::testing::Values("",
                      ", log_format: { json_format: { t: '%START_TIME%', m: '%REQ(:METHOD)%', "
                      "p: '%REQ(:PATH)%', s: '%RESPONSE_CODE%', f: '%RESPONSE_FLAGS%', "
                      "d: '%DURATION%', u: '%UPSTREAM_HOST%' } }"));

// Mutual TLS towards the client, who lives on a loop of his own, so that only the worker is
// counted.
TEST_F(Allocation, MutualTlsNeedsNoneOfOurs) {
  if (!can_count_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
  const TestCa ca;
  set_cluster({backend.address});
  listen({.chain = server_tls(ca)});
  auto context = tls::Context::make(customer(ca));
  ASSERT_TRUE(context) << context.error();
  io::Loop client_loop;
  {
    TlsPeer client(client_loop, io::Socket::connect(client_loop, address, {}, {}), *context);
    client.start();
    const Exchange exchange = get_1k();
    client.send(exchange.request);
    const auto answered = [&] { return message_size(client.received).has_value(); };
    for (int i = 0; i <= kWarmUp + kMeasured; ++i) {
      if (i == kWarmUp) begin_measurement();
      if (i > 0) client.send(exchange.request);
      for (int n = 0;
           n < kMostTurns && !backend.is_called() && (!server_ || server_->received().empty());
           ++n) {
        client_loop.run_once(false);
        turn();
      }
      if (!server_) server_.emplace(backend.accept());
      ASSERT_TRUE(take_message(*server_)) << client.reason;
      server_->send(exchange.response);
      for (int n = 0; n < kMostTurns && !answered(); ++n) {
        turn();
        client_loop.run_once(false);
      }
      ASSERT_TRUE(answered());
      client.received.clear();
    }
    RecordProperty("tls_library_allocations", static_cast<int>(allocations.of_tls_library));
    printf("BoringSSL: %zu allocations in %d requests, and %zu past its hooks\n",
           allocations.of_tls_library, kMeasured, allocations.direct);
    EXPECT_EQ(allocations.ours, allocations.direct) << "by new";
    // BoringSSL takes its two record buffers (one to read, one to write) by malloc itself, past its
    // hooks; that our own direct callers, the free lists, are still is what the tests above show.
    EXPECT_LE(allocations.direct, 2u * (kMeasured + 1));
    client.destroy();
    client_loop.run_once(false);
  }
}

}  // namespace
}  // namespace pillion::testing
