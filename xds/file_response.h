#pragma once
// A file that holds a DiscoveryResponse -> Response.

#include <stop_token>
#include <string>

#include "proxy/base/result.h"
#include "xds/discovery_message.h"

namespace pillion::xds {

// By the name's end: `.pb` is encoded, `.pb_text` is not read, all others are YAML or JSON.  Only
// resources of `type`; they may be wrapped (envoy.service.discovery.v3.Resource).  What is wrong
// with a file that is there is in Response::wrong, a line each; an error: it cannot be read.
//
// Any thread that may block.  Once it is asked to stop it ends after the resource that it is at,
// and what it returns is of no use.
Result<Response> read_response(const std::string& path, ResourceType type,
                               const std::stop_token& stop = {});

}  // namespace pillion::xds
