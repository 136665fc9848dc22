#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/mesh_parts.h"

namespace pillion::config {
namespace {

// What `on` may say: our words are Envoy's, but for those of gRPC, and a status that stands for
// itself.
struct RetryWord {
  std::string_view ours;
  std::string_view envoys;
};
constexpr RetryWord kRetryWords[] = {
    {"connect-failure", "connect-failure"},
    {"reset", "reset"},
    {"reset-before-request", "reset-before-request"},
    {"refused-stream", "refused-stream"},
    {"5xx", "5xx"},
    {"gateway-error", "gateway-error"},
    {"retriable-4xx", "retriable-4xx"},
    {"envoy-ratelimited", "envoy-ratelimited"},
    {"grpc-cancelled", "cancelled"},
    {"grpc-deadline-exceeded", "deadline-exceeded"},
    {"grpc-internal", "internal"},
    {"grpc-resource-exhausted", "resource-exhausted"},
    {"grpc-unavailable", "unavailable"},
};
constexpr std::string_view kStatusCodes = "retriable-status-codes";
constexpr std::string_view kHeaders = "retriable-headers";

void add_word(Retries& out, std::string_view word) {
  if (!out.on.empty()) out.on += ',';
  out.on += word;
}

bool is_status(std::string_view word) {
  return word.size() == 3 && word.find_first_not_of("0123456789") == word.npos;
}

void parse_retry_word(Retries& out, const Node& item) {
  const std::string word = item.as_string();
  if (word.empty()) return;
  if (is_status(word)) {
    if (word < "400" || word > "599") return item.expected("a status of 400-599");
    if (out.statuses.empty()) add_word(out, kStatusCodes);
    return out.statuses.push_back(static_cast<uint32_t>(std::stoul(word)));
  }
  const auto* const known = std::ranges::find(kRetryWords, word, &RetryWord::ours);
  if (known != std::end(kRetryWords)) return add_word(out, known->envoys);
  if (word == kStatusCodes) return item.error(str(word, ": write the statuses, such as 503"));
  if (word == kHeaders) return item.error(str(word, ' ', kLater));
  std::vector<std::string_view> words;
  for (const RetryWord& each : kRetryWords) words.push_back(each.ours);
  item.unknown_name("condition", words);
}

Retries parse_retries(const Node& node) {
  Retries out;
  out.node = node;
  if (!is_section(node, "{ attempts: 3 }")) return out;
  out.attempts = node["attempts"].as_u32_or(out.attempts, 0, 10);
  if (const Node on = node["on"]; on.is_present()) {
    out.on.clear();
    for (const Node& item : on.items()) parse_retry_word(out, item);
  }
  if (const Node per_try = node["per_try"]; per_try.is_present()) {
    out.per_try = per_try.as_duration();
    if (out.per_try <= std::chrono::nanoseconds{}) per_try.expected("a duration above zero");
  }
  out.budget_percent = node["budget"].as_percent_or(out.budget_percent);
  node.reject_unknown_keys();
  return out;
}

std::chrono::nanoseconds positive_or(const Node& node, std::chrono::nanoseconds fallback) {
  const std::chrono::nanoseconds value = node.as_duration_or(fallback);
  if (value > std::chrono::nanoseconds{}) return value;
  node.expected("more than 0s");
  return fallback;
}

std::optional<Outlier> parse_outlier(const Node& parent) {
  const Node node = parent["outlier"];
  if (node.is_missing() || !is_section(node, "{ consecutive_5xx: 5 }")) return std::nullopt;
  Outlier out;
  out.node = node;
  out.consecutive_5xx = node["consecutive_5xx"].as_u32_or(out.consecutive_5xx, 1);
  out.interval = positive_or(node["interval"], out.interval);
  out.eject = positive_or(node["eject"], out.eject);
  node.reject_unknown_keys();
  return out;
}

std::optional<HealthCheck> parse_health_check(const Node& parent) {
  const Node node = parent["health_check"];
  if (node.is_missing() || !is_section(node, "{ path: /healthz }")) return std::nullopt;
  HealthCheck out;
  out.node = node;
  out.path = node["path"].as_string_or("");
  out.interval = positive_or(node["interval"], out.interval);
  out.timeout = positive_or(node["timeout"], out.timeout);
  out.unhealthy = node["unhealthy"].as_u32_or(out.unhealthy, 1);
  out.healthy = node["healthy"].as_u32_or(out.healthy, 1);
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
  out.protocol = parse_protocol(node["protocol"]);
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
  out.outlier = parse_outlier(node);
  out.health_check = parse_health_check(node);
  refuse_later(node, {"hash", "mirror", "split"});
  node.reject_unknown_keys();
  return out;
}

}  // namespace pillion::config
