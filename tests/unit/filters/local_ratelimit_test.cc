#include "proxy/base/response_flags.h"
#include "proxy/base/token_bucket.h"
#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

class LocalRateLimit : public FilterTest {
 protected:
  LocalRateLimit()
      : FilterTest("envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit") {}
  static std::string limit(std::string_view bucket, std::string_view more = {}) {
    return str("{ stat_prefix: rl, filter_enabled: 100%, filter_enforced: 100%, token_bucket: ",
               bucket, more, " }");
  }
  stats::LocalRateLimitStats& counters(std::string_view prefix = "rl") {
    return stats<stats::LocalRateLimitStats>(prefix);
  }
};

TEST_F(LocalRateLimit, RefusesWhenTheBucketIsEmptyAndAcceptsWhenItFills) {
  configure(limit("{ max_tokens: 2, tokens_per_fill: 2, fill_interval: 1s }"));
  EXPECT_TRUE(exchange().passed);
  EXPECT_TRUE(exchange().passed);
  Exchange& refused = exchange();
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.reply_body, "local_rate_limited");
  EXPECT_EQ(refused.details, "local_rate_limited");
  EXPECT_EQ(refused.info_.flags, flag_bit(ResponseFlag::kRateLimited));
  EXPECT_EQ(refused.grpc_status, std::nullopt);
  worker.loop.skip(milliseconds(510));  // one of two in a second
  EXPECT_TRUE(exchange().passed);
  EXPECT_EQ(exchange().status, 429);
  EXPECT_EQ(counters().enabled.value(), 5u);
  EXPECT_EQ(counters().ok.value(), 3u);
  EXPECT_EQ(counters().rate_limited.value(), 2u);
  EXPECT_EQ(counters().enforced.value(), 2u);
}

TEST_F(LocalRateLimit, IsOffUnlessEnabledAndOnlyCountsUnlessEnforced) {
  configure("{ stat_prefix: rl, token_bucket: { max_tokens: 1, fill_interval: 10s } }");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(exchange().passed);
  EXPECT_EQ(counters().enabled.value(), 0u);
  configure(
      "{ stat_prefix: rl, filter_enabled: 100%, token_bucket: { max_tokens: 1, "
      "fill_interval: 10s }, request_headers_to_add_when_not_enforced: [ { header: "
      "{ key: x-limited, value: 'yes' } } ] }");
  EXPECT_EQ(exchange().header("x-limited"), "");
  Exchange& over = exchange();
  EXPECT_TRUE(over.passed);
  EXPECT_EQ(over.header("x-limited"), "yes");
  EXPECT_EQ(counters().rate_limited.value(), 1u);
  EXPECT_EQ(counters().enforced.value(), 0u);
}

TEST_F(LocalRateLimit, TheReplyIsAsConfigured) {
  configure(limit("{ max_tokens: 1, fill_interval: 10s }",
                  ", status: { code: ServiceUnavailable }, rate_limited_as_resource_exhausted: "
                  "true, response_headers_to_add: [ { header: { key: x-why, value: limit } } ]"));
  EXPECT_TRUE(exchange().passed);
  Exchange& refused = exchange();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.grpc_status, 8u);
  EXPECT_EQ(refused.response_header("x-why"), "limit");
}

TEST_F(LocalRateLimit, AStatusThatIsNoErrorIs429) {
  configure(limit("{ max_tokens: 1, fill_interval: 10s }", ", status: { code: OK }"));
  EXPECT_TRUE(exchange().passed);
  EXPECT_EQ(exchange().status, 429);
}

TEST_F(LocalRateLimit, TellsWhatIsLeft) {
  configure(limit("{ max_tokens: 2, fill_interval: 10s }",
                  ", enable_x_ratelimit_headers: DRAFT_VERSION_03"));
  Exchange& first = exchange();
  first.respond(200);
  EXPECT_EQ(first.response_header("x-ratelimit-limit"), "2");
  EXPECT_EQ(first.response_header("x-ratelimit-remaining"), "1");
  EXPECT_EQ(first.response_header("x-ratelimit-reset"), "0");
  EXPECT_TRUE(exchange().passed);
  Exchange& refused = exchange();
  EXPECT_EQ(refused.response_header("x-ratelimit-remaining"), "0");
  EXPECT_EQ(refused.response_header("x-ratelimit-reset"), "10");
}

TEST_F(LocalRateLimit, ARouteHasABucketAndCountersOfItsOwn) {
  configure("{ stat_prefix: rl }");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(exchange().passed) << "there is no bucket";
  configure_route(
      "{ stat_prefix: mine, filter_enabled: 100%, filter_enforced: 100%, "
      "token_bucket: { max_tokens: 1, fill_interval: 1s } }");
  EXPECT_TRUE(exchange().passed);
  EXPECT_EQ(exchange().status, 429);
  EXPECT_EQ(counters("mine").enforced.value(), 1u);
  EXPECT_EQ(counters().enforced.value(), 0u);
}

TEST_F(LocalRateLimit, WrongConfigurationsAreNamed) {
  const auto e = errors_of(
      "{ token_bucket: { max_tokens: 0, fill_interval: 10ms }, descriptors: [], "
      "local_rate_limit_per_downstream_connection: true, status: { code: Nope } }");
  EXPECT_NE(e.find("stat_prefix: required field is missing"), e.npos) << e;
  EXPECT_NE(e.find("token_bucket.max_tokens: expected"), e.npos) << e;
  EXPECT_NE(e.find("token_bucket.fill_interval: expected a duration of at least 50ms"), e.npos)
      << e;
  EXPECT_NE(e.find("descriptors: known to Envoy v3 but not supported"), e.npos) << e;
  EXPECT_NE(e.find("local_rate_limit_per_downstream_connection: known to Envoy v3"), e.npos) << e;
  EXPECT_NE(e.find("status.code: "), e.npos) << e;
  const auto route = errors_of_route("{ stat_prefix: a }");
  EXPECT_NE(route.find("token_bucket: required field is missing"), route.npos) << route;
}

// ---- the bucket ----

Instant at(int64_t ms) { return Instant(milliseconds(1'000'000 + ms)); }

TEST(TokenBucket, IsFullAtFirstAndNeverMoreThanFull) {
  TokenBucket bucket(3, 1, seconds(1));
  EXPECT_EQ(bucket.remaining(at(0)), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.try_take(at(0)));
  EXPECT_FALSE(bucket.try_take(at(0)));
  EXPECT_FALSE(bucket.try_take(at(999)));
  EXPECT_EQ(bucket.until_next(at(999)), milliseconds(1));
  EXPECT_TRUE(bucket.try_take(at(1000)));
  EXPECT_FALSE(bucket.try_take(at(1000)));
  EXPECT_EQ(bucket.remaining(at(100'000)), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.try_take(at(100'000)));
  EXPECT_FALSE(bucket.try_take(at(100'000)));
}

}  // namespace
}  // namespace pillion::filters
