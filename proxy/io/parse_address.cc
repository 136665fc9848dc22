#include "proxy/io/parse_address.h"

#include <array>

namespace pillion::io {
namespace {

// sizeof(sockaddr_un::sun_path), with the NUL that ends it.
constexpr size_t kMaxUnixPath = 107;

struct SocketAddress {
  config::Node host;
  uint16_t port = 0;
};

SocketAddress parse_socket_address(const config::Node& node) {
  static constexpr std::array<config::EnumRow, 2> kProtocols{
      {{"TCP", 0}, {"UDP", 1, "only TCP is"}}};
  static_cast<void>(node["protocol"].as_enum_or<int>(0, kProtocols));
  SocketAddress result;
  result.host = node.required("address");
  static_cast<void>(node.one_of({"port_value", "named_port"}));
  result.port = static_cast<uint16_t>(node["port_value"].as_u32_or(0, 0, 65535));
  node.unsupported({"named_port"}, "use port_value", config::Unknown::kAlwaysError);
  // Without them it would be another address.
  node.unsupported({"resolver_name", "network_namespace_filepath"}, {},
                   config::Unknown::kAlwaysError);
  if (node["ipv4_compat"].as_bool_or(false)) {
    node["ipv4_compat"].error("not supported; add a listener on 0.0.0.0");
  }
  node.reject_unknown_keys();
  return result;
}

Address parse_pipe(const config::Node& node, uint32_t* unix_mode) {
  const std::string path = node["path"].as_string();
  const uint32_t mode = node["mode"].as_u32_or(0, 0, 0777);
  if (unix_mode != nullptr) *unix_mode = mode;
  node.reject_unknown_keys();
  if (path.empty()) return {};
  if (path.size() > kMaxUnixPath) {
    node["path"].expected("a path of at most 107 bytes");
    return {};
  }
  const Address address = Address::unix_path(path);
  if (address.kind() == Address::Kind::kNone)
    node["path"].error("too many different paths since the start (65536); a restart forgets them");
  return address;
}

}  // namespace

Address parse_address(const config::Node& address, uint32_t* unix_mode) {
  const config::Node member = address.one_of({"socket_address", "pipe"});
  address.unsupported({"envoy_internal_address"}, {}, config::Unknown::kAlwaysError);
  address.reject_unknown_keys();
  if (member.key() == "pipe") return parse_pipe(member, unix_mode);
  if (!member) return {};
  const SocketAddress parsed = parse_socket_address(member);
  const std::string text = parsed.host.as_string_or("");
  if (auto ip = Address::parse_ip(text, parsed.port)) return *ip;
  if (parsed.host) parsed.host.expected("an IP address");
  return {};
}

EndpointAddress parse_endpoint_address(const config::Node& address) {
  const config::Node member = address.one_of({"socket_address", "pipe"});
  address.unsupported({"envoy_internal_address"}, {}, config::Unknown::kAlwaysError);
  address.reject_unknown_keys();
  EndpointAddress result;
  if (member.key() == "pipe") result.ip = parse_pipe(member, nullptr);
  if (!member || member.key() == "pipe") return result;
  const SocketAddress parsed = parse_socket_address(member);
  const std::string text = parsed.host.as_string_or("");
  result.port = parsed.port;
  if (auto ip = Address::parse_ip(text, parsed.port)) {
    result.ip = *ip;
  } else if (config::is_dns_name(text)) {
    result.name = text;
  } else if (parsed.host) {
    parsed.host.expected("an IP address or a DNS name");
  }
  return result;
}

SocketOptions parse_tcp_keepalive(const config::Node& node) {
  constexpr uint32_t kUnset = UINT32_MAX;
  SocketOptions options;
  if (!node) return options;
  // The kernel's own bounds (tcp(7)).
  const auto read = [&](std::string_view key, uint32_t most) {
    return node.has(key) ? node[key].as_u32(0, most) : kUnset;
  };
  const uint32_t probes = read("keepalive_probes", 127);
  const uint32_t time = read("keepalive_time", 32767);
  const uint32_t interval = read("keepalive_interval", 32767);
  node.reject_unknown_keys();
  options.keepalive = probes != 0 && time != 0 && interval != 0;
  if (!options.keepalive) return options;
  options.keepalive_probes = probes == kUnset ? 0 : probes;
  options.keepalive_time_s = time == kUnset ? 0 : time;
  options.keepalive_interval_s = interval == kUnset ? 0 : interval;
  return options;
}

}  // namespace pillion::io
