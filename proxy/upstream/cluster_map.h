#pragma once
// ClusterMap: the clusters that one worker knows by name.  Owned by its Worker.

#include <memory>
#include <string_view>
#include <unordered_set>

#include "proxy/base/text_map.h"
#include "proxy/upstream/cluster.h"

namespace pillion::upstream {

// What control hands to a worker of one cluster: its configuration and current endpoints.
struct ClusterResource {
  std::shared_ptr<const ClusterConfig> config;
  std::shared_ptr<const HostSet> hosts;
};

class ClusterMap {
 public:
  explicit ClusterMap(const ClusterContext& context) : context_(context) {}

  // Null when no cluster has that name.  Makes the worker's Cluster on first use.
  Cluster* find(std::string_view name) {
    const auto it = entries_.find(name);
    if (it == entries_.end()) return nullptr;
    const Entry& entry = *it;
    if (!entry.cluster) {
      entry.cluster = make_ref<Cluster>(context_, entry.resource.config, entry.resource.hosts);
    }
    return entry.cluster.get();
  }
  [[nodiscard]] bool has(std::string_view name) const {
    return entries_.find(name) != entries_.end();
  }
  // What changes endpoints returns the set that it supersedes, or null: nothing large shall die on
  // a worker, which takes it to who frees it.

  // Adds or replaces.  Streams that run keep the cluster they chose.  Equal connection hashes keep
  // the hosts and so their connections.
  HostSetPtr set(const ClusterResource& resource);
  HostSetPtr set_hosts(std::string_view name, const HostSetPtr& hosts);
  // The health of hosts has changed, as told by control.
  void update_health(std::string_view name);
  HostSetPtr remove(std::string_view name);
  // Calls fn(Cluster&) for each cluster in use on this worker.
  template <typename Fn>
  void for_each(Fn&& fn) {
    for (const Entry& entry : entries_) {
      if (entry.cluster) fn(*entry.cluster);
    }
  }
  void clear() { entries_.clear(); }

 private:
  // Known by the name in its configuration: ten thousand clusters need no second copy of it.
  struct Entry {
    mutable ClusterResource resource;
    mutable Ref<Cluster> cluster;
    [[nodiscard]] std::string_view name() const noexcept { return resource.config->name; }
  };
  // Not noexcept, so that the standard library keeps each entry's hash beside it, and a lookup
  // reads no name but the one it finds.
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return TextHash{}(name); }
    size_t operator()(const Entry& entry) const { return TextHash{}(entry.name()); }
  };
  struct Equal {
    using is_transparent = void;
    static std::string_view name_of(std::string_view name) noexcept { return name; }
    static std::string_view name_of(const Entry& entry) noexcept { return entry.name(); }
    bool operator()(const auto& a, const auto& b) const noexcept {
      return name_of(a) == name_of(b);
    }
  };
  ClusterContext context_;
  std::unordered_set<Entry, Hash, Equal> entries_;
};

}  // namespace pillion::upstream
