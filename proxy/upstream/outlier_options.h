#pragma once
// When a host is taken out of the balancing because of what its traffic looks like
// (config.cluster.v3.OutlierDetection), as configured.  Defaults are Envoy's (envoy.md 2.4).

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "proxy/base/clock.h"

namespace pillion::upstream {

// How a host was found out.
enum class OutlierKind : uint8_t {
  kConsecutive5xx,
  kConsecutiveGateway,
  kConsecutiveLocal,
  kSuccessRate,
  kLocalSuccessRate,
  kFailurePercentage,
  kLocalFailurePercentage,
  kCount
};

struct OutlierOptions {
  // Failures in a row; 0 never.
  uint32_t consecutive_5xx = 5;
  uint32_t consecutive_gateway = 5;
  uint32_t consecutive_local = 5;  // counted only with split_local_origin
  // Failures of ours (connect, reset, timeout) count apart from what hosts answered.
  bool split_local_origin = false;

  Duration interval = std::chrono::seconds(10);
  Duration base_ejection_time = std::chrono::seconds(30);
  Duration max_ejection_time = std::chrono::seconds(300);
  Duration max_jitter{};
  uint32_t max_ejection_percent = 10;
  bool always_eject_one = false;
  bool uneject_by_active_check = true;

  uint32_t success_rate_hosts = 5;  // that have at least `volume` requests in an interval
  uint32_t success_rate_volume = 100;
  uint32_t success_rate_stdev_factor = 1900;  // thousandths
  uint32_t failure_percentage_threshold = 85;
  uint32_t failure_percentage_hosts = 5;
  uint32_t failure_percentage_volume = 50;
  // How many of a hundred that are found out are ejected, by OutlierKind.
  uint32_t enforcing[static_cast<size_t>(OutlierKind::kCount)] = {100, 0, 100, 100, 100, 0, 0};

  [[nodiscard]] uint32_t enforcing_of(OutlierKind kind) const noexcept {
    return enforcing[static_cast<size_t>(kind)];
  }
};

}  // namespace pillion::upstream
