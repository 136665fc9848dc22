#pragma once
// TcpProxy as configured (extensions.filters.network.tcp_proxy.v3); immutable, shared by workers.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/core/access_logger.h"

namespace pillion::core {

struct WeightedTarget {
  std::string cluster;
  uint32_t weight = 1;
};

struct TcpProxyConfig {
  std::string stat_prefix;
  std::vector<WeightedTarget> targets;  // one with weight 1 for a plain `cluster`
  uint64_t total_weight = 1;
  Duration idle_timeout = std::chrono::hours(1);  // 0: off
  Duration max_connection_duration{};             // 0: off
  uint32_t max_connect_attempts = 1;
  std::vector<std::shared_ptr<const AccessLogger>> access_logs;
  uint64_t hash = 0;
};

}  // namespace pillion::core
