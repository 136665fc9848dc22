#pragma once
// Route tables that come by RDS, and scopes by SRDS, in a listener that is compiled already: a new
// table replaces the old one, and all the rest is shared, so that the state of filters (token
// buckets) and the TLS contexts outlive an update of routes, and nothing is parsed again.

#include <map>
#include <memory>
#include <string>

#include "proxy/core/listener_config.h"

namespace pillion::core {

// By RDS name.
using RouteTables = std::map<std::string, std::shared_ptr<const route::RouteTable>>;

// The listener with these tables, and these scopes where they come by SRDS; where one is missing or
// null it keeps what it has.
std::shared_ptr<const ListenerConfig> with_route_tables(
    const ListenerConfig& listener, const RouteTables& tables,
    const std::shared_ptr<const route::ScopeTable>& srds = nullptr);
// scoped_route_configurations_list with these tables; one that is missing or null there is so here.
std::shared_ptr<const route::ScopeTable> scopes_of_list(const ScopedRoutes& scoped,
                                                        const RouteTables& tables);

// `hash` from `own_hash` and what lies elsewhere, from the inside out.  For parsers.
void set_hash(HcmConfig& hcm);
void set_hash(FilterChain& chain);
void set_hash(ListenerConfig& listener);

}  // namespace pillion::core
