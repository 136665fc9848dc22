// What a connection to a host is made of.
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/io/parse_address.h"
#include "proxy/tls/context_slot.h"
#include "proxy/upstream/parse_parts.h"

namespace pillion::upstream {
namespace {

using config::EnumRow;
using config::Node;

constexpr std::string_view kTls = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
constexpr std::string_view kListenerTls =
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
constexpr std::string_view kRaw = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
constexpr std::string_view kEnvoys = "envoy.extensions.transport_sockets.";
constexpr std::string_view kKnown[] = {kTls, kRaw};
constexpr EnumRow kProtocols[] = {{"TCP", 0}, {"UDP", 1, "upstreams are TCP"}};

// Istio's filter of connections, by which two sidecars tell each other who they are before the
// bytes of a client, and only if they have agreed on the protocol.
constexpr std::string_view kExchange = "envoy.tcp.metadataexchange.config.MetadataExchange";
constexpr std::string_view kExchangeAlpn = "istio-peer-exchange";

bool is_exchange(const Node& filter) {
  return filter.has("typed_config") && filter["typed_config"].typed_config().type == kExchange;
}

// Connections go without it if the protocol is not offered, so that no peer waits for it: then
// true. Every other filter might guard something.
bool leaves_out_exchange(const Node& cluster) {
  const Node list = cluster["filters"];
  const auto are_left_out = [](const Node& filters) {
    if (filters.errors()->unknown_fields_policy() == config::UnknownFields::kError) return false;
    bool out = true;
    for (const Node filter : filters.items()) out = out && is_exchange(filter);
    return out;
  };
  if (!list.is_sequence() || !are_left_out(list)) {
    cluster.unsupported({"filters"}, kLater, config::Unknown::kAlwaysError);
    return false;
  }
  for (const Node filter : list.items()) {
    (void)filter["name"].as_string_or("");
    filter.leave_out(kExchange, str("filter \"", kExchange, "\" is left out, and ", kExchangeAlpn,
                                    " not offered"));
    filter.reject_unknown_keys(config::Unknown::kAlwaysError);
  }
  return list.size() != 0;
}

// How the sockets of one cluster are parsed.
class SocketParser {
 public:
  explicit SocketParser(bool without_exchange) : without_exchange_(without_exchange) {}
  [[nodiscard]] std::shared_ptr<const tls::ContextSlot> parse(const Node& socket) const;

 private:
  [[nodiscard]] std::shared_ptr<const tls::ContextSlot> parse_tls(const Node& node) const;

  const bool without_exchange_;
};

std::shared_ptr<const tls::ContextSlot> SocketParser::parse_tls(const Node& node) const {
  const size_t errors_before = node.errors()->error_count();
  tls::SecretRefs secrets;
  tls::ContextConfig config = tls::parse_upstream_tls_context(node, &secrets);
  if (node.errors()->error_count() != errors_before) return nullptr;
  if (without_exchange_) std::erase(config.alpn, kExchangeAlpn);
  auto slot = tls::ContextSlot::make(std::move(config), std::move(secrets));
  if (slot) return *slot;
  node.error(slot.error());
  return nullptr;
}

// Security depends on it: an unknown one is an error whatever the policy for unknown fields is.
std::shared_ptr<const tls::ContextSlot> SocketParser::parse(const Node& socket) const {
  if (socket.is_missing()) return nullptr;
  (void)socket["name"].as_string_or("");
  const auto [type, node] = socket["typed_config"].typed_config();
  socket.reject_unknown_keys(config::Unknown::kAlwaysError);
  if (type == kTls) return parse_tls(node);
  if (type == kRaw) {
    node.reject_unknown_keys();
  } else if (type == kListenerTls) {
    node.error("clusters have an UpstreamTlsContext, listeners a DownstreamTlsContext");
  } else if (type.starts_with(kEnvoys)) {
    node.error(str("transport socket \"", config::printable(type),
                   "\" is known to Envoy v3 but not supported by Pillion yet (", kLater, ")"));
  } else if (!type.empty()) {
    node.error(str("unknown transport socket \"", config::printable(type), "\"",
                   config::did_you_mean(type, kKnown)));
  }
  return nullptr;
}

void parse_matches(const Node& list, const SocketParser& sockets, PoolOptions& out) {
  for (const Node item : list.items()) {
    TransportMatch match;
    match.name = item["name"].as_string();
    match.labels = parse_labels(item["match"]);
    match.tls = sockets.parse(item.required("transport_socket"));
    item.reject_unknown_keys(config::Unknown::kAlwaysError);
    out.transport_matches.push_back(std::move(match));
  }
}

io::Address parse_source_address(const Node& source) {
  if (source.is_missing()) return {};
  (void)source["protocol"].as_enum_or<int>(0, kProtocols);
  const Node text = source.required("address");
  const uint32_t port = source["port_value"].as_u32_or(0, 0, UINT16_MAX);
  source.unsupported({"named_port", "resolver_name", "ipv4_compat", "network_namespace_filepath"},
                     kLater);
  source.reject_unknown_keys();
  if (text.is_missing()) return {};
  const auto address = io::Address::parse_ip(text.as_string(), static_cast<uint16_t>(port));
  if (address) return *address;
  text.expected("an IP address");
  return {};
}

void parse_bind_config(const Node& node, PoolOptions& out) {
  if (node.is_missing()) return;
  refuse_true(node, "freebind");
  node.unsupported({"socket_options", "additional_source_addresses", "local_address_selector",
                    "validate_network_namespaces"},
                   kLater);
  out.source = parse_source_address(node["source_address"]);
  const Node extra = node["extra_source_addresses"];
  // As Envoy: an extra one is beside another.
  if (extra.size() > 0 && node["source_address"].is_missing())
    extra.error("needs source_address as well");
  for (const Node item : extra.items()) {
    item.unsupported({"socket_options"}, kLater);
    out.extra_source = parse_source_address(item.required("address"));
    item.reject_unknown_keys();
  }
  // As Envoy: which of two of a family would it be?
  if (extra.size() > 1 ||
      (out.extra_source.is_ip() && out.extra_source.kind() == out.source.kind()))
    extra.expected("one address, of the other IP family than source_address");
  node.reject_unknown_keys();
}

void parse_connection_options(const Node& options, io::SocketOptions& out) {
  out = io::parse_tcp_keepalive(options["tcp_keepalive"]);
  // The name of an interface in access logs; choices between addresses that endpoints do not have.
  options.ignore({"set_local_interface_name_on_upstream_connections", "happy_eyeballs_config"});
  options.reject_unknown_keys();
}

}  // namespace

void parse_transport(const Node& cluster, ClusterConfig& out) {
  const SocketParser sockets(leaves_out_exchange(cluster));
  out.pool->tls = sockets.parse(cluster["transport_socket"]);
  parse_matches(cluster["transport_socket_matches"], sockets, *out.pool);
  parse_bind_config(cluster["upstream_bind_config"], *out.pool);
  const Node options = cluster["upstream_connection_options"];
  if (options.is_present()) parse_connection_options(options, out.pool->socket);
  out.pool->socket.user_timeout = io::kUserTimeout;
}

}  // namespace pillion::upstream
