#pragma once
// Retired: superseded resources, until no worker uses them.  They die on a thread of
// their own, never on a worker (design, section 6), nor, as they may be large, on control.
//
// Owned by the Server, on its loop; looks again every some seconds, only while there is something.

#include <memory>
#include <thread>
#include <vector>

#include "proxy/builder/snapshot.h"
#include "proxy/builder/snapshot_changes.h"
#include "proxy/core/listener_config.h"
#include "proxy/io/loop.h"
#include "proxy/tls/secret_store.h"
#include "proxy/upstream/cluster_config.h"

namespace pillion {

class Retired {
 public:
  // Both outlive the object; the store is told to look for what nobody holds any more.
  Retired(io::Loop& loop, tls::SecretStore& secrets) : loop_(loop), secrets_(secrets) {}
  ~Retired();
  Retired(const Retired&) = delete;
  Retired& operator=(const Retired&) = delete;

  // What these changes of `former` have superseded.
  void add(const SnapshotChanges& changes, const std::shared_ptr<const Snapshot>& former);
  // Still used by somebody: they drain.
  [[nodiscard]] const std::vector<std::shared_ptr<const core::ListenerConfig>>& listeners()
      const noexcept {
    return listeners_;
  }
  // Looks no more; before the loop ends.
  void stop() { timer_.cancel(); }

 private:
  void add_chains(const core::ListenerConfig& before, const core::ListenerConfig* after);
  void prune();
  // Frees them on a thread of its own.
  void bury(std::vector<std::shared_ptr<const void>> dead);

  io::Loop& loop_;
  tls::SecretStore& secrets_;
  std::vector<std::shared_ptr<const core::ListenerConfig>> listeners_;
  std::vector<std::shared_ptr<const core::FilterChain>> chains_;
  std::vector<std::shared_ptr<const upstream::ClusterConfig>> clusters_;
  std::vector<std::shared_ptr<const Snapshot>> snapshots_;  // of large changes
  std::thread undertaker_;
  io::Timer timer_ = io::Timer::of<&Retired::prune>(this);
};

}  // namespace pillion
