// Changes of configuration: what differs, in which order it takes effect, and what a refusal leaves
// behind (nothing).
#include <algorithm>
#include <utility>

#include "proxy/base/background_thread.h"
#include "proxy/base/log.h"
#include "proxy/base/startup_pages.h"
#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "proxy/server.h"

namespace pillion {
namespace {

void log_lines(log::Level level, std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    level == log::Level::kError ? log::error(log::kConfig, line) : log::warning(log::kConfig, line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void warn_of_fixed_fields(const BootstrapConfig& before, const BootstrapConfig& now) {
  std::string changed;
  const auto compare = [&](std::string_view name, uint64_t BootstrapConfig::* hash) {
    if (before.*hash != now.*hash) changed += str(changed.empty() ? "" : " ", name);
  };
  compare("node", &BootstrapConfig::node_hash);
  compare("admin", &BootstrapConfig::admin_hash);
  compare("stats_config", &BootstrapConfig::stats_config_hash);
  compare("dynamic_resources", &BootstrapConfig::dynamic_hash);
  compare("overload_manager", &BootstrapConfig::overload_manager_hash);
  if (changed.empty()) return;
  log::warning(log::kConfig, "these changes take effect at the next start only",
               {{"fields", changed}});
}

}  // namespace

// ---- reading ----

void Server::reload(std::string_view cause) {
  reload_wanted_ = cause;
  build_if_wanted();
}

void Server::on_resources_wait() {
  resources_wait_ = true;
  build_if_wanted();
}

// One build after the other, and none before the last one is in force.  Files and what the control
// plane says are taken in turns: what is wrong with the one must not refuse the other.
void Server::build_if_wanted() {
  if (shutting_down_ || building_ || opening_ != nullptr || pending_ != nullptr || applying_ != 0)
    return;
  if (!warming_.empty() || leaving_ != nullptr) return;
  if (reload_wanted_.empty() && !resources_wait_ && !runtime_waits_ && !sockets_wait_ &&
      !warm_wait_)
    return;
  BuildJob job;
  job.previous = snapshot_;
  job.now = loop_.now();
  add_to(job);
  add_warm_to(job);
  sockets_wait_ = false;
  if (const std::string cause = std::exchange(reload_wanted_, {}); !cause.empty()) {
    log::info(log::kConfig, "reading the configuration again", {{"cause", cause}});
    job.reads_files = true;
    if (control_plane_ != nullptr) control_plane_->add_to(job, ControlPlane::Take::kStateAlone);
  } else {
    resources_wait_ = warm_wait_ = false;
    if (control_plane_ != nullptr) control_plane_->add_to(job, ControlPlane::Take::kResponsesToo);
  }
  if (std::exchange(runtime_waits_, false))
    job.admin_values = std::make_shared<const config::RuntimeValues>(admin_values_);
  building_ = true;
  builder_.post([this, serves = ready_, job = std::move(job)](const std::stop_token& stop) mutable {
    // The first configuration is waited for.
    if (serves) stand_back();
    job.cancelled = stop;
    auto result = std::make_shared<BuildResult>(run_build(options_, sinks(), job));
    inbox_.post([this, result] { finish_build(std::move(*result)); });
  });
}

void Server::finish_build(BuildResult result) {
  building_ = false;
  if (shutting_down_) return;
  log_lines(log::Level::kWarning, result.warnings);
  count_unknown_fields(result);
  runtime_stats_->value_unusable.add(result.unusable_runtime_values);
  is_reload_ = result.read_files;
  if (result.snapshot == nullptr) {
    // Of a refused configuration too: the file that it lacks may come.
    watch(result.files);
    refuse_reload(std::move(result.messages));
    return end_build(result, false);
  }
  opening_ = begin_change(std::move(result));
  open_sockets();
}

void Server::end_build(const BuildResult& result, bool is_taken) {
  // The admin layer's values wait for the next one.
  runtime_waits_ |= !is_taken && result.has_admin_values;
  if (control_plane_ != nullptr) {
    control_plane_->on_built(result, *snapshot_, is_taken);
    discovery_.forget_endpoints(control_plane_->take_dropped_endpoints());
  } else if (is_taken) {
    ask_control_plane();
  }
  build_if_wanted();
}

void Server::count_unknown_fields(const BuildResult& result) {
  stats_->static_unknown_fields.add(result.static_unknown_fields);
  for (const auto& [name, field] : result.dynamic_unknown_fields)
    stats_->dynamic_unknown_fields.add(field.count);
  unknown_fields_.add(result.dynamic_unknown_fields);
}

void Server::on_unknown_fields(const config::UnknownFieldMap& fields) {
  unknown_fields_.add(fields);
}

void Server::on_endpoints(const std::string& eds_name, const upstream::HostSetPtr& hosts) {
  discovery_.set_endpoints(eds_name, hosts);
}

upstream::HostSetPtr Server::endpoints_of(const std::string& eds_name) const {
  return discovery_.endpoints_of(eds_name);
}

void Server::on_initialized() { become_ready_if(); }

// The old configuration stays in force, and everybody who asks is told why.
void Server::refuse_reload(std::string messages) {
  stats_->config_reload_failure.inc();
  log_lines(log::Level::kError, messages);
  log::error(log::kConfig, "configuration refused; the one before stays in force",
             {{"path", options_.config_path}});
  last_failure_ = admin::ConfigFailure{wall_now(), {}, std::move(messages)};
}

// ---- what differs ----

void Server::diff_clusters(const SnapshotChanges& changes, WorkerUpdate& update) {
  for (const auto& [name, before, after] : changes.clusters) {
    if (after == nullptr) {
      cluster_stats_->cluster_removed.inc();
      log::debug(log::kConfig, "cluster removed", {{"cluster", name}});
      update.removed_clusters.emplace_back(name);
      continue;
    }
    // Requests that run count against the limits, whatever the configuration.
    if (before != nullptr) upstream::adopt_limits(*after, *before);
    (before == nullptr ? cluster_stats_->cluster_added : cluster_stats_->cluster_modified).inc();
    log::debug(log::kConfig, before == nullptr ? "cluster added" : "cluster changed",
               {{"cluster", name}});
    update.clusters.push_back({after, nullptr});
  }
}

void Server::count_in_force(const SnapshotChanges& changes) {
  const auto count = [](const auto& list, size_t& in_force) {
    for (const auto& change : list) {
      in_force += change.before == nullptr ? 1u : 0u;
      in_force -= change.after == nullptr ? 1u : 0u;
    }
  };
  count(changes.clusters, clusters_in_force_);
  count(changes.listeners, listeners_in_force_);
  cluster_stats_->active_clusters.set(static_cast<int64_t>(clusters_in_force_));
  listener_stats_->total_listeners_active.set(static_cast<int64_t>(listeners_in_force_));
}

// Begins to watch those of the files that are not watched yet.
void Server::watch(const std::set<std::string>& files) {
  io::FileObserver& observer = *this;
  for (const std::string& file : files) {
    std::unique_ptr<io::FileWatch>& slot = named_files_[file];
    if (slot != nullptr) continue;
    if (auto watch = io::FileWatch::make(loop_, file, observer)) {
      slot = std::move(*watch);
    } else {
      named_files_.erase(file);
      log::warning(log::kConfig, "changes of a file are not noticed; send SIGHUP",
                   {{"reason", watch.error()}});
    }
  }
}

void Server::on_file_gone(const std::string& path) {
  if (shutting_down_) return;
  log::warning(log::kConfig,
               "a file of the configuration is gone; the configuration stays in force until the "
               "file is there again",
               {{"path", path}});
}

// ---- taking effect ----

void Server::commit(Change& change) {
  const std::shared_ptr<Snapshot>& next = change.next;
  const SnapshotChanges& changes = change.changes;
  std::unique_ptr<WorkerUpdate>& update = change.update;
  bound_.take(*update, change.sockets->keep(), stopped_);
  addresses_left_ |= !update->removed_listeners.empty();
  count_listeners(*update);
  begin_drains(changes, *update);
  diff_clusters(changes, *update);
  count_in_force(changes);
  set_own_addresses(*update);
  if (snapshot_ != nullptr) {
    warn_of_fixed_fields(snapshot_->bootstrap, next->bootstrap);
    retired_.add(changes, snapshot_);
    log::info(log::kConfig, "configuration taken",
              {{"listeners_added", update->new_listeners.size()},
               {"listeners_changed", update->changed_listeners.size()},
               {"listeners_removed", update->removed_listeners.size()},
               {"clusters_set", update->clusters.size()},
               {"clusters_removed", update->removed_clusters.size()}});
  }
  std::erase_if(named_files_, [&](const auto& file) { return !next->files.contains(file.first); });
  watch(next->files);
  // What the control plane says makes a refused file no better.
  const bool read_files = is_reload_ || snapshot_ == nullptr;
  if (read_files) {
    config_time_ = wall_now();
    last_failure_.reset();
  }
  if (snapshot_ == nullptr || snapshot_->resources->runtime != next->resources->runtime)
    use_runtime(*next);
  static const Resources kNone;
  warming_ =
      warming_between(snapshot_ == nullptr ? kNone : *snapshot_->resources, *next->resources);
  snapshot_ = next;
  unbound_.look_at(*snapshot_->resources);
  load_counts_.use(snapshot_);
  if (read_files) take_static_secrets();
  const Resources& now = *snapshot_->resources;
  cluster_stats_->warming_clusters.set(
      static_cast<int64_t>(now.warming_clusters + now.changing_clusters));
  listener_stats_->total_listeners_warming.set(
      static_cast<int64_t>(now.warming_listeners + now.changing_listeners));
  pending_ = std::move(update);
  is_pending_of_file_ = read_files;
  secrets_wanted_ = false;
  clusters_added_ = clusters_warm_ = 0;
  add_clusters();
}

}  // namespace pillion
