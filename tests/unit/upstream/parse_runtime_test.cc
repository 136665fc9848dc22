// Envoy's keys of the runtime that count for clusters.
#include <gtest/gtest.h>

#include "proxy/config/loader.h"
#include "proxy/config/runtime.h"
#include "proxy/upstream/parse.h"

namespace pillion::upstream {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kCluster = R"(
name: app
type: STATIC
outlier_detection: { consecutive_5xx: 3 }
circuit_breakers: { thresholds: [ { max_connections: 10 } ] }
load_assignment: { cluster_name: app, endpoints: [] }
)";

std::shared_ptr<const ClusterConfig> parse(std::string_view layer) {
  config::Errors errors;
  const auto values = config::load_text(layer, "layer", errors);
  const config::Runtime runtime(config::parse_runtime_values(values->root(errors)));
  const auto document = config::load_text(kCluster, "cluster", errors);
  errors.use(runtime);
  auto cluster = parse_cluster(document->root(errors));
  EXPECT_TRUE(errors.ok()) << errors.to_string();
  EXPECT_TRUE(errors.unfinished().empty());
  return cluster;
}

TEST(ClusterRuntime, GoesOverWhatIsConfigured) {
  const auto plain = parse("{}");
  const auto cluster = parse(R"({
    upstream: { healthy_panic_threshold: 20 },
    circuit_breakers: { app: { default: { max_connections: 5, max_requests: 6, max_retries: 7,
      max_pending_requests: 8, retry_budget: { budget_percent: 12.5 } } } },
    outlier_detection: { consecutive_5xx: 9, interval_ms: 1500, enforcing_success_rate: 40,
                         base_ejection_time_ms: 400000 } })");
  EXPECT_EQ(plain->balancer.panic_threshold, 50u);
  EXPECT_EQ(cluster->balancer.panic_threshold, 20u);
  const LimitValues& limits = cluster->pool->limits;
  EXPECT_EQ(limits.max_connections, 5u);
  EXPECT_EQ(limits.max_requests, 6u);
  EXPECT_EQ(limits.max_retries, 7u);
  EXPECT_EQ(limits.max_pending, 8u);
  ASSERT_TRUE(limits.retry_budget);
  EXPECT_EQ(limits.retry_budget->percent, 12.5);
  EXPECT_EQ(cluster->outlier->consecutive_5xx, 9u);
  EXPECT_EQ(cluster->outlier->interval, 1500ms);
  EXPECT_EQ(cluster->outlier->base_ejection_time, 400s);
  EXPECT_EQ(cluster->outlier->max_ejection_time, 400s) << "never below the base";
  EXPECT_EQ(cluster->outlier->enforcing_of(OutlierKind::kSuccessRate), 40u);
  EXPECT_NE(cluster->hash, plain->hash);
  EXPECT_EQ(cluster->connection_hash, plain->connection_hash) << "pools stay";
}

TEST(ClusterRuntime, KeysOfOtherClustersChangeNothing) {
  const auto cluster = parse("{ circuit_breakers: { app2: { default: { max_connections: 5 } } } }");
  EXPECT_EQ(cluster->pool->limits.max_connections, 10u);
  EXPECT_EQ(cluster->hash, parse("{}")->hash);
}

TEST(ClusterRuntime, ConcernsAClusterByItsKeys) {
  EXPECT_TRUE(is_cluster_key("upstream.healthy_panic_threshold", "a"));
  EXPECT_TRUE(is_cluster_key("outlier_detection.interval_ms", "a"));
  EXPECT_TRUE(is_cluster_key("circuit_breakers.a.default.max_requests", "a"));
  EXPECT_TRUE(is_cluster_key("circuit_breakers.a.b.default.max_requests", "a.b"));
  EXPECT_FALSE(is_cluster_key("circuit_breakers.ab.default.max_requests", "a"));
  EXPECT_FALSE(is_cluster_key("upstream.use_retry", "a"));
}

}  // namespace
}  // namespace pillion::upstream
