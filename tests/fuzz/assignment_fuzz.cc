// Any bytes as a ClusterLoadAssignment: what the way of plain assignments takes, the way of all
// others takes too, leaves out the same of it, and makes the same endpoints of; as a set of hosts
// after the one of the input before, too, where what stays must keep its identity.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <unordered_map>

#include "proxy/upstream/parse.h"
#include "proxy/upstream/read_assignment.h"
#include "xds/resource_document.h"

using namespace pillion;

namespace {

using upstream::Endpoint;
using upstream::Endpoints;
using upstream::HostInfo;
using upstream::HostSetPtr;
using upstream::HostTraits;

const HostTraits& traits_of(const HostInfo& info) { return info.like(); }
const HostTraits& traits_of(const Endpoint& endpoint) { return endpoint; }

template <typename T>
bool are_equal(const T& a, const T& b) {
  return a.address == b.address && traits_of(a) == traits_of(b) && a.weight == b.weight &&
         a.priority == b.priority && a.health == b.health;
}

void compare_ways(const std::string& bytes, const upstream::PlainAssignment& plain) {
  const Endpoints& fast = plain.endpoints;
  config::Errors errors(config::UnknownFields::kCount);
  const xds::ResourceDocument read =
      xds::document_of(xds::ResourceType::kEndpoints, {"a", bytes}, errors);
  if (!errors.ok()) std::abort();
  const Endpoints slow = upstream::parse_assignment(read.node(errors));
  if (!errors.ok() || errors.unknown_fields().size() != plain.left_out.size()) std::abort();
  for (const std::string& name : plain.left_out) {
    const auto it = errors.unknown_fields().find(name);
    if (it == errors.unknown_fields().end() || it->second.count != 1) std::abort();
  }
  if (!errors.to_string(config::Severity::kWarning).empty()) std::abort();
  if (fast.size() != slow.size()) std::abort();
  for (size_t i = 0; i < fast.size(); ++i)
    if (!are_equal(fast[i], slow[i])) std::abort();
}

void follow(const Endpoints& endpoints) {
  static HostSetPtr before = upstream::make_host_set({}, nullptr);
  const HostSetPtr set = upstream::make_host_set(endpoints, before);
  if (upstream::make_host_set(endpoints, set) != set) std::abort();
  std::unordered_map<upstream::HostId, const HostInfo*> known;
  for (const auto& host : before->hosts) known.emplace(host->id, host.get());
  std::unordered_map<upstream::HostId, const HostInfo*> seen;
  for (const auto& host : set->hosts) {
    if (!seen.emplace(host->id, host.get()).second) std::abort();
    const auto old = known.find(host->id);
    if (old == known.end()) continue;
    if (!(old->second->address == host->address && old->second->hostname() == host->hostname()))
      std::abort();
    if (are_equal(*old->second, *host) != (old->second == host.get())) std::abort();
  }
  before = set;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  upstream::PlainAssignment read;
  if (!upstream::read_assignment(bytes, read)) return 0;
  compare_ways(bytes, read);
  follow(read.endpoints);
  return 0;
}
