// What both protocols have in common.
#include "xds/subscription.h"

#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/suggest.h"

namespace pillion::xds {

std::unique_ptr<Subscription> Subscription::make(ResourceType type, Protocol protocol) {
  if (protocol == Protocol::kDelta) return std::make_unique<DeltaSubscription>(type);
  return std::make_unique<SotwSubscription>(type);
}

void Subscription::ask_all() {
  is_wildcard_ = true;
  interest_changed(std::exchange(names_, {}));
}

void Subscription::ask(const std::set<std::string>& names) {
  is_wildcard_ = false;
  Names now;
  for (const std::string& name : names) {
    const auto known = names_.find(name);
    known == names_.end() ? now.emplace_hint(now.end(), name, Asked{})
                          : now.insert(now.end(), *known);
  }
  interest_changed(std::exchange(names_, std::move(now)));
}

bool Subscription::add(const std::string& name) {
  if (!names_.try_emplace(name).second) return false;
  name_added(name);
  return true;
}

bool Subscription::drop(const std::string& name) {
  const auto it = names_.find(name);
  if (it == names_.end()) return false;
  names_.erase(it);
  name_dropped(name);
  return true;
}

void Subscription::sift(Response& response) {
  open_version_ = response.version;
  std::erase_if(response.resources, [this](const Resource& resource) {
    return !resource.name.empty() && !wants(resource.name);
  });
  std::erase_if(response.removed, [this](const std::string& name) { return !wants(name); });
  for (const Resource& resource : response.resources) {
    if (resource.has_body || type_ == ResourceType::kVirtualHosts || holds(response, resource))
      continue;
    response.wrong = str(short_name(type_), '/', config::printable(resource.name),
                         ": a heartbeat of a version that is not held");
    response.resources.clear();
    response.removed.clear();
    break;
  }
  begin_response(response);
}

void Subscription::accepted() {
  version_ = open_version_;
  static const std::set<std::string> kNone;
  keep(&kNone);
}

void Subscription::rejected(const std::set<std::string>* refused) { keep(refused); }

}  // namespace pillion::xds
