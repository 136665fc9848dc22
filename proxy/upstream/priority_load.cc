#include "proxy/upstream/priority_load.h"

#include <algorithm>

namespace pillion::upstream {
namespace {

// How much of all requests these hosts could take, 0-100.
uint32_t capacity(uint32_t usable, uint32_t total, uint32_t overprovisioning) noexcept {
  if (total == 0) return 0;
  return static_cast<uint32_t>(
      std::min<uint64_t>(100, uint64_t{overprovisioning} * usable / total));
}

bool is_below(const PriorityHealth& p, uint32_t threshold) noexcept {
  if (p.total == 0) return threshold > 0;
  return uint64_t{100} * (uint64_t{p.healthy} + p.degraded) < uint64_t{threshold} * p.total;
}

void spread_by_health(std::vector<PriorityLoad>& loads, std::span<const PriorityHealth> priorities,
                      uint32_t overprovisioning, uint32_t norm) {
  uint32_t remaining = 100;
  const auto take = [&](uint32_t usable, uint32_t total) {
    const uint32_t share =
        std::min(remaining, capacity(usable, total, overprovisioning) * 100 / norm);
    remaining -= share;
    return share;
  };
  for (size_t i = 0; i < loads.size(); ++i) {
    loads[i].healthy = take(priorities[i].healthy, priorities[i].total);
  }
  for (size_t i = 0; i < loads.size(); ++i) {
    loads[i].degraded = take(priorities[i].degraded, priorities[i].total);
  }
  // What rounding left over goes to the first that takes anything.
  for (PriorityLoad& load : loads) {
    uint32_t* first = load.healthy > 0    ? &load.healthy
                      : load.degraded > 0 ? &load.degraded
                                          : nullptr;
    if (first == nullptr) continue;
    *first += remaining;
    return;
  }
}

// Everybody panics: by numbers of hosts.
void spread_by_size(std::vector<PriorityLoad>& loads, std::span<const PriorityHealth> priorities) {
  uint64_t total = 0;
  for (const PriorityHealth& p : priorities) total += p.total;
  for (PriorityLoad& load : loads) load.healthy = load.degraded = 0;
  if (total == 0) {
    loads.front().healthy = 100;
    return;
  }
  uint32_t remaining = 100;
  uint32_t* first = nullptr;
  for (size_t i = 0; i < loads.size(); ++i) {
    loads[i].healthy = static_cast<uint32_t>(100 * uint64_t{priorities[i].total} / total);
    remaining -= loads[i].healthy;
    if (first == nullptr && priorities[i].total > 0) first = &loads[i].healthy;
  }
  *first += remaining;
}

}  // namespace

std::vector<PriorityLoad> spread_load(std::span<const PriorityHealth> priorities,
                                      uint32_t overprovisioning, uint32_t panic_threshold) {
  std::vector<PriorityLoad> loads(std::max<size_t>(priorities.size(), 1));
  if (priorities.empty()) {
    loads.front().healthy = 100;
    return loads;
  }
  uint32_t norm = 0;
  for (const PriorityHealth& p : priorities) {
    norm += capacity(p.healthy, p.total, overprovisioning) +
            capacity(p.degraded, p.total, overprovisioning);
  }
  norm = std::min(100u, norm);
  if (norm > 0) {
    spread_by_health(loads, priorities, overprovisioning, norm);
  } else {
    loads.front().healthy = 100;  // nobody is usable: without panic the request is told so
  }
  bool all_panic = true;
  for (size_t i = 0; i < loads.size(); ++i) {
    // As long as the other priorities make up for it, nobody panics.
    loads[i].is_panic = norm < 100 && is_below(priorities[i], panic_threshold);
    all_panic = all_panic && loads[i].is_panic;
  }
  if (all_panic) spread_by_size(loads, priorities);
  return loads;
}

}  // namespace pillion::upstream
