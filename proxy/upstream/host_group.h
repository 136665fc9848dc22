#pragma once
// HostGroup: hosts of equal standing, and the algorithm that picks one of them (envoy.md 2.6).
//
// Owned by a Balancer of one worker.  Picks allocate nothing: O(1) where all weights are equal,
// O(log hosts) where not.

#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/upstream/host.h"

namespace pillion::upstream {

enum class BalancePolicy : uint8_t { kRoundRobin, kLeastRequest, kRandom };

struct GroupOptions {
  BalancePolicy policy = BalancePolicy::kRoundRobin;
  uint32_t choice_count = 2;         // least request with equal weights: the best of so many
  double active_request_bias = 1.0;  // least request with weights: weight / (active + 1) ^ bias
};

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
