#include "proxy/builder/compile.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "filters/registry.h"
#include "proxy/base/str.h"
#include "proxy/builder/bootstrap.h"
#include "proxy/builder/extensions.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/config/config_source.h"
#include "proxy/config/expand.h"
#include "proxy/config/suggest.h"
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

// ---- one piece ----

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
  out.clusters = names_of(used);
  if (must_exist != nullptr) std::ranges::move(used, std::back_inserter(*must_exist));
  return out;
}

// A second listener on a port would take half of its connections, or none.
std::vector<UsedAddresses::Clash> UsedAddresses::take(const core::ListenerConfig& listener) {
  std::vector<Clash> clashes;
  if (!listener.bind_to_port) return clashes;
  const auto use = [&](const io::Address& address, int additional) {
    if (address.kind() == io::Address::Kind::kNone) return;
    if (address.is_ip() && address.port() == 0) return;  // each gets a port of its own
    const auto [it, is_new] = used_.emplace(address.to_string(), listener.name);
    if (is_new) return;
    clashes.push_back({additional, str("listener \"", config::printable(it->second),
                                       "\" listens on ", it->first, " already")});
  };
  use(listener.address, -1);
  int i = 0;
  for (const io::Address& more : listener.additional_addresses) use(more, i++);
  return clashes;
}

void UsedAddresses::report(const std::vector<Clash>& clashes, const Node& listener) {
  for (const Clash& clash : clashes) {
    if (clash.additional < 0) {
      listener["address"].error(clash.text);
      continue;
    }
    int i = 0;
    for (const Node item : listener["additional_addresses"].items())
      if (i++ == clash.additional) item["address"].error(clash.text);
  }
}

// ---- the file ----

namespace {

template <typename T>
void add_of_file(std::vector<Piece<T>>& list, std::shared_ptr<const T> made, const Node& node) {
  Piece<T>& piece = list.emplace_back();
  piece.newest = std::move(made);
  std::vector<std::string> keys = node.errors()->take_runtime_keys();
  if (!keys.empty()) piece.notes = PieceNotes{{}, std::move(keys)};
}

void load_clusters(Resources& out, Compiler& compiler, const Node& list, const Snapshot& snapshot) {
  std::unordered_set<std::string_view> names;
  for (const Node node : list.items()) {
    const auto cluster = std::make_shared<const CompiledCluster>(
        compiler.cluster(node, {snapshot.document, node.value()}));
    const std::string& name = cluster->config->name;
    if (!name.empty() && !names.insert(name).second) {
      node["name"].error(
          str("another cluster is called \"", config::printable(name), "\" already"));
    }
    const bool is_by_ads = cluster->config->type == upstream::DiscoveryType::kEds &&
                           cluster->config->eds_source == nullptr;
    if (is_by_ads && !snapshot.bootstrap.dynamic.has_ads)
      node["type"].error("EDS by ads needs dynamic_resources.ads_config");
    add_of_file(out.file_clusters, cluster, node);
  }
}

void load_listeners(Resources& out, Compiler& compiler, const Node& list, const Snapshot& snapshot,
                    std::vector<Located<std::string>>& must_exist) {
  // With CDS the others may come by it.
  const bool is_complete = !snapshot.bootstrap.dynamic.cds;
  std::unordered_set<std::string> names;
  UsedAddresses used;
  if (snapshot.bootstrap.admin) used.add(snapshot.bootstrap.admin->to_string(), "admin");
  for (const Node node : list.items()) {
    const auto listener = std::make_shared<const CompiledListener>(compiler.listener(
        node, {snapshot.document, node.value()}, is_complete ? &must_exist : nullptr));
    const std::string& name = listener->config->name;
    if (!names.insert(name).second) {
      node["name"].error(
          str("another listener is called \"", config::printable(name), "\" already"));
    }
    const bool is_by_ads =
        listener->srds || std::ranges::any_of(listener->tables, [](const auto& item) {
          return item.second.source == nullptr;
        });
    if (is_by_ads && !snapshot.bootstrap.dynamic.has_ads)
      node.error("rds by ads needs dynamic_resources.ads_config");
    const bool has_ads_filter = std::ranges::any_of(
        listener->extensions, [](const auto& item) { return item.second.source == nullptr; });
    if (has_ads_filter && !snapshot.bootstrap.dynamic.has_ads)
      node.error("config_discovery by ads needs dynamic_resources.ads_config");
    UsedAddresses::report(used.take(*listener->config), node);
    add_of_file(out.file_listeners, listener, node);
  }
}

void load_secrets(Resources& out, const Node& list) {
  std::set<std::string> names;
  for (const Node node : list.items()) {
    StaticSecret secret;
    secret.secret = tls::parse_secret(node, secret.name);
    secret.value = node.value();
    const Node name = node.required("name");
    if (secret.name.empty()) {
      if (name.is_present()) name.expected("the name of the secret");
    } else if (!names.insert(secret.name).second) {
      node["name"].error(
          str("another secret is called \"", config::printable(secret.name), "\" already"));
    }
    out.secrets.push_back(std::move(secret));
  }
}

template <typename Fn>
void for_each_secret_ref(const Resources& resources, Fn&& fn) {
  const auto visit = [&fn](const std::shared_ptr<const tls::ContextSlot>& slot) {
    if (slot == nullptr) return;
    for (const tls::SecretRef& ref : slot->secrets().certificates) fn(ref);
    if (slot->secrets().validation) fn(*slot->secrets().validation);
    if (slot->secrets().ticket_keys) fn(*slot->secrets().ticket_keys);
  };
  for (const auto& piece : resources.file_clusters) visit(piece.newest->config->pool.tls);
  for (const auto& piece : resources.file_listeners) {
    const core::ListenerConfig& listener = *piece.newest->config;
    for (const auto& chain : listener.chains) visit(chain->tls);
    if (listener.default_chain != nullptr) visit(listener.default_chain->tls);
  }
}

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
    const UpstreamProtocol protocol = cluster.pool.protocol;
    if (protocol == UpstreamProtocol::kHttp2 || protocol == UpstreamProtocol::kAuto) continue;
    errors.error(name.where,
                 str("cluster \"", config::printable(cluster.name), "\" speaks HTTP/1.1, ", who,
                     " HTTP/2: "
                     "typed_extension_protocol_options.explicit_http_config"));
  }
}

