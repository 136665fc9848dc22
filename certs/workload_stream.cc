#include "certs/workload_stream.h"

#include <utility>

namespace pillion::certs {
namespace {

// SVIDs and bundles of a workload; SPIRE's are some kilobytes.
constexpr size_t kMaxMessage = size_t{4} << 20;

}  // namespace

WorkloadStream::WorkloadStream(const ProviderContext& context, std::string_view cluster,
                               std::string_view path, WorkloadStreamObserver& observer)
    : loop_(context.loop),
      rng_(context.rng),
      cluster_(cluster),
      path_(path),
      observer_(observer),
      call_(context.host.cluster_client(), *this, kMaxMessage) {}

void WorkloadStream::start() {
  if (std::exchange(is_running_, true)) return;
  failures_ = 0;
  open();
}

void WorkloadStream::stop() {
  is_running_ = false;
  timer_.cancel();
  call_.close();
}

// "SPIFFE Workload Endpoint", 4: without this field a server must refuse, so that nobody is tricked
// into asking by a URL.
void WorkloadStream::open() {
  static constexpr upstream::CallField kSecurityHeader[] = {{"workload.spiffe.io", "true"}};
  call_.open(
      {.cluster = cluster_, .path = path_, .authority = "localhost", .metadata = kSecurityHeader});
  call_.send({}, true);  // each request of the API is an empty message
}

void WorkloadStream::on_grpc_message(std::string_view message) {
  failures_ = 0;
  observer_.on_workload_message(*this, message);
}

void WorkloadStream::on_grpc_end(const upstream::GrpcEnd& end) {
  ++failures_;
  const bool is_hopeless = end.status == upstream::kGrpcInvalidArgument;
  loop_.arm(timer_, is_hopeless ? backoff_.longest : until_retry(backoff_, failures_, rng_));
  observer_.on_workload_failure(*this, end.reason);
}

}  // namespace pillion::certs
