#include "proxy/upstream/host_set.h"

#include <atomic>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "proxy/base/assert.h"

namespace pillion::upstream {
namespace {

// What makes an endpoint itself.
struct Identity {
  io::Address address;
  std::string_view hostname;
  friend bool operator==(const Identity&, const Identity&) = default;
};
struct IdentityHash {
  size_t operator()(const Identity& i) const noexcept {
    return i.address.hash() ^ std::hash<std::string_view>{}(i.hostname);
  }
};
Identity identity_of(const HostInfo& info) noexcept { return {info.address, info.hostname}; }

HostId next_id() noexcept {
  // Sets are made by the control and the builder thread.
  static std::atomic<HostId> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

bool same_locality(const HostInfo& a, const HostInfo& b) noexcept {
  if (a.locality == b.locality) return true;
  return a.locality != nullptr && b.locality != nullptr && *a.locality == *b.locality;
}

bool same_check(const HostInfo& a, const HostInfo& b) noexcept {
  if (a.check == b.check) return true;
  return a.check != nullptr && b.check != nullptr && *a.check == *b.check;
}

// What it must also have in common with the one before to be the same host.
bool same_transport(const HostInfo& a, const HostInfo& b) noexcept {
  return a.transport == b.transport;  // equal ones are one object
}

bool same_properties(const HostInfo& a, const HostInfo& b) noexcept {
  return a.weight == b.weight && a.priority == b.priority && a.health == b.health &&
         same_locality(a, b) && same_check(a, b);
}

}  // namespace

HostSetPtr make_host_set(const std::vector<HostInfo>& endpoints, const HostSetPtr& previous) {
  std::unordered_map<Identity, HostInfoPtr, IdentityHash> known;
  if (previous != nullptr) {
    for (const HostInfoPtr& host : previous->hosts) known.emplace(identity_of(*host), host);
  }
  auto set = std::make_shared<HostSet>();
  set->hosts.reserve(endpoints.size());
  std::unordered_set<Identity, IdentityHash> seen;
  for (const HostInfo& endpoint : endpoints) {
    if (!seen.insert(identity_of(endpoint)).second) continue;
    auto old = known.find(identity_of(endpoint));
    if (old != known.end() && !same_transport(*old->second, endpoint)) old = known.end();
    if (old != known.end() && same_properties(*old->second, endpoint)) {
      set->hosts.push_back(old->second);
      continue;
    }
    auto info = std::make_shared<HostInfo>(endpoint);
    info->id = old == known.end() ? next_id() : old->second->id;
    info->stats = old == known.end() ? std::make_shared<HostStats>() : old->second->stats;
    set->hosts.push_back(std::move(info));
  }
  if (previous != nullptr && previous->hosts == set->hosts) return previous;
  return set;
}

HostChange compare(const HostSet* before, const HostSet& after) {
  HostChange change;
  std::unordered_set<HostId> old;
  if (before != nullptr) {
    for (const HostInfoPtr& host : before->hosts) old.insert(host->id);
  }
  for (const HostInfoPtr& host : after.hosts) {
    if (old.erase(host->id) == 0) change.added.push_back(host);
  }
  change.kept = after.hosts.size() - change.added.size();
  if (old.empty()) return change;
  DASSERT(before != nullptr);
  for (const HostInfoPtr& host : before->hosts) {
    if (old.contains(host->id)) change.removed.push_back(host);
  }
  return change;
}

}  // namespace pillion::upstream
