// What waits for something before it takes effect, while all the rest does (builder/warming.h):
// control looks for what it needs, and starts the build that puts it in force.
#include "proxy/base/slice.h"
#include "proxy/server.h"

namespace pillion {

// Of the snapshot that workers are being told of.
void Server::warm_what_waits() {
  discovery_.abandon({warming_.given_up.begin(), warming_.given_up.end()});
  warming_.given_up.clear();
  waiting_added_ = 0;
  // Others may have become warm while a file waited.
  if (!warming_.added.empty() || is_pending_of_file_) add_waiting();
}

void Server::add_waiting() {
  const Slice slice;
  while (waiting_added_ < warming_.added.size()) {
    const auto& config = warming_.added[waiting_added_++];
    // What is known of the hosts of both is known once.
    if (const auto in_force = snapshot_->clusters.find(config->name))
      upstream::adopt_limits(*config, *in_force);
    discovery_.add(config);
    if (slice.is_over()) return loop_.post_next(add_waiting_task_);
  }
  warming_.added.clear();
  warm_wait_ |= has_warm_cluster();  // some are at once
  build_if_wanted();
}

const SharedNames& Server::known_endpoints() const {
  static const SharedNames kNone;
  return control_plane_ == nullptr ? kNone : control_plane_->endpoints();
}

// As settle() will see it.
bool Server::has_all_else(const upstream::ClusterConfig& cluster) const {
  return has_endpoints(cluster, known_endpoints()) && has_secrets(cluster, secrets_.settled());
}

// Looks at those that discovery looks for: of ten thousand that wait for endpoints at none.
bool Server::has_warm_cluster() const {
  bool found = false;
  discovery_.for_each_warm(
      [&](const upstream::ClusterConfig& cluster) { found = found || has_all_else(cluster); });
  return found;
}

bool Server::has_ready_cluster() const {
  bool found = false;
  for_each_waiting_cluster(*snapshot_->resources, [&](const Piece<CompiledCluster>& piece) {
    const upstream::ClusterConfig& cluster = *piece.newest->config;
    found = found || (cluster.pool->may_use_tls() && has_all_else(cluster) &&
                      (!awaits_discovery(piece) || discovery_.is_warm(cluster)));
  });
  return found;
}

// It may wait for routes, too.
bool Server::has_ready_listener() const {
  bool found = false;
  for_each_waiting_listener(*snapshot_->resources, [&](const Piece<CompiledListener>& piece) {
    const core::ListenerConfig& listener = *piece.newest->config;
    found = found || (has_tls(listener) && has_secrets(listener, secrets_.settled()));
  });
  return found;
}

void Server::add_warm_to(BuildJob& job) const {
  job.settled_secrets = secrets_.settled();
  discovery_.for_each_warm(
      [&job](const upstream::ClusterConfig& cluster) { job.warm.insert(&cluster); });
}

void Server::build_for_warm() {
  warm_wait_ = true;
  build_if_wanted();
}

void Server::on_warm() {
  apply_when_warm();
  const bool is_of_file = pending_ != nullptr && is_pending_of_file_;
  if (!is_of_file && has_warm_cluster()) build_for_warm();
}

void Server::on_secrets_settled() {
  apply_when_warm();
  if (has_ready_cluster() || has_ready_listener()) build_for_warm();
  become_ready_if();
}

}  // namespace pillion
