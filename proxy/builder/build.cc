#include "proxy/builder/build.h"

#include <utility>

#include "proxy/builder/index_resources.h"
#include "proxy/builder/load_files.h"
#include "proxy/builder/scoped_routes.h"
#include "proxy/builder/settle.h"

namespace pillion {

using config::Errors;
using config::Node;

namespace {

// What is in force under a name, of the file or of a control plane; null: nothing.
template <typename T>
std::shared_ptr<const T> find_active(const std::vector<Piece<T>>& of_file, const Pieces<T>& dynamic,
                                     std::string_view name) {
  const auto it = dynamic.find(name);
  if (it != dynamic.end() && it->second.active != nullptr) return it->second.active;
  for (const Piece<T>& piece : of_file)
    if (piece.active != nullptr && piece.active->config->name == name) return piece.active;
  return nullptr;
}
std::shared_ptr<const CompiledCluster> in_force(const Resources& of,
                                                const Piece<CompiledCluster>& like) {
  return find_active(of.file_clusters, of.clusters, like.newest->config->name);
}
std::shared_ptr<const CompiledListener> in_force(const Resources& of,
                                                 const Piece<CompiledListener>& like) {
  return find_active(of.file_listeners, of.listeners, like.newest->config->name);
}

}  // namespace

Build::Build(const Options& options, const Sinks& sinks, const BuildJob& job)
    : options_(options),
      sinks_(sinks),
      job_(job),
      unknown_(options.unknown_dynamic_fields()),
      resources_(job.previous == nullptr ? std::make_shared<Resources>()
                                         : std::make_shared<Resources>(*job.previous->resources)),
      compiler_(sinks, job.previous == nullptr ? std::string() : job.previous->bootstrap.node_id,
                job.previous == nullptr ? std::string() : job.previous->bootstrap.node_cluster,
                *resources_) {
  if (!are_same(resources_->demanded_routes, job.demanded_routes)) {
    resources_->demanded_routes = job.demanded_routes;
    resources_->wanted_routes = nullptr;
    resources_->unsettled.scopes = true;
  }
  drop_unused_scopes();
  for (const std::string& name : job.dropped_virtual_hosts)
    resources_->unsettled.virtual_hosts |= resources_->virtual_hosts.erase(name);
}

// Of a piece of the file, whoever had its name before.  It stays until the new one has what it
// needs.
template <typename T>
void Build::keep_what_is_in_force(Piece<T>& piece) const {
  if (job_.previous == nullptr) return;
  piece.active = in_force(*job_.previous->resources, piece);
  if (piece.active == nullptr || piece.active->config->hash != piece.newest->config->hash) return;
  T kept = *piece.newest;
  kept.config = piece.active->config;
  piece.newest = std::make_shared<const T>(std::move(kept));
}

// Nobody is asked for scopes when no listener uses them: what there are would never be taken back.
void Build::drop_unused_scopes() {
  if (!resources_->has_scopes || wanted_scopes(*resources_)) return;
  resources_->scopes.clear();
  resources_->has_scopes = resources_->unsettled.scopes = false;
  resources_->scope_table = nullptr;
}

// False if the file was refused.
bool Build::read_files(Errors& errors) {
  out_ = std::make_shared<Snapshot>();
  is_all_new_ = true;
  resources_->wanted_routes = nullptr;
  const std::shared_ptr<const config::Runtime> former = resources_->runtime;
  const bool is_loaded =
      load_files(*out_, *resources_, options_, sinks_, errors, job_.cancelled) && errors.ok();
  if (!is_loaded || is_cancelled()) return false;
  for (auto& piece : resources_->file_clusters) keep_what_is_in_force(piece);
  for (auto& piece : resources_->file_listeners) keep_what_is_in_force(piece);
  const Keys keys = resources_->runtime->changes_from(*former);
  compile_all_again(keys);
  move_shadows();
  refuse_addresses_of_others(errors);
  refuse_unbindable_of_file(errors);
  refuse_sources_of_others(errors);
  return errors.ok();
}

void Build::keep_files() {
  out_ = std::make_shared<Snapshot>();
  out_->bootstrap = job_.previous->bootstrap;
  out_->document = job_.previous->document;
}

void Build::take_admin_values(std::shared_ptr<const config::RuntimeValues> values) {
  resources_->admin_values = std::move(values);
  renew_runtime();
}

std::shared_ptr<const Snapshot> Build::finish() {
  settle(*resources_, compiler_,
         {job_.endpoints, job_.given_up_routes, job_.now, job_.given_up_extensions,
          job_.given_up_scopes, job_.given_up_virtual_hosts, &job_.held_listeners, job_.warm,
          job_.settled_secrets, is_all_new_, out_->bootstrap.dynamic.cds.has_value(), &warnings});
  index_resources(*out_, std::move(resources_), is_all_new_ ? nullptr : job_.previous.get());
  return std::move(out_);
}

}  // namespace pillion
