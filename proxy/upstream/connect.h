#pragma once
// How connections to the hosts of a cluster begin: socket options, source address, TLS.  One place
// for pools, network filters and health checks.

#include <memory>
#include <string_view>

#include "proxy/io/transport.h"
#include "proxy/stats/blocks.h"
#include "proxy/upstream/pool_options.h"

namespace pillion::upstream {

// A transport that connects once it is started.  `hostname` is the SNI where the configuration
// says so.  `*bind_failed` tells that the source address cannot be had.  `tls` may be null; else it
// outlives the transport, as the loop does.
std::unique_ptr<io::Transport> make_transport(io::Loop& loop, const PoolOptions& options,
                                              const io::Address& to, std::string_view hostname,
                                              stats::ClusterTlsStats* tls, bool* bind_failed);

}  // namespace pillion::upstream
