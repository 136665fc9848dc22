#pragma once
// The messages of the discovery protocol (envoy.service.discovery.v3), read and written field by
// field: a response may hold thousands of resources, which are carried on as bytes and are looked
// into one by one, on another thread.
//
// Decoding takes any bytes.  What it allocates is bounded by their number: at most kMaxResources
// resources and names, and each text is a part of the input.

#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/base/shared_text.h"
#include "proxy/config/document.h"

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

// Of which the state of the world is all that there is: what a response does not name has gone.
inline constexpr bool is_whole(ResourceType type) noexcept {
  return type == ResourceType::kClusters || type == ResourceType::kListeners ||
         type == ResourceType::kScopedRoutes;
}

// "envoy.config.cluster.v3.Cluster".
std::string_view message_of(ResourceType type) noexcept;
// "cds": what places and counters are called by.
std::string_view short_name(ResourceType type) noexcept;

// What `version` shows of a version in metrics: Envoy's gauge is a hash too.  0: none.  Of 62 bits,
// as a gauge holds 63 with its sign.
inline int64_t version_number(std::string_view version) {
  return version.empty() ? 0 : static_cast<int64_t>(std::hash<std::string_view>{}(version) >> 2);
}

inline constexpr size_t kMaxResources = 200'000;

struct Resource {
  std::string name;
  std::string bytes;                      // of the message in the Any
  std::string version = {};               // of it alone (delta); empty: the response's
  std::vector<std::string> aliases = {};  // VHDS: the names that it was asked for by
  Duration ttl{};                         // how long it is good for; 0: for ever
  // False: a heartbeat, which only says that what is held stays good, and reaches no observer; of
  // VHDS: there is no such host.
  bool has_body = true;
  // Of a file: what was read of it; `bytes` are its JSON then, to tell one content from another.
  std::shared_ptr<const config::Document> document = nullptr;
  const config::Value* value = nullptr;
};

// A name for which there is no resource, says the server.
struct ResourceError {
  std::string name;
  std::string reason;
};

struct Response {
  ResourceType type = ResourceType::kClusters;
  uint32_t source = 0;  // whose it is, for who asks several
  std::string version;
  std::string nonce;
  std::string control_plane;  // its identifier, if it says one
  std::vector<Resource> resources;
  // A delta: `resources` are what has changed, `removed` the names of what is no more.  Else
  // `resources` of CDS and LDS are all that there are; other types name no end.
  bool is_delta = false;
  std::vector<std::string> removed = {};
  // Names that are said to be as they were (heartbeats): of CDS and LDS, they are there too.
  std::vector<std::string> unchanged = {};
  std::vector<ResourceError> errors = {};
  std::string wrong;  // not empty: why all of it must be refused; it has no resources then
};

// A DiscoveryResponse and a DeltaDiscoveryResponse.  `only`: the type of the stream, if it has one;
// messages need not name it then.  An error is one that nobody can be told, as there is no type
// whose request could answer it.
Result<Response> decode_response(std::string_view bytes, std::optional<ResourceType> only = {});
Result<Response> decode_delta_response(std::string_view bytes,
                                       std::optional<ResourceType> only = {});

// DiscoveryRequest, but for resource_names.
struct Request {
  ResourceType type = ResourceType::kClusters;
  std::string_view version;
  std::string_view nonce;
  std::string_view node;   // encoded envoy.config.core.v3.Node; empty: none
  std::string_view error;  // not empty: a NACK
};

// By name.  Both stand in the configuration too.
using Versions = std::map<SharedText, SharedText, std::less<>>;

// DeltaDiscoveryRequest.
struct DeltaRequest {
  ResourceType type = ResourceType::kClusters;
  std::string_view nonce;  // empty: it answers nothing
  std::string_view node;
  std::vector<std::string_view> subscribe;
  std::vector<std::string_view> unsubscribe;
  // initial_resource_versions
  std::vector<std::pair<std::string_view, std::string_view>> versions;
  std::string_view error;  // not empty: a NACK
};

// One message, in two parts, one behind the other.  In a mesh the names are 200 KB, are said with
// each answer, and hardly ever change.
struct RequestBytes {
  std::string fields;
  std::string_view names;
};

std::string encode_request(const Request& request);
// Appends one of its resource_names; none are the wildcard.
void encode_name(std::string& names, std::string_view name);
std::string encode_request(const DeltaRequest& request);

}  // namespace pillion::xds
