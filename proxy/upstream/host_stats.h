#pragma once
// HostStats: what happens at one endpoint, counted by each worker for itself and summed for
// /clusters.
//
// Belongs to the endpoint (HostInfo) and so outlives the workers' Host objects.  A worker takes its
// block once, when it first calls the endpoint; from then on it writes without a lock (one writer a
// block). Nothing here locks: a block that was linked stays where it is until the end.
//
// Of ten thousand clusters a process calls few, so that all of it is made on first use: an endpoint
// that nobody calls has one empty pointer (HostStatsRef).

#include <atomic>
#include <cstdint>
#include <memory>

#include "proxy/base/lazy_ref.h"
#include "proxy/stats/counter.h"

namespace pillion::upstream {

struct HostCounters {
  stats::Counter cx_total;
  stats::Counter cx_connect_fail;
  stats::Counter rq_total;
  stats::Counter rq_success;
  stats::Counter rq_error;
  stats::Counter rq_timeout;
  stats::Gauge cx_active;
  stats::Gauge rq_active;
};

class HostStats {
 public:
  struct Totals {
    uint64_t cx_total = 0;
    uint64_t cx_connect_fail = 0;
    uint64_t rq_total = 0;
    uint64_t rq_success = 0;
    uint64_t rq_error = 0;
    uint64_t rq_timeout = 0;
    int64_t cx_active = 0;
    int64_t rq_active = 0;
  };

  HostStats() = default;
  HostStats(const HostStats&) = delete;
  HostStats& operator=(const HostStats&) = delete;
  ~HostStats() {
    for (Block* block = first_.load(std::memory_order_relaxed); block != nullptr;) {
      const std::unique_ptr<Block> gone(block);
      block = gone->next;
    }
  }

  // The block of a worker, called on its thread; lives as long as this object.
  HostCounters& of(uint16_t worker) {
    Block* first = first_.load(std::memory_order_acquire);
    for (Block* block = first; block != nullptr; block = block->next) {
      if (block->worker == worker) return block->counters;
    }
    Block* const mine = new Block(worker);
    mine->next = first;
    while (!first_.compare_exchange_weak(mine->next, mine, std::memory_order_release,
                                         std::memory_order_relaxed)) {
    }
    return mine->counters;
  }
  // Any thread.
  [[nodiscard]] Totals sum() const noexcept {
    Totals out;
    const Block* block = first_.load(std::memory_order_acquire);
    for (; block != nullptr; block = block->next) {
      const HostCounters& c = block->counters;
      out.cx_total += c.cx_total.value();
      out.cx_connect_fail += c.cx_connect_fail.value();
      out.rq_total += c.rq_total.value();
      out.rq_success += c.rq_success.value();
      out.rq_error += c.rq_error.value();
      out.rq_timeout += c.rq_timeout.value();
      out.cx_active += c.cx_active.value();
      out.rq_active += c.rq_active.value();
    }
    return out;
  }

 private:
  struct Block {
    explicit Block(uint16_t w) noexcept : worker(w) {}
    const uint16_t worker;
    HostCounters counters;
    Block* next = nullptr;
  };
  std::atomic<Block*> first_{nullptr};
};

// The HostStats of an endpoint, in its HostInfo.  A newer HostInfo of the same endpoint has the
// same, which control gives it before others see it.
class HostStatsRef : public LazyRef<HostStats> {
 public:
  [[nodiscard]] HostStats::Totals sum() const noexcept {
    const HostStats* const stats = used();
    return stats == nullptr ? HostStats::Totals{} : stats->sum();
  }
};

}  // namespace pillion::upstream
