#pragma once
// Balancer: which host of a cluster gets the next request: first the priority and the health of the
// host (PriorityLoad), then one host of that group (HostGroup).
//
// Owned by its Cluster, one per worker.  rebuild() takes the current hosts, pick() allocates
// nothing.

#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/upstream/host_group.h"

namespace pillion::upstream {

class Balancer {
 public:
  // The hosts outlive the next rebuild().
  void rebuild(const BalancerOptions& options, const std::vector<Ref<Host>>& hosts, Rng& rng);
  // Null if no host may be used.  `exclude` (may be null) is passed over while another host of its
  // group is there.  `*panic` is set if health was not believed.
  Host* pick(Rng& rng, const Host* exclude, bool* panic);

 private:
  // A share of all requests and who gets it.
  struct Slice {
    uint32_t end;  // tickets below it, 1-100
    bool is_panic;
    std::unique_ptr<HostGroup> group;  // null: these requests fail
  };
  std::vector<Slice> slices_;
};

}  // namespace pillion::upstream
