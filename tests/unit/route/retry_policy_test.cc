// When a policy asks for another attempt, and how long that waits.
#include "proxy/route/retry_policy.h"

#include "tests/unit/route/fixture.h"

namespace pillion::route {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::shared_ptr<const RetryPolicy> policy_of(std::string_view yaml) {
  config::Errors errors;
  const auto document = config::load_text(yaml, "retry", errors);
  auto policy = parse_retry_policy(document->root(errors));
  EXPECT_TRUE(errors.ok()) << errors.to_string();
  EXPECT_TRUE(errors.unfinished().empty()) << yaml;
  return policy;
}

struct Response {
  explicit Response(uint16_t status, const Request::Fields& fields = {}) : head(arena) {
    head.status = status;
    for (const auto& [name, value] : fields) head.headers.add_copy(name, value);
  }
  Arena arena;
  http::ResponseHead head;
};

// Each word beside the statuses that it retries, out of those from 200 to 599.
TEST(RetryPolicy, AsksForAnotherTryByStatus) {
  struct Case {
    std::string_view policy;
    std::vector<unsigned> retried;
  };
  std::vector<unsigned> all_5xx;
  for (unsigned status = 500; status < 600; ++status) all_5xx.push_back(status);
  const Case cases[] = {
      {"retry_on: 5xx", all_5xx},
      {"retry_on: gateway-error", {502, 503, 504}},
      {"retry_on: retriable-4xx", {409}},
      {"retry_on: 'retriable-4xx, gateway-error'", {409, 502, 503, 504}},
      {"{ retry_on: retriable-status-codes, retriable_status_codes: [ 404, 503, 599 ] }",
       {404, 503, 599}},
      // Without the word the list says nothing, nor does the word without a list.
      {"{ retry_on: reset, retriable_status_codes: [ 503 ] }", {}},
      {"retry_on: retriable-status-codes", {}},
      {"retry_on: connect-failure", {}},
      {"retry_on: reset", {}},
      {"retry_on: reset-before-request", {}},
      {"retry_on: refused-stream", {}},
      {"retry_on: envoy-ratelimited", {}},
      {"retry_on: 'cancelled,deadline-exceeded,internal,resource-exhausted,unavailable'", {}},
  };
  for (const Case& c : cases) {
    const auto policy = policy_of(c.policy);
    std::vector<unsigned> retried;
    for (unsigned status = 200; status < 600; ++status) {
      const Response response(static_cast<uint16_t>(status));
      if (should_retry(*policy, {AttemptOutcome::Kind::kResponse, true, &response.head})) {
        retried.push_back(status);
      }
    }
    EXPECT_EQ(retried, c.retried) << c.policy;
  }
}

TEST(RetryPolicy, AsksForAnotherTryByField) {
  struct Case {
    std::string_view policy;
    uint16_t status;
    Request::Fields fields;
    bool retried;
  };
  const Case cases[] = {
      {"retry_on: envoy-ratelimited", 429, {{"x-envoy-ratelimited", ""}}, true},
      // The upstream asks for less: only who names that word goes on.
      {"retry_on: 5xx", 503, {{"x-envoy-ratelimited", "true"}}, false},
      {"retry_on: '5xx,envoy-ratelimited'", 503, {{"x-envoy-ratelimited", "true"}}, true},
      {"{ retry_on: retriable-headers, retriable_headers: [ { name: x-again } ] }",
       200,
       {{"x-again", "1"}},
       true},
      {"{ retry_on: retriable-headers, retriable_headers: [ { name: x-again } ] }", 500, {}, false},
      {"{ retry_on: retriable-headers, retriable_headers: [ { name: a }, { name: ':status', "
       "string_match: { exact: '418' } } ] }",
       418,
       {},
       true},
      {"{ retry_on: reset, retriable_headers: [ { name: x-again } ] }",
       200,
       {{"x-again", "1"}},
       false},
      {"retry_on: cancelled", 200, {{"grpc-status", "1"}}, true},
      {"retry_on: deadline-exceeded", 200, {{"grpc-status", "4"}}, true},
      {"retry_on: resource-exhausted", 200, {{"grpc-status", "8"}}, true},
      {"retry_on: internal", 200, {{"grpc-status", "13"}}, true},
      {"retry_on: unavailable", 200, {{"grpc-status", "14"}}, true},
      {"retry_on: 'unavailable,cancelled'", 200, {{"grpc-status", "13"}}, false},
      {"retry_on: unavailable", 200, {{"grpc-status", "0"}}, false},
      {"retry_on: unavailable", 200, {{"grpc-status", "14 "}}, false},
      {"retry_on: unavailable", 200, {{"grpc-status", ""}}, false},
      {"retry_on: unavailable", 503, {}, false},
      {"retry_on: 5xx", 200, {{"grpc-status", "14"}}, false},
  };
  for (const Case& c : cases) {
    const Response response(c.status, c.fields);
    EXPECT_EQ(
        should_retry(*policy_of(c.policy), {AttemptOutcome::Kind::kResponse, true, &response.head}),
        c.retried)
        << c.policy << " " << c.status
        << (c.fields.empty() ? "" : " " + c.fields[0].first + ": " + c.fields[0].second);
  }
}

TEST(RetryPolicy, AsksForAnotherTryByFailure) {
  using enum FailureKind;
  constexpr FailureKind kConnects[] = {kConnectFailed, kConnectLocal, kConnectTimeout, kTlsFailed,
                                       kHostRemoved};
  constexpr FailureKind kResets[] = {kUpstreamClosed, kUpstreamReset, kUpstreamProtocol,
                                     kPerTryTimeout, kPerTryIdleTimeout};
  constexpr FailureKind kNever[] = {
      kOverflow,         kNoHealthyUpstream, kRequestTimeoutUpstream, kShuttingDown,
      kDownstreamClosed, kInternal,          kMaxStreamDuration,      kMaxStreamDurationRequest};
  struct Case {
    std::string_view word;
    bool connect, reset, refused, unsent;  // unsent: reset before a byte was sent
  };
  constexpr Case kCases[] = {
      {"5xx", true, true, true, true},
      {"gateway-error", true, true, true, true},
      {"reset", true, true, true, true},
      {"connect-failure", true, false, false, false},
      {"refused-stream", false, false, true, false},
      {"reset-before-request", false, false, false, true},
      {"retriable-4xx", false, false, false, false},
      {"retriable-status-codes", false, false, false, false},
      {"retriable-headers", false, false, false, false},
      {"envoy-ratelimited", false, false, false, false},
      {"unavailable", false, false, false, false},
  };
  for (const Case& c : kCases) {
    const auto policy = policy_of(str("retry_on: ", c.word));
    const auto retries = [&](FailureKind kind, bool started) {
      return should_retry(*policy, {outcome_of({kind}), started, nullptr});
    };
    for (const FailureKind kind : kConnects) {
      EXPECT_EQ(retries(kind, true), c.connect) << c.word;
      EXPECT_EQ(retries(kind, false), c.connect || c.unsent) << c.word;
    }
    for (const FailureKind kind : kResets) {
      EXPECT_EQ(retries(kind, true), c.reset) << c.word << " " << failure_row(kind).name;
      EXPECT_EQ(retries(kind, false), c.reset || c.unsent) << c.word;
    }
    EXPECT_EQ(retries(kStreamRefused, true), c.refused) << c.word;
    for (const FailureKind kind : kNever) {
      EXPECT_FALSE(retries(kind, false)) << c.word << " " << failure_row(kind).name;
    }
  }
}

TEST(RetryPolicy, IsOnlyForRequestsThatItNames) {
  const auto all = policy_of("retry_on: 5xx");
  const auto some = policy_of(
      "{ retry_on: 5xx, retriable_request_headers: [ { name: ':method', string_match: { exact: GET "
      "} }, { name: x-idempotent } ] }");
  EXPECT_TRUE(all->concerns(Request("h/", {}, "POST").head));
  EXPECT_TRUE(some->concerns(Request("h/").head));
  EXPECT_FALSE(some->concerns(Request("h/", {}, "POST").head));
  EXPECT_TRUE(some->concerns(Request("h/", {{"x-idempotent", "1"}}, "POST").head));
}

TEST(RetryPolicy, KnowsWhetherBodiesAreNeededAgain) {
  EXPECT_FALSE(policy_of("retry_on: connect-failure")->repeats_sent_requests());
  EXPECT_FALSE(
      policy_of("retry_on: 'connect-failure,reset-before-request'")->repeats_sent_requests());
  for (const std::string_view word : kRetryWords) {
    if (word == "connect-failure" || word == "reset-before-request") continue;
    EXPECT_TRUE(policy_of(str("retry_on: ", word))->repeats_sent_requests()) << word;
  }
}

// Ranges [0,25) [0,50) [0,100) [0,200) [0,250) [0,250) of milliseconds, each used to its ends.
TEST(RetryPolicy, WaitsWithFullJitterThatDoublesUpToTheMaximum) {
  const auto policy = policy_of("retry_on: 5xx");
  constexpr int kSpans[] = {25, 50, 100, 200, 250, 250, 250};
  Rng rng(7);
  Duration least[std::size(kSpans)], most[std::size(kSpans)];
  std::ranges::fill(least, seconds(1));
  std::ranges::fill(most, Duration{});
  for (int run = 0; run < 2000; ++run) {
    Duration span = policy->base_interval;
    for (size_t i = 0; i < std::size(kSpans); ++i) {
      const Duration wait = next_back_off(*policy, span, rng);
      least[i] = std::min(least[i], wait);
      most[i] = std::max(most[i], wait);
    }
  }
  for (size_t i = 0; i < std::size(kSpans); ++i) {
    EXPECT_GE(least[i], Duration{});
    EXPECT_LT(least[i], Duration(milliseconds(kSpans[i])) / 50) << i;
    EXPECT_LT(most[i], milliseconds(kSpans[i])) << i;
    EXPECT_GT(most[i], Duration(milliseconds(kSpans[i])) * 49 / 50) << i;
  }
}

TEST(RetryPolicy, WaitsOfYearsDoNotOverflow) {
  const auto policy = policy_of(
      "{ retry_on: 5xx, retry_back_off: { base_interval: 1000h, max_interval: 2000000h } }");
  Rng rng(7);
  Duration span = policy->base_interval;
  for (int i = 0; i < 100; ++i) EXPECT_GE(next_back_off(*policy, span, rng), Duration{});
  EXPECT_EQ(span, policy->max_interval);
}

TEST(RetryPolicy, WaitsAsLongAsTheUpstreamAsks) {
  const auto policy = policy_of(
      "{ retry_on: 5xx, rate_limited_retry_back_off: { max_interval: 100s, reset_headers: [\n"
      "  { name: Retry-After }, { name: x-ratelimit-reset, format: UNIX_TIMESTAMP } ] } }");
  struct Case {
    Request::Fields fields;
    std::optional<Duration> wait;
  };
  const Case cases[] = {
      {{}, std::nullopt},
      {{{"retry-after", "3"}}, seconds(3)},
      {{{"retry-after", "100"}}, seconds(100)},
      {{{"retry-after", "101"}}, std::nullopt},
      {{{"retry-after", "0"}}, std::nullopt},
      {{{"retry-after", "-1"}}, std::nullopt},
      {{{"retry-after", "3s"}}, std::nullopt},
      {{{"retry-after", "Fri, 31 Dec 1999 23:59:59 GMT"}}, std::nullopt},
      {{{"retry-after", "18446744073709551615"}}, std::nullopt},
      {{{"x-ratelimit-reset", "1000007"}}, seconds(7)},
      {{{"x-ratelimit-reset", "999999"}}, std::nullopt},
      {{{"x-ratelimit-reset", "9223372036854775807"}}, std::nullopt},
      // The first one that says something usable.
      {{{"x-ratelimit-reset", "1000007"}, {"retry-after", "3"}}, seconds(3)},
      {{{"x-ratelimit-reset", "1000007"}, {"retry-after", "999"}}, seconds(7)},
  };
  for (const Case& c : cases) {
    const Response response(503, c.fields);
    EXPECT_EQ(asked_back_off(*policy, response.head, WallTime(seconds(1'000'000))), c.wait)
        << (c.fields.empty() ? "" : c.fields[0].first + ": " + c.fields[0].second);
  }
  Rng rng(7);
  Duration least = seconds(9), most{};
  for (int i = 0; i < 1000; ++i) {
    const Duration wait = spread_back_off(seconds(2), rng);
    least = std::min(least, wait);
    most = std::max(most, wait);
  }
  EXPECT_GE(least, seconds(2));
  EXPECT_LT(least, milliseconds(2020));
  EXPECT_LT(most, seconds(3));
  EXPECT_GT(most, milliseconds(2980));
}

TEST(RetryPolicy, ReadsItsFields) {
  const auto policy = policy_of(
      "{ retry_on: 'connect-failure, unavailable', num_retries: 4, per_try_timeout: 2s,\n"
      "  per_try_idle_timeout: 1s, retry_host_predicate: [ { name: p, typed_config: { '@type':\n"
      "    "
      "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate\n"
      "  } } ], host_selection_retry_max_attempts: 3, retry_back_off: { base_interval: 10ms } }");
  EXPECT_TRUE(policy->has(RetryOn::kConnectFailure));
  EXPECT_TRUE(policy->has(RetryOn::kGrpcUnavailable));
  EXPECT_FALSE(policy->has(RetryOn::kReset));
  EXPECT_EQ(policy->num_retries, 4u);
  EXPECT_EQ(policy->per_try_timeout, seconds(2));
  EXPECT_EQ(policy->per_try_idle_timeout, seconds(1));
  EXPECT_EQ(policy->extra_picks, 3u);
  EXPECT_EQ(policy->base_interval, milliseconds(10));
  EXPECT_EQ(policy->max_interval, milliseconds(100));
  EXPECT_EQ(policy->reset_max_interval, seconds(300));
  EXPECT_EQ(policy_of("num_retries: 3"), nullptr);
  EXPECT_NE(policy_of("per_try_timeout: 3s"), nullptr);
}

TEST(RetryPolicy, RefusesByNameWhatItDoesNotHave) {
  const std::string messages = messages_of(
      "virtual_hosts: [ { name: v, domains: [ '*' ], hedge_policy: {}, routes: [ { match: { "
      "prefix: "
      "/ },\n"
      "  route: { cluster: c, hedge_policy: {}, retry_policy: {\n"
      "    retry_on: 'restet,http3-post-connect-failure', retry_priority: {},\n"
      "    retry_options_predicates: [], refresh_cluster_on_retry: {},\n"
      "    retriable_status_codes: [ 99 ], rate_limited_retry_back_off: { reset_headers: [] },\n"
      "    retry_host_predicate: [ { name: c, typed_config: { '@type': "
      "type.googleapis.com/envoy.extensions.retry.host.omit_canary_hosts.v3."
      "OmitCanaryHostsPredicate } } ] } } } ] } ]\n");
  for (const std::string_view part :
       {"virtual_hosts[0].hedge_policy: known to Envoy v3 but not supported",
        "route.hedge_policy: known to Envoy v3 but not supported",
        "unknown retry condition \"restet\" (did you mean \"reset\"?)",
        "http3-post-connect-failure is known to Envoy v3 but not supported",
        "retry_priority: known to Envoy v3 but not supported",
        "retry_options_predicates: known to Envoy v3 but not supported",
        "refresh_cluster_on_retry: known to Envoy v3 but not supported",
        "retriable_status_codes[0]: expected 200-599, got 99",
        "reset_headers: expected at least one header",
        "omit_canary_hosts.v3.OmitCanaryH...\" is not supported by Pillion yet"}) {
    EXPECT_NE(messages.find(part), std::string::npos) << part << "\n" << messages;
  }
}

}  // namespace
}  // namespace pillion::route
