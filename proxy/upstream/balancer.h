#pragma once
// Balancer: which host of a cluster gets the next request (Envoy's algorithms: envoy.md 2.5, 2.6).
//
// Owned by its Cluster, one per worker.  rebuild() takes the current hosts; pick() allocates nothing.
// Priorities: the lowest with enough healthy hosts gets the load, in Envoy's proportions; a priority
// in panic (fewer than the threshold healthy) uses all of its hosts.

#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/upstream/host.h"

namespace pillion::upstream {

enum class BalancePolicy : uint8_t { kRoundRobin, kLeastRequest, kRandom };

struct BalancerOptions {
  BalancePolicy policy = BalancePolicy::kRoundRobin;
  uint32_t choice_count = 2;          // least request
  double active_request_bias = 1.0;   // least request with weights
  uint32_t panic_threshold = 50;      // per cent; 0: never
  bool fail_traffic_on_panic = false;
};

// One group of hosts with equal priority and usability.
class HostGroup {
 public:
  virtual ~HostGroup() = default;
  // `exclude` is passed over while another host is there.  Null for an empty group.
  virtual Host* pick(Rng& rng, const Host* exclude) = 0;
  [[nodiscard]] virtual bool empty() const noexcept = 0;
};
std::unique_ptr<HostGroup> make_group(const BalancerOptions& options, std::vector<Host*> hosts, Rng& rng);

class Balancer {
 public:
  Balancer(const BalancerOptions& options, uint32_t overprovisioning) noexcept
      : options_(options), overprovisioning_(overprovisioning) {}
  // The hosts outlive the next rebuild.
  void rebuild(const std::vector<Ref<Host>>& hosts, Rng& rng);
  Host* pick(Rng& rng, const Host* exclude, bool* panic);

 private:
  struct Level {
    std::unique_ptr<HostGroup> usable;
    std::unique_ptr<HostGroup> all;
    uint32_t load = 0;   // per cent of requests, cumulative
    bool panic = false;
  };
  BalancerOptions options_;
  uint32_t overprovisioning_;
  std::vector<Level> levels_;
};

}  // namespace pillion::upstream
