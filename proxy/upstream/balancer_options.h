#pragma once
// How a cluster chooses among its hosts, as configured.

#include <cstdint>

namespace pillion::upstream {

enum class BalancePolicy : uint8_t { kRoundRobin, kLeastRequest, kRandom };

struct GroupOptions {
  BalancePolicy policy = BalancePolicy::kRoundRobin;
  uint32_t choice_count = 2;         // least request with equal weights: the best of so many
  double active_request_bias = 1.0;  // least request with weights: weight / (active + 1) ^ bias
};

struct BalancerOptions {
  GroupOptions group;
  uint32_t overprovisioning = 140;  // per cent
  uint32_t panic_threshold = 50;    // per cent; 0: never
  bool fail_traffic_on_panic = false;
  bool excludes_unchecked = false;  // ignore_new_hosts_until_first_hc
};

}  // namespace pillion::upstream
