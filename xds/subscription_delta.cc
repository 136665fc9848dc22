// Delta (reference/envoy.md, 4, second column of the table).
#include <utility>

#include "xds/subscription.h"

namespace pillion::xds {
namespace {

constexpr std::string_view kStar = "*";

}  // namespace

// All that is wanted is said again, with the versions of what is held.
void DeltaSubscription::begin_stream() {
  has_spoken_ = said_wildcard_ = false;
  added_.clear();
  again_.clear();
  dropped_.clear();
  is_news_ = true;
}

void DeltaSubscription::interest_changed(const Names& before) {
  is_news_ = true;
  for (const auto& [name, asked] : before)
    if (!names_.contains(name)) note_dropped(name);
  for (const auto& [name, asked] : names_)
    if (!before.contains(name)) note_added(name);
  if (type_ == ResourceType::kVirtualHosts) {
    if (!is_wildcard_ && names_.empty()) held_.clear();
    return;
  }
  // What is held is held by another way of asking too.
  if (is_wildcard_) {
    for (const auto& [name, asked] : before)
      if (asked.is_held) held_.insert_or_assign(name, asked.version);
  } else {
    for (auto& [name, version] : std::exchange(held_, {})) hold(name, std::move(version));
  }
}

void DeltaSubscription::hold(const SharedText& name, SharedText version) {
  if (!is_named()) {
    held_.insert_or_assign(name, std::move(version));
  } else if (const auto it = names_.find(name); it != names_.end()) {
    it->second = {true, std::move(version)};
  }
}

void DeltaSubscription::let_go(std::string_view name) {
  if (const auto held = held_.find(name); held != held_.end()) held_.erase(held);
  if (const auto it = names_.find(name); it != names_.end()) it->second = {};
}

void DeltaSubscription::name_added(const std::string& name) {
  is_news_ = true;
  note_added(name);
}

void DeltaSubscription::name_dropped(const std::string& name) {
  is_news_ = true;
  note_dropped(name);
  // Virtual hosts are not known by the names that they were asked for by.
  if (names_.empty()) held_.clear();
}

// A name that was dropped and is wanted again before anybody was told is subscribed again, though
// the server knows it: what was said of it is forgotten here.
void DeltaSubscription::note_added(const std::string& name) {
  if (!has_spoken_) return;
  added_.insert(name);
  if (dropped_.erase(name) != 0) again_.insert(name);
}

void DeltaSubscription::note_dropped(const std::string& name) {
  if (!has_spoken_) return;
  const bool was_unsaid = added_.erase(name) != 0;
  if (!was_unsaid || again_.erase(name) != 0) dropped_.insert(name);
}

bool DeltaSubscription::has_news() {
  if (!is_news_) return false;
  is_news_ = is_wildcard_ != said_wildcard_ || !added_.empty() || !dropped_.empty() ||
             (!has_spoken_ && !names_.empty());
  return is_news_;
}

// The nonce goes with answers only, and only the first request of a stream has versions.  All that
// is subscribed by an empty first request is the wildcard of old, which every server knows; later
// it has a name.
RequestBytes DeltaSubscription::next_request(std::string_view node, const Reply* reply) {
  DeltaRequest request;
  request.type = type_;
  request.node = node;
  if (reply != nullptr) {
    request.nonce = reply->nonce;
    request.error = reply->error;
  }
  if (!has_spoken_) add_versions(request);
  add_differences(request);
  RequestBytes bytes{encode_request(request), {}};
  has_spoken_ = true;
  said_wildcard_ = is_wildcard_;
  added_.clear();
  again_.clear();
  dropped_.clear();
  is_news_ = false;
  return bytes;
}

void DeltaSubscription::add_differences(DeltaRequest& request) {
  if (is_wildcard_ && !said_wildcard_ && has_spoken_) request.subscribe.push_back(kStar);
  if (!is_wildcard_ && said_wildcard_) request.unsubscribe.push_back(kStar);
  if (has_spoken_) {
    request.subscribe.insert(request.subscribe.end(), added_.begin(), added_.end());
  } else {
    for (const auto& [name, asked] : names_) request.subscribe.push_back(name);
  }
  request.unsubscribe.insert(request.unsubscribe.end(), dropped_.begin(), dropped_.end());
}

void DeltaSubscription::add_versions(DeltaRequest& request) const {
  for (const auto& [name, version] : held_) request.versions.emplace_back(name, version);
  for (const auto& [name, asked] : names_)
    if (asked.is_held) request.versions.emplace_back(name, asked.version);
}

bool DeltaSubscription::holds(const Response&, const Resource& resource) const {
  if (is_named()) {
    const auto it = names_.find(resource.name);
    return it != names_.end() && it->second.is_held && it->second.version == resource.version;
  }
  const auto it = held_.find(resource.name);
  return it != held_.end() && it->second == resource.version;
}

void DeltaSubscription::begin_response(const Response& response) {
  open_.clear();
  open_removed_ = response.removed;
  for (const Resource& resource : response.resources) {
    if (resource.has_body) open_.emplace_back(resource.name, resource.version);
  }
}

// Of what was refused the version from before stays.
void DeltaSubscription::keep(const std::set<std::string>* refused) {
  auto resources = std::exchange(open_, {});
  const auto removed = std::exchange(open_removed_, {});
  if (refused == nullptr) return;
  for (auto& [name, version] : resources) {
    if (wants(name) && !refused->contains(name.str())) hold(name, std::move(version));
  }
  for (const std::string& name : removed) let_go(name);
}

// It is still subscribed; on the next stream it counts as new.
void DeltaSubscription::expire(const std::set<std::string>& names) {
  for (const std::string& name : names) let_go(name);
}

}  // namespace pillion::xds
