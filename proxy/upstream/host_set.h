#pragma once
// HostSet: the endpoints of one cluster at one moment, as discovery found them.  Immutable; made on
// control, shared with workers by shared_ptr.  A newer one replaces it whole, but endpoints that
// stay as they were are the same HostInfo objects with the same ids, so that workers keep their
// Host objects (and so the connections) and memory is not copied.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/io/address.h"
#include "proxy/upstream/host_stats.h"
#include "proxy/upstream/transport_labels.h"

namespace pillion::upstream {

// Of EDS and files (core.v3.HealthStatus); HostHealth has what checks and traffic say.
enum class HealthStatus : uint8_t {
  kUnknown,
  kHealthy,
  kUnhealthy,
  kDraining,
  kTimeout,
  kDegraded
};

struct Locality {
  std::string region;
  std::string zone;
  std::string sub_zone;
  friend bool operator==(const Locality&, const Locality&) = default;
};

// How a host is checked, where that differs (Endpoint.HealthCheckConfig).
struct CheckTarget {
  uint16_t port = 0;     // 0: that of the host
  std::string hostname;  // of an HTTP check; empty: as the check says
  bool is_disabled = false;
  friend bool operator==(const CheckTarget&, const CheckTarget&) = default;
};

// Names an endpoint of a cluster across time and threads: the same as long as discovery finds the
// same address, host name and transport labels without a break.  0: none.
using HostId = uint64_t;

struct HostInfo {
  HostId id = 0;  // given by make_host_set()
  io::Address address;
  std::string hostname;                      // of the endpoint, or the DNS name that led to it
  std::shared_ptr<const Locality> locality;  // may be null
  TransportLabelsPtr transport;              // null: none
  uint32_t weight = 1;
  uint32_t priority = 0;
  HealthStatus health = HealthStatus::kUnknown;
  std::shared_ptr<const CheckTarget> check;  // null: as all
  std::shared_ptr<HostStats> stats;          // given by make_host_set(); the same for the same id

  [[nodiscard]] bool is_healthy() const noexcept {
    return health == HealthStatus::kUnknown || health == HealthStatus::kHealthy;
  }
  [[nodiscard]] bool is_degraded() const noexcept { return health == HealthStatus::kDegraded; }
};

using HostInfoPtr = std::shared_ptr<const HostInfo>;

struct HostSet {
  std::vector<HostInfoPtr> hosts;
};

using HostSetPtr = std::shared_ptr<const HostSet>;

// The set for these endpoints (their ids are ignored; of two with the same address and host name
// the first counts).  One whose labels have changed is another host, for its connections may have
// to be made otherwise.  Returns `previous` itself if nothing differs.  `previous` may be null;
// never null.
HostSetPtr make_host_set(const std::vector<HostInfo>& endpoints, const HostSetPtr& previous);

// What a change of hosts did; `before` may be null.
struct HostChange {
  std::vector<HostInfoPtr> added;
  std::vector<HostInfoPtr> removed;
  size_t kept = 0;
};
HostChange compare(const HostSet* before, const HostSet& after);

}  // namespace pillion::upstream
