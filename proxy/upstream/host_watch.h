#pragma once
// HostWatch: a worker's view of the health of one host, and what it notes of its traffic for
// outlier detection (envoy.md 2.4).
//
// Owned by the worker's Host; there is none in clusters without outlier detection and health
// checks.  Made anew when the configuration changes; what it counted is in the shared HostHealth.

#include <cstdint>
#include <memory>

#include "proxy/http/message.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/host_health.h"

namespace pillion::upstream {

// What became of an attempt, apart from answers.
enum class AttemptOutcome : uint8_t {
  kConnected,     // the answer is still to come
  kConnectedRaw,  // a connection of raw bytes: nothing more is known of it
  kFailed,        // not connected, or reset
  kTimeout,
};

class HostWatch {
 public:
  // Null if nobody watches or checks the hosts of the cluster.
  static std::unique_ptr<HostWatch> make(const ClusterConfig& config, HostId id, uint16_t worker);

  HostWatch(const ClusterConfig& config, HostId id, uint16_t worker);

  // Those that count in this configuration.
  [[nodiscard]] uint32_t flags() const noexcept { return health_->flags() & mask_; }
  void on_response(const http::ResponseHead& head, bool is_grpc);
  void on_outcome(AttemptOutcome outcome);

 private:
  void note_status(uint16_t status);
  void note_local(bool is_success);
  void add_to_row(std::atomic<uint32_t>& row, uint32_t limit, HealthReport::What what);

  const std::shared_ptr<SharedHealth> shared_;
  const std::shared_ptr<HostHealth> health_;
  HostOutcomes* outcomes_ = nullptr;  // null without outlier detection
  const HostId id_;
  const uint32_t mask_;
  // As configured; 0: never.
  uint32_t most_5xx_ = 0, most_gateway_ = 0, most_local_ = 0;
  bool splits_ = false;
};

}  // namespace pillion::upstream
