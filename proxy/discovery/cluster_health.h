#pragma once
// ClusterHealth: who watches the hosts of one cluster: outlier detection and active health checks.
//
// Owned by Discovery, one for each cluster name with any of it; lives on the control loop.  Like a
// source it outlives configurations.  What it finds stands in the SharedHealth of the cluster; its
// owner hears of changes once a turn, in a call of its own.
//
// While a configuration waits beside the one in force, hosts of the latter are judged as it says
// and by nothing else: what waits checks only those that are not checked yet.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "proxy/io/writer.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/health_check.h"
#include "proxy/upstream/outlier.h"

namespace pillion::discovery {

// Of one host, as /clusters shows it.
struct HostVerdict {
  uint32_t flags = 0;  // upstream::HealthFlag
  double success_rate = -1;
  double local_success_rate = -1;
};
struct OutlierRates {
  upstream::OutlierDetector::ClusterRates external;
  upstream::OutlierDetector::ClusterRates local;
};

class ClusterHealth final : private upstream::HealthObserver,
                            private upstream::HealthListener,
                            private io::ReadyTask {
 public:
  class Owner {
   public:
    virtual void on_cluster_health(ClusterHealth& health) = 0;

   protected:
    ~Owner() = default;
  };
  // All of it outlives the object.
  struct Context {
    io::Loop& loop;
    io::WriteBatch* batch;  // null: there are no health checks
    io::Inbox& inbox;
    stats::Registry& registry;
    Rng& rng;
    Owner& owner;
  };
  ClusterHealth(const Context& context, std::string name);
  ~ClusterHealth();
  ClusterHealth(const ClusterHealth&) = delete;
  ClusterHealth& operator=(const ClusterHealth&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  // A configuration that waits for commit: its hosts are checked as it says, but for those that the
  // one in force checks, which go on being checked as that one says.
  void prepare(const std::shared_ptr<const upstream::ClusterConfig>& config,
               const upstream::HostSetPtr& hosts);
  // The configuration in force, and its hosts; nothing waits any more.
  void use(const std::shared_ptr<const upstream::ClusterConfig>& config,
           const upstream::HostSetPtr& hosts);
  // Of both; `next` may be null.
  void set_hosts(const upstream::HostSetPtr& current, const upstream::HostSetPtr& next);
  // Have all hosts of the configuration that waits been checked once?
  [[nodiscard]] bool is_warm() const;

  // As far as the configuration in force heeds it, or without one that which waits.
  [[nodiscard]] HostVerdict verdict(upstream::HostId host) const;
  // Of many hosts: calls fn(flags_of), and flags_of(id) are those of a verdict.
  template <typename Fn>
  void look(Fn&& fn) const {
    const uint32_t counted = upstream::counted_flags(*heeded());
    if (shared_ == nullptr) return fn([](upstream::HostId) { return 0u; });
    shared_->look([&](const auto& flags_of) {
      fn([&](upstream::HostId id) { return flags_of(id) & counted; });
    });
  }
  // False without outlier detection.
  bool rates(OutlierRates& out) const;

 private:
  void on_health_changed() override { context_.loop.post(*this); }
  void on_check_passed(upstream::HostId host) override {
    if (outlier_ && checker_) outlier_->on_active_check_passed(host);
  }
  void run_ready() override { context_.owner.on_cluster_health(*this); }
  // On a worker's thread.
  void on_health_report(upstream::HealthReport report) override;
  void on_report(const upstream::HealthReport& report);
  void listen(std::shared_ptr<upstream::SharedHealth> shared);
  // Makes one, gives it the configuration, or drops it, as that says.
  void use_checker(std::unique_ptr<upstream::HealthChecker>& checker,
                   const std::shared_ptr<const upstream::ClusterConfig>& config);
  [[nodiscard]] const std::shared_ptr<const upstream::ClusterConfig>& heeded() const noexcept {
    return current_ ? current_ : next_;
  }

  Context context_;
  const std::string name_;
  std::shared_ptr<upstream::SharedHealth> shared_;
  // What reports that are on their way find when this object is gone.
  std::shared_ptr<ClusterHealth*> self_ = std::make_shared<ClusterHealth*>(this);
  std::shared_ptr<const upstream::ClusterConfig> current_;
  std::shared_ptr<const upstream::ClusterConfig> next_;  // null: nothing waits
  upstream::HostSetPtr current_hosts_;
  upstream::HostSetPtr next_hosts_;
  std::unique_ptr<upstream::OutlierDetector> outlier_;
  // Of the configuration in force, and of the one that waits; null without health checks.
  std::unique_ptr<upstream::HealthChecker> checker_;
  std::unique_ptr<upstream::HealthChecker> next_checker_;
};

// Does anybody watch the hosts of such a cluster?
inline bool has_health(const upstream::ClusterConfig& config) noexcept {
  return config.health != nullptr;
}

}  // namespace pillion::discovery
