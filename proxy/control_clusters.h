#pragma once
// ControlClusters: the clusters as control sees them, for those of its parts that call an upstream
// (spans now; xDS, certificates and keys later).
//
// Owned by the Server, on its loop, and made when somebody first needs a client.  It knows the few
// clusters that were called, learns of every change of them that workers learn of, and asks for
// others when they are first called.  Its connections and counters are those of one worker more.

#include <functional>
#include <string_view>
#include <utility>

#include "proxy/base/rng.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/map_client.h"
#include "proxy/worker.h"

namespace pillion {

class ControlClusters final : private upstream::ClusterClient {
 public:
  // The cluster of that name now; without a configuration if there is none.
  using Lookup = std::function<upstream::ClusterResource(std::string_view name)>;

  // All outlive it.
  ControlClusters(io::Loop& loop, io::WriteBatch& batch, stats::Registry& registry, Rng& rng,
                  Lookup look_up)
      : loop_(loop),
        clusters_(upstream::ClusterContext{loop, batch, registry, stats::kControl, rng}),
        client_(loop, batch, clusters_),
        look_up_(std::move(look_up)) {}

  [[nodiscard]] upstream::ClusterClient& client() noexcept { return *this; }

  // Was it ever called?
  [[nodiscard]] bool has(std::string_view name) const { return clusters_.has(name); }
  // New or changed.
  void set(const upstream::ClusterResource& resource) {
    if (clusters_.has(resource.config->name)) clusters_.set(resource);
  }
  void apply(const WorkerUpdate& update) {
    for (const upstream::ClusterResource& cluster : update.clusters) set(cluster);
    for (const std::string& name : update.removed_clusters) clusters_.remove(name);
  }
  void set_hosts(std::string_view name, const upstream::HostSetPtr& hosts) {
    clusters_.set_hosts(name, hosts);
  }
  void update_health(std::string_view name) { clusters_.update_health(name); }
  // All calls are over.  Connections close, and are gone after a turn of the loop.
  void close() {
    clusters_.clear();
    loop_.run_once(false);
  }

 private:
  upstream::ClientCallPtr open(std::string_view cluster, const upstream::CallHead& head,
                               upstream::ClientCallObserver& observer) override {
    if (!clusters_.has(cluster)) {
      if (const upstream::ClusterResource found = look_up_(cluster); found.config != nullptr)
        clusters_.set(found);
    }
    return client_.open(cluster, head, observer);
  }

  io::Loop& loop_;
  upstream::ClusterMap clusters_;
  upstream::MapClient client_;
  const Lookup look_up_;
};

}  // namespace pillion
