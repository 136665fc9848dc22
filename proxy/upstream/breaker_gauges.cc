#include "proxy/upstream/breaker_gauges.h"

#include <algorithm>
#include <memory>

namespace pillion::upstream {
namespace {

bool is_open(const SharedCount& count, uint32_t limit) noexcept {
  return count.used() >= int64_t{limit};
}
int64_t left(const SharedCount& count, uint32_t limit) noexcept {
  return std::max<int64_t>(0, int64_t{limit} - count.used());
}

}  // namespace

void BreakerGauges::change_config(const ClusterConfig* before, const ClusterConfig& now) {
  if (blocks_ == nullptr) return;
  if (before == nullptr || before->stat_name != now.stat_name) return blocks_.reset();
  if (!now.tracks_remaining) blocks_->remaining = {};
}

void BreakerGauges::refresh(stats::Registry& registry, const ClusterConfig& config) {
  const SharedLimits* const counts = config.limits.used();
  if (counts == nullptr) return;
  const SharedLimits& used = *counts;
  const LimitValues& limits = config.pool->limits;
  const bool is_used = used.connections.used() != 0 || used.pending.used() != 0 ||
                       used.requests.used() != 0 || used.retries.used() != 0;
  if (blocks_ == nullptr && !is_used) return;
  if (blocks_ == nullptr)
    blocks_ = std::make_unique<Blocks>(
        registry.block<stats::ClusterBreakerStats>(stats::kControl, config.stat_name));
  if (!blocks_->remaining && config.tracks_remaining)
    blocks_->remaining =
        registry.block<stats::ClusterRemainingStats>(stats::kControl, config.stat_name);
  stats::ClusterBreakerStats& open = *blocks_->open;
  open.default_cx_open.set(is_open(used.connections, limits.max_connections));
  open.default_rq_pending_open.set(is_open(used.pending, limits.max_pending));
  open.default_rq_open.set(is_open(used.requests, limits.max_requests));
  open.default_rq_retry_open.set(is_open(used.retries, limits.retries_allowed(used)));
  if (!blocks_->remaining) return;
  stats::ClusterRemainingStats& remaining = *blocks_->remaining;
  remaining.default_remaining_cx.set(left(used.connections, limits.max_connections));
  remaining.default_remaining_pending.set(left(used.pending, limits.max_pending));
  remaining.default_remaining_rq.set(left(used.requests, limits.max_requests));
  // Of a budget nobody can say what is left: Envoy says 0.
  remaining.default_remaining_retries.set(
      limits.retry_budget ? 0 : left(used.retries, limits.max_retries));
}

}  // namespace pillion::upstream
