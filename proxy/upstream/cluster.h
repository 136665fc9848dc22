#pragma once
// Cluster: a cluster on one worker: its hosts, balancer, breakers and counters.
//
// Made on first use by the ClusterMap of the worker (a cluster nobody calls costs only its config).
// Reference-counted: a stream pins the cluster it chose, the map holds the current one.

#include <memory>
#include <unordered_map>
#include <vector>

#include "proxy/base/ref.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/balancer.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/host_list.h"

namespace pillion::upstream {

// The services of the worker that a cluster needs; outlive it.
struct ClusterContext {
  io::Loop& loop;
  io::WriteBatch& batch;
  stats::Registry& registry;
  uint16_t worker;
  Rng& rng;
};

struct PickContext {
  const Host* exclude = nullptr;  // failed a moment ago
  const io::Address* original_destination = nullptr;
  const std::vector<io::Address>* own_addresses = nullptr;  // of our listeners
};

// May connections made for one configuration serve the other?
inline bool can_keep_connections(const ClusterConfig& a, const ClusterConfig& b) noexcept {
  return a.connection_hash == b.connection_hash && a.limits == b.limits;
}

class Cluster final : public RefCounted<Cluster> {
 public:
  Cluster(const ClusterContext& context, std::shared_ptr<const ClusterConfig> config,
          const std::shared_ptr<const HostSet>& hosts);
  ~Cluster();

  [[nodiscard]] const ClusterConfig& config() const noexcept { return *config_; }
  [[nodiscard]] stats::ClusterStats& stats() noexcept { return *blocks_.traffic; }
  [[nodiscard]] size_t host_count() const noexcept { return hosts().size(); }
  [[nodiscard]] const std::vector<Ref<Host>>& hosts() const noexcept { return hosts_.all(); }

  // A host for the next attempt, in use, or null and why.
  Host* pick(const PickContext& context, Failure* failure);
  // Makes what a host of this cluster needs to be called; nothing if it is in use.
  Host& use(Host& host) {
    if (!host.is_in_use()) [[unlikely]]
      host.use(pool_context());
    return host;
  }
  // The pool of `host` that a request goes to: which protocol it speaks may depend on the request.
  Pool& pool(Host& host, const http::RequestHead& request) {
    const PoolProtocol protocol = config_->pool->protocol_for(request);
    if (host.pool().protocol() == protocol) [[likely]]
      return host.pool();
    return host.pool(protocol, pool_context());
  }
  // The request breaker: begin_request() false means overflow.
  bool begin_request() noexcept;
  void end_request() noexcept;
  // The retry breaker or budget: begin_retry() false means overflow.
  bool begin_retry() noexcept;
  void end_retry() noexcept { config_->limits->retries.release(); }
  // A response that the client does not get, because the request is tried again.
  void count_retried(uint16_t status);

  // New endpoints, not null: connections of addresses that stay are kept, those of others drain.
  void update_hosts(const std::shared_ptr<const HostSet>& hosts);
  // Flags in the HostHealth of hosts have changed.
  void update_health();
  // Takes a configuration that keeps connections (can_keep_connections); hosts and pools stay.
  // References into config() end here.
  void reconfigure(std::shared_ptr<const ClusterConfig> config);
  // Idle connections close, busy ones after their exchange; the last stream ends the cluster.
  void drain();

 private:
  Host* pick_original(const PickContext& context, Failure* failure);
  template <typename Fn>
  void for_each_pool(Fn&& fn) {
    for (const Ref<Host>& host : hosts()) host->for_each_pool(fn);
    for (auto& [address, entry] : originals_) entry.host->for_each_pool(fn);
  }
  void expire_original();
  void rebuild_balancer() { balancer_.rebuild(config_->balancer, hosts(), context_.rng); }
  Ref<Host> make_host(HostInfoPtr info);
  [[nodiscard]] Pool::Context pool_context() {
    return {context_.loop, context_.batch, blocks_, config_, context_.worker};
  }

  ClusterContext context_;
  std::shared_ptr<const ClusterConfig> config_;
  ClusterBlocks blocks_;
  HostList hosts_;
  Balancer balancer_;
  // ORIGINAL_DST: hosts made on demand, dropped after cleanup_interval without use.
  struct Original {
    Ref<Host> host;
    Instant used;
  };
  std::unordered_map<io::Address, Original, io::Address::Hash> originals_;
  io::Timer cleanup_ = io::Timer::of<&Cluster::expire_original>(this);
};

}  // namespace pillion::upstream
