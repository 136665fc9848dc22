#include "proxy/builder/bootstrap_dynamic.h"

#include <utility>

#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/grpc_service.h"
#include "proxy/config/value_hash.h"
#include "xds/reflect.h"
#include "xds/value_json.h"

namespace pillion {

using config::Node;

namespace {

// What a server may then make use of; beside what the file says.
constexpr std::string_view kFeatures =
    R"("client_features":["xds.config.supports-resource-ttl","xds.config.resource-in-sotw"])";

}  // namespace

Result<std::string> encode_node(const BootstrapConfig& out) {
  std::string json = "{}";
  if (out.node != nullptr) {
    json.clear();
    xds::append_json(json, *out.node);
  }
  Result<std::string> encoded = xds::encode("envoy.config.core.v3.Node", json);
  std::string more = "{";
  const auto add = [&more](std::string_view field, const std::string& value) {
    if (value.empty()) return;
    more += str(more.size() > 1 ? "," : "", '"', field, "\":");
    append_json_string(more, value);
  };
  add("id", out.node_id);
  add("cluster", out.node_cluster);
  more += str(more.size() > 1 ? "," : "", R"("user_agent_name":"pillion",)", kFeatures);
  if (!out.node_zone.empty()) {
    more += R"(,"locality":{"zone":)";
    append_json_string(more, out.node_zone);
    more += '}';
  }
  const Result<std::string> ours = xds::encode("envoy.config.core.v3.Node", more + '}');
  if (!encoded) return encoded;
  if (!ours) return ours;
  // Messages one after the other are merged.
  return *encoded + *ours;
}

void parse_dynamic_resources(BootstrapConfig& out, const Node& root) {
  const Node node = root["dynamic_resources"];
  if (node.is_missing()) return;
  out.dynamic_hash = config::hash_value(node);
  const Node ads = node["ads_config"];
  if (ads.is_present()) {
    out.dynamic.has_ads = true;
    config::GrpcService service = config::parse_api_config_source(ads);
    out.dynamic.ads = xds::AdsOptions(service);
    out.dynamic.cluster = std::move(service.cluster);
    if (service.failover) out.dynamic.failover_cluster = std::move(service.failover->cluster);
  }
  if (const Result<std::string> encoded = encode_node(out); !encoded)
    root["node"].error(str("cannot be told to a control plane: ", encoded.error()));
  const auto source = [&](std::string_view key, std::optional<config::ConfigSource>& out_source) {
    const Node field = node[key];
    if (field.is_missing()) return;
    out_source = config::parse_config_source(field);
    if (out_source->is_ads() && ads.is_missing()) field.error("needs ads_config");
  };
  source("cds_config", out.dynamic.cds);
  source("lds_config", out.dynamic.lds);
  node.unsupported({"lds_resources_locator", "cds_resources_locator"},
                   "xdstp:// names are not served");
  node.reject_unknown_keys();
}

}  // namespace pillion
