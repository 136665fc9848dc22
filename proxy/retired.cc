#include "proxy/retired.h"

#include <iterator>
#include <unordered_set>
#include <utility>

namespace pillion {
namespace {

// A change of more pieces keeps the snapshot that it supersedes for the thread.
constexpr size_t kFew = 64;
// So many hosts are freed in a fraction of a millisecond.
constexpr size_t kFewHosts = 1024;

}  // namespace

void Retired::stop() {
  timer_.cancel();
  undertaker_.stop();
}

// Connections pin their chain, not their listener.
void Retired::add_chains(const core::ListenerConfig& before, const core::ListenerConfig* after) {
  std::unordered_set<const core::FilterChain*> kept;
  if (after != nullptr) {
    for (const auto& chain : after->chains) kept.insert(chain.get());
    kept.insert(after->default_chain.get());
  }
  const auto retire = [&](const std::shared_ptr<const core::FilterChain>& chain) {
    if (chain != nullptr && !kept.contains(chain.get())) chains_.push_back(chain);
  };
  for (const auto& chain : before.chains) retire(chain);
  retire(before.default_chain);
}

void Retired::add(const SnapshotChanges& changes, const std::shared_ptr<const Snapshot>& former) {
  const auto retire = [this](const auto& list, auto& retired) {
    for (const auto& change : list) {
      if (change.before == nullptr) continue;
      retired.push_back(change.before);
      ++added_;
    }
  };
  retire(changes.listeners, listeners_);
  retire(changes.clusters, clusters_);
  for (const auto& [name, before, after] : changes.listeners)
    if (before != nullptr) add_chains(*before, after.get());
  if (changes.listeners.size() + changes.clusters.size() > kFew) snapshots_.push_back(former);
  prune_within(added_ > kMuch ? kPruneSoon : kPruneDelay);
}

void Retired::add_hosts(std::vector<upstream::HostSetPtr> former) {
  size_t count = 0;
  for (const upstream::HostSetPtr& set : former) count += 1 + set->hosts.size();
  if (count <= kFewHosts) return;
  undertaker_.bury(
      {std::make_move_iterator(former.begin()), std::make_move_iterator(former.end())});
}

// Not put off by each further change: under steady ones it would never come.
void Retired::prune_within(Duration delay) {
  if (!timer_.is_armed() || timer_.deadline() > loop_.now() + delay) loop_.arm(timer_, delay);
}

// What only these lists hold is not used by any worker any more.  One table of ten thousand routes
// takes milliseconds to free: all goes to the thread.
void Retired::prune() {
  added_ = 0;
  Undertaker::Dead dead;
  const auto take = [&dead](auto& list) {
    std::erase_if(list, [&dead](auto& item) {
      if (item.use_count() != 1) return false;
      dead.push_back(std::move(item));
      return true;
    });
  };
  take(snapshots_);
  take(listeners_);
  take(chains_);
  take(clusters_);
  // Comes back here when they are free.
  if (!dead.empty()) undertaker_.bury(std::move(dead));
  // Of what was freed before.
  secrets_.prune();
  const bool is_over =
      snapshots_.empty() && listeners_.empty() && chains_.empty() && clusters_.empty();
  if (!is_over) prune_within(kPruneDelay);
}

}  // namespace pillion
