#include "proxy/retired.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "proxy/base/background_thread.h"

namespace pillion {
namespace {

// How often it is looked whether superseded configuration may die; only while there is some.
constexpr Duration kPruneDelay = std::chrono::seconds(10);
// When snapshots or listeners have died: what they had is free then.
constexpr Duration kPruneAgainDelay = std::chrono::seconds(1);
// A change of more pieces keeps the snapshot that it supersedes for the thread.
constexpr size_t kFew = 64;

}  // namespace

Retired::~Retired() {
  timer_.cancel();
  if (undertaker_.joinable()) undertaker_.join();
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
  const auto retire = [](const auto& list, auto& retired) {
    for (const auto& change : list)
      if (change.before != nullptr) retired.push_back(change.before);
  };
  retire(changes.listeners, listeners_);
  retire(changes.clusters, clusters_);
  for (const auto& [name, before, after] : changes.listeners)
    if (before != nullptr) add_chains(*before, after.get());
  if (changes.listeners.size() + changes.clusters.size() > kFew) snapshots_.push_back(former);
  // Not put off by each further change: under steady ones it would never come.
  if (!timer_.is_armed()) loop_.arm(timer_, kPruneDelay);
}

// What only these lists hold is not used by any worker any more.  One table of ten thousand routes
// takes milliseconds to free: all goes to the thread.
void Retired::prune() {
  std::vector<std::shared_ptr<const void>> dead;
  const auto take = [&dead](auto& list) {
    std::erase_if(list, [&dead](auto& item) {
      if (item.use_count() != 1) return false;
      dead.push_back(std::move(item));
      return true;
    });
  };
  take(snapshots_);
  take(listeners_);
  const bool frees_others = !dead.empty();
  take(chains_);
  take(clusters_);
  if (!dead.empty()) bury(std::move(dead));
  secrets_.prune();
  const bool is_over =
      snapshots_.empty() && listeners_.empty() && chains_.empty() && clusters_.empty();
  if (!is_over) loop_.arm(timer_, frees_others ? kPruneAgainDelay : kPruneDelay);
}

void Retired::bury(std::vector<std::shared_ptr<const void>> dead) {
  if (undertaker_.joinable()) undertaker_.join();
  undertaker_ = std::thread([dead = std::move(dead)]() mutable {
    stand_back();
    dead.clear();
  });
}

}  // namespace pillion
