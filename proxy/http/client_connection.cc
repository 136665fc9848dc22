#include "proxy/http/client_connection.h"

#include <atomic>

namespace pillion::http {
namespace {

uint64_t next_id() noexcept {
  static std::atomic<uint64_t> id{0};
  return id.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

ClientConnection::ClientConnection(Protocol protocol) noexcept
    : id_(next_id()), protocol_(protocol) {}

Failure ClientConnection::upstream_view(Failure failure) noexcept {
  if (failure.kind == FailureKind::kDownstreamReset || failure.kind == FailureKind::kPeerGone) {
    return {FailureKind::kUpstreamReset, failure.detail};
  }
  return failure;
}

}  // namespace pillion::http
