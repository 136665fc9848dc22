#include "proxy/core/parse_parts.h"

#include <algorithm>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/config/errors.h"
#include "proxy/config/skipped_types.h"
#include "proxy/config/suggest.h"

namespace pillion::core {
namespace {

using config::Node;
using Names = std::span<const std::string_view>;

struct Point {
  std::string_view what;
  std::string_view prefix;  // of the types
  Names of_envoy;           // the names that follow it in Envoy v3
};

constexpr std::string_view kListenerFilters[] = {
    "dynamic_modules", "http_inspector", "local_ratelimit", "original_dst",
    "original_src",    "proxy_protocol", "tls_inspector"};

constexpr std::string_view kNetworkFilters[] = {"connection_limit",
                                                "direct_response",
                                                "dubbo_proxy",
                                                "dynamic_modules",
                                                "echo",
                                                "ext_authz",
                                                "ext_proc",
                                                "generic_proxy",
                                                "geoip",
                                                "local_ratelimit",
                                                "mongo_proxy",
                                                "ratelimit",
                                                "rbac",
                                                "redis_proxy",
                                                "reverse_tunnel",
                                                "set_filter_state",
                                                "sni_cluster",
                                                "thrift_proxy",
                                                "zookeeper_proxy",
                                                "sni_dynamic_forward_proxy",
                                                "wasm"};

constexpr std::string_view kHttpFilters[] = {"adaptive_concurrency",
                                             "admission_control",
                                             "alternate_protocols_cache",
                                             "api_key_auth",
                                             "aws_lambda",
                                             "aws_request_signing",
                                             "bandwidth_limit",
                                             "basic_auth",
                                             "buffer",
                                             "cache",
                                             "cache_v2",
                                             "cdn_loop",
                                             "composite",
                                             "compressor",
                                             "connect_grpc_bridge",
                                             "cors",
                                             "credential_injector",
                                             "csrf",
                                             "custom_response",
                                             "decompressor",
                                             "dynamic_forward_proxy",
                                             "dynamic_modules",
                                             "ext_authz",
                                             "ext_proc",
                                             "fault",
                                             "file_system_buffer",
                                             "gcp_authn",
                                             "geoip",
                                             "grpc_field_extraction",
                                             "grpc_http1_bridge",
                                             "grpc_http1_reverse_bridge",
                                             "grpc_json_reverse_transcoder",
                                             "grpc_json_transcoder",
                                             "grpc_stats",
                                             "grpc_web",
                                             "gzip",
                                             "header_mutation",
                                             "header_to_metadata",
                                             "health_check",
                                             "ip_tagging",
                                             "json_to_metadata",
                                             "jwt_authn",
                                             "kill_request",
                                             "local_ratelimit",
                                             "lua",
                                             "mcp",
                                             "mcp_router",
                                             "oauth2",
                                             "on_demand",
                                             "original_src",
                                             "proto_api_scrubber",
                                             "proto_message_extraction",
                                             "rate_limit_quota",
                                             "ratelimit",
                                             "rbac",
                                             "set_filter_state",
                                             "set_metadata",
                                             "stateful_session",
                                             "tap",
                                             "thrift_to_metadata",
                                             "transform",
                                             "upstream_codec",
                                             "wasm"};

constexpr std::string_view kTransportSockets[] = {
    "alts",     "http_11_proxy", "internal_upstream", "proxy_protocol", "quic", "s2a",
    "starttls", "tap",           "tcp_stats"};

// In the order of ExtensionPoint.
constexpr Point kPoints[] = {
    {"listener filter", "envoy.extensions.filters.listener.", kListenerFilters},
    {"network filter", "envoy.extensions.filters.network.", kNetworkFilters},
    {"HTTP filter", "envoy.extensions.filters.http.", kHttpFilters},
    {"transport socket", "envoy.extensions.transport_sockets.", kTransportSockets},
};

// "fault" of "envoy.extensions.filters.http.fault.v3.HTTPFault"; empty for what is elsewhere.
std::string_view name_of(std::string_view type, const Point& point) {
  if (!type.starts_with(point.prefix)) return {};
  type.remove_prefix(point.prefix.size());
  return type.substr(0, type.find('.'));
}

bool is_of_envoy(std::string_view type, const Point& point) {
  return std::ranges::find(point.of_envoy, name_of(type, point)) != point.of_envoy.end();
}

}  // namespace

config::TypedConfig parse_extension(const Node& item, ExtensionPoint point, Names supported) {
  (void)item["name"].as_string();  // a label: the type decides
  item.unsupported({"config_discovery"}, "filters alone come by ECDS",
                   config::Unknown::kAlwaysError);
  const Node any = item["typed_config"];
  if (any.is_missing() && item.has("config_discovery")) return {};
  config::TypedConfig config = any.typed_config();
  if (config.type.empty()) return {};
  return check_extension_type(any, config.type, point, supported) ? config : config::TypedConfig{};
}

bool check_extension_type(const Node& where, std::string_view type, ExtensionPoint point,
                          Names supported) {
  if (std::ranges::find(supported, type) != supported.end()) return true;
  const Point& p = kPoints[static_cast<size_t>(point)];
  // Beside a type that we have, another one of that name is a slip.
  const auto is_beside = [&](std::string_view other) {
    return name_of(other, p) == name_of(type, p);
  };
  if (is_of_envoy(type, p) && std::ranges::none_of(supported, is_beside)) {
    where.error(str(p.what, " \"", type,
                    "\" is known to Envoy v3 but not supported by Pillion yet (", kLater, ')'));
  } else {
    where.error(str("unknown ", p.what, " \"", config::printable(type), '"',
                    config::did_you_mean(type, supported)));
  }
  return false;
}

bool leaves_out(const Node& item) {
  if (item.errors()->unknown_fields_policy() == config::UnknownFields::kError) return false;
  if (!item.has("typed_config")) return false;
  const std::string_view type = item["typed_config"].typed_config().type;
  if (!config::is_skipped_type(type)) return false;
  item.leave_out(type, str("filter \"", type, "\" is left out: it only observes"));
  return true;
}

void refuse_true(const Node& node, std::initializer_list<std::string_view> keys,
                 std::string_view reason) {
  for (const std::string_view key : keys) {
    if (node[key].as_bool_or(false)) node.unsupported({key}, reason);
  }
}

std::string header_text(const Node& node, std::string_view fallback) {
  std::string text = node.as_string_or("");
  const auto is_bad = [](char c) {
    return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f;
  };
  if (std::any_of(text.begin(), text.end(), is_bad))
    node.expected("a text without control characters");
  return text.empty() ? std::string(fallback) : text;
}

}  // namespace pillion::core
