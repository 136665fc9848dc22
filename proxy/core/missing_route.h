#pragma once
// What a control plane could be asked for, so that a request that has no route may get one: the
// virtual host of its table (VHDS), or the table of its scope (SRDS, on demand).

#include "proxy/core/hcm_config.h"
#include "proxy/core/route_demand.h"
#include "proxy/http/message.h"

namespace pillion::core {

// Without a name: nothing.  The name lies in the arena of the head.
RouteWish missing_route(const HcmConfig& config, const http::RequestHead& head);

}  // namespace pillion::core
