#pragma once
// BreakerGauges: the state of a cluster's circuit breakers as gauges (circuit_breakers.default.*).
//
// Owned by control, one per cluster; refreshed before a scrape.  The gauges appear once a limit was
// seen in use: a cluster that nobody calls has none.

#include <memory>

#include "proxy/stats/registry.h"
#include "proxy/upstream/cluster_config.h"

namespace pillion::upstream {

class BreakerGauges {
 public:
  // `registry` outlives it.
  void set_config(stats::Registry& registry, std::shared_ptr<const ClusterConfig> config);
  void refresh();

 private:
  stats::Registry* registry_ = nullptr;
  std::shared_ptr<const ClusterConfig> config_;
  stats::BlockRef<stats::ClusterBreakerStats> open_;
  stats::BlockRef<stats::ClusterRemainingStats> remaining_;
};

}  // namespace pillion::upstream
