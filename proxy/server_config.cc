// Changes of configuration: what differs, in which order it takes effect, and what a refusal leaves
// behind (nothing).
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/startup_pages.h"
#include "proxy/base/str.h"
#include "proxy/builder.h"
#include "proxy/server.h"

namespace pillion {
namespace {

// How often it is looked whether superseded configuration may die; only while there is some.
constexpr Duration kPruneDelay = std::chrono::seconds(10);

template <typename T>
using Named = std::unordered_map<std::string_view, std::shared_ptr<const T>>;

template <typename T>
Named<T> by_name(const std::vector<std::shared_ptr<const T>>& list) {
  Named<T> out;
  out.reserve(list.size());
  for (const auto& item : list) out.emplace(item->name, item);
  return out;
}

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
  if (shutting_down_ || building_ || pending_ != nullptr || applying_ != 0) return;
  if (reload_wanted_.empty() && !resources_wait_ && !runtime_waits_) return;
  BuildJob job;
  job.previous = snapshot_;
  job.now = loop_.now();
  if (const std::string cause = std::exchange(reload_wanted_, {}); !cause.empty()) {
    log::info(log::kConfig, "reading the configuration again", {{"cause", cause}});
    job.reads_files = true;
    if (control_plane_ != nullptr) control_plane_->add_to(job, ControlPlane::Take::kStateAlone);
  } else {
    resources_wait_ = false;
    if (control_plane_ != nullptr) control_plane_->add_to(job, ControlPlane::Take::kResponsesToo);
  }
  if (std::exchange(runtime_waits_, false))
    job.admin_values = std::make_shared<const config::RuntimeValues>(admin_values_);
  if (builder_.joinable()) builder_.join();
  building_ = true;
  builder_ = std::thread([this, job = std::move(job)] {
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
  std::string left_out;
  if (result.snapshot == nullptr) {
    // Of a refused configuration too: the file that it lacks may come.
    watch(result.files);
    refuse_reload(std::move(result.messages));
    // The admin layer's values wait for the next one.
    runtime_waits_ |= result.lost_admin_values;
  } else if (Status<> committed =
                 commit(result.snapshot, control_plane_ == nullptr ? nullptr : &left_out);
             !committed) {
    refuse_reload(committed.error());
    for (Answer& answer : result.answers) answer.wrong += committed.error() + '\n';
  }
  if (control_plane_ != nullptr) {
    for (Answer& answer : result.answers)
      if (answer.type == xds::ResourceType::kListeners) answer.wrong += left_out;
    control_plane_->on_built(result, *snapshot_);
    discovery_.keep_endpoints(control_plane_->endpoints());
  } else if (result.snapshot != nullptr) {
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

void Server::on_endpoints(const std::string& eds_name, const upstream::HostSet& endpoints) {
  discovery_.set_endpoints(eds_name, endpoints);
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

void Server::keep_unchanged(Snapshot& next) {
  if (snapshot_ == nullptr) return;
  const auto keep = [](auto& list, const auto& former) {
    const auto before = by_name(former);
    for (auto& item : list) {
      const auto it = before.find(item->name);
      if (it != before.end() && it->second->hash == item->hash) item = it->second;
    }
  };
  keep(next.clusters, snapshot_->clusters);
  keep(next.listeners, snapshot_->listeners);
}

void Server::diff_clusters(const Snapshot& next, WorkerUpdate& update) {
  static const std::vector<std::shared_ptr<const upstream::ClusterConfig>> kNone;
  const auto& former = snapshot_ == nullptr ? kNone : snapshot_->clusters;
  const auto former_by_name = by_name(former);
  for (const auto& cluster : next.clusters) {
    const auto it = former_by_name.find(cluster->name);
    const bool is_new = it == former_by_name.end();
    if (!is_new && it->second == cluster) continue;
    // Requests that run count against the limits, whatever the configuration.
    if (!is_new) upstream::adopt_limits(*cluster, *it->second);
    (is_new ? cluster_stats_->cluster_added : cluster_stats_->cluster_modified).inc();
    log::debug(log::kConfig, is_new ? "cluster added" : "cluster changed",
               {{"cluster", cluster->name}});
    update.clusters.push_back({cluster, nullptr});
  }
  const auto now_by_name = by_name(next.clusters);
  for (const auto& cluster : former) {
    if (now_by_name.contains(cluster->name)) continue;
    cluster_stats_->cluster_removed.inc();
    log::debug(log::kConfig, "cluster removed", {{"cluster", cluster->name}});
    update.removed_clusters.push_back(cluster->name);
  }
}

// A listener that gets another socket is removed and new at once.
void Server::count_listeners(const WorkerUpdate& update) {
  const auto replaced = static_cast<uint64_t>(
      std::ranges::count_if(update.new_listeners, [&](const WorkerUpdate::NewListener& added) {
        return std::ranges::find(update.removed_listeners, added.config->name) !=
               update.removed_listeners.end();
      }));
  listener_stats_->listener_added.add(update.new_listeners.size() - replaced);
  listener_stats_->listener_removed.add(update.removed_listeners.size() - replaced);
  listener_stats_->listener_modified.add(update.changed_listeners.size() + replaced);
  listener_stats_->listener_in_place_updated.add(update.changed_listeners.size());
  for (const std::string& name : update.removed_listeners)
    log::debug(log::kConfig, "listener removed", {{"listener", name}});
  for (const auto& listener : update.changed_listeners)
    log::debug(log::kConfig, "listener changed", {{"listener", listener->name}});
  for (const WorkerUpdate::NewListener& added : update.new_listeners)
    log::debug(log::kConfig, "listener added", {{"listener", added.config->name}});
}

const Server::Bound* Server::find_bound(std::string_view name) const {
  const auto it =
      std::ranges::find_if(bound_, [name](const Bound& b) { return b.config->name == name; });
  return it == bound_.end() ? nullptr : &*it;
}

std::vector<io::Address> Server::bound_addresses() const {
  std::vector<io::Address> all;
  for (const Bound& b : bound_) all.insert(all.end(), b.addresses.begin(), b.addresses.end());
  return all;
}

void Server::diff_listeners(const Snapshot& next, WorkerUpdate& update) {
  for (const auto& listener : next.listeners) {
    const Bound* before = find_bound(listener->name);
    if (before != nullptr && before->config->socket_hash == listener->socket_hash) {
      if (before->config != listener) update.changed_listeners.push_back(listener);
      continue;
    }
    if (before != nullptr) update.removed_listeners.push_back(listener->name);
    update.new_listeners.push_back({listener, {}});
  }
  const auto now_by_name = by_name(next.listeners);
  for (const Bound& before : bound_) {
    if (now_by_name.contains(before.config->name)) continue;
    update.removed_listeners.push_back(before.config->name);
  }
}

Status<Server::NotOpened> Server::open_new_sockets(const Snapshot& next, WorkerUpdate& update) {
  const std::vector<io::Address> ours = bound_addresses();
  std::vector<ListenSockets> opened;
  for (WorkerUpdate::NewListener& added : update.new_listeners) {
    Result<ListenSockets> sockets = open_listen_sockets(*added.config, concurrency_, ours);
    if (!sockets) {
      for (const ListenSockets& s : opened) close_listen_sockets(s);
      return Error<NotOpened>{{added.config->name, sockets.error()}};
    }
    added.sockets = sockets->sockets;
    opened.push_back(std::move(*sockets));
  }
  std::vector<Bound> bound;
  for (const auto& listener : next.listeners) {
    const Bound* before = find_bound(listener->name);
    Bound now{listener, before != nullptr ? before->addresses : std::vector<io::Address>{}};
    for (size_t i = 0; i < opened.size(); ++i) {
      if (update.new_listeners[i].config == listener) now.addresses = opened[i].addresses;
    }
    bound.push_back(std::move(now));
  }
  bound_ = std::move(bound);
  return Ok{};
}

// Others go on: the one before it stays, or there is none.
bool Server::leave_out(Snapshot& next, const NotOpened& listener) {
  auto resources = std::make_shared<Resources>(*next.resources);
  const auto piece = resources->listeners.find(listener.listener);
  const auto it = std::ranges::find_if(
      next.listeners, [&](const auto& item) { return item->name == listener.listener; });
  if (piece == resources->listeners.end() || it == next.listeners.end()) return false;
  const Pieces<CompiledListener>& former = snapshot_->resources->listeners;
  const auto before = former.find(listener.listener);
  const Bound* bound = find_bound(listener.listener);
  const std::string refused = piece->second.version;
  if (before != former.end() && before->second.active != nullptr && bound != nullptr) {
    piece->second.newest = before->second.active;
    piece->second.version = before->second.active_version;
    piece->second.activate();
    *it = bound->config;
  } else {
    piece->second.newest = piece->second.active = nullptr;
    next.listeners.erase(it);
  }
  piece->second.bytes_hash = 0;
  piece->second.error = admin::ConfigFailure{wall_now(), refused, listener.reason};
  next.resources = std::move(resources);
  return true;
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

Status<> Server::commit(const std::shared_ptr<const Snapshot>& built, std::string* left_out) {
  auto next = std::make_shared<Snapshot>(*built);
  keep_unchanged(*next);
  auto update = std::make_shared<WorkerUpdate>();
  diff_listeners(*next, *update);
  while (true) {
    const Status<NotOpened> opened = open_new_sockets(*next, *update);
    if (opened) break;
    const NotOpened& failed = opened.error();
    if (left_out == nullptr || !leave_out(*next, failed)) return Error{failed.reason};
    log::error(log::kConfig, "a listener of the control plane is left out",
               {{"listener", failed.listener}, {"reason", failed.reason}});
    *left_out += str("lds/", failed.listener, ": ", failed.reason, '\n');
    *update = {};
    diff_listeners(*next, *update);
  }
  count_listeners(*update);
  diff_clusters(*next, *update);
  update->own_addresses = bound_addresses();
  if (admin_ != nullptr) update->own_addresses.push_back(admin_->address());
  for (const upstream::ClusterResource& cluster : update->clusters) discovery_.add(cluster.config);
  if (snapshot_ != nullptr) {
    warn_of_fixed_fields(snapshot_->bootstrap, next->bootstrap);
    retire_former(*next);
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
  snapshot_ = std::move(next);
  load_counts_.use(*snapshot_);
  if (read_files) take_static_secrets();
  cluster_stats_->active_clusters.set(static_cast<int64_t>(snapshot_->clusters.size()));
  cluster_stats_->warming_clusters.set(
      static_cast<int64_t>(snapshot_->resources->warming_clusters));
  listener_stats_->total_listeners_active.set(static_cast<int64_t>(snapshot_->listeners.size()));
  listener_stats_->total_listeners_warming.set(
      static_cast<int64_t>(snapshot_->resources->warming_listeners));
  pending_ = std::move(update);
  secrets_wanted_ = false;
  apply_when_warm();
  return Ok{};
}

// New listeners and routes wait until the clusters they use know their endpoints, or gave up, and
// then until the secrets they need have come, likewise.
void Server::apply_when_warm() {
  if (pending_ == nullptr || closing_ || !discovery_.all_warm()) return;
  want_secrets();
  if (!secrets_.all_settled()) return;
  auto update = std::make_shared<WorkerUpdate>(*pending_);
  discovery_.commit();
  for (upstream::ClusterResource& cluster : update->clusters)
    cluster.hosts = discovery_.hosts(cluster.config->name);
  for (const std::string& name : update->removed_clusters) discovery_.remove(name);
  pending_.reset();
  for (const WorkerUpdate::NewListener& added : update->new_listeners)
    new_listeners_.push_back(added.config->name);
  applying_ = concurrency_;
  if (clusters_ != nullptr) clusters_->apply(*update);
  if (spans_.has_targets()) spans_.use(cluster_client());
  fetch_documents();
  std::shared_ptr<const WorkerUpdate> shared = std::move(update);
  for (const auto& worker : workers_) {
    worker->post([shared, this](Worker& w) {
      w.apply(shared);
      inbox_.post([this] { on_applied(); });
    });
  }
}

void Server::on_warm() { apply_when_warm(); }

void Server::fetch_documents() {
  const auto wanted = documents_of(*snapshot_);
  if (documents_ == nullptr) {
    if (wanted.empty()) return;
    DocumentObserver& observer = *this;
    documents_ = std::make_unique<DocumentFetcher>(
        DocumentFetcher::Context{loop_, rng_, registry_, cluster_client(), observer});
  }
  documents_->use(wanted);
}

void Server::on_document_changed() {
  for (const auto& worker : workers_) worker->post([](Worker& w) { w.wake_document_waiters(); });
}

void Server::on_applied() {
  if (--applying_ != 0) return;
  log_new_listeners();
  if (control_plane_ != nullptr) control_plane_->on_applied();
  if (ready_) {
    // Not before: whoever waits for the counter or the line may rely on the new configuration.
    if (is_reload_) stats_->config_reload_success.inc();
    log::info(log::kConfig, "configuration in force");
  }
  become_ready_if();
  build_if_wanted();
}

// Addresses as bound: a port 0 is resolved.
void Server::log_new_listeners() {
  for (const std::string& name : std::exchange(new_listeners_, {})) {
    const Bound* bound = find_bound(name);
    if (bound == nullptr) continue;
    if (!bound->config->bind_to_port) {
      log::info(log::kConfig, "listener without a socket of its own",
                {{"listener", name}, {"address", bound->config->address}});
      continue;
    }
    std::string addresses;
    for (const io::Address& address : bound->addresses)
      addresses += str(addresses.empty() ? "" : " ", address.to_string());
    log::info(log::kConfig, "listening", {{"listener", name}, {"address", addresses}});
  }
}

// When workers have what the file says, and what the control plane said first.
void Server::become_ready_if() {
  const bool is_complete = control_plane_ == nullptr || control_plane_->is_initialized();
  if (ready_ || applying_ != 0 || pending_ != nullptr || !is_complete) return;
  if (secrets_.lacks_essential()) return;
  ready_ = true;
  if (admin_ != nullptr)
    log::info(log::kAdmin, "admin interface listening", {{"address", admin_->address()}});
  listener_stats_->workers_started.set(1);
  stats_->initialization_time_ms.record(loop_.now() - started_);
  log::info(log::kMain, "ready",
            {{"workers", concurrency_},
             {"listeners", snapshot_->listeners.size()},
             {"clusters", snapshot_->clusters.size()},
             {"after", loop_.now() - started_}});
  forget_startup_pages();
}

void Server::on_hosts(std::string_view cluster, const upstream::HostSetPtr& hosts) {
  if (clusters_ != nullptr) clusters_->set_hosts(cluster, hosts);
  for (const auto& worker : workers_) {
    worker->post([name = std::string(cluster), hosts](Worker& w) { w.set_hosts(name, hosts); });
  }
}

void Server::on_health(std::string_view cluster) {
  if (clusters_ != nullptr) clusters_->update_health(cluster);
  for (const auto& worker : workers_)
    worker->post([name = std::string(cluster)](Worker& w) { w.update_health(name); });
}

upstream::ClusterClient& Server::cluster_client() {
  if (clusters_ == nullptr) {
    clusters_ = std::make_unique<ControlClusters>(loop_, batch_, registry_, rng_);
    for (const auto& cluster : snapshot_->clusters)
      clusters_->set({cluster, discovery_.hosts(cluster->name)});
  }
  return clusters_->client();
}

void Server::retire_former(const Snapshot& next) {
  const auto retire = [](const auto& former, const auto& now, auto& retired) {
    const auto kept = by_name(now);
    for (const auto& item : former) {
      const auto it = kept.find(item->name);
      if (it == kept.end() || it->second != item) retired.push_back(item);
    }
  };
  retire(snapshot_->listeners, next.listeners, retired_listeners_);
  retire(snapshot_->clusters, next.clusters, retired_clusters_);
  // Not put off by each further change: under steady ones it would never come.
  if (!retired_timer_.is_armed()) loop_.arm(retired_timer_, kPruneDelay);
}

// What only this list holds is not used by any worker any more.
void Server::prune_retired() {
  const auto is_free = [](const auto& resource) {
    return resource == nullptr || resource.use_count() == 1;
  };
  std::erase_if(retired_listeners_, [&](const auto& listener) {
    // Connections pin their chain, not their listener.
    return is_free(listener) && is_free(listener->default_chain) &&
           std::ranges::all_of(listener->chains, is_free);
  });
  std::erase_if(retired_clusters_, is_free);
  secrets_.prune();
  if (!retired_listeners_.empty() || !retired_clusters_.empty())
    loop_.arm(retired_timer_, kPruneDelay);
}

}  // namespace pillion
