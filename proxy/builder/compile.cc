#include "proxy/builder/compile.h"

#include <algorithm>
#include <utility>

#include "filters/registry.h"
#include "proxy/builder/extensions.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/builder/source_claims.h"
#include "proxy/route/parse.h"
#include "proxy/telemetry/access_log.h"
#include "proxy/telemetry/local_replies.h"
#include "proxy/telemetry/tracing.h"
#include "proxy/upstream/parse.h"

namespace pillion {
namespace {

using config::Located;
using config::Node;

std::set<std::string> names_of(const std::vector<Located<std::string>>& list) {
  std::set<std::string> names;
  for (const Located<std::string>& name : list) names.insert(name.value);
  return names;
}

template <typename Fn>
void for_each_hcm(const core::ListenerConfig& listener, Fn&& fn) {
  const auto visit = [&fn](const std::shared_ptr<const core::FilterChain>& chain) {
    if (chain == nullptr) return;
    if (const auto* hcm = std::get_if<std::shared_ptr<const core::HcmConfig>>(&chain->terminal))
      fn(**hcm);
  };
  for (const auto& chain : listener.chains) visit(chain);
  visit(listener.default_chain);
}

}  // namespace

std::vector<std::shared_ptr<const core::AccessLogger>> Compiler::access_logs(const Node& list) {
  return telemetry::parse_access_logs(list, sinks_.logs);
}

std::shared_ptr<const core::LocalReplies> Compiler::local_replies(const Node& node) {
  return telemetry::parse_local_replies(node);
}

std::span<const core::HttpFilterType> Compiler::http_filters() { return filters::http_filters(); }
std::span<const core::NetworkFilterType> Compiler::network_filters() {
  return filters::network_filters();
}

std::shared_ptr<const core::Tracer> Compiler::tracer(const Node& node, bool is_outbound,
                                                     std::vector<Located<std::string>>& clusters) {
  return telemetry::parse_tracing(node, is_outbound, node_id_, sinks_.spans, clusters);
}

std::shared_ptr<const route::RouteTable> Compiler::table(std::string_view name) const {
  if (const auto joined = resources_.joined_routes.find(name);
      joined != resources_.joined_routes.end())
    return joined->second->table;
  const auto it = resources_.routes.find(name);
  if (it == resources_.routes.end() || it->second.active == nullptr) return nullptr;
  return it->second.active->table;
}

CompiledCluster Compiler::cluster(const Node& node, Origin origin) {
  return {std::move(origin), upstream::parse_cluster(node)};
}

CompiledRoutes Compiler::routes(const Node& node, Origin origin) {
  std::vector<Located<std::string>> used;
  const auto filters = core::make_override_parser(*this);
  CompiledRoutes out{std::move(origin),
                     route::parse_route_table(node, {&formats_, &used, true, filters.get(), true}),
                     {}};
  out.clusters = names_of(used);
  return out;
}

CompiledVirtualHost Compiler::virtual_host(const Node& node, Origin origin, uint32_t reply_limit) {
  std::vector<Located<std::string>> used;
  const auto filters = core::make_override_parser(*this);
  CompiledVirtualHost out{
      std::move(origin),
      route::parse_virtual_host(node, {&formats_, &used, true, filters.get(), false}, reply_limit),
      {}};
  out.clusters = names_of(used);
  return out;
}

CompiledScope Compiler::scope(const Node& node, Origin origin) {
  std::vector<Located<std::string>> used;
  const auto filters = core::make_override_parser(*this);
  CompiledScope out{std::move(origin),
                    route::parse_scope(node, {&formats_, &used, true, filters.get(), false}),
                    {}};
  out.clusters = names_of(used);
  return out;
}

CompiledListener Compiler::listener(const Node& node, Origin origin,
                                    std::vector<Located<std::string>>* must_exist) {
  std::vector<Located<std::string>> used;
  CompiledListener out;
  out.origin = std::move(origin);
  out.config = core::parse_listener(node, {*this, used, false, must_exist == nullptr});
  for_each_hcm(*out.config, [&out](const core::HcmConfig& hcm) {
    if (hcm.scoped != nullptr) note_scoped_routes(out, hcm);
    if (hcm.rds_name.empty()) return;
    const auto table = hcm.lacks_routes ? nullptr : hcm.routes;
    CompiledListener::Table& entry = out.tables[hcm.rds_name];
    entry.table = table;
    entry.timeout = hcm.rds_timeout;
    entry.source = hcm.rds_source;
    entry.on_demand = false;
    entry.stat_prefixes.insert(hcm.stat_prefix);
  });
  note_extensions(out, *this);
  SourceClaims claims;
  claim_sources(claims, *out.config, node);
  out.clusters = names_of(used);
  if (must_exist != nullptr) std::ranges::move(used, std::back_inserter(*must_exist));
  return out;
}

}  // namespace pillion
