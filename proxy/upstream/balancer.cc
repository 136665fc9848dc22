#include "proxy/upstream/balancer.h"

#include <algorithm>
#include <cmath>

namespace pillion::upstream {
namespace {

bool equal_weights(const std::vector<Host*>& hosts) {
  return std::all_of(hosts.begin(), hosts.end(), [&](const Host* h) { return h->info().weight == hosts[0]->info().weight; });
}

class RandomGroup final : public HostGroup {
 public:
  explicit RandomGroup(std::vector<Host*> hosts) : hosts_(std::move(hosts)) {}
  [[nodiscard]] bool empty() const noexcept override { return hosts_.empty(); }
  Host* pick(Rng& rng, const Host* exclude) override {
    if (hosts_.empty()) return nullptr;
    const size_t i = rng.below(hosts_.size());
    if (hosts_[i] != exclude || hosts_.size() == 1) return hosts_[i];
    // The others are equally likely.
    return hosts_[(i + 1 + rng.below(hosts_.size() - 1)) % hosts_.size()];
  }

 private:
  std::vector<Host*> hosts_;
};

class RoundRobinGroup final : public HostGroup {
 public:
  RoundRobinGroup(std::vector<Host*> hosts, Rng& rng) : hosts_(std::move(hosts)), next_(rng.next()) {}
  [[nodiscard]] bool empty() const noexcept override { return hosts_.empty(); }
  Host* pick(Rng&, const Host* exclude) override {
    if (hosts_.empty()) return nullptr;
    Host* host = hosts_[next_++ % hosts_.size()];
    if (host == exclude) host = hosts_[next_++ % hosts_.size()];
    return host;
  }

 private:
  std::vector<Host*> hosts_;
  uint64_t next_;  // a random start: workers do not march in step
};

class LeastRequestGroup final : public HostGroup {
 public:
  LeastRequestGroup(std::vector<Host*> hosts, uint32_t choices) : hosts_(std::move(hosts)), choices_(choices) {}
  [[nodiscard]] bool empty() const noexcept override { return hosts_.empty(); }
  Host* pick(Rng& rng, const Host* exclude) override {
    if (hosts_.empty()) return nullptr;
    Host* best = nullptr;
    for (uint32_t i = 0; i < choices_; ++i) {
      Host* host = hosts_[rng.below(hosts_.size())];
      if (host == exclude && hosts_.size() > 1) continue;
      if (best == nullptr || host->active() < best->active()) best = host;
    }
    if (best != nullptr) return best;
    const size_t start = rng.below(hosts_.size());
    return hosts_[start] == exclude ? hosts_[(start + 1) % hosts_.size()] : hosts_[start];
  }

 private:
  std::vector<Host*> hosts_;
  uint32_t choices_;
};

// Earliest deadline first: a host with weight w comes up w times as often.  For least request the
// weight of a pick is weight / (active + 1)^bias, as it is at that moment.
class WeightedGroup final : public HostGroup {
 public:
  WeightedGroup(const std::vector<Host*>& hosts, double bias, Rng& rng) : bias_(bias) {
    for (Host* host : hosts) heap_.push_back({1.0 / weight_of(*host), order_++, host});
    std::make_heap(heap_.begin(), heap_.end(), later);
    // A worker's first picks are not everybody's first picks.
    for (uint64_t n = hosts.empty() ? 0 : rng.below(hosts.size()); n > 0; --n) next();
  }
  [[nodiscard]] bool empty() const noexcept override { return heap_.empty(); }
  Host* pick(Rng&, const Host* exclude) override {
    if (heap_.empty()) return nullptr;
    Host* host = next();
    for (size_t tries = heap_.size(); host == exclude && tries > 1; --tries) host = next();
    return host;
  }

