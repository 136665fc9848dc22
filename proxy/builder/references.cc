#include "proxy/builder/references.h"

#include <algorithm>
#include <variant>

#include "proxy/base/str.h"
#include "proxy/builder/compile.h"
#include "proxy/builder/warming.h"
#include "proxy/config/config_source.h"
#include "proxy/config/suggest.h"

namespace pillion {

using config::Located;
using config::Node;

namespace {

template <typename Fn>
void for_each_secret_ref(const Resources& resources, Fn&& fn) {
  const auto visit = [&fn](const auto& slot) { for_each_ref(slot->secrets(), fn); };
  for (const auto& piece : resources.file_clusters) for_each_tls(*piece.newest->config, visit);
  for (const auto& piece : resources.file_listeners) for_each_tls(*piece.newest->config, visit);
}

// Whoever is asked for what a listener names.
template <typename Fn>
void visit_names(const CompiledListener& listener, Fn&& fn) {
  for (const auto& [name, table] : listener.tables) fn(table.source.get());
  for (const auto& [name, extension] : listener.extensions) fn(extension.source.get());
  if (!listener.srds) return;
  fn(listener.srds->source.get());
  fn(listener.srds->rds_source.get());
}

}  // namespace

void refuse_unknown_clusters(const Resources& resources,
                             const std::vector<Located<std::string>>& used,
                             config::Errors& errors) {
  std::vector<std::string_view> names;
  for (const auto& cluster : resources.file_clusters) names.push_back(cluster.newest->config->name);
  for (const Located<std::string>& name : used) {
    if (name.value.empty() || std::find(names.begin(), names.end(), name.value) != names.end())
      continue;
    errors.error(name.where, str("unknown cluster \"", config::printable(name.value), '"',
                                 config::did_you_mean(name.value, names)));
  }
}

// gRPC needs HTTP/2; found out at run time it would be a stream that breaks without a reason.
void check_grpc_cluster(const Resources& resources, const Located<std::string>& name,
                        std::string_view who, config::Errors& errors) {
  using upstream::UpstreamProtocol;
  for (const auto& piece : resources.file_clusters) {
    const upstream::ClusterConfig& cluster = *piece.newest->config;
    if (cluster.name != name.value) continue;
    const UpstreamProtocol protocol = cluster.pool->protocol;
    if (protocol == UpstreamProtocol::kHttp2 || protocol == UpstreamProtocol::kAuto) continue;
    errors.error(name.where,
                 str("cluster \"", config::printable(cluster.name), "\" speaks HTTP/1.1, ", who,
                     " HTTP/2: "
                     "typed_extension_protocol_options.explicit_http_config"));
  }
}

// Secrets are fetched from clusters of the file: those of a control plane would come too late.
void check_secret_sources(const Resources& resources, std::vector<Located<std::string>>& used,
                          const Node& node) {
  const auto use = [&](const Located<std::string>& cluster, std::string_view who) {
    used.push_back(cluster);
    check_grpc_cluster(resources, cluster, who, *node.errors());
  };
  for_each_secret_ref(resources, [&](const tls::SecretRef& ref) {
    const auto& how = ref.source->how;
    if (const auto* grpc = std::get_if<tls::SecretSource::Grpc>(&how)) {
      use(grpc->service.cluster, "a secret discovery service");
      if (grpc->service.failover)
        use(grpc->service.failover->cluster, "a secret discovery service");
    }
    if (const auto* spiffe = std::get_if<tls::SecretSource::Spiffe>(&how))
      use(spiffe->cluster, "a SPIFFE Workload API");
    if (const auto* authority = std::get_if<tls::SecretSource::Authority>(&how))
      use(authority->cluster, "a CA");
  });
}

// Who is asked for resources must be there before them.
void check_sources(const Resources& resources, const BootstrapConfig& bootstrap,
                   std::vector<Located<std::string>>& used, const Node& root) {
  bool has_stream = false;
  const auto use = [&](const Located<std::string>& cluster) {
    has_stream = true;
    if (cluster.value.empty()) return;
    used.push_back(cluster);
    check_grpc_cluster(resources, cluster, "a control plane", *root.errors());
  };
  const auto visit = [&use](const config::ConfigSource* source) {
    if (source == nullptr) return;
    const auto* api = std::get_if<config::ConfigSource::Api>(&source->how);
    if (api == nullptr) return;
    use(api->service.cluster);
    if (api->service.failover) use(api->service.failover->cluster);
  };
  const DynamicConfig& dynamic = bootstrap.dynamic;
  if (dynamic.has_ads) use(dynamic.cluster);
  if (dynamic.has_ads && !dynamic.failover_cluster.value.empty()) use(dynamic.failover_cluster);
  if (dynamic.load_stats) use(dynamic.load_stats->cluster);
  if (dynamic.cds) visit(&*dynamic.cds);
  if (dynamic.lds) visit(&*dynamic.lds);
  for (const auto& piece : resources.file_clusters) visit(piece.newest->config->eds_source.get());
  for (const auto& piece : resources.file_listeners) visit_names(*piece.newest, visit);
  for (const RuntimeLayer& layer : *bootstrap.runtime_layers) visit(layer.wanted.source.get());
  if (has_stream && bootstrap.node_id.empty())
    root["node"]["id"].error("required field is missing (a control plane asks who it is)");
}

void Compiler::check_source(const config::ConfigSource* source, config::Errors& errors) const {
  if (source == nullptr) return;
  const auto* api = std::get_if<config::ConfigSource::Api>(&source->how);
  if (api == nullptr) return;
  refuse_unknown_clusters(resources_, {api->service.cluster}, errors);
  check_grpc_cluster(resources_, api->service.cluster, "a control plane", errors);
}

}  // namespace pillion
