#pragma once
// Worker: one thread with one loop: its listeners, their connections, its clusters.
//
// Owned by the Server, which makes it, start()s it, and talks to it by post()ed messages only; the
// message of the last resort is stop().  Everything else here belongs to the worker's own thread.
// Configuration comes as WorkerUpdates, each applied in one turn.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "proxy/core/listener.h"
#include "proxy/core/worker_context.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
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
  // All addresses of ours after the update; kept alive by the update, which the worker keeps.
  std::vector<io::Address> own_addresses;
};

// Downstream connections of the whole process against its budget.  Written once a connection.
struct ConnectionBudget {
  std::atomic<int64_t> used{0};
  std::atomic<int64_t> limit{INT64_MAX};
};

class Worker final : private core::ListenerOwner {
 public:
  // `registry` and `budget` outlive the worker.
  Worker(uint16_t index, stats::Registry& registry, ConnectionBudget& budget, Duration drain_time);
  ~Worker();  // after stop()

  void start();
  // Any thread.  `fn` runs on the worker's thread with the worker as its argument.
  template <typename Fn>
  void post(Fn&& fn) {
    inbox_.post([this, fn = std::forward<Fn>(fn)] { fn(*this); });
  }
  // Any thread but the worker's: closes everything, ends the thread and waits for it.
  void stop();

  // ---- on the worker's thread ----
  void apply(std::shared_ptr<const WorkerUpdate> update);
  void set_hosts(const std::string& cluster, const std::shared_ptr<const upstream::HostSet>& hosts);
  void update_health(const std::string& cluster) { clusters_.update_health(cluster); }
  // A document that filters share has changed (core/shared_document.h).
  void wake_document_waiters() { context_.document_waiters.wake(); }
  // Before start(): whom requests without a route ask (core/route_demand.h); it outlives the
  // worker.
  void set_route_asker(core::RouteAsker& asker) { context_.route_demands.set_asker(&asker); }
  void answer_routes(const std::vector<core::RouteName>& names) {
    context_.route_demands.answer(names, loop_.now());
  }
  // From now on every response, or a growing share of them, announces the end of its connection.
  void announce_drain(bool gradual);
  // What the health_check filter tells (/healthcheck/fail and ok).
  void fail_health_checks(bool fail) { context_.fails_health_checks = fail; }
  // Closes listening sockets, after taking what waits in the kernel; all, or those that take
  // inbound traffic.
  void close_sockets(bool inbound_only);
  void close_connections();

 private:
  struct Slot {
    std::unique_ptr<core::Listener> listener;
    bool is_old = false;  // replaced or removed: goes when its last connection ends
    Instant deadline{};   // of an old one: its connections are closed
  };

  // ListenerOwner
  core::Listener* find_listener(const io::Address& destination) override;
  void on_listener_empty(core::Listener& listener) override;
  bool may_accept() override;
  void on_connection_count(int change) override;

  void run();
  void add_listener(const std::shared_ptr<const core::ListenerConfig>& config,
                    std::span<const int> sockets);
  void retire(const std::string& name);
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
  std::shared_ptr<const WorkerUpdate> current_;
  stats::BlockRef<stats::ServerStats> stats_;
  stats::BlockRef<stats::ListenerManagerStats> listener_stats_;
  io::Timer resume_timer_ = io::Timer::of<&Worker::try_resume>(this);
  io::Timer retired_timer_ = io::Timer::of<&Worker::end_retired>(this);
  bool accepting_paused_ = false;
  std::thread thread_;
};

}  // namespace pillion
