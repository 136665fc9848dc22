#pragma once
// config::Node -> RouteTable.

#include <memory>
#include <string>
#include <vector>

#include "proxy/config/node.h"
#include "proxy/route/filter_override.h"
#include "proxy/route/route_table.h"
#include "proxy/route/value_format.h"

namespace pillion::route {

struct ParseOptions {
  // Compiles header values with operators; null: values are literals ("%%" is a percent sign).
  const FormatFactory* formats = nullptr;
  // Receives each cluster named in the configuration, so that the caller, who knows the clusters,
  // reports dangling names; nothing is added if validate_clusters is false.  May be null.
  std::vector<config::Located<std::string>>* clusters = nullptr;
  bool all_clusters = false;  // add them in any case
  // Parses typed_per_filter_config; null: it is refused.
  const FilterOverrideParser* filters = nullptr;
  bool allows_vhds = false;  // a table by RDS; of others it is refused
};

// envoy.config.route.v3.RouteConfiguration.  Errors are recorded in the node's list; the table is
// usable, if not useful, even then.  Never null.
std::shared_ptr<const RouteTable> parse_route_table(const config::Node& node,
                                                    const ParseOptions& options);

// envoy.config.route.v3.VirtualHost, which comes alone (VHDS); the limit is that of its table.
std::shared_ptr<const VirtualHost> parse_virtual_host(const config::Node& node,
                                                      const ParseOptions& options,
                                                      uint32_t max_direct_response_bytes);

}  // namespace pillion::route
