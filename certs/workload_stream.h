#pragma once
// WorkloadStream: one method of the Workload API, open for as long as it is wanted: the server says
// at once what there is, and again whenever that changes.
//
// A stream that ends, for whatever reason, is opened again after a back-off, which an answer
// resets: PERMISSION_DENIED (this workload has no identity, yet) and UNAVAILABLE (the agent starts)
// are what the standard tells clients to wait for.  INVALID_ARGUMENT means that they never will be
// what it wants; that is tried again at the longest interval, for the agent may be replaced.
//
// Single-threaded; the observer outlives it.

#include <string_view>

#include "certs/provider.h"
#include "certs/renewal.h"
#include "proxy/upstream/grpc_call.h"

namespace pillion::certs {

class WorkloadStream;

class WorkloadStreamObserver {
 public:
  // An encoded answer.  What is wrong with it is the observer's to tell: the stream stays.
  virtual void on_workload_message(WorkloadStream& stream, std::string_view message) = 0;
  virtual void on_workload_failure(WorkloadStream& stream, std::string_view reason) = 0;

 protected:
  ~WorkloadStreamObserver() = default;
};

class WorkloadStream final : private upstream::GrpcCallObserver {
 public:
  // `cluster`, `path`: outlive it.
  WorkloadStream(const ProviderContext& context, std::string_view cluster, std::string_view path,
                 WorkloadStreamObserver& observer);

  // Idempotent.
  void start();
  // Legal within its observer's calls.
  void stop();
  [[nodiscard]] bool is_running() const noexcept { return is_running_; }

 private:
  void open();
  void on_grpc_message(std::string_view message) override;
  void on_grpc_end(const upstream::GrpcEnd& end) override;

  io::Loop& loop_;
  Rng& rng_;
  const std::string_view cluster_, path_;
  const Backoff backoff_{};
  WorkloadStreamObserver& observer_;
  upstream::GrpcCall call_;
  uint32_t failures_ = 0;
  bool is_running_ = false;
  io::Timer timer_ = io::Timer::of<&WorkloadStream::open>(this);
};

}  // namespace pillion::certs
