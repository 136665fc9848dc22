#pragma once
// envoy.config.core.v3.ApiConfigSource and GrpcService: which cluster is asked, and how, by who
// opens a gRPC stream (ADS, SDS).

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/config/node.h"

namespace pillion::config {

struct GrpcTarget {
  Located<std::string> cluster;                               // must be one of the file's
  std::string authority;                                      // empty: the cluster's name
  std::vector<std::pair<std::string, std::string>> metadata;  // initial_metadata: further headers
};

// RateLimitSettings: so many requests at once, then one in each interval.
struct RateLimit {
  uint32_t max_tokens = 100;
  std::chrono::nanoseconds interval = std::chrono::milliseconds(100);
};

struct GrpcService {
  Located<std::string> cluster;                               // must be one of the file's
  std::string authority;                                      // empty: the cluster's name
  std::vector<std::pair<std::string, std::string>> metadata;  // initial_metadata: further headers
  std::chrono::nanoseconds backoff_base = std::chrono::milliseconds(500);
  std::chrono::nanoseconds backoff_max = std::chrono::seconds(30);
  size_t max_message_bytes = size_t{64} << 20;
  bool is_delta = false;               // api_type
  std::optional<GrpcTarget> failover;  // the second of two services
  std::optional<RateLimit> requests;   // none: no limit
};

// ApiConfigSource of the gRPC types, with one service, or a second one that is asked where the
// first does not answer.  A service by google_grpc stands for a cluster of its own, see
// google_grpc.h.
GrpcService parse_api_config_source(const Node& node);

}  // namespace pillion::config