// Secrets are fetched from clusters of the file: those of a control plane would come too late.
void check_secret_sources(const Resources& resources, bool has_ads,
                          std::vector<Located<std::string>>& used, const Node& node) {
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
    if (std::holds_alternative<tls::SecretSource::Ads>(ref.source->how) && !has_ads)
      node.error(str("the secret \"", config::printable(ref.name),
                     "\" by ads needs dynamic_resources.ads_config"));
  });
}

// Whoever is asked for what a listener names.
template <typename Fn>
void visit_names(const CompiledListener& listener, Fn&& fn) {
  for (const auto& [name, table] : listener.tables) fn(table.source.get());
  for (const auto& [name, extension] : listener.extensions) fn(extension.source.get());
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

}  // namespace

void Compiler::check_source(const config::ConfigSource* source, config::Errors& errors) const {
  if (source == nullptr) return;
  const auto* api = std::get_if<config::ConfigSource::Api>(&source->how);
  if (api == nullptr) return;
  refuse_unknown_clusters(resources_, {api->service.cluster}, errors);
  check_grpc_cluster(resources_, api->service.cluster, "a control plane", errors);
}

bool load_files(Snapshot& out, Resources& resources, const Options& options, Sinks sinks,
                config::Errors& errors) {
  out.document = config::load_bootstrap(options.config_path, options.config_yaml, errors);
  if (out.document == nullptr) return false;
  const Node root = out.document->root(errors);
  const Node node = root["static_resources"];
  out.bootstrap = parse_bootstrap(root, options);
  resources.runtime = std::make_shared<const config::Runtime>(
      merge_layers(*out.bootstrap.runtime_layers, resources));
  errors.use(*resources.runtime);
  (void)errors.take_runtime_keys();  // of what is read at the start only
  // A configuration that is refused already is checked to its end, and opens no log.
  if (!errors.ok()) sinks.logs = nullptr;
  resources.file_clusters.clear();
  resources.file_listeners.clear();
  resources.secrets.clear();
  std::vector<Located<std::string>> used;
  if (node.is_present()) {
    Compiler compiler(sinks, out.bootstrap.node_id, out.bootstrap.node_cluster, resources);
    load_clusters(resources, compiler, node["clusters"], out);
    load_listeners(resources, compiler, node["listeners"], out, used);
    load_secrets(resources, node["secrets"]);
    check_secret_sources(resources, out.bootstrap.dynamic.has_ads, used, node);
    node.reject_unknown_keys();
  }
  check_sources(resources, out.bootstrap, used, root);
  refuse_unknown_clusters(resources, used, errors);
  resources.files = errors.files();
  resources.unknown_fields = errors.unknown_fields();
  return true;
}

