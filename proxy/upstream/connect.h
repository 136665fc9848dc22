#pragma once
// How connections to the hosts of a cluster begin: socket options, source address, TLS.  One place
// for pools, network filters and health checks.

#include <memory>
#include <string>
#include <string_view>

#include "proxy/io/transport.h"
#include "proxy/stats/blocks.h"
#include "proxy/upstream/pool_options.h"

namespace pillion::upstream {

struct ConnectTarget {
  const io::Address& address;
  std::string_view hostname;    // the SNI, where the configuration says so
  const tls::ContextSlot* tls;  // null: plain text
  // Offered where the TLS context names no protocols itself; as on the wire.
  std::string_view alpn;
};

// A transport that connects once it is started.  `*bind_failed` tells that the source address
// cannot be had.  The blocks may be null; else they outlive the transport, as the loop does.
// Without the secrets that TLS needs it fails; no bytes leave then.
struct ConnectBlocks {
  stats::ClusterTlsStats* tls = nullptr;
  stats::ClusterTlsFactoryStats* tls_factory = nullptr;
};
std::unique_ptr<io::Transport> make_transport(io::Loop& loop, const PoolOptions& options,
                                              const ConnectTarget& to, const ConnectBlocks& blocks,
                                              bool* bind_failed);

// Why such a transport ended, for %UPSTREAM_TRANSPORT_FAILURE_REASON%: what it says itself, or
// Envoy's words for a connect that the kernel refused.  May be empty.
std::string transport_failure_reason(const io::Transport& transport, Failure failure);

}  // namespace pillion::upstream
