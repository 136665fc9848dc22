#include "proxy/config/grpc_service.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "proxy/base/ascii.h"
#include "proxy/base/field_chars.h"
#include "proxy/config/config_source.h"
#include "proxy/config/google_grpc.h"

namespace pillion::config {
namespace {

using std::chrono::nanoseconds;

constexpr std::string_view kLater = "comes with a later version";
constexpr nanoseconds kMaxBackoff = std::chrono::hours(24);
enum ApiType : int {
  kGrpc = 2,
  kDeltaGrpc = 3,
  // Which services are asked is said where the type stands; these mean the same.
  kAggregatedGrpc = 5,
  kAggregatedDeltaGrpc = 6
};
constexpr EnumRow kApiTypes[] = {
    {"DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE", 0, "the API of before 2021"},
    {"REST", 1, "nothing is polled: use GRPC or DELTA_GRPC"},
    {"GRPC", kGrpc},
    {"DELTA_GRPC", kDeltaGrpc},
    {"AGGREGATED_GRPC", kAggregatedGrpc},
    {"AGGREGATED_DELTA_GRPC", kAggregatedDeltaGrpc}};
// Envoy's defaults where rate_limit_settings is given.
constexpr double kFillRate = 10;
constexpr double kMinFillRate = 1e-5;
constexpr double kMaxFillRate = 1e6;

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

GrpcService parse_grpc_service(const Node& service) {
  GrpcService out;
  (void)service.one_of({"envoy_grpc", "google_grpc"});
  if (const Node grpc = service["envoy_grpc"]) {
    out.cluster = grpc["cluster_name"].located_string();
    out.authority = grpc["authority"].as_string_or("");
    out.max_message_bytes = grpc["max_receive_message_length"].as_u32_or(64 << 20, 1, 1 << 30);
    parse_backoff(out, grpc["retry_policy"]);
    grpc.ignore({"skip_envoy_headers"});  // none are added
    grpc.reject_unknown_keys();
  }
  if (const Node google = service["google_grpc"]) {
    GoogleGrpc parsed = parse_google_grpc(google);
    out.cluster = {std::move(parsed.cluster), google["target_uri"].where()};
    out.authority = std::move(parsed.authority);
  }
  for (const Node item : service["initial_metadata"].items()) parse_metadata(out, item);
  service.ignore({"timeout"});  // of a stream that never ends
  service.unsupported({"retry_policy"}, "use that of envoy_grpc");
  service.reject_unknown_keys();
  return out;
}

std::optional<RateLimit> parse_rate_limit(const Node& node) {
  if (node.is_missing()) return std::nullopt;
  RateLimit out;
  out.max_tokens = node["max_tokens"].as_u32_or(out.max_tokens, 1);
  const Node rate = node["fill_rate"];
  double per_second = rate.as_double_or(kFillRate);
  if (per_second < kMinFillRate || per_second > kMaxFillRate) {
    rate.expected("0.00001 to 1000000 requests a second");
    per_second = kFillRate;
  }
  out.interval = nanoseconds(static_cast<int64_t>(1e9 / per_second));
  node.reject_unknown_keys();
  return out;
}

}  // namespace

GrpcService parse_api_config_source(const Node& node) {
  GrpcService out;
  const int type = node.required("api_type").as_enum_or<int>(kGrpc, kApiTypes);
  check_api_version(node["transport_api_version"]);
  const Node services = node.required("grpc_services");
  if (services.is_sequence() && (services.size() == 0 || services.size() > 2))
    services.expected("one service, or a second one for when the first does not answer",
                      "further ones would never be used");
  std::vector<GrpcService> parsed;
  for (const Node service : services.items()) parsed.push_back(parse_grpc_service(service));
  if (!parsed.empty()) out = std::move(parsed.front());
  if (parsed.size() > 1) {
    GrpcService& second = parsed[1];
    if (second.cluster.value == out.cluster.value && second.authority == out.authority)
      services.expected("two different services");
    out.max_message_bytes = std::max(out.max_message_bytes, second.max_message_bytes);
    out.failover = {std::move(second.cluster), std::move(second.authority),
                    std::move(second.metadata)};
  }
  out.is_delta = type == kDeltaGrpc || type == kAggregatedDeltaGrpc;
  out.requests = parse_rate_limit(node["rate_limit_settings"]);
  // The node goes with the first request only, as every server must be able to take it.
  node.ignore({"set_node_on_first_message_only", "request_timeout", "refresh_delay"});
  node.unsupported({"cluster_names"}, "use grpc_services");
  node.unsupported({"config_validators"}, kLater);
  node.reject_unknown_keys();
  return out;
}

}  // namespace pillion::config
