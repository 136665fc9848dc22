#pragma once
// HealthChecker::Session: one host: when it is checked next, and what it takes to change the
// verdict.  Internal to health_check*.cc.
//
// Owned by its checker, and may pass to another one of the same cluster.  Order: a timer makes it
// due, the checker calls begin() when it has time, the probe or the timeout ends the check and arms
// the timer again.  Its host stands in the gauges of the checker from the constructor to forget().

#include <memory>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/log.h"
#include "proxy/upstream/health_check.h"
#include "proxy/upstream/health_probe.h"

namespace pillion::upstream {

class HealthChecker::Session final : public ListNode<HealthChecker::DueTag>, private Probe::Owner {
 public:
  // A new host counts as failed until its first check.
  Session(HealthChecker& checker, HostInfoPtr info);

  // Is still the same host; weight and the like may have changed.
  void set_info(HostInfoPtr info);
  // The configuration has changed: checks go on as it says now.
  void restart();
  // Another checker's from now on, which holds the object itself too.
  void move_to(HealthChecker& checker);
  // The checker's verdicts stand elsewhere now.
  void move_verdict();
  // Once it is due.
  void begin();
  void on_immediate_fail();
  // Its verdict stands no more.  Nothing but the destructor may follow.
  void forget();

  [[nodiscard]] bool was_checked() const noexcept { return !health_->has(kPendingActive); }

 private:
  [[nodiscard]] io::Loop& loop() const noexcept { return checker_->context_.loop; }
  [[nodiscard]] stats::ClusterHealthCheckStats& stats() const noexcept { return *checker_->stats_; }
  [[nodiscard]] const HealthCheckOptions& options() const noexcept { return checker_->options(); }
  static bool same_target(const HostInfo& a, const HostInfo& b) noexcept {
    return a.check() == b.check();  // equal ones are one object
  }

  void make_probe();
  void on_due() { checker_->add_due(*this); }
  void on_timeout();
  void on_probe_done(const ProbeResult& result) override;
  // True: the verdict is about to change.
  bool pass(const ProbeResult& result);
  bool fail(const ProbeResult& result, bool is_passive);
  // After each change of flags.
  void count() { count_as(Count::of(health_->flags())); }
  void count_as(const Count& now);
  void log_healthy();
  void log_unhealthy(std::string_view cause);

  HealthChecker* checker_;
  HostInfoPtr info_;
  HostInfoPtr probe_info_;  // what the probe refers to
  std::shared_ptr<HostHealth> health_;
  std::unique_ptr<Probe> probe_;
  uint32_t successes_ = 0;  // in a row, while the host counts as failed
  uint32_t failures_ = 0;   // in a row, while it does not
  Count counted_;           // its part of the checker's
  log::Limit healthy_limit_;
  log::Limit unhealthy_limit_;
  io::Timer next_timer_ = io::Timer::of<&Session::on_due>(this);
  io::Timer timeout_timer_ = io::Timer::of<&Session::on_timeout>(this);
};

}  // namespace pillion::upstream
