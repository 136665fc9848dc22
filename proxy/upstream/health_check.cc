#include "proxy/upstream/health_check.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/upstream/connect.h"
#include "proxy/upstream/health_probe.h"

namespace pillion::upstream {
namespace {

// A host that flaps does not fill the log.
constexpr Duration kLogInterval = std::chrono::seconds(5);

Duration random_part(Rng& rng, Duration most) noexcept {
  return Duration(static_cast<int64_t>(rng.below(static_cast<uint64_t>(most.count()))));
}

// Criteria of the check stand in place of the host's own labels.
const tls::ContextSlot* tls_of_checks(const Probe::Context& context) {
  const PoolOptions& pool = *context.config.pool;
  const TransportLabels* labels = context.host.transport();
  const std::optional<LabelSet>& criteria = context.config.health_check->transport_criteria;
  if (!criteria) return pool.tls_for(labels);
  const LabelSet none;
  return pool.tls_of(pool.match_for(*criteria, labels == nullptr ? none : labels->of_locality));
}

}  // namespace

std::unique_ptr<io::Transport> make_probe_transport(const Probe::Context& context,
                                                    std::string_view alpn) {
  const HostInfo& host = context.host;
  io::Address to = host.address;
  if (host.check() != nullptr && host.check()->port != 0) to.set_port(host.check()->port);
  bool bind_failed = false;
  return make_transport(context.loop, *context.config.pool,
                        {to, host.hostname(), tls_of_checks(context), alpn}, {context.tls, nullptr},
                        &bind_failed);
}

std::string probe_failure_reason(Failure failure, std::string_view transport_reason) {
  if (!transport_reason.empty()) return std::string(transport_reason);
  char text[64];
  if (failure.detail != 0) return ::strerror_r(failure.detail, text, sizeof text);
  switch (failure.kind) {
    case FailureKind::kUpstreamClosed:
    case FailureKind::kUpstreamTruncated:
      return "connection closed";
    case FailureKind::kUpstreamReset:
      return "connection reset";
    case FailureKind::kUpstreamProtocol:
      return "malformed answer";
    default:
      return std::string(failure.row().details);
  }
}

// One host: when it is checked next, and what it takes to change the verdict.
class HealthChecker::Session final : private Probe::Owner {
 public:
  Session(HealthChecker& checker, HostInfoPtr info)
      : checker_(checker), info_(std::move(info)), health_(checker.config_->health->of(info_->id)) {
    health_->set(kFailedActive | kPendingActive);
    make_probe();
    const Duration jitter = checker_.options().initial_jitter;
    loop().arm(next_timer_,
               jitter == Duration{} ? Duration{} : random_part(checker_.context_.rng, jitter));
  }

  // Is still the same host; weight and the like may have changed.
  void set_info(HostInfoPtr info) {
    const bool is_elsewhere = !same_target(*info, *info_);
    info_ = std::move(info);
    if (is_elsewhere) restart();
  }
  // The configuration has changed: checks go on as it says now.
  void restart() {
    const bool is_running = timeout_timer_.is_armed();
    timeout_timer_.cancel();
    probe_.reset();
    make_probe();
    const Instant soon = loop().now() + checker_.options().interval;
    if (is_running) return begin();
    if (next_timer_.deadline() > soon) loop().arm_at(next_timer_, soon);
  }

  void on_immediate_fail() {
    health_->set(kExcludedByAnswer);
    fail({ProbeResult::Kind::kRefused, false, false, true, "x-envoy-immediate-health-check-fail"},
         true);
    checker_.observer_.on_health_changed();
  }

  [[nodiscard]] bool was_checked() const noexcept { return !health_->has(kPendingActive); }
  [[nodiscard]] bool is_healthy() const noexcept { return !health_->has(kFailedActive); }
  [[nodiscard]] bool is_degraded() const noexcept { return health_->has(kDegradedActive); }
  [[nodiscard]] const HostInfoPtr& info() const noexcept { return info_; }
  void forget() {
    health_->clear(kFailedActive | kPendingActive | kDegradedActive | kExcludedByAnswer |
                   kActiveTimeout);
  }

