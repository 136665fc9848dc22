#include "xds/method_path.h"

#include <iterator>

namespace pillion::xds {
namespace {

struct Methods {
  std::string_view state_of_the_world, delta;
};

constexpr Methods kAggregated = {
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"};
// In the order of ResourceType.
constexpr Methods kOfOneType[] = {
    {"/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters",
     "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters"},
    {"/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints",
     "/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints"},
    {"/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners",
     "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners"},
    {"/envoy.service.extension.v3.ExtensionConfigDiscoveryService/StreamExtensionConfigs",
     "/envoy.service.extension.v3.ExtensionConfigDiscoveryService/DeltaExtensionConfigs"},
    {"/envoy.service.route.v3.ScopedRoutesDiscoveryService/StreamScopedRoutes",
     "/envoy.service.route.v3.ScopedRoutesDiscoveryService/DeltaScopedRoutes"},
    {"/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes",
     "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes"},
    {"", "/envoy.service.route.v3.VirtualHostDiscoveryService/DeltaVirtualHosts"},
    {"/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
     "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"},
    {"/envoy.service.runtime.v3.RuntimeDiscoveryService/StreamRuntime",
     "/envoy.service.runtime.v3.RuntimeDiscoveryService/DeltaRuntime"}};
static_assert(std::size(kOfOneType) == kResourceTypes);

}  // namespace

std::string_view method_path(std::optional<ResourceType> only, Protocol protocol) noexcept {
  const Methods& methods = only ? kOfOneType[static_cast<size_t>(*only)] : kAggregated;
  return protocol == Protocol::kDelta ? methods.delta : methods.state_of_the_world;
}

}  // namespace pillion::xds
