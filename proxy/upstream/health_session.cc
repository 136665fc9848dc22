#include "proxy/upstream/health_session.h"

#include <utility>

namespace pillion::upstream {
namespace {

// A host that flaps does not fill the log.
constexpr Duration kLogInterval = std::chrono::seconds(5);

}  // namespace

HealthChecker::Session::Session(HealthChecker& checker, HostInfoPtr info)
    : checker_(&checker),
      info_(std::move(info)),
      health_(checker.health_->of(info_->id)),
      healthy_limit_(kLogInterval),
      unhealthy_limit_(kLogInterval) {
  health_->set(kFailedActive | kPendingActive);
  count();
  make_probe();
  const Duration jitter = options().initial_jitter;
  loop().arm(next_timer_, checker_->random_part(jitter));
}

void HealthChecker::Session::set_info(HostInfoPtr info) {
  const bool is_elsewhere = !same_target(*info, *info_);
  info_ = std::move(info);
  if (is_elsewhere) restart();
}

void HealthChecker::Session::restart() {
  const bool is_running = timeout_timer_.is_armed();
  timeout_timer_.cancel();
  probe_.reset();
  make_probe();
  if (is_running) return on_due();
  const Instant soon = loop().now() + options().interval;
  if (next_timer_.deadline() > soon) loop().arm_at(next_timer_, soon);
}

void HealthChecker::Session::move_to(HealthChecker& checker) {
  count_as({});
  const bool is_due = is_linked();
  unlink();
  const bool is_same = checker_->config_ == checker.config_;
  checker_ = &checker;
  if (checker_->health_->of(info_->id) != health_) move_verdict();
  count();
  if (is_due) on_due();
  if (!is_same) restart();
}

void HealthChecker::Session::move_verdict() {
  const auto before = std::exchange(health_, checker_->health_->of(info_->id));
  health_->set(before->flags() & kActiveFlags);
}

void HealthChecker::Session::forget() {
  health_->clear(kActiveFlags);
  count_as({});
}

void HealthChecker::Session::make_probe() {
  probe_info_ = info_;
  const Probe::Context context{
      loop(),       checker_->context_.batch, *checker_->config_,
      *probe_info_, checker_->tls_.get(),     static_cast<Probe::Owner&>(*this)};
  probe_ = options().kind == HealthCheckOptions::Kind::kHttp ? make_http_probe(context)
                                                             : make_tcp_probe(context);
}

void HealthChecker::Session::begin() {
  next_timer_.cancel();
  stats().attempt.inc();
  loop().arm(timeout_timer_, options().timeout);
  probe_->start();
}

void HealthChecker::Session::on_timeout() {
  probe_->cancel();
  on_probe_done({ProbeResult::Kind::kTimeout, false, false, false, "timed out"});
}

void HealthChecker::Session::on_probe_done(const ProbeResult& result) {
  timeout_timer_.cancel();
  const uint32_t before = health_->flags();
  if (result.is_excluded) health_->set(kExcludedByAnswer);
  const bool is_passed = result.kind == ProbeResult::Kind::kPassed;
  const bool is_on_edge = is_passed ? pass(result) : fail(result, false);
  loop().arm(next_timer_, checker_->wait(is_passed, is_on_edge));
  if (health_->flags() != before) checker_->observer_.on_health_changed();
  if (is_passed && !health_->has(kFailedActive)) checker_->observer_.on_check_passed(info_->id);
}

void HealthChecker::Session::on_immediate_fail() {
  health_->set(kExcludedByAnswer);
  fail({ProbeResult::Kind::kRefused, false, false, true, "x-envoy-immediate-health-check-fail"},
       true);
  checker_->observer_.on_health_changed();
}

bool HealthChecker::Session::pass(const ProbeResult& result) {
  stats().success.inc();
  failures_ = 0;
  bool is_on_edge = false;
  if (health_->has(kFailedActive)) {
    // The first check ever decides alone: a start is not held up.  More than the threshold: it was
    // lowered meanwhile.
    if (!was_checked() || ++successes_ >= options().healthy_threshold) {
      health_->clear(kFailedActive | kActiveTimeout);
      if (!result.is_excluded) health_->clear(kExcludedByAnswer);
      log_healthy();
    } else {
      is_on_edge = true;
    }
  }
  health_->clear(kPendingActive);
  result.is_degraded ? health_->set(kDegradedActive) : health_->clear(kDegradedActive);
  count();
  return is_on_edge;
}

bool HealthChecker::Session::fail(const ProbeResult& result, bool is_passive) {
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
    if (is_certain || ++failures_ >= options().unhealthy_threshold) {
      health_->set(kFailedActive);
      log_unhealthy(result.reason);
    } else {
      is_on_edge = true;
    }
  } else if (!was_checked()) {
    log_unhealthy(result.reason);
  }
  if (options().logs_all_failures) {
    log::info(log::kUpstream, "health check failed",
              {{"cluster", checker_->config_->name.view()},
               {"host", info_->address},
               {"cause", result.reason}});
  }
  health_->clear(kPendingActive | kActiveTimeout);
  if (result.kind == Kind::kTimeout && health_->has(kFailedActive)) health_->set(kActiveTimeout);
  count();
  return is_on_edge;
}

void HealthChecker::Session::count_as(const Count& now) {
  checker_->count({now.healthy - counted_.healthy, now.degraded - counted_.degraded,
                   now.unchecked - counted_.unchecked});
  counted_ = now;
}

void HealthChecker::Session::log_healthy() {
  log::info(healthy_limit_, log::kUpstream, "host passes its health checks",
            {{"cluster", checker_->config_->name.view()}, {"host", info_->address}});
}

void HealthChecker::Session::log_unhealthy(std::string_view cause) {
  log::info(
      unhealthy_limit_, log::kUpstream, "host fails its health checks",
      {{"cluster", checker_->config_->name.view()}, {"host", info_->address}, {"cause", cause}});
}

}  // namespace pillion::upstream
