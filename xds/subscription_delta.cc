// Delta (reference/envoy.md, 4, second column of the table).
#include <algorithm>
#include <utility>

#include "xds/subscription.h"

namespace pillion::xds {
namespace {

constexpr std::string_view kStar = "*";

}  // namespace

// All that is wanted is said again, with the versions of what is held.
void DeltaSubscription::begin_stream() {
  nonce_.clear();
  has_spoken_ = said_wildcard_ = false;
  said_.clear();
  again_.clear();
  is_news_ = true;
}

void DeltaSubscription::interest_changed() {
  is_news_ = true;
  for (const std::string& name : said_) {
    if (!is_wildcard_ && !names_.contains(name)) again_.insert(name);
  }
  if (is_wildcard_) return;
  // Virtual hosts are not known by the names that they were asked for by.
  if (type_ == ResourceType::kVirtualHosts) {
    if (names_.empty()) held_.clear();
  } else {
    std::erase_if(held_, [this](const auto& item) { return !names_.contains(item.first); });
  }
}

bool DeltaSubscription::has_news() {
  if (!is_news_) return false;
  const bool wants_again = std::ranges::any_of(
      again_, [this](const std::string& name) { return names_.contains(name); });
  is_news_ = is_wildcard_ != said_wildcard_ || names_ != said_ || wants_again;
  return is_news_;
}

// The nonce goes with answers only, and only the first request of a stream has versions.  All that
// is subscribed by an empty first request is the wildcard of old, which every server knows; later
// it has a name.
std::string DeltaSubscription::next_request(std::string_view node,
                                            std::optional<std::string_view> answer) {
  DeltaRequest request;
  request.type = type_;
  request.node = node;
  if (answer) {
    request.nonce = nonce_;
    request.error = *answer;
  }
  if (!has_spoken_) request.versions = &held_;
  add_differences(request);
  std::string bytes = encode_request(request);
  has_spoken_ = true;
  said_wildcard_ = is_wildcard_;
  said_ = names_;
  again_.clear();
  is_news_ = false;
  return bytes;
}

// A name that was dropped and is wanted again before anybody was told is subscribed again, though
// the server knows it: what was said of it is forgotten here.
void DeltaSubscription::add_differences(DeltaRequest& request) {
  if (is_wildcard_ && !said_wildcard_ && has_spoken_) request.subscribe.push_back(kStar);
  if (!is_wildcard_ && said_wildcard_) request.unsubscribe.push_back(kStar);
  for (const std::string& name : names_) {
    if (!said_.contains(name) || again_.contains(name)) request.subscribe.push_back(name);
  }
  for (const std::string& name : said_) {
    if (!names_.contains(name)) request.unsubscribe.push_back(name);
  }
}

bool DeltaSubscription::holds(const Response&, const Resource& resource) const {
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
    if (wants(name) && !refused->contains(name)) held_.insert_or_assign(name, std::move(version));
  }
  for (const std::string& name : removed) held_.erase(name);
}

// It is still subscribed; on the next stream it counts as new.
void DeltaSubscription::expire(const std::set<std::string>& names) {
  for (const std::string& name : names) held_.erase(name);
}

}  // namespace pillion::xds
