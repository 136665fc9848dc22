#include "proxy/upstream/breaker_gauges.h"

#include <algorithm>

namespace pillion::upstream {
namespace {

bool is_open(const SharedCount& count, uint32_t limit) noexcept {
  return count.used() >= int64_t{limit};
}
int64_t left(const SharedCount& count, uint32_t limit) noexcept {
  return std::max<int64_t>(0, int64_t{limit} - count.used());
}

}  // namespace

void BreakerGauges::set_config(stats::Registry& registry,
                               std::shared_ptr<const ClusterConfig> config) {
  const bool same_scope = config_ && config_->stat_name == config->stat_name;
  if (!same_scope) open_ = {};
  if (!same_scope || !config->tracks_remaining) remaining_ = {};
  registry_ = &registry;
  config_ = std::move(config);
}

void BreakerGauges::refresh() {
  if (!config_) return;
  const SharedLimits& used = *config_->limits;
  const LimitValues& limits = config_->pool.limits;
  const bool is_used = used.connections.used() != 0 || used.pending.used() != 0 ||
                       used.requests.used() != 0 || used.retries.used() != 0;
  if (!open_ && !is_used) return;
  if (!open_)
    open_ = registry_->block<stats::ClusterBreakerStats>(stats::kControl, config_->stat_name);
  if (!remaining_ && config_->tracks_remaining) {
    remaining_ =
        registry_->block<stats::ClusterRemainingStats>(stats::kControl, config_->stat_name);
  }
  open_->default_cx_open.set(is_open(used.connections, limits.max_connections));
  open_->default_rq_pending_open.set(is_open(used.pending, limits.max_pending));
  open_->default_rq_open.set(is_open(used.requests, limits.max_requests));
  open_->default_rq_retry_open.set(is_open(used.retries, limits.retries_allowed(used)));
  if (!remaining_) return;
  remaining_->default_remaining_cx.set(left(used.connections, limits.max_connections));
  remaining_->default_remaining_pending.set(left(used.pending, limits.max_pending));
  remaining_->default_remaining_rq.set(left(used.requests, limits.max_requests));
  // Of a budget nobody can say what is left: Envoy says 0.
  remaining_->default_remaining_retries.set(
      limits.retry_budget ? 0 : left(used.retries, limits.max_retries));
}

}  // namespace pillion::upstream
