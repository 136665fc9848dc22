// What does not come in time, and what has come to the end of its time.
#include <utility>

#include "proxy/base/log.h"
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "xds/ads.h"

namespace pillion::xds {

void AdsClient::arm_earlier(io::Timer& timer, Instant deadline) {
  if (!timer.is_armed() || deadline < timer.deadline()) loop_.arm_at(timer, deadline);
}

// ---- what does not come ----

void AdsClient::await(Lane& lane, std::string_view name, Duration timeout) {
  const Instant deadline = lane.awaited.add(name, timeout, loop_.now());
  if (deadline != Instant{}) arm_earlier(fetch_timer_, deadline);
}

void AdsClient::answered(ResourceType type, std::string_view name) {
  if (Lane* lane = find(type)) lane->awaited.remove(name);
}

void AdsClient::check_fetch_timeouts() {
  const Instant now = loop_.now();
  for_each_lane([&](Lane& lane) {
    std::set<std::string> late = lane.awaited.take_late(now);
    if (const Instant next = lane.awaited.next_deadline(); next != Instant{})
      arm_earlier(fetch_timer_, next);
    if (late.empty()) return;
    ++lane.counts.attempts;
    const bool is_wildcard = lane.says->is_wildcard();
    if (options_.tells_again) {
      log::warning(log::kConfig, str(options_.peer, " has not answered in time; going on without"),
                   {{"type", short_name(lane.type)},
                    {"resources", is_wildcard ? std::string("all") : str(late.size())},
                    {"first", *late.begin()}});
    }
    if (is_wildcard) late.clear();
    observer_.on_fetch_timeout(lane.type, late);
  });
}

// What the server has not is not waited for.
void AdsClient::note_missing(Lane& lane, const Response& response) {
  std::set<std::string> missing;
  for (const std::string& name : response.removed) {
    lane.lives.erase(name);
    if (lane.awaited.remove(name)) missing.insert(name);
  }
  for (const ResourceError& error : response.errors) {
    if (lane.awaited.remove(error.name)) missing.insert(error.name);
  }
  if (!response.errors.empty()) {
    const ResourceError& first = response.errors.front();
    log::warning(log::kConfig, str(options_.peer, " has not what it was asked for"),
                 {{"type", short_name(lane.type)},
                  {"resources", response.errors.size()},
                  {"first", config::printable(first.name)},
                  {"reason", config::printable(first.reason, 200)}});
  }
  if (!missing.empty()) observer_.on_fetch_timeout(lane.type, missing);
}

// ---- times to live ----

// Each resource sets its time or ends it; those that only do so become names.  True if there were
// any.
bool AdsClient::note_lives(Lane& lane, Response& response) {
  const Instant now = loop_.now();
  // A virtual host without a body is one that there is not (VHDS on demand).
  const bool has_heartbeats = lane.type != ResourceType::kVirtualHosts;
  const auto is_heartbeat = [has_heartbeats](const Resource& resource) {
    return has_heartbeats && !resource.has_body;
  };
  for (Resource& resource : response.resources) {
    if (resource.ttl > Duration{}) {
      lane.lives.insert_or_assign(resource.name, now + resource.ttl);
      arm_earlier(lives_timer_, now + resource.ttl);
    } else if (!lane.lives.empty()) {
      lane.lives.erase(resource.name);
    }
    if (is_heartbeat(resource)) response.unchanged.push_back(resource.name);
  }
  std::erase_if(response.resources, is_heartbeat);
  return !response.unchanged.empty();
}

// All that there is has been said.
void AdsClient::forget_lives(Lane& lane, const Response& response) {
  if (lane.lives.empty()) return;
  std::set<std::string_view> there(response.unchanged.begin(), response.unchanged.end());
  for (const Resource& resource : response.resources) there.insert(resource.name);
  std::erase_if(lane.lives, [&there](const auto& item) { return !there.contains(item.first); });
}

void AdsClient::check_lives() {
  const Instant now = loop_.now();
  for_each_lane([&](Lane& lane) {
    for (auto it = lane.lives.begin(); it != lane.lives.end();) {
      if (it->second > now) {
        arm_earlier(lives_timer_, it->second);
        ++it;
      } else {
        lane.expired.insert(it->first);
        it = lane.lives.erase(it);
      }
    }
    if (lane.expired.empty()) return;
    log::warning(log::kConfig, str(options_.peer, " did not renew in time what ends now"),
                 {{"type", short_name(lane.type)},
                  {"resources", lane.expired.size()},
                  {"first", config::printable(*lane.expired.begin())}});
    lane.says->expire(lane.expired);
    if (!lane.open) begin_expired(lane);
  });
}

// For the observer it is a response as others are; nobody is told what becomes of it.
void AdsClient::begin_expired(Lane& lane) {
  Response response;
  response.type = lane.type;
  response.is_delta = true;
  response.version = lane.says->version();
  const std::set<std::string> names = std::exchange(lane.expired, {});
  response.removed.assign(names.begin(), names.end());
  lane.open = Open{response.version, 0, {}, loop_.now()};
  observer_.on_resources(std::move(response));
}

}  // namespace pillion::xds
