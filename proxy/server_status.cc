// What the admin pages show of the configuration, and of what is waited for.
#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/builder/extensions.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/builder/settle.h"
#include "proxy/builder/virtual_hosts.h"
#include "proxy/builder/virtual_hosts_dump.h"
#include "proxy/builder/waits.h"
#include "proxy/config/suggest.h"
#include "proxy/server.h"

namespace pillion {
namespace {

using admin::ClientStatus;
using admin::ConfigResource;
using admin::Wait;
using Kind = ConfigResource::Kind;
using upstream::DiscoveryType;

// As a reader of a sentence knows them; of none, which are files, nothing.
std::string in_brackets(const std::set<std::string>& clusters) {
  std::string names;
  for (const std::string& name : clusters)
    names += str(names.empty() ? "" : ", ", '"', config::printable(name), '"');
  return names.empty() ? names
                       : str(clusters.size() == 1 ? " (cluster " : " (clusters ", names, ')');
}

template <typename T>
ConfigResource describe(Kind kind, const std::string& name, const Piece<T>& piece,
                        const std::shared_ptr<const T>& shown, bool is_in_force,
                        const std::string& version_of_all) {
  const std::string& version = is_in_force ? piece.active_version : piece.version;
  ConfigResource out{kind,          true, name,    version.empty() ? version_of_all : version,
                     piece.updated, {},   nullptr, piece.error.to_optional()};
  out.is_warming = !is_in_force;
  out.client_status = piece.error ? ClientStatus::kNacked : ClientStatus::kAcked;
  if (shown == nullptr) return out;
  out.document = shown->origin.document;
  out.value = shown->origin.value;
  if (out.document == nullptr) {
    out.make_document = [shown, name] {
      config::Errors ignored;  // it was read before
      return open_origin(shown->origin, name, ignored).document;
    };
  }
  return out;
}

// Of each piece what is in force and, behind it, what will take its place; one without either tells
// why it was refused.  Of others than clusters and listeners one is enough: what waits there has no
// place in the dump.
template <typename T>
void add_pieces(std::vector<ConfigResource>& out, Kind kind, const Pieces<T>& pieces,
                const std::string& version_of_all = {}) {
  for (const auto& [name, piece] : pieces) {
    const bool is_active = piece.active != nullptr;
    const bool has_both = kind == Kind::kCluster || kind == Kind::kListener;
    const bool is_both = is_active && piece.waits() && has_both;
    if (is_active) out.push_back(describe(kind, name, piece, piece.active, true, version_of_all));
    if (!is_active || is_both)
      out.push_back(describe(kind, name, piece, piece.newest, false, version_of_all));
  }
}

// Those by VHDS, to a table in force.
void add_virtual_hosts(const Resources& resources, ConfigResource& table) {
  if (table.is_warming) return;
  auto make_document = document_with_hosts(resources, table.name);
  if (make_document == nullptr) return;
  table.document = nullptr;
  table.value = nullptr;
  table.make_document = std::move(make_document);
}

// Every cluster that is to be, in force or not.
template <typename Fn>
void for_each_cluster(const Resources& resources, Fn&& fn) {
  for (const auto& piece : resources.file_clusters) fn(piece);
  for (const auto& [name, piece] : resources.clusters) fn(piece);
}

}  // namespace

// ---- the configuration ----

std::vector<ConfigResource> Server::config(Kind kind) const {
  std::vector<ConfigResource> out;
  const Resources& resources = *snapshot_->resources;
  const auto add_static = [&](const std::string& name, const Origin& origin) {
    ConfigResource resource{kind, false, name, {}, config_time_, {}, nullptr, {}};
    resource.document = origin.document == nullptr ? snapshot_->document : origin.document;
    resource.value = origin.value;
    out.push_back(std::move(resource));
  };
  switch (kind) {
    case Kind::kBootstrap:
      add_static({}, {snapshot_->document, &snapshot_->document->root_value()});
      break;
    case Kind::kCluster:
      for (const auto& piece : resources.file_clusters)
        add_static(piece.newest->config->name, piece.newest->origin);
      add_pieces(out, kind, resources.clusters, resources.clusters_version);
      break;
    case Kind::kListener:
      for (const auto& piece : resources.file_listeners)
        add_static(piece.newest->config->name, piece.newest->origin);
      add_pieces(out, kind, resources.listeners, resources.listeners_version);
      add_unbound(out);
      add_draining(out);
      break;
    case Kind::kRoute:
      add_pieces(out, kind, resources.routes);
      for (ConfigResource& one : out) add_virtual_hosts(resources, one);
      break;
    case Kind::kSecret:
      add_secrets(out);
      break;
    case Kind::kEndpoints:
      if (control_plane_ != nullptr) control_plane_->append_endpoints(out);
      break;
    case Kind::kExtension:
      add_pieces(out, kind, resources.extensions);
      break;
    case Kind::kScopedRoute:
      add_pieces(out, kind, resources.scopes);
      break;
    case Kind::kVirtualHost:
      add_pieces(out, kind, resources.virtual_hosts);
      break;
    case Kind::kRuntimeLayer:
      add_pieces(out, kind, resources.runtime_layers);
      break;
  }
  return out;
}

// Listeners that were accepted, and could not have their addresses.
void Server::add_unbound(std::vector<ConfigResource>& out) const {
  for (ConfigResource& resource : out) {
    const UnboundListeners::Entry* entry = unbound_.find(resource.name);
    if (entry == nullptr || !resource.is_dynamic || resource.error_state) continue;
    resource.error_state = admin::ConfigFailure{entry->since, resource.version, entry->reason};
  }
}

// Listeners that are gone, and of which connections are left.
void Server::add_draining(std::vector<ConfigResource>& out) const {
  std::set<std::string_view> told;
  for (const auto& listener : retired_.listeners()) {
    if (bound_.find(listener->name) != nullptr || !told.insert(listener->name).second) continue;
    ConfigResource resource;
    resource.kind = Kind::kListener;
    resource.is_dynamic = true;
    resource.is_draining = true;
    resource.name = listener->name;
    out.push_back(std::move(resource));
  }
}

std::vector<ConfigResource> Server::missing(Kind kind) const {
  std::vector<ConfigResource> out;
  if (control_plane_ == nullptr) return out;
  const auto add_missing = [&](const std::string& name, bool is_given_up) {
    ConfigResource resource;
    resource.kind = kind;
    resource.is_dynamic = true;
    resource.name = name;
    resource.client_status = is_given_up ? ClientStatus::kTimeout : ClientStatus::kRequested;
    out.push_back(std::move(resource));
  };
  if (kind == Kind::kRoute) {
    const Pieces<CompiledRoutes>& have = snapshot_->resources->routes;
    for (const auto& [name, timeout] : control_plane_->routes_wanted())
      if (!have.contains(name)) add_missing(name, control_plane_->given_up_routes().contains(name));
  } else if (kind == Kind::kExtension) {
    const Pieces<CompiledExtension>& have = snapshot_->resources->extensions;
    for (const auto& [name, how] : wanted_extensions(*snapshot_->resources))
      if (!have.contains(name)) add_missing(name, false);
  } else if (kind == Kind::kEndpoints) {
    std::vector<ConfigResource> endpoints = config(kind);
    std::set<std::string_view> have;
    for (const ConfigResource& one : endpoints) have.insert(one.name);
    for (const auto& [name, timeout] : control_plane_->endpoints_wanted())
      if (!have.contains(name)) add_missing(name, control_plane_->endpoints().contains(name));
  }
  return out;
}

std::string Server::config_version(Kind kind) const {
  if (control_plane_ == nullptr) return {};
  if (kind == Kind::kCluster)
    return std::string(control_plane_->version(xds::ResourceType::kClusters));
  if (kind == Kind::kListener)
    return std::string(control_plane_->version(xds::ResourceType::kListeners));
  return {};
}

// Of what is asked for by name.
template <typename Add>
void Server::add_versions_by_name(Add&& add) const {
  const Resources& resources = *snapshot_->resources;
  const auto version_in = [](const auto& pieces, std::string_view name) {
    const auto it = pieces.find(name);
    return it == pieces.end() ? std::string_view() : std::string_view(it->second.version);
  };
  for (const auto& [name, users] : route_users(resources))
    for (const std::string_view user : users)
      add(str("http.", user, ".rds.", name), version_in(resources.routes, name));
  for (const auto& [name, points] : extension_users(resources))
    for (const std::string_view point : points)
      add(str("extension_config_discovery.", point, '.', name),
          version_in(resources.extensions, name));
  for (const auto& [name, users] : endpoint_users(resources))
    for (const std::string_view user : users)
      add(str("cluster.", user), control_plane_->endpoints_version(std::string(name)));
  for (const auto& [prefix, name] : users_of_scopes(resources))
    add(str("http.", prefix, ".scoped_rds.", name),
        control_plane_->version(xds::ResourceType::kScopedRoutes));
  for (const auto& [prefix, table] : users_of_vhds(resources))
    add(str("http.", prefix, ".rds.vhds.", table),
        control_plane_->version(xds::ResourceType::kVirtualHosts));
}

std::map<std::string, std::string> Server::text_readouts() const {
  std::map<std::string, std::string> out;
  const auto add = [&out](const std::string& scope, std::string_view version) {
    out[str(stats::sanitize_name(scope), ".version_text")] = version;
  };
  for (const auto& [name, entry] : secrets_.entries()) {
    const auto& how = entry.ref.source->how;
    if (std::holds_alternative<tls::SecretSource::Grpc>(how) ||
        std::holds_alternative<tls::SecretSource::Ads>(how))
      add(str("sds.", name.name), entry.version);
  }
  if (control_plane_ == nullptr) return out;
  out["control_plane.identifier"] =
      control_plane_->is_connected() ? control_plane_->peer_text() : std::string();
  out["cluster_manager.cds.version_text"] = config_version(Kind::kCluster);
  out["listener_manager.lds.version_text"] = config_version(Kind::kListener);
  out["runtime.version_text"] = control_plane_->version(xds::ResourceType::kRuntime);
  add_versions_by_name(add);
  return out;
}

// ---- what is waited for ----

std::vector<Wait> Server::waits() const {
  std::vector<Wait> out;
  const auto keep = [&out](Wait wait) {
    if (!wait.targets.empty()) out.push_back(std::move(wait));
  };
  keep(wait_of_process());
  keep(wait_of_runtime());
  const Resources& resources = *snapshot_->resources;
  for_each_cluster(resources, [&](const Piece<CompiledCluster>& piece) {
    if (piece.newest != nullptr) keep(wait_of_cluster(piece));
  });
  std::ranges::move(waits_of_pieces(resources, secrets_.settled()), std::back_inserter(out));
  for (const auto& [name, hash] : unbound_.held()) {
    Wait wait{Wait::Kind::kListener, name, {}, {}};
    add_target(wait, str("Socket ", name), str("its address: ", unbound_.find(name)->reason));
    keep(std::move(wait));
  }
  for (const auto& [name, entry] : secrets_.entries()) {
    if (entry.secret != nullptr) continue;
    Wait wait{Wait::Kind::kSecret, name.name, {}, {}};
    add_target(wait, str("SdsApi ", name.name),
               entry.failure.empty()
                   ? std::string("its first contents, which have not come")
                   : str("its first contents; the last try failed: ", entry.failure));
    keep(std::move(wait));
  }
  return out;
}

// Nothing else begins before it has come.
Wait Server::wait_of_runtime() const {
  Wait wait{Wait::Kind::kRuntime, {}, {}, {}};
  if (control_plane_ == nullptr) return wait;
  for (const auto& [name, how] : control_plane_->awaited_layers())
    add_target(wait, str("RTDS ", name), str("the layer \"", name, "\" (RTDS)"));
  return wait;
}

Wait Server::wait_of_process() const {
  Wait wait;
  if (ready_) return wait;
  if (control_plane_ != nullptr && !control_plane_->is_initialized()) {
    if (!control_plane_->is_connected()) {
      const std::string& why = control_plane_->peer_text();
      add_target(wait, "ADS",
                 str("the control plane", in_brackets(control_plane_->silent_clusters()),
                     ", which does not answer",
                     why.empty() ? std::string() : str(": ", config::printable(why, 200))));
    }
    if (control_plane_->awaits_clusters())
      add_target(wait, "CDS", "the clusters of the control plane (CDS)");
    if (control_plane_->awaits_listeners())
      add_target(wait, "LDS", "the listeners of the control plane (LDS)");
  }
  if (opening_ != nullptr)
    add_target(wait, "Sockets", "sockets of new listeners, which are being opened");
  if (building_) add_target(wait, "Builder", "the builder, which compiles what has come");
  if (pending_ != nullptr) {
    const auto cold = std::ranges::count_if(pending_->clusters, [this](const auto& cluster) {
      return !discovery_.is_warm(*cluster.config);
    });
    if (cold != 0) add_target(wait, "Clusters", str(cold, " clusters, to know their endpoints"));
    if (secrets_wanted_ && !has_pending_secrets())
      add_target(wait, "Secrets", "secrets of the configuration that is to take effect");
  } else if (secrets_.lacks_essential()) {
    add_target(wait, "Secrets",
               "a secret without which nothing may start (initial_fetch_timeout: 0s)");
  }
  if (applying_ != 0)
    add_target(wait, "Workers", str(applying_, " workers, to take the configuration"));
  return wait;
}

Wait Server::wait_of_cluster(const Piece<CompiledCluster>& piece) const {
  const upstream::ClusterConfig& cluster = *piece.newest->config;
  Wait wait{Wait::Kind::kCluster, cluster.name, {}, {}};
  // Of the file all waits together, though it is the snapshot's.
  const bool is_pending = pending_ != nullptr && is_pending_of_file_;
  if (!piece.waits() && !is_pending) return wait;
  if (piece.waits() && !has_endpoints(cluster, known_endpoints())) {
    add_target(wait, str("EDS init ", cluster.eds_name),
               str("the endpoints \"", cluster.eds_name, "\" (EDS), which have not come"));
  } else if ((is_pending || awaits_discovery(piece)) && !discovery_.is_warm(cluster)) {
    add_target(wait, str("Endpoints ", cluster.name),
               "its endpoints: the first answer of DNS, or the first round of health checks");
  }
  if (piece.waits()) add_secret_targets(wait, cluster, secrets_.settled());
  return wait;
}

}  // namespace pillion
