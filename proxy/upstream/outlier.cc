#include "proxy/upstream/outlier.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/upstream/success_rates.h"

namespace pillion::upstream {
namespace {

using stats::ClusterOutlierStats;

struct KindRow {
  std::string_view cause;
  stats::Counter ClusterOutlierStats::* detected;
  stats::Counter ClusterOutlierStats::* enforced;
};
using S = ClusterOutlierStats;
// By OutlierKind.
constexpr KindRow kKinds[] = {
    {"consecutive_5xx", &S::ejections_detected_consecutive_5xx,
     &S::ejections_enforced_consecutive_5xx},
    {"consecutive_gateway_failure", &S::ejections_detected_consecutive_gateway_failure,
     &S::ejections_enforced_consecutive_gateway_failure},
    {"consecutive_local_origin_failure", &S::ejections_detected_consecutive_local_origin_failure,
     &S::ejections_enforced_consecutive_local_origin_failure},
    {"success_rate", &S::ejections_detected_success_rate, &S::ejections_enforced_success_rate},
    {"success_rate_local_origin", &S::ejections_detected_local_origin_success_rate,
     &S::ejections_enforced_local_origin_success_rate},
    {"failure_percentage", &S::ejections_detected_failure_percentage,
     &S::ejections_enforced_failure_percentage},
    {"failure_percentage_local_origin", &S::ejections_detected_local_origin_failure_percentage,
     &S::ejections_enforced_local_origin_failure_percentage},
};
static_assert(std::size(kKinds) == static_cast<size_t>(OutlierKind::kCount));
const KindRow& row_of(OutlierKind kind) { return kKinds[static_cast<size_t>(kind)]; }

// Do not overflow, whatever the configuration says.
Duration times(Duration d, uint32_t n, Duration most) noexcept {
  return n != 0 && d > most / n ? most : std::min<Duration>(d * n, most);
}

HostHealth::Totals minus(const HostHealth::Totals& a, const HostHealth::Totals& b) noexcept {
  return {a.total - b.total, a.success - b.success, a.local_total - b.local_total,
          a.local_success - b.local_success};
}

}  // namespace

OutlierDetector::OutlierDetector(const Context& context,
                                 std::shared_ptr<const ClusterConfig> config,
                                 HealthObserver& observer)
    : context_(context),
      config_(std::move(config)),
      observer_(observer),
      stats_(
          context.registry.block<stats::ClusterOutlierStats>(stats::kControl, config_->stat_name)),
      began_(context.loop.now()) {}

OutlierDetector::~OutlierDetector() {
  for (auto& [id, host] : hosts_) host.health->clear(kFailedOutlier);
  stats_->ejections_active.set(0);
}

void OutlierDetector::set_config(std::shared_ptr<const ClusterConfig> config) {
  const auto before = std::exchange(config_, std::move(config));
  if (before->stat_name != config_->stat_name) {
    stats_ =
        context_.registry.block<stats::ClusterOutlierStats>(stats::kControl, config_->stat_name);
    stats_->ejections_active.set(static_cast<int64_t>(ejected_));
  }
  timer_.cancel();
  arm_if_needed();
}

void OutlierDetector::set_hosts(const std::vector<HostInfoPtr>& hosts) {
  std::unordered_map<HostId, Watched> next;
  for (const HostInfoPtr& info : hosts) {
    const auto known = hosts_.find(info->id);
    Watched& host = next[info->id];
    if (known != hosts_.end()) {
      host = std::move(known->second);
      hosts_.erase(known);
    } else {
      host.health = config_->health->of(info->id);
      host.before = host.health->sum();
    }
    host.info = info;
  }
  // Those that are left in hosts_ are gone; their flags nobody reads.
  hosts_ = std::move(next);
  ejected_ = static_cast<size_t>(
      std::ranges::count_if(hosts_, [](const auto& item) { return item.second.is_ejected(); }));
  stats_->ejections_active.set(static_cast<int64_t>(ejected_));
  arm_if_needed();
}

// ---- out ----

void OutlierDetector::on_report(const HealthReport& report) {
  const auto it = hosts_.find(report.host);
  if (it == hosts_.end() || it->second.is_ejected()) return;
  Watched& host = it->second;
  std::atomic<uint32_t>* row = nullptr;
  OutlierKind kind = OutlierKind::kConsecutive5xx;
  switch (report.what) {
    case HealthReport::What::kRow5xx:
      row = &host.health->row_5xx;
      break;
    case HealthReport::What::kRowGateway:
      row = &host.health->row_gateway;
      kind = OutlierKind::kConsecutiveGateway;
      break;
    case HealthReport::What::kRowLocal:
      row = &host.health->row_local;
      kind = OutlierKind::kConsecutiveLocal;
      break;
    case HealthReport::What::kImmediateFail:
      return;
  }
  detect(host, kind);
  // The next row is found out too, whether or not this one led to anything.
  row->store(0, std::memory_order_relaxed);
}

bool OutlierDetector::may_eject() const noexcept {
  if (options().always_eject_one && ejected_ == 0) return true;
  const double per_cent =
      100.0 * static_cast<double>(ejected_ + 1) / static_cast<double>(hosts_.size());
  return per_cent <= std::min(100u, options().max_ejection_percent);
}

void OutlierDetector::detect(Watched& host, OutlierKind kind) {
  (*stats_.*row_of(kind).detected).inc();
  if (kind == OutlierKind::kConsecutive5xx) stats_->ejections_consecutive_5xx.inc();
  if (kind == OutlierKind::kSuccessRate) stats_->ejections_success_rate.inc();
  if (!may_eject()) {
    stats_->ejections_overflow.inc();
    return log::debug(log::kUpstream, "outlier not ejected: enough hosts are ejected already",
                      {{"cluster", config_->name.view()},
                       {"host", host.info->address},
                       {"cause", row_of(kind).cause},
                       {"ejected", ejected_},
                       {"hosts", hosts_.size()}});
  }
  if (kind == OutlierKind::kConsecutive5xx || kind == OutlierKind::kSuccessRate)
    stats_->ejections_total.inc();
  if (context_.rng.below(100) >= options().enforcing_of(kind)) {
    return log::debug(log::kUpstream, "outlier not ejected: not enforced",
                      {{"cluster", config_->name.view()},
                       {"host", host.info->address},
                       {"cause", row_of(kind).cause}});
  }
  eject(host, kind);
}

void OutlierDetector::eject(Watched& host, OutlierKind kind) {
  const OutlierOptions& o = options();
  stats_->ejections_enforced_total.inc();
  (*stats_.*row_of(kind).enforced).inc();
  stats_->ejections_active.set(static_cast<int64_t>(++ejected_));
  host.health->set(kFailedOutlier);
  host.ejected_at = context_.loop.now();
  host.jitter = std::chrono::milliseconds(
      context_.rng.below(static_cast<uint64_t>(to_millis(o.max_jitter)) + 1));
  if (times(o.base_ejection_time, host.backoff, Duration::max()) <
      o.max_ejection_time + o.base_ejection_time) {
    ++host.backoff;
  }
  log::info(log::kUpstream, "host ejected",
            {{"cluster", config_->name.view()},
             {"host", host.info->address},
             {"cause", row_of(kind).cause},
             {"for", ejection_time(host)},
             {"ejected", ejected_},
             {"hosts", hosts_.size()}});
  arm_if_needed();
  observer_.on_health_changed();
}

// ---- back ----

Duration OutlierDetector::ejection_time(const Watched& host) const noexcept {
  return times(options().base_ejection_time, host.backoff, options().max_ejection_time) +
         host.jitter;
}

void OutlierDetector::return_if_due(Watched& host) {
  if (!host.is_ejected()) return;
  if (context_.loop.now() - host.ejected_at >= ejection_time(host)) return_host(host);
}

void OutlierDetector::return_host(Watched& host) {
  host.health->clear(kFailedOutlier);
  host.health->clear_rows();
  const Instant now = context_.loop.now();
  host.returned_at = now;
  stats_->ejections_active.set(static_cast<int64_t>(--ejected_));
  log::info(log::kUpstream, "ejected host is back",
            {{"cluster", config_->name.view()},
             {"host", host.info->address},
             {"after", now - host.ejected_at}});
  observer_.on_health_changed();
}

void OutlierDetector::on_active_check_passed(HostId id) {
  const auto it = hosts_.find(id);
  if (it == hosts_.end() || !it->second.is_ejected() || !options().uneject_by_active_check) return;
  return_host(it->second);
}

// A host that behaves has its next ejection shortened again, step by step.
void OutlierDetector::decay(Watched& host) {
  if (host.is_ejected() || host.backoff == 0) return;
  if (context_.loop.now() - host.returned_at >= options().interval) --host.backoff;
}

// ---- the tick ----

void OutlierDetector::on_tick() {
  std::unordered_map<HostId, HostHealth::Totals> traffic;
  for (auto& [id, host] : hosts_) {
    return_if_due(host);
    const HostHealth::Totals now = host.health->sum();
    traffic[id] = minus(now, std::exchange(host.before, now));
    host.rates = {-1, -1};
  }
  judge_rates(false, traffic);
  judge_rates(true, traffic);
  for (auto& [id, host] : hosts_) decay(host);
  arm_if_needed();
}

void OutlierDetector::judge_rates(bool is_local,
                                  const std::unordered_map<HostId, HostHealth::Totals>& traffic) {
  const uint64_t least =
      std::min(options().success_rate_volume, options().failure_percentage_volume);
  std::vector<HostRate> rates;
  for (auto& [id, host] : hosts_) {
    const HostHealth::Totals& t = traffic.at(id);
    const uint64_t total = is_local ? t.local_total : t.total;
    if (host.is_ejected() || total == 0) continue;
    const auto success = static_cast<double>(is_local ? t.local_success : t.success);
    const double rate = 100.0 * success / static_cast<double>(total);
    if (total >= least) host.rates[is_local] = rate;
    rates.push_back({id, rate, total});
  }
  const RateVerdict verdict = judge(rates, hosts_.size(), options());
  cluster_rates_[is_local] = {verdict.average, verdict.threshold};
  const auto act = [&](const std::vector<HostId>& found, OutlierKind kind) {
    for (const HostId id : found) {
      if (Watched& host = hosts_.at(id); !host.is_ejected()) detect(host, kind);
    }
  };
  act(verdict.below_threshold,
      is_local ? OutlierKind::kLocalSuccessRate : OutlierKind::kSuccessRate);
  act(verdict.failing,
      is_local ? OutlierKind::kLocalFailurePercentage : OutlierKind::kFailurePercentage);
}

bool OutlierDetector::judges_rates() const noexcept {
  const OutlierOptions& o = options();
  if (hosts_.size() < std::min(o.success_rate_hosts, o.failure_percentage_hosts)) return false;
  return o.enforcing_of(OutlierKind::kSuccessRate) != 0 ||
         o.enforcing_of(OutlierKind::kLocalSuccessRate) != 0 ||
         o.enforcing_of(OutlierKind::kFailurePercentage) != 0 ||
         o.enforcing_of(OutlierKind::kLocalFailurePercentage) != 0;
}

void OutlierDetector::arm_if_needed() {
  if (timer_.is_armed()) return;
  const bool is_needed =
      ejected_ != 0 || judges_rates() ||
      std::ranges::any_of(hosts_, [](const auto& item) { return item.second.backoff != 0; });
  if (!is_needed) return;
  for (auto& [id, host] : hosts_) host.before = host.health->sum();  // the interval begins
  const Duration since = context_.loop.now() - began_;
  context_.loop.arm_at(timer_, began_ + (since / options().interval + 1) * options().interval);
}

OutlierDetector::Rates OutlierDetector::rates_of(HostId host) const {
  const auto it = hosts_.find(host);
  if (it == hosts_.end()) return {};
  return {it->second.rates[0], it->second.rates[1]};
}

}  // namespace pillion::upstream
