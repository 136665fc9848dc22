// What a connection to a host is made of.
#include <utility>

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

std::shared_ptr<const tls::ContextSlot> parse_tls(const Node& node) {
  const size_t errors_before = node.errors()->error_count();
  tls::SecretRefs secrets;
  tls::ContextConfig config = tls::parse_upstream_tls_context(node, &secrets);
  if (node.errors()->error_count() != errors_before) return nullptr;
  auto slot = tls::ContextSlot::make(std::move(config), std::move(secrets));
  if (slot) return *slot;
  node.error(slot.error());
  return nullptr;
}

// Security depends on it: an unknown one is an error whatever the policy for unknown fields is.
std::shared_ptr<const tls::ContextSlot> parse_socket(const Node& socket) {
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
  node.unsupported({"socket_options", "additional_source_addresses", "local_address_selector"},
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
  out.pool.tls = parse_socket(cluster["transport_socket"]);
  parse_bind_config(cluster["upstream_bind_config"], out.pool);
  const Node options = cluster["upstream_connection_options"];
  if (options.is_present()) parse_connection_options(options, out.pool.socket);
  out.pool.socket.user_timeout = io::kUserTimeout;
}

}  // namespace pillion::upstream
