#include "proxy/context_stats.h"

#include <string_view>
#include <utility>

#include "proxy/base/slice.h"
#include "proxy/builder/snapshot_changes.h"
#include "proxy/builder/warming.h"

namespace pillion {
namespace {

// How long clusters are looked at in one go.
constexpr Duration kSlice = std::chrono::milliseconds(1);

}  // namespace

void ContextStats::on_changed(const tls::ContextSlot& slot) {
  changed_.insert(&slot);
  loop_.post_next(*this);
}

void ContextStats::run_ready() {
  if (walked_ == nullptr) {
    if (changed_.empty()) return;
    if (secrets_.is_making_contexts()) return loop_.post_next(*this);
    counted_ = std::exchange(changed_, {});
    walked_ = in_force_;
    at_ = walked_->clusters.begin();
    kept_ = in_force_;
    count_listeners();
  }
  const Slice slice(kSlice);
  while (at_ != walked_->clusters.end()) {
    count(**at_);
    ++at_;
    if (slice.is_over()) return loop_.post_next(*this);
  }
  walked_ = nullptr;
  counted_.clear();
  if (!changed_.empty()) loop_.post_next(*this);
}

// One of the contexts that have changed.
template <typename Config>
bool ContextStats::uses_one(const Config& config) const {
  bool found = false;
  for_each_tls(config, [&](const auto& slot) { found = found || counted_.contains(slot.get()); });
  return found;
}

void ContextStats::count_listeners() {
  for (const auto& listener : walked_->listeners) {
    if (!uses_one(*listener)) continue;
    auto& block = listeners_[listener->stat_name];
    if (!block)
      block = registry_.block<stats::ListenerTlsFactoryStats>(stats::kControl, listener->stat_name);
    block->ssl_context_update_by_sds.inc();
  }
}

void ContextStats::count(const upstream::ClusterConfig& cluster) {
  if (!uses_one(cluster)) return;
  // It may have gone, or be called otherwise, since the walk began.
  if (walked_ != in_force_) {
    const auto now = in_force_->clusters.find(cluster.name);
    if (now == nullptr || now->stat_name != cluster.stat_name) return;
  }
  OfCluster& one = clusters_[cluster.name];
  if (!one.block || one.stat_name != cluster.stat_name) {
    one.stat_name = cluster.stat_name;
    one.block = registry_.block<stats::ClusterTlsFactoryStats>(stats::kControl, cluster.stat_name);
  }
  one.block->ssl_context_update_by_sds.inc();
}

void ContextStats::keep() {
  if (kept_ == nullptr || kept_ == in_force_) return;
  const SnapshotChanges changes = changes_between(kept_.get(), *in_force_);
  for (const auto& [name, before, after] : changes.clusters) {
    const auto it = clusters_.find(name);
    if (it == clusters_.end()) continue;
    if (after == nullptr || after->stat_name != it->second.stat_name) clusters_.erase(it);
  }
  if (!changes.listeners.empty()) {
    std::unordered_set<std::string_view> names;
    for (const auto& listener : in_force_->listeners) names.insert(listener->stat_name);
    std::erase_if(listeners_, [&names](const auto& item) { return !names.contains(item.first); });
  }
  kept_ = clusters_.empty() && listeners_.empty() ? nullptr : in_force_;
}

}  // namespace pillion
