#include "proxy/upstream/balancer.h"

#include <algorithm>
#include <utility>

#include "proxy/upstream/priority_load.h"

namespace pillion::upstream {
namespace {

struct Level {
  std::vector<Host*> healthy;
  std::vector<Host*> degraded;
  uint32_t total = 0;
  uint32_t excluded = 0;
};

// One look at each host: of fifty thousand, each is a line of memory that is not at hand.
std::vector<Level> by_priority(const std::vector<Ref<Host>>& hosts, uint32_t excluding) {
  std::vector<Level> levels(1);
  levels[0].healthy.reserve(hosts.size());
  for (const Ref<Host>& host : hosts) {
    const HostInfo& info = host->info();
    if (info.priority >= levels.size()) levels.resize(info.priority + 1);
    Level& level = levels[info.priority];
    ++level.total;
    if (host->is_healthy()) level.healthy.push_back(host.get());
    if (host->is_degraded()) level.degraded.push_back(host.get());
    level.excluded += host->is_excluded(excluding);
  }
  return levels;
}

std::vector<Host*> all_of(const std::vector<Ref<Host>>& hosts, size_t priority) {
  std::vector<Host*> out;
  for (const Ref<Host>& host : hosts)
    if (host->info().priority == priority) out.push_back(host.get());
  return out;
}

}  // namespace

void Balancer::rebuild(const BalancerOptions& options, const std::vector<Ref<Host>>& hosts,
                       Rng& rng) {
  std::vector<Level> levels = by_priority(hosts, excluding_flags(options));
  std::vector<PriorityHealth> health;
  for (const Level& level : levels) {
    health.push_back({static_cast<uint32_t>(level.healthy.size()),
                      static_cast<uint32_t>(level.degraded.size()), level.total - level.excluded});
  }
  const std::vector<PriorityLoad> loads =
      spread_load(health, options.overprovisioning, options.panic_threshold);
  slices_.clear();
  uint32_t given = 0;
  const auto add = [&](uint32_t share, bool is_panic, std::vector<Host*> members) {
    if (share == 0) return;
    given += share;
    const bool fails = is_panic && options.fail_traffic_on_panic;
    slices_.push_back(
        {given, is_panic, fails ? nullptr : make_group(options.group, std::move(members), rng)});
  };
  // Envoy's order: all healthy shares, then the degraded ones.  A priority in panic has but one
  // group, with all of its hosts.
  for (size_t i = 0; i < loads.size(); ++i) {
    if (loads[i].is_panic) {
      add(loads[i].healthy + loads[i].degraded, true, all_of(hosts, i));
    } else {
      add(loads[i].healthy, false, std::move(levels[i].healthy));
    }
  }
  for (size_t i = 0; i < loads.size(); ++i) {
    if (!loads[i].is_panic) add(loads[i].degraded, false, std::move(levels[i].degraded));
  }
}

Host* Balancer::pick(Rng& rng, const Host* exclude, bool* panic) {
  if (slices_.empty()) return nullptr;
  const Slice* slice = &slices_.front();
  if (slices_.size() > 1) {
    const uint64_t ticket = rng.below(100);
    slice = &*std::find_if(slices_.begin(), slices_.end(),
                           [ticket](const Slice& s) { return ticket < s.end; });
  }
  *panic = slice->is_panic;
  return slice->group == nullptr ? nullptr : &slice->group->pick(rng, exclude);
}

}  // namespace pillion::upstream
