#pragma once
// A file that holds a DiscoveryResponse -> Response.

#include <string>

#include "proxy/base/result.h"
#include "xds/discovery_message.h"

namespace pillion::xds {

// By the name's end: `.pb` is encoded, `.pb_text` is not read, all others are YAML or JSON.  Only
// resources of `type`; they may be wrapped (envoy.service.discovery.v3.Resource).  What is wrong
// with a file that is there is in Response::wrong, a line each; an error: it cannot be read.
//
// Any thread that may block.
Result<Response> read_response(const std::string& path, ResourceType type);

}  // namespace pillion::xds
