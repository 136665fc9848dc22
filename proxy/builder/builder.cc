#include "proxy/builder/builder.h"

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/builder/compile.h"
#include "proxy/builder/extensions.h"
#include "proxy/builder/keep_same.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/builder/settle.h"
#include "proxy/builder/virtual_hosts.h"
#include "proxy/config/suggest.h"
#include "proxy/upstream/parse.h"
#include "xds/resource_document.h"

namespace pillion {
namespace {

// Of a response so many refused resources are shown in /config_dump; of others, why.
constexpr size_t kShownRefused = 100;

using config::Errors;
using config::Node;
using config::Severity;

// Sorted keys of the runtime.
using Keys = std::vector<std::string>;

template <typename T>
bool names_any(const Piece<T>& piece, const Keys& keys) {
  return piece.notes &&
         std::ranges::any_of(piece.notes->runtime_keys, [&keys](const std::string& key) {
           return std::ranges::binary_search(keys, key);
         });
}

// Of all clusters also those that no field names.
bool names_any(const Piece<CompiledCluster>& piece, const Keys& keys) {
  const auto& cluster = piece.newest != nullptr ? piece.newest : piece.active;
  if (cluster == nullptr) return false;
  return names_any<CompiledCluster>(piece, keys) ||
         std::ranges::any_of(keys, [&](const std::string& key) {
           return upstream::is_cluster_key(key, cluster->config->name);
         });
}

// What a piece that was compiled again needs beside itself.
template <typename T>
void note(Piece<T>& piece, Errors& errors) {
  PieceNotes notes{errors.files(), errors.take_runtime_keys()};
  piece.notes.reset();
  if (!notes.files.empty() || !notes.runtime_keys.empty()) piece.notes = std::move(notes);
}

// `adds`: beside what its other end needs.
template <typename T>
void note_both(Piece<T>& piece, Errors& errors, bool adds) {
  if (!adds || !piece.notes) return note(piece, errors);
  piece.notes->files.insert(errors.files().begin(), errors.files().end());
  for (std::string& key : errors.take_runtime_keys())
    piece.notes->runtime_keys.push_back(std::move(key));
}

Origin origin_of(xds::ResourceType type, const xds::Resource& resource) {
  if (resource.document != nullptr) return {resource.document, resource.value, {}, type};
  return {nullptr, nullptr, resource.bytes, type};
}

// Of a response by delta the resource's own.  Empty where it is that of a response that has all of
// its kind.
std::string version_in(const xds::Response& response, const xds::Resource& resource) {
  if (!resource.version.empty()) return resource.version;
  const bool has_all = !response.is_delta && (response.type == xds::ResourceType::kClusters ||
                                              response.type == xds::ResourceType::kListeners);
  return has_all ? std::string() : response.version;
}

class Build {
 public:
  Build(const Options& options, const Sinks& sinks, const BuildJob& job)
      : options_(options),
        sinks_(sinks),
        job_(job),
        unknown_(options.unknown_dynamic_fields()),
        resources_(job.previous == nullptr ? std::make_shared<Resources>()
                                           : std::make_shared<Resources>(*job.previous->resources)),
        compiler_(sinks, job.previous == nullptr ? std::string() : job.previous->bootstrap.node_id,
                  job.previous == nullptr ? std::string() : job.previous->bootstrap.node_cluster,
                  *resources_) {
    if (resources_->demanded_routes != job.demanded_routes) {
      resources_->demanded_routes = job.demanded_routes;
      resources_->wanted_routes = nullptr;
      resources_->unsettled.scopes = true;
    }
    for (const std::string& name : job.dropped_virtual_hosts)
      resources_->unsettled.virtual_hosts |= resources_->virtual_hosts.erase(name);
  }

