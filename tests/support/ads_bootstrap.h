#pragma once
// The configuration of a process that takes everything from one control plane, by ADS.

#include <string>
#include <string_view>

#include "proxy/base/str.h"

namespace pillion::testing {

// `node`: its fields; `api`: GRPC or DELTA_GRPC.  Ends in static_resources, with the cluster "xds"
// alone, so that listeners may be put behind it.
inline std::string ads_bootstrap(std::string_view node = "id: n, cluster: c",
                                 std::string_view api = "GRPC") {
  return str("node: { ", node, R"( }
dynamic_resources:
  ads_config: { api_type: )",
             api, R"(, transport_api_version: V3,
                grpc_services: [ { envoy_grpc: { cluster_name: xds } } ] }
  cds_config: { ads: {}, resource_api_version: V3 }
  lds_config: { ads: {}, resource_api_version: V3 }
static_resources:
  clusters:
    - { name: xds, http2_protocol_options: {}, load_assignment: { endpoints: [ { lb_endpoints: [ { endpoint: { address: {
          socket_address: { address: 127.0.0.1, port_value: 1 } } } } ] } ] } }
)");
}

// Likewise without ads_config: clusters and listeners come by streams of their own.
inline std::string typed_bootstrap() {
  constexpr std::string_view kSource =
      "{ api_config_source: { api_type: DELTA_GRPC, transport_api_version: V3, "
      "grpc_services: [ { envoy_grpc: { cluster_name: xds } } ] } }";
  std::string out = ads_bootstrap();
  const size_t begin = out.find("  ads_config:");
  out.replace(begin, out.find("static_resources:") - begin,
              str("  cds_config: ", kSource, "\n  lds_config: ", kSource, "\n"));
  return out;
}

}  // namespace pillion::testing
