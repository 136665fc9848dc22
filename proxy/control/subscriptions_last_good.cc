// Subscriptions: the last good state, which stands for a control plane that does not answer.
#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/control/cached_source.h"
#include "proxy/control/subscriptions_link.h"

namespace pillion {

using xds::ResourceType;

namespace {

// How long what it does not say again by delta stays after its first word.
constexpr Duration kConfirm = std::chrono::seconds(15);

// Virtual hosts are, by their name for all.
bool may_be_wildcard(ResourceType type) {
  return xds::is_whole(type) || type == ResourceType::kVirtualHosts;
}

}  // namespace

void Subscriptions::recall() { last_good_->recall(); }

// Nobody has answered: what is wanted comes from the file, and is taken back type by type when the
// control plane speaks.
void Subscriptions::on_last_good(std::vector<xds::Response>&& responses) {
  const bool is_silent = std::ranges::all_of(heard_, [](Heard h) { return h == Heard::kNothing; });
  if (responses.empty() || !is_silent) return;
  log::warning(log::kConfig, "the control plane does not answer; beginning from what it said last",
               {{"path", context_.last_good_path}});
  const Link& ads = link(ResourceType::kClusters, nullptr);
  cached_ = std::make_unique<Link>(*this, ++last_number_);
  for (const xds::Response& response : responses) {
    if (!may_be_wildcard(response.type)) continue;
    for (const xds::Resource& resource : response.resources)
      unconfirmed_[static_cast<size_t>(response.type)].insert(resource.name);
  }
  cached_->source = std::make_unique<CachedSource>(context_.loop, std::move(responses), *cached_);
  for (const ResourceType type : xds::kAllTypes) {
    if (ads.at(type).is_wildcard) cached_->source->subscribe_all(type, {});
    if (!ads.at(type).names.empty()) cached_->source->subscribe(type, ads.at(type).names);
  }
}

void Subscriptions::heard(xds::Response& response) {
  patience_timer_.cancel();
  if (last_good_ == nullptr || !response.wrong.empty()) return;
  const auto type = static_cast<size_t>(response.type);
  Heard& heard = heard_[type];
  if (heard == Heard::kNothing) context_.loop.arm(confirm_timer_, kConfirm);
  heard = response.is_delta ? Heard::kDelta : Heard::kAll;
  last_good_->heard(response);
  if (cached_ == nullptr) return;
  static_cast<CachedSource&>(*cached_->source).forget(response.type);
  std::set<std::string>& unconfirmed = unconfirmed_[type];
  if (!response.is_delta) return unconfirmed.clear();  // it has said all
  for (const xds::Resource& resource : response.resources) unconfirmed.erase(resource.name);
}

// A delta says what is new to who has nothing, so that what is not in it is no more.  Of what is
// asked for by name, what is asked for stays; these are known when all has been said that is asked
// for by wildcard.
void Subscriptions::confirm() {
  const Link& ads = link(ResourceType::kClusters, nullptr);
  bool is_all_said = true;
  for (const ResourceType type : xds::kAllTypes) {
    const Heard heard = heard_[static_cast<size_t>(type)];
    const bool is_wildcard = ads.at(type).is_wildcard || ads.at(type).names.contains(kAllHosts);
    if (is_wildcard && heard == Heard::kDelta) {
      remove_unconfirmed(type);
      last_good_->confirm(type, {});
    }
    is_all_said &= !is_wildcard || heard != Heard::kNothing;
  }
  if (!is_all_said) return;  // what is said first of a type comes back to it
  for (const ResourceType type : xds::kAllTypes) {
    const Link::Asked& asked = ads.at(type);
    if (asked.is_wildcard || asked.names.contains(kAllHosts)) continue;
    std::set<std::string> names;
    for (const auto& [name, timeout] : asked.names) names.insert(names.end(), name);
    last_good_->confirm(type, std::move(names));
  }
}

void Subscriptions::remove_unconfirmed(ResourceType type) {
  std::set<std::string>& names = unconfirmed_[static_cast<size_t>(type)];
  if (names.empty() || cached_ == nullptr) return;
  xds::Response response;
  response.type = type;
  response.is_delta = true;
  response.removed.assign(names.begin(), names.end());
  names.clear();
  cached_->on_resources(std::move(response));
}

}  // namespace pillion
