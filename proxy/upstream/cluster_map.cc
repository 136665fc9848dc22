#include "proxy/upstream/cluster_map.h"

namespace pillion::upstream {

void ClusterMap::set(const ClusterResource& resource) {
  const auto [it, added] = entries_.try_emplace(resource.config->name);
  Entry& entry = it->second;
  const bool unchanged = !added && entry.resource.config->hash == resource.config->hash;
  if (unchanged) {
    if (entry.cluster && entry.resource.hosts != resource.hosts && resource.hosts) {
      entry.cluster->update_hosts(resource.hosts);
    }
    entry.resource.hosts = resource.hosts;
    return;
  }
  entry.resource = resource;
  if (entry.cluster) {
    entry.cluster->drain();
    entry.cluster.reset();
  }
}

void ClusterMap::set_hosts(std::string_view name, const std::shared_ptr<const HostSet>& hosts) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  it->second.resource.hosts = hosts;
  if (it->second.cluster) it->second.cluster->update_hosts(hosts);
}

void ClusterMap::remove(std::string_view name) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  if (it->second.cluster) it->second.cluster->drain();
  entries_.erase(it);
}

}  // namespace pillion::upstream
