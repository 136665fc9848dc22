#include "proxy/config/grpc_service.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "proxy/base/ascii.h"
#include "proxy/base/field_chars.h"
#include "proxy/config/config_source.h"

namespace pillion::config {
namespace {

using std::chrono::nanoseconds;

constexpr std::string_view kLater = "comes with a later version";
constexpr nanoseconds kMaxBackoff = std::chrono::hours(24);
constexpr EnumRow kApiTypes[] = {
    {"DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE", 0, "the API of before 2021"},
    {"REST", 1, "use GRPC"},
    {"GRPC", 2},
    {"DELTA_GRPC", 3, "use GRPC, the state of the world"},
    {"AGGREGATED_GRPC", 5, "use GRPC"},
    {"AGGREGATED_DELTA_GRPC", 6, "use GRPC"}};

void parse_backoff(GrpcService& out, const Node& retry) {
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
void parse_metadata(GrpcService& out, const Node& item) {
  const std::string name = lowered(item.required("key").as_string_or(""));
  const std::string value = item["value"].as_string_or("");
  if (item.has("key") && (!is_token(name) || name.starts_with("grpc-") || name == "te" ||
                          name == "host" || name == "content-type"))
    item["key"].expected("the name of a header that is not gRPC's own");
  if (!std::ranges::all_of(value, is_value_char))
    item["value"].expected("a text without control characters");
  out.metadata.emplace_back(name, value);
  item.unsupported({"raw_value"}, kLater);
  item.reject_unknown_keys();
}

// envoy_grpc alone.
GrpcService parse_grpc_service(const Node& service) {
  GrpcService out;
  (void)service.one_of({"envoy_grpc", "google_grpc"});
  service.unsupported({"google_grpc"}, "use envoy_grpc", Unknown::kAlwaysError);
  if (const Node grpc = service["envoy_grpc"]) {
    out.cluster = grpc["cluster_name"].located_string();
    out.authority = grpc["authority"].as_string_or("");
    out.max_message_bytes = grpc["max_receive_message_length"].as_u32_or(64 << 20, 1, 1 << 30);
    parse_backoff(out, grpc["retry_policy"]);
    grpc.ignore({"skip_envoy_headers"});  // none are added
    grpc.reject_unknown_keys();
  }
  for (const Node item : service["initial_metadata"].items()) parse_metadata(out, item);
  service.ignore({"timeout"});  // of a stream that never ends
  service.unsupported({"retry_policy"}, "use that of envoy_grpc");
  service.reject_unknown_keys();
  return out;
}

}  // namespace

GrpcService parse_api_config_source(const Node& node) {
  GrpcService out;
  (void)node.required("api_type").as_enum_or<int>(2, kApiTypes);
  check_api_version(node["transport_api_version"]);
  const Node services = node.required("grpc_services");
  if (services.is_sequence() && services.size() != 1)
    services.expected("exactly one service", "others would never be used");
  for (const Node service : services.items()) {
    GrpcService parsed = parse_grpc_service(service);
    if (!parsed.cluster.value.empty()) out = std::move(parsed);
  }
  // The node goes with the first request only, as every server must be able to take it.
  node.ignore({"set_node_on_first_message_only", "request_timeout", "refresh_delay"});
  node.unsupported({"cluster_names", "rate_limit_settings", "config_validators"}, kLater);
  node.reject_unknown_keys();
  return out;
}

}  // namespace pillion::config
