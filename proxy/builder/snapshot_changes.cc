#include "proxy/builder/snapshot_changes.h"

#include <algorithm>
#include <unordered_map>

namespace pillion {
namespace {

template <typename Compiled, typename Config>
class Finder {
 public:
  using File = std::vector<Piece<Compiled>>;
  using Dynamic = Pieces<Compiled>;

  void look_at_file(const File& before, const File& after) {
    if (is_same(before, after)) return;
    for (const Piece<Compiled>& piece : after) add(nullptr, &piece);
    for (const Piece<Compiled>& piece : before) add(&piece, nullptr);
  }
  void look_at_dynamic(const Dynamic& before, const Dynamic& after) {
    diff(before, after,
         [this](std::string_view, const Piece<Compiled>* a, const Piece<Compiled>* b) {
           add(a, b);
         });
  }
  std::vector<Change<Config>> finish() {
    std::erase_if(found_, [](const Change<Config>& c) { return c.before == c.after; });
    return std::move(found_);
  }

 private:
  static bool is_same(const File& a, const File& b) {
    return std::ranges::equal(
        a, b, {}, [](const auto& piece) { return config_of(&piece).get(); },
        [](const auto& piece) { return config_of(&piece).get(); });
  }
  static std::shared_ptr<const Config> config_of(const Piece<Compiled>* piece) {
    return piece == nullptr || piece->active == nullptr ? nullptr : piece->active->config;
  }
  // A name may leave the file and come from the control plane, or the other way.
  void add(const Piece<Compiled>* before, const Piece<Compiled>* after) {
    const std::shared_ptr<const Config> a = config_of(before);
    const std::shared_ptr<const Config> b = config_of(after);
    if (a == b) return;
    const std::string_view name = a != nullptr ? a->name : b->name;
    const auto [it, is_new] = places_.emplace(name, found_.size());
    if (is_new) found_.push_back({name, nullptr, nullptr});
    Change<Config>& change = found_[it->second];
    if (a != nullptr) change.before = a;
    if (b != nullptr) change.after = b;
  }

  std::vector<Change<Config>> found_;
  std::unordered_map<std::string_view, size_t> places_;
};

}  // namespace

SnapshotChanges changes_between(const Snapshot* before, const Snapshot& after) {
  static const Resources kNone;
  const Resources& a = before == nullptr ? kNone : *before->resources;
  const Resources& b = *after.resources;
  Finder<CompiledCluster, upstream::ClusterConfig> clusters;
  clusters.look_at_file(a.file_clusters, b.file_clusters);
  clusters.look_at_dynamic(a.clusters, b.clusters);
  Finder<CompiledListener, core::ListenerConfig> listeners;
  listeners.look_at_file(a.file_listeners, b.file_listeners);
  listeners.look_at_dynamic(a.listeners, b.listeners);
  return {clusters.finish(), listeners.finish()};
}

}  // namespace pillion
