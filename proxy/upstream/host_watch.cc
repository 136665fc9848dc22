#include "proxy/upstream/host_watch.h"

#include <bit>

#include "proxy/http/grpc.h"

namespace pillion::upstream {
namespace {

// What a grpc-status in a head (a response of nothing else: Trailers-Only) means as a status of
// HTTP, as Envoy has it; without one that of HTTP.
uint16_t status_of_grpc(const http::ResponseHead& head) noexcept {
  const auto status = http::grpc_status(head.headers);
  return status ? http::http_status_of_grpc(*status) : head.status;
}

// A store only if it changes something: in good times the line stays shared by all workers.
void end_row(std::atomic<uint32_t>& row) noexcept {
  if (row.load(std::memory_order_relaxed) != 0) row.store(0, std::memory_order_relaxed);
}

}  // namespace

std::unique_ptr<HostWatch> HostWatch::make(const ClusterConfig& config, HostId id,
                                           uint16_t worker) {
  if (config.health == nullptr) return nullptr;
  return std::make_unique<HostWatch>(config, id, worker);
}

HostWatch::HostWatch(const ClusterConfig& config, HostId id, uint16_t worker)
    : shared_(config.health), health_(shared_->of(id)), id_(id), mask_(counted_flags(config)) {
  if (config.outlier == nullptr) return;
  outcomes_ = &health_->outcomes_of(worker);
  most_5xx_ = config.outlier->consecutive_5xx;
  most_gateway_ = config.outlier->consecutive_gateway;
  most_local_ = config.outlier->consecutive_local;
  splits_ = config.outlier->split_local_origin;
}

void HostWatch::on_response(const http::ResponseHead& head, bool is_grpc) {
  if (outcomes_ != nullptr) note_status(is_grpc ? status_of_grpc(head) : head.status);
  if ((mask_ & kActiveFlags) == 0) return;
  if (head.headers.find("x-envoy-immediate-health-check-fail") != nullptr &&
      !health_->has(kExcludedByAnswer)) {
    shared_->tell({id_, HealthReport::What::kImmediateFail});
  }
}

void HostWatch::on_outcome(AttemptOutcome outcome) {
  if (outcomes_ == nullptr) return;
  switch (outcome) {
    case AttemptOutcome::kConnected:
      if (splits_) note_local(true);
      return;
    case AttemptOutcome::kConnectedRaw:
      return splits_ ? note_local(true) : note_status(200);
    case AttemptOutcome::kFailed:
      return splits_ ? note_local(false) : note_status(503);
    case AttemptOutcome::kTimeout:
      return splits_ ? note_local(false) : note_status(504);
  }
}

void HostWatch::note_status(uint16_t status) {
  outcomes_->total.inc();
  if (status < 500) {
    outcomes_->success.inc();
    end_row(health_->row_5xx);
    end_row(health_->row_gateway);
    return;
  }
  if (status >= 502 && status <= 504) {
    add_to_row(health_->row_gateway, most_gateway_, HealthReport::What::kRowGateway);
  } else {
    end_row(health_->row_gateway);
  }
  add_to_row(health_->row_5xx, most_5xx_, HealthReport::What::kRow5xx);
}

void HostWatch::note_local(bool is_success) {
  outcomes_->local_total.inc();
  if (is_success) {
    outcomes_->local_success.inc();
    end_row(health_->row_local);
  } else {
    add_to_row(health_->row_local, most_local_, HealthReport::What::kRowLocal);
  }
}

// Told once a row: control begins a new one.  One that goes on, as that of a host which is ejected
// already, or that was longer than a new limit, is told again when it is twice as long, and so on.
void HostWatch::add_to_row(std::atomic<uint32_t>& row, uint32_t limit, HealthReport::What what) {
  const uint32_t length = row.fetch_add(1, std::memory_order_relaxed) + 1;
  if (limit != 0 && length % limit == 0 && std::has_single_bit(length / limit))
    shared_->tell({id_, what});
}

}  // namespace pillion::upstream
