#include "proxy/upstream/health_probe.h"

#include <cstring>
#include <optional>

#include "proxy/upstream/connect.h"

namespace pillion::upstream {
namespace {

// Criteria of the check stand in place of the host's own labels.
const tls::ContextSlot* tls_of_checks(const Probe::Context& context) {
  const PoolOptions& pool = *context.config.pool;
  const TransportLabels* labels = context.host.transport();
  const std::optional<LabelSet>& criteria = context.config.health_check->transport_criteria;
  if (!criteria) return pool.tls_for(labels);
  const LabelSet none;
  return pool.tls_of(pool.match_for(*criteria, labels == nullptr ? none : labels->of_locality));
}

}  // namespace

std::unique_ptr<io::Transport> make_probe_transport(const Probe::Context& context,
                                                    std::string_view alpn) {
  const HostInfo& host = context.host;
  io::Address to = host.address;
  if (host.check() != nullptr && host.check()->port != 0) to.set_port(host.check()->port);
  bool bind_failed = false;
  return make_transport(context.loop, *context.config.pool,
                        {to, host.hostname(), tls_of_checks(context), alpn}, {context.tls, nullptr},
                        &bind_failed);
}

std::string probe_failure_reason(Failure failure, std::string_view transport_reason) {
  if (!transport_reason.empty()) return std::string(transport_reason);
  char text[64];
  if (failure.detail != 0) return ::strerror_r(failure.detail, text, sizeof text);
  switch (failure.kind) {
    case FailureKind::kUpstreamClosed:
    case FailureKind::kUpstreamTruncated:
      return "connection closed";
    case FailureKind::kUpstreamReset:
      return "connection reset";
    case FailureKind::kUpstreamProtocol:
      return "malformed answer";
    default:
      return std::string(failure.row().details);
  }
}

}  // namespace pillion::upstream
