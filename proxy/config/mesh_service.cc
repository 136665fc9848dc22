#include <algorithm>
#include <array>
#include <utility>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/mesh_parts.h"

namespace pillion::config {
namespace {

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

}  // namespace

Service parse_service(std::string_view name, const Node& node) {
  static constexpr std::array<Word, 2> kTls = {{{"mesh", 1}, {"off", 0}}};
  static constexpr std::array<Word, 3> kProtocols = {{{"auto", 0}, {"http1", 1}, {"http2", 2}}};
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
  out.protocol = static_cast<ServiceProtocol>(choose(node["protocol"], 0, kProtocols));
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

}  // namespace pillion::config