 private:
  [[nodiscard]] io::Loop& loop() const noexcept { return checker_.context_.loop; }
  [[nodiscard]] stats::ClusterHealthCheckStats& stats() const noexcept { return *checker_.stats_; }

  static bool same_target(const HostInfo& a, const HostInfo& b) noexcept {
    return a.check() == b.check();  // equal ones are one object
  }

  void make_probe() {
    probe_info_ = info_;
    const Probe::Context context{
        loop(),       checker_.context_.batch, *checker_.config_,
        *probe_info_, checker_.tls_.get(),     static_cast<Probe::Owner&>(*this)};
    probe_ = checker_.options().kind == HealthCheckOptions::Kind::kHttp ? make_http_probe(context)
                                                                        : make_tcp_probe(context);
  }

  void begin() {
    next_timer_.cancel();
    stats().attempt.inc();
    loop().arm(timeout_timer_, checker_.options().timeout);
    probe_->start();
  }
  void on_timeout() {
    probe_->cancel();
    on_probe_done({ProbeResult::Kind::kTimeout, false, false, false, "timed out"});
  }

  void on_probe_done(const ProbeResult& result) override {
    timeout_timer_.cancel();
    const uint32_t before = health_->flags();
    if (result.is_excluded) health_->set(kExcludedByAnswer);
    const bool is_passed = result.kind == ProbeResult::Kind::kPassed;
    const bool is_on_edge = is_passed ? pass(result) : fail(result, false);
    loop().arm(next_timer_, checker_.wait(is_passed, is_on_edge));
    if (health_->flags() != before) checker_.observer_.on_health_changed();
    if (is_passed && is_healthy()) checker_.observer_.on_check_passed(info_->id);
  }

  // True: the verdict is about to change.
  bool pass(const ProbeResult& result) {
    stats().success.inc();
    failures_ = 0;
    bool is_on_edge = false;
    if (health_->has(kFailedActive)) {
      // The first check ever decides alone: a start is not held up.
      if (!was_checked() || ++successes_ == checker_.options().healthy_threshold) {
        health_->clear(kFailedActive | kActiveTimeout);
        if (!result.is_excluded) health_->clear(kExcludedByAnswer);
        log_healthy();
      } else {
        is_on_edge = true;
      }
    }
    health_->clear(kPendingActive);
    result.is_degraded ? health_->set(kDegradedActive) : health_->clear(kDegradedActive);
    checker_.count_hosts();
    return is_on_edge;
  }

  bool fail(const ProbeResult& result, bool is_passive) {
    using Kind = ProbeResult::Kind;
    const bool is_network = result.kind == Kind::kNetwork || result.kind == Kind::kTimeout;
    stats().failure.inc();
    if (is_network) stats().network_failure.inc();
    if (is_passive) stats().passive_failure.inc();
    successes_ = 0;
    bool is_on_edge = false;
    // An answer that says no is believed at once, silence and broken connections not.
    const bool is_certain = !is_network && !result.is_retriable;
    if (!health_->has(kFailedActive)) {
      if (is_certain || ++failures_ == checker_.options().unhealthy_threshold) {
        health_->set(kFailedActive);
        log_unhealthy(result.reason);
      } else {
        is_on_edge = true;
      }
    } else if (!was_checked()) {
      log_unhealthy(result.reason);
    }
    if (checker_.options().logs_all_failures) {
      log::info(log::kUpstream, "health check failed",
                {{"cluster", checker_.config_->name.view()},
                 {"host", info_->address},
                 {"cause", result.reason}});
    }
    health_->clear(kPendingActive | kActiveTimeout);
    if (result.kind == Kind::kTimeout && health_->has(kFailedActive)) health_->set(kActiveTimeout);
    checker_.count_hosts();
    return is_on_edge;
  }

  void log_healthy() {
    log::info(healthy_limit_, log::kUpstream, "host passes its health checks",
              {{"cluster", checker_.config_->name.view()}, {"host", info_->address}});
  }
  void log_unhealthy(std::string_view cause) {
    log::info(
        unhealthy_limit_, log::kUpstream, "host fails its health checks",
        {{"cluster", checker_.config_->name.view()}, {"host", info_->address}, {"cause", cause}});
  }

