#pragma once
// A cluster as configured (config.cluster.v3.Cluster), compiled: immutable, shared by all workers.

#include <memory>
#include <string>
#include <vector>

#include "proxy/upstream/balancer.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/limits.h"
#include "proxy/upstream/pool.h"

namespace pillion::upstream {

enum class DiscoveryType : uint8_t { kStatic, kStrictDns, kLogicalDns, kOriginalDst };
enum class DnsFamily : uint8_t { kAuto, kV4Only, kV6Only, kV4Preferred, kAll };

// An endpoint that is a name: resolved by discovery into hosts that share the other properties.
struct DnsTarget {
  std::string name;
  uint16_t port = 0;
  HostInfo like;
};

struct DnsOptions {
  DnsFamily family = DnsFamily::kAuto;
  Duration refresh_rate = std::chrono::seconds(5);
  Duration failure_refresh_rate = std::chrono::seconds(5);
  Duration min_ttl = std::chrono::seconds(1);
  Duration jitter{};
  bool respect_ttl = false;
};

struct ClusterConfig {
  std::string name;
  std::string stat_name;  // alt_stat_name, or the name
  DiscoveryType type = DiscoveryType::kStatic;
  HostSet static_hosts;                // STATIC
  std::vector<DnsTarget> dns_targets;  // STRICT_DNS, LOGICAL_DNS
  DnsOptions dns;
  // ORIGINAL_DST
  uint16_t original_dst_port = 0;      // upstream_port_override; 0: as the client said
  Duration cleanup_interval = std::chrono::seconds(5);

  BalancerOptions balancer;
  PoolOptions pool;                    // connect timeout, idle timeout, limits, TLS wrapper ...
  std::shared_ptr<const TransportWrapper> wrapper;  // keeps pool.wrapper alive
  bool admin_target = false;           // endpoints are our own admin listener
  std::shared_ptr<SharedLimits> limits = std::make_shared<SharedLimits>();
  // What existing connections depend on; equal hashes keep pools over a reload.
  uint64_t connection_hash = 0;
  uint64_t hash = 0;
};

}  // namespace pillion::upstream
