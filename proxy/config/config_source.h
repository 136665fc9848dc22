#pragma once
// envoy.config.core.v3.ConfigSource: where a resource comes from that is only named.

#include <chrono>

#include "proxy/config/node.h"

namespace pillion::config {

// The one source that there is: the stream of dynamic_resources.ads_config.
struct AdsSource {
  // How long its absence holds up what needs it; 0: for ever.
  std::chrono::nanoseconds initial_fetch_timeout = std::chrono::seconds(15);
};

// Every other source is refused by name.  Missing: nothing is reported (see Node::required).
AdsSource parse_ads_source(const Node& node);

// resource_api_version and transport_api_version: V3 alone.
void check_api_version(const Node& node);

}  // namespace pillion::config
