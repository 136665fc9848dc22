#pragma once
// ContextStats: ssl_context_update_by_sds of the listeners and clusters whose TLS context was made
// anew because a secret has changed.
//
// Owned by the Server, on its loop.  A rotation changes thousands of contexts, some in each turn:
// who uses them is found by one walk over what is in force, when no more of them are due, and in
// portions.

#include <map>
#include <memory>
#include <string>
#include <unordered_set>

#include "proxy/builder/snapshot.h"
#include "proxy/io/loop.h"
#include "proxy/stats/registry.h"
#include "proxy/tls/context_slot.h"
#include "proxy/tls/secret_store.h"

namespace pillion {

class ContextStats final : private io::ReadyTask {
 public:
  // All of them outlive the object; `in_force`: the configuration, then.
  ContextStats(io::Loop& loop, stats::Registry& registry, const tls::SecretStore& secrets,
               const std::shared_ptr<const Snapshot>& in_force)
      : loop_(loop), registry_(registry), secrets_(secrets), in_force_(in_force) {}

  void on_changed(const tls::ContextSlot& slot);
  // Another configuration is in force: what is gone leaves no metrics.
  void keep();

 private:
  void run_ready() override;
  template <typename Config>
  [[nodiscard]] bool uses_one(const Config& config) const;
  void count_listeners();
  void count(const upstream::ClusterConfig& cluster);

  io::Loop& loop_;
  stats::Registry& registry_;
  const tls::SecretStore& secrets_;
  const std::shared_ptr<const Snapshot>& in_force_;
  std::unordered_set<const tls::ContextSlot*> changed_;
  // Of the walk.
  std::unordered_set<const tls::ContextSlot*> counted_;
  std::shared_ptr<const Snapshot> walked_;  // null: there is none
  InForce<CompiledCluster>::const_iterator at_;
  std::shared_ptr<const Snapshot> kept_;  // of which these are; null: there are none
  // Of those whose contexts have changed: listeners by what they are called in metrics, clusters by
  // their names.
  std::map<std::string, stats::BlockRef<stats::ListenerTlsFactoryStats>> listeners_;
  struct OfCluster {
    std::string stat_name;
    stats::BlockRef<stats::ClusterTlsFactoryStats> block;
  };
  std::map<std::string, OfCluster, std::less<>> clusters_;
};

}  // namespace pillion
