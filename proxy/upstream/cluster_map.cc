#include "proxy/upstream/cluster_map.h"

#include <utility>

namespace pillion::upstream {

void ClusterMap::set(const ClusterResource& resource) {
  Entry& entry = entries_[resource.config->name];
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
  it->second.resource.hosts = hosts;
  if (it->second.cluster) it->second.cluster->update_hosts(hosts);
}

void ClusterMap::update_health(std::string_view name) {
  const auto it = entries_.find(name);
  if (it != entries_.end() && it->second.cluster) it->second.cluster->update_health();
}

void ClusterMap::remove(std::string_view name) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  if (it->second.cluster) it->second.cluster->drain();
  entries_.erase(it);
}

}  // namespace pillion::upstream
