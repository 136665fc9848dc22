// Keys of the runtime in routes.
#include "proxy/config/runtime.h"

#include <gtest/gtest.h>

#include "proxy/config/loader.h"
#include "proxy/route/retry_policy.h"

namespace pillion::route {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const RetryPolicy> parse(std::string_view policy, std::string_view layer) {
  config::Errors errors;
  const auto values = config::load_text(layer, "layer", errors);
  const config::Runtime runtime(config::parse_runtime_values(values->root(errors)));
  const auto document = config::load_text(policy, "policy", errors);
  errors.use(runtime);
  auto parsed = parse_retry_policy(document->root(errors));
  EXPECT_TRUE(errors.ok()) << errors.to_string();
  EXPECT_TRUE(errors.unfinished().empty());
  return parsed;
}

TEST(RetryRuntime, AShareOfTheRetriesIsAllowed) {
  EXPECT_EQ(parse("{ retry_on: 5xx }", "{}")->allowed, (config::Fraction{100, 100}));
  EXPECT_EQ(parse("{ retry_on: 5xx }", "{ upstream: { use_retry: 30 } }")->allowed,
            (config::Fraction{30, 100}));
}

TEST(RetryRuntime, TheFirstWaitIsThatOfTheRuntimeUnlessThePolicyHasOne) {
  constexpr std::string_view kLayer = "{ upstream.base_retry_backoff_ms: 70 }";
  const auto by_runtime = parse("{ retry_on: 5xx }", kLayer);
  EXPECT_EQ(by_runtime->base_interval, 70ms);
  EXPECT_EQ(by_runtime->max_interval, 700ms);
  const auto by_policy = parse("{ retry_on: 5xx, retry_back_off: { base_interval: 5ms } }", kLayer);
  EXPECT_EQ(by_policy->base_interval, 5ms);
  EXPECT_EQ(by_policy->max_interval, 50ms);
}

}  // namespace
}  // namespace pillion::route
