#pragma once
// The mutable state that workers share: one block of relaxed atomics per (cluster, priority) for
// its circuit breakers.  Held by the cluster's configurations (LimitsRef), on a cache line of its
// own: who takes a request writes `requests`, and the others are written with a connection, a wait
// or a retry only, so that a line for each would cost memory and gain nothing.  Limits are soft, as
// Envoy's: check, then increment (shared/reference/envoy.md 2.3).

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "proxy/base/lazy_ref.h"

namespace pillion::upstream {

// One breaker: how many are in use, across all workers.
class SharedCount {
 public:
  // False when `limit` is reached; else counts one more, which the caller gives back by release().
  bool try_acquire(uint32_t limit) noexcept {
    if (used_.load(std::memory_order_relaxed) >= int64_t{limit}) return false;
    used_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  void acquire() noexcept { used_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept { used_.fetch_sub(1, std::memory_order_relaxed); }
  [[nodiscard]] int64_t used() const noexcept { return used_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> used_{0};
};

struct SharedLimits {
  SharedCount connections;
  SharedCount pending;
  SharedCount requests;
  SharedCount retries;
};

// The SharedLimits of a cluster: those of one that nobody calls take no memory.  Holders of the
// same ones keep them.
using LimitsRef = LazyRef<SharedLimits, 64>;

// CircuitBreakers.Thresholds.RetryBudget: retries as a share of what is under way.
struct RetryBudget {
  double percent = 20.0;
  uint32_t min_concurrency = 3;
  friend bool operator==(const RetryBudget&, const RetryBudget&) = default;
};

// CircuitBreakers.Thresholds; Envoy's defaults.
struct LimitValues {
  uint32_t max_connections = 1024;
  uint32_t max_pending = 1024;
  uint32_t max_requests = 1024;
  uint32_t max_retries = 3;
  std::optional<RetryBudget> retry_budget;  // instead of max_retries

  // How many retries may be under way now.  A request that waits for a connection has its slot of
  // `requests` already, so that these are what Envoy's formula calls active and pending.
  [[nodiscard]] uint32_t retries_allowed(const SharedLimits& used) const noexcept {
    if (!retry_budget) return max_retries;
    const double share = retry_budget->percent / 100.0 *
                         static_cast<double>(std::max<int64_t>(used.requests.used(), 0));
    const double most = std::max(share, static_cast<double>(retry_budget->min_concurrency));
    return static_cast<uint32_t>(std::min(most, static_cast<double>(UINT32_MAX)));
  }
  friend bool operator==(const LimitValues&, const LimitValues&) = default;
};

}  // namespace pillion::upstream
