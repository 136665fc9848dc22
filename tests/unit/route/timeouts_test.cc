// The time limits of a request: the route's, and those that trusted headers ask for.
#include "proxy/route/timeouts.h"

#include "tests/unit/route/fixture.h"

namespace pillion::route {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimeoutRules kTrusted{true, false};
constexpr TimeoutRules kExpected{true, true};

TimeoutPlan plan_of(std::string_view action, const Request::Fields& fields, TimeoutRules rules) {
  const Table table(
      with_routes(str("[ { match: { prefix: / }, route: { cluster: c", action, " } } ]")));
  const Request request("h/", fields);
  const RouteMatch match = table.routes->match(request.head, 0, false);
  return finalize_timeouts(*match.route->forward, request.head.headers, rules);
}

TEST(Timeouts, FollowTheTable) {
  struct Case {
    std::string_view action;
    Request::Fields fields;
    TimeoutRules rules;
    Duration global, per_try;
  };
  constexpr Duration kNone{};
  const Case cases[] = {
      {"", {}, {}, seconds(15), kNone},
      {", timeout: 3s", {}, {}, seconds(3), kNone},
      {", timeout: 0s", {}, {}, kNone, kNone},
      // A stranger's headers change nothing.
      {"", {{"x-envoy-upstream-rq-timeout-ms", "5"}}, {}, seconds(15), kNone},
      {"", {{"x-envoy-upstream-rq-timeout-ms", "5"}}, kTrusted, milliseconds(5), kNone},
      {"", {{"x-envoy-upstream-rq-timeout-ms", "0"}}, kTrusted, kNone, kNone},
      {"", {{"x-envoy-upstream-rq-timeout-ms", "99999"}}, kTrusted, milliseconds(99999), kNone},
      // What is no number is as good as none.
      {"", {{"x-envoy-upstream-rq-timeout-ms", "5s"}}, kTrusted, seconds(15), kNone},
      {"", {{"x-envoy-upstream-rq-timeout-ms", "-5"}}, kTrusted, seconds(15), kNone},
      {"", {{"x-envoy-upstream-rq-timeout-ms", " 5"}}, kTrusted, seconds(15), kNone},
      {"", {{"x-envoy-upstream-rq-timeout-ms", ""}}, kTrusted, seconds(15), kNone},
      {"",
       {{"x-envoy-upstream-rq-timeout-ms", "99999999999999999999999"}},
       kTrusted,
       seconds(15),
       kNone},
      // Nor can one overflow the clock (CVE-2021-28682 was such).
      {"",
       {{"x-envoy-upstream-rq-timeout-ms", "18446744073709551615"}},
       kTrusted,
       std::chrono::hours(24 * 365),
       kNone},
      // One attempt within the whole; a limit that cannot fire first is dropped.
      {"",
       {{"x-envoy-upstream-rq-per-try-timeout-ms", "100"}},
       kTrusted,
       seconds(15),
       milliseconds(100)},
      {", timeout: 0.1s",
       {{"x-envoy-upstream-rq-per-try-timeout-ms", "100"}},
       kTrusted,
       milliseconds(100),
       kNone},
      {", timeout: 0s",
       {{"x-envoy-upstream-rq-per-try-timeout-ms", "100"}},
       kTrusted,
       kNone,
       milliseconds(100)},
      // The policy's limit of an attempt, which trusted headers replace.
      {", retry_policy: { per_try_timeout: 2s }", {}, {}, seconds(15), seconds(2)},
      {", retry_policy: { per_try_timeout: 15s }", {}, {}, seconds(15), kNone},
      {", retry_policy: { per_try_timeout: 2s }, timeout: 0s", {}, {}, kNone, seconds(2)},
      {", retry_policy: { per_try_timeout: 2s }",
       {{"x-envoy-upstream-rq-per-try-timeout-ms", "100"}},
       {},
       seconds(15),
       seconds(2)},
      {", retry_policy: { per_try_timeout: 2s }",
       {{"x-envoy-upstream-rq-per-try-timeout-ms", "100"}},
       kTrusted,
       seconds(15),
       milliseconds(100)},
      // The time that a proxy before us has counted.
      {"", {{"x-envoy-expected-rq-timeout-ms", "7"}}, kTrusted, seconds(15), kNone},
      {"",
       {{"x-envoy-expected-rq-timeout-ms", "7"}, {"x-envoy-upstream-rq-timeout-ms", "9"}},
       kExpected,
       milliseconds(7),
       kNone},
      {"", {{"x-envoy-upstream-rq-timeout-ms", "9"}}, kExpected, milliseconds(9), kNone},
      {"",
       {{"x-envoy-expected-rq-timeout-ms", "x"}, {"x-envoy-upstream-rq-timeout-ms", "9"}},
       kExpected,
       seconds(15),
       kNone},
      {"", {{"x-envoy-expected-rq-timeout-ms", "7"}}, {false, true}, seconds(15), kNone},
  };
  for (const Case& c : cases) {
    const TimeoutPlan plan = plan_of(c.action, c.fields, c.rules);
    const std::string text = c.fields.empty() ? "" : c.fields[0].first + ": " + c.fields[0].second;
    EXPECT_EQ(plan.global, c.global) << c.action << " " << text;
    EXPECT_EQ(plan.per_try, c.per_try) << c.action << " " << text;
    EXPECT_EQ(plan.timeout_status, 504);
  }
}

TEST(Timeouts, OfGrpcAreTheClientsWithinTheRoutes) {
  struct Case {
    std::string_view action, timeout;
    Duration global;
  };
  const Case cases[] = {
      {"", "1S", seconds(15)},
      {", max_grpc_timeout: 5s", "1S", seconds(1)},
      {", max_grpc_timeout: 5s", "9S", seconds(5)},
      {", max_grpc_timeout: 5s", "", seconds(5)},
      {", max_grpc_timeout: 5s", "0S", seconds(5)},
      {", max_grpc_timeout: 0s", "9H", std::chrono::hours(9)},
      {", max_grpc_timeout: 0s", "", Duration{}},
      {", max_grpc_timeout: 5s, grpc_timeout_offset: 0.1s", "1S", milliseconds(900)},
      {", max_grpc_timeout: 5s, grpc_timeout_offset: 1s", "1S", seconds(1)},
      // max_stream_duration, whatever it says, takes the place of the route's timeout.
      {", timeout: 3s, max_stream_duration: { max_stream_duration: 4s }", "1S", Duration{}},
      {", max_grpc_timeout: 5s, max_stream_duration: {}", "1S", Duration{}},
  };
  for (const Case& c : cases) {
    const Request::Fields fields = {{"content-type", "application/grpc"},
                                    {"grpc-timeout", std::string(c.timeout)}};
    EXPECT_EQ(plan_of(c.action, fields, {}).global, c.global) << c.action << " " << c.timeout;
  }
  EXPECT_EQ(plan_of(", max_grpc_timeout: 5s", {{"grpc-timeout", "1S"}}, {}).global, seconds(15));
}

TEST(Timeouts, ReadGrpcTimeout) {
  const std::pair<std::string_view, std::optional<Duration>> cases[] = {
      {"1H", std::chrono::hours(1)},
      {"2M", std::chrono::minutes(2)},
      {"3S", seconds(3)},
      {"4m", milliseconds(4)},
      {"1001u", milliseconds(2)},
      {"1n", milliseconds(1)},
      {"0n", milliseconds(0)},
      {"1000001n", milliseconds(2)},
      {"99999999u", milliseconds(100'000)},
      {"99999999n", milliseconds(100)},
      {"99999999m", milliseconds(99'999'999)},
      {"99999999M", std::chrono::minutes(99'999'999)},
      {"00000001S", seconds(1)},
      {"99999999S", seconds(99999999)},
      {"99999999H", std::chrono::hours(24 * 365)},
      {"999999999S", std::nullopt},
      {"", std::nullopt},
      {"S", std::nullopt},
      {"1", std::nullopt},
      {"1s", std::nullopt},
      {"-1S", std::nullopt},
      {"+1S", std::nullopt},
      {"1.5S", std::nullopt},
      {"0x1S", std::nullopt},
      {"1SS", std::nullopt},
      {"18446744073709551616S", std::nullopt},
      {std::string_view("1\0S", 3), std::nullopt},
      {" 1S", std::nullopt},
      {"1 S", std::nullopt},
  };
  for (const auto& [text, expected] : cases) {
    const Request request("h/", {{"grpc-timeout", std::string(text)}});
    EXPECT_EQ(grpc_timeout(request.head.headers), expected) << text;
  }
}

TEST(Timeouts, OfStreamsAreTheRoutesOrTheGrpcClients) {
  struct Case {
    std::string_view duration, timeout;
    std::optional<Duration> limit;
    std::string_view forwarded;
  };
  const Case cases[] = {
      {"", "1S", std::nullopt, ""},
      {"{}", "1S", std::nullopt, ""},
      {"{ max_stream_duration: 7s }", "1S", seconds(7), ""},
      {"{ max_stream_duration: 0s }", "1S", Duration{}, ""},
      {"{ max_stream_duration: 7s, grpc_timeout_header_max: 5s }", "", seconds(7), ""},
      {"{ max_stream_duration: 7s, grpc_timeout_header_max: 5s }", "9S", seconds(5), "5000m"},
      {"{ grpc_timeout_header_max: 5s }", "1S", seconds(1), "1000m"},
      {"{ grpc_timeout_header_max: 0s }", "9H", std::chrono::hours(9), "32400000m"},
      {"{ grpc_timeout_header_max: 0s }", "99H", std::chrono::hours(99), "356400S"},
      {"{ grpc_timeout_header_max: 5s, grpc_timeout_header_offset: 0.25s }", "1S",
       milliseconds(750), "750m"},
      {"{ grpc_timeout_header_max: 5s, grpc_timeout_header_offset: 1s }", "1S", milliseconds(1),
       "1m"},
  };
  for (const Case& c : cases) {
    const Table table(with_routes(
        str("[ { match: { prefix: / }, route: { cluster: c",
            c.duration.empty() ? "" : ", max_stream_duration: ", c.duration, " } } ]")));
    Request request("h/", {{"grpc-timeout", std::string(c.timeout)}});
    const ForwardAction& action = *table.routes->match(request.head, 0, false).route->forward;
    EXPECT_EQ(stream_duration(action, request.head.headers), c.limit) << c.duration << c.timeout;
    EXPECT_EQ(forwarded_grpc_timeout(action, request.head.headers), c.forwarded) << c.duration;
  }
}

TEST(Timeouts, AreToldInEightDigitsAtMost) {
  const std::pair<Duration, std::string_view> cases[] = {
      {{}, "0m"},
      {milliseconds(1), "1m"},
      {milliseconds(99'999'999), "99999999m"},
      {milliseconds(100'000'000), "100000S"},
      {seconds(99'999'999), "99999999S"},
      {seconds(100'000'000), "1666666M"},
      {std::chrono::hours(24 * 3653), "5260320M"},  // ten years, the longest that can be configured
      {Duration::max(), "2562047H"},
      {Duration(-1'000'000'000), "0m"},
  };
  for (const auto& [timeout, expected] : cases) {
    Arena arena;
    const std::string_view text = grpc_timeout_text(timeout, arena);
    EXPECT_EQ(text, expected);
    const Request request("h/", {{"grpc-timeout", std::string(text)}});
    EXPECT_TRUE(grpc_timeout(request.head.headers)) << text << " is none itself";
  }
}

TEST(Timeouts, MayBeAnsweredBy204) {
  const Request::Fields fields = {{"x-envoy-upstream-rq-timeout-alt-response", "1"}};
  EXPECT_EQ(plan_of("", fields, kTrusted).timeout_status, 204);
  EXPECT_EQ(plan_of("", fields, {}).timeout_status, 504);
}

TEST(Timeouts, TellTheUpstreamHowLongItHas) {
  struct Case {
    Duration global, per_try, elapsed;
    std::optional<uint64_t> expected;
  };
  const Case cases[] = {
      {seconds(15), {}, {}, 15000},
      {seconds(15), {}, seconds(14), 1000},
      {seconds(15), seconds(2), seconds(1), 2000},
      {seconds(15), seconds(2), seconds(14), 1000},
      {seconds(15), {}, seconds(15), 1},
      {seconds(15), {}, seconds(99), 1},
      {milliseconds(10), {}, std::chrono::microseconds(9500), 1},
      {{}, seconds(2), seconds(99), 2000},
      {{}, {}, {}, std::nullopt},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(expected_timeout_ms({c.global, c.per_try, 504}, c.elapsed), c.expected);
  }
}

TEST(Timeouts, HeadersThatSteerTheProxyGoNoFurther) {
  constexpr std::string_view kNames[] = {"x-envoy-upstream-rq-timeout-ms",
                                         "x-envoy-upstream-rq-per-try-timeout-ms",
                                         "x-envoy-upstream-rq-timeout-alt-response",
                                         "x-envoy-retry-on",
                                         "x-envoy-retry-grpc-on",
                                         "x-envoy-max-retries",
                                         "x-envoy-hedge-on-per-try-timeout",
                                         "x-envoy-retriable-header-names",
                                         "x-envoy-retriable-status-codes"};
  Request request("h/", {{"a", "1"}, {"x-envoy-expected-rq-timeout-ms", "9"}});
  for (const std::string_view name : kNames) request.head.headers.add_copy(name, "1");
  remove_control_headers(request.head.headers);
  EXPECT_EQ(request.head.headers.count(), 2u);
  EXPECT_EQ(request.header("a"), "1");
  EXPECT_EQ(request.header("x-envoy-expected-rq-timeout-ms"), "9");
}

}  // namespace
}  // namespace pillion::route
