#pragma once
// config.bootstrap.v3.Bootstrap: what a configuration says beside its listeners and clusters.

#include "proxy/builder/options.h"
#include "proxy/builder/snapshot.h"
#include "proxy/config/node.h"

namespace pillion {

// Reads all fields of the bootstrap but static_resources, which stays for the builder, and closes
// the mapping.  Values of --service-node and its kin stand over those of the file.
BootstrapConfig parse_bootstrap(const config::Node& root, const Options& options);

}  // namespace pillion
