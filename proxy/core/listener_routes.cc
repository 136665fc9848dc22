#include "proxy/core/listener_routes.h"

#include "proxy/config/value_hash.h"
#include "proxy/core/http_filter_chain.h"

namespace pillion::core {
namespace {

using config::combine_hashes;
using HcmPtr = std::shared_ptr<const HcmConfig>;

struct Sources {
  const RouteTables& tables;
  const std::shared_ptr<const route::ScopeTable>& srds;
};

std::shared_ptr<const route::RouteTable> table_in_force(const HcmConfig& hcm,
                                                        const Sources& sources) {
  const auto table = sources.tables.find(hcm.rds_name);
  if (hcm.rds_name.empty() || table == sources.tables.end() || table->second == nullptr)
    return hcm.routes;
  return table->second;
}

std::shared_ptr<const route::ScopeTable> scopes_in_force(const HcmConfig& hcm,
                                                         const Sources& sources) {
  if (hcm.scoped == nullptr) return nullptr;
  if (hcm.scoped->srds_timeout) return sources.srds == nullptr ? hcm.scopes : sources.srds;
  auto scopes = scopes_of_list(*hcm.scoped, sources.tables);
  return scopes->hash() == hcm.scopes->hash() ? hcm.scopes : scopes;
}

// Itself if it has no other ones.
std::shared_ptr<const FilterChain> with_tables(const std::shared_ptr<const FilterChain>& chain,
                                               const Sources& sources) {
  const HcmPtr* hcm = chain == nullptr ? nullptr : std::get_if<HcmPtr>(&chain->terminal);
  if (hcm == nullptr) return chain;
  auto table = table_in_force(**hcm, sources);
  auto scopes = scopes_in_force(**hcm, sources);
  if (table == (*hcm)->routes && scopes == (*hcm)->scopes) return chain;
  auto terminal = std::make_shared<HcmConfig>(**hcm);
  if (table != terminal->routes) terminal->lacks_routes = false;
  terminal->routes = std::move(table);
  terminal->scopes = std::move(scopes);
  set_hash(*terminal);
  auto out = std::make_shared<FilterChain>(*chain);
  out->terminal = HcmPtr(std::move(terminal));
  set_hash(*out);
  return out;
}

}  // namespace

void set_hash(HcmConfig& hcm) {
  const bool has_table = !hcm.rds_name.empty() && !hcm.lacks_routes;
  hcm.hash = has_table ? combine_hashes(hcm.own_hash, hcm.routes->hash()) : hcm.own_hash;
  if (hcm.scopes != nullptr) hcm.hash = combine_hashes(hcm.hash, hcm.scopes->hash());
  if (hcm.filters == nullptr) return;
  for (const HttpFilterChain::Entry& entry : hcm.filters->entries())
    if (entry.discovery != nullptr) hcm.hash = combine_hashes(hcm.hash, entry.extension_hash);
}

void set_hash(FilterChain& chain) {
  const HcmPtr* hcm = std::get_if<HcmPtr>(&chain.terminal);
  chain.hash = hcm == nullptr ? chain.own_hash : combine_hashes(chain.own_hash, (*hcm)->hash);
  for (const DiscoveredNetworkFilter& filter : chain.discovered)
    chain.hash = combine_hashes(chain.hash, filter.hash);
}

void set_hash(ListenerConfig& listener) {
  listener.hash = listener.own_hash;
  for (const auto& chain : listener.chains)
    listener.hash = combine_hashes(listener.hash, chain->hash);
  if (listener.default_chain)
    listener.hash = combine_hashes(listener.hash, listener.default_chain->hash);
  for (const DiscoveredListenerFilter& filter : listener.discovered_filters)
    listener.hash = combine_hashes(listener.hash, filter.now.hash);
}

std::shared_ptr<const route::ScopeTable> scopes_of_list(const ScopedRoutes& scoped,
                                                        const RouteTables& tables) {
  std::vector<route::ScopeTable::Scope> scopes;
  scopes.reserve(scoped.list.size());
  for (const auto& config : scoped.list) {
    const auto table = tables.find(config->rds_name);
    const bool is_inline = config->table != nullptr || table == tables.end();
    scopes.push_back({config, is_inline ? config->table : table->second});
  }
  return std::make_shared<const route::ScopeTable>(std::move(scopes));
}

std::shared_ptr<const ListenerConfig> with_route_tables(
    const ListenerConfig& listener, const RouteTables& tables,
    const std::shared_ptr<const route::ScopeTable>& srds) {
  const Sources sources{tables, srds};
  auto out = std::make_shared<ListenerConfig>(listener);
  for (auto& chain : out->chains) chain = with_tables(chain, sources);
  out->default_chain = with_tables(out->default_chain, sources);
  set_hash(*out);
  return out;
}

}  // namespace pillion::core
