// outlier_detection (config.cluster.v3.OutlierDetection).
#include "proxy/upstream/parse_parts.h"

namespace pillion::upstream {
namespace {

using config::Node;

Duration positive(const Node& node, Duration fallback) {
  const Duration value = node.as_duration_or(fallback);
  if (node.is_present() && value <= Duration{}) node.expected("more than 0s");
  return value;
}

void parse_enforcing(const Node& node, OutlierOptions& out) {
  constexpr std::pair<std::string_view, OutlierKind> kFields[] = {
      {"enforcing_consecutive_5xx", OutlierKind::kConsecutive5xx},
      {"enforcing_consecutive_gateway_failure", OutlierKind::kConsecutiveGateway},
      {"enforcing_consecutive_local_origin_failure", OutlierKind::kConsecutiveLocal},
      {"enforcing_success_rate", OutlierKind::kSuccessRate},
      {"enforcing_local_origin_success_rate", OutlierKind::kLocalSuccessRate},
      {"enforcing_failure_percentage", OutlierKind::kFailurePercentage},
      {"enforcing_failure_percentage_local_origin", OutlierKind::kLocalFailurePercentage},
  };
  for (const auto& [key, kind] : kFields) {
    uint32_t& per_cent = out.enforcing[static_cast<size_t>(kind)];
    per_cent = node[key].as_u32_or(per_cent, 0, 100);
  }
}

void parse_rates(const Node& node, OutlierOptions& out) {
  const auto number = [&node](std::string_view key, uint32_t& value, uint32_t most = UINT32_MAX) {
    value = node[key].as_u32_or(value, 0, most);
  };
  number("success_rate_minimum_hosts", out.success_rate_hosts);
  number("success_rate_request_volume", out.success_rate_volume);
  number("success_rate_stdev_factor", out.success_rate_stdev_factor);
  number("failure_percentage_threshold", out.failure_percentage_threshold, 100);
  number("failure_percentage_minimum_hosts", out.failure_percentage_hosts);
  number("failure_percentage_request_volume", out.failure_percentage_volume);
}

}  // namespace

void parse_outlier(const Node& cluster, ClusterConfig& out) {
  const Node node = cluster["outlier_detection"];
  if (node.is_missing()) return;
  if (out.type == DiscoveryType::kOriginalDst) {
    node.error("clusters of type ORIGINAL_DST cannot have it yet");
  }
  auto o = std::make_shared<OutlierOptions>();
  o->consecutive_5xx = node["consecutive_5xx"].as_u32_or(o->consecutive_5xx);
  o->consecutive_gateway = node["consecutive_gateway_failure"].as_u32_or(o->consecutive_gateway);
  o->consecutive_local = node["consecutive_local_origin_failure"].as_u32_or(o->consecutive_local);
  o->split_local_origin = node["split_external_local_origin_errors"].as_bool_or(false);
  o->interval = positive(node["interval"], o->interval);
  o->base_ejection_time = positive(node["base_ejection_time"], o->base_ejection_time);
  // Unset, it gives way to a longer base.
  o->max_ejection_time =
      positive(node["max_ejection_time"], std::max(o->max_ejection_time, o->base_ejection_time));
  if (o->max_ejection_time < o->base_ejection_time)
    node["max_ejection_time"].expected("at least base_ejection_time");
  o->max_jitter = node["max_ejection_time_jitter"].as_duration_or(o->max_jitter);
  o->max_ejection_percent = node["max_ejection_percent"].as_u32_or(o->max_ejection_percent, 0, 100);
  o->always_eject_one = node["always_eject_one_host"].as_bool_or(o->always_eject_one);
  o->uneject_by_active_check =
      node["successful_active_health_check_uneject_host"].as_bool_or(o->uneject_by_active_check);
  parse_enforcing(node, *o);
  parse_rates(node, *o);
  apply_runtime(node, *o);
  refuse_true(node, "detect_degraded_hosts");
  node.unsupported({"monitors"}, kLater);
  node.reject_unknown_keys();
  out.outlier = std::move(o);
}

}  // namespace pillion::upstream
