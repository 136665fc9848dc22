// A committed configuration takes effect: its clusters become warm, its secrets come, the workers
// take it; and what workers must know between two configurations.
#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/slice.h"
#include "proxy/base/startup_pages.h"
#include "proxy/server.h"

namespace pillion {

void Server::add_clusters() {
  if (pending_ == nullptr) return;
  const Slice slice;
  while (clusters_added_ < pending_->clusters.size()) {
    discovery_.add(pending_->clusters[clusters_added_++].config);
    if (slice.is_over()) return loop_.post_next(add_clusters_task_);
  }
  apply_when_warm();
}

// Of a file: do its clusters know their endpoints, or gave up?  Each is asked until it does.
bool Server::is_pending_warm() {
  const auto& clusters = pending_->clusters;
  while (clusters_warm_ < clusters.size() && discovery_.is_warm(*clusters[clusters_warm_].config))
    ++clusters_warm_;
  return clusters_warm_ == clusters.size();
}

// Of a file: have the secrets come that it needs, or were given up?
bool Server::has_pending_secrets() const {
  const tls::SettledSecrets& settled = secrets_.settled();
  const auto has = [&settled](const auto& one) { return has_secrets(*one.config, settled); };
  return std::ranges::all_of(pending_->clusters, has) &&
         std::ranges::all_of(pending_->new_listeners, has) &&
         std::ranges::all_of(pending_->changed_listeners, [&settled](const auto& listener) {
           return has_secrets(*listener, settled);
         });
}

// What is of a control plane waited before it came here (builder/settle.h).  A file takes effect as
// a whole: listeners find all clusters, and nothing of before is gone while the new waits.
void Server::apply_when_warm() {
  if (pending_ == nullptr || closing_ || clusters_added_ < pending_->clusters.size()) return;
  if (is_pending_of_file_ && !is_pending_warm()) return;
  want_secrets();
  if (is_pending_of_file_ && !has_pending_secrets()) return;
  // Made in portions of our own time: nobody shall be refused because one is not.
  if (secrets_.is_making_contexts()) return;
  std::shared_ptr<WorkerUpdate> update = std::move(pending_);
  take_hosts(*update);
  for (const WorkerUpdate::NewListener& added : update->new_listeners)
    new_listeners_.push_back(added.config->name);
  applying_ = concurrency_;
  if (clusters_ != nullptr) clusters_->apply(*update);
  if (spans_.has_targets()) spans_.use(cluster_client());
  if (!update->new_listeners.empty() || !update->changed_listeners.empty() ||
      !update->removed_listeners.empty())
    fetch_documents();
  host_broadcast_.flush();
  const std::shared_ptr<const WorkerUpdate> shared = std::move(update);
  for (const auto& worker : workers_) {
    worker->post([shared, this](Worker& w) mutable {
      w.apply(std::move(shared), [this](std::shared_ptr<const WorkerUpdate> applied,
                                        Worker::FormerHosts former) {
        // Freed here.
        inbox_.post([this, applied = std::move(applied), former = std::move(former)]() mutable {
          retired_.add_hosts(std::move(former));
          on_applied();
        });
      });
    });
  }
  leaving_ = shared;
  clusters_left_ = 0;
  leave_clusters();
}

// Of discovery, those that workers are being told to leave; what waits may have the names of some.
void Server::leave_clusters() {
  if (leaving_ == nullptr) return;
  const Slice slice;
  while (clusters_left_ < leaving_->removed_clusters.size()) {
    discovery_.remove(leaving_->removed_clusters[clusters_left_++]);
    if (slice.is_over()) return loop_.post_next(leave_clusters_task_);
  }
  leaving_ = nullptr;
  warm_what_waits();
  build_if_wanted();
}

// Discovery and workers have the same from here on, in one turn: hosts that came between would go
// to workers for the configuration of before.
void Server::take_hosts(WorkerUpdate& update) {
  discovery::Discovery::ClusterNames names;
  for (const upstream::ClusterResource& cluster : update.clusters)
    names.push_back(cluster.config->name);
  discovery_.commit(names);
  for (upstream::ClusterResource& cluster : update.clusters)
    cluster.hosts = discovery_.hosts(cluster.config->name);
}

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
  bound_.log_listening(std::exchange(new_listeners_, {}));
  if (std::exchange(addresses_left_, false)) unbound_.try_now();
  if (control_plane_ != nullptr) control_plane_->on_applied();
  if (ready_) {
    // Not before: whoever waits for the counter or the line may rely on the new configuration.
    if (is_reload_) stats_->config_reload_success.inc();
    log::info(log::kConfig, "configuration in force");
  }
  become_ready_if();
  build_if_wanted();
}

// When workers have what the file says, and what the control plane said first.
void Server::become_ready_if() {
  const bool is_complete = control_plane_ == nullptr || control_plane_->is_initialized();
  if (ready_ || applying_ != 0 || opening_ != nullptr || pending_ != nullptr || !is_complete)
    return;
  if (secrets_.lacks_essential()) return;
  ready_ = true;
  if (admin_ != nullptr)
    log::info(log::kAdmin, "admin interface listening", {{"address", admin_->address()}});
  listener_stats_->workers_started.set(1);
  stats_->initialization_time_ms.record(loop_.now() - started_);
  log::info(log::kMain, "ready",
            {{"workers", concurrency_},
             {"listeners", listeners_in_force_},
             {"clusters", clusters_in_force_},
             {"after", loop_.now() - started_}});
  forget_startup_pages();
}

void Server::on_hosts(std::string_view cluster, const upstream::HostSetPtr& hosts) {
  if (clusters_ != nullptr) clusters_->set_hosts(cluster, hosts);
  host_broadcast_.add(cluster, hosts);
}

void Server::on_health(std::string_view cluster) {
  if (clusters_ != nullptr) clusters_->update_health(cluster);
  host_broadcast_.add_health(cluster);
}

upstream::ClusterClient& Server::cluster_client() {
  if (clusters_ == nullptr) {
    clusters_ = std::make_unique<ControlClusters>(
        loop_, batch_, registry_, rng_, [this](std::string_view name) {
          const auto config = snapshot_->clusters.find(name);
          return upstream::ClusterResource{config,
                                           config == nullptr ? nullptr : discovery_.hosts(*config)};
        });
  }
  return clusters_->client();
}

}  // namespace pillion
