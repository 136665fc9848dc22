// HttpConnectionManager: scoped_routes.
#include <map>
#include <set>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/suggest.h"
#include "proxy/core/listener_routes.h"
#include "proxy/core/parse_parts.h"
#include "proxy/route/parse.h"

namespace pillion::core {
namespace {

using config::Node;
using config::Unknown;

void parse_list(ScopedRoutes& out, const Node& list, const route::ParseOptions& options) {
  std::set<std::string_view> names;
  std::map<std::vector<std::string>, std::string_view> keys;  // whose they are
  for (const Node item : list["scoped_route_configurations"].items()) {
    auto scope = route::parse_scope(item, options);
    if (!names.insert(scope->name).second)
      item["name"].error(
          str("another scope is called \"", config::printable(scope->name), "\" already"));
    if (const auto [other, is_new] = keys.emplace(scope->key, scope->name); !is_new)
      item["key"].error(
          str("is already that of the scope \"", config::printable(other->second), '"'));
    out.list.push_back(std::move(scope));
  }
  list.reject_unknown_keys();
}

void parse_srds(ScopedRoutes& out, const Node& node) {
  config::ConfigSource from =
      config::parse_config_source(node.required("scoped_rds_config_source"), Unknown::kAlwaysError);
  out.srds_timeout = from.initial_fetch_timeout;
  out.srds_source = config::shared_source(std::move(from));
  node.unsupported({"srds_resources_locator"}, kLater, Unknown::kAlwaysError);
  node.reject_unknown_keys();
}

}  // namespace

void parse_scoped_routes(HcmConfig& out, const Node& node, const ParseContext& context,
                         const FilterListParser& filters) {
  ScopedRoutes made{node.required("name").as_string_or(""),
                    route::parse_scope_keys(node.required("scope_key_builder")),
                    {},
                    {},
                    {},
                    {},
                    {}};
  auto scoped = std::make_shared<ScopedRoutes>(std::move(made));
  config::ConfigSource tables_from =
      config::parse_config_source(node["rds_config_source"], Unknown::kAlwaysError);
  scoped->rds_timeout = tables_from.initial_fetch_timeout;
  scoped->rds_source = config::shared_source(std::move(tables_from));
  const Node how = node.one_of({"scoped_route_configurations_list", "scoped_rds"});
  if (node.has("scoped_rds")) {
    parse_srds(*scoped, node["scoped_rds"]);
    out.scopes = context.services.scopes();
  } else if (how.is_present()) {
    parse_list(*scoped, how,
               {&context.services.header_formats(), &context.clusters, context.all_clusters,
                &filters, false});
  }
  node.reject_unknown_keys();
  if (out.scopes == nullptr) {
    RouteTables tables;
    for (const auto& scope : scoped->list)
      if (!scope->rds_name.empty())
        tables[scope->rds_name] = context.services.routes(scope->rds_name);
    out.scopes = scopes_of_list(*scoped, tables);
  }
  out.scoped = std::move(scoped);
}

}  // namespace pillion::core
