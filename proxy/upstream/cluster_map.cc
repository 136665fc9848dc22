#include "proxy/upstream/cluster_map.h"

#include <utility>

namespace pillion::upstream {

void ClusterMap::set(const ClusterResource& resource) {
  const auto [it, is_new] = entries_.insert(Entry{resource, {}});
  if (is_new) return;
  const Entry& entry = *it;
  // Of the same name, so that the entry stays where it is.
  const ClusterResource before = std::exchange(entry.resource, resource);
  Cluster* cluster = entry.cluster.get();
  if (cluster == nullptr) return;
  if (!can_keep_connections(*before.config, *resource.config)) {
    // The new one is made at its first use; streams that run keep this one.
    cluster->drain();
    entry.cluster.reset();
    return;
  }
  if (before.config->hash != resource.config->hash) cluster->reconfigure(resource.config);
  if (before.hosts != resource.hosts && resource.hosts != nullptr)
    cluster->update_hosts(resource.hosts);
}

void ClusterMap::set_hosts(std::string_view name, const std::shared_ptr<const HostSet>& hosts) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  it->resource.hosts = hosts;
  if (it->cluster) it->cluster->update_hosts(hosts);
}

void ClusterMap::update_health(std::string_view name) {
  const auto it = entries_.find(name);
  if (it != entries_.end() && it->cluster) it->cluster->update_health();
}

void ClusterMap::remove(std::string_view name) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  if (it->cluster) it->cluster->drain();
  entries_.erase(it);
}

}  // namespace pillion::upstream
