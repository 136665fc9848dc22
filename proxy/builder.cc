#include "proxy/builder.h"

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <unordered_set>

#include "proxy/base/str.h"
#include "proxy/compile.h"
#include "proxy/config/suggest.h"
#include "proxy/settle.h"

namespace pillion {
namespace {

using config::Errors;
using config::Node;
using config::Severity;

// What a piece that was compiled again needs beside itself.
template <typename T>
void note(Piece<T>& piece, const Errors& errors) {
  piece.notes.reset();
  if (!errors.files().empty() || !errors.unknown_fields().empty())
    piece.notes = PieceNotes{errors.files(), errors.unknown_fields()};
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
                  *resources_) {}

  // False if the file was refused.
  bool read_files(Errors& errors) {
    out_ = std::make_shared<Snapshot>();
    is_all_new_ = true;
    resources_->wanted_routes = nullptr;
    if (!load_files(*out_, *resources_, options_, sinks_, errors) || !errors.ok()) return false;
    for (auto& piece : resources_->file_clusters) keep_what_is_in_force(piece);
    for (auto& piece : resources_->file_listeners) keep_what_is_in_force(piece);
    compile_again(resources_->clusters, resources_->unsettled.clusters);
    compile_again(resources_->routes, resources_->unsettled.routes);
    compile_again(resources_->listeners, resources_->unsettled.listeners);
    for (const auto& [name, piece] : resources_->listeners)
      resources_->unsettled.listeners.insert(name);
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
        return take_clusters(response);
      case xds::ResourceType::kListeners:
        return take_listeners(response);
      case xds::ResourceType::kRoutes:
        return take_routes(response);
      default:  // no others are passed to the builder
        return {};
    }
  }

