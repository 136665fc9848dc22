#include "proxy/upstream/cluster.h"

#include <algorithm>

#include "proxy/base/assert.h"
#include "proxy/base/log.h"
#include "proxy/io/original_dst.h"

namespace pillion::upstream {
namespace {

ClusterBlocks make_blocks(const ClusterContext& context, const ClusterConfig& config) {
  stats::Registry& registry = context.registry;
  ClusterBlocks blocks;
  blocks.traffic = registry.block<stats::ClusterStats>(context.worker, config.stat_name);
  blocks.http1 = registry.block<stats::ClusterHttp1Stats>(context.worker, config.stat_name);
  if (config.pool->protocol != UpstreamProtocol::kHttp1) {
    blocks.http2 = registry.block<stats::ClusterHttp2Stats>(context.worker, config.stat_name);
  }
  if (config.pool->may_use_tls()) {
    blocks.tls = registry.block<stats::ClusterTlsStats>(context.worker, config.stat_name);
    blocks.tls_factory =
        registry.block<stats::ClusterTlsFactoryStats>(context.worker, config.stat_name);
  }
  return blocks;
}

// Does a connection to `to` come back to the listener at `own`?
bool leads_to(const io::Address& to, const io::Address& own) noexcept {
  if (own.port() != to.port()) return false;
  if (own == to || (to.is_any() && own.is_loopback())) return true;
  return own.is_any() && (to.is_any() || to.is_loopback() || io::is_own_ip(to));
}

}  // namespace

Cluster::Cluster(const ClusterContext& context, std::shared_ptr<const ClusterConfig> config,
                 const std::shared_ptr<const HostSet>& hosts)
    : context_(context), config_(std::move(config)), blocks_(make_blocks(context, *config_)) {
  if (hosts) update_hosts(hosts);
}

Cluster::~Cluster() = default;

Host* Cluster::pick(const PickContext& context, Failure* failure) {
  if (config_->type == DiscoveryType::kOriginalDst) return pick_original(context, failure);
  bool panic = false;
  Host* host = balancer_.pick(context_.rng, context.exclude, &panic);
  if (panic) stats().lb_healthy_panic.inc();
  if (host == nullptr) {
    stats().upstream_cx_none_healthy.inc();
    *failure = {FailureKind::kNoHealthyUpstream};
    return nullptr;
  }
  return &use(*host);
}

// The address the client meant; never one of our own listeners, or the connection would come back
// to us and open another, until descriptors are gone.
Host* Cluster::pick_original(const PickContext& context, Failure* failure) {
  io::Address to =
      context.original_destination == nullptr ? io::Address{} : *context.original_destination;
  if (config_->original_dst_port != 0) to.set_port(config_->original_dst_port);
  if (!to.is_ip()) {
    stats().original_dst_host_invalid.inc();
    stats().upstream_cx_none_healthy.inc();
    *failure = {FailureKind::kNoHealthyUpstream};
    return nullptr;
  }
  if (context.own_addresses != nullptr &&
      std::ranges::any_of(*context.own_addresses,
                          [&to](const io::Address& own) { return leads_to(to, own); })) {
    stats().original_dst_is_self.inc();
    static log::Limit limit{std::chrono::seconds(10)};
    log::warning(
        limit, log::kUpstream,
        "refused to connect to one of our own listeners: a client called its port directly, or the "
        "capture rules do not exclude the sidecar's own traffic",
        {{"cluster", config_->name.view()}, {"destination", to}});
    *failure = {FailureKind::kOriginalDstIsSelf};
    return nullptr;
  }
  Original& entry = originals_[to];
  entry.used = context_.loop.now();
  if (!entry.host) {
    auto info = make_atomic_ref<HostInfo>();
    info->address = to;
    entry.host = make_host(std::move(info));
    if (!cleanup_.is_armed()) context_.loop.arm(cleanup_, config_->cleanup_interval);
  }
  return &use(*entry.host);
}

void Cluster::expire_original() {
  const Instant now = context_.loop.now();
  std::erase_if(originals_, [&](const auto& item) {
    const Original& entry = item.second;
    return now - entry.used >= config_->cleanup_interval && entry.host->active() == 0 &&
           entry.host->has_empty_pools();
  });
  if (!originals_.empty()) context_.loop.arm(cleanup_, config_->cleanup_interval);
}

bool Cluster::begin_request() noexcept {
  if (!config_->limits->requests.try_acquire(config_->pool->limits.max_requests)) {
    stats().upstream_rq_active_overflow.inc();
    return false;
  }
  stats().upstream_rq_active.inc();
  return true;
}

void Cluster::end_request() noexcept {
  config_->limits->requests.release();
  stats().upstream_rq_active.dec();
}

bool Cluster::begin_retry() noexcept {
  SharedLimits& limits = *config_->limits;
  if (limits.retries.try_acquire(config_->pool->limits.retries_allowed(limits))) {
    stats().upstream_rq_retry.inc();
    return true;
  }
  stats().upstream_rq_retry_overflow.inc();
  return false;
}

void Cluster::count_retried(uint16_t status) {
  if (!blocks_.retry) {
    blocks_.retry =
        context_.registry.block<stats::ClusterRetryStats>(context_.worker, config_->stat_name);
  }
  stats::count_upstream_response(*blocks_.retry, status);
}

Ref<Host> Cluster::make_host(HostInfoPtr info) {
  return make_ref<Host>(std::move(info), *config_, context_.worker);
}

void Cluster::reconfigure(std::shared_ptr<const ClusterConfig> config) {
  DASSERT(can_keep_connections(*config, *config_));
  config_ = std::move(config);
  for_each_pool([this](Pool& pool) { pool.set_config(config_); });
  for (const Ref<Host>& host : hosts()) host->set_config(*config_, context_.worker);
  rebuild_balancer();
  if (cleanup_.is_armed()) context_.loop.arm(cleanup_, config_->cleanup_interval);
}

void Cluster::update_hosts(const std::shared_ptr<const HostSet>& hosts) {
  if (hosts == hosts_.set()) return;
  hosts_.adopt(
      hosts, [this](const HostInfoPtr& info) { return make_host(info); },
      [](Host& gone) { gone.for_each_pool([](Pool& pool) { pool.drain(); }); });
  rebuild_balancer();
}

void Cluster::update_health() {
  for (const Ref<Host>& host : hosts()) host->on_health_changed();
  rebuild_balancer();
}

void Cluster::drain() {
  for_each_pool([](Pool& pool) { pool.drain(); });
}

}  // namespace pillion::upstream
