#include "proxy/builder/unknown_clusters.h"

namespace pillion {

bool UnknownClusters::is_known(const std::string& cluster) const {
  const auto it = resources_.clusters.find(cluster);
  // One that was refused, and never was there, is as unknown as others.
  if (it != resources_.clusters.end() &&
      (it->second.newest != nullptr || it->second.active != nullptr))
    return true;
  if (!of_file_) {
    of_file_.emplace();
    for (const auto& piece : resources_.file_clusters) of_file_->insert(piece.newest->config->name);
  }
  return of_file_->contains(cluster);
}

}  // namespace pillion
