#pragma once
// config.bootstrap.v3.Bootstrap.DynamicResources: which control plane, over which cluster, for
// what.

#include <string>

#include "proxy/base/result.h"
#include "proxy/builder/snapshot.h"
#include "proxy/config/node.h"

namespace pillion {

// `root` is the bootstrap, whose node goes into the first request of a stream; `out` has been
// filled from the rest of it.  Missing: nothing dynamic.
void parse_dynamic_resources(BootstrapConfig& out, const config::Node& root);

// envoy.config.core.v3.Node of the first request of any stream, encoded.
Result<std::string> encode_node(const BootstrapConfig& config);

}  // namespace pillion
