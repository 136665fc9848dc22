#pragma once
// OutlierDetector: takes hosts of one cluster out of the balancing whose traffic fails, and puts
// them back after a while (config.cluster.v3.OutlierDetection; rules and stats of envoy.md 2.4).
//
// Lives on the control loop, owned by discovery, one per cluster with outlier detection.  Workers
// report rows of failures (HostWatch, SharedHealth::tell); the owner hands them to on_report().
// What is decided is a flag in the host's HostHealth; the observer sees to it that workers learn of
// it.  Survives reloads: a host stays ejected as long as it has its HostId.
//
// Ticks only while there is something to do: a host is ejected, was ejected lately, or rates are
// judged (the cluster is large enough, and some verdict is enforced).  Ticks are whole intervals
// after the beginning, as Envoy's.

#include <array>
#include <memory>
#include <unordered_map>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/io/loop.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/health_observer.h"
#include "proxy/upstream/host_health.h"

namespace pillion::upstream {

class OutlierDetector {
 public:
  // All of it outlives the detector.
  struct Context {
    io::Loop& loop;
    stats::Registry& registry;
    Rng& rng;
  };
  // `config` has outlier detection.
  OutlierDetector(const Context& context, std::shared_ptr<const ClusterConfig> config,
                  HealthObserver& observer);
  ~OutlierDetector();  // nobody is ejected any more
  OutlierDetector(const OutlierDetector&) = delete;
  OutlierDetector& operator=(const OutlierDetector&) = delete;

  // A changed configuration of the same cluster, again with outlier detection.
  void set_config(std::shared_ptr<const ClusterConfig> config);
  void set_hosts(const std::vector<HostInfoPtr>& hosts);
  void on_report(const HealthReport& report);
  // An active check found the host healthy again.
  void on_active_check_passed(HostId host);

  // For /clusters; -1 where too little is known.
  struct Rates {
    double success = -1;
    double local_success = -1;
  };
  [[nodiscard]] Rates rates_of(HostId host) const;
  struct ClusterRates {
    double average = -1;
    double threshold = -1;
  };
  [[nodiscard]] bool is_ticking() const noexcept { return timer_.is_armed(); }
  [[nodiscard]] const ClusterRates& external_rates() const noexcept { return cluster_rates_[0]; }
  [[nodiscard]] const ClusterRates& local_rates() const noexcept { return cluster_rates_[1]; }

 private:
  struct Watched {
    HostInfoPtr info;
    std::shared_ptr<HostHealth> health;
    Instant ejected_at{};
    Instant returned_at{};
    Duration jitter{};
    uint32_t backoff = 0;  // ejection times grow with it
    HostHealth::Totals before;
    std::array<double, 2> rates = {-1, -1};
    [[nodiscard]] bool is_ejected() const noexcept { return health->has(kFailedOutlier); }
  };
  void detect(Watched& host, OutlierKind kind);
  void eject(Watched& host, OutlierKind kind);
  void return_host(Watched& host);
  void return_if_due(Watched& host);
  void judge_rates(bool is_local, const std::unordered_map<HostId, HostHealth::Totals>& traffic);
  void decay(Watched& host);
  void on_tick();
  void arm_if_needed();
  [[nodiscard]] bool judges_rates() const noexcept;
  [[nodiscard]] bool may_eject() const noexcept;
  [[nodiscard]] Duration ejection_time(const Watched& host) const noexcept;
  [[nodiscard]] const OutlierOptions& options() const noexcept { return *config_->outlier; }

  Context context_;
  std::shared_ptr<const ClusterConfig> config_;
  HealthObserver& observer_;
  stats::BlockRef<stats::ClusterOutlierStats> stats_;
  std::unordered_map<HostId, Watched> hosts_;
  size_t ejected_ = 0;
  std::array<ClusterRates, 2> cluster_rates_;
  const Instant began_;
  io::Timer timer_ = io::Timer::of<&OutlierDetector::on_tick>(this);
};

}  // namespace pillion::upstream
