#pragma once
// Worker: one thread with one loop: its listeners, their connections, its clusters.
//
// Owned by the Server, which makes it, start()s it, and talks to it by post()ed messages only; the
// message of the last resort is stop().  Everything else here belongs to the worker's own thread.
// Configuration comes as WorkerUpdates, one after the other.  A large one is applied in portions,
// between which requests go on: clusters first, then the listeners that name them, then what is
// removed.  So a request sees the listeners of before with clusters of before or after, or those of
// after with clusters of after.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "proxy/base/text_map.h"
#include "proxy/builder/listen_addresses.h"
#include "proxy/core/listener.h"
#include "proxy/core/worker_context.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "proxy/io/turn_watch.h"
#include "proxy/io/writer.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/cluster_map.h"

namespace pillion {

// What a change of configuration means for a worker.  Shared by all workers, immutable.
struct WorkerUpdate {
  struct NewListener {
    std::shared_ptr<const core::ListenerConfig> config;
    std::vector<std::vector<int>> sockets;  // [worker], bound, one for each address
  };
  std::vector<upstream::ClusterResource> clusters;  // new and changed
  std::vector<std::string> removed_clusters;
  std::vector<NewListener> new_listeners;
  std::vector<std::shared_ptr<const core::ListenerConfig>> changed_listeners;  // their sockets stay
  std::vector<std::string> removed_listeners;
  // Of each of these what lives until no worker has it any more (drain_count.h); or empty.
  std::vector<std::shared_ptr<const void>> draining;
  core::ChainDrains draining_chains;  // of changed listeners
  // All addresses of ours after the update; null: as before.
  std::shared_ptr<const std::vector<io::Address>> own_addresses;
};

// What workers are told of endpoints between two configurations (host_broadcast.h).
struct HostNews {
  TextMap<upstream::HostSetPtr> hosts;
  // Clusters whose hosts have other flags in their HostHealth.
  std::set<std::string, std::less<>> health;
  [[nodiscard]] bool empty() const noexcept { return hosts.empty() && health.empty(); }
};

// Downstream connections of the whole process against its budget.  Written once a connection.
struct ConnectionBudget {
  std::atomic<int64_t> used{0};
  std::atomic<int64_t> limit{INT64_MAX};
};

class Worker final : private core::ListenerOwner, private io::ReadyTask {
 public:
  // `registry` and `budget` outlive the worker.
  Worker(uint16_t index, stats::Registry& registry, ConnectionBudget& budget, Duration drain_time);
  ~Worker();  // after stop()

  void start();
  // Any thread.  `fn` runs on the worker's thread with the worker as its argument.
  template <typename Fn>
  void post(Fn&& fn) {
    inbox_.post([this, fn = std::forward<Fn>(fn)]() mutable { fn(*this); });
  }
  // Any thread but the worker's: closes everything, ends the thread and waits for it.
  void stop();

  // ---- on the worker's thread ----
  // Sets that the worker has no use for any more; they are to be freed elsewhere.
  using FormerHosts = std::vector<upstream::HostSetPtr>;
  // At once if it is small; else the rest follows in later turns.  Then calls `done`, which is
  // given the update too, so that it can take it elsewhere to be freed.  Not before the one before
  // is done.
  using Applied = std::function<void(std::shared_ptr<const WorkerUpdate>, FormerHosts)>;
  void apply(std::shared_ptr<const WorkerUpdate> update, Applied done = {});
  // When the update that is being applied is; then calls `done`, likewise.
  using Taken = std::function<void(std::shared_ptr<const HostNews>, FormerHosts)>;
  void take_news(std::shared_ptr<const HostNews> news, Taken done = {});
  // That requests to the cluster can go to; 0 if there is no such cluster.
  [[nodiscard]] size_t host_count(std::string_view cluster) {
    const upstream::Cluster* found = clusters_.find(cluster);
    return found == nullptr ? 0 : found->host_count();
  }
  // A document that filters share has changed (core/shared_document.h).
  void wake_document_waiters() { context_.document_waiters.wake(); }
  // Before start(): whom requests without a route ask (core/route_demand.h); it outlives the
  // worker.
  void set_route_asker(core::RouteAsker& asker) { context_.route_demands.set_asker(&asker); }
  // Before start(): how long turns take is counted (enable_dispatcher_stats).
  void watch_turns();
  void answer_routes(const std::vector<core::RouteName>& names) {
    context_.route_demands.answer(names, loop_.now());
  }
  // From now on every response, or a growing share of them, announces the end of its connection.
  void announce_drain(bool gradual);
  // What the health_check filter tells (/healthcheck/fail and ok).
  void fail_health_checks(bool fail) { context_.fails_health_checks = fail; }
  // Closes listening sockets, after taking what waits in the kernel; all, or those that take
  // inbound traffic.  Such listeners that come later do not listen.
  void close_sockets(bool inbound_only);
  void close_connections();

