// A chain of filters that look at each exchange and do nothing costs no heap allocation either.

#include "proxy/base/base64.h"
#include "tests/perf/steady_state.h"

namespace pillion::testing {
namespace {

constexpr int kWarmUp = 100;
constexpr int kMeasured = 1000;

std::string idle_filters() {
  const auto filter = [](std::string_view name, std::string_view fields) {
    return str("{ name: ", name, ", typed_config: { ", kExtension, "filters.http.", fields,
               " } }, ");
  };
  return filter("m",
                "header_mutation.v3.HeaderMutation, mutations: { request_mutations: [ "
                "{ remove: x-none } ], response_mutations: [ { remove: x-none } ] }") +
         filter("f",
                "fault.v3.HTTPFault, delay: { fixed_delay: 1s, percentage: { numerator: 100 } }, "
                "headers: [ { name: x-none, present_match: true } ]") +
         filter("l",
                "local_ratelimit.v3.LocalRateLimit, stat_prefix: l, token_bucket: { max_tokens: "
                "1000000, fill_interval: 1s }, filter_enabled: 100%, filter_enforced: 100%") +
         filter("b", "buffer.v3.Buffer, max_request_bytes: 100000") +
         filter("h",
                "health_check.v3.HealthCheck, pass_through_mode: false, headers: [ { name: "
                "':path', string_match: { exact: /healthz } } ]") +
         filter("s",
                "set_filter_state.v3.Config, on_request_headers: [ { object_key: p, "
                "factory_key: envoy.string, format_string: { text_format_source: { "
                "inline_string: web } } } ]");
}

// A call with a message each way, and the filters that look at each byte of it.
Exchange call_of_grpc() {
  const std::string message("\0\0\0\0\2ab", 7);
  return {str("POST /shop.Users/Get HTTP/1.1\r\nHost: users.shop\r\nContent-Type: application/grpc"
              "\r\nContent-Length: 7\r\n\r\n",
              message),
          str("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: "
              "chunked\r\n\r\n7\r\n",
              message, "\r\n0\r\ngrpc-status: 0\r\n\r\n")};
}
// The same for a browser, as text.
Exchange call_of_a_browser() {
  Exchange exchange = call_of_grpc();
  exchange.request =
      "POST /shop.Users/Get HTTP/1.1\r\nHost: users.shop\r\nContent-Type: "
      "application/grpc-web-text\r\nAccept: application/grpc-web-text\r\nContent-Length: "
      "12\r\n\r\nAAAAAAJhYg==";
  return exchange;
}
std::string filters_of_grpc() {
  return str("{ name: w, typed_config: { ", kExtension, "filters.http.grpc_web.v3.GrpcWeb } }, ",
             "{ name: g, typed_config: { ", kExtension,
             "filters.http.grpc_stats.v3.FilterConfig, stats_for_all_methods: true, "
             "emit_filter_state: true } }, ");
}

// Enough policies to be found by hash, and shadow ones that are tried one after the other.
std::string policies() {
  std::string list;
  for (int i = 0; i < 20; ++i) {
    list += str(i == 0 ? "p" : ", p", i, ": { permissions: [ { url_path: { path: { exact: /", i,
                " } } } ], principals: [ { any: true } ] }");
  }
  return str(
      "{ name: r, typed_config: { ", kExtension,
      "filters.http.rbac.v3.RBAC, track_per_rule_stats: true, rules: { action: DENY, policies: { ",
      list,
      " } }, shadow_rules: { policies: { q: { permissions: [ { header: { name: ':method', "
      "string_match: { safe_regex: { regex: 'G.T' } } } } ], principals: [ { remote_ip: { "
      "address_prefix: 127.0.0.0, prefix_len: 8 } } ] } } } } }, ");
}

class FilterAllocation : public SteadyState {
 protected:
  void expect_none(const Exchange& exchange, const std::string& filters = idle_filters()) {
    if (!can_count_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
    set_cluster({backend.address});
    listen({.filters = filters});
    run(exchange, kWarmUp, kMeasured);
    EXPECT_EQ(allocations.ours, 0u) << "in " << kMeasured << " requests";
    EXPECT_EQ(http->downstream_rq_total.value(), static_cast<uint64_t>(kWarmUp + kMeasured + 1));
  }
};

TEST_F(FilterAllocation, AGetThroughSixFiltersNeedsNone) { expect_none(get_1k()); }
TEST_F(FilterAllocation, ACallOfGrpcThatIsCountedNeedsNone) {
  expect_none(call_of_grpc(), filters_of_grpc());
  EXPECT_EQ(
      registry.block<stats::GrpcStats>(0, "app", ".shop.Users.Get")->request_message_count.value(),
      static_cast<uint64_t>(kWarmUp + kMeasured + 1));
}
TEST_F(FilterAllocation, ACallOfABrowserNeedsNone) {
  expect_none(call_of_a_browser(), filters_of_grpc());
}
// Messages that are longer than a chunk of an arena, in one call that goes on and on.
TEST_F(FilterAllocation, ALongCallOfABrowserNeedsNone) {
  if (!can_count_allocations()) GTEST_SKIP() << "a sanitizer owns malloc";
  set_cluster({backend.address});
  listen({.filters = filters_of_grpc()});
  std::string message("\0\0\0\x3f\xfb", 5);
  message += std::string(0x3ffb, 'x');  // 16 KiB with its prefix
  std::string text(base64_size(message.size()), '?');
  write_base64(text.data(), message);
  const auto chunk = [](std::string_view bytes) {
    char size[20];
    snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    return str(size, bytes, "\r\n");
  };
  const std::string question = chunk(text), answer = chunk(message);
  Peer client = request(
      "POST /shop.Users/Get HTTP/1.1\r\nHost: users.shop\r\nContent-Type: "
      "application/grpc-web-text\r\nAccept: application/grpc-web-text\r\nTransfer-Encoding: "
      "chunked\r\n\r\n");
  Peer server = backend.accept();
  ASSERT_TRUE(server.waits_for("\r\n\r\n"));
  server.discard();
  server.send(
      "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: "
      "chunked\r\n\r\n");
  ASSERT_TRUE(client.waits_for("\r\n\r\n"));
  client.discard();
  const auto arrives = [this](Peer& peer, size_t least) {
    const Instant late = MonotonicClock::now() + std::chrono::seconds(5);
    for (size_t got = 0; got < least;) {
      ASSERT_LT(MonotonicClock::now(), late) << got << " of " << least;
      turn();
      got += peer.discard();
    }
  };
  for (int i = 0; i < kWarmUp + kMeasured; ++i) {
    if (i == kWarmUp) begin_measurement();
    client.send(question);
    arrives(server, message.size());
    server.send(answer);
    arrives(client, text.size());
  }
  EXPECT_EQ(allocations.ours, 0u) << "in " << kMeasured << " messages each way";
}
TEST_F(FilterAllocation, AGetThroughPoliciesNeedsNone) {
  expect_none(get_1k(), policies());
  EXPECT_EQ(registry.block<stats::RbacPolicyStats>(0, "web", "q")->shadow_allowed.value(),
            static_cast<uint64_t>(kWarmUp + kMeasured + 1));
}
TEST_F(FilterAllocation, ABufferedPostNeedsNone) { expect_none(post_4k()); }
TEST_F(FilterAllocation, ABufferedChunkedBodyNeedsNone) { expect_none(chunked()); }

}  // namespace
}  // namespace pillion::testing
