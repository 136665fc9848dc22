// FilterChain: match, transport socket, and the filter that ends it.
#include <algorithm>
#include <functional>
#include <utility>

#include "proxy/config/value_hash.h"
#include "proxy/core/listener_routes.h"
#include "proxy/core/parse_parts.h"
#include "proxy/tls/context_slot.h"

namespace pillion::core {
namespace {

using config::combine_hashes;
using config::Node;

constexpr std::string_view kManager =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
constexpr std::string_view kTcpProxy = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
constexpr std::string_view kTls = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
constexpr std::string_view kRawBuffer =
    "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

// The filters of a chain: those that judge the connection, then the one that ends it.  Returns the
// hash of the former.
uint64_t parse_filters(FilterChain& chain, const Node& list, const ParseContext& context) {
  const auto types = context.services.network_filters();
  std::vector<std::string_view> supported{kManager, kTcpProxy};
  for (const NetworkFilterType& type : types) supported.push_back(type.type);
  bool is_ended = false;
  bool is_known = true;  // what is refused may be meant to end it
  uint64_t hash = 0;
  for (const Node item : list.items()) {
    if (is_ended) item.error("comes after the filter that ends the chain");
    if (leaves_out(item)) continue;
    if (item.has("config_discovery")) {
      const auto discovery = parse_network_discovery(item, types);
      NetworkExtension now = discovery->find(context.services);
      chain.discovered.push_back({chain.network_filters.size(), discovery, now.hash});
      chain.network_filters.push_back(std::move(now.filter));
      // What comes by it changes without an end of the connections.
      hash = combine_hashes(hash, config::hash_value(item["config_discovery"]));
      item.reject_unknown_keys();
      continue;
    }
    const auto [type, node] = parse_extension(item, ExtensionPoint::kNetworkFilter, supported);
    item.reject_unknown_keys();
    is_known = is_known && !type.empty();
    if (is_ended || type.empty()) continue;
    const auto found = std::ranges::find(types, type, &NetworkFilterType::type);
    if (found != types.end()) {
      chain.network_filters.push_back(found->parse(node));
      hash = combine_hashes(hash, config::hash_value(node));
      continue;
    }
    is_ended = true;
    if (type == kManager) {
      chain.terminal = parse_hcm(node, context);
    } else {
      chain.terminal = parse_tcp_proxy(node, context);
    }
  }
  // Of a chain without any, which has no terminal then, connections are closed, as in Envoy.
  if (is_known && !is_ended && list.is_sequence() && list.size() != 0) {
    list.error("expected an HttpConnectionManager or a TcpProxy, the filters that end a chain");
  }
  return hash;
}

// Offering h2 to clients would make them speak it.
void withhold_http2(tls::ContextConfig& config, const Node& context) {
  if (std::erase(config.alpn, "h2") == 0) return;
  context["common_tls_context"]["alpn_protocols"].warn(
      "h2 is not offered to clients: codec_type is HTTP1");
}

std::shared_ptr<const tls::ContextSlot> make_tls(const Node& node, bool is_http1) {
  const size_t errors_before = node.errors()->error_count();
  tls::SecretRefs secrets;
  tls::ContextConfig config = tls::parse_downstream_tls_context(node, &secrets);
  if (is_http1) withhold_http2(config, node);
  if (node.errors()->error_count() != errors_before) return nullptr;
  auto made = tls::ContextSlot::make(std::move(config), std::move(secrets));
  if (made) return *made;
  node.error(made.error());
  return nullptr;
}

std::shared_ptr<const tls::ContextSlot> parse_transport_socket(const Node& item, bool is_http1) {
  if (item.is_missing()) return nullptr;
  const auto [type, node] =
      parse_extension(item, ExtensionPoint::kTransportSocket, {kTls, kRawBuffer});
  item.reject_unknown_keys();
  if (type == kTls) return make_tls(node, is_http1);
  if (type == kRawBuffer) node.reject_unknown_keys();
  return nullptr;
}

// What a live connection was made with.  Everything else of a connection manager, its head limits
// included, may change between two requests.
uint64_t terminal_hash(const FilterChain& chain) {
  const auto combine = [&chain](uint64_t codec, const std::string& stat_prefix) {
    return combine_hashes(chain.terminal.index(),
                          combine_hashes(codec, std::hash<std::string>{}(stat_prefix)));
  };
  if (const auto* hcm = std::get_if<std::shared_ptr<const HcmConfig>>(&chain.terminal)) {
    return combine(static_cast<uint64_t>((*hcm)->codec), (*hcm)->stat_prefix);
  }
  const auto* tcp = std::get_if<std::shared_ptr<const TcpProxyConfig>>(&chain.terminal);
  return tcp == nullptr ? 0 : combine(0, (*tcp)->stat_prefix);
}

void set_hashes(FilterChain& chain, const Node& node, uint64_t filters) {
  // Equal slots are one object, and stay it when their certificates change.
  const uint64_t identity = reinterpret_cast<uintptr_t>(chain.tls.get());
  const uint64_t tls = combine_hashes(config::hash_value(node["transport_socket"]), identity);
  // Chains without a name, or with the same one (Istio's), are told apart by what they match.
  const uint64_t match = config::hash_value(node["filter_chain_match"]);
  chain.connection_hash =
      combine_hashes(combine_hashes(combine_hashes(tls, terminal_hash(chain)), match), filters);
  chain.own_hash = combine_hashes(config::hash_value(node), identity);
  set_hash(chain);
}

}  // namespace

std::shared_ptr<const FilterChain> parse_filter_chain(const Node& node,
                                                      const ParseContext& context) {
  auto chain = std::make_shared<FilterChain>();
  chain->name = node["name"].as_string_or("");
  chain->match = parse_chain_match(node["filter_chain_match"]);
  const uint64_t filters = parse_filters(*chain, node["filters"], context);
  const auto* hcm = std::get_if<std::shared_ptr<const HcmConfig>>(&chain->terminal);
  const bool is_http1 = hcm != nullptr && (*hcm)->codec == CodecType::kHttp1;
  chain->tls = parse_transport_socket(node["transport_socket"], is_http1);
  chain->transport_socket_connect_timeout =
      node["transport_socket_connect_timeout"].as_duration_or(Duration{});
  set_hashes(*chain, node, filters);
  node.ignore({"metadata"});  // only labels
  if (node["use_proxy_proto"].as_bool_or(false))
    node.unsupported({"use_proxy_proto"}, "use the proxy_protocol listener filter",
                     config::Unknown::kAlwaysError);
  // A misspelt transport_socket must not end in clear text.
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  return chain;
}

}  // namespace pillion::core
