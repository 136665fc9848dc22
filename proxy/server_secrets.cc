// Certificates: how secrets come to the configuration that needs them.
#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/bootstrap_dynamic.h"
#include "proxy/server.h"

namespace pillion {

// Of the configuration that is about to take effect.  Their clusters may be new with it: control
// calls them before workers have them.
void Server::want_secrets() {
  if (std::exchange(secrets_wanted_, true)) return;
  if (clusters_ != nullptr) {
    for (const upstream::ClusterResource& cluster : pending_->clusters)
      clusters_->set({cluster.config, discovery_.hosts(cluster.config->name)});
  }
  secrets_.attach(snapshot_->tls_slots);
  secrets_.prune();
  if (!secrets_.all_settled()) log::info(log::kTls, "waiting for secrets");
}

// What the file holds, or names, may be new.
void Server::take_static_secrets() {
  std::vector<certs::Providers::StaticSecret> secrets;
  for (const StaticSecret& one : snapshot_->resources->secrets)
    secrets.push_back({one.name, one.secret});
  providers_.set_static(secrets);
  providers_.check();
}

void Server::on_context_changed(const tls::ContextSlot& slot) {
  for (const auto& listener : snapshot_->listeners) {
    const auto uses_it = [&slot](const std::shared_ptr<const core::FilterChain>& chain) {
      return chain != nullptr && chain->tls.get() == &slot;
    };
    if (uses_it(listener->default_chain) || std::ranges::any_of(listener->chains, uses_it)) {
      registry_.block<stats::ListenerTlsFactoryStats>(stats::kControl, listener->stat_name)
          ->ssl_context_update_by_sds.inc();
    }
  }
  for (const auto& cluster : snapshot_->clusters) {
    if (cluster->pool.tls.get() != &slot) continue;
    registry_.block<stats::ClusterTlsFactoryStats>(stats::kControl, cluster->stat_name)
        ->ssl_context_update_by_sds.inc();
  }
}

std::string_view Server::encoded_node() const {
  if (!encoded_node_) {
    const Result<std::string> encoded = encode_node(snapshot_->bootstrap);
    if (!encoded)
      log::warning(log::kTls, "the node cannot be told to who has secrets",
                   {{"reason", encoded.error()}});
    encoded_node_ = encoded ? *encoded : std::string();
  }
  return *encoded_node_;
}

}  // namespace pillion
