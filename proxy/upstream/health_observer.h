#pragma once
// What outlier detection and health checks tell their owner, on the control loop.

#include "proxy/upstream/host_set.h"

namespace pillion::upstream {

class HealthObserver {
 public:
  // Flags of hosts have changed.  May come inside calls: whoever hears it only notes it.
  virtual void on_health_changed() = 0;
  // An active check was passed by a host that works.
  virtual void on_check_passed(HostId /*host*/) {}

 protected:
  ~HealthObserver() = default;
};

}  // namespace pillion::upstream
