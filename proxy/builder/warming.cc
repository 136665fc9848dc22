#include "proxy/builder/warming.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "proxy/discovery/dns_source.h"

namespace pillion {
namespace {

using upstream::ClusterConfig;
using upstream::DiscoveryType;

bool is_by_dns(const ClusterConfig& cluster) {
  return cluster.type == DiscoveryType::kStrictDns || cluster.type == DiscoveryType::kLogicalDns;
}

bool asks_dns(const ClusterConfig& cluster) {
  return is_by_dns(cluster) &&
         !std::ranges::all_of(cluster.dns_targets, [](const upstream::DnsTarget& target) {
           return static_cast<bool>(io::Address::parse_ip(target.name, target.port));
         });
}

// The source of the one is the other's.
bool has_source_of(const ClusterConfig& cluster, const CompiledCluster* other) {
  return other != nullptr && is_by_dns(*other->config) &&
         discovery::DnsSource::key_of(cluster) == discovery::DnsSource::key_of(*other->config);
}

template <typename Config>
bool has_all_secrets(const Config& config, const tls::SettledSecrets& settled) {
  bool has_all = true;
  for_each_tls(config, [&](const auto& slot) { has_all &= settled.has(slot->secrets()); });
  return has_all;
}

std::shared_ptr<const ClusterConfig> sought(const Piece<CompiledCluster>* piece) {
  return piece != nullptr && awaits_discovery(*piece) ? piece->newest->config : nullptr;
}

class Finder {
 public:
  void look(std::string_view name, const Piece<CompiledCluster>* before,
            const Piece<CompiledCluster>* after) {
    const auto was = sought(before);
    const auto is = sought(after);
    if (was == is) return;
    if (is != nullptr) {
      out.added.push_back(is);
    } else {
      out.given_up.emplace_back(name);
    }
  }
  WarmingChanges out;
};

}  // namespace

bool awaits_discovery(const Piece<CompiledCluster>& piece) {
  if (!piece.waits()) return false;
  const ClusterConfig& cluster = *piece.newest->config;
  return cluster.health_check != nullptr ||
         (asks_dns(cluster) && !has_source_of(cluster, piece.active.get()));
}

bool has_secrets(const ClusterConfig& cluster, const tls::SettledSecrets& settled) {
  return has_all_secrets(cluster, settled);
}
bool has_secrets(const core::ListenerConfig& listener, const tls::SettledSecrets& settled) {
  return has_all_secrets(listener, settled);
}

WarmingChanges warming_between(const Resources& before, const Resources& after) {
  Finder finder;
  std::map<std::string_view,
           std::pair<const Piece<CompiledCluster>*, const Piece<CompiledCluster>*>>
      of_file;
  for (const auto& piece : before.file_clusters)
    if (piece.waits()) of_file[piece.newest->config->name].first = &piece;
  for (const auto& piece : after.file_clusters)
    if (piece.waits()) of_file[piece.newest->config->name].second = &piece;
  for (const auto& [name, ends] : of_file) finder.look(name, ends.first, ends.second);
  diff(before.clusters, after.clusters,
       [&finder](std::string_view name, const auto* a, const auto* b) { finder.look(name, a, b); });
  return std::move(finder.out);
}

}  // namespace pillion
