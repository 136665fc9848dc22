#pragma once
// What is known of the health of hosts beyond what discovery says: a block of relaxed atomics for
// each host that is watched (outlier detection) or checked (active health checks).
//
// SharedHealth belongs to a cluster by name: like SharedLimits it passes from one configuration of
// the cluster to the next, so that a reload forgets nothing.  Control writes the flags, workers
// read them when they rebuild their balancing (control tells them when).  Workers write the rows of
// failures and, each for itself, the outcomes.  A worker that completes a row tells control
// through tell(); that is rare, and may lock.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proxy/stats/counter.h"
#include "proxy/upstream/host_set.h"

namespace pillion::upstream {

// Names are those of /clusters.
enum HealthFlag : uint32_t {
  kFailedActive = 1,       // active checks say that it does not work, or have not said anything yet
  kFailedOutlier = 2,      // ejected
  kDegradedActive = 4,     // a check was answered with x-envoy-degraded
  kPendingActive = 8,      // not checked yet
  kExcludedByAnswer = 16,  // it asked for that: x-envoy-immediate-health-check-fail
  kActiveTimeout = 32,     // the last check timed out
};
// Those of active health checks.
inline constexpr uint32_t kActiveFlags =
    kFailedActive | kDegradedActive | kPendingActive | kExcludedByAnswer | kActiveTimeout;

// What one worker saw of a host, in the two ways that outlier detection tells apart.  One writer.
struct alignas(64) HostOutcomes {
  stats::Counter total;  // answers, and failures that count as an answer
  stats::Counter success;
  stats::Counter local_total;  // of ours: connects, resets, timeouts
  stats::Counter local_success;
};

class alignas(64) HostHealth {
 public:
  [[nodiscard]] uint32_t flags() const noexcept { return flags_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool has(HealthFlag flag) const noexcept { return (flags() & flag) != 0; }
  // Control only.
  void set(uint32_t what) noexcept { flags_.store(flags() | what, std::memory_order_relaxed); }
  void clear(uint32_t what) noexcept { flags_.store(flags() & ~what, std::memory_order_relaxed); }

  // Failures in a row, over all workers.
  std::atomic<uint32_t> row_5xx{0};
  std::atomic<uint32_t> row_gateway{0};
  std::atomic<uint32_t> row_local{0};
  void clear_rows() noexcept {
    for (auto* row : {&row_5xx, &row_gateway, &row_local}) row->store(0, std::memory_order_relaxed);
  }

  // The block of a worker; lives as long as this object.
  HostOutcomes& outcomes_of(uint16_t worker) {
    const std::lock_guard lock(mutex_);
    for (const auto& [index, block] : outcomes_) {
      if (index == worker) return *block;
    }
    outcomes_.emplace_back(worker, std::make_unique<HostOutcomes>());
    return *outcomes_.back().second;
  }
  struct Totals {
    uint64_t total = 0, success = 0, local_total = 0, local_success = 0;
  };
  [[nodiscard]] Totals sum() const {
    const std::lock_guard lock(mutex_);
    Totals out;
    for (const auto& [index, block] : outcomes_) {
      out.total += block->total.value();
      out.success += block->success.value();
      out.local_total += block->local_total.value();
      out.local_success += block->local_success.value();
    }
    return out;
  }

 private:
  std::atomic<uint32_t> flags_{0};
  mutable std::mutex mutex_;
  std::vector<std::pair<uint16_t, std::unique_ptr<HostOutcomes>>> outcomes_;
};

// Told by workers to control.
struct HealthReport {
  enum class What : uint8_t { kRow5xx, kRowGateway, kRowLocal, kImmediateFail };
  HostId host = 0;
  What what = What::kRow5xx;
};

class HealthListener {
 public:
  // On any thread, under a lock: passes it on and returns.
  virtual void on_health_report(HealthReport report) = 0;

 protected:
  ~HealthListener() = default;
};

class SharedHealth {
 public:
  // Any thread.  The block of a host, made by whoever asks first.
  std::shared_ptr<HostHealth> of(HostId id) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<HostHealth>& block = blocks_[id];
    if (block == nullptr) block = std::make_shared<HostHealth>();
    return block;
  }
  // Any thread, under one lock: calls fn(flags_of), and flags_of(id) are those of a host; 0 of one
  // that nobody asked for.
  template <typename Fn>
  void look(Fn&& fn) const {
    const std::lock_guard lock(mutex_);
    fn([this](HostId id) {
      const auto it = blocks_.find(id);
      return it == blocks_.end() ? 0u : it->second->flags();
    });
  }
  // Any thread.  Lost while nobody listens.
  void tell(HealthReport report) {
    const std::lock_guard lock(mutex_);
    if (listener_ != nullptr) listener_->on_health_report(report);
  }
  // Control only.  `listener` lives until the next call; null for none.
  void listen(HealthListener* listener) {
    const std::lock_guard lock(mutex_);
    listener_ = listener;
  }
  // Control only: forgets the hosts for which `is_gone(id)`.
  template <typename Fn>
  void forget(Fn&& is_gone) {
    const std::lock_guard lock(mutex_);
    std::erase_if(blocks_, [&](const auto& item) { return is_gone(item.first); });
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<HostId, std::shared_ptr<HostHealth>> blocks_;
  HealthListener* listener_ = nullptr;
};

}  // namespace pillion::upstream
