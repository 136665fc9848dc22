#pragma once
// Host: one endpoint of a cluster as one worker sees it: its pools and its load.
//
// It has one pool for the cluster's protocol, and a second one where requests choose (PoolKey).
// Until a worker calls it there is neither, nor counters: a cluster may have fifty thousand hosts,
// which are made in one turn and mostly wait for ever.  Order: use() once it is picked, then all
// that is said to be of a host in use.
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
  Host(HostInfoPtr info, const ClusterConfig& config, uint16_t worker)
      : identity_(std::move(info)),
        info_(identity_.get()),
        watch_(HostWatch::make(config, identity_->id, worker)) {}
  // Nobody uses or awaits a connection any more: each who does holds the host.
  ~Host();

  [[nodiscard]] bool is_in_use() const noexcept { return pool_ != nullptr; }
  // Makes its pool and its counters; once.
  void use(const Pool::Context& context);

  // These stay what they are, and where they are, as long as the Host lives (logs keep views).
  [[nodiscard]] const io::Address& address() const noexcept { return identity_->address; }
  [[nodiscard]] std::string_view hostname() const noexcept { return identity_->hostname(); }
  // Weight, priority, health as of the last update.
  [[nodiscard]] const HostInfo& info() const noexcept { return *info_; }
  // `info` has the same id.
  void set_info(HostInfoPtr info) noexcept {
    info_ = info.get();
    newer_ = std::move(info);
  }
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
  // A configuration that keeps connections takes effect; it may heed other flags.
  void set_config(const ClusterConfig& config, uint16_t worker) {
    watch_ = HostWatch::make(config, identity_->id, worker);
    on_health_changed();
  }
  template <typename Fn>
  void for_each_pool(Fn&& fn) {
    if (pool_ != nullptr) fn(*pool_);
    if (other_ != nullptr) fn(*other_);
  }
  [[nodiscard]] bool has_empty_pools() const noexcept {
    return (pool_ == nullptr || pool_->is_empty()) && (other_ == nullptr || other_->is_empty());
  }
  // Requests of this worker that run here.
  [[nodiscard]] uint32_t active() const noexcept { return active_; }

  // Of a host in use.
  [[nodiscard]] Pool& pool() noexcept { return *pool_; }
  // Of a host in use: the pool of that protocol; `context` as for use().
  [[nodiscard]] Pool& pool(PoolProtocol protocol, const Pool::Context& context);
  [[nodiscard]] HostCounters& counters() noexcept { return *counters_; }
  void on_request_start() noexcept {
    ++active_;
    counters_->rq_total.inc();
    counters_->rq_active.inc();
  }
  void on_request_end() noexcept {
    --active_;
    counters_->rq_active.dec();
  }
  void on_connect_failed() noexcept { counters_->cx_connect_fail.inc(); }

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
  const HostInfo* info_;              // identity_, or newer_
  HostInfoPtr newer_;                 // null: as at first
  HostCounters* counters_ = nullptr;  // of this worker, in identity_
  Pool* pool_ = nullptr;
  std::unique_ptr<HostWatch> watch_;  // null: nobody watches or checks the cluster's hosts
  Pool* other_ = nullptr;             // of another protocol, made on first use
  uint32_t active_ = 0;
  bool was_usable_ = true;
};

}  // namespace pillion::upstream
