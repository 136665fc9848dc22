#pragma once
// config::Node -> what a listener is made of (config.listener.v3.Listener and below).

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proxy/config/node.h"
#include "proxy/core/extension.h"
#include "proxy/core/http_filter.h"
#include "proxy/core/listener_config.h"
#include "proxy/core/network_filter.h"
#include "proxy/route/value_format.h"

namespace pillion::core {

// What folders below core/ bring into its configuration.  Implemented by the builder.
class ParseServices : public ExtensionSource {
 public:
  virtual ~ParseServices() = default;
  // A list of config.accesslog.v3.AccessLog; missing: none.
  virtual std::vector<std::shared_ptr<const AccessLogger>> access_logs(
      const config::Node& list) = 0;
  // LocalReplyConfig; null if missing.
  virtual std::shared_ptr<const LocalReplies> local_replies(const config::Node& node) = 0;
  virtual const route::FormatFactory& header_formats() = 0;
  // The types of HTTP filters that there are, but for the router.
  virtual std::span<const HttpFilterType> http_filters() = 0;
  // The types of network filters that there are, but for those that end a chain.
  virtual std::span<const NetworkFilterType> network_filters() { return {}; }
  [[nodiscard]] virtual std::string_view node_cluster() const { return {}; }
  // What RDS says under this name; null: nothing so far.
  virtual std::shared_ptr<const route::RouteTable> routes(std::string_view) { return nullptr; }
  // What SRDS says, with the tables in force; null: nothing so far.
  virtual std::shared_ptr<const route::ScopeTable> scopes() { return nullptr; }
  // HttpConnectionManager.Tracing; null if missing.  Clusters that it names go to `clusters`.
  virtual std::shared_ptr<const Tracer> tracer(const config::Node& /*node*/, bool /*is_outbound*/,
                                               std::vector<config::Located<std::string>>&
                                               /*clusters*/) {
    return nullptr;
  }
};

struct ParseContext {
  ParseServices& services;
  // Receives each cluster named anywhere in a listener, so that the builder, who knows the
  // clusters, reports dangling names where they were written.
  std::vector<config::Located<std::string>>& clusters;
  bool is_outbound = false;             // the listener's traffic_direction is OUTBOUND
  uint32_t buffer_limit = 1024 * 1024;  // per_connection_buffer_limit_bytes
  // Clusters of which validate_clusters: false says that they need not exist, too.
  bool all_clusters = false;
};

// Errors go to the node's list; what comes back is then good for further checks only.  Never null.
std::shared_ptr<const ListenerConfig> parse_listener(const config::Node& node,
                                                     const ParseContext& context);

// The types of listener filters that there are.
std::span<const std::string_view> listener_filter_types();
// The message of one of these types; closes it.
void parse_listener_filter(std::string_view type, const config::Node& message);

// For typed_per_filter_config of route tables that stand alone (RDS).  `services` outlives it.
std::unique_ptr<const route::FilterOverrideParser> make_override_parser(ParseServices& services);

// HttpConnectionManager and TcpProxy, from the fields of their typed_config.  Never null.
std::shared_ptr<const HcmConfig> parse_hcm(const config::Node& node, const ParseContext& context);
std::shared_ptr<const TcpProxyConfig> parse_tcp_proxy(const config::Node& node,
                                                      const ParseContext& context);

}  // namespace pillion::core
