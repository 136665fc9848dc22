#pragma once
// HostSet: the endpoints of one cluster at one moment, as discovery found them.  Immutable; made on
// control, shared with workers by shared_ptr.  A newer one replaces it whole, but endpoints that
// stay as they were are the same HostInfo objects with the same ids, so that workers keep their
// Host objects (and so the connections) and memory is not copied.  What many endpoints have alike
// (host name, locality ...) is held once in the process, and an endpoint is one block of 64 bytes:
// a mesh has a hundred thousand of them.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/atomic_ref.h"
#include "proxy/base/shared_text.h"
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

// What the endpoints of a locality mostly have alike.
struct HostTraits {
  SharedText hostname;             // of the endpoint, or the DNS name that led to it
  SharedValue<Locality> locality;  // may be null
  SharedValue<CheckTarget> check;  // null: as all
  TransportLabelsPtr transport;    // null: none
  friend bool operator==(const HostTraits&, const HostTraits&) = default;
};
size_t value_hash(const HostTraits& traits) noexcept;

// What a source found, before it is known which of it is new.
struct Endpoint : HostTraits {
  io::Address address;
  uint32_t weight = 1;
  uint8_t priority = 0;  // at most kMaxPriority
  HealthStatus health = HealthStatus::kUnknown;
};
using Endpoints = std::vector<Endpoint>;

// An endpoint as all threads share it; immutable, but for its counters.
struct HostInfo : AtomicRefCounted {
  HostInfo() = default;
  HostInfo(HostId host, const Endpoint& endpoint, SharedValue<HostTraits> common)
      : weight(endpoint.weight),
        id(host & kIdMask),
        priority(endpoint.priority),
        health(endpoint.health),
        address(endpoint.address),
        traits(std::move(common)) {}

  static constexpr HostId kIdMask = (HostId{1} << 48) - 1;
  uint32_t weight = 1;
  HostId id : 48 = 0;  // given by make_host_set()
  uint64_t priority : 8 = 0;
  HealthStatus health : 8 = HealthStatus::kUnknown;
  io::Address address;
  SharedValue<HostTraits> traits;  // null: none of them
  HostStatsRef stats;              // the same for the same id

  [[nodiscard]] const HostTraits& like() const noexcept {
    static const HostTraits kNone;
    return traits ? *traits : kNone;
  }
  [[nodiscard]] std::string_view hostname() const noexcept { return like().hostname; }
  [[nodiscard]] const Locality* locality() const noexcept { return like().locality.get(); }
  [[nodiscard]] const CheckTarget* check() const noexcept { return like().check.get(); }
  [[nodiscard]] const TransportLabels* transport() const noexcept { return like().transport.get(); }
  [[nodiscard]] bool is_healthy() const noexcept {
    return health == HealthStatus::kUnknown || health == HealthStatus::kHealthy;
  }
  [[nodiscard]] bool is_degraded() const noexcept { return health == HealthStatus::kDegraded; }
};

static_assert(sizeof(HostInfo) <= 56, "with malloc's eight bytes a block of 64");

using HostInfoPtr = AtomicRef<const HostInfo>;

struct HostSet {
  std::vector<HostInfoPtr> hosts;
};

using HostSetPtr = std::shared_ptr<const HostSet>;

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
