#include "proxy/config/mesh.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <map>
#include <utility>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::config {
namespace {

constexpr std::string_view kLater = "comes with a later version of Pillion";

// Refuses parts of the language that this version does not have, by name.
void refuse_later(const Node& node, std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys) {
    if (Node field = node[key]; field.is_present()) {
      field.errors()->error(field.key_where(), std::string(kLater));
    }
  }
}

// One of a few words.  Those of `later` are known, and refused.
struct Word {
  std::string_view text;
  int value;
};
template <typename E>
E choose(const Node& node, E fallback, std::span<const Word> words,
         std::initializer_list<std::string_view> later = {}) {
  const std::string_view text = node.as_view_or();
  if (node.is_missing() || !node.is_scalar()) return fallback;
  for (const Word& word : words) {
    if (word.text == text) return static_cast<E>(word.value);
  }
  std::vector<std::string_view> names;
  std::string list;
  for (const Word& word : words) {
    names.push_back(word.text);
    list += (list.empty() ? "" : ", ") + std::string(word.text);
  }
  for (std::string_view word : later) {
    if (word == text) {
      node.error(str(word, ' ', kLater, "; now: ", list));
      return fallback;
    }
    names.push_back(word);
  }
  const std::string_view near = closest(text, names);
  node.expected("one of " + list, near.empty() ? std::string() : str("did you mean ", near, '?'));
  return fallback;
}

// Was the key written, be it with nothing after it?  An empty section has its defaults.
bool is_written(const Node& section) { return section.value() != nullptr; }

// May the fields of `node` be asked for?  If not, that is reported with an example.
bool is_section(const Node& node, std::string_view example) {
  if (node.is_missing() || node.is_mapping()) return true;
  node.expected(str("a mapping such as ", example));
  return false;
}

AddressText address_or(const Node& node, const char* fallback) {
  if (node.is_missing()) return *parse_address(fallback);
  auto parsed = parse_address(node.as_view_or());
  if (parsed) return *parsed;
  if (node.is_scalar()) node.expected(parsed.error());
  return *parse_address(fallback);
}

// An address to listen on or to connect to without DNS.
AddressText literal_address_or(const Node& node, const char* fallback, uint16_t min_port = 0) {
  AddressText address = address_or(node, fallback);
  if (address.kind == AddressText::Kind::kName) {
    node.expected("an IP address and a port, such as 127.0.0.1:8080");
    return *parse_address(fallback);
  }
  if (address.kind == AddressText::Kind::kIp && address.port < min_port) {
    node.expected("a port of 1-65535");
    return *parse_address(fallback);
  }
  return address;
}

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

std::optional<CertificateFiles> parse_certificates(const Node& node) {
  constexpr std::string_view kFiles = "{ cert: users.crt, key: users.key, ca: ca.crt }";
  if (node.is_missing()) return std::nullopt;
  CertificateFiles out;
  if (!is_section(node, str("{ files: ", kFiles, " }"))) return out;
  refuse_later(node, {"sds", "spiffe", "csr"});
  const Node files = node["files"];
  node.reject_unknown_keys();
  const bool is_later = node["sds"] || node["spiffe"] || node["csr"];
  if (files.is_missing() && !is_later)
    files.error(str("required field is missing (expected a mapping such as ", kFiles, ')'));
  if (files.is_missing() || !is_section(files, kFiles)) return out;
  out = {files["cert"].as_string(), files["key"].as_string(), files["ca"].as_string(), files};
  files.reject_unknown_keys();
  return out;
}

Workload parse_workload(const Node& node) {
  Workload out;
  out.node = node;
  out.name = node["name"].as_string_or("workload");
  out.name_space = node["namespace"].as_string_or("default");
  out.trust_domain = node["trust_domain"].as_string_or("");
  out.certificates = parse_certificates(node["certificates"]);
  // A trust domain is a part of a URI: a '/' in it would widen what is accepted.
  const bool is_name = out.trust_domain.empty() || is_dns_name(out.trust_domain);
  if (!is_name) node["trust_domain"].expected("a name such as mesh.local");
  node.reject_unknown_keys();
  return out;
}

