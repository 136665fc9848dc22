#pragma once
// Http2ProtocolOptions (config.core.v3), the message of listeners and clusters, with Envoy's ranges
// (envoy.md 1.4).  What is not supported is refused by name.

#include "proxy/config/node.h"
#include "proxy/http/h2_options.h"

namespace pillion::http {

// A missing node gives the defaults.
H2Options parse_h2_options(const config::Node& node);
// Of the same node: H1Limits::disallow_obs_text.
bool disallows_obs_text(const config::Node& node);

}  // namespace pillion::http