  // False if the file was refused.
  bool read_files(Errors& errors) {
    out_ = std::make_shared<Snapshot>();
    is_all_new_ = true;
    resources_->wanted_routes = nullptr;
    const std::shared_ptr<const config::Runtime> former = resources_->runtime;
    if (!load_files(*out_, *resources_, options_, sinks_, errors) || !errors.ok()) return false;
    for (auto& piece : resources_->file_clusters) keep_what_is_in_force(piece);
    for (auto& piece : resources_->file_listeners) keep_what_is_in_force(piece);
    const Keys keys = resources_->runtime->changes_from(*former);
    compile_again(resources_->clusters, keys, true);
    compile_again(resources_->routes, keys, true);
    compile_again(resources_->virtual_hosts, keys, true);
    compile_again(resources_->scopes, keys, true);
    compile_again(resources_->extensions, keys, true);
    compile_again(resources_->listeners, keys, true);
    look_at_all_listeners();
    drop_names_of_file(resources_->clusters, resources_->file_clusters);
    drop_names_of_file(resources_->listeners, resources_->file_listeners);
    refuse_addresses_of_others(errors);
    return errors.ok();
  }

  void keep_files() {
    out_ = std::make_shared<Snapshot>();
    out_->bootstrap = job_.previous->bootstrap;
    out_->document = job_.previous->document;
  }

  Answer take(const xds::Response& response) {
    refused_.clear();
    Answer answer{response.type, response.source, wrong_with(response)};
    answer.refused = std::exchange(refused_, {});
    return answer;
  }

  void take_admin_values(std::shared_ptr<const config::RuntimeValues> values) {
    resources_->admin_values = std::move(values);
    renew_runtime();
  }

  std::shared_ptr<const Snapshot> finish() {
    settle(*resources_, compiler_,
           {job_.endpoints, job_.given_up_routes, job_.now, job_.given_up_extensions,
            job_.given_up_scopes, job_.given_up_virtual_hosts});
    index_resources(*out_, std::move(resources_), is_all_new_ ? nullptr : job_.previous.get());
    return std::move(out_);
  }

  std::string warnings;
  config::UnknownFieldMap unknown_fields;  // that were tolerated in what was taken
  uint64_t unusable_runtime_values = 0;

