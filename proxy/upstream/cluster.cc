#include "proxy/upstream/cluster.h"

#include <algorithm>

namespace pillion::upstream {

Cluster::Cluster(const ClusterContext& context, std::shared_ptr<const ClusterConfig> config,
                 std::shared_ptr<const HostSet> hosts)
    : context_(context),
      config_(std::move(config)),
      stats_(context.registry.block<stats::ClusterStats>(context.worker, config_->stat_name)) {
  if (hosts) adopt_hosts(*hosts);
}

Cluster::~Cluster() = default;

Host* Cluster::pick(const PickContext& context, Failure* failure) {
  if (config_->type == DiscoveryType::kOriginalDst) return pick_original(context, failure);
  bool panic = false;
  Host* host = balancer_.pick(context_.rng, context.exclude, &panic);
  if (panic) stats_->lb_healthy_panic.inc();
  if (host == nullptr) {
    stats_->upstream_cx_none_healthy.inc();
    *failure = {FailureKind::kNoHealthyUpstream};
  }
  return host;
}

// The address the client meant; never one of our own listeners, or the connection would come back to
// us and open another, until descriptors are gone.
Host* Cluster::pick_original(const PickContext& context, Failure* failure) {
  io::Address to = context.original_destination == nullptr ? io::Address{} : *context.original_destination;
  if (config_->original_dst_port != 0) to.set_port(config_->original_dst_port);
  if (!to.is_ip()) {
    stats_->upstream_cx_none_healthy.inc();
    *failure = {FailureKind::kNoHealthyUpstream};
    return nullptr;
  }
  for (const io::Address& own : *context.own_addresses) {
    const bool same_port = own.port() == to.port();
    if (same_port && (own == to || (own.is_any() && to.is_loopback()))) {
      stats_->original_dst_is_self.inc();
      *failure = {FailureKind::kOriginalDstIsSelf};
      return nullptr;
    }
  }
  Original& entry = originals_[to];
  entry.used = context_.loop.now();
  if (!entry.host) {
    auto info = std::make_shared<HostInfo>();
    info->address = to;
    entry.host = make_host(std::move(info));
    if (!cleanup_.is_armed()) context_.loop.arm(cleanup_, config_->cleanup_interval);
  }
  return entry.host.get();
}

void Cluster::expire_original() {
  const Instant now = context_.loop.now();
  std::erase_if(originals_, [&](const auto& item) {
    const Original& entry = item.second;
    return now - entry.used >= config_->cleanup_interval && entry.host->active() == 0 && entry.host->pool().is_empty();
  });
  if (!originals_.empty()) context_.loop.arm(cleanup_, config_->cleanup_interval);
}

bool Cluster::begin_request() noexcept {
  if (!config_->limits->requests.try_acquire(config_->pool.limits.max_requests)) {
    stats_->upstream_rq_active_overflow.inc();
    stats_->upstream_rq_pending_overflow.inc();
    return false;
  }
  stats_->upstream_rq_total.inc();
  stats_->upstream_rq_active.inc();
  return true;
}

void Cluster::end_request() noexcept {
  config_->limits->requests.release();
  stats_->upstream_rq_active.dec();
}

Ref<Host> Cluster::make_host(HostInfoPtr info) {
  return make_ref<Host>(std::move(info), Pool::Context{context_.loop, context_.batch, config_->pool, *config_->limits, *stats_});
}

void Cluster::update_hosts(std::shared_ptr<const HostSet> hosts) {
  adopt_hosts(*hosts);
}

void Cluster::adopt_hosts(const HostSet& set) {
  std::vector<Ref<Host>> next;
  next.reserve(set.hosts.size());
  std::unordered_map<HostId, Ref<Host>> known;
  for (Ref<Host>& host : hosts_) known.emplace(host->info().id, std::move(host));
  for (const HostInfoPtr& info : set.hosts) {
    const auto old = known.find(info->id);
    if (old == known.end()) {
      next.push_back(make_host(info));
      continue;
    }
    old->second->set_info(info);
    next.push_back(std::move(old->second));
    known.erase(old);
  }
  for (auto& [id, gone] : known) gone->pool().drain();
  hosts_ = std::move(next);
  balancer_.rebuild(config_->balancer, hosts_, context_.rng);
}

void Cluster::drain() {
  for (Ref<Host>& host : hosts_) host->pool().drain();
  for (auto& [address, entry] : originals_) entry.host->pool().drain();
}

}  // namespace pillion::upstream
