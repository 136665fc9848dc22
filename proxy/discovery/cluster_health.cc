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
  choose_checker();
  set_hosts(current_hosts_, hosts);
}

void ClusterHealth::use(const std::shared_ptr<const ClusterConfig>& config,
                        const HostSetPtr& hosts) {
  current_ = config;
  next_ = nullptr;
  listen(config->health);
  choose_checker();
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
}

// As the configuration says that waits, or else the one in force.
void ClusterHealth::choose_checker() {
  const auto& config = next_ && next_->health_check ? next_ : current_;
  if (config == nullptr || config->health_check == nullptr) return checker_.reset();
  if (checker_ != nullptr) return checker_->set_config(config);
  DASSERT(context_.batch != nullptr);
  checker_ = std::make_unique<upstream::HealthChecker>(
      upstream::HealthChecker::Context{context_.loop, *context_.batch, context_.registry,
                                       context_.rng},
      config, static_cast<upstream::HealthObserver&>(*this));
}

void ClusterHealth::set_hosts(const HostSetPtr& current, const HostSetPtr& next) {
  current_hosts_ = current;
  next_hosts_ = next;
  // A host of both is there once, as it will be.
  std::vector<upstream::HostInfoPtr> all;
  std::unordered_set<upstream::HostId> here;
  for (const HostSetPtr& set : {next, current}) {
    if (set == nullptr) continue;
    for (const upstream::HostInfoPtr& host : set->hosts) {
      if (here.insert(host->id).second) all.push_back(host);
    }
  }
  if (checker_) checker_->set_hosts(all);
  if (outlier_ && current) outlier_->set_hosts(current->hosts);
  if (shared_ == nullptr) return;
  shared_->forget([&here](upstream::HostId id) { return !here.contains(id); });
}

bool ClusterHealth::is_warm() const {
  if (checker_ == nullptr || next_ == nullptr || next_hosts_ == nullptr) return true;
  return next_->health_check == nullptr || checker_->have_been_checked(*next_hosts_);
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
  if (shared_) out.flags = shared_->of(host)->flags();
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
