#pragma once
// How the requests of a cluster spread over its priorities (envoy.md 2.5): the lowest priority with
// enough healthy hosts gets everything; what it cannot take goes to the next.

#include <cstdint>
#include <span>
#include <vector>

namespace pillion::upstream {

struct PriorityHealth {
  uint32_t healthy = 0;
  uint32_t degraded =
      0;  // of eds_health_status DEGRADED: used when the healthy ones do not suffice
  uint32_t total = 0;
};

// Per cent of all requests.  Over all priorities the loads sum up to 100.
struct PriorityLoad {
  uint32_t healthy = 0;
  uint32_t degraded = 0;
  // Too few usable hosts here, and too few in all priorities together: health is not believed, all
  // hosts of the priority are used (or none, see fail_traffic_on_panic).
  bool is_panic = false;
  friend bool operator==(const PriorityLoad&, const PriorityLoad&) = default;
};

// One load for each priority, at least one.  `overprovisioning` in per cent (Envoy's default is
// 140: a priority takes all load until less than 72 % of its hosts are healthy); `panic_threshold`
// in per cent, 0 for never.
std::vector<PriorityLoad> spread_load(std::span<const PriorityHealth> priorities,
                                      uint32_t overprovisioning, uint32_t panic_threshold);

}  // namespace pillion::upstream
