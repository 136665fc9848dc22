#pragma once
// HostSet: the endpoints of one cluster at one moment, as discovery found them.  Immutable; made on
// control, shared with workers by shared_ptr.  A newer one replaces it whole, but endpoints that
// stay as they were are the same HostInfo objects with the same ids, so that workers keep their
// Host objects (and so the connections) and memory is not copied.  What many endpoints have alike
// (host name, locality) is held once in the process: a mesh has a hundred thousand endpoints.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/shared_value.h"
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
size_t value_hash(const Locality& locality) noexcept;

// How a host is checked, where that differs (Endpoint.HealthCheckConfig).
struct CheckTarget {
  uint16_t port = 0;     // 0: that of the host
  std::string hostname;  // of an HTTP check; empty: as the check says
  bool is_disabled = false;
  friend bool operator==(const CheckTarget&, const CheckTarget&) = default;
};
size_t value_hash(const CheckTarget& target) noexcept;

// Names an endpoint of a cluster across time and threads: the same as long as discovery finds the
// same address, host name and transport labels without a break.  0: none.
using HostId = uint64_t;

inline constexpr uint32_t kMaxPriority = 128;  // as in Envoy's rules

struct HostInfo {
  HostId id = 0;  // given by make_host_set()
  io::Address address;
  SharedText hostname;             // of the endpoint, or the DNS name that led to it
  SharedValue<Locality> locality;  // may be null
  SharedValue<CheckTarget> check;  // null: as all
  TransportLabelsPtr transport;    // null: none
  HostStatsRef stats;              // the same for the same id
  uint32_t weight = 1;
  uint8_t priority = 0;  // at most kMaxPriority
  HealthStatus health = HealthStatus::kUnknown;

  [[nodiscard]] bool is_healthy() const noexcept {
    return health == HealthStatus::kUnknown || health == HealthStatus::kHealthy;
  }
  [[nodiscard]] bool is_degraded() const noexcept { return health == HealthStatus::kDegraded; }
};

static_assert(sizeof(HostInfo) <= 80);

using HostInfoPtr = std::shared_ptr<const HostInfo>;

struct HostSet {
  std::vector<HostInfoPtr> hosts;
};

using HostSetPtr = std::shared_ptr<const HostSet>;

// What a source found, before it is known which of it is new.
using Endpoints = std::vector<HostInfo>;

// The set for these endpoints (their ids are ignored; of two with the same address and host name
// the first counts).  One whose labels have changed is another host, for its connections may have
// to be made otherwise.  Returns `previous` itself if nothing differs; else hosts of it that did
// not change are in both.  `previous` may be null; never null.  O(n).
HostSetPtr make_host_set(const Endpoints& endpoints, const HostSetPtr& previous);
// The same of hosts that have ids, of which new ones keep theirs: no HostInfo is made for them.
HostSetPtr with_identity(const HostSet& endpoints, const HostSetPtr& previous);

// What a change of hosts did; `before` may be null.
struct HostChange {
  std::vector<HostInfoPtr> added;
  std::vector<HostInfoPtr> removed;
  size_t kept = 0;
};
HostChange compare(const HostSet* before, const HostSet& after);

}  // namespace pillion::upstream
