#pragma once
// HostSet: the endpoints of one cluster at one moment, as discovery found them.  Immutable; made on
// control, shared with workers by shared_ptr.  A newer one replaces it whole; workers keep the Host
// objects (and so the connections) of addresses that stay.

#include <memory>
#include <vector>

#include "proxy/upstream/host.h"

namespace pillion::upstream {

struct HostSet {
  std::vector<HostInfo> hosts;
  uint32_t overprovisioning_factor = 140;
};

}  // namespace pillion::upstream
