#pragma once
// Host: one endpoint of a cluster as one worker sees it: its pools and its load.
//
// It has one pool for the cluster's protocol, and a second one where requests choose (PoolKey).
//
// Reference-counted on its worker: the cluster's balancer holds it while discovery names it, a
// stream while it uses it (or waits for its pool), and lets it go before its Ref<Cluster>. HostInfo
// is the immutable part that all workers share.

#include <memory>
#include <string_view>
#include <utility>

#include "proxy/base/ref.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/host_watch.h"
#include "proxy/upstream/pool.h"

namespace pillion::upstream {

class Host final : public RefCounted<Host> {
 public:
  Host(HostInfoPtr info, const Pool::Context& context)
      : identity_(info),
        counters_(identity_->stats->of(context.worker)),
        info_(std::move(info)),
        loop_(context.loop),
        pool_(new Pool(context, *identity_, counters_, context.config->pool->main_protocol())),
        watch_(HostWatch::make(*context.config, identity_->id, context.worker)) {}
  // Nobody uses or awaits a connection any more: each who does holds the host.
  ~Host() {
    for_each_pool([this](Pool& pool) {
      pool.close_all({FailureKind::kHostRemoved});
      loop_.delete_later(&pool);
    });
  }

  // These stay what they are, and where they are, as long as the Host lives (logs keep views).
  [[nodiscard]] const io::Address& address() const noexcept { return identity_->address; }
  [[nodiscard]] std::string_view hostname() const noexcept { return identity_->hostname(); }
  // Weight, priority, health as of the last update.
  [[nodiscard]] const HostInfo& info() const noexcept { return *info_; }
  // `info` has the same id.
  void set_info(HostInfoPtr info) noexcept { info_ = std::move(info); }
  // What discovery, outlier detection and health checks together come to.  For who rebuilds the
  // balancing.
  [[nodiscard]] bool is_healthy() const noexcept {
    return info_->is_healthy() && (flags() & (kFailed | kDegradedActive)) == 0;
  }
  [[nodiscard]] bool is_degraded() const noexcept {
    if ((flags() & kFailed) != 0) return false;
    return info_->is_degraded() || (info_->is_healthy() && (flags() & kDegradedActive) != 0);
  }
  // Flags have changed: connections to a host that is not to be used any more close when idle.
  void on_health_changed() {
    const bool is_usable = (flags() & kFailed) == 0;
    if (std::exchange(was_usable_, is_usable) && !is_usable)
      for_each_pool([](Pool& pool) { pool.close_idle(); });
  }
  // Of excluding_flags().
  [[nodiscard]] bool is_excluded(uint32_t excluding) const noexcept {
    return (flags() & excluding) != 0;
  }
  // A configuration that keeps connections takes effect.
  void set_config(const ClusterConfig& config, uint16_t worker) {
    watch_ = HostWatch::make(config, identity_->id, worker);
  }
  [[nodiscard]] Pool& pool() noexcept { return *pool_; }
  [[nodiscard]] const Pool& pool() const noexcept { return *pool_; }
  // The pool of that protocol; `context` as at construction.
  [[nodiscard]] Pool& pool(PoolProtocol protocol, const Pool::Context& context) {
    if (pool_->protocol() == protocol) return *pool_;
    if (other_ == nullptr) other_ = new Pool(context, *identity_, counters_, protocol);
    return *other_;
  }
  template <typename Fn>
  void for_each_pool(Fn&& fn) {
    fn(*pool_);
    if (other_ != nullptr) fn(*other_);
  }
  [[nodiscard]] bool has_empty_pools() const noexcept {
    return pool_->is_empty() && (other_ == nullptr || other_->is_empty());
  }
  // Requests of this worker that run here.
  [[nodiscard]] uint32_t active() const noexcept { return active_; }

  [[nodiscard]] HostCounters& counters() noexcept { return counters_; }

  void on_request_start() noexcept {
    ++active_;
    counters_.rq_total.inc();
    counters_.rq_active.inc();
  }
  void on_request_end() noexcept {
    --active_;
    counters_.rq_active.dec();
  }
  void on_connect_failed() noexcept { counters_.cx_connect_fail.inc(); }

  // Does anybody want to know of answers?
  [[nodiscard]] bool is_watched() const noexcept { return watch_ != nullptr; }
  // What became of an attempt, for outlier detection: once for its answer, and for anything else
  // that happened to it.  `is_grpc`: the request is.
  void on_response(const http::ResponseHead& head, bool is_grpc) {
    if (watch_) watch_->on_response(head, is_grpc);
  }
  void on_outcome(AttemptOutcome outcome) {
    if (watch_) watch_->on_outcome(outcome);
  }
  // An attempt that failed before its answer, or while it came: its own limits are not the host's
  // fault.
  void on_failure(Failure failure) {
    if (watch_ && failure.row().side == FailureSide::upstream &&
        failure.kind != FailureKind::kOverflow && failure.kind != FailureKind::kHostRemoved) {
      watch_->on_outcome(AttemptOutcome::kFailed);
    }
  }

 private:
  static constexpr uint32_t kFailed = kFailedActive | kFailedOutlier;
  [[nodiscard]] uint32_t flags() const noexcept { return watch_ ? watch_->flags() : 0; }

  const HostInfoPtr identity_;
  HostCounters& counters_;  // of this worker, in identity_
  HostInfoPtr info_;
  io::Loop& loop_;
  Pool* pool_;
  std::unique_ptr<HostWatch> watch_;  // null: nobody watches or checks the cluster's hosts
  Pool* other_ = nullptr;             // of another protocol, made on first use
  uint32_t active_ = 0;
  bool was_usable_ = true;
};

}  // namespace pillion::upstream
