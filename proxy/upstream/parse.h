#pragma once
// config::Node -> ClusterConfig (config.cluster.v3.Cluster).
//
// What Envoy's Cluster has and this parser does not know is refused by name; see parse.cc for what
// is ignored, and why that changes nothing.

#include <memory>
#include <string_view>

#include "proxy/config/node.h"
#include "proxy/upstream/cluster_config.h"

namespace pillion::upstream {

// Errors go to the node's list; what comes back is then good for further checks only.  Never null.
// Reads the files that a TLS context names, so it belongs on a thread that may block.
std::shared_ptr<const ClusterConfig> parse_cluster(const config::Node& node);

// May that key of the runtime change what the parser makes of the cluster, beside those that its
// fields name (config/runtime.h)?
bool is_cluster_key(std::string_view key, std::string_view cluster);

// config.endpoint.v3.ClusterLoadAssignment, as EDS sends it: the endpoints have IP addresses.
Endpoints parse_assignment(const config::Node& node);

}  // namespace pillion::upstream
