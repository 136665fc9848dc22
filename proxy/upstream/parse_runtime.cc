// Keys of the runtime that Envoy reads for every cluster, without a field that names them
// (envoy.md 2.3-2.5).  There are many of them and many clusters: keys are made up only if the
// runtime has some of their kind.
#include <algorithm>

#include "proxy/base/str.h"
#include "proxy/config/runtime.h"
#include "proxy/upstream/parse.h"
#include "proxy/upstream/parse_parts.h"

namespace pillion::upstream {
namespace {

using config::Node;

constexpr std::string_view kPanic = "upstream.healthy_panic_threshold";
constexpr std::string_view kBreakers = "circuit_breakers.";
constexpr std::string_view kOutlier = "outlier_detection.";

bool has_any(const Node& node, std::string_view prefix) {
  return node.errors() != nullptr && node.errors()->runtime() != nullptr &&
         node.errors()->runtime()->has_any(prefix);
}

void set(const Node& node, const std::string& key, uint32_t& value, uint32_t most = UINT32_MAX) {
  value = static_cast<uint32_t>(config::runtime_uint(node, key, value, most));
}

void set(const Node& node, const std::string& key, Duration& value) {
  const auto ms = static_cast<uint64_t>(to_millis(value));
  const uint64_t now = config::runtime_uint(node, key, ms);
  if (now != ms && now != 0) value = std::chrono::milliseconds(now);
}

// No route can give a request the priority HIGH.
void apply_breakers(const Node& cluster, ClusterConfig& out) {
  const std::string prefix = str(kBreakers, out.name, ".default.");
  if (!has_any(cluster, prefix)) return;
  LimitValues& limits = out.pool->limits;
  set(cluster, prefix + "max_connections", limits.max_connections);
  set(cluster, prefix + "max_pending_requests", limits.max_pending);
  set(cluster, prefix + "max_requests", limits.max_requests);
  set(cluster, prefix + "max_retries", limits.max_retries);
  const std::string budget = prefix + "retry_budget.";
  if (!has_any(cluster, budget)) return;
  if (!limits.retry_budget) limits.retry_budget.emplace();
  limits.retry_budget->percent = std::min(
      config::runtime_double(cluster, budget + "budget_percent", limits.retry_budget->percent),
      100.0);
  set(cluster, budget + "min_retry_concurrency", limits.retry_budget->min_concurrency);
}

}  // namespace

bool is_cluster_key(std::string_view key, std::string_view cluster) {
  if (key == kPanic || key.starts_with(kOutlier)) return true;
  if (!key.starts_with(kBreakers)) return false;
  key.remove_prefix(kBreakers.size());
  return key.starts_with(cluster) && key.substr(cluster.size()).starts_with('.');
}

void apply_runtime(const Node& cluster, ClusterConfig& out) {
  if (has_any(cluster, kPanic))
    set(cluster, std::string(kPanic), out.balancer.panic_threshold, 100);
  if (has_any(cluster, kBreakers)) apply_breakers(cluster, out);
}

void apply_runtime(const Node& outlier, OutlierOptions& out) {
  if (!has_any(outlier, kOutlier)) return;
  const auto number = [&outlier](std::string_view key, uint32_t& value,
                                 uint32_t most = UINT32_MAX) {
    set(outlier, str(kOutlier, key), value, most);
  };
  number("consecutive_5xx", out.consecutive_5xx);
  number("consecutive_gateway_failure", out.consecutive_gateway);
  number("consecutive_local_origin_failure", out.consecutive_local);
  set(outlier, str(kOutlier, "interval_ms"), out.interval);
  set(outlier, str(kOutlier, "base_ejection_time_ms"), out.base_ejection_time);
  set(outlier, str(kOutlier, "max_ejection_time_ms"), out.max_ejection_time);
  set(outlier, str(kOutlier, "max_ejection_time_jitter_ms"), out.max_jitter);
  out.max_ejection_time = std::max(out.max_ejection_time, out.base_ejection_time);
  number("max_ejection_percent", out.max_ejection_percent, 100);
  const auto enforcing = [&](std::string_view key, OutlierKind kind) {
    number(str("enforcing_", key), out.enforcing[static_cast<size_t>(kind)], 100);
  };
  enforcing("consecutive_5xx", OutlierKind::kConsecutive5xx);
  enforcing("consecutive_gateway_failure", OutlierKind::kConsecutiveGateway);
  enforcing("consecutive_local_origin_failure", OutlierKind::kConsecutiveLocal);
  enforcing("success_rate", OutlierKind::kSuccessRate);
  enforcing("local_origin_success_rate", OutlierKind::kLocalSuccessRate);
  enforcing("failure_percentage", OutlierKind::kFailurePercentage);
  enforcing("failure_percentage_local_origin", OutlierKind::kLocalFailurePercentage);
  number("success_rate_minimum_hosts", out.success_rate_hosts);
  number("success_rate_request_volume", out.success_rate_volume);
  number("success_rate_stdev_factor", out.success_rate_stdev_factor);
  number("failure_percentage_threshold", out.failure_percentage_threshold, 100);
  number("failure_percentage_minimum_hosts", out.failure_percentage_hosts);
  number("failure_percentage_request_volume", out.failure_percentage_volume);
}

}  // namespace pillion::upstream
