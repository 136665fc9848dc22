#pragma once
// config.bootstrap.v3.ClusterManager: who is told of load.

#include "proxy/builder/snapshot.h"
#include "proxy/config/node.h"

namespace pillion {

// Missing: nobody.
void parse_cluster_manager(BootstrapConfig& out, const config::Node& node);

}  // namespace pillion
