#include "proxy/control/cached_source.h"

#include <utility>

namespace pillion {

using xds::ResourceType;

namespace {

const std::string kAll = "*";

}  // namespace

CachedSource::CachedSource(io::Loop& loop, std::vector<xds::Response> responses,
                           xds::SourceObserver& observer)
    : loop_(loop), observer_(observer) {
  for (xds::Response& response : responses) {
    for (xds::Resource& resource : response.resources) {
      std::string name = resource.name;
      at(response.type).resources.emplace(std::move(name), std::move(resource));
    }
  }
}

void CachedSource::stop() {
  for (Lane& lane : lanes_) lane = {};
}

void CachedSource::forget(ResourceType type) {
  Lane& lane = at(type);
  lane.resources.clear();
  lane.due.clear();
}

void CachedSource::subscribe_all(ResourceType type, Duration) { say_all(at(type)); }

void CachedSource::say_all(Lane& lane) {
  if (std::exchange(lane.is_wildcard, true)) return;
  for (const auto& [name, resource] : lane.resources) lane.due.push_back(name);
  loop_.post_next(*this);
}

void CachedSource::subscribe(ResourceType type, const xds::AskedNames& names) {
  Lane& lane = at(type);
  if (type == ResourceType::kVirtualHosts && names.contains(kAll)) return say_all(lane);
  if (lane.resources.empty()) return;
  for (const auto& [name, timeout] : names)
    if (lane.resources.contains(name)) lane.due.push_back(name.str());
  if (!lane.due.empty()) loop_.post_next(*this);
}

void CachedSource::change(ResourceType type, const xds::AskedNames& names,
                          const std::vector<std::string>& touched) {
  xds::AskedNames some;
  for (const std::string& name : touched)
    if (const auto it = names.find(name); it != names.end()) some.insert(*it);
  subscribe(type, some);
}

void CachedSource::accept(ResourceType type) {
  at(type).is_open = false;
  if (!at(type).due.empty()) loop_.post_next(*this);
}

// What was told leaves.
void CachedSource::run_ready() {
  for (const ResourceType type : xds::kAllTypes) {
    Lane& lane = at(type);
    if (lane.is_open || lane.due.empty()) continue;
    xds::Response response;
    response.type = type;
    for (const std::string& name : std::exchange(lane.due, {})) {
      if (auto found = lane.resources.extract(name))
        response.resources.push_back(std::move(found.mapped()));
    }
    if (response.resources.empty()) continue;
    lane.is_open = true;
    observer_.on_resources(std::move(response));
  }
}

}  // namespace pillion
