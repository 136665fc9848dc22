// Certificates: how secrets come to the configuration that needs them.
#include <set>
#include <utility>

#include "certs/dump.h"
#include "proxy/base/log.h"
#include "proxy/builder/bootstrap_dynamic.h"
#include "proxy/server.h"

namespace pillion {

// Of the configuration that is about to take effect, and of what of it waits.  Their clusters may
// be new with it: control calls them before workers have them.
void Server::want_secrets() {
  if (std::exchange(secrets_wanted_, true)) return;
  if (clusters_ != nullptr) {
    for (const upstream::ClusterResource& cluster : pending_->clusters)
      if (clusters_->has(cluster.config->name))
        clusters_->set({cluster.config, discovery_.hosts(*cluster.config)});
  }
  context_stats_.keep();
  secrets_.attach(snapshot_->tls_slots);
  secrets_.prune();
  expiry_.changed();
  if (is_pending_of_file_ && !has_pending_secrets()) log::info(log::kTls, "waiting for secrets");
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
  expiry_.changed();
  context_stats_.on_changed(slot);
}

// For /config_dump: those of the file as written, those that came as they are in force.
void Server::add_secrets(std::vector<admin::ConfigResource>& out) const {
  using Kind = admin::ConfigResource::Kind;
  for (const StaticSecret& one : snapshot_->resources->secrets)
    out.push_back(
        {Kind::kSecret, false, one.name, {}, config_time_, snapshot_->document, one.value, {}});
  for (const auto& [name, entry] : secrets_.entries()) {
    // Files are told by what names them.
    if (std::holds_alternative<tls::SecretSource::Static>(entry.ref.source->how) ||
        std::holds_alternative<tls::SecretSource::Files>(entry.ref.source->how))
      continue;
    admin::ConfigResource resource{Kind::kSecret, true,    name.name, entry.version,
                                   entry.updated, nullptr, nullptr,   {}};
    resource.is_warming = entry.secret == nullptr;
    if (entry.secret != nullptr) {
      resource.document = certs::to_document(name.name, *entry.secret);
      if (resource.document != nullptr) resource.value = &resource.document->root_value();
    }
    resource.client_status = entry.secret != nullptr ? admin::ClientStatus::kAcked
                             : entry.is_settled      ? admin::ClientStatus::kTimeout
                                                     : admin::ClientStatus::kRequested;
    if (!entry.failure.empty()) {
      resource.error_state = admin::ConfigFailure{entry.failed, {}, entry.failure};
      resource.client_status = admin::ClientStatus::kNacked;
    }
    out.push_back(std::move(resource));
  }
}

// Contexts are shared: a thousand clusters have a few.
std::vector<certs::CertificateInForce> Server::certificates_in_force() const {
  using Kind = certs::CertificateKind;
  std::vector<certs::CertificateInForce> out;
  if (snapshot_ == nullptr) return out;
  std::set<const tls::Context*> seen;
  const auto add = [&out](Kind kind, const std::string& name, const tls::Validity& validity,
                          std::string failure) {
    out.push_back({kind, name, tls::wall_time(validity.not_before),
                   tls::wall_time(validity.not_after), std::move(failure)});
  };
  const auto failure_of = [this](const tls::SecretRef& ref) {
    const tls::SecretStore::Entry* entry = secrets_.find(ref.key());
    return entry == nullptr ? std::string() : entry->failure;
  };
  for (const auto& slot : snapshot_->tls_slots) {
    const std::shared_ptr<const tls::Context> context = slot->current();
    if (context == nullptr || !seen.insert(context.get()).second) continue;
    const tls::SecretRefs& refs = slot->secrets();
    const size_t own = slot->config().certificates.size();  // which come first
    for (size_t i = 0; i < context->identities().size(); ++i) {
      const tls::Context::Identity& identity = context->identities()[i];
      const bool is_secret = i >= own && i - own < refs.certificates.size();
      const tls::CertificateInfo& leaf = identity.chain.front();
      add(Kind::kOurs, identity.source, {leaf.not_before, leaf.not_after},
          is_secret ? failure_of(refs.certificates[i - own]) : std::string());
    }
    // Of a bundle the last one counts (expiry.h).
    if (const auto longest = context->verifier().longest_trusted()) {
      add(Kind::kTrustedCa, context->verifier().trusted_source(), *longest,
          refs.validation ? failure_of(*refs.validation) : std::string());
    }
  }
  return out;
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
