#pragma once
// HostGroup: hosts of equal standing, and the algorithm that picks one of them (envoy.md 2.6).
//
// Owned by a Balancer of one worker.  Picks allocate nothing: O(1) where all weights are equal,
// O(log hosts) where not.

#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/upstream/balancer_options.h"
#include "proxy/upstream/host.h"

namespace pillion::upstream {

class HostGroup {
 public:
  virtual ~HostGroup() = default;
  // `exclude` (may be null) is passed over while another host is there.
  virtual Host& pick(Rng& rng, const Host* exclude) = 0;
};

// Null for no hosts.  The hosts outlive the group.  `rng` decides where a rotation begins, so that
// workers do not march in step.
std::unique_ptr<HostGroup> make_group(const GroupOptions& options, std::vector<Host*> hosts,
                                      Rng& rng);

}  // namespace pillion::upstream
