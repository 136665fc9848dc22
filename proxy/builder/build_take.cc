// What a response of a control plane says, type by type.
#include <functional>
#include <unordered_set>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/builder/build.h"
#include "proxy/builder/extensions.h"
#include "proxy/builder/keep_same.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/builder/settle.h"
#include "proxy/builder/virtual_hosts.h"
#include "proxy/config/suggest.h"
#include "xds/resource_document.h"

namespace pillion {

using config::Errors;
using config::Severity;

namespace {

// Of a response so many refused resources are shown in /config_dump; of others, why.
constexpr size_t kShownRefused = 100;

Origin origin_of(xds::ResourceType type, const xds::Resource& resource) {
  if (resource.document != nullptr) return {resource.document, resource.value, {}, type};
  return {nullptr, nullptr, PackedBytes(resource.bytes, resource.name), type};
}

// Of a response by delta the resource's own.  Empty where it is that of a response that has all of
// its kind.
SharedText version_in(const xds::Response& response, const xds::Resource& resource) {
  if (!resource.version.empty()) return resource.version;
  const bool has_all = !response.is_delta && (response.type == xds::ResourceType::kClusters ||
                                              response.type == xds::ResourceType::kListeners);
  return has_all ? SharedText() : SharedText(response.version);
}

// After all of a response was taken: its version is what empty ones mean.
void use_version(const xds::Response& response, SharedText& of_all) {
  if (!response.is_delta) of_all = response.version;
}

// The same again; mostly nothing has to be written.
template <typename T, typename Edit>
void said_again(const Piece<T>& known, Edit&& edit, const SharedText& version) {
  const bool is_settled = !known.waits();
  if (known.version == version && !known.error && known.lingers_until == Instant{} &&
      (!is_settled || known.active_version == version))
    return;
  Piece<T>& piece = edit();
  piece.version = version;
  if (is_settled) piece.active_version = version;
  piece.error.reset();
  piece.lingers_until = {};
}

}  // namespace

Answer Build::take(const xds::Response& response) {
  refused_.clear();
  Answer answer{response.type, response.source, wrong_with(response)};
  answer.refused = std::exchange(refused_, {});
  return answer;
}

// What is wrong with it, one problem a line.
std::string Build::wrong_with(const xds::Response& response) {
  if (!response.wrong.empty()) return response.wrong + '\n';
  if (is_cancelled()) return {};
  switch (response.type) {
    case xds::ResourceType::kClusters:
      return take_clusters(response);
    case xds::ResourceType::kListeners:
      return take_listeners(response);
    case xds::ResourceType::kRoutes:
      return take_routes(response);
    case xds::ResourceType::kExtensions:
      return take_extensions(response);
    case xds::ResourceType::kRuntime:
      return take_runtime(response);
    case xds::ResourceType::kScopedRoutes:
      return take_scopes(response);
    case xds::ResourceType::kVirtualHosts:
      return take_virtual_hosts(response);
    default:  // no others are passed to the builder
      return {};
  }
}

// ---- one resource ----

// It becomes the newest of its piece, or a line of what is wrong.
template <typename T>
std::string Build::take_one(const xds::Response& response, const xds::Resource& resource,
                            Pieces<T>& pieces) {
  const SharedText version = version_in(response, resource);
  const uint64_t hash = std::hash<std::string>{}(resource.bytes);
  if (const auto known = pieces.find(resource.name); known != pieces.end() &&
                                                     known->second.newest != nullptr &&
                                                     known->second.bytes_hash == hash) {
    said_again(known->second, [&]() -> Piece<T>& { return pieces[resource.name]; }, version);
    return {};
  }
  Errors errors(unknown_);
  errors.use(*resources_->runtime);
  const xds::ResourceDocument read = xds::document_of(response.type, resource, errors);
  std::shared_ptr<const T> made;
  // What cannot be read would only give errors that follow from it.
  if (errors.ok()) made = compile(pieces, read.node(errors), origin_of(response.type, resource));
  warnings += errors.to_string(Severity::kWarning);
  unusable_runtime_values += errors.unusable_runtime_values();
  Piece<T>& piece = pieces[resource.name];
  piece.lingers_until = {};
  piece.fix_active_version(version_of_all(pieces));
  mark(pieces, resource.name);
  if (!errors.ok()) {
    piece.fix_version(version_of_all(pieces));
    std::string why = refuse(response, resource.name, piece, errors.to_string());
    // A tree is many times its message.
    if (refused_.size() <= kShownRefused) piece.error->refused = read.document;
    return why;
  }
  note(piece, errors);
  config::add_unknown_fields(unknown_fields, errors.unknown_fields());
  piece.newest = keep_same(std::move(made), piece);
  piece.version = version;
  piece.updated = wall_now();
  piece.bytes_hash = hash;
  piece.error.reset();
  if (!piece.waits()) piece.holds_until = {};  // taken back
  return {};
}

// What is not there any more: settle() sees to its end.
template <typename T>
void Build::remove(Pieces<T>& pieces, const std::string& name) {
  Piece<T>& piece = pieces[name];
  piece.fix_active_version(version_of_all(pieces));
  piece.newest = nullptr;
  piece.bytes_hash = 0;
  piece.error.reset();
  mark(pieces, name);
}

// ---- one response ----

// Only what was asked for; others are another's.
template <typename T>
std::string Build::take_named(const xds::Response& response, const WantedNames& wanted,
                              Pieces<T>& pieces) {
  std::string wrong;
  for (const xds::Resource& resource : response.resources) {
    if (is_cancelled()) break;
    if (wanted.contains(resource.name)) wrong += take_one(response, resource, pieces);
  }
  return wrong;
}

// LDS, CDS and SRDS: the state of the world is all that there is; a delta says what has changed.
// What has a name of the file is judged as others are, and kept: to by whom it was accepted it will
// not be said again when the file no longer has that name.
template <typename T>
std::string Build::take_all(const xds::Response& response, Pieces<T>& pieces, Pieces<T>& shadowed,
                            const std::set<std::string_view>& of_file) {
  std::string wrong;
  std::unordered_set<std::string_view> said;
  for (const xds::Resource& resource : response.resources) {
    if (is_cancelled()) return wrong;
    const std::string_view kind = xds::short_name(response.type);
    if (resource.name.empty()) {
      wrong += str(kind, ": name: required field is missing\n");
      refused_.emplace();
      continue;
    }
    said.insert(resource.name);
    const bool is_shadowed = of_file.contains(resource.name);
    if (is_shadowed)
      warnings += str(kind, '/', config::printable(resource.name),
                      ": warning: the file has one of this name, which stays\n");
    wrong += take_one(response, resource, is_shadowed ? shadowed : pieces);
    if (!is_shadowed) shadowed.erase(resource.name);
  }
  if (response.is_delta) {
    for (const std::string& name : response.removed) {
      if (said.contains(name)) continue;
      if (pieces.contains(name)) remove(pieces, name);
      shadowed.erase(name);
    }
    return wrong;
  }
  said.insert(response.unchanged.begin(), response.unchanged.end());
  std::vector<std::string> gone;
  for (const auto& [name, piece] : pieces)
    if (!said.contains(name) && (piece.newest != nullptr || piece.error))
      gone.push_back(name.str());
  for (const std::string& name : gone) remove(pieces, name);
  erase_if(shadowed, [&said](const auto& item) { return !said.contains(item.first); });
  return wrong;
}

std::string Build::take_clusters(const xds::Response& response) {
  const Pieces<CompiledCluster> before = resources_->clusters;
  std::string wrong = take_all(response, resources_->clusters, resources_->shadowed_clusters,
                               names_of(resources_->file_clusters));
  refuse_second_sources(response, resources_->clusters, before, wrong);
  use_version(response, resources_->clusters_version);
  return wrong;
}

std::string Build::take_listeners(const xds::Response& response) {
  const Pieces<CompiledListener> before = resources_->listeners;
  std::string wrong = take_all(response, resources_->listeners, resources_->shadowed_listeners,
                               names_of(resources_->file_listeners));
  Names changed = changed_listeners(before);
  if (!changed.empty()) {
    resources_->wanted_routes = nullptr;
    refuse_unbindable(response, before, changed, wrong);
    refuse_clashes(response, before, changed, wrong);
    refuse_second_sources(response, resources_->listeners, before, wrong);
  }
  use_version(response, resources_->listeners_version);
  return wrong;
}

// RDS: a name that is said to be gone keeps its table as long as a listener needs it, as in
// Envoy.
std::string Build::take_routes(const xds::Response& response) {
  auto wanted = resources_->wanted_routes;
  if (wanted == nullptr) wanted = std::make_shared<const WantedNames>(wanted_routes(*resources_));
  const Pieces<CompiledRoutes> before = resources_->routes;
  std::string wrong = take_named(response, *wanted, resources_->routes);
  refuse_second_sources(response, resources_->routes, before, wrong);
  return wrong;
}

// VHDS: what has changed.  An answer without the resource: there is no such host.
std::string Build::take_virtual_hosts(const xds::Response& response) {
  Pieces<CompiledVirtualHost>& hosts = resources_->virtual_hosts;
  const Pieces<CompiledVirtualHost> before = hosts;
  resources_->has_virtual_hosts = true;
  resources_->unsettled.virtual_hosts = true;
  std::string wrong;
  for (const xds::Resource& resource : response.resources) {
    if (is_cancelled()) return wrong;
    const std::string_view table = table_of_host(resource.name);
    if (table.empty()) {
      wrong +=
          str("vhds/", config::printable(resource.name), ": name: expected <route table>/<host>\n");
      refused_.insert(resource.name);
    } else if (resource.bytes.empty()) {
      hosts.erase(resource.name);
    } else {
      wrong += take_one(response, resource, hosts);
    }
  }
  for (const std::string& name : response.removed) hosts.erase(name);
  for (const SecondClaim& conflict : refuse_equal_domains(hosts, before, response.version))
    note_conflict(conflict, wrong);
  return wrong;
}

std::string Build::take_scopes(const xds::Response& response) {
  Pieces<CompiledScope>& scopes = resources_->scopes;
  const Pieces<CompiledScope> before = scopes;
  resources_->has_scopes = true;
  resources_->unsettled.scopes = true;
  Pieces<CompiledScope> none;  // the file has no scopes of their own
  std::string wrong = take_all(response, scopes, none, {});
  for (const SecondClaim& conflict : refuse_equal_keys(scopes, before, response.version))
    note_conflict(conflict, wrong);
  return wrong;
}

void Build::note_conflict(const SecondClaim& conflict, std::string& wrong) {
  wrong += conflict.wrong;
  refused_.insert(conflict.name);
}

std::string Build::take_extensions(const xds::Response& response) {
  Pieces<CompiledExtension>& extensions = resources_->extensions;
  std::string wrong = take_named(response, wanted_extensions(*resources_), extensions);
  for (const std::string& name : response.removed)
    if (extensions.contains(name)) remove(extensions, name);
  return wrong;
}

std::string Build::take_runtime(const xds::Response& response) {
  const WantedNames wanted = wanted_runtime_layers(*out_->bootstrap.runtime_layers);
  Pieces<CompiledRuntimeLayer>& layers = resources_->runtime_layers;
  std::string wrong = take_named(response, wanted, layers);
  for (const std::string& name : response.removed)
    if (layers.contains(name)) remove(layers, name);
  erase_if(layers, [&wanted](const auto& item) { return !wanted.contains(item.first); });
  for (const auto& [name, layer] : wanted)
    if (layers.contains(name)) layers[name].activate();
  renew_runtime();
  return wrong;
}

}  // namespace pillion
