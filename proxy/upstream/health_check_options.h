#pragma once
// How the hosts of a cluster are checked (config.core.v3.HealthCheck), as configured.  Defaults are
// Envoy's (envoy.md 1.8).

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/upstream/transport_labels.h"

namespace pillion::upstream {

// Statuses, [first, second).
using StatusRange = std::pair<uint32_t, uint32_t>;

struct HttpCheck {
  std::string path;
  std::string host;  // empty: the name of the cluster
  std::string method = "GET";
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::vector<std::string> removed_headers;
  std::vector<StatusRange> expected = {{200, 201}};
  std::vector<StatusRange> retriable;  // count as a failure of the network does

  static bool contains(const std::vector<StatusRange>& ranges, uint32_t status) noexcept {
    return std::any_of(ranges.begin(), ranges.end(), [status](const StatusRange& r) {
      return status >= r.first && status < r.second;
    });
  }
};

// Bytes, not text.
struct TcpCheck {
  std::string send;
  // Each must come, in this order; anything may stand between.  Empty: to connect is enough.
  std::vector<std::string> receive;
};

struct HealthCheckOptions {
  enum class Kind : uint8_t { kHttp, kTcp };
  Kind kind = Kind::kHttp;
  HttpCheck http;
  TcpCheck tcp;
  Duration timeout{};
  uint32_t unhealthy_threshold = 1;
  uint32_t healthy_threshold = 1;
  std::optional<LabelSet> transport_criteria;  // choose the transport socket, see PoolOptions
  bool reuse_connection = true;
  bool logs_all_failures = false;

  // Between two checks: after a success and after a failure; while the verdict is about to change;
  // and as long as the cluster had no connection.
  Duration interval{};
  Duration unhealthy_interval{};
  Duration healthy_edge_interval{};
  Duration unhealthy_edge_interval{};
  Duration no_traffic_interval = std::chrono::seconds(60);
  Duration no_traffic_healthy_interval = std::chrono::seconds(60);
  Duration initial_jitter{};
  Duration interval_jitter{};
  uint32_t interval_jitter_percent = 0;
};

}  // namespace pillion::upstream
