#pragma once
// ControlClusters: the clusters as control sees them, for those of its parts that call an upstream
// (spans now; xDS, certificates and keys later).
//
// Owned by the Server, on its loop, and made when somebody first needs a client: it then learns of
// every change that workers learn of.  Its connections and counters are those of one worker more.

#include <memory>
#include <string>

#include "proxy/base/rng.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/map_client.h"
#include "proxy/worker.h"

namespace pillion {

class ControlClusters {
 public:
  // All outlive it.
  ControlClusters(io::Loop& loop, io::WriteBatch& batch, stats::Registry& registry, Rng& rng)
      : loop_(loop),
        clusters_(upstream::ClusterContext{loop, batch, registry, stats::kControl, rng}),
        client_(loop, batch, clusters_) {}

  [[nodiscard]] upstream::ClusterClient& client() noexcept { return client_; }

  void set(const upstream::ClusterResource& resource) { clusters_.set(resource); }
  void apply(const WorkerUpdate& update) {
    for (const upstream::ClusterResource& cluster : update.clusters) clusters_.set(cluster);
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
  io::Loop& loop_;
  upstream::ClusterMap clusters_;
  upstream::MapClient client_;
};

}  // namespace pillion
