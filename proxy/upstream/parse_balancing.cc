// Which host gets a request, and how many at most.
#include <cmath>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/upstream/parse_parts.h"

namespace pillion::upstream {
namespace {

using config::EnumRow;
using config::Node;

enum Policy : int {
  kPolicyRoundRobin = 0,
  kPolicyLeastRequest = 1,
  kPolicyRandom = 3,
  kPolicyProvided = 6,
  kPolicyTyped = 7
};
constexpr EnumRow kPolicies[] = {
    {"ROUND_ROBIN", kPolicyRoundRobin},
    {"LEAST_REQUEST", kPolicyLeastRequest},
    {"RING_HASH", 2, kLater},
    {"RANDOM", kPolicyRandom},
    {"MAGLEV", 5, kLater},
    {"CLUSTER_PROVIDED", kPolicyProvided},
    {"LOAD_BALANCING_POLICY_CONFIG", kPolicyTyped},
};
constexpr EnumRow kSelections[] = {{"N_CHOICES", 0}, {"FULL_SCAN", 1, kLater}};

#define PILLION_POLICY(name) "envoy.extensions.load_balancing_policies." name
constexpr std::string_view kRoundRobin = PILLION_POLICY("round_robin.v3.RoundRobin");
constexpr std::string_view kLeastRequest = PILLION_POLICY("least_request.v3.LeastRequest");
constexpr std::string_view kRandom = PILLION_POLICY("random.v3.Random");
constexpr std::string_view kClusterProvided = PILLION_POLICY("cluster_provided.v3.ClusterProvided");
#undef PILLION_POLICY
constexpr EnumRow kPriorities[] = {{"DEFAULT", 0}, {"HIGH", 1}};

void parse_policy(const Node& cluster, ClusterConfig& out) {
  const Node node = cluster["lb_policy"];
  const bool is_original = out.type == DiscoveryType::kOriginalDst;
  const int policy = node.as_enum_or<int>(kPolicyRoundRobin, kPolicies);
  // What is said there counts.
  if (cluster.has("load_balancing_policy")) return;
  if (policy == kPolicyTyped) return (void)cluster.required("load_balancing_policy");
  if (is_original && policy != kPolicyProvided) {
    node.error("clusters of type ORIGINAL_DST need lb_policy CLUSTER_PROVIDED");
  } else if (!is_original && policy == kPolicyProvided) {
    node.error("only clusters of type ORIGINAL_DST provide their own balancing");
  }
  GroupOptions& group = out.balancer.group;
  if (policy == kPolicyLeastRequest) group.policy = BalancePolicy::kLeastRequest;
  if (policy == kPolicyRandom) group.policy = BalancePolicy::kRandom;
}

void parse_round_robin(const Node& node) {
  if (node.is_missing()) return;
  node.unsupported({"slow_start_config"}, kLater);
  node.reject_unknown_keys();
}

void parse_least_request(const Node& node, GroupOptions& out) {
  if (node.is_missing()) return;
  out.choice_count = node["choice_count"].as_u32_or(out.choice_count, 2);
  const Node bias = node["active_request_bias"];
  const Node configured = bias["default_value"];
  if (!(configured.as_double_or(0) >= 0.0)) configured.expected("a number of at least 0");
  out.active_request_bias = bias.as_runtime_double_or(out.active_request_bias);
  node.unsupported({"slow_start_config"}, kLater);
  node.reject_unknown_keys();
}

// Where requests go within and between localities is the same for all, as for lb_policy.
void parse_typed_policy(std::string_view type, const Node& node, ClusterConfig& out) {
  GroupOptions& group = out.balancer.group;
  if (type == kRoundRobin) {
    group.policy = BalancePolicy::kRoundRobin;
    node.unsupported({"slow_start_config", "locality_lb_config"}, kLater);
  } else if (type == kLeastRequest) {
    group.policy = BalancePolicy::kLeastRequest;
    if (node["enable_full_scan"].as_bool_or(false))
      node.unsupported({"enable_full_scan"}, kLater, config::Unknown::kAlwaysError);
    (void)node["selection_method"].as_enum_or<int>(0, kSelections);
    node.unsupported({"locality_lb_config"}, kLater);
    return parse_least_request(node, group);
  } else if (type == kRandom) {
    group.policy = BalancePolicy::kRandom;
    node.unsupported({"locality_lb_config"}, kLater);
  }
  node.reject_unknown_keys();
}

// load_balancing_policy, which comes before lb_policy and its options.  The first policy of the
// list counts: Envoy takes the first that it knows, and those that we lack are refused, for they
// choose other hosts (subsets, hashes, an override by header).
void parse_typed_policies(const Node& node, ClusterConfig& out) {
  if (node.is_missing()) return;
  const bool is_original = out.type == DiscoveryType::kOriginalDst;
  const Node list = node["policies"];
  if (list.size() == 0) list.expected("at least one policy");
  bool is_first = true;
  for (const Node item : list.items()) {
    const Node extension = item.required("typed_extension_config");
    extension.ignore({"name"});
    const auto [type, policy] = extension["typed_config"].typed_config();
    extension.reject_unknown_keys(config::Unknown::kAlwaysError);
    item.reject_unknown_keys(config::Unknown::kAlwaysError);
    if (!std::exchange(is_first, false)) {
      (void)policy.entries();  // whatever it says
      continue;
    }
    if (type.empty()) continue;
    const bool is_known = is_original
                              ? type == kClusterProvided
                              : type == kRoundRobin || type == kLeastRequest || type == kRandom;
    if (!is_known) {
      extension["typed_config"].error(
          str("load balancing policy \"", config::printable(type), "\" is not supported ",
              is_original ? "for ORIGINAL_DST" : "by Pillion yet", " (", kLater, ')'));
      continue;
    }
    parse_typed_policy(type, policy, out);
  }
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
}

void parse_common(const Node& node, BalancerOptions& out) {
  if (node.is_missing()) return;
  const double panic = node["healthy_panic_threshold"].as_percent_or(out.panic_threshold);
  out.panic_threshold = static_cast<uint32_t>(std::lround(panic));
  if (const Node zone = node["zone_aware_lb_config"]) {
    out.fail_traffic_on_panic = zone["fail_traffic_on_panic"].as_bool_or(false);
    zone.unsupported({"routing_enabled", "min_cluster_size", "force_locality_direct_routing",
                      "force_local_zone", "locality_basis"},
                     kLater);
    zone.reject_unknown_keys();
  }
  refuse_true(node, "close_connections_on_host_set_change");
  out.excludes_unchecked = node["ignore_new_hosts_until_first_hc"].as_bool_or(false);
  // Updates are applied as they come; the other belongs to stateful sessions.
  node.ignore({"update_merge_window", "override_host_status"});
  node.unsupported({"locality_weighted_lb_config", "consistent_hashing_lb_config"}, kLater);
  node.reject_unknown_keys();
}

std::optional<RetryBudget> parse_retry_budget(const Node& node) {
  if (node.is_missing()) return std::nullopt;
  RetryBudget budget;
  budget.percent = node["budget_percent"].as_percent_or(budget.percent);
  budget.min_concurrency = node["min_retry_concurrency"].as_u32_or(budget.min_concurrency);
  node.unsupported({"budget_interval"}, kLater);
  node.reject_unknown_keys();
  return budget;
}

}  // namespace

void parse_balancing(const Node& cluster, ClusterConfig& out) {
  parse_policy(cluster, out);
  parse_round_robin(cluster["round_robin_lb_config"]);
  parse_least_request(cluster["least_request_lb_config"], out.balancer.group);
  parse_typed_policies(cluster["load_balancing_policy"], out);
  parse_common(cluster["common_lb_config"], out.balancer);
}

// Those of priority HIGH are checked and have no effect: no route can give a request that priority.
void parse_circuit_breakers(const Node& node, ClusterConfig& out) {
  if (node.is_missing()) return;
  bool seen[2] = {};
  for (const Node item : node["thresholds"].items()) {
    const bool is_high = item["priority"].as_enum_or<int>(0, kPriorities) == 1;
    if (std::exchange(seen[is_high], true)) {
      item.error(
          str("thresholds of priority ", is_high ? "HIGH" : "DEFAULT", " are in the list already"));
    }
    LimitValues limits;
    limits.max_connections = item["max_connections"].as_u32_or(limits.max_connections);
    limits.max_pending = item["max_pending_requests"].as_u32_or(limits.max_pending);
    limits.max_requests = item["max_requests"].as_u32_or(limits.max_requests);
    limits.max_retries = item["max_retries"].as_u32_or(limits.max_retries);
    const bool track = item["track_remaining"].as_bool_or(false);
    limits.retry_budget = parse_retry_budget(item["retry_budget"]);
    item.unsupported({"max_connection_pools"}, kLater);
    item.reject_unknown_keys();
    if (is_high) continue;
    out.pool->limits = limits;
    out.tracks_remaining = track;
  }
  node.unsupported({"per_host_thresholds"}, kLater);
  node.reject_unknown_keys();
}

}  // namespace pillion::upstream
