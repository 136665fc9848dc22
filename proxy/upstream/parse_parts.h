#pragma once
// How the parsers of this folder share the work.  Internal to upstream/.

#include <string_view>

#include "proxy/config/node.h"
#include "proxy/upstream/cluster_config.h"

namespace pillion::upstream {

inline constexpr std::string_view kLater = "comes with a later version";

// Reports that a flag which Envoy knows is set; unset it changes nothing.
void refuse_true(const config::Node& node, std::string_view key);

// parse_endpoints.cc: load_assignment.
void parse_endpoints(const config::Node& cluster, ClusterConfig& out);
// parse_balancing.cc: lb_policy and its options, common_lb_config, circuit_breakers.
void parse_balancing(const config::Node& cluster, ClusterConfig& out);
void parse_circuit_breakers(const config::Node& node, ClusterConfig& out);
// parse_runtime.cc: Envoy's keys over what was parsed; `cluster` and `outlier` are the nodes.
void apply_runtime(const config::Node& cluster, ClusterConfig& out);
void apply_runtime(const config::Node& outlier, OutlierOptions& out);
// parse_outlier.cc: outlier_detection.
void parse_outlier(const config::Node& cluster, ClusterConfig& out);
// parse_health_check.cc: health_checks.
void parse_health_check(const config::Node& cluster, ClusterConfig& out);
// parse_protocol.cc: HttpProtocolOptions and the older fields for the same.
void parse_http_options(const config::Node& cluster, ClusterConfig& out);
// parse_transport.cc: filters, transport_socket, transport_socket_matches, upstream_bind_config,
// upstream_connection_options.
void parse_transport(const config::Node& cluster, ClusterConfig& out);

}  // namespace pillion::upstream
