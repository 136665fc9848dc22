#include "proxy/route/route_table.h"

#include <charconv>
#include <utility>

#include "proxy/match/canonical_path.h"

namespace pillion::route {
namespace {

// Uniform in [0, bound), from 32 bits.
uint64_t scale(uint64_t bits, uint64_t bound) { return (bits * bound) >> 32; }

// The number in `text`, or `otherwise`.
uint64_t number_or(std::string_view text, uint64_t otherwise) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc{} && at == end && !text.empty() ? number : otherwise;
}

std::string_view header_value(const http::Headers& headers, std::string_view name) {
  const http::Field* field = headers.find(name);
  return field == nullptr ? std::string_view{} : field->value;
}

const WeightedCluster* draw(const WeightedClusters& weighted, const http::RequestHead& head,
                            uint64_t random) {
  uint64_t at = scale(random >> 32, weighted.total_weight);
  if (!weighted.random_header.empty()) {
    at = number_or(header_value(head.headers, weighted.random_header), at) % weighted.total_weight;
  }
  for (const WeightedCluster& share : weighted.clusters) {
    if (at < share.weight_end) return &share;
  }
  return nullptr;  // only without any weight, which the parser refuses
}

}  // namespace

RouteTable::RouteTable(Parts parts) : parts_(std::move(parts)) {
  for (VirtualHost& host : parts_.hosts) host.table = this;
  RedirectAction redirect;
  redirect.scheme = "https";
  https_redirect_.kind = Route::Kind::kRedirect;
  https_redirect_.redirect = std::make_unique<const RedirectAction>(std::move(redirect));
}

std::string_view RouteTable::matched_authority(const http::RequestHead& head) const noexcept {
  return parts_.ignore_port_in_host ? without_port(head.authority) : head.authority;
}

std::string_view RouteTable::matched_path(const http::RequestHead& head) const {
  const std::string_view path = match::without_query(head.path);
  if (!parts_.ignore_path_parameters) return path;
  return match::without_path_parameters(path, head.headers.arena());
}

const VirtualHost* RouteTable::find_host(std::string_view authority) const {
  const auto index = parts_.domains.find(authority);
  return index ? &parts_.hosts[*index] : nullptr;
}

RouteMatch RouteTable::match(const http::RequestHead& head, uint64_t random, bool tls) const {
  const VirtualHost* host = find_host(matched_authority(head));
  if (host == nullptr) return {};
  if (host->require_tls != VirtualHost::RequireTls::kNone && !tls) return {host, &https_redirect_};
  const std::string_view path = matched_path(head);
  for (const Route& route : host->routes) {
    if (!route.path.matches(path)) continue;
    if (route.conditions && !route.conditions->hold(head, random)) continue;
    RouteMatch match{host, &route};
    if (route.forward && route.forward->weighted) {
      match.weighted = draw(*route.forward->weighted, head, random);
    }
    return match;
  }
  return {};
}

std::string_view cluster_name(const RouteMatch& match, const http::RequestHead& head) {
  const ForwardAction& action = *match.route->forward;
  if (match.weighted != nullptr) {
    if (match.weighted->cluster_header.empty()) return match.weighted->cluster;
    return header_value(head.headers, match.weighted->cluster_header);
  }
  if (action.cluster_header.empty()) return action.cluster;
  return header_value(head.headers, action.cluster_header);
}

UpgradeVerdict find_upgrade(const RouteMatch& match, std::string_view type) noexcept {
  if (match.route->forward == nullptr) return UpgradeVerdict::kUnsaid;
  for (const UpgradeRule& rule : match.route->forward->upgrades) {
    if (!equals_ignore_case(rule.type, type)) continue;
    return rule.enabled ? UpgradeVerdict::kAllowed : UpgradeVerdict::kForbidden;
  }
  return UpgradeVerdict::kUnsaid;
}

}  // namespace pillion::route
