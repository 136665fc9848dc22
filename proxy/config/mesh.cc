#include "proxy/config/mesh.h"

#include <array>
#include <charconv>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/mesh_parts.h"
#include "proxy/config/suggest.h"

namespace pillion::config {
namespace {

// Was the key written, be it with nothing after it?  An empty section has its defaults.
bool is_written(const Node& section) { return section.value() != nullptr; }

// Where the other IP family finds a captured listener (mesh.h).
std::optional<AddressText> twin_of(const AddressText& listen, Capture capture) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kTwins = {
      {{"0.0.0.0", "::"}, {"127.0.0.1", "::1"}}};
  if (capture != Capture::kRedirect || listen.port == 0) return std::nullopt;
  for (const auto& [v4, v6] : kTwins) {
    if (listen.host == v4) return AddressText{AddressText::Kind::kIp, std::string(v6), listen.port};
    if (listen.host == v6) return AddressText{AddressText::Kind::kIp, std::string(v4), listen.port};
  }
  return std::nullopt;
}

Capture parse_capture(const Node& node) {
  static constexpr std::array<Word, 2> kWords = {{{"redirect", 0}, {"off", 1}}};
  return choose(node, Capture::kRedirect, kWords, {"tproxy"});
}

void parse_workload_tls(const Node& node, Workload& out) {
  if (node.is_missing() || !is_section(node, "{ groups: [ X25519MLKEM768, X25519 ] }")) return;
  out.groups_node = node.required("groups");
  for (const Node name : out.groups_node.items()) out.groups.push_back(name.as_string());
  if (!out.has_certificates())
    node.error("needs workload.certificates: nothing speaks TLS without them");
  node.reject_unknown_keys();
}

Workload parse_workload(const Node& node) {
  Workload out;
  out.node = node;
  out.name = node["name"].as_string_or("workload");
  out.name_space = node["namespace"].as_string_or("default");
  out.trust_domain = node["trust_domain"].as_string_or("");
  parse_certificates(node["certificates"], out);
  parse_workload_tls(node["tls"], out);
  // A trust domain is a part of a URI: a '/' in it would widen what is accepted.
  const bool is_name = out.trust_domain.empty() || is_dns_name(out.trust_domain);
  if (!is_name) node["trust_domain"].expected("a name such as mesh.local");
  node.reject_unknown_keys();
  return out;
}

constexpr std::array<Word, 3> kMtls = {{{"strict", 0}, {"permissive", 2}, {"off", 1}}};

// 0 is no port, and was reported.
uint16_t parse_port_key(std::string_view key, const Node& node) {
  uint16_t port = 0;
  const auto end = std::from_chars(key.data(), key.data() + key.size(), port);
  const bool is_port = end.ec == std::errc() && end.ptr == key.data() + key.size() && port != 0 &&
                       !key.starts_with('0');
  if (is_port) return port;
  node.errors()->error(node.key_where(),
                       str("expected a port of 1-65535 as the key, got \"", printable(key), '"'));
  return 0;
}

void parse_port_rules(Inbound& out, const Node& list) {
  if (!is_section(list, "{ 9090: { mtls: off } }")) return;
  for (const auto& [key, node] : list.entries()) {
    const uint16_t port = parse_port_key(key, node);
    if (!is_section(node, "{ mtls: off }")) continue;
    const Mtls mtls = choose(node.required("mtls"), Mtls::kStrict, kMtls);
    node.reject_unknown_keys();
    if (port != 0) out.ports.push_back({port, mtls, node});
  }
  const bool is_captured = out.capture == Capture::kRedirect;
  if (!is_captured && list.is_present()) {
    list.error(
        "ports needs capture: redirect (without capture all that comes, comes to inbound.listen: "
        "say inbound.mtls)");
  }
}

Inbound parse_inbound(const Node& node) {
  static constexpr std::array<Word, 3> kSlashes = {{{"reject", 0}, {"keep", 1}, {"decode", 2}}};
  Inbound out;
  out.node = node;
  out.listen_node = node["listen"];
  out.listen = literal_address_or(out.listen_node, "0.0.0.0:15006");
  out.app_node = node.required("app");
  out.app = literal_address_or(out.app_node, "127.0.0.1:8080", 1);
  out.capture = parse_capture(node["capture"]);
  out.listen_twin = twin_of(out.listen, out.capture);
  out.mtls = choose(node["mtls"], Mtls::kStrict, kMtls);
  parse_port_rules(out, node["ports"]);
  out.escaped_slashes = choose(node["escaped_slashes"], SlashEscapes::kReject, kSlashes);
  out.protocol = parse_protocol(node["protocol"]);
  out.authorize = parse_authorize(node["authorize"], out.escaped_slashes);
  node.reject_unknown_keys();
  if (!out.listen_node) out.listen_node = node;
  return out;
}

Outbound parse_outbound(const Node& node) {
  static constexpr std::array<Word, 2> kUnknown = {{{"passthrough", 0}, {"reject", 1}}};
  Outbound out;
  out.node = node;
  out.listen_node = node["listen"];
  out.listen = literal_address_or(out.listen_node, "127.0.0.1:15001");
  out.capture = parse_capture(node["capture"]);
  out.listen_twin = twin_of(out.listen, out.capture);
  const bool is_captured = out.capture == Capture::kRedirect;
  const Node unknown = node["unknown"];
  out.unknown =
      choose(unknown, is_captured ? UnknownHosts::kPassthrough : UnknownHosts::kReject, kUnknown);
  if (!is_captured && out.unknown == UnknownHosts::kPassthrough) {
    unknown.error(
        "passthrough needs capture: redirect (without capture there is no original "
        "destination to pass on to)");
  }
  node.reject_unknown_keys();
  if (!out.listen_node) out.listen_node = node;
  return out;
}

void parse_telemetry(const Node& node, Mesh& mesh) {
  static constexpr std::array<Word, 2> kFormats = {{{"text", 0}, {"json", 1}}};
  const Node metrics = node["metrics"];
  if (metrics.is_present() && is_section(metrics, "{ listen: 0.0.0.0:15090 }")) {
    mesh.metrics_node = metrics.required("listen");
    mesh.metrics = literal_address_or(mesh.metrics_node, "0.0.0.0:15090");
    mesh.counts_principals = metrics["by_principal"].as_bool_or(false);
    metrics.reject_unknown_keys();
  }
  const Node log = node["access_log"];
  if (log.is_present() && is_section(log, "{ path: /dev/stdout }")) {
    mesh.access_log = AccessLog{log["path"].as_string_or("/dev/stdout"),
                                choose(log["format"], 0, kFormats) != 0, log};
    log.reject_unknown_keys();
  }
  if (const Node tracing = node["tracing"]; tracing.is_present())
    mesh.tracing = parse_mesh_tracing(tracing);
  node.reject_unknown_keys();
}

}  // namespace

Mesh parse_mesh(const Node& root) {
  Mesh mesh;
  mesh.root = root;
  mesh.workload = parse_workload(root["workload"]);
  if (const Node node = root["inbound"]; is_written(node)) mesh.inbound = parse_inbound(node);
  if (const Node node = root["outbound"]; is_written(node)) mesh.outbound = parse_outbound(node);
  const Node services = root["services"];
  for (const auto& [name, node] : services.entries()) {
    mesh.services.push_back(parse_service(name, node));
  }
  parse_telemetry(root["telemetry"], mesh);
  const Node admin = root["admin"];
  mesh.admin_node = admin["listen"];
  mesh.admin = literal_address_or(mesh.admin_node, "127.0.0.1:15000");
  admin.reject_unknown_keys();
  if (!mesh.services.empty() && !mesh.outbound)
    services.error("services need outbound (outbound: {} has its defaults)");
  if (!mesh.inbound && !mesh.outbound) root.error("expected inbound, outbound or both");
  root.reject_unknown_keys();
  check_mesh(mesh);
  mesh.lacks_identity = !has_whole_identity(mesh.workload) && root.errors()->error_count() != 0;
  return mesh;
}

}  // namespace pillion::config
