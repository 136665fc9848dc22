#pragma once
// HealthChecker: asks each host of one cluster again and again whether it works
// (config.core.v3.HealthCheck; rules and stats of envoy.md 2.7 and 1.8).
//
// Lives on the control loop, owned by discovery, one per cluster with health checks.  A host starts
// as failed and pending; its first check decides at once, later ones by the thresholds.  Verdicts
// are flags in the host's HostHealth; the observer sees to it that workers learn of them.  Survives
// reloads: a host keeps its verdict as long as it has its HostId.

#include <memory>
#include <unordered_map>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/io/loop.h"
#include "proxy/io/writer.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/health_observer.h"

namespace pillion::upstream {

class HealthChecker {
 public:
  // All of it outlives the checker.
  struct Context {
    io::Loop& loop;
    io::WriteBatch& batch;
    stats::Registry& registry;
    Rng& rng;
  };
  // `config` has health checks.
  HealthChecker(const Context& context, std::shared_ptr<const ClusterConfig> config,
                HealthObserver& observer);
  ~HealthChecker();
  HealthChecker(const HealthChecker&) = delete;
  HealthChecker& operator=(const HealthChecker&) = delete;

  // A changed configuration of the same cluster, again with health checks.
  void set_config(std::shared_ptr<const ClusterConfig> config);
  // New hosts are checked at once (after initial_jitter).
  void set_hosts(const std::vector<HostInfoPtr>& hosts);
  // Has each of them been checked, or timed out, once?
  [[nodiscard]] bool have_been_checked(const HostSet& hosts) const;
  // A host told in an answer that it is not to be used any more.
  void on_immediate_fail(HostId host);

 private:
  class Session;  // one host
  [[nodiscard]] const HealthCheckOptions& options() const noexcept {
    return *config_->health_check;
  }
  void open_stats();
  // The time to the next check.
  Duration wait(bool is_healthy, bool is_on_edge);
  bool has_traffic();
  void count_hosts();

  Context context_;
  std::shared_ptr<const ClusterConfig> config_;
  HealthObserver& observer_;
  stats::BlockRef<stats::ClusterHealthCheckStats> stats_;
  stats::BlockRef<stats::ClusterTlsStats> tls_;  // only if the cluster speaks TLS
  std::unordered_map<HostId, std::unique_ptr<Session>> sessions_;
  bool had_traffic_ = false;
};

}  // namespace pillion::upstream
