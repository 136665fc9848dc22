#include <algorithm>

#include "proxy/config/value_hash.h"
#include "proxy/core/chain_index.h"
#include "proxy/core/listener_routes.h"
#include "proxy/core/parse.h"
#include "proxy/core/parse_parts.h"
#include "proxy/io/parse_address.h"

namespace pillion::core {
namespace {

using config::combine_hashes;
using config::EnumRow;
using config::Node;

constexpr EnumRow kDirections[] = {{"UNSPECIFIED", 0}, {"INBOUND", 1}, {"OUTBOUND", 2}};
constexpr EnumRow kDrainTypes[] = {{"DEFAULT", 0}, {"MODIFY_ONLY", 1, kLater}};

void parse_socket(ListenerConfig& out, const Node& node) {
  io::ListenOptions& options = out.options;
  const Node address = node.required("address");
  if (address.is_present()) out.address = io::parse_address(address, &options.unix_mode);
  for (const Node item : node["additional_addresses"].items()) {
    const Node more = item.required("address");
    out.additional_addresses.push_back(more.is_present() ? io::parse_address(more) : io::Address{});
    item.unsupported({"socket_options", "tcp_keepalive"}, kLater);
    item.reject_unknown_keys();
  }
  options.backlog = static_cast<int>(node["tcp_backlog_size"].as_u32_or(0, 0, INT32_MAX));
  // The older field is a plain bool; Envoy takes the newer one where both are given.
  const bool reuse_port = node["reuse_port"].as_bool_or(true);
  options.reuse_port = node["enable_reuse_port"].as_bool_or(reuse_port);
  options.user_timeout = io::kUserTimeout;
  options.transparent = node["transparent"].as_bool_or(false);
  options.freebind = node["freebind"].as_bool_or(false);
  out.bind_to_port = node["bind_to_port"].as_bool_or(true);
  if (node["tcp_fast_open_queue_length"].as_u32_or(0) != 0)
    node.unsupported({"tcp_fast_open_queue_length"}, kLater);
  refuse_true(node, {"enable_mptcp"});
  node.unsupported({"socket_options", "tcp_keepalive", "connection_balance_config"}, kLater);
  // Without these it would listen where, or for what, it must not.
  node.unsupported({"udp_listener_config", "api_listener", "internal_listener", "deprecated_v1"},
                   kLater, config::Unknown::kAlwaysError);
}

// Names in counters cannot have the ':' of an address.
std::string stat_name_of(const ListenerConfig& listener, const Node& node) {
  std::string name = node["stat_prefix"].as_string_or("");
  if (name.empty() && listener.address.kind() == io::Address::Kind::kUnix)
    name = listener.address.path();
  if (name.empty()) name = listener.address.to_string();
  std::replace(name.begin(), name.end(), ':', '_');
  return name;
}

// Can the chain only be chosen by what TLS says first?
bool needs_tls_inspector(const FilterChainMatch& match) {
  if (!match.transport_protocol.empty()) return match.transport_protocol == "tls";
  return !match.server_names.empty() || !match.application_protocols.empty();
}

void parse_chains(ListenerConfig& out, const Node& node, const ParseContext& context) {
  const Node list = node["filter_chains"];
  for (const Node item : list.items()) out.chains.push_back(parse_filter_chain(item, context));
  refuse_equal_matches(out.chains, list);
  if (out.chains.size() >= ChainIndex::kMinChains)
    out.chain_index = std::make_shared<const ChainIndex>(out.chains);
  const Node last = node["default_filter_chain"];
  if (last.is_present()) out.default_chain = parse_filter_chain(last, context);
  node.unsupported({"filter_chain_matcher", "fcds_config"}, kLater, config::Unknown::kAlwaysError);
  const bool is_missing = list.is_missing() || (list.is_sequence() && list.size() == 0);
  if (is_missing && !out.default_chain) list.error("expected at least one filter chain");
  // As Envoy does: without it these chains would never be chosen.
  out.tls_inspector |= std::any_of(out.chains.begin(), out.chains.end(), [](const auto& chain) {
    return needs_tls_inspector(chain->match);
  });
}

void set_hashes(ListenerConfig& out, const Node& node) {
  const io::ListenOptions& options = out.options;
  out.socket_hash = out.address.hash();
  for (const io::Address& more : out.additional_addresses)
    out.socket_hash = combine_hashes(out.socket_hash, more.hash());
  for (const uint64_t value :
       {uint64_t(options.backlog), uint64_t{options.reuse_port}, uint64_t{options.transparent},
        uint64_t{options.freebind}, uint64_t{options.unix_mode}, uint64_t{out.bind_to_port}}) {
    out.socket_hash = combine_hashes(out.socket_hash, value);
  }
  out.own_hash = config::hash_value(node);
  set_hash(out);
}

}  // namespace

std::shared_ptr<const ListenerConfig> parse_listener(const Node& node,
                                                     const ParseContext& context) {
  auto out = std::make_shared<ListenerConfig>();
  using Direction = ListenerConfig::Direction;
  parse_socket(*out, node);
  out->name = node["name"].as_string_or("");
  if (out->name.empty()) out->name = out->address.to_string();  // Envoy makes up a UUID
  out->stat_name = stat_name_of(*out, node);
  parse_listener_filters(*out, node["listener_filters"], context.services);
  out->direction = node["traffic_direction"].as_enum_or(Direction::kUnspecified, kDirections);
  out->per_connection_buffer_limit =
      node["per_connection_buffer_limit_bytes"].as_u32_or(out->per_connection_buffer_limit);
  // Envoy's 0 is no limit of its own.
  const uint32_t buffer_limit =
      out->per_connection_buffer_limit == 0 ? UINT32_MAX : out->per_connection_buffer_limit;
  parse_chains(*out, node,
               {context.services, context.clusters, out->direction == Direction::kOutbound,
                buffer_limit, context.all_clusters});
  out->own_filters = *out;
  use_discovered_filters(*out);
  out->use_original_dst = node["use_original_dst"].as_bool_or(false);
  out->listener_filters_timeout =
      node["listener_filters_timeout"].as_duration_or(out->listener_filters_timeout);
  out->continue_on_listener_filters_timeout =
      node["continue_on_listener_filters_timeout"].as_bool_or(false);
  out->max_accepts_per_event =
      node["max_connections_to_accept_per_socket_event"].as_u32_or(out->max_accepts_per_event, 1);
  out->ignore_global_conn_limit = node["ignore_global_conn_limit"].as_bool_or(false);
  out->access_logs = context.services.access_logs(node["access_log"]);
  (void)node["drain_type"].as_enum_or<int>(0, kDrainTypes);
  set_hashes(*out, node);
  node.ignore({"metadata"});  // only labels
  refuse_true(node, {"bypass_overload_manager"});
  node.unsupported({"stats_matcher", "per_connection_buffer_high_watermark_timeout"}, kLater);
  node.reject_unknown_keys();
  return out;
}

}  // namespace pillion::core