 private:
  // What is wrong with it, one problem a line.
  std::string wrong_with(const xds::Response& response) {
    if (!response.wrong.empty()) return response.wrong + '\n';
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

  // ---- what differs by kind ----

  std::shared_ptr<const CompiledCluster> compile(const Pieces<CompiledCluster>&, const Node& node,
                                                 Origin origin) {
    auto made = std::make_shared<CompiledCluster>(compiler_.cluster(node, std::move(origin)));
    compiler_.check_source(made->config->eds_source.get(), *node.errors());
    return made;
  }
  std::shared_ptr<const CompiledRoutes> compile(const Pieces<CompiledRoutes>&, const Node& node,
                                                Origin origin) {
    return std::make_shared<CompiledRoutes>(compiler_.routes(node, std::move(origin)));
  }
  std::shared_ptr<const CompiledListener> compile(const Pieces<CompiledListener>&, const Node& node,
                                                  Origin origin) {
    auto made = std::make_shared<CompiledListener>(compiler_.listener(node, std::move(origin)));
    for (const auto& [name, table] : made->tables)
      compiler_.check_source(table.source.get(), *node.errors());
    for (const auto& [name, extension] : made->extensions)
      compiler_.check_source(extension.source.get(), *node.errors());
    return made;
  }
  static std::shared_ptr<const CompiledRuntimeLayer> compile(const Pieces<CompiledRuntimeLayer>&,
                                                             const Node& node, Origin origin) {
    return std::make_shared<CompiledRuntimeLayer>(Compiler::runtime_layer(node, std::move(origin)));
  }
  std::shared_ptr<const CompiledExtension> compile(const Pieces<CompiledExtension>&,
                                                   const Node& node, Origin origin) {
    return std::make_shared<CompiledExtension>(compiler_.extension(node, std::move(origin)));
  }
  std::shared_ptr<const CompiledScope> compile(const Pieces<CompiledScope>&, const Node& node,
                                               Origin origin) {
    return std::make_shared<CompiledScope>(compiler_.scope(node, std::move(origin)));
  }
  std::shared_ptr<const CompiledVirtualHost> compile(const Pieces<CompiledVirtualHost>&,
                                                     const Node& node, Origin origin) {
    return std::make_shared<CompiledVirtualHost>(
        compiler_.virtual_host(node, std::move(origin), reply_limit(*resources_)));
  }

  // settle() shall look at it.
  void mark(const Pieces<CompiledCluster>&, const std::string& name) {
    resources_->unsettled.clusters.insert(name);
  }
  void mark(const Pieces<CompiledRoutes>&, const std::string& name) {
    resources_->unsettled.routes.insert(name);
  }
  void mark(const Pieces<CompiledListener>&, const std::string& name) {
    resources_->unsettled.listeners.insert(name);
  }
  void mark(const Pieces<CompiledExtension>&, const std::string& name) {
    resources_->unsettled.extensions.insert(name);
  }
  void mark(const Pieces<CompiledVirtualHost>&, const std::string&) {
    resources_->unsettled.virtual_hosts = true;
  }
  void mark(const Pieces<CompiledScope>&, const std::string&) {
    resources_->unsettled.scopes = true;
    resources_->wanted_routes = nullptr;
  }
  static void mark(const Pieces<CompiledRuntimeLayer>&, const std::string&) {}

  // What an empty version of a piece means.
  template <typename T>
  [[nodiscard]] std::string version_of_all(const Pieces<T>&) const {
    if constexpr (std::is_same_v<T, CompiledCluster>) return resources_->clusters_version;
    if constexpr (std::is_same_v<T, CompiledListener>) return resources_->listeners_version;
    return {};
  }

  // ---- again ----

  // Of a piece of the file, whoever had its name before.
  template <typename T>
  void keep_what_is_in_force(Piece<T>& piece) const {
    if (job_.previous == nullptr) return;
    const auto& config = piece.newest->config;
    const auto former = in_force(*job_.previous, piece).find(config->name);
    if (former == nullptr || former->hash != config->hash) return;
    T kept = *piece.newest;
    kept.config = former;
    piece.newest = std::make_shared<const T>(std::move(kept));
  }
  static const InForce<CompiledCluster>& in_force(const Snapshot& of,
                                                  const Piece<CompiledCluster>&) {
    return of.clusters;
  }
  static const InForce<CompiledListener>& in_force(const Snapshot& of,
                                                   const Piece<CompiledListener>&) {
    return of.listeners;
  }

  // Files that pieces name (certificates) and values of the runtime may have changed.  True if any
  // piece names some.
  template <typename T>
  bool compile_again(Pieces<T>& pieces, const Keys& keys, bool with_files) {
    std::vector<std::string> names;
    for (const auto& [name, piece] : pieces) {
      const bool names_files = piece.notes && !piece.notes->files.empty();
      if ((with_files && names_files) || (!keys.empty() && names_any(piece, keys)))
        names.push_back(name);
    }
    for (const std::string& name : names) {
      Piece<T> piece = pieces.find(name)->second;
      compile_piece_again(pieces, name, piece, unknown_);
      pieces[name] = std::move(piece);
      mark(pieces, name);
    }
    return !names.empty();
  }

  // One that is wrong now stays as it was.
  template <typename T>
  void compile_piece_again(const Pieces<T>& kind, std::string_view name, Piece<T>& piece,
                           config::UnknownFields unknown) {
    const bool is_active = !piece.waits() && piece.active != nullptr;
    const Piece<T> former = piece;
    for (std::shared_ptr<const T>* end : {&piece.newest, &piece.active}) {
      if (*end == nullptr || (is_active && end == &piece.active)) continue;
      Errors errors(unknown);
      errors.use(*resources_->runtime);
      const OpenOrigin open = open_origin((*end)->origin, name, errors);
      std::shared_ptr<const T> again;
      if (errors.ok()) again = compile(kind, Node(open.value, &errors), (*end)->origin);
      unusable_runtime_values += errors.unusable_runtime_values();
      warnings += errors.to_string(Severity::kWarning);
      if (errors.ok()) {
        *end = keep_same(std::move(again), former);
        note_both(piece, errors, end == &piece.active && piece.newest != nullptr);
      } else {
        warnings += errors.to_string();
      }
    }
    if (is_active && piece.newest != nullptr) piece.active = piece.newest;
  }

  // Of what they use by name something else may be in force than before.
  void look_at_all_listeners() {
    for (const auto& item : resources_->listeners)
      resources_->unsettled.listeners.insert(item.first);
    resources_->unsettled.virtual_hosts = true;
    resources_->unsettled.scopes = true;
  }

  // The layers have changed: what names a key whose value is another one now is compiled again.
  void renew_runtime() {
    auto now = std::make_shared<const config::Runtime>(
        merge_layers(*out_->bootstrap.runtime_layers, *resources_));
    const Keys keys = now->changes_from(*resources_->runtime);
    resources_->runtime = std::move(now);
    if (keys.empty()) return;
    compile_file_again(resources_->file_clusters, resources_->clusters, keys);
    compile_again(resources_->clusters, keys, false);
    bool are_used = compile_again(resources_->routes, keys, false);
    are_used |= compile_again(resources_->virtual_hosts, keys, false);
    are_used |= compile_again(resources_->scopes, keys, false);
    are_used |= compile_again(resources_->extensions, keys, false);
    compile_file_again(resources_->file_listeners, resources_->listeners, keys);
    compile_again(resources_->listeners, keys, false);
    if (are_used) look_at_all_listeners();
  }
  template <typename T>
  void compile_file_again(std::vector<Piece<T>>& list, const Pieces<T>& kind, const Keys& keys) {
    for (Piece<T>& piece : list) {
      if (!names_any(piece, keys)) continue;
      const std::string name = piece.newest->config->name;
      compile_piece_again(kind, name, piece, options_.unknown_fields());
    }
  }

  // ---- one resource ----

  // It becomes the newest of its piece, or a line of what is wrong.
  template <typename T>
  std::string take_one(const xds::Response& response, const xds::Resource& resource,
                       Pieces<T>& pieces) {
    const std::string version = version_in(response, resource);
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
    return {};
  }

  // The same again; mostly nothing has to be written.
  template <typename T, typename Edit>
  static void said_again(const Piece<T>& known, Edit&& edit, const std::string& version) {
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

  template <typename T>
  std::string refuse(const xds::Response& response, const std::string& name, Piece<T>& piece,
                     std::string text) {
    piece.error = admin::ConfigFailure{wall_now(), response.version, text};
    refused_.insert(name);
    return text;
  }

  // What is not there any more: settle() sees to its end.
  template <typename T>
  void remove(Pieces<T>& pieces, const std::string& name) {
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
  std::string take_named(const xds::Response& response, const WantedNames& wanted,
                         Pieces<T>& pieces) {
    std::string wrong;
    for (const xds::Resource& resource : response.resources)
      if (wanted.contains(resource.name)) wrong += take_one(response, resource, pieces);
    return wrong;
  }

  std::string take_extensions(const xds::Response& response) {
    Pieces<CompiledExtension>& extensions = resources_->extensions;
    std::string wrong = take_named(response, wanted_extensions(*resources_), extensions);
    for (const std::string& name : response.removed)
      if (extensions.contains(name)) remove(extensions, name);
    return wrong;
  }

  std::string take_runtime(const xds::Response& response) {
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

  template <typename T>
  static std::set<std::string_view> names_of(const std::vector<Piece<T>>& list) {
    std::set<std::string_view> names;
    for (const Piece<T>& piece : list) names.insert(piece.newest->config->name);
    return names;
  }

  template <typename T>
  void drop_names_of_file(Pieces<T>& pieces, const std::vector<Piece<T>>& list) {
    for (const std::string_view name : names_of(list)) pieces.erase(name);
  }

  // LDS, CDS and SRDS: the state of the world is all that there is; a delta says what has changed.
  template <typename T>
  std::string take_all(const xds::Response& response, Pieces<T>& pieces,
                       const std::set<std::string_view>& fixed) {
    std::string wrong;
    std::unordered_set<std::string_view> said;
    for (const xds::Resource& resource : response.resources) {
      const std::string_view kind = xds::short_name(response.type);
      if (resource.name.empty()) {
        wrong += str(kind, ": name: required field is missing\n");
        refused_.emplace();
      } else if (fixed.contains(resource.name)) {
        warnings += str(kind, '/', config::printable(resource.name),
                        ": warning: the file has one of this name, which stays\n");
      } else {
        said.insert(resource.name);
        wrong += take_one(response, resource, pieces);
      }
    }
    if (response.is_delta) {
      for (const std::string& name : response.removed)
        if (!said.contains(name) && pieces.contains(name)) remove(pieces, name);
      return wrong;
    }
    said.insert(response.unchanged.begin(), response.unchanged.end());
    std::vector<std::string> gone;
    for (const auto& [name, piece] : pieces)
      if (!said.contains(name) && (piece.newest != nullptr || piece.error)) gone.push_back(name);
    for (const std::string& name : gone) remove(pieces, name);
    return wrong;
  }

  // After all of a response was taken: its version is what empty ones mean.
  static void use_version(const xds::Response& response, std::string& of_all) {
    if (!response.is_delta) of_all = response.version;
  }

  std::string take_clusters(const xds::Response& response) {
    std::string wrong =
        take_all(response, resources_->clusters, names_of(resources_->file_clusters));
    use_version(response, resources_->clusters_version);
    return wrong;
  }

  std::string take_listeners(const xds::Response& response) {
    const Pieces<CompiledListener> before = resources_->listeners;
    std::string wrong =
        take_all(response, resources_->listeners, names_of(resources_->file_listeners));
    const Names changed = changed_listeners(before);
    if (!changed.empty()) {
      resources_->wanted_routes = nullptr;
      refuse_clashes(response, before, changed, wrong);
    }
    use_version(response, resources_->listeners_version);
    return wrong;
  }

  [[nodiscard]] Names changed_listeners(const Pieces<CompiledListener>& before) const {
    Names names;
    diff(before, resources_->listeners,
         [&names](const std::string& name, const auto* a, const auto* b) {
           const auto newest = [](const auto* piece) {
             return piece == nullptr ? nullptr : piece->newest.get();
           };
           if (newest(a) != newest(b)) names.insert(name);
         });
    return names;
  }

  // Only now it is known who has left an address.  One that goes back may need its former one,
  // which another has taken: again, until nobody has to.
  void refuse_clashes(const xds::Response& response, const Pieces<CompiledListener>& before,
                      Names changed, std::string& wrong) {
    while (true) {
      const std::string refused = refuse_clash(response, before, changed, wrong);
      if (refused.empty()) return;
      changed.erase(refused);
    }
  }

  // Takes back the first change that claims an address that another listener has, above all one
  // that had it before; its name, or empty if there is none.
  std::string refuse_clash(const xds::Response& response, const Pieces<CompiledListener>& before,
                           const Names& changed, std::string& wrong) {
    UsedAddresses used = addresses_of_file();
    for (const auto& [name, piece] : resources_->listeners)
      if (piece.newest != nullptr && !changed.contains(name)) used.take(*piece.newest->config);
    for (const std::string& name : changed) {
      const auto it = resources_->listeners.find(name);
      if (it == resources_->listeners.end() || it->second.newest == nullptr) continue;
      const CompiledListener& listener = *it->second.newest;
      const std::vector<UsedAddresses::Clash> clashes = used.take(*listener.config);
      if (clashes.empty()) continue;
      Errors errors;
      const OpenOrigin origin = open_origin(listener.origin, name, errors);
      UsedAddresses::report(clashes, Node(origin.value, &errors));
      const auto former = before.find(name);
      Piece<CompiledListener> back;
      if (former != before.end()) back = former->second;
      back.fix_version(resources_->listeners_version);
      back.fix_active_version(resources_->listeners_version);
      wrong += refuse(response, name, back, errors.to_string());
      resources_->listeners[name] = std::move(back);
      return name;
    }
    return {};
  }

  UsedAddresses addresses_of_file() const {
    UsedAddresses used;
    const auto& admin = out_->bootstrap.admin;
    if (admin) used.add(admin->to_string(), "admin");
    for (const auto& piece : resources_->file_listeners) used.take(*piece.newest->config);
    return used;
  }

  // A new listener of the file would share the address of one of the control plane, in silence.
  void refuse_addresses_of_others(Errors& errors) const {
    UsedAddresses used;
    for (const auto& [name, piece] : resources_->listeners)
      for (const auto& end : {piece.newest, piece.active})
        if (end != nullptr) used.take(*end->config);
    for (const auto& piece : resources_->file_listeners)
      UsedAddresses::report(used.take(*piece.newest->config),
                            Node(piece.newest->origin.value, &errors));
  }

  // RDS: a name that is said to be gone keeps its table as long as a listener needs it, as in
  // Envoy.
  std::string take_routes(const xds::Response& response) {
    auto wanted = resources_->wanted_routes;
    if (wanted == nullptr) wanted = std::make_shared<const WantedNames>(wanted_routes(*resources_));
    return take_named(response, *wanted, resources_->routes);
  }

  // VHDS: what has changed.  An answer without the resource: there is no such host.
  std::string take_virtual_hosts(const xds::Response& response) {
    Pieces<CompiledVirtualHost>& hosts = resources_->virtual_hosts;
    const Pieces<CompiledVirtualHost> before = hosts;
    resources_->has_virtual_hosts = true;
    resources_->unsettled.virtual_hosts = true;
    std::string wrong;
    for (const xds::Resource& resource : response.resources) {
      const std::string_view table = table_of_host(resource.name);
      if (table.empty()) {
        wrong += str("vhds/", config::printable(resource.name),
                     ": name: expected <route table>/<host>\n");
        refused_.insert(resource.name);
      } else if (resource.bytes.empty()) {
        hosts.erase(resource.name);
      } else {
        wrong += take_one(response, resource, hosts);
      }
    }
    for (const std::string& name : response.removed) hosts.erase(name);
    while (const auto conflict = refuse_equal_domains(hosts, before, response.version))
      note_conflict(*conflict, wrong);
    return wrong;
  }

  std::string take_scopes(const xds::Response& response) {
    Pieces<CompiledScope>& scopes = resources_->scopes;
    const Pieces<CompiledScope> before = scopes;
    resources_->has_scopes = true;
    resources_->unsettled.scopes = true;
    std::string wrong = take_all(response, scopes, {});
    while (const auto conflict = refuse_equal_keys(scopes, before, response.version))
      note_conflict(*conflict, wrong);
    return wrong;
  }

  void note_conflict(const SecondClaim& conflict, std::string& wrong) {
    wrong += conflict.wrong;
    refused_.insert(conflict.name);
  }

  const Options& options_;
  const Sinks& sinks_;
  const BuildJob& job_;
  const config::UnknownFields unknown_;
  std::shared_ptr<Resources> resources_;
  Compiler compiler_;
  std::shared_ptr<Snapshot> out_;
  bool is_all_new_ = false;        // the file was read
  std::set<std::string> refused_;  // of the response that is being taken
};

}  // namespace

BuildResult run_build(const Options& options, const Sinks& sinks, const BuildJob& job) {
  BuildResult result;
  result.read_files = job.reads_files || job.previous == nullptr;
  Build build(options, sinks, job);
  if (result.read_files) {
    Errors errors(options.unknown_fields());
    const bool is_good = build.read_files(errors);
    result.files = errors.files();
    result.messages = errors.to_string();
    result.warnings = errors.to_string(Severity::kWarning);
    if (!is_good) {
      result.lost_admin_values = job.admin_values != nullptr;
      return result;
    }
    for (const auto& [name, field] : errors.unknown_fields())
      result.static_unknown_fields += field.count;
    result.unusable_runtime_values = errors.unusable_runtime_values();
  } else {
    build.keep_files();
  }
  if (job.admin_values != nullptr) build.take_admin_values(job.admin_values);
  for (const xds::Response& response : job.responses)
    result.answers.push_back(build.take(response));
  result.snapshot = build.finish();
  result.warnings += build.warnings;
  result.dynamic_unknown_fields = std::move(build.unknown_fields);
  result.unusable_runtime_values += build.unusable_runtime_values;
  return result;
}

std::shared_ptr<const Snapshot> build_snapshot(const Options& options, const Sinks& sinks,
                                               Errors& errors) {
  auto out = std::make_shared<Snapshot>();
  auto resources = std::make_shared<Resources>();
  if (!load_files(*out, *resources, options, sinks, errors)) return nullptr;
  if (errors.ok()) {
    Compiler compiler(sinks, out->bootstrap.node_id, out->bootstrap.node_cluster, *resources);
    // What a control plane would say is not waited for.
    SharedNames endpoints;
    std::set<std::string> routes, extensions;
    for (const auto& [name, wanted] : wanted_extensions(*resources)) extensions.insert(name);
    for (const auto& [name, wanted] : wanted_endpoints(*resources)) endpoints.insert(name);
    for (const auto& [name, wanted] : wanted_routes(*resources)) routes.insert(name);
    settle(*resources, compiler, {endpoints, routes, {}, extensions, true, true});
  }
  index_resources(*out, std::move(resources), nullptr);
  return errors.ok() ? out : nullptr;
}

}  // namespace pillion
