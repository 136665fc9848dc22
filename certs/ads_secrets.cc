#include "certs/ads_secrets.h"

#include <utility>

namespace pillion::certs {

template <typename Fn>
void AdsSecrets::for_each(std::string_view name, Fn&& fn) {
  const auto it = secrets_.find(name);
  if (it == secrets_.end()) return;
  for (auto& [kind, secret] : it->second) fn(*secret);
}

// A name that has just gone has to be said to be gone, or the server would not say it again.
void AdsSecrets::want(const tls::SecretRef& ref) {
  if (touched_.contains(ref.name) && !secrets_.contains(ref.name)) run_ready();
  secrets_[ref.name][ref.kind] = std::make_unique<SdsSecret>(context_, ref);
  touch(ref.name);
}

void AdsSecrets::unwant(const tls::SecretName& name) {
  const auto it = secrets_.find(name.name);
  if (it == secrets_.end() || it->second.erase(name.kind) == 0) return;
  if (it->second.empty()) secrets_.erase(it);
  touch(name.name);
}

void AdsSecrets::touch(const std::string& name) {
  touched_.insert(name);
  if (subscriber_ != nullptr) context_.loop.post(*this);
}

void AdsSecrets::set_subscriber(Subscriber& subscriber) {
  subscriber_ = &subscriber;
  for (const auto& [name, kinds] : secrets_) touched_.insert(name);
  run_ready();
}

void AdsSecrets::run_ready() {
  if (subscriber_ == nullptr || touched_.empty()) return;
  Names come;
  std::set<std::string, std::less<>> gone;
  for (const std::string& name : std::exchange(touched_, {})) {
    const auto it = secrets_.find(name);
    if (it == secrets_.end()) {
      gone.insert(name);
    } else {
      come.emplace(name, it->second.rbegin()->second->ref().timeout);
    }
  }
  subscriber_->change_secrets(come, gone);
}

AdsSecrets::Taken AdsSecrets::take(const xds::Response& response) {
  Taken taken{response.wrong, {}};
  if (!response.wrong.empty()) {
    for (auto& [name, kinds] : secrets_)
      for (auto& [kind, secret] : kinds) secret->refuse(response.wrong);
    return taken;
  }
  // Only what it names: the state of the world of secrets comes in parts.
  for (const xds::Resource& resource : response.resources) {
    for_each(resource.name, [&](SdsSecret& secret) {
      const std::string problem = secret.take(resource, response.version);
      if (problem.empty()) return;
      taken.wrong += problem + '\n';
      taken.refused.insert(resource.name);
    });
  }
  return taken;
}

void AdsSecrets::on_fetch_timeout(const std::set<std::string>& names) {
  for (const std::string& name : names)
    for_each(name, [](SdsSecret& secret) { secret.on_fetch_timeout(); });
}

void AdsSecrets::on_failures(std::string_view name, uint64_t times) {
  for_each(name, [times](SdsSecret& secret) { secret.on_failures(times); });
}

}  // namespace pillion::certs