 private:
  struct Entry {
    double deadline;
    uint64_t order;
    Host* host;
  };
  static bool later(const Entry& a, const Entry& b) noexcept {
    return a.deadline != b.deadline ? a.deadline > b.deadline : a.order > b.order;
  }
  [[nodiscard]] double weight_of(const Host& host) const {
    const double weight = std::max<uint32_t>(host.info().weight, 1);
    if (bias_ == 0.0) return weight;
    const double active = host.active() + 1.0;
    return weight / (bias_ == 1.0 ? active : std::pow(active, bias_));
  }
  Host* next() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Entry& entry = heap_.back();
    Host* host = entry.host;
    now_ = entry.deadline;
    entry.deadline = now_ + 1.0 / weight_of(*host);
    entry.order = order_++;
    std::push_heap(heap_.begin(), heap_.end(), later);
    return host;
  }

  std::vector<Entry> heap_;
  double bias_;
  double now_ = 0;
  uint64_t order_ = 0;
};

}  // namespace

std::unique_ptr<HostGroup> make_group(const BalancerOptions& options, std::vector<Host*> hosts, Rng& rng) {
  const bool weighted = !equal_weights(hosts);
  switch (options.policy) {
    case BalancePolicy::kRandom:
      return std::make_unique<RandomGroup>(std::move(hosts));
    case BalancePolicy::kLeastRequest:
      if (weighted) return std::make_unique<WeightedGroup>(hosts, options.active_request_bias, rng);
      return std::make_unique<LeastRequestGroup>(std::move(hosts), options.choice_count);
    case BalancePolicy::kRoundRobin:
      break;
  }
  if (weighted) return std::make_unique<WeightedGroup>(hosts, 0.0, rng);
  return std::make_unique<RoundRobinGroup>(std::move(hosts), rng);
}

void Balancer::rebuild(const std::vector<Ref<Host>>& hosts, Rng& rng) {
  levels_.clear();
  uint32_t priorities = 0;
  for (const auto& host : hosts) priorities = std::max(priorities, host->info().priority + 1);
  std::vector<uint32_t> health(priorities);
  uint32_t total_health = 0;
  for (uint32_t p = 0; p < priorities; ++p) {
    std::vector<Host*> all;
    std::vector<Host*> usable;
    for (const auto& host : hosts) {
      if (host->info().priority != p || host->info().weight == 0) continue;
      all.push_back(host.get());
      if (host->info().is_usable()) usable.push_back(host.get());
    }
    const auto percent = all.empty() ? 0u : static_cast<uint32_t>(overprovisioning_ * usable.size() / all.size());
    health[p] = std::min(100u, percent);
    total_health += health[p];
    Level level;
    level.panic = !all.empty() && usable.size() * 100 < all.size() * options_.panic_threshold;
    level.usable = make_group(options_, std::move(usable), rng);
    level.all = make_group(options_, std::move(all), rng);
    levels_.push_back(std::move(level));
  }
  // Envoy's priority load (envoy.md 2.5): what a level cannot take goes to the next.
  const uint32_t norm = std::min(100u, total_health);
  uint32_t given = 0;
  for (uint32_t p = 0; p < priorities; ++p) {
    if (norm == 0) {
      levels_[p].load = 100;  // nobody is healthy: the first level, in panic or failing
      continue;
    }
    if (norm == 100) levels_[p].panic = false;
    given = std::min(100u, given + health[p] * 100 / norm);
    levels_[p].load = given;
  }
  if (!levels_.empty()) levels_.back().load = 100;
}

Host* Balancer::pick(Rng& rng, const Host* exclude, bool* panic) {
  if (levels_.empty()) return nullptr;
  const size_t count = levels_.size();
  const auto ticket = count == 1 ? 0u : static_cast<uint32_t>(rng.below(100));
  for (Level& level : levels_) {
    if (ticket >= level.load) continue;
    if (level.panic) {
      *panic = true;
      return options_.fail_traffic_on_panic ? nullptr : level.all->pick(rng, exclude);
    }
    return level.usable->pick(rng, exclude);
  }
  return nullptr;
}

}  // namespace pillion::upstream
