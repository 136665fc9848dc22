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
  // The configuration in force is another one now; `before` may be null.
  void change_config(const ClusterConfig* before, const ClusterConfig& now);
  // Of that configuration; `registry` outlives the object.
  void refresh(stats::Registry& registry, const ClusterConfig& config);

 private:
  struct Blocks {
    stats::BlockRef<stats::ClusterBreakerStats> open;
    stats::BlockRef<stats::ClusterRemainingStats> remaining;
  };
  std::unique_ptr<Blocks> blocks_;  // null: no limit was seen in use
};

}  // namespace pillion::upstream
