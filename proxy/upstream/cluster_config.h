#pragma once
// A cluster as configured (config.cluster.v3.Cluster), compiled: immutable, shared by all workers.
//
// A mesh has ten thousand of them, of which a process calls few: names are shared with whoever
// knows the cluster by them, what is equal in many is one object (SharedPart), and limits are made
// by the first call (LimitsRef).

#include <memory>
#include <string>
#include <vector>

#include "proxy/base/shared_part.h"
#include "proxy/base/shared_text.h"
#include "proxy/upstream/balancer_options.h"
#include "proxy/upstream/health_check_options.h"
#include "proxy/upstream/host_health.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/limits.h"
#include "proxy/upstream/outlier_options.h"
#include "proxy/upstream/pool_options.h"

namespace pillion::config {
struct ConfigSource;
}

namespace pillion::upstream {

// Values are those of the .proto files.
enum class DiscoveryType : uint8_t {
  kStatic = 0,
  kStrictDns = 1,
  kLogicalDns = 2,
  kEds = 3,
  kOriginalDst = 4
};
// kAuto and kV4Preferred ask for the other family only when the first has no address.
enum class DnsFamily : uint8_t { kAuto = 0, kV4Only = 1, kV6Only = 2, kV4Preferred = 3, kAll = 4 };

// An endpoint that is a name: resolved by discovery into hosts that share the other properties.
struct DnsTarget {
  std::string name;
  uint16_t port = 0;
  Endpoint like;
};

struct DnsOptions {
  DnsFamily family = DnsFamily::kAuto;
  Duration refresh_rate = std::chrono::seconds(5);
  // Back-off after failures, with full jitter: from `failure_base`, doubled up to `failure_max`.
  Duration failure_base = std::chrono::seconds(5);
  Duration failure_max = std::chrono::seconds(5);
  Duration min_ttl = std::chrono::seconds(1);  // shorter ones of respect_ttl count as this
  Duration jitter{};                           // each wait is longer by a random part of it
  bool respect_ttl = false;
  friend bool operator==(const DnsOptions&, const DnsOptions&) = default;
};

size_t value_hash(const DnsOptions& options) noexcept;

struct ClusterConfig {
  SharedText name;
  SharedText stat_name;  // alt_stat_name, or the name
  DiscoveryType type = DiscoveryType::kStatic;
  HostSet static_hosts;                // STATIC
  std::vector<DnsTarget> dns_targets;  // STRICT_DNS, LOGICAL_DNS
  SharedText eds_name;                 // EDS: service_name, or the name
  Duration eds_timeout{};              // EDS: initial_fetch_timeout; 0: for ever
  std::shared_ptr<const config::ConfigSource> eds_source;  // EDS: null for ads
  SharedPart<DnsOptions> dns;
  // ORIGINAL_DST
  uint16_t original_dst_port = 0;  // upstream_port_override; 0: as the client said
  Duration cleanup_interval = std::chrono::seconds(5);

  BalancerOptions balancer;
  SharedPart<PoolOptions> pool;         // connect timeout, idle timeout, limits, TLS context ...
  uint32_t buffer_limit = 1024 * 1024;  // per_connection_buffer_limit_bytes
  bool tracks_remaining = false;        // circuit_breakers: track_remaining
  bool admin_target = false;            // endpoints are our own admin listener
  std::shared_ptr<const OutlierOptions> outlier;           // null: no outlier detection
  std::shared_ptr<const HealthCheckOptions> health_check;  // null: no active health checks
  // Shared by all configurations that a cluster name has had; replaced only by adopt_limits().
  mutable LimitsRef limits;
  mutable std::shared_ptr<SharedHealth> health;  // null without `outlier` and `health_check`
  // Of what existing connections depend on: equal hashes keep pools over a reload.  Both count the
  // identity of the TLS context, so that a certificate whose file changed makes another hash.
  uint64_t connection_hash = 0;
  uint64_t hash = 0;
};

static_assert(sizeof(ClusterConfig) <= 280);

// The flags of its hosts that it heeds: another configuration of the same name, which waits or was
// in force, may have others set.
inline uint32_t counted_flags(const ClusterConfig& config) noexcept {
  return (config.outlier ? uint32_t{kFailedOutlier} : 0u) |
         (config.health_check ? kActiveFlags : 0u);
}

// Flags of the hosts that count neither as healthy nor as ones that should be.
inline uint32_t excluding_flags(const BalancerOptions& options) noexcept {
  return kExcludedByAnswer | (options.excludes_unchecked ? uint32_t{kPendingActive} : 0u);
}

// Makes `config` count on the limits of the configuration that it replaces, and know what that one
// knew of the health of hosts.  Called by control after parsing, before any worker sees `config`.
inline void adopt_limits(const ClusterConfig& config, const ClusterConfig& replaced) noexcept {
  config.limits = replaced.limits;
  if (config.health && replaced.health) config.health = replaced.health;
}

}  // namespace pillion::upstream
