#pragma once
// Host: one endpoint of a cluster as one worker sees it: its pool and its load.
//
// Reference-counted on its worker: the cluster's balancer holds it while discovery names it, a stream
// while it uses it.  HostInfo is the shared, immutable part.

#include <memory>
#include <string>

#include "proxy/base/ref.h"
#include "proxy/io/address.h"
#include "proxy/upstream/pool.h"

namespace pillion::upstream {

// Of EDS and files (core.v3.HealthStatus); active checks come with a later issue.
enum class HealthStatus : uint8_t { kUnknown, kHealthy, kUnhealthy, kDraining, kTimeout, kDegraded };

struct HostInfo {
  io::Address address;
  std::string hostname;
  std::string zone;
  uint32_t weight = 1;
  uint32_t priority = 0;
  HealthStatus health = HealthStatus::kUnknown;

  [[nodiscard]] bool is_usable() const noexcept {
    return health == HealthStatus::kUnknown || health == HealthStatus::kHealthy || health == HealthStatus::kDegraded;
  }
  friend bool operator==(const HostInfo&, const HostInfo&) = default;
};

// Counters of one host and worker; read by /clusters.
struct HostCounters {
  stats::Counter cx_connect_fail;
  stats::Counter rq_total;
  stats::Counter rq_success;
  stats::Counter rq_error;
  stats::Counter rq_timeout;
  stats::Gauge rq_active;
};

class Host final : public RefCounted<Host> {
 public:
  Host(const HostInfo& info, const Pool::Context& context)
      : info_(info), loop_(context.loop), pool_(new Pool(context, info.address)) {}
  ~Host() {
    pool_->close_all({FailureKind::kHostRemoved});
    loop_.delete_later(pool_);
  }

  [[nodiscard]] const io::Address& address() const noexcept { return info_.address; }
  [[nodiscard]] std::string_view hostname() const noexcept { return info_.hostname; }
  [[nodiscard]] const HostInfo& info() const noexcept { return info_; }
  void set_info(const HostInfo& info) { info_ = info; }
  [[nodiscard]] Pool& pool() noexcept { return *pool_; }
  [[nodiscard]] uint32_t active() const noexcept { return active_; }

  void on_request_start() noexcept {
    ++active_;
    counters.rq_total.inc();
    counters.rq_active.inc();
  }
  void on_request_end() noexcept {
    --active_;
    counters.rq_active.dec();
  }
  void on_connect_failed() noexcept { counters.cx_connect_fail.inc(); }
  HostCounters counters;

 private:
  HostInfo info_;
  io::Loop& loop_;
  Pool* pool_;
  uint32_t active_ = 0;
};

}  // namespace pillion::upstream
