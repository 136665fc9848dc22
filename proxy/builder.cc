#include "proxy/builder.h"

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "proxy/base/str.h"
#include "proxy/compile.h"
#include "proxy/config/suggest.h"
#include "proxy/scoped_routes.h"
#include "proxy/settle.h"
#include "proxy/virtual_hosts.h"
#include "xds/reflect.h"

namespace pillion {
namespace {

using config::Errors;
using config::Node;
using config::Severity;

// What a piece that was compiled again needs beside itself.
template <typename T>
void note(Piece<T>& piece, const Errors& errors) {
  piece.files = errors.files();
  piece.unknown_fields = errors.unknown_fields();
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
    if (!load_files(*out_, *resources_, options_, sinks_, errors) || !errors.ok()) return false;
    compile_again(resources_->clusters);
    compile_again(resources_->routes);
    compile_again(resources_->virtual_hosts);
    compile_again(resources_->scopes);
    compile_again(resources_->listeners);
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
      case xds::ResourceType::kScopedRoutes:
        return take_scopes(response);
      case xds::ResourceType::kVirtualHosts:
        return take_virtual_hosts(response);
      default:  // no others are passed to the builder
        return {};
    }
  }

  std::shared_ptr<const Snapshot> finish() {
    settle(*resources_, compiler_,
           {job_.endpoints, job_.given_up_routes, job_.now, job_.given_up_scopes,
            job_.given_up_virtual_hosts});
    out_->resources = std::move(resources_);
    index_resources(*out_);
    return std::move(out_);
  }

  std::string warnings;
  uint64_t unknown_fields = 0;  // that were tolerated in what was taken

 private:
  std::shared_ptr<const CompiledCluster> compile(const Pieces<CompiledCluster>&, const Node& node,
                                                 Origin origin) {
    return std::make_shared<CompiledCluster>(compiler_.cluster(node, std::move(origin)));
  }
  std::shared_ptr<const CompiledRoutes> compile(const Pieces<CompiledRoutes>&, const Node& node,
                                                Origin origin) {
    return std::make_shared<CompiledRoutes>(compiler_.routes(node, std::move(origin)));
  }
  std::shared_ptr<const CompiledListener> compile(const Pieces<CompiledListener>&, const Node& node,
                                                  Origin origin) {
    return std::make_shared<CompiledListener>(compiler_.listener(node, std::move(origin)));
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

  // Files that pieces name (certificates) may have changed.  A piece that is wrong now stays as it
  // was.
  template <typename T>
  void compile_again(Pieces<T>& pieces) {
    for (auto& [name, piece] : pieces) {
      if (piece.files.empty()) continue;
      const bool is_active = !piece.waits() && piece.active != nullptr;
      for (std::shared_ptr<const T>* end : {&piece.newest, &piece.active}) {
        if (*end == nullptr) continue;
        Errors errors(unknown_);
        std::shared_ptr<const T> again =
            compile(pieces, Node((*end)->origin.value, &errors), (*end)->origin);
        if (errors.ok()) {
          note(piece, errors);
          *end = std::move(again);
        } else {
          warnings += errors.to_string();
        }
      }
      if (is_active && piece.newest != nullptr) piece.active = piece.newest;
    }
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
    const config::DocumentPtr document = xds::reflect(
        xds::message_of(response.type), resource.bytes,
        str(xds::short_name(response.type), '/', config::printable(resource.name)), errors);
    std::shared_ptr<const T> made;
    // What cannot be read would only give errors that follow from it.
    if (errors.ok())
      made = compile(pieces, document->root(errors), {document, &document->root_value()});
    warnings += errors.to_string(Severity::kWarning);
    if (!errors.ok()) return refuse(response, piece, errors.to_string());
    note(piece, errors);
    for (const auto& [field, count] : errors.unknown_fields()) unknown_fields += count;
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

  // LDS and CDS: what is not there any more is removed.
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
    for (auto& [name, piece] : pieces) {
      if (said.contains(name)) continue;
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
    const std::map<std::string, Duration> wanted = wanted_routes(*resources_);
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
    if (!is_good) return result;
    for (const auto& [field, count] : errors.unknown_fields())
      result.static_unknown_fields += count;
  } else {
    build.keep_files();
  }
  for (const xds::Response& response : job.responses)
    result.answers.emplace_back(response.type, build.take(response));
  result.snapshot = build.finish();
  result.warnings += build.warnings;
  result.dynamic_unknown_fields = build.unknown_fields;
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
    std::set<std::string> endpoints, routes;
    for (const auto& [name, timeout] : wanted_endpoints(*resources)) endpoints.insert(name);
    for (const auto& [name, timeout] : wanted_routes(*resources)) routes.insert(name);
    settle(*resources, compiler, {endpoints, routes, {}, true, true});
  }
  out->resources = std::move(resources);
  index_resources(*out);
  return errors.ok() ? out : nullptr;
}

}  // namespace pillion
