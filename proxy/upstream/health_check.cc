#include "proxy/upstream/health_check.h"

#include <algorithm>
#include <utility>

#include "proxy/base/slice.h"
#include "proxy/upstream/health_session.h"

namespace pillion::upstream {

HealthChecker::HealthChecker(const Context& context, std::shared_ptr<const ClusterConfig> config,
                             HealthObserver& observer)
    : context_(context), config_(std::move(config)), health_(config_->health), observer_(observer) {
  open_stats();
}

HealthChecker::~HealthChecker() {
  // Whoever checks them next begins anew.
  for (const auto& [id, session] : sessions_) session->forget();
}

void HealthChecker::open_stats() {
  stats_ =
      context_.registry.block<stats::ClusterHealthCheckStats>(stats::kControl, config_->stat_name);
  count({});  // 0 of 0 is something to show
  if (config_->pool->may_use_tls()) {
    tls_ = context_.registry.block<stats::ClusterTlsStats>(stats::kControl, config_->stat_name);
  }
}

void HealthChecker::set_config(std::shared_ptr<const ClusterConfig> config) {
  if (config->health != health_) {
    health_ = config->health;
    for (const auto& [id, session] : sessions_) session->move_verdict();
  }
  if (config == config_) return;
  // What probes refer to lives until they are made anew.
  const std::shared_ptr<const ClusterConfig> before = std::exchange(config_, std::move(config));
  const Count counted = std::exchange(count_, {});
  stats_->healthy.sub(counted.healthy);
  stats_->degraded.sub(counted.degraded);
  const auto stats = std::move(stats_);
  const auto tls = std::move(tls_);
  stats_ = {};
  tls_ = {};
  open_stats();
  count(counted);
  for (const auto& [id, session] : sessions_) session->restart();
}

void HealthChecker::set_hosts(const std::vector<HostInfoPtr>& hosts, HealthChecker* other) {
  Sessions next;
  next.reserve(hosts.size());
  for (const HostInfoPtr& info : hosts) {
    if (info->check() != nullptr && info->check()->is_disabled) continue;
    if (auto known = sessions_.extract(info->id)) {
      known.mapped()->set_info(info);
      next.insert(std::move(known));
      continue;
    }
    if (next.contains(info->id)) continue;
    if (auto known =
            other == nullptr ? Sessions::node_type() : other->sessions_.extract(info->id)) {
      known.mapped()->move_to(*this);
      known.mapped()->set_info(info);
      next.insert(std::move(known));
      continue;
    }
    next.emplace(info->id, std::make_unique<Session>(*this, info));
  }
  // Gone, or not to be checked any more: then no verdict of the past may stand.
  for (const auto& [id, session] : sessions_) session->forget();
  sessions_ = std::move(next);
}

bool HealthChecker::have_been_checked(const HostSet& hosts) const {
  if (count_.unchecked == 0) return true;
  return std::ranges::all_of(hosts.hosts, [this](const HostInfoPtr& info) {
    const auto it = sessions_.find(info->id);
    return it == sessions_.end() || it->second->was_checked();
  });
}

void HealthChecker::on_immediate_fail(HostId host) {
  const auto it = sessions_.find(host);
  if (it != sessions_.end()) it->second->on_immediate_fail();
}

// ---- how many ----

HealthChecker::Count HealthChecker::Count::of(uint32_t flags) noexcept {
  const bool is_healthy = (flags & kFailedActive) == 0;
  return {is_healthy, is_healthy && (flags & kDegradedActive) != 0, (flags & kPendingActive) != 0};
}

// The gauges may be another checker's of the cluster too.
void HealthChecker::count(const Count& change) {
  count_.healthy += change.healthy;
  count_.degraded += change.degraded;
  count_.unchecked += change.unchecked;
  stats_->healthy.add(change.healthy);
  stats_->degraded.add(change.degraded);
}

// ---- when ----

void HealthChecker::add_due(Session& session) {
  if (session.is_linked()) return;
  due_.push_back(session);
  context_.loop.post(*this);
}

void HealthChecker::run_ready() {
  const Slice slice;
  while (Session* const session = due_.pop_front()) {
    session->begin();
    if (!due_.empty() && slice.is_over()) return context_.loop.post_next(*this);
  }
}

// Hosts of a cluster that nobody calls are asked less often.  That somebody did is looked up once a
// turn, for the answers of many checks come in one.
bool HealthChecker::has_traffic() {
  const Instant now = context_.loop.now();
  if (had_traffic_ || now == traffic_asked_) return had_traffic_;
  traffic_asked_ = now;
  had_traffic_ =
      context_.registry.total<stats::ClusterStats>(config_->stat_name, "upstream_cx_total") != 0;
  return had_traffic_;
}

Duration HealthChecker::random_part(Duration most) noexcept {
  if (most == Duration{}) return most;
  return Duration(static_cast<int64_t>(context_.rng.below(static_cast<uint64_t>(most.count()))));
}

Duration HealthChecker::wait(bool is_healthy, bool is_on_edge) {
  const HealthCheckOptions& o = options();
  Duration base = is_healthy && !is_on_edge ? o.no_traffic_healthy_interval : o.no_traffic_interval;
  if (has_traffic()) {
    base = is_healthy ? (is_on_edge ? o.healthy_edge_interval : o.interval)
                      : (is_on_edge ? o.unhealthy_edge_interval : o.unhealthy_interval);
  }
  // As a double: any number of per cent is allowed, and a year is as good as more.
  constexpr double kLongest = 365.0 * 24 * 3600 * 1e9;
  const double percent = static_cast<double>(base.count()) / 100 * o.interval_jitter_percent;
  if (percent >= 1)
    base += random_part(Duration(static_cast<int64_t>(std::min(percent, kLongest))));
  base += random_part(o.interval_jitter);
  return std::max<Duration>(base, std::chrono::milliseconds(1));
}

}  // namespace pillion::upstream
