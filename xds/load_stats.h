#pragma once
// The messages of load reporting (envoy.service.load_stats.v3), written and read field by field.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/io/address.h"
#include "proxy/upstream/host_set.h"

namespace pillion::xds {

// Of one host, one locality or more, in the time that a report is of.
struct Load {
  uint64_t successful = 0;
  uint64_t failed = 0;
  uint64_t issued = 0;
  uint64_t in_progress = 0;         // now
  uint64_t active_connections = 0;  // now
  uint64_t new_connections = 0;
  uint64_t failed_connections = 0;

  [[nodiscard]] bool is_idle() const noexcept {
    return successful + failed + issued + in_progress + new_connections + failed_connections == 0;
  }
  void add(const Load& other) noexcept;
};

struct EndpointLoad {
  io::Address address;
  Load load;
};

struct LocalityLoad {
  upstream::Locality locality;
  uint32_t priority = 0;
  Load load;
  std::vector<EndpointLoad> endpoints;  // if they were asked for
};

// envoy.config.endpoint.v3.ClusterStats
struct ClusterLoad {
  std::string name;
  std::string service_name;  // of EDS; empty: as the name
  std::vector<LocalityLoad> localities;
  uint64_t dropped = 0;  // by circuit breakers, before a host was chosen
  Duration interval{};
};

// What the server asks for.
struct LoadStatsResponse {
  std::vector<std::string> clusters;
  bool all_clusters = false;
  bool endpoints_too = false;
  Duration interval{};
};

// `node`: encoded, with the first request of a stream; else empty.
std::string encode_load_request(std::string_view node, const std::vector<ClusterLoad>& clusters);

Result<LoadStatsResponse> decode_load_response(std::string_view bytes);

}  // namespace pillion::xds
