#pragma once
// NetworkFilter: what judges a connection before the filter that ends its chain (an HTTP connection
// manager, a TCP proxy) serves it.  The one header beside http_filter.h that filters/network/
// includes of core/.
//
// A filter is called once for each connection: after the TLS handshake, so that the peer is known;
// at once without TLS.  Not a byte of the client has been read then and no upstream is asked: what
// a filter refuses, nobody has served.  Filters run in the list's order until one refuses.
//
// All that a filter can learn of a connection is known by then and does not change, so there is no
// hook for bytes: they pass without a chain that looks at them.  Filters that read bytes will need
// one, and pay for it; none of those that Pillion has does.

#include <memory>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/config/node.h"
#include "proxy/core/http_filter.h"
#include "proxy/core/stream_info.h"

namespace pillion::core {

struct NetworkFacts {
  const ConnectionInfo& connection;
  std::string_view server_name;  // SNI: of TLS that ends here, or that tls_inspector saw pass
};

struct NetworkVerdict {
  bool allowed = true;
  // Of a refusal, for %CONNECTION_TERMINATION_DETAILS%; lives as long as the filter.
  std::string_view details = {};
  Duration delay{};           // until a refused connection is closed
  bool lacks_config = false;  // refused because the filter comes by ECDS, and nothing has come
};

// A filter's configuration: immutable, shared by all workers.
class NetworkFilter {
 public:
  virtual ~NetworkFilter() = default;
  // `state` is what make_worker_state() made.
  [[nodiscard]] virtual NetworkVerdict on_connection(const NetworkFacts& facts,
                                                     FilterWorkerState* state) const = 0;
  // For `pillion explain`, as HttpFilterFactory::explain().
  [[nodiscard]] virtual FilterExplanation explain(const NetworkFacts& /*facts*/) const {
    return {};
  }
  // As HttpFilterFactory's, per filter chain.  The setup has no stat_prefix.
  [[nodiscard]] virtual std::unique_ptr<FilterWorkerState> make_worker_state(
      const FilterWorkerSetup& /*setup*/) const {
    return nullptr;
  }
};

// A type of filter: a row of the registry (filters/registry.cc).
struct NetworkFilterType {
  std::string_view type;  // of its message: "envoy.extensions.filters.network.rbac.v3.RBAC"
  // From the fields of the message, which they close; errors go to the node's list.  Never null.
  std::shared_ptr<const NetworkFilter> (*parse)(const config::Node& node);
};

}  // namespace pillion::core
