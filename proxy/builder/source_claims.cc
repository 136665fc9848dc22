#include "proxy/builder/source_claims.h"

#include <string_view>

#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/suggest.h"
#include "proxy/core/http_filter_chain.h"

namespace pillion {
namespace {

using config::ConfigSource;
using xds::ResourceType;

constexpr std::string_view kAll = "*";

std::string key_of(const config::ConfigSourcePtr& source) {
  return source == nullptr ? ConfigSource().key : source->key;
}

// As a reader knows it.
std::string text_of(std::string_view key) {
  if (key.starts_with("path/")) return str("the file ", key.substr(5));
  if (!key.starts_with("api/")) return "ads";
  return str("cluster \"", key.substr(4, key.find('\0') - 4), '"');
}

std::string wrong_with(const std::vector<std::string>& claim, std::string_view owner) {
  const std::string what = claim[1] == kAll ? claim[0] : str(claim[0], '/', claim[1]);
  return str(config::printable(what), " is asked of ", config::printable(text_of(owner)),
             " already: a name has one source");
}

// Calls fn(claim, key of the source) for each.
template <typename Fn>
void claims_of(const CompiledCluster& cluster, Fn&& fn) {
  const upstream::ClusterConfig& config = *cluster.config;
  if (config.type != upstream::DiscoveryType::kEds) return;
  fn({std::string(xds::short_name(ResourceType::kEndpoints)), config.eds_name},
     key_of(config.eds_source));
}

template <typename Fn>
void claims_of(const CompiledRoutes& routes, Fn&& fn) {
  if (!routes.table->has_vhds()) return;
  fn({std::string(xds::short_name(ResourceType::kVirtualHosts)), std::string(kAll)},
     key_of(routes.table->vhds_source()));
}

template <typename Fn>
void claims_of(const core::HcmConfig& hcm, Fn&& fn) {
  const std::string rds(xds::short_name(ResourceType::kRoutes));
  if (!hcm.rds_name.empty()) fn({rds, hcm.rds_name}, key_of(hcm.rds_source));
  if (hcm.scoped != nullptr) {
    const core::ScopedRoutes& scoped = *hcm.scoped;
    for (const auto& scope : scoped.list)
      if (!scope->rds_name.empty()) fn({rds, scope->rds_name}, key_of(scoped.rds_source));
    if (scoped.srds_timeout) {
      fn({std::string(xds::short_name(ResourceType::kScopedRoutes)), std::string(kAll)},
         key_of(scoped.srds_source));
      // Of all tables that scopes name.
      fn({rds, std::string(kAll)}, key_of(scoped.rds_source));
    }
  }
  if (hcm.filters == nullptr) return;
  for (const core::HttpFilterChain::Entry& entry : hcm.filters->entries()) {
    if (entry.discovery == nullptr) continue;
    fn({std::string(xds::short_name(ResourceType::kExtensions)), entry.discovery->name},
       key_of(entry.discovery->source));
  }
}

template <typename Fn>
void claims_of(const core::ListenerConfig& listener, Fn&& fn) {
  const auto discovered = [&fn](const core::ExtensionDiscovery& discovery) {
    fn({std::string(xds::short_name(ResourceType::kExtensions)), discovery.name},
       key_of(discovery.source));
  };
  const auto visit = [&](const std::shared_ptr<const core::FilterChain>& chain) {
    if (chain == nullptr) return;
    for (const auto& filter : chain->discovered) discovered(*filter.discovery);
    if (const auto* hcm = std::get_if<std::shared_ptr<const core::HcmConfig>>(&chain->terminal))
      claims_of(**hcm, fn);
  };
  for (const auto& filter : listener.discovered_filters) discovered(*filter.discovery);
  for (const auto& chain : listener.chains) visit(chain);
  visit(listener.default_chain);
}
template <typename Fn>
void claims_of(const CompiledListener& listener, Fn&& fn) {
  claims_of(*listener.config, fn);
}

template <typename T>
bool asks_others(const T& value) {
  bool asks = false;
  const std::string ads = ConfigSource().key;
  claims_of(value,
            [&](const std::vector<std::string>&, const std::string& key) { asks |= key != ads; });
  return asks;
}

template <typename T>
void claim(SourceClaims& claims, const T& value, const config::Node& node) {
  claims_of(value, [&](const std::vector<std::string>& name, const std::string& key) {
    const auto [it, is_new] = claims.emplace(name, key);
    if (!is_new && it->second != key) node.error(wrong_with(name, it->second));
  });
}

template <typename T>
void add_claims(SourceClaims& claims, const T& value) {
  claims_of(value, [&](const std::vector<std::string>& name, const std::string& key) {
    claims.emplace(name, key);
  });
}

template <typename T>
SourceClaims claims_of_all(const Pieces<T>& pieces) {
  SourceClaims claims;
  for (const auto& [name, piece] : pieces)
    if (piece.newest != nullptr) add_claims(claims, *piece.newest);
  return claims;
}

template <typename T>
SourceClaims claims_of_file(const std::vector<Piece<T>>& list) {
  SourceClaims claims;
  for (const Piece<T>& piece : list) add_claims(claims, *piece.newest);
  return claims;
}

template <typename T>
std::vector<SecondClaim> refuse(Pieces<T>& pieces, const Pieces<T>& before,
                                const std::string& version, ResourceType type,
                                const SourceClaims& of_file) {
  return refuse_second_claims(
      pieces, before, version,
      [](const std::string&, const T& value, auto&& fn) { claims_of(value, fn); },
      [type](const std::string& name, const std::vector<std::string>& what,
             const std::string& owner) {
        return str(xds::short_name(type), '/', config::printable(name), ": ",
                   wrong_with(what, owner), '\n');
      },
      of_file);
}

}  // namespace

bool has_own_source(const CompiledCluster& cluster) { return asks_others(cluster); }
bool has_own_source(const CompiledListener& listener) { return asks_others(listener); }
bool has_own_source(const CompiledRoutes& routes) { return asks_others(routes); }

void claim_sources(SourceClaims& claims, const CompiledCluster& cluster, const config::Node& node) {
  claim(claims, cluster, node["eds_cluster_config"]["eds_config"]);
}
void claim_sources(SourceClaims& claims, const core::ListenerConfig& listener,
                   const config::Node& node) {
  claim(claims, listener, node);
}

SourceClaims claims_of_clusters(const Resources& resources) {
  return claims_of_all(resources.clusters);
}
SourceClaims claims_of_listeners(const Resources& resources) {
  return claims_of_all(resources.listeners);
}

std::vector<SecondClaim> refuse_second_sources(Resources& resources,
                                               const Pieces<CompiledCluster>& before,
                                               const std::string& version) {
  return refuse(resources.clusters, before, version, ResourceType::kClusters,
                claims_of_file(resources.file_clusters));
}
std::vector<SecondClaim> refuse_second_sources(Resources& resources,
                                               const Pieces<CompiledListener>& before,
                                               const std::string& version) {
  return refuse(resources.listeners, before, version, ResourceType::kListeners,
                claims_of_file(resources.file_listeners));
}
std::vector<SecondClaim> refuse_second_sources(Resources& resources,
                                               const Pieces<CompiledRoutes>& before,
                                               const std::string& version) {
  return refuse(resources.routes, before, version, ResourceType::kRoutes, {});
}

}  // namespace pillion
