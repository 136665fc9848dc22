#pragma once
// Warming: what a cluster or a listener needs beside what the configuration says before it can
// serve (Envoy's warming).  The builder asks, to let it wait; control asks, to know what to look
// for, and when to build again.  Any thread.

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "proxy/base/shared_map.h"
#include "proxy/builder/resources.h"
#include "proxy/tls/settled_secrets.h"

namespace pillion {

// Configurations of clusters that discovery has made warm; alive as long as the snapshot that they
// are of.
using WarmClusters = std::unordered_set<const upstream::ClusterConfig*>;

// Does it wait for discovery, be it for DNS or for the first round of health checks?  If its hosts
// come as they do for the configuration in force it does not wait for DNS.
bool awaits_discovery(const Piece<CompiledCluster>& piece);

// EDS has said its endpoints, or need not.  `known`: EDS names.
inline bool has_endpoints(const upstream::ClusterConfig& cluster, const SharedNames& known) {
  return cluster.type != upstream::DiscoveryType::kEds || known.contains(cluster.eds_name);
}

// Are there the secrets that its TLS contexts need?
bool has_secrets(const upstream::ClusterConfig& cluster, const tls::SettledSecrets& settled);
bool has_secrets(const core::ListenerConfig& listener, const tls::SettledSecrets& settled);

template <typename Fn>
void for_each_tls(const upstream::ClusterConfig& cluster, Fn&& fn) {
  cluster.pool->for_each_tls(fn);
}
template <typename Fn>
void for_each_tls(const core::ListenerConfig& listener, Fn&& fn) {
  for (const auto& chain : listener.chains)
    if (chain->tls != nullptr) fn(chain->tls);
  if (listener.default_chain != nullptr && listener.default_chain->tls != nullptr)
    fn(listener.default_chain->tls);
}

inline bool has_tls(const core::ListenerConfig& listener) {
  bool out = false;
  for_each_tls(listener, [&out](const auto&) { out = true; });
  return out;
}

// What control must look for, and need not any more, between two versions of the resources; found
// in time that grows with what differs.
struct WarmingChanges {
  std::vector<std::shared_ptr<const upstream::ClusterConfig>> added;
  std::vector<std::string> given_up;  // names; also of those that are in force now

  [[nodiscard]] bool empty() const noexcept { return added.empty() && given_up.empty(); }
};
WarmingChanges warming_between(const Resources& before, const Resources& after);

// Calls fn(piece) for each cluster, or listener, that waits.
template <typename Fn>
void for_each_waiting_cluster(const Resources& resources, Fn&& fn) {
  for (const auto& piece : resources.file_clusters)
    if (piece.waits()) fn(piece);
  for (const std::string& name : resources.unsettled.clusters) {
    const auto it = resources.clusters.find(name);
    if (it != resources.clusters.end() && it->second.waits()) fn(it->second);
  }
}
template <typename Fn>
void for_each_waiting_listener(const Resources& resources, Fn&& fn) {
  for (const auto& piece : resources.file_listeners)
    if (piece.waits()) fn(piece);
  for (const std::string& name : resources.unsettled.listeners) {
    const auto it = resources.listeners.find(name);
    if (it != resources.listeners.end() && it->second.waits()) fn(it->second);
  }
}

}  // namespace pillion