  HealthChecker& checker_;
  HostInfoPtr info_;
  HostInfoPtr probe_info_;  // what the probe refers to
  const std::shared_ptr<HostHealth> health_;
  std::unique_ptr<Probe> probe_;
  uint32_t successes_ = 0;  // in a row, while the host counts as failed
  uint32_t failures_ = 0;   // in a row, while it does not
  log::Limit healthy_limit_{kLogInterval};
  log::Limit unhealthy_limit_{kLogInterval};
  io::Timer next_timer_ = io::Timer::of<&Session::begin>(this);
  io::Timer timeout_timer_ = io::Timer::of<&Session::on_timeout>(this);
};

HealthChecker::HealthChecker(const Context& context, std::shared_ptr<const ClusterConfig> config,
                             HealthObserver& observer)
    : context_(context), config_(std::move(config)), observer_(observer) {
  open_stats();
}

HealthChecker::~HealthChecker() {
  // Whoever checks them next begins anew.
  for (const auto& [id, session] : sessions_) session->forget();
  sessions_.clear();
  count_hosts();
}

void HealthChecker::open_stats() {
  stats_ =
      context_.registry.block<stats::ClusterHealthCheckStats>(stats::kControl, config_->stat_name);
  if (config_->pool->may_use_tls()) {
    tls_ = context_.registry.block<stats::ClusterTlsStats>(stats::kControl, config_->stat_name);
  }
}

void HealthChecker::set_config(std::shared_ptr<const ClusterConfig> config) {
  if (config == config_) return;
  // What probes refer to lives until they are made anew.
  const std::shared_ptr<const ClusterConfig> before = std::exchange(config_, std::move(config));
  const auto stats = std::move(stats_);
  const auto tls = std::move(tls_);
  stats_ = {};
  tls_ = {};
  open_stats();
  for (const auto& [id, session] : sessions_) session->restart();
  count_hosts();
}

void HealthChecker::set_hosts(const std::vector<HostInfoPtr>& hosts) {
  std::unordered_map<HostId, std::unique_ptr<Session>> next;
  for (const HostInfoPtr& info : hosts) {
    if (info->check() != nullptr && info->check()->is_disabled) continue;
    const auto known = sessions_.find(info->id);
    if (known == sessions_.end()) {
      if (!next.contains(info->id)) next.emplace(info->id, std::make_unique<Session>(*this, info));
      continue;
    }
    known->second->set_info(info);
    next.emplace(info->id, std::move(known->second));
    sessions_.erase(known);
  }
  // Gone, or not to be checked any more: then no verdict of the past may stand.
  for (const auto& [id, session] : sessions_) session->forget();
  sessions_ = std::move(next);
  count_hosts();
}

bool HealthChecker::have_been_checked(const HostSet& hosts) const {
  return std::ranges::all_of(hosts.hosts, [this](const HostInfoPtr& info) {
    const auto it = sessions_.find(info->id);
    return it == sessions_.end() || it->second->was_checked();
  });
}

void HealthChecker::on_immediate_fail(HostId host) {
  const auto it = sessions_.find(host);
  if (it != sessions_.end()) it->second->on_immediate_fail();
}

void HealthChecker::count_hosts() {
  int64_t healthy = 0;
  int64_t degraded = 0;
  for (const auto& [id, session] : sessions_) {
    healthy += session->is_healthy();
    degraded += session->is_healthy() && session->is_degraded();
  }
  stats_->healthy.set(healthy);
  stats_->degraded.set(degraded);
}

// Hosts of a cluster that nobody calls are asked less often.
bool HealthChecker::has_traffic() {
  had_traffic_ = had_traffic_ || std::ranges::any_of(sessions_, [](const auto& item) {
                   return item.second->info()->stats.sum().cx_total != 0;
                 });
  return had_traffic_;
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
    base += random_part(context_.rng, Duration(static_cast<int64_t>(std::min(percent, kLongest))));
  if (o.interval_jitter != Duration{}) base += random_part(context_.rng, o.interval_jitter);
  return std::max<Duration>(base, std::chrono::milliseconds(1));
}

}  // namespace pillion::upstream
