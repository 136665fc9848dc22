#include "proxy/discovery/cluster_health.h"

#include <unordered_set>
#include <utility>
#include <vector>

#include "proxy/base/assert.h"

namespace pillion::discovery {

using upstream::ClusterConfig;
using upstream::HostSetPtr;

ClusterHealth::ClusterHealth(const Context& context, std::string name)
    : context_(context), name_(std::move(name)) {}

ClusterHealth::~ClusterHealth() {
  *self_ = nullptr;
  listen(nullptr);
}

// Reports come from workers and are looked at here, by whoever is then in charge.
void ClusterHealth::listen(std::shared_ptr<upstream::SharedHealth> shared) {
  if (shared == shared_) return;
  if (shared_) shared_->listen(nullptr);
  shared_ = std::move(shared);
  if (shared_) shared_->listen(this);
}

void ClusterHealth::on_health_report(upstream::HealthReport report) {
  context_.inbox.post([self = self_, report] {
    if (*self != nullptr) (*self)->on_report(report);
  });
}

void ClusterHealth::prepare(const std::shared_ptr<const ClusterConfig>& config,
                            const HostSetPtr& hosts) {
  next_ = config;
  if (current_ == nullptr) listen(config->health);
  use_checker(next_checker_, config);
  set_hosts(current_hosts_, hosts);
}

void ClusterHealth::use(const std::shared_ptr<const ClusterConfig>& config,
                        const HostSetPtr& hosts) {
  current_ = config;
  next_ = nullptr;
  listen(config->health);
  // Hosts that it has checked while it waited need no new check.
  if (checker_ == nullptr) checker_ = std::move(next_checker_);
  use_checker(checker_, config);
  if (config->outlier == nullptr) {
    outlier_.reset();
  } else if (outlier_ == nullptr) {
    outlier_ = std::make_unique<upstream::OutlierDetector>(
        upstream::OutlierDetector::Context{context_.loop, context_.registry, context_.rng}, config,
        static_cast<upstream::HealthObserver&>(*this));
  } else {
    outlier_->set_config(config);
  }
  set_hosts(hosts, nullptr);
  next_checker_.reset();
}

void ClusterHealth::use_checker(std::unique_ptr<upstream::HealthChecker>& checker,
                                const std::shared_ptr<const ClusterConfig>& config) {
  if (config->health_check == nullptr) return checker.reset();
  if (checker != nullptr) return checker->set_config(config);
  DASSERT(context_.batch != nullptr);
  checker = std::make_unique<upstream::HealthChecker>(
      upstream::HealthChecker::Context{context_.loop, *context_.batch, context_.registry,
                                       context_.rng},
      config, static_cast<upstream::HealthObserver&>(*this));
}

void ClusterHealth::set_hosts(const HostSetPtr& current, const HostSetPtr& next) {
  current_hosts_ = current;
  next_hosts_ = next;
  static const std::vector<upstream::HostInfoPtr> kNone;
  const auto& in_force = current ? current->hosts : kNone;
  std::unordered_set<upstream::HostId> here;
  for (const upstream::HostInfoPtr& host : in_force) here.insert(host->id);
  if (checker_) checker_->set_hosts(in_force, next_checker_.get());
  // In force, but not checked by it: whoever waits may check them, for nobody heeds that yet.
  std::vector<upstream::HostInfoPtr> waiting;
  for (const upstream::HostInfoPtr& host : next ? next->hosts : kNone)
    if (here.insert(host->id).second || checker_ == nullptr) waiting.push_back(host);
  if (next_checker_) next_checker_->set_hosts(waiting, checker_.get());
  if (outlier_ && current) outlier_->set_hosts(current->hosts);
  if (shared_ == nullptr) return;
  shared_->forget([&here](upstream::HostId id) { return !here.contains(id); });
}

bool ClusterHealth::is_warm() const {
  if (next_checker_ == nullptr || next_hosts_ == nullptr) return true;
  return next_checker_->have_been_checked(*next_hosts_) &&
         (checker_ == nullptr || checker_->have_been_checked(*next_hosts_));
}

void ClusterHealth::on_report(const upstream::HealthReport& report) {
  if (report.what == upstream::HealthReport::What::kImmediateFail) {
    if (checker_) checker_->on_immediate_fail(report.host);
  } else if (outlier_) {
    outlier_->on_report(report);
  }
}

HostVerdict ClusterHealth::verdict(upstream::HostId host) const {
  HostVerdict out;
  look([&](const auto& flags_of) { out.flags = flags_of(host); });
  if (outlier_ == nullptr) return out;
  const upstream::OutlierDetector::Rates rates = outlier_->rates_of(host);
  out.success_rate = rates.success;
  out.local_success_rate = rates.local_success;
  return out;
}

bool ClusterHealth::rates(OutlierRates& out) const {
  if (outlier_ == nullptr) return false;
  out = {outlier_->external_rates(), outlier_->local_rates()};
  return true;
}

}  // namespace pillion::discovery
