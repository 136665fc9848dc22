#include "proxy/core/listener_routes.h"

#include "proxy/config/value_hash.h"
#include "proxy/core/http_filter_chain.h"

namespace pillion::core {
namespace {

using config::combine_hashes;
using HcmPtr = std::shared_ptr<const HcmConfig>;

// Itself if its table is no other one.
std::shared_ptr<const FilterChain> with_table(const std::shared_ptr<const FilterChain>& chain,
                                              const RouteTables& tables) {
  const HcmPtr* hcm = chain == nullptr ? nullptr : std::get_if<HcmPtr>(&chain->terminal);
  if (hcm == nullptr || (*hcm)->rds_name.empty()) return chain;
  const auto table = tables.find((*hcm)->rds_name);
  if (table == tables.end() || table->second == nullptr) return chain;
  if (table->second == (*hcm)->routes) return chain;
  auto terminal = std::make_shared<HcmConfig>(**hcm);
  terminal->routes = table->second;
  terminal->lacks_routes = false;
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
}

std::shared_ptr<const ListenerConfig> with_route_tables(const ListenerConfig& listener,
                                                        const RouteTables& tables) {
  auto out = std::make_shared<ListenerConfig>(listener);
  for (auto& chain : out->chains) chain = with_table(chain, tables);
  out->default_chain = with_table(out->default_chain, tables);
  set_hash(*out);
  return out;
}

}  // namespace pillion::core
