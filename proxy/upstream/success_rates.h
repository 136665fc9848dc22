#pragma once
// Which hosts stand out by their rate of success (envoy.md 2.4: success_rate, failure_percentage).

#include <cstdint>
#include <vector>

#include "proxy/upstream/host_set.h"
#include "proxy/upstream/outlier_options.h"

namespace pillion::upstream {

// Of one host in one interval.
struct HostRate {
  HostId host = 0;
  double success = 0;  // per cent
  uint64_t volume = 0;
};

// -1: too little is known.
struct RateVerdict {
  double average = -1;
  double threshold = -1;  // hosts below it are outliers
  std::vector<HostId> below_threshold;
  std::vector<HostId> failing;  // failure_percentage_threshold is reached
};

// `rates` are of the hosts that are not ejected and had traffic; `hosts` counts all.
RateVerdict judge(const std::vector<HostRate>& rates, size_t hosts, const OutlierOptions& options);

}  // namespace pillion::upstream
