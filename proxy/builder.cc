#include "proxy/builder.h"

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "proxy/base/str.h"
#include "proxy/compile.h"
#include "proxy/config/suggest.h"
#include "proxy/extensions.h"
#include "proxy/scoped_routes.h"
#include "proxy/settle.h"
#include "proxy/upstream/parse.h"
#include "proxy/virtual_hosts.h"
#include "xds/resource_document.h"

namespace pillion {
namespace {

using config::Errors;
using config::Node;
using config::Severity;

// What a piece that was compiled again needs beside itself.
// Sorted keys of the runtime.
using Keys = std::vector<std::string>;

template <typename T>
bool names_any(const Piece<T>& piece, const Keys& keys) {
  return std::ranges::any_of(piece.runtime_keys, [&keys](const std::string& key) {
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

template <typename T>
void note(Piece<T>& piece, Errors& errors) {
  piece.files = errors.files();
  piece.runtime_keys = errors.take_runtime_keys();
}

// `adds`: beside what its other end needs.
template <typename T>
void note_both(Piece<T>& piece, Errors& errors, bool adds) {
  if (!adds) return note(piece, errors);
  piece.files.insert(errors.files().begin(), errors.files().end());
  for (std::string& key : errors.take_runtime_keys()) piece.runtime_keys.push_back(std::move(key));
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
    resources_->demanded_routes = job.demanded_routes;
    for (const std::string& name : job.dropped_virtual_hosts) resources_->virtual_hosts.erase(name);
  }

  // False if the file was refused.
  bool read_files(Errors& errors) {
    out_ = std::make_shared<Snapshot>();
    const std::shared_ptr<const config::Runtime> former = resources_->runtime;
    if (!load_files(*out_, *resources_, options_, sinks_, errors) || !errors.ok()) return false;
    const Keys keys = resources_->runtime->changes_from(*former);
    compile_again(resources_->clusters, keys, true);
    compile_again(resources_->routes, keys, true);
    compile_again(resources_->virtual_hosts, keys, true);
    compile_again(resources_->scopes, keys, true);
    compile_again(resources_->extensions, keys, true);
    compile_again(resources_->listeners, keys, true);
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

  // What is wrong with it, one problem a line.
  std::string take(const xds::Response& response) {
    if (!response.wrong.empty()) return response.wrong + '\n';
    switch (response.type) {
      case xds::ResourceType::kClusters:
        return take_all(response, resources_->clusters, resources_->file_clusters);
      case xds::ResourceType::kListeners:
        return take_listeners(response);
      case xds::ResourceType::kRoutes:
        return take_routes(response);
      case xds::ResourceType::kExtensions:
        return take_named(response, wanted_extensions(*resources_), resources_->extensions);
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

  void take_admin_values(std::shared_ptr<const config::RuntimeValues> values) {
    resources_->admin_values = std::move(values);
    renew_runtime();
  }

  std::shared_ptr<const Snapshot> finish() {
    settle(*resources_, compiler_,
           {job_.endpoints, job_.given_up_routes, job_.now, job_.given_up_extensions,
            job_.given_up_scopes, job_.given_up_virtual_hosts});
    out_->resources = std::move(resources_);
    index_resources(*out_);
    return std::move(out_);
  }

  std::string warnings;
  config::UnknownFieldMap unknown_fields;  // that were tolerated in what was taken
  uint64_t unusable_runtime_values = 0;

 private:
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

  // Files that pieces name (certificates) and values of the runtime may have changed.
  template <typename T>
  void compile_again(Pieces<T>& pieces, const Keys& keys, bool with_files) {
    for (auto& [name, piece] : pieces) {
      if ((with_files && !piece.files.empty()) || names_any(piece, keys))
        compile_piece_again(pieces, piece, unknown_);
    }
  }

  // One that is wrong now stays as it was.
  template <typename T>
  void compile_piece_again(const Pieces<T>& kind, Piece<T>& piece, config::UnknownFields unknown) {
    const bool is_active = !piece.waits() && piece.active != nullptr;
    for (std::shared_ptr<const T>* end : {&piece.newest, &piece.active}) {
      if (*end == nullptr || (is_active && end == &piece.active)) continue;
      Errors errors(unknown);
      errors.use(*resources_->runtime);
      std::shared_ptr<const T> again =
          compile(kind, Node((*end)->origin.value, &errors), (*end)->origin);
      unusable_runtime_values += errors.unusable_runtime_values();
      warnings += errors.to_string(Severity::kWarning);
      if (errors.ok()) {
        *end = std::move(again);
        note_both(piece, errors, end == &piece.active && piece.newest != nullptr);
      } else {
        warnings += errors.to_string();
      }
    }
    if (is_active && piece.newest != nullptr) piece.active = piece.newest;
  }

  // The layers have changed: what names a key whose value is another one now is compiled again.
  void renew_runtime() {
    auto now = std::make_shared<const config::Runtime>(
        merge_layers(*out_->bootstrap.runtime_layers, *resources_));
    const Keys keys = now->changes_from(*resources_->runtime);
    resources_->runtime = std::move(now);
    if (keys.empty()) return;
    for (Piece<CompiledCluster>& piece : resources_->file_clusters)
      if (names_any(piece, keys))
        compile_piece_again(resources_->clusters, piece, options_.unknown_fields());
    compile_again(resources_->clusters, keys, false);
    compile_again(resources_->routes, keys, false);
    compile_again(resources_->extensions, keys, false);
    for (Piece<CompiledListener>& piece : resources_->file_listeners)
      if (names_any(piece, keys))
        compile_piece_again(resources_->listeners, piece, options_.unknown_fields());
    compile_again(resources_->listeners, keys, false);
  }

  std::string take_runtime(const xds::Response& response) {
    const auto wanted = wanted_runtime_layers(*out_->bootstrap.runtime_layers);
    std::string wrong = take_named(response, wanted, resources_->runtime_layers);
    auto& layers = resources_->runtime_layers;
    std::erase_if(layers, [&](const auto& item) { return !wanted.contains(item.first); });
    for (auto& [name, piece] : layers) piece.activate();
    renew_runtime();
    return wrong;
  }

  // Only what was asked for; others are another's.
  template <typename T>
  std::string take_named(const xds::Response& response,
                         const WantedNames& wanted, Pieces<T>& pieces) {
    std::string wrong;
    for (const xds::Resource& resource : response.resources) {
      if (!wanted.contains(resource.name)) continue;
      wrong += take_one(response, resource, pieces, pieces[resource.name]);
    }
    for (const std::string& name : response.removed) {
      const auto it = pieces.find(name);
      if (it == pieces.end()) continue;
      it->second.newest = nullptr;
      it->second.bytes_hash = 0;
    }
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
    for (const std::string_view name : names_of(list)) {
      const auto it = pieces.find(name);
      if (it != pieces.end()) pieces.erase(it);
    }
  }

  // A resource becomes the newest of `piece`, or a line of what is wrong.
  template <typename T>
  std::string take_one(const xds::Response& response, const xds::Resource& resource,
                       const Pieces<T>& pieces, Piece<T>& piece) {
    const uint64_t hash = std::hash<std::string>{}(resource.bytes);
    piece.lingers_until = {};
    if (piece.newest != nullptr && piece.bytes_hash == hash) {
      piece.version = response.version;
      piece.error.reset();
      return {};
    }
    Errors errors(unknown_);
    errors.use(*resources_->runtime);
    const xds::ResourceDocument read = xds::document_of(response.type, resource, errors);
    std::shared_ptr<const T> made;
    // What cannot be read would only give errors that follow from it.
    if (errors.ok()) made = compile(pieces, read.node(errors), {read.document, read.value});
    warnings += errors.to_string(Severity::kWarning);
    unusable_runtime_values += errors.unusable_runtime_values();
    if (!errors.ok()) {
      std::string why = refuse(response, piece, errors.to_string());
      piece.error->refused = read.document;
      return why;
    }
    note(piece, errors);
    config::add_unknown_fields(unknown_fields, errors.unknown_fields());
    piece.newest = std::move(made);
    piece.version = response.version;
    piece.updated = wall_now();
    piece.bytes_hash = hash;
    piece.error.reset();
    return {};
  }

  template <typename T>
  static std::string refuse(const xds::Response& response, Piece<T>& piece, std::string text) {
    piece.error = admin::ConfigFailure{wall_now(), response.version, text};
    return text;
  }

  // LDS and CDS: what is not there any more is removed; by delta, what is named so.
  template <typename T>
  std::string take_all(const xds::Response& response, Pieces<T>& pieces,
                       const std::vector<Piece<T>>& file) {
    std::string wrong;
    std::unordered_set<std::string_view> said;
    const std::set<std::string_view> fixed = names_of(file);
    for (const xds::Resource& resource : response.resources) {
      const std::string_view kind = xds::short_name(response.type);
      if (resource.name.empty()) {
        wrong += str(kind, ": name: required field is missing\n");
      } else if (fixed.contains(resource.name)) {
        warnings += str(kind, '/', config::printable(resource.name),
                        ": warning: the file has one of this name, which stays\n");
      } else {
        said.insert(resource.name);
        wrong += take_one(response, resource, pieces, pieces[resource.name]);
      }
    }
    said.insert(response.unchanged.begin(), response.unchanged.end());
    const std::unordered_set<std::string_view> removed(response.removed.begin(),
                                                       response.removed.end());
    for (auto& [name, piece] : pieces) {
      if (response.is_delta ? !removed.contains(name) : said.contains(name)) continue;
      piece.newest = nullptr;
      piece.error.reset();
    }
    return wrong;
  }

  std::string take_listeners(const xds::Response& response) {
    const Pieces<CompiledListener> before = resources_->listeners;
    std::string wrong = take_all(response, resources_->listeners, resources_->file_listeners);
    // Only now it is known who has left an address.  One that goes back may need its former one,
    // which another has taken: again, until nobody has to.
    while (refuse_clash(response, before, wrong)) {
    }
    return wrong;
  }

  // Takes back the first change that claims an address that another listener has, above all one
  // that had it before; false if there is none.
  bool refuse_clash(const xds::Response& response, const Pieces<CompiledListener>& before,
                    std::string& wrong) {
    UsedAddresses used = addresses_of_file();
    const auto has_changed = [&before](const std::string& name,
                                       const Piece<CompiledListener>& piece) {
      const auto former = before.find(name);
      return former == before.end() || former->second.newest != piece.newest;
    };
    Errors ignored;
    for (const auto& [name, piece] : resources_->listeners)
      if (piece.newest != nullptr && !has_changed(name, piece)) take(used, *piece.newest, ignored);
    for (auto& [name, piece] : resources_->listeners) {
      if (piece.newest == nullptr || !has_changed(name, piece)) continue;
      Errors errors;
      take(used, *piece.newest, errors);
      if (errors.ok()) continue;
      const auto former = before.find(name);
      Piece<CompiledListener> back;
      if (former != before.end()) back = former->second;
      wrong += refuse(response, back, errors.to_string());
      piece = std::move(back);
      return true;
    }
    return false;
  }

  static void take(UsedAddresses& used, const CompiledListener& listener, Errors& errors) {
    used.take(*listener.config, Node(listener.origin.value, &errors));
  }

  UsedAddresses addresses_of_file() const {
    UsedAddresses used;
    const auto& admin = out_->bootstrap.admin;
    if (admin) used.add(admin->to_string(), "admin");
    Errors ignored;
    for (const auto& piece : resources_->file_listeners) take(used, *piece.newest, ignored);
    return used;
  }

  // A new listener of the file would share the address of one of the control plane, in silence.
  void refuse_addresses_of_others(Errors& errors) const {
    UsedAddresses used;
    Errors ignored;
    for (const auto& [name, piece] : resources_->listeners)
      for (const auto& end : {piece.newest, piece.active})
        if (end != nullptr) take(used, *end, ignored);
    for (const auto& piece : resources_->file_listeners) take(used, *piece.newest, errors);
  }

  // RDS: only what was asked for; others are another's.
  std::string take_routes(const xds::Response& response) {
    const WantedNames wanted = wanted_routes(*resources_);
    std::string wrong;
    for (const xds::Resource& resource : response.resources) {
      if (!wanted.contains(resource.name)) continue;
      Pieces<CompiledRoutes>& routes = resources_->routes;
      wrong += take_one(response, resource, routes, routes[resource.name]);
    }
    return wrong;
  }

  // VHDS: what has changed.  An answer without the resource: there is no such host.
  std::string take_virtual_hosts(const xds::Response& response) {
    Pieces<CompiledVirtualHost>& hosts = resources_->virtual_hosts;
    const Pieces<CompiledVirtualHost> before = hosts;
    resources_->has_virtual_hosts = true;
    std::string wrong;
    for (const xds::Resource& resource : response.resources) {
      const std::string_view table = table_of_host(resource.name);
      if (table.empty()) {
        wrong += str("vhds/", config::printable(resource.name),
                     ": name: expected <route table>/<host>\n");
      } else if (resource.bytes.empty()) {
        hosts.erase(resource.name);
      } else {
        wrong += take_one(response, resource, hosts, hosts[resource.name]);
      }
    }
    for (const std::string& name : response.removed) hosts.erase(name);
    while (true) {
      const std::string conflict = refuse_equal_domains(hosts, before, response.version);
      if (conflict.empty()) return wrong;
      wrong += conflict;
    }
  }

  // SRDS: all that there are, or what has changed.
  std::string take_scopes(const xds::Response& response) {
    Pieces<CompiledScope>& scopes = resources_->scopes;
    const Pieces<CompiledScope> before = scopes;
    resources_->has_scopes = true;
    std::string wrong;
    std::unordered_set<std::string_view> said;
    for (const xds::Resource& resource : response.resources) {
      said.insert(resource.name);
      wrong += resource.name.empty() ? "srds: name: required field is missing\n"
                                     : take_one(response, resource, scopes, scopes[resource.name]);
    }
    const std::unordered_set<std::string_view> removed(response.removed.begin(),
                                                       response.removed.end());
    for (auto& [name, piece] : scopes) {
      if (response.is_delta ? !removed.contains(name) : said.contains(name)) continue;
      piece.newest = nullptr;
      piece.error.reset();
    }
    while (true) {
      const std::string conflict = refuse_equal_keys(scopes, before, response.version);
      if (conflict.empty()) return wrong;
      wrong += conflict;
    }
  }

  const Options& options_;
  const Sinks& sinks_;
  const BuildJob& job_;
  const config::UnknownFields unknown_;
  std::shared_ptr<Resources> resources_;
  Compiler compiler_;
  std::shared_ptr<Snapshot> out_;
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
    result.answers.push_back({response.type, response.source, build.take(response)});
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
    std::set<std::string> endpoints, routes, extensions;
    for (const auto& [name, timeout] : wanted_extensions(*resources)) extensions.insert(name);
    for (const auto& [name, timeout] : wanted_endpoints(*resources)) endpoints.insert(name);
    for (const auto& [name, timeout] : wanted_routes(*resources)) routes.insert(name);
    settle(*resources, compiler, {endpoints, routes, {}, extensions, true, true});
  }
  out->resources = std::move(resources);
  index_resources(*out);
  return errors.ok() ? out : nullptr;
}

}  // namespace pillion
