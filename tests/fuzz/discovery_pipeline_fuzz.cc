// Any bytes as a DiscoveryResponse that goes the whole way: decoded, taken by the builder into a
// configuration in force, compiled, settled; the same again, which must change nothing; then one
// that lacks half of the resources, and one that has none.  Endpoints and secrets go to their
// parsers.  Each snapshot dies after the next one was made, as in a server.
//
// A delta would be decoded by its own function, and passed on the same way: `is_delta` and
// `removed` are fields of xds::Response.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "proxy/builder/builder.h"
#include "proxy/builder/settle.h"
#include "proxy/config/node.h"
#include "proxy/tls/secret.h"
#include "proxy/upstream/parse.h"
#include "xds/discovery_message.h"
#include "xds/reflect.h"

using namespace pillion;

namespace {

constexpr std::string_view kBootstrap = R"(
node: { id: n, cluster: c }
dynamic_resources:
  ads_config: { api_type: GRPC, transport_api_version: V3,
                grpc_services: [ { envoy_grpc: { cluster_name: xds } } ] }
  cds_config: { ads: {}, resource_api_version: V3 }
  lds_config: { ads: {}, resource_api_version: V3 }
static_resources:
  clusters:
    - { name: xds, http2_protocol_options: {}, load_assignment: { endpoints: [ { lb_endpoints: [ {
          endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 1 } } } } ] } ] } }
  listeners:
    - name: fixed
      address: { socket_address: { address: 127.0.0.1, port_value: 1 } }
      filter_chains:
        - filters:
            - name: m
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: m
                rds: { config_source: { ads: {}, resource_api_version: V3 }, route_config_name: r }
                http_filters:
                  - name: router
                    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
)";

const Options& options() {
  static const Options kOptions = [] {
    Options made;
    made.config_yaml = kBootstrap;
    return made;
  }();
  return kOptions;
}

using SnapshotPtr = std::shared_ptr<const Snapshot>;

const SnapshotPtr& first() {
  static const SnapshotPtr kFirst = [] {
    const BuildResult built = run_build(options(), {}, {});
    if (built.snapshot == nullptr) std::abort();
    return built.snapshot;
  }();
  return kFirst;
}

std::string build(SnapshotPtr& snapshot, const xds::Response& response, bool with_endpoints) {
  BuildJob job;
  job.previous = snapshot;
  job.responses.push_back(response);
  if (with_endpoints)
    for (const auto& [name, timeout] : wanted_endpoints(*snapshot->resources))
      job.endpoints.insert(name);
  BuildResult result = run_build(options(), {}, job);
  if (result.snapshot == nullptr || result.answers.size() != 1) std::abort();
  snapshot = std::move(result.snapshot);
  return result.answers[0].wrong;
}

size_t pieces(const Snapshot& snapshot) {
  const Resources& r = *snapshot.resources;
  return r.clusters.size() + r.listeners.size() + r.routes.size();
}

void take_thrice(xds::Response response) {
  SnapshotPtr snapshot = first();
  const std::string wrong = build(snapshot, response, false);
  const size_t count = pieces(*snapshot);
  // What is wrong stays wrong, and all else is known already.
  if (build(snapshot, response, true).empty() != wrong.empty()) std::abort();
  if (pieces(*snapshot) != count) std::abort();
  response.resources.resize(response.resources.size() / 2);
  (void)build(snapshot, response, true);
  response.resources.clear();
  (void)build(snapshot, response, true);
}

void read_alone(xds::ResourceType type, const xds::Resource& resource) {
  config::Errors errors(config::UnknownFields::kCount);
  const auto document = xds::reflect(xds::message_of(type), resource.bytes, "fuzz", errors);
  if (document == nullptr || !errors.ok()) return;
  if (type == xds::ResourceType::kEndpoints) {
    (void)upstream::parse_assignment(document->root(errors));
  } else {
    std::string name;
    (void)tls::parse_secret(document->root(errors), name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto decoded = xds::decode_response(bytes);
  if (!decoded) return 0;
  switch (decoded->type) {
    case xds::ResourceType::kClusters:
    case xds::ResourceType::kListeners:
    case xds::ResourceType::kRoutes:
      take_thrice(std::move(*decoded));
      break;
    case xds::ResourceType::kEndpoints:
    case xds::ResourceType::kSecrets:
      for (const xds::Resource& resource : decoded->resources) read_alone(decoded->type, resource);
      break;
    default:
      break;
  }
  return 0;
}
