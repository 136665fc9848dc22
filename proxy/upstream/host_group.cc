#include "proxy/upstream/host_group.h"

#include <algorithm>
#include <cmath>

namespace pillion::upstream {
namespace {

bool have_equal_weights(const std::vector<Host*>& hosts) noexcept {
  const uint32_t weight = hosts.front()->info().weight;
  return std::all_of(hosts.begin(), hosts.end(),
                     [weight](const Host* h) { return h->info().weight == weight; });
}

class RandomGroup final : public HostGroup {
 public:
  explicit RandomGroup(std::vector<Host*> hosts) noexcept : hosts_(std::move(hosts)) {}
  Host& pick(Rng& rng, const Host* exclude) override {
    const size_t i = rng.below(hosts_.size());
    if (hosts_[i] != exclude || hosts_.size() == 1) return *hosts_[i];
    // The others are equally likely.
    return *hosts_[(i + 1 + rng.below(hosts_.size() - 1)) % hosts_.size()];
  }

 private:
  std::vector<Host*> hosts_;
};

class RoundRobinGroup final : public HostGroup {
 public:
  RoundRobinGroup(std::vector<Host*> hosts, Rng& rng)
      : hosts_(std::move(hosts)), next_(rng.below(hosts_.size())) {}
  Host& pick(Rng&, const Host* exclude) override {
    Host& host = take();
    return &host == exclude ? take() : host;
  }

 private:
  Host& take() noexcept {
    Host& host = *hosts_[next_];
    if (++next_ == hosts_.size()) next_ = 0;
    return host;
  }
  std::vector<Host*> hosts_;
  size_t next_;
};

// The best of a few random choices, with replacement: nearly as even as looking at all of them, and
// no herd runs to the one host that looks best.
class LeastRequestGroup final : public HostGroup {
 public:
  LeastRequestGroup(std::vector<Host*> hosts, uint32_t choices) noexcept
      : hosts_(std::move(hosts)), choices_(choices) {}
  Host& pick(Rng& rng, const Host* exclude) override {
    const bool may_exclude = hosts_.size() > 1;
    Host* best = nullptr;
    for (uint32_t i = 0; i < choices_; ++i) {
      size_t at = rng.below(hosts_.size());
      if (may_exclude && hosts_[at] == exclude) {
        at = (at + 1 + rng.below(hosts_.size() - 1)) % hosts_.size();
      }
      Host* host = hosts_[at];
      if (best == nullptr || host->active() < best->active()) best = host;
    }
    return *best;
  }

 private:
  std::vector<Host*> hosts_;
  uint32_t choices_;
};

// Earliest deadline first: a host of weight w comes up w times as often.  With a bias its weight is
// the one of the moment: weight / (active + 1) ^ bias.
class WeightedGroup final : public HostGroup {
 public:
  WeightedGroup(const std::vector<Host*>& hosts, double bias, Rng& rng) : bias_(bias) {
    heap_.reserve(hosts.size());
    // Each begins somewhere in its first round, for a worker's first picks are not everybody's; to
    // let rounds pass by picks would cost a pick for each host.
    constexpr double kParts = 1 << 20;
    for (Host* host : hosts) {
      const double part = (1.0 + static_cast<double>(rng.below(1 << 20))) / kParts;
      heap_.push_back({part / weight_of(*host), order_++, host});
    }
    std::make_heap(heap_.begin(), heap_.end(), is_later);
  }
  Host& pick(Rng&, const Host* exclude) override {
    Host* host = &take();
    // A heavy host comes up several times in a row.
    for (size_t tries = 2 * heap_.size(); host == exclude && tries > 0; --tries) host = &take();
    if (host == exclude) host = any_other(exclude);
    return *host;
  }

 private:
  struct Entry {
    double deadline;
    uint64_t order;  // equal deadlines: first come, first served
    Host* host;
  };
  static bool is_later(const Entry& a, const Entry& b) noexcept {
    return a.deadline != b.deadline ? a.deadline > b.deadline : a.order > b.order;
  }
  [[nodiscard]] double weight_of(const Host& host) const noexcept {
    const double weight = host.info().weight;
    if (bias_ == 0.0) return weight;
    const double active = host.active() + 1.0;
    return weight / (bias_ == 1.0 ? active : std::pow(active, bias_));
  }
  Host& take() noexcept {
    std::pop_heap(heap_.begin(), heap_.end(), is_later);
    Entry& entry = heap_.back();
    Host& host = *entry.host;
    entry.deadline += 1.0 / weight_of(host);
    entry.order = order_++;
    std::push_heap(heap_.begin(), heap_.end(), is_later);
    return host;
  }
  [[nodiscard]] Host* any_other(const Host* exclude) const noexcept {
    for (const Entry& entry : heap_) {
      if (entry.host != exclude) return entry.host;
    }
    return heap_.front().host;
  }

  std::vector<Entry> heap_;
  double bias_;
  uint64_t order_ = 0;
};

}  // namespace

std::unique_ptr<HostGroup> make_group(const GroupOptions& options, std::vector<Host*> hosts,
                                      Rng& rng) {
  if (hosts.empty()) return nullptr;
  const bool is_even = have_equal_weights(hosts);
  switch (options.policy) {
    case BalancePolicy::kRandom:
      return std::make_unique<RandomGroup>(std::move(hosts));
    case BalancePolicy::kLeastRequest:
      if (is_even) {
        return std::make_unique<LeastRequestGroup>(std::move(hosts), options.choice_count);
      }
      return std::make_unique<WeightedGroup>(hosts, options.active_request_bias, rng);
    case BalancePolicy::kRoundRobin:
      break;
  }
  if (is_even) return std::make_unique<RoundRobinGroup>(std::move(hosts), rng);
  return std::make_unique<WeightedGroup>(hosts, 0.0, rng);
}

}  // namespace pillion::upstream
