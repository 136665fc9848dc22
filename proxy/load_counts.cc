#include "proxy/load_counts.h"

namespace pillion {

void LoadCounts::use(const Snapshot& snapshot) {
  clusters_.clear();
  for (const auto& cluster : snapshot.clusters) clusters_.emplace(cluster->name, cluster);
}

std::vector<std::string> LoadCounts::load_clusters() const {
  std::vector<std::string> names;
  names.reserve(clusters_.size());
  for (const auto& [name, cluster] : clusters_) names.emplace_back(name);
  return names;
}

bool LoadCounts::load_of(std::string_view cluster, Cluster& out) const {
  const auto it = clusters_.find(cluster);
  if (it == clusters_.end()) return false;
  const upstream::ClusterConfig& config = *it->second;
  if (config.eds_name != config.name) out.service_name = config.eds_name;
  out.hosts = discovery_.hosts(config.name);
  out.dropped =
      registry_.total<stats::ClusterStats>(config.stat_name, "upstream_rq_pending_overflow");
  return true;
}

}  // namespace pillion
