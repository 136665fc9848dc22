#include "proxy/base/response_flags.h"
#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

constexpr std::string_view kHealthz =
    "headers: [ { name: ':path', string_match: { exact: /healthz } } ]";

class HealthCheck : public FilterTest {
 protected:
  HealthCheck() : FilterTest("envoy.extensions.filters.http.health_check.v3.HealthCheck") {}
  Exchange& check() { return exchange({{":path", "/healthz"}}); }
  stats::HealthCheckFilterStats& counters() { return stats<stats::HealthCheckFilterStats>("web"); }
};

TEST_F(HealthCheck, AnswersItselfWithoutPassThrough) {
  configure(str("{ pass_through_mode: false, ", kHealthz, " }"));
  Exchange& e = check();
  EXPECT_EQ(e.status, 200);
  EXPECT_EQ(e.details, "health_check_ok");
  EXPECT_TRUE(e.info_.is_health_check);
  EXPECT_EQ(e.response_header("x-envoy-upstream-healthchecked-cluster"), "mesh");
  EXPECT_EQ(counters().ok.value(), 1u);
  Exchange& other = exchange();
  EXPECT_TRUE(other.passed);
  EXPECT_FALSE(other.info_.is_health_check);
}

TEST_F(HealthCheck, FailsWhenTheServerShallLookUnhealthy) {
  for (const bool pass_through : {false, true}) {
    configure(str("{ pass_through_mode: ", pass_through ? "true" : "false", ", ", kHealthz, " }"));
    worker.context.fails_health_checks = true;
    Exchange& e = check();
    EXPECT_EQ(e.status, 503);
    EXPECT_EQ(e.details, "health_check_failed");
    EXPECT_EQ(e.info_.flags, flag_bit(ResponseFlag::kFailedLocalHealthCheck));
    Exchange& other = exchange();
    EXPECT_TRUE(other.passed);
    other.respond(200);
    EXPECT_EQ(other.response_header("x-envoy-immediate-health-check-fail"), "true");
    worker.context.fails_health_checks = false;
    EXPECT_EQ(check().passed, pass_through);
  }
}

TEST_F(HealthCheck, CachesTheApplicationsAnswerForItsTime) {
  configure(str("{ pass_through_mode: true, cache_time: 1s, ", kHealthz, " }"));
  Exchange& first = check();
  EXPECT_TRUE(first.passed) << "nothing is cached yet";
  first.respond(500);
  Exchange& cached = check();
  EXPECT_EQ(cached.status, 500);
  EXPECT_EQ(cached.details, "health_check_cached");
  EXPECT_EQ(cached.info_.flags, flag_bit(ResponseFlag::kFailedLocalHealthCheck));
  worker.loop.skip(milliseconds(900));
  EXPECT_EQ(check().status, 500) << "a cached answer does not live longer for being used";
  worker.loop.skip(milliseconds(110));
  Exchange& fresh = check();
  EXPECT_TRUE(fresh.passed);
  fresh.respond(200);
  EXPECT_EQ(check().status, 200);
  EXPECT_EQ(counters().request_total.value(), 5u);
  EXPECT_EQ(counters().cached_response.value(), 3u);
}

TEST_F(HealthCheck, WithoutACacheEveryCheckPasses) {
  configure(str("{ pass_through_mode: true, ", kHealthz, " }"));
  for (int i = 0; i < 2; ++i) {
    Exchange& e = check();
    EXPECT_TRUE(e.passed);
    e.respond(200);
  }
}

TEST_F(HealthCheck, WrongConfigurationsAreNamed) {
  const auto e = errors_of("{ cluster_min_healthy_percentages: {}, cache_time: 1s }");
  EXPECT_NE(e.find("pass_through_mode: required field is missing"), e.npos) << e;
  EXPECT_NE(e.find("cache_time: needs pass_through_mode"), e.npos) << e;
  EXPECT_NE(e.find("cluster_min_healthy_percentages: known to Envoy v3 but not supported"), e.npos)
      << e;
}

}  // namespace
}  // namespace pillion::filters
