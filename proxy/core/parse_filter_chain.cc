// FilterChain: match, transport socket, and the filter that ends it.
#include <optional>

#include "proxy/base/str.h"
#include "proxy/config/value_hash.h"
#include "proxy/core/parse_parts.h"
#include "proxy/tls/context.h"

namespace pillion::core {
namespace {

using config::combine_hashes;
using config::Node;

constexpr std::string_view kManager =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
constexpr std::string_view kTcpProxy = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
constexpr std::string_view kTls = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
constexpr std::string_view kRawBuffer = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

void parse_terminal(FilterChain& chain, const Node& list, const ParseContext& context) {
  bool is_ended = false;
  for (const Node item : list.items()) {
    if (is_ended) item.error("comes after the filter that ends the chain");
    const auto [type, node] = parse_extension(item, ExtensionPoint::kNetworkFilter, {kManager, kTcpProxy});
    item.reject_unknown_keys();
    if (is_ended || type.empty()) continue;
    is_ended = true;
    if (type == kManager) {
      chain.terminal = parse_hcm(node, context);
    } else {
      chain.terminal = parse_tcp_proxy(node, context);
    }
  }
  if (list.is_missing() || (list.is_sequence() && list.size() == 0)) {
    list.error("expected an HttpConnectionManager or a TcpProxy, the filters that end a chain");
  }
}

// Offering h2 to clients would make them speak it.
void withhold_http2(tls::ContextConfig& config, const Node& context) {
  if (std::erase(config.alpn, "h2") == 0) return;
  context["common_tls_context"]["alpn_protocols"].warn(str("h2 is not offered to clients: ", kHttp2Later));
}

std::shared_ptr<const tls::Context> make_tls(const Node& node, bool is_http) {
  const size_t errors_before = node.errors()->error_count();
  tls::ContextConfig config = tls::parse_downstream_tls_context(node);
  if (is_http) withhold_http2(config, node);
  if (node.errors()->error_count() != errors_before) return nullptr;
  auto made = tls::Context::make(config);
  if (made) return *made;
  node.error(made.error());
  return nullptr;
}

std::shared_ptr<const tls::Context> parse_transport_socket(const Node& item, bool is_http) {
  if (item.is_missing()) return nullptr;
  const auto [type, node] = parse_extension(item, ExtensionPoint::kTransportSocket, {kTls, kRawBuffer});
  item.reject_unknown_keys();
  if (type == kTls) return make_tls(node, is_http);
  if (type == kRawBuffer) node.reject_unknown_keys();
  return nullptr;
}

// Of what the codec of a live connection was made with.
uint64_t codec_hash(const HcmConfig& config) {
  const http::HeadLimits& limits = config.head_limits;
  uint64_t hash = static_cast<uint64_t>(config.codec);
  for (const uint64_t value : {uint64_t{limits.max_bytes}, uint64_t{limits.max_fields}, uint64_t{limits.max_line},
                               uint64_t{limits.max_blank_lines}, uint64_t{limits.accept_http10},
                               uint64_t{limits.allow_absolute_url}, uint64_t{config.merge_trailers}}) {
    hash = combine_hashes(hash, value);
  }
  return combine_hashes(hash, std::hash<std::string>{}(config.stat_prefix));
}

void set_hashes(FilterChain& chain, const Node& node) {
  // Contexts are interned: another one means that a certificate has changed in its file.
  const uint64_t identity = reinterpret_cast<uintptr_t>(chain.tls.get());
  const uint64_t tls = combine_hashes(config::hash_value(node["transport_socket"]), identity);
  uint64_t terminal = chain.terminal.index();
  if (const auto* hcm = std::get_if<std::shared_ptr<const HcmConfig>>(&chain.terminal)) {
    terminal = combine_hashes(terminal, codec_hash(**hcm));
  } else if (const auto* tcp = std::get_if<std::shared_ptr<const TcpProxyConfig>>(&chain.terminal)) {
    terminal = combine_hashes(terminal, std::hash<std::string>{}((*tcp)->stat_prefix));
  }
  chain.connection_hash = combine_hashes(tls, terminal);
  chain.hash = combine_hashes(config::hash_value(node), identity);
}

}  // namespace

std::shared_ptr<const FilterChain> parse_filter_chain(const Node& node, const ParseContext& context) {
  auto chain = std::make_shared<FilterChain>();
  chain->name = node["name"].as_string_or("");
  chain->match = parse_chain_match(node["filter_chain_match"]);
  parse_terminal(*chain, node["filters"], context);
  const bool is_http = std::holds_alternative<std::shared_ptr<const HcmConfig>>(chain->terminal);
  chain->tls = parse_transport_socket(node["transport_socket"], is_http);
  chain->transport_socket_connect_timeout = node["transport_socket_connect_timeout"].as_duration_or(Duration{});
  set_hashes(*chain, node);
  node.ignore({"metadata"});  // only labels
  refuse_true(node, {"use_proxy_proto"});
  node.reject_unknown_keys();
  return chain;
}

}  // namespace pillion::core
