#include <algorithm>
#include <utility>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/runtime.h"
#include "proxy/route/parse_parts.h"

namespace pillion::route {
namespace {

using config::EnumRow;
using config::Need;
using config::Node;
using config::Unknown;

constexpr std::string_view kLater = "comes with a later version";
constexpr EnumRow kNotFound[] = {
    {"SERVICE_UNAVAILABLE", 0}, {"NOT_FOUND", 1}, {"INTERNAL_SERVER_ERROR", 2}};
constexpr uint16_t kNotFoundStatus[] = {503, 404, 500};
constexpr EnumRow kPriorities[] = {{"DEFAULT", 0}, {"HIGH", 1, kLater}};

bool is(const Node& field, std::string_view snake, std::string_view camel) {
  return field.is_present() && (field.key() == snake || field.key() == camel);
}

// The name of a cluster, told to the caller.
std::string parse_cluster_name(const Node& node, const ParseContext& context) {
  std::string name = node.as_string();
  const bool is_wanted = context.validate_clusters || context.options.all_clusters;
  if (!name.empty() && is_wanted && context.options.clusters != nullptr) {
    context.options.clusters->push_back(node.located_string());
  }
  return name;
}

WeightedCluster parse_share(const Node& node, const ParseContext& context) {
  WeightedCluster share;
  const Node cluster = node.one_of({"name", "cluster_header"});
  if (is(cluster, "name", "name")) share.cluster = parse_cluster_name(cluster, context);
  if (is(cluster, "cluster_header", "clusterHeader"))
    share.cluster_header = lowered(cluster.as_string_or(""));
  share.weight_end = node.required("weight").as_u32_or(0);
  share.host_rewrite = target_text(node["host_rewrite_literal"]);
  share.mutations = parse_level_mutations(node, context.options.formats);
  share.filters = parse_overrides(node, context.options);
  node.unsupported({"metadata_match"}, kLater);
  node.reject_unknown_keys();
  return share;
}

// runtime_key_prefix: weights by "<prefix>.<cluster>".  All of them zero would leave no cluster, so
// that they do not count then.
class WeightKeys {
 public:
  WeightKeys(const Node& weighted, const Node& clusters)
      : prefix_(weighted["runtime_key_prefix"].as_string_or("")) {
    if (prefix_.empty() || clusters.size() == 0) return;
    uint64_t sum = 0;
    for (const Node item : clusters.items())
      sum += weight_of(item, item["name"].as_view_or(), item["weight"].as_u32_or(0));
    if (sum != 0) return;
    weighted["runtime_key_prefix"].warn("the runtime makes all weights zero: they do not count");
    prefix_.clear();
  }
  [[nodiscard]] uint64_t weight_of(const Node& item, std::string_view cluster,
                                   uint64_t configured) const {
    if (prefix_.empty() || cluster.empty()) return configured;
    return config::runtime_uint(item, str(prefix_, '.', cluster), configured);
  }

