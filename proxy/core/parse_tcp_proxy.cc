// extensions.filters.network.tcp_proxy.v3.TcpProxy.
#include "proxy/config/value_hash.h"
#include "proxy/core/parse_parts.h"

namespace pillion::core {
namespace {

using config::EnumRow;
using config::Node;

constexpr EnumRow kConnectModes[] = {{"IMMEDIATE", 0},
                                     {"ON_DOWNSTREAM_DATA", 1, kLater},
                                     {"ON_DOWNSTREAM_TLS_HANDSHAKE", 2, kLater}};

void add_target(TcpProxyConfig& out, const Node& name, uint32_t weight,
                const ParseContext& context) {
  config::Located<std::string> cluster = name.located_string();
  out.targets.push_back({cluster.value, weight});
  if (!cluster.value.empty()) context.clusters.push_back(std::move(cluster));
}

void parse_weighted(TcpProxyConfig& out, const Node& node, const ParseContext& context) {
  const Node list = node.required("clusters");
  out.total_weight = 0;
  for (const Node item : list.items()) {
    const uint32_t weight = item["weight"].as_u32(1);
    add_target(out, item["name"], weight, context);
    out.total_weight += weight;
    item.unsupported({"metadata_match"}, kLater);
    item.reject_unknown_keys();
  }
  if (list.is_sequence() && list.size() == 0) list.error("expected at least one cluster");
  if (out.total_weight > UINT32_MAX) list.error("expected weights whose sum is below 2^32");
  node.reject_unknown_keys();
}

void parse_log_options(const Node& node) {
  node.unsupported({"access_log_flush_interval"}, kLater);
  refuse_true(node, {"flush_access_log_on_connected", "flush_access_log_on_start"});
  node.reject_unknown_keys();
}

}  // namespace

std::shared_ptr<const TcpProxyConfig> parse_tcp_proxy(const Node& node,
                                                      const ParseContext& context) {
  auto out = std::make_shared<TcpProxyConfig>();
  out->stat_prefix = node["stat_prefix"].as_string();
  const Node target = node.one_of({"cluster", "weighted_clusters"});
  if (target.is_present() && target.key() == "cluster") {
    add_target(*out, target, 1, context);
  } else if (target.is_present()) {
    parse_weighted(*out, target, context);
  }
  out->idle_timeout = node["idle_timeout"].as_duration_or(out->idle_timeout);
  out->max_connection_duration =
      node["max_downstream_connection_duration"].as_duration_or(Duration{});
  out->max_connect_attempts = node["max_connect_attempts"].as_u32_or(1, 1);
  out->access_logs = context.services.access_logs(node["access_log"]);
  parse_log_options(node["access_log_options"]);
  (void)node["upstream_connect_mode"].as_enum_or<int>(0, kConnectModes);
  out->hash = config::hash_value(node);
  refuse_true(node, {"flush_access_log_on_connected", "check_drain_close"});
  node.unsupported(
      {"on_demand", "metadata_match", "downstream_idle_timeout", "upstream_idle_timeout",
       "backoff_options", "hash_policy", "access_log_flush_interval",
       "max_downstream_connection_duration_jitter_percentage", "proxy_protocol_tlvs",
       "proxy_protocol_tlv_merge_policy", "max_early_data_bytes"},
      kLater);
  node.unsupported({"tunneling_config"}, kLater, config::Unknown::kAlwaysError);
  node.reject_unknown_keys();
  return out;
}

}  // namespace pillion::core
