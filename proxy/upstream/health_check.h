#pragma once
// HealthChecker: asks each host of one cluster again and again whether it works
// (config.core.v3.HealthCheck; rules and stats of envoy.md 2.7 and 1.8).
//
// Lives on the control loop, owned by discovery, one per cluster with health checks and a second
// one while a configuration waits.  A host starts as failed and pending; its first check decides at
// once, later ones by the thresholds.  Verdicts are flags in the host's HostHealth; the observer
// sees to it that workers learn of them.  Survives reloads: a host keeps its verdict as long as it
// has its HostId.
//
// A check costs the same however many hosts there are, and checks that fall due together begin in
// portions: five thousand connects would hold up all else that control does.

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/rng.h"
#include "proxy/io/loop.h"
#include "proxy/io/writer.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/health_observer.h"

namespace pillion::upstream {

class HealthChecker final : private io::ReadyTask {
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
  // New hosts are checked at once (after initial_jitter); those that `other` (may be null) checks
  // pass to this one, with what is known of them.
  void set_hosts(const std::vector<HostInfoPtr>& hosts, HealthChecker* other = nullptr);
  // Has each of them been checked, or timed out, once?
  [[nodiscard]] bool have_been_checked(const HostSet& hosts) const;
  // A host told in an answer that it is not to be used any more.
  void on_immediate_fail(HostId host);

 private:
  struct DueTag {};
  class Session;  // one host
  using Sessions = std::unordered_map<HostId, std::unique_ptr<Session>>;
  // Of hosts.
  struct Count {
    int64_t healthy = 0;
    int64_t degraded = 0;  // of the healthy ones
    int64_t unchecked = 0;
    static Count of(uint32_t flags) noexcept;
  };
  [[nodiscard]] const HealthCheckOptions& options() const noexcept {
    return *config_->health_check;
  }
  void open_stats();
  // The time to the next check.
  Duration wait(bool is_healthy, bool is_on_edge);
  Duration random_part(Duration most) noexcept;
  bool has_traffic();
  // Hosts that became something more, or less.
  void count(const Count& change);
  // Its check begins when there is time, those that came earlier first.
  void add_due(Session& session);
  void run_ready() override;

  Context context_;
  std::shared_ptr<const ClusterConfig> config_;
  std::shared_ptr<SharedHealth> health_;  // of config_, where verdicts stand
  HealthObserver& observer_;
  stats::BlockRef<stats::ClusterHealthCheckStats> stats_;
  stats::BlockRef<stats::ClusterTlsStats> tls_;  // only if the cluster speaks TLS
  Count count_;
  IntrusiveList<Session, DueTag> due_;
  Sessions sessions_;
  Instant traffic_asked_{};
  bool had_traffic_ = false;
};

}  // namespace pillion::upstream
