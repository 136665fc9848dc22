#pragma once
// The messages of the discovery protocol (envoy.service.discovery.v3), read and written field by
// field: a response may hold thousands of resources, which are carried on as bytes and are looked
// into one by one, on another thread.
//
// decode_response() takes any bytes.  What it allocates is bounded by their number: at most
// kMaxResources resources, and each text is a part of the input.

#include <cstdint>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"

namespace pillion::xds {

// In the order in which changes take effect without a gap: what is called before who calls it.
enum class ResourceType : uint8_t {
  kClusters,
  kEndpoints,
  kListeners,
  kExtensions,    // ECDS: TypedExtensionConfig
  kScopedRoutes,  // SRDS
  kRoutes,
  kVirtualHosts,  // VHDS
  kSecrets,
  kRuntime  // RTDS: one layer
};
inline constexpr ResourceType kAllTypes[] = {
    ResourceType::kClusters,     ResourceType::kEndpoints,    ResourceType::kListeners,
    ResourceType::kExtensions,   ResourceType::kScopedRoutes, ResourceType::kRoutes,
    ResourceType::kVirtualHosts, ResourceType::kSecrets,      ResourceType::kRuntime};
inline constexpr size_t kResourceTypes = std::size(kAllTypes);

// "envoy.config.cluster.v3.Cluster".
std::string_view message_of(ResourceType type) noexcept;
// "cds": what places and counters are called by.
std::string_view short_name(ResourceType type) noexcept;

// What `version` shows of a version in metrics: Envoy's gauge is a hash too.  0: none.
inline int64_t version_number(std::string_view version) {
  return version.empty() ? 0 : static_cast<int64_t>(std::hash<std::string_view>{}(version) >> 1);
}

inline constexpr size_t kMaxResources = 200'000;

struct Resource {
  std::string name;
  std::string bytes;                 // of the message in the Any
  std::string version;               // of it alone (delta); empty: the response's
  std::vector<std::string> aliases;  // VHDS: names that it stands for, too
};

struct Response {
  ResourceType type = ResourceType::kClusters;
  std::string version;
  std::string nonce;
  std::string control_plane;  // its identifier, if it says one
  std::vector<Resource> resources;
  // A delta: `resources` are what has changed, `removed` the names of what is no more.  Else
  // `resources` of CDS and LDS are all that there are; other types name no end.
  bool is_delta = false;
  std::vector<std::string> removed;
  std::string wrong;  // not empty: why all of it must be refused; it has no resources then
};

// An error is one that nobody can be told, as there is no type whose request could answer it.
Result<Response> decode_response(std::string_view bytes);

struct Request {
  ResourceType type = ResourceType::kClusters;
  std::string_view version;
  std::string_view nonce;
  std::string_view node;                         // encoded envoy.config.core.v3.Node; empty: none
  const std::set<std::string>* names = nullptr;  // null: the wildcard, by an empty list
  std::string_view error;                        // not empty: a NACK
};

std::string encode_request(const Request& request);

}  // namespace pillion::xds