 private:
  std::string prefix_;
};

std::unique_ptr<const WeightedClusters> parse_weighted(const Node& node,
                                                       const ParseContext& context) {
  auto weighted = std::make_unique<WeightedClusters>();
  const Node clusters = node.required("clusters");
  const WeightKeys keys(node, clusters);
  uint64_t configured = 0;
  for (const Node item : clusters.items()) {
    WeightedCluster share = parse_share(item, context);
    configured += share.weight_end;
    share.weight_end = keys.weight_of(item, share.cluster, share.weight_end);
    if (share.weight_end == 0) continue;
    weighted->total_weight += share.weight_end;
    share.weight_end = weighted->total_weight;
    weighted->clusters.push_back(std::move(share));
  }
  if (clusters.is_present() && weighted->total_weight == 0) {
    clusters.error("expected weights whose sum is above zero");
  } else if (weighted->total_weight > UINT32_MAX) {
    clusters.error("expected weights whose sum is below 2^32");
  }
  if (const Node total = node["total_weight"]; total.is_present()) {  // deprecated
    if (total.as_u32() != configured) total.expected(str(configured, ", the sum of the weights"));
  }
  weighted->random_header = lowered(node["header_name"].as_string_or(""));
  node.unsupported({"use_hash_policy"}, kLater);
  node.reject_unknown_keys();
  return weighted;
}

void parse_destination(ForwardAction& action, const Node& node, const ParseContext& context) {
  const bool has_other =
      node.has("cluster_specifier_plugin") || node.has("inline_cluster_specifier_plugin");
  const Node cluster = node.one_of({"cluster", "cluster_header", "weighted_clusters"},
                                   has_other ? Need::kAtMostOne : Need::kExactlyOne);
  if (is(cluster, "cluster", "cluster")) {
    action.cluster = parse_cluster_name(cluster, context);
  } else if (is(cluster, "cluster_header", "clusterHeader")) {
    action.cluster_header = lowered(cluster.as_string_or(""));
    if (action.cluster_header.empty()) cluster.expected("a header name");
  } else if (is(cluster, "weighted_clusters", "weightedClusters")) {
    action.weighted = parse_weighted(cluster, context);
  }
  const int not_found = node["cluster_not_found_response_code"].as_enum_or<int>(0, kNotFound);
  action.cluster_not_found_status = kNotFoundStatus[std::clamp(not_found, 0, 2)];
}

std::unique_ptr<const Rewrite> parse_rewrite(const Node& node) {
  auto rewrite = std::make_unique<Rewrite>();
  const Node path = node.one_of({"prefix_rewrite", "regex_rewrite"}, Need::kAtMostOne);
  if (is(path, "prefix_rewrite", "prefixRewrite")) {
    rewrite->prefix = target_text(path);
  } else if (path.is_present()) {
    rewrite->regex = match::parse_regex_rewrite(path);
  }
  const Node host = node.one_of({"host_rewrite_literal", "auto_host_rewrite", "host_rewrite_header",
                                 "host_rewrite_path_regex"},
                                Need::kAtMostOne);
  if (is(host, "host_rewrite_literal", "hostRewriteLiteral")) {
    rewrite->host = target_text(host);
  } else if (is(host, "auto_host_rewrite", "autoHostRewrite")) {
    rewrite->host_from_upstream = host.as_bool();
  } else if (is(host, "host_rewrite_header", "hostRewriteHeader")) {
    rewrite->host_header = lowered(host.as_string_or(""));
  } else if (host.is_present()) {
    rewrite->host_from_path = match::parse_regex_rewrite(host);
  }
  rewrite->append_x_forwarded_host = node["append_x_forwarded_host"].as_bool_or(false);
  const bool changes = !rewrite->prefix.empty() || rewrite->regex || !rewrite->host.empty() ||
                       !rewrite->host_header.empty() || rewrite->host_from_path ||
                       rewrite->host_from_upstream || rewrite->append_x_forwarded_host;
  return changes ? std::move(rewrite) : nullptr;
}

// True: CONNECT ends here.
bool parse_connect_config(const Node& node, std::string_view type) {
  if (node.is_missing()) return false;
  if (type != "connect") node.error("belongs to upgrade_type CONNECT");
  if (node["allow_post"].as_bool_or(false)) node["allow_post"].error(std::string(kLater));
  node.unsupported({"proxy_protocol_config"}, kLater, Unknown::kAlwaysError);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return true;
}

std::vector<UpgradeRule> parse_upgrades(const Node& list) {
  std::vector<UpgradeRule> rules;
  for (const Node node : list.items()) {
    UpgradeRule rule;
    const Node type = node.required("upgrade_type");
    rule.type = lowered(type.as_string_or(""));
    rule.enabled = node["enabled"].as_bool_or(true);
    rule.terminates = parse_connect_config(node["connect_config"], rule.type);
    node.reject_unknown_keys();
    if (std::ranges::find(rules, rule.type, &UpgradeRule::type) != rules.end()) {
      type.error(str("\"", rule.type, "\" is in the list already"));
    }
    rules.push_back(std::move(rule));
  }
  return rules;
}

void parse_times(ForwardAction& action, const Node& node) {
  action.timeout = node["timeout"].as_duration_or(action.timeout);
  if (const Node idle = node["idle_timeout"]; idle.is_present()) {
    action.idle_timeout = idle.as_duration();
  }
  if (const Node most = node["max_grpc_timeout"]; most.is_present()) {
    action.max_grpc_timeout = most.as_duration();
  }
  action.grpc_timeout_offset = node["grpc_timeout_offset"].as_duration_or({});
  const Node stream = node["max_stream_duration"];
  if (stream.is_missing()) return;
  // Its limits take the place of those above, whichever of them it sets.
  action.timeout = {};
  action.max_grpc_timeout = {};
  action.grpc_timeout_offset = stream["grpc_timeout_header_offset"].as_duration_or({});
  if (const Node most = stream["grpc_timeout_header_max"]; most.is_present()) {
    action.grpc_timeout_header_max = most.as_duration();
  }
  if (const Node longest = stream["max_stream_duration"]; longest.is_present()) {
    action.max_stream_duration = longest.as_duration();
  }
  stream.reject_unknown_keys();
}

}  // namespace

std::unique_ptr<const ForwardAction> parse_forward(const Node& node, const ParseContext& context) {
  auto action = std::make_unique<ForwardAction>();
  parse_destination(*action, node, context);
  parse_times(*action, node);
  action->rewrite = parse_rewrite(node);
  action->upgrades = parse_upgrades(node["upgrade_configs"]);
  const Node retry = node["retry_policy"];
  action->retry = retry.is_present() ? parse_retry_policy(retry) : context.host_retry;
  action->body_limit = context.body_limit;
  (void)node["priority"].as_enum_or<int>(0, kPriorities);
  node.unsupported(
      {"metadata_match", "hash_policy", "rate_limits", "include_vh_rate_limits",
       "request_mirror_policies", "request_mirror_policy", "hedge_policy",
       "internal_redirect_policy", "internal_redirect_action", "max_internal_redirects",
       "retry_policy_typed_config", "early_data_policy", "flush_timeout"},
      kLater);
  // Without these a request would go elsewhere, or ask for something else.
  node.unsupported({"path_rewrite_policy", "path_rewrite", "host_rewrite",
                    "cluster_specifier_plugin", "inline_cluster_specifier_plugin", "cors"},
                   kLater, Unknown::kAlwaysError);
  node.reject_unknown_keys();
  return action;
}

}  // namespace pillion::route
