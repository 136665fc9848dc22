// What differs by the kind of a resource: how it is compiled, and what settle() must look at.
#include "proxy/builder/ads_sources.h"
#include "proxy/builder/build.h"
#include "proxy/builder/source_claims.h"
#include "proxy/builder/virtual_hosts.h"

namespace pillion {

using config::Node;

std::shared_ptr<const CompiledCluster> Build::compile(const Pieces<CompiledCluster>&,
                                                      const Node& node, Origin origin) {
  auto made = std::make_shared<CompiledCluster>(compiler_.cluster(node, std::move(origin)));
  compiler_.check_source(made->config->eds_source.get(), *node.errors());
  if (!has_ads()) refuse_ads_sources(node);
  resources_->has_own_sources |= has_own_source(*made);
  return made;
}
std::shared_ptr<const CompiledRoutes> Build::compile(const Pieces<CompiledRoutes>&,
                                                     const Node& node, Origin origin) {
  auto made = std::make_shared<CompiledRoutes>(compiler_.routes(node, std::move(origin)));
  check_vhds(*made->table, node["vhds"]["config_source"]);
  if (!has_ads()) refuse_ads_sources(node);
  resources_->has_own_sources |= has_own_source(*made);
  return made;
}
std::shared_ptr<const CompiledListener> Build::compile(const Pieces<CompiledListener>&,
                                                       const Node& node, Origin origin) {
  auto made = std::make_shared<CompiledListener>(compiler_.listener(node, std::move(origin)));
  for (const auto& [name, table] : made->tables)
    compiler_.check_source(table.source.get(), *node.errors());
  for (const auto& [name, extension] : made->extensions)
    compiler_.check_source(extension.source.get(), *node.errors());
  if (made->srds) {
    compiler_.check_source(made->srds->source.get(), *node.errors());
    compiler_.check_source(made->srds->rds_source.get(), *node.errors());
  }
  if (!has_ads()) {
    refuse_ads_sources(node);
    refuse_ads_tables(*made, node);
  }
  resources_->has_own_sources |= has_own_source(*made);
  return made;
}
std::shared_ptr<const CompiledRuntimeLayer> Build::compile(const Pieces<CompiledRuntimeLayer>&,
                                                           const Node& node, Origin origin) {
  return std::make_shared<CompiledRuntimeLayer>(Compiler::runtime_layer(node, std::move(origin)));
}
std::shared_ptr<const CompiledExtension> Build::compile(const Pieces<CompiledExtension>&,
                                                        const Node& node, Origin origin) {
  return std::make_shared<CompiledExtension>(compiler_.extension(node, std::move(origin)));
}
std::shared_ptr<const CompiledScope> Build::compile(const Pieces<CompiledScope>&, const Node& node,
                                                    Origin origin) {
  auto made = std::make_shared<CompiledScope>(compiler_.scope(node, std::move(origin)));
  if (!has_ads()) refuse_ads_table(*made, *resources_, node);
  return made;
}
std::shared_ptr<const CompiledVirtualHost> Build::compile(const Pieces<CompiledVirtualHost>&,
                                                          const Node& node, Origin origin) {
  return std::make_shared<CompiledVirtualHost>(
      compiler_.virtual_host(node, std::move(origin), reply_limit(*resources_)));
}

// As in Envoy: hosts are asked for one by one, which the state of the world cannot.
void Build::check_vhds(const route::RouteTable& table, const Node& source) const {
  if (!table.has_vhds()) return;
  compiler_.check_source(table.vhds_source().get(), *source.errors());
  const bool is_by_ads = has_ads() && table.vhds_source() == nullptr && source.is_present();
  if (is_by_ads && out_->bootstrap.dynamic.ads.protocol != xds::Protocol::kDelta)
    source.error("VHDS needs DELTA_GRPC, and that is not what ads_config says");
}

// settle() shall look at it.
void Build::mark(const Pieces<CompiledCluster>&, const std::string& name) {
  resources_->unsettled.clusters.insert(name);
}
void Build::mark(const Pieces<CompiledRoutes>&, const std::string& name) {
  resources_->unsettled.routes.insert(name);
}
void Build::mark(const Pieces<CompiledListener>&, const std::string& name) {
  resources_->unsettled.listeners.insert(name);
}
void Build::mark(const Pieces<CompiledExtension>&, const std::string& name) {
  resources_->unsettled.extensions.insert(name);
}
void Build::mark(const Pieces<CompiledVirtualHost>&, const std::string&) {
  resources_->unsettled.virtual_hosts = true;
}
void Build::mark(const Pieces<CompiledScope>&, const std::string&) {
  resources_->unsettled.scopes = true;
  resources_->wanted_routes = nullptr;
}
void Build::mark(const Pieces<CompiledRuntimeLayer>&, const std::string&) {}

}  // namespace pillion