Inbound parse_inbound(const Node& node) {
  static constexpr std::array<Word, 2> kMtls = {{{"strict", 0}, {"off", 1}}};
  Inbound out;
  out.node = node;
  out.listen_node = node["listen"];
  out.listen = literal_address_or(out.listen_node, "0.0.0.0:15006");
  out.app_node = node.required("app");
  out.app = literal_address_or(out.app_node, "127.0.0.1:8080", 1);
  out.capture = parse_capture(node["capture"]);
  out.listen_twin = twin_of(out.listen, out.capture);
  out.mtls = choose(node["mtls"], Mtls::kStrict, kMtls, {"permissive"});
  refuse_later(node, {"authorize"});
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

Retries parse_retries(const Node& node) {
  static constexpr std::array<std::string_view, 2> kNow = {"connect-failure", "reset"};
  static constexpr std::array<std::string_view, 14> kLaterWords = {"5xx",
                                                                   "gateway-error",
                                                                   "retriable-4xx",
                                                                   "refused-stream",
                                                                   "retriable-status-codes",
                                                                   "retriable-headers",
                                                                   "reset-before-request",
                                                                   "envoy-ratelimited",
                                                                   "grpc-unavailable",
                                                                   "grpc-cancelled",
                                                                   "grpc-deadline-exceeded",
                                                                   "grpc-internal",
                                                                   "grpc-resource-exhausted",
                                                                   "503"};
  Retries out;
  out.node = node;
  if (!is_section(node, "{ attempts: 3 }")) return out;
  out.attempts = node["attempts"].as_u32_or(out.attempts, 0, 10);
  if (const Node on = node["on"]; on.is_present()) {
    out.on.clear();
    for (const Node& item : on.items()) {
      const std::string word = item.as_string();
      const std::string_view view = word;
      const bool is_status = view.size() == 3 && view.find_first_not_of("0123456789") == view.npos;
      if (std::find(kNow.begin(), kNow.end(), view) != kNow.end()) {
        out.on += (out.on.empty() ? "" : ",") + word;
      } else if (is_status ||
                 std::find(kLaterWords.begin(), kLaterWords.end(), view) != kLaterWords.end()) {
        item.error(str(word, ' ', kLater, "; now: connect-failure, reset"));
      } else if (!word.empty()) {
        item.unknown_name("condition", kNow);
      }
    }
  }
  refuse_later(node, {"per_try", "budget"});
  node.reject_unknown_keys();
  return out;
}

// "users.shop:8080", or an IP address: DNS is asked for a name.
AddressText name_address_or(const Node& node, const char* fallback) {
  if (node.is_scalar() && node.raw().find(':') == std::string_view::npos) {
    node.expected("a name with a port, such as users.shop:8080");
    return *parse_address(fallback);
  }
  return address_or(node, fallback);
}

void parse_endpoints(const Node& node, Service& out) {
  out.endpoints_node = node;
  if (!is_section(node, "{ dns: users.shop:8080 }")) return;
  refuse_later(node, {"kubernetes", "consul", "eureka", "eds"});
  const bool is_later = node["kubernetes"] || node["consul"] || node["eureka"] || node["eds"];
  const Node source =
      node.one_of({"static", "dns"}, is_later ? Need::kAtMostOne : Need::kExactlyOne);
  node.reject_unknown_keys();
  if (source.is_missing()) return;
  out.uses_dns = source.key() == "dns";
  auto add = [&out](const Node& item) {
    AddressText address =
        out.uses_dns ? name_address_or(item, "a:1") : literal_address_or(item, "127.0.0.1:1", 1);
    if (out.uses_dns && address.kind == AddressText::Kind::kUnix)
      item.expected("a name and a port");
    if (address.port == 0 && out.uses_dns) item.expected("a port of 1-65535");
    out.endpoints.push_back({std::move(address), item});
  };
  if (source.is_scalar()) return add(source);
  for (const Node& item : source.items()) add(item);
  if (source.is_sequence() && source.size() == 0) source.expected("at least one address");
}

void parse_hosts(const Node& node, Service& out) {
  out.hosts_node = node;
  for (const Node& item : node.items()) {
    Located<std::string> host = item.located_string();
    if (host.value.empty()) continue;
    if (!is_dns_name(host.value)) item.expected("a host name without port or wildcard");
    host.value = lowered(host.value);
    out.hosts.push_back(std::move(host));
  }
  if (node.is_missing()) out.hosts.push_back({out.name, out.node.key_where()});
}

Service parse_service(std::string_view name, const Node& node) {
  static constexpr std::array<Word, 2> kTls = {{{"mesh", 1}, {"off", 0}}};
  static constexpr std::array<Word, 3> kBalance = {
      {{"round_robin", 0}, {"least_request", 1}, {"random", 2}}};
  static constexpr std::array<const char*, 3> kPolicies = {"ROUND_ROBIN", "LEAST_REQUEST",
                                                           "RANDOM"};
  Service out;
  out.name = name;
  out.node = node;
  if (!is_dns_name(name)) node.errors()->error(node.key_where(), "expected a name such as orders");
  parse_hosts(node["hosts"], out);
  parse_endpoints(node["endpoints"], out);
  out.uses_mesh_tls = choose(node["tls"], 1, kTls) != 0;
  out.timeout = node["timeout"].as_duration_or(out.timeout);
  out.retries = parse_retries(node["retries"]);
  const Node breaker = node["circuit_breaker"];
  out.max_connections = breaker["connections"].as_u32_or(out.max_connections, 1);
  out.max_pending = breaker["pending"].as_u32_or(out.max_pending, 1);
  out.max_requests = breaker["requests"].as_u32_or(out.max_requests, 1);
  breaker.reject_unknown_keys();
  const int balance =
      choose(node["balance"], 1, kBalance, {"ewma", "ring_hash", "maglev", "weighted_round_robin"});
  out.lb_policy = kPolicies[static_cast<size_t>(balance)];
  refuse_later(node, {"outlier", "health_check", "hash", "mirror", "split"});
  node.reject_unknown_keys();
  return out;
}

void parse_telemetry(const Node& node, Mesh& mesh) {
  static constexpr std::array<Word, 2> kFormats = {{{"text", 0}, {"json", 1}}};
  const Node metrics = node["metrics"];
  if (metrics.is_present() && is_section(metrics, "{ listen: 0.0.0.0:15090 }")) {
    mesh.metrics_node = metrics.required("listen");
    mesh.metrics = literal_address_or(mesh.metrics_node, "0.0.0.0:15090");
    metrics.reject_unknown_keys();
  }
  const Node log = node["access_log"];
  if (log.is_present() && is_section(log, "{ path: /dev/stdout }")) {
    mesh.access_log = AccessLog{log["path"].as_string_or("/dev/stdout"),
                                choose(log["format"], 0, kFormats) != 0, log};
    log.reject_unknown_keys();
  }
  refuse_later(node, {"tracing"});
  node.reject_unknown_keys();
}

// What concerns more than one part.
void check_identity(const Mesh& mesh) {
  auto need = [&mesh](const Node& user, const char* what, const char* off) {
    if (!mesh.workload.certificates) {
      user.error(str(what, " needs workload.certificates (or say ", off, ": off)"));
    } else if (mesh.workload.trust_domain.empty()) {
      user.error(str(what, " needs workload.trust_domain, which says whose peers are accepted"));
    }
  };
  // A wrong word was reported already; what it stands for would be a guess.
  auto says = [](const Node& section, std::string_view field, std::string_view word) {
    const bool is_readable = section.is_missing() || section.is_mapping();
    return is_readable && (section[field].is_missing() || section[field].raw() == word);
  };
  if (mesh.inbound && says(mesh.inbound->node, "mtls", "strict")) {
    need(mesh.inbound->node, "mtls: strict", "mtls");
  }
  for (const Service& service : mesh.services) {
    if (says(service.node, "tls", "mesh")) need(service.node, "tls: mesh", "tls");
  }
}

// Does a connection to `to` end at a listener on `listen`?  Where other hosts' addresses cannot be
// told from ours (0.0.0.0), it does not.
bool arrives_at(const AddressText& to, const AddressText& listen) {
  using Kind = AddressText::Kind;
  if (to.kind != listen.kind || to.kind == Kind::kName || to.port != listen.port) return false;
  if (to.kind == Kind::kUnix) return to.host == listen.host;
  if (to.is_v6() != listen.is_v6() || to.port == 0) return false;
  const auto is_any = [](const AddressText& a) { return a.host == "0.0.0.0" || a.host == "::"; };
  if (is_any(to)) return is_any(listen) || listen.is_loopback();  // to 0.0.0.0 is to 127.0.0.1
  return to.host == listen.host || (is_any(listen) && to.is_loopback());
}

void check_loops(const Mesh& mesh) {
  if (!mesh.inbound || !mesh.inbound->app_node) return;
  const AddressText& app = mesh.inbound->app;
  const auto refuse = [&](std::string_view section, const AddressText& listen,
                          const std::optional<AddressText>& twin) {
    if (!arrives_at(app, listen) && !(twin && arrives_at(app, *twin))) return;
    mesh.inbound->app_node.error(str("is the sidecar's own address (", section, ".listen, ",
                                     listen.to_string(),
                                     "): calls would go round in a loop, not to the app"));
  };
  refuse("inbound", mesh.inbound->listen, mesh.inbound->listen_twin);
  if (mesh.outbound) refuse("outbound", mesh.outbound->listen, mesh.outbound->listen_twin);
}

void check_hosts(const Mesh& mesh) {
  std::map<std::string_view, const Service*> owners;
  for (const Service& service : mesh.services) {
    for (const Located<std::string>& host : service.hosts) {
      auto [at, is_new] = owners.emplace(host.value, &service);
      if (is_new) continue;
      service.node.errors()->error(
          host.where, str("host \"", host.value, "\" belongs to services.", at->second->name));
    }
  }
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
  check_identity(mesh);
  check_hosts(mesh);
  check_loops(mesh);
  const auto& files = mesh.workload.certificates;
  const bool is_complete =
      files && !files->cert.empty() && !files->key.empty() && !files->ca.empty();
  mesh.lacks_identity = !is_complete && root.errors()->error_count() != 0;
  return mesh;
}

}  // namespace pillion::config
