#include "proxy/upstream/cluster_map.h"

#include <utility>

namespace pillion::upstream {

HostSetPtr ClusterMap::set(const ClusterResource& resource) {
  const auto [it, is_new] = entries_.insert(Entry{resource, {}});
  if (is_new) return nullptr;
  const Entry& entry = *it;
  // Of the same name, so that the entry stays where it is.
  ClusterResource before = std::exchange(entry.resource, resource);
  const bool has_other_hosts = before.hosts != resource.hosts;
  if (Cluster* const cluster = entry.cluster.get(); cluster != nullptr) {
    if (!can_keep_connections(*before.config, *resource.config)) {
      // The new one is made at its first use; streams that run keep this one.
      cluster->drain();
      entry.cluster.reset();
    } else {
      if (before.config->hash != resource.config->hash) cluster->reconfigure(resource.config);
      if (has_other_hosts && resource.hosts != nullptr) cluster->update_hosts(resource.hosts);
    }
  }
  return has_other_hosts ? std::move(before.hosts) : nullptr;
}

HostSetPtr ClusterMap::set_hosts(std::string_view name, const HostSetPtr& hosts) {
  const auto it = entries_.find(name);
  if (it == entries_.end() || it->resource.hosts == hosts) return nullptr;
  HostSetPtr before = std::exchange(it->resource.hosts, hosts);
  if (it->cluster) it->cluster->update_hosts(hosts);
  return before;
}

void ClusterMap::update_health(std::string_view name) {
  const auto it = entries_.find(name);
  if (it != entries_.end() && it->cluster) it->cluster->update_health();
}

HostSetPtr ClusterMap::remove(std::string_view name) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return nullptr;
  if (it->cluster) it->cluster->drain();
  HostSetPtr before = std::move(it->resource.hosts);
  entries_.erase(it);
  return before;
}

}  // namespace pillion::upstream
