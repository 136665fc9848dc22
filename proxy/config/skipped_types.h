#pragma once
// Filters that control planes send and that Pillion may do without: they only observe, and no
// request or connection would go another way, or be refused, with them.  From xDS they are left out
// and counted as an unknown field is; files have no reason to name them.
//
// All other types of filters that Pillion lacks are refused.  Of those that Istio sends by default:
//   istio.envoy.config.filter.http.alpn...   without its ALPN names the peer's sidecar would take
//                                            HTTP for opaque bytes, and judge it by no HTTP policy
//   envoy.tcp.metadataexchange...            a peer with which `istio-peer-exchange` was negotiated
//                                            waits for a message before the application's bytes; of
//                                            clusters it is left out, for they then do not offer it
//                                            (upstream/parse_transport.cc)
//   io.istio.http.peer_metadata...           it also removes headers of the mesh from what the
//                                            application gets

#include <string_view>

namespace pillion::config {

// Is it the type of such a filter ("stats.PluginConfig")?
constexpr bool is_skipped_type(std::string_view type) {
  constexpr std::string_view kTypes[] = {
      // Istio's metrics, as an HTTP and as a network filter.
      "stats.PluginConfig",
      // Counts commands of MongoDB; what it could delay is not sent by Istio, which asks for it by
      // the name of a port.
      "envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy",
  };
  for (const std::string_view skipped : kTypes)
    if (type == skipped) return true;
  return false;
}

// Is it the type of a DNS resolver of the system, which names no servers of its own?
constexpr bool is_system_resolver_type(std::string_view type) {
  return type ==
             "envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig" ||
         type == "envoy.extensions.network.dns_resolver.apple.v3.AppleDnsResolverConfig";
}

}  // namespace pillion::config