  std::shared_ptr<const Snapshot> finish() {
    settle(*resources_, compiler_, {job_.endpoints, job_.given_up_routes, job_.now});
    index_resources(*out_, std::move(resources_), is_all_new_ ? nullptr : job_.previous.get());
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

  // What compiles to the same as what is in force under its name, or was newest, is that: those who
  // have it need not be told.
  static bool is_same(const CompiledCluster& a, const CompiledCluster& b) {
    return a.config->hash == b.config->hash;
  }
  static bool is_same(const CompiledListener& a, const CompiledListener& b) {
    return a.config->hash == b.config->hash;
  }
  static bool is_same(const CompiledRoutes& a, const CompiledRoutes& b) {
    return a.table->hash() == b.table->hash();
  }
  static void use(CompiledCluster& to, const CompiledCluster& from) { to.config = from.config; }
  static void use(CompiledRoutes& to, const CompiledRoutes& from) { to.table = from.table; }
  static void use(CompiledListener& to, const CompiledListener& from) {
    to.config = from.config;
    to.tables = from.tables;
  }
  template <typename T>
  static std::shared_ptr<const T> keep_same(std::shared_ptr<const T> made, const Piece<T>& piece) {
    for (const std::shared_ptr<const T>& end : {piece.active, piece.newest}) {
      if (end == nullptr || !is_same(*made, *end)) continue;
      T kept = *made;
      use(kept, *end);
      return std::make_shared<const T>(std::move(kept));
    }
    if (piece.active != nullptr) return keep_parts(std::move(made), *piece.active);
    return made;
  }
  template <typename T>
  static std::shared_ptr<const T> keep_parts(std::shared_ptr<const T> made, const T&) {
    return made;
  }
  // Of a listener that is another one now the filter chains that are not, with what belongs to
  // them (token buckets, counters).
  static std::shared_ptr<const CompiledListener> keep_parts(
      std::shared_ptr<const CompiledListener> made, const CompiledListener& former) {
    const core::ListenerConfig& old = *former.config;
    // What a chain has of its listener.
    if (old.direction != made->config->direction ||
        old.per_connection_buffer_limit != made->config->per_connection_buffer_limit)
      return made;
    std::unordered_map<uint64_t, const std::shared_ptr<const core::FilterChain>*> known;
    for (const auto& chain : old.chains) known.emplace(chain->hash, &chain);
    auto config = std::make_shared<core::ListenerConfig>(*made->config);
    for (auto& chain : config->chains) {
      const auto it = known.find(chain->hash);
      if (it != known.end() && (*it->second)->name == chain->name) chain = *it->second;
    }
    auto& last = config->default_chain;
    if (last != nullptr && old.default_chain != nullptr && last->hash == old.default_chain->hash)
      last = old.default_chain;
    auto out = std::make_shared<CompiledListener>(*made);
    out->config = std::move(config);
    return out;
  }
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

  // Files that pieces name (certificates) may have changed.  A piece that is wrong now stays as it
  // was.
  template <typename T>
  void compile_again(Pieces<T>& pieces, std::set<std::string>& unsettled) {
    std::vector<std::string> names;
    for (const auto& [name, piece] : pieces)
      if (piece.notes && !piece.notes->files.empty()) names.push_back(name);
    for (const std::string& name : names) {
      Piece<T> piece = pieces[name];
      const bool is_active = !piece.waits() && piece.active != nullptr;
      for (std::shared_ptr<const T>* end : {&piece.newest, &piece.active}) {
        if (*end == nullptr) continue;
        Errors errors(unknown_);
        const OpenOrigin origin = open_origin((*end)->origin, name, errors);
        std::shared_ptr<const T> again;
        if (errors.ok()) again = compile(pieces, Node(origin.value, &errors), (*end)->origin);
        if (errors.ok()) {
          note(piece, errors);
          *end = keep_same(std::move(again), piece);
        } else {
          warnings += errors.to_string();
        }
      }
      if (is_active && piece.newest != nullptr) piece.active = piece.newest;
      pieces[name] = std::move(piece);
      unsettled.insert(name);
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
    for (const std::string_view name : names_of(list)) pieces.erase(name);
  }

  // A resource becomes the newest of its piece, or a line of what is wrong.  `of_all`: what an
  // empty version means, until now; `version`: of the piece, likewise.
  template <typename T>
  std::string take_one(const xds::Response& response, const xds::Resource& resource,
                       Pieces<T>& pieces, const std::string& of_all, const std::string& version,
                       std::set<std::string>& unsettled) {
    const uint64_t hash = std::hash<std::string>{}(resource.bytes);
    if (const auto known = pieces.find(resource.name); known != pieces.end() &&
                                                       known->second.newest != nullptr &&
                                                       known->second.bytes_hash == hash) {
      said_again(known->second, [&]() -> Piece<T>& { return pieces[resource.name]; }, version);
      return {};
    }
    Errors errors(unknown_);
    Origin origin{nullptr, nullptr, resource.bytes, response.type};
    const OpenOrigin open = open_origin(origin, resource.name, errors);
    std::shared_ptr<const T> made;
    // What cannot be read would only give errors that follow from it.
    if (errors.ok()) made = compile(pieces, Node(open.value, &errors), std::move(origin));
    warnings += errors.to_string(Severity::kWarning);
    Piece<T>& piece = pieces[resource.name];
    piece.lingers_until = {};
    piece.fix_active_version(of_all);
    unsettled.insert(resource.name);
    if (!errors.ok()) {
      piece.fix_version(of_all);
      return refuse(response, piece, errors.to_string());
    }
    note(piece, errors);
    for (const auto& [field, count] : errors.unknown_fields()) unknown_fields += count;
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
  static std::string refuse(const xds::Response& response, Piece<T>& piece, std::string text) {
    piece.error = admin::ConfigFailure{wall_now(), response.version, text};
    return text;
  }

  // What is not there any more: settle() sees to its end.
  template <typename T>
  static void remove(Pieces<T>& pieces, const std::string& name, const std::string& of_all,
                     std::set<std::string>& unsettled) {
    Piece<T>& piece = pieces[name];
    piece.fix_active_version(of_all);
    piece.newest = nullptr;
    piece.error.reset();
    unsettled.insert(name);
  }

  // LDS and CDS: the state of the world is all that there is; a delta says what has changed.
  template <typename T>
  std::string take_all(const xds::Response& response, Pieces<T>& pieces,
                       const std::vector<Piece<T>>& file, const std::string& of_all,
                       std::set<std::string>& unsettled) {
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
        wrong +=
            take_one(response, resource, pieces, of_all, version_in(response, resource), unsettled);
      }
    }
    if (response.is_delta) {
      for (const std::string& name : response.removed)
        if (!said.contains(name) && pieces.contains(name)) remove(pieces, name, of_all, unsettled);
      return wrong;
    }
    std::vector<std::string> gone;
    for (const auto& [name, piece] : pieces)
      if (!said.contains(name) && (piece.newest != nullptr || piece.error)) gone.push_back(name);
    for (const std::string& name : gone) remove(pieces, name, of_all, unsettled);
    return wrong;
  }

  // Empty where it is the response's, and that has all of its kind.
  static std::string version_in(const xds::Response& response, const xds::Resource& resource) {
    if (!resource.version.empty()) return resource.version;
    const bool has_all = !response.is_delta && response.type != xds::ResourceType::kRoutes;
    return has_all ? std::string() : response.version;
  }

  // After all of a response was taken: its version is what empty ones mean.
  static void use_version(const xds::Response& response, std::string& of_all) {
    if (!response.is_delta) of_all = response.version;
  }

  std::string take_clusters(const xds::Response& response) {
    std::string wrong = take_all(response, resources_->clusters, resources_->file_clusters,
                                 resources_->clusters_version, resources_->unsettled.clusters);
    use_version(response, resources_->clusters_version);
    return wrong;
  }

  std::string take_listeners(const xds::Response& response) {
    const Pieces<CompiledListener> before = resources_->listeners;
    std::string wrong = take_all(response, resources_->listeners, resources_->file_listeners,
                                 resources_->listeners_version, resources_->unsettled.listeners);
    const Changed changed = changed_listeners(before);
    if (!changed.empty()) {
      resources_->wanted_routes = nullptr;
      refuse_clashes(response, before, changed, wrong);
    }
    use_version(response, resources_->listeners_version);
    return wrong;
  }

  using Changed = std::set<std::string, std::less<>>;
  [[nodiscard]] Changed changed_listeners(const Pieces<CompiledListener>& before) const {
    Changed names;
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
                      Changed changed, std::string& wrong) {
    while (true) {
      const std::string refused = refuse_clash(response, before, changed, wrong);
      if (refused.empty()) return;
      changed.erase(refused);
    }
  }

  // Takes back the first change that claims an address that another listener has, above all one
  // that had it before; its name, or empty if there is none.
  std::string refuse_clash(const xds::Response& response, const Pieces<CompiledListener>& before,
                           const Changed& changed, std::string& wrong) {
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
      wrong += refuse(response, back, errors.to_string());
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

  // RDS: only what was asked for; others are another's.  A name that is said to be gone keeps its
  // table as long as a listener needs it, as in Envoy.
  std::string take_routes(const xds::Response& response) {
    auto wanted = resources_->wanted_routes;
    if (wanted == nullptr)
      wanted = std::make_shared<const std::map<std::string, Duration>>(wanted_routes(*resources_));
    std::string wrong;
    for (const xds::Resource& resource : response.resources) {
      if (!wanted->contains(resource.name)) continue;
      wrong += take_one(response, resource, resources_->routes, {}, version_in(response, resource),
                        resources_->unsettled.routes);
    }
    return wrong;
  }

  const Options& options_;
  const Sinks& sinks_;
  const BuildJob& job_;
  const config::UnknownFields unknown_;
  std::shared_ptr<Resources> resources_;
  Compiler compiler_;
  std::shared_ptr<Snapshot> out_;
  bool is_all_new_ = false;  // the file was read
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
    SharedNames endpoints;
    std::set<std::string> routes;
    for (const auto& [name, timeout] : wanted_endpoints(*resources)) endpoints.insert(name);
    for (const auto& [name, timeout] : wanted_routes(*resources)) routes.insert(name);
    settle(*resources, compiler, {endpoints, routes, {}});
  }
  index_resources(*out, std::move(resources), nullptr);
  return errors.ok() ? out : nullptr;
}

}  // namespace pillion
