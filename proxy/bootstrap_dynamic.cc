#include "proxy/bootstrap_dynamic.h"

#include <algorithm>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/config_source.h"
#include "proxy/config/value_hash.h"
#include "proxy/http/h1_scan.h"
#include "xds/reflect.h"
#include "xds/value_json.h"

namespace pillion {
namespace {

using config::EnumRow;
using config::Node;

constexpr std::string_view kLater = "comes with a later version";
constexpr Duration kMaxBackoff = std::chrono::hours(24);
constexpr EnumRow kApiTypes[] = {
    {"DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE", 0, "the API of before 2021"},
    {"REST", 1, "use GRPC"},
    {"GRPC", 2},
    {"DELTA_GRPC", 3, "use GRPC, the state of the world"},
    {"AGGREGATED_GRPC", 5, "use GRPC"},
    {"AGGREGATED_DELTA_GRPC", 6, "use GRPC"}};

void parse_backoff(xds::AdsOptions& out, const Node& retry) {
  if (retry.is_missing()) return;
  const Node backoff = retry["retry_back_off"];
  if (backoff.is_present()) {
    out.backoff_base = backoff.required("base_interval").as_duration_or(out.backoff_base);
    if (out.backoff_base < std::chrono::milliseconds(1) || out.backoff_base > kMaxBackoff)
      backoff["base_interval"].expected("0.001s to 86400s");
    out.backoff_base = std::min(out.backoff_base, kMaxBackoff);
    out.backoff_max = backoff["max_interval"].as_duration_or(10 * out.backoff_base);
    if (out.backoff_max < out.backoff_base || out.backoff_max > 10 * kMaxBackoff)
      backoff["max_interval"].expected("base_interval to 864000s");
    backoff.reject_unknown_keys();
  }
  // A stream is opened again for ever, whatever ended it.
  retry.ignore({"num_retries", "retry_on"});
  retry.unsupported({"retry_priority", "retry_host_predicate", "host_selection_retry_max_attempts"},
                    kLater);
  retry.reject_unknown_keys();
}

// A field of the stream's head.  Those of HTTP/2 and gRPC themselves are ours.
void parse_metadata(xds::AdsOptions& out, const Node& item) {
  const std::string name = lowered(item.required("key").as_string_or(""));
  const std::string value = item["value"].as_string_or("");
  if (item.has("key") && (!http::is_token(name) || name.starts_with("grpc-") || name == "te" ||
                          name == "host" || name == "content-type"))
    item["key"].expected("the name of a header that is not gRPC's own");
  if (!std::ranges::all_of(value, http::is_value_char))
    item["value"].expected("a text without control characters");
  out.metadata.emplace_back(name, value);
  item.unsupported({"raw_value"}, kLater);
  item.reject_unknown_keys();
}

void parse_grpc_service(DynamicConfig& out, const Node& service) {
  (void)service.one_of({"envoy_grpc", "google_grpc"});
  service.unsupported({"google_grpc"}, "use envoy_grpc", config::Unknown::kAlwaysError);
  if (const Node grpc = service["envoy_grpc"]) {
    out.cluster = grpc["cluster_name"].located_string();
    out.ads.cluster = out.cluster.value;
    out.ads.authority = grpc["authority"].as_string_or("");
    out.ads.max_message_bytes = grpc["max_receive_message_length"].as_u32_or(64 << 20, 1, 1 << 30);
    parse_backoff(out.ads, grpc["retry_policy"]);
    grpc.ignore({"skip_envoy_headers"});  // none are added
    grpc.reject_unknown_keys();
  }
  for (const Node item : service["initial_metadata"].items()) parse_metadata(out.ads, item);
  service.ignore({"timeout"});  // of a stream that never ends
  service.unsupported({"retry_policy"}, "use that of envoy_grpc");
  service.reject_unknown_keys();
}

void parse_ads_config(DynamicConfig& out, const Node& node) {
  (void)node.required("api_type").as_enum_or<int>(2, kApiTypes);
  config::check_api_version(node["transport_api_version"]);
  const Node services = node.required("grpc_services");
  if (services.is_sequence() && services.size() != 1)
    services.expected("exactly one service", "others would never be used");
  for (const Node service : services.items()) parse_grpc_service(out, service);
  // The node goes with the first request only, as every server must be able to take it.
  node.ignore({"set_node_on_first_message_only", "request_timeout", "refresh_delay"});
  node.unsupported({"cluster_names", "rate_limit_settings", "config_validators"}, kLater);
  node.reject_unknown_keys();
}

// envoy.config.core.v3.Node of the first request.
void encode_node(BootstrapConfig& out, const Node& node) {
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
  more += str(more.size() > 1 ? "," : "", R"("user_agent_name":"pillion")");
  if (!out.node_zone.empty()) {
    more += R"(,"locality":{"zone":)";
    append_json_string(more, out.node_zone);
    more += '}';
  }
  const Result<std::string> ours = xds::encode("envoy.config.core.v3.Node", more + '}');
  if (!encoded || !ours) {
    node.error(
        str("cannot be told to a control plane: ", encoded ? ours.error() : encoded.error()));
    return;
  }
  // Messages one after the other are merged.
  out.dynamic.ads.node = *encoded + *ours;
}

}  // namespace

void parse_dynamic_resources(BootstrapConfig& out, const Node& root) {
  const Node node = root["dynamic_resources"];
  if (node.is_missing()) return;
  out.dynamic_hash = config::hash_value(node);
  const Node ads = node["ads_config"];
  if (ads.is_present()) {
    out.dynamic.has_ads = true;
    parse_ads_config(out.dynamic, ads);
    if (out.node_id.empty())
      root["node"]["id"].error("required field is missing (a control plane asks who it is)");
    encode_node(out, root["node"]);
  }
  const auto source = [&](std::string_view key, std::optional<Duration>& timeout) {
    const Node field = node[key];
    if (field.is_missing()) return;
    timeout = config::parse_ads_source(field).initial_fetch_timeout;
    if (ads.is_missing()) field.error("needs ads_config");
  };
  source("cds_config", out.dynamic.cds_timeout);
  source("lds_config", out.dynamic.lds_timeout);
  node.unsupported({"lds_resources_locator", "cds_resources_locator"}, kLater);
  node.reject_unknown_keys();
}

}  // namespace pillion