 private:
  struct Slot {
    std::unique_ptr<core::Listener> listener;
    bool is_old = false;  // replaced or removed: goes when its last connection ends
    Instant deadline{};   // of an old one: its connections are closed
    std::shared_ptr<const void> draining;  // of an old one: WorkerUpdate::draining
  };

  // The update that is being applied, and how far that has come.
  struct Applying {
    std::shared_ptr<const WorkerUpdate> update;
    Applied done;
    size_t clusters = 0;
    size_t changed = 0;
    size_t added = 0;
    size_t removed = 0;
    size_t removed_clusters = 0;
    FormerHosts former;
    std::vector<std::function<void()>> later;  // what came meanwhile, and means what is after it
    size_t done_later = 0;
  };

  // ReadyTask
  void run_ready() override;
  // One piece; false if there is none left.
  bool apply_one();
  void finish_applying();
  void set_hosts(const std::string& cluster, const upstream::HostSetPtr& hosts,
                 FormerHosts& former);
  // When the update that is being applied is; now if there is none.
  void when_applied(std::function<void()> fn);

  // ListenerOwner
  core::Listener* find_listener(const io::Address& destination) override;
  void on_listener_empty(core::Listener& listener) override;
  bool may_accept() override;
  void on_connection_count(int change) override;

  void run();
  void add_listener(const std::shared_ptr<const core::ListenerConfig>& config,
                    std::span<const int> sockets);
  void retire(const std::string& name, std::shared_ptr<const void> draining);
  void index_addresses();
  void end_retired();
  void pause_accepting();
  void try_resume();
  void shut_down();

  const uint16_t index_;
  ConnectionBudget& budget_;
  io::Loop loop_;
  io::WriteBatch batch_{loop_};
  upstream::ClusterMap clusters_;
  core::WorkerContext context_;
  io::Inbox inbox_{loop_};
  std::vector<Slot> listeners_;
  TextMap<core::Listener*> by_name_;   // those that are not old
  TextMap<core::Listener*> replaced_;  // not old either, but one of the same name is there already
  // Of the same: the first for each address, and the last for each port of all addresses.  Made
  // when somebody asks.
  std::unordered_map<io::Address, core::Listener*, io::Address::Hash> by_address_;
  std::unordered_map<uint16_t, core::Listener*> by_port_;
  bool is_indexed_ = false;
  std::unique_ptr<Applying> applying_;  // null: nothing is
  std::shared_ptr<const std::vector<io::Address>> own_addresses_;
  stats::BlockRef<stats::ServerStats> stats_;
  stats::BlockRef<stats::ListenerManagerStats> listener_stats_;
  stats::BlockRef<stats::WorkerDispatcherStats> turn_stats_;
  std::optional<io::TurnWatch> turns_;  // none: nobody watches
  io::Timer resume_timer_ = io::Timer::of<&Worker::try_resume>(this);
  io::Timer retired_timer_ = io::Timer::of<&Worker::end_retired>(this);
  bool accepting_paused_ = false;
  StoppedListeners stopped_ = StoppedListeners::kNone;
  std::thread thread_;
};

}  // namespace pillion
