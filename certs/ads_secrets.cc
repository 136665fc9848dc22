#include "certs/ads_secrets.h"

namespace pillion::certs {

void AdsSecrets::want(const tls::SecretRef& ref) {
  secrets_[ref.key()] = std::make_unique<SdsSecret>(context_, ref);
  subscribe();
}

void AdsSecrets::unwant(const tls::SecretName& name) {
  if (secrets_.erase(name) != 0) subscribe();
}

void AdsSecrets::set_subscriber(Subscriber& subscriber) {
  subscriber_ = &subscriber;
  subscribe();
}

void AdsSecrets::subscribe() {
  if (subscriber_ == nullptr) return;
  Names names;
  for (const auto& [name, secret] : secrets_) names[name.name] = secret->ref().timeout;
  subscriber_->subscribe_secrets(names);
}

std::string AdsSecrets::take(const xds::Response& response) {
  if (!response.wrong.empty()) {
    for (auto& [name, secret] : secrets_) secret->refuse(response.wrong);
    return response.wrong;
  }
  std::string wrong;
  // Only what it names: the state of the world of secrets comes in parts.
  for (const xds::Resource& resource : response.resources) {
    for (auto& [name, secret] : secrets_) {
      if (name.name != resource.name) continue;
      const std::string problem = secret->take(resource, response.version);
      if (!problem.empty()) wrong += problem + '\n';
    }
  }
  return wrong;
}

void AdsSecrets::on_fetch_timeout(const std::set<std::string>& names) {
  for (auto& [name, secret] : secrets_)
    if (names.contains(name.name)) secret->on_fetch_timeout();
}

void AdsSecrets::on_failures(std::string_view name, uint64_t times) {
  for (auto& [key, secret] : secrets_)
    if (key.name == name) secret->on_failures(times);
}

}  // namespace pillion::certs
