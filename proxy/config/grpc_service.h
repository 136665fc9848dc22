#pragma once
// envoy.config.core.v3.ApiConfigSource and GrpcService: which cluster is asked, and how, by who
// opens a gRPC stream (ADS, SDS).

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "proxy/config/node.h"

namespace pillion::config {

struct GrpcService {
  Located<std::string> cluster;                               // must be one of the file's
  std::string authority;                                      // empty: the cluster's name
  std::vector<std::pair<std::string, std::string>> metadata;  // initial_metadata: further headers
  std::chrono::nanoseconds backoff_base = std::chrono::milliseconds(500);
  std::chrono::nanoseconds backoff_max = std::chrono::seconds(30);
  size_t max_message_bytes = size_t{64} << 20;
};

// ApiConfigSource of type GRPC, the state of the world, with exactly one service.
GrpcService parse_api_config_source(const Node& node);

}  // namespace pillion::config
