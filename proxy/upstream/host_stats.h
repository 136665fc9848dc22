#pragma once
// HostStats: what happens at one endpoint, counted by each worker for itself and summed for
// /clusters.
//
// Belongs to the endpoint (HostInfo) and so outlives the workers' Host objects.  A worker takes its
// block once, when it makes its Host; from then on it writes without a lock (one writer a block).

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

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

  // The block of a worker; lives as long as this object.
  HostCounters& of(uint16_t worker) {
    const std::lock_guard lock(mutex_);
    for (const Block& block : blocks_) {
      if (block.worker == worker) return *block.counters;
    }
    blocks_.push_back({worker, std::make_unique<HostCounters>()});
    return *blocks_.back().counters;
  }
  // Any thread.
  [[nodiscard]] Totals sum() const {
    const std::lock_guard lock(mutex_);
    Totals out;
    for (const Block& block : blocks_) {
      const HostCounters& c = *block.counters;
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
    uint16_t worker;
    std::unique_ptr<HostCounters> counters;
  };
  mutable std::mutex mutex_;
  std::vector<Block> blocks_;
};

}  // namespace pillion::upstream