// ---- all of it ----

namespace {

bool has_tls(const CompiledCluster& cluster) { return cluster.config->pool.tls != nullptr; }
bool has_tls(const CompiledListener& listener) {
  const auto uses_it = [](const auto& chain) { return chain != nullptr && chain->tls != nullptr; };
  return uses_it(listener.config->default_chain) ||
         std::ranges::any_of(listener.config->chains, uses_it);
}
// What the others name beside themselves is none.
template <typename T>
bool has_tls(const T&) {
  return false;
}

// What a snapshot knows beside its resources.
struct Collected {
  bool slots = false;
  bool notes = false;
};

// Which of it a change of pieces may touch.
template <typename T>
void look_for_changes(const Pieces<T>& before, const Pieces<T>& now, Collected& out) {
  diff(before, now, [&out](std::string_view, const Piece<T>* a, const Piece<T>* b) {
    const auto look = [&out](const Piece<T>* piece) {
      if (piece == nullptr) return;
      out.notes |= piece->notes && !piece->notes->files.empty();
      out.slots |= piece->active != nullptr && has_tls(*piece->active);
    };
    const bool is_same_end = a != nullptr && b != nullptr && a->active == b->active;
    const bool slots = out.slots;
    look(a);
    look(b);
    if (is_same_end) out.slots = slots;
  });
}

void collect_slots(Snapshot& out) {
  std::unordered_set<const tls::ContextSlot*> seen;
  const auto add = [&](const std::shared_ptr<const tls::ContextSlot>& slot) {
    if (slot != nullptr && seen.insert(slot.get()).second) out.tls_slots.push_back(slot);
  };
  for (const auto& listener : out.listeners) {
    for (const auto& chain : listener->chains) add(chain->tls);
    if (listener->default_chain) add(listener->default_chain->tls);
  }
  for (const auto& cluster : out.clusters) add(cluster->pool.tls);
}

template <typename T>
void collect_notes(Snapshot& out, const Pieces<T>& pieces) {
  for (const auto& [name, piece] : pieces) {
    if (!piece.notes) continue;
    out.files.insert(piece.notes->files.begin(), piece.notes->files.end());
  }
}

template <typename T>
bool is_same_in_force(const std::vector<Piece<T>>& a, const std::vector<Piece<T>>& b) {
  return std::ranges::equal(a, b, {}, &Piece<T>::active, &Piece<T>::active);
}

// Calls fn(before, now) for each kind of pieces.
template <typename Fn>
void for_each_kind(const Resources& before, const Resources& now, Fn&& fn) {
  fn(before.clusters, now.clusters);
  fn(before.routes, now.routes);
  fn(before.virtual_hosts, now.virtual_hosts);
  fn(before.scopes, now.scopes);
  fn(before.listeners, now.listeners);
  fn(before.extensions, now.extensions);
  fn(before.runtime_layers, now.runtime_layers);
}

}  // namespace

void index_resources(Snapshot& out, std::shared_ptr<const Resources> resources,
                     const Snapshot* previous) {
  out.use_resources(std::move(resources));
  const Resources& now = *out.resources;
  Collected changed{previous == nullptr, previous == nullptr};
  if (previous != nullptr) {
    const Resources& before = *previous->resources;
    // One of the file may have begun to be in force, or was compiled again (runtime).
    changed.slots = !is_same_in_force(before.file_listeners, now.file_listeners) ||
                    !is_same_in_force(before.file_clusters, now.file_clusters);
    for_each_kind(before, now,
                  [&changed](const auto& a, const auto& b) { look_for_changes(a, b, changed); });
  }
  if (changed.slots) {
    collect_slots(out);
  } else {
    out.tls_slots = previous->tls_slots;
  }
  if (!changed.notes) {
    out.files = previous->files;
    out.unknown_fields = previous->unknown_fields;
    return;
  }
  out.files = now.files;
  out.unknown_fields = now.unknown_fields;
  for_each_kind(now, now, [&out](const auto&, const auto& pieces) { collect_notes(out, pieces); });
}

}  // namespace pillion
