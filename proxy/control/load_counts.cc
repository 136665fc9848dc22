#include "proxy/control/load_counts.h"

namespace pillion {

std::vector<std::string> LoadCounts::load_clusters() const {
  std::vector<std::string> names;
  if (snapshot_ == nullptr) return names;
  for (const auto& cluster : snapshot_->clusters) names.push_back(cluster->name);
  return names;
}

bool LoadCounts::load_of(std::string_view cluster, Cluster& out) const {
  const auto found = snapshot_ == nullptr ? nullptr : snapshot_->clusters.find(cluster);
  if (found == nullptr) return false;
  const upstream::ClusterConfig& config = *found;
  if (config.eds_name != config.name) out.service_name = config.eds_name;
  out.hosts = discovery_.hosts(config.name);
  // Of either breaker, as Envoy has it.
  for (const std::string_view refused :
       {"upstream_rq_active_overflow", "upstream_rq_pending_overflow"})
    out.dropped += registry_.total<stats::ClusterStats>(config.stat_name, refused);
  return true;
}

}  // namespace pillion
