#include "proxy/route/route_table.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "proxy/config/value_hash.h"
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

const Route* first_match(const VirtualHost& host, std::string_view path,
                         const http::RequestHead& head, uint64_t random) {
  const auto fits = [&](const Route& route) {
    return route.path.matches(path) && (!route.conditions || route.conditions->hold(head, random));
  };
  const RouteIndex* index = host.list->index.get();
  if (index == nullptr) {
    for (const Route& route : host.routes) {
      if (fits(route)) return &route;
    }
    return nullptr;
  }
  const Route* found = nullptr;
  index->for_each_candidate(path, [&](uint32_t number) {
    if (fits(host.routes[number])) found = &host.routes[number];
    return found != nullptr;
  });
  return found;
}

}  // namespace

RouteTable::RouteTable(Parts parts) : parts_(std::move(parts)) {
  for (VirtualHost& host : parts_.hosts) host.table = this;
  RedirectAction redirect;
  redirect.scheme = "https";
  https_redirect_.kind = Route::Kind::kRedirect;
  https_redirect_.redirect = std::make_unique<const RedirectAction>(std::move(redirect));
}

std::shared_ptr<const RouteTable> RouteTable::with_hosts(
    const std::vector<std::shared_ptr<const VirtualHost>>& more) const {
  Parts parts = parts_;
  parts.hosts.reserve(parts.hosts.size() + more.size());
  for (const auto& host : more) {
    const auto number = static_cast<uint32_t>(parts.hosts.size());
    for (const std::string& domain : host->domains) (void)parts.domains.add(domain, number);
    parts.hash = config::combine_hashes(parts.hash, host->hash);
    parts.hosts.push_back(*host);
  }
  return std::make_shared<const RouteTable>(std::move(parts));
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
  if (host->use != nullptr) host->use->touch();
  if (host->require_tls != VirtualHost::RequireTls::kNone && !tls) return {host, &https_redirect_};
  RouteMatch match{host, first_match(*host, matched_path(head), head, random)};
  if (match.route == nullptr) return {};
  if (match.route->forward && match.route->forward->weighted) {
    match.weighted = draw(*match.route->forward->weighted, head, random);
  }
  return match;
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

bool terminates_connect(const RouteMatch& match) noexcept {
  return match.route->forward != nullptr &&
         std::ranges::any_of(match.route->forward->upgrades, &UpgradeRule::terminates);
}

}  // namespace pillion::route
