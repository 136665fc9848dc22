#pragma once
// Retired: superseded resources, until no worker uses them.  They die on a thread of
// their own, never on a worker (design, section 6), nor, as they may be large, on control.
//
// Owned by the Server, on its loop; looks again every some seconds, only while there is something,
// and when the thread has freed what was found last: that held other things, and secrets.

#include <memory>
#include <vector>

#include "proxy/builder/snapshot.h"
#include "proxy/builder/snapshot_changes.h"
#include "proxy/core/listener_config.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "proxy/tls/secret_store.h"
#include "proxy/undertaker.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/host_set.h"

namespace pillion {

class Retired {
 public:
  // How long what is superseded waits until it is looked whether it may die.
  static constexpr Duration kPruneDelay = std::chrono::seconds(10);
  // Where it is much.
  static constexpr Duration kPruneSoon = std::chrono::seconds(1);
  // Pieces.  So many route tables of a mesh are ten MiB.
  static constexpr size_t kMuch = 16;

  // Both outlive the object; the store is told to look for what nobody holds any more.
  Retired(io::Loop& loop, tls::SecretStore& secrets) : loop_(loop), secrets_(secrets) {}
  ~Retired() { stop(); }
  Retired(const Retired&) = delete;
  Retired& operator=(const Retired&) = delete;

  // What these changes of `former` have superseded.
  void add(const SnapshotChanges& changes, const std::shared_ptr<const Snapshot>& former);
  // Sets that workers had, and have handed back.
  void add_hosts(std::vector<upstream::HostSetPtr> former);
  // Still used by somebody: they drain.
  [[nodiscard]] const std::vector<std::shared_ptr<const core::ListenerConfig>>& listeners()
      const noexcept {
    return listeners_;
  }
  // Looks no more, and frees what was to be freed; before the loop ends.
  void stop();

 private:
  void add_chains(const core::ListenerConfig& before, const core::ListenerConfig* after);
  void prune();
  void prune_within(Duration delay);

  io::Loop& loop_;
  tls::SecretStore& secrets_;
  std::vector<std::shared_ptr<const core::ListenerConfig>> listeners_;
  std::vector<std::shared_ptr<const core::FilterChain>> chains_;
  std::vector<std::shared_ptr<const upstream::ClusterConfig>> clusters_;
  std::vector<std::shared_ptr<const Snapshot>> snapshots_;  // of large changes
  size_t added_ = 0;                                        // pieces since they were looked at
  io::Timer timer_ = io::Timer::of<&Retired::prune>(this);
  io::Inbox inbox_{loop_};
  Undertaker undertaker_{[this] { inbox_.post([this] { prune(); }); }};
};

}  // namespace pillion
