#pragma once
// LoadCounts: what load reports are made of: the endpoints of each cluster, and what was refused
// before an endpoint was chosen.  Owned by the Server, on the control loop.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/builder/snapshot.h"
#include "proxy/discovery/discovery.h"
#include "proxy/stats/registry.h"
#include "xds/load_reporter.h"

namespace pillion {

class LoadCounts final : public xds::LoadSource {
 public:
  // Both outlive it.
  LoadCounts(const discovery::Discovery& discovery, const stats::Registry& registry)
      : discovery_(discovery), registry_(registry) {}

  // Of the configuration that is in force from now on.
  void use(std::shared_ptr<const Snapshot> snapshot) { snapshot_ = std::move(snapshot); }

  [[nodiscard]] std::vector<std::string> load_clusters() const override;
  bool load_of(std::string_view cluster, Cluster& out) const override;

 private:
  const discovery::Discovery& discovery_;
  const stats::Registry& registry_;
  std::shared_ptr<const Snapshot> snapshot_;
};

}  // namespace pillion
