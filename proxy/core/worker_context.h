#pragma once
// WorkerContext: what everything on one worker shares: its loop, batch, clusters and small
// services. Owned by Worker, outlives every connection; never crosses threads.

#include <cstdint>
#include <ctime>
#include <string_view>

#include "proxy/base/rng.h"
#include "proxy/core/memory_trim.h"
#include "proxy/core/route_demand.h"
#include "proxy/core/shared_document.h"
#include "proxy/io/loop.h"
#include "proxy/io/writer.h"
#include "proxy/stats/registry.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/map_client.h"

namespace pillion::core {

// The text of the Date field, made anew once a second (RFC 9110, 5.6.7).
class DateText {
 public:
  std::string_view get(Instant now) {
    if (now - made_ >= std::chrono::seconds(1) || made_ == Instant{}) make(now);
    return {text_, sizeof text_ - 1};
  }

 private:
  void make(Instant now) {
    made_ = now;
    const std::time_t seconds = std::time(nullptr);
    std::tm tm{};
    ::gmtime_r(&seconds, &tm);
    std::strftime(text_, sizeof text_, "%a, %d %b %Y %H:%M:%S GMT", &tm);
  }
  Instant made_{};
  char text_[30] = {};
};

struct WorkerContext {
  io::Loop& loop;
  io::WriteBatch& batch;
  stats::Registry& registry;
  upstream::ClusterMap& clusters;
  uint16_t index;
  Rng rng;
  DateText date;
  MemoryTrim memory{loop};
  upstream::MapClient side_calls{loop, batch, clusters};  // of filters
  DocumentWaiters document_waiters{};
  RouteDemands route_demands{};
  // A drain is on: responses announce "connection: close", all of them or (gradual) a share that
  // grows with the time.
  bool draining = false;
  bool gradual_drain = false;
  Instant drain_begin{};
  // /healthcheck/fail: the health_check filter says so.
  bool fails_health_checks = false;
  // How long drained connections may go on.
  Duration drain_time = std::chrono::seconds(5);
  [[nodiscard]] bool announces_close() {
    if (!draining) [[likely]]
      return false;
    if (!gradual_drain) return true;
    const auto passed = static_cast<uint64_t>((loop.now() - drain_begin).count());
    return rng.below(static_cast<uint64_t>(drain_time.count())) < passed;
  }
  // Addresses of our own listeners, to recognise a loop through an original destination.
  const std::vector<io::Address>* own_addresses = nullptr;
};

}  // namespace pillion::core
