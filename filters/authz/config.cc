#include "filters/authz/config.h"

#include <algorithm>

#include "filters/status_code.h"
#include "proxy/base/str.h"
#include "proxy/http/field_rules.h"

namespace pillion::filters::authz {
namespace {

using config::EnumRow;
using config::Node;
using config::Unknown;

constexpr std::string_view kLater = "comes with a later version";
constexpr Duration kDefaultTimeout = std::chrono::milliseconds(200);

bool is(const Node& field, std::string_view snake, std::string_view camel) {
  return field.is_present() && (field.key() == snake || field.key() == camel);
}

NameList parse_names(const Node& node) {
  NameList out;
  for (const Node item : node["patterns"].items())
    out.patterns.push_back(match::parse_string_matcher(item));
  if (node.is_present() && out.patterns.empty()) node.expected("at least one pattern");
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

std::string parse_value(const Node& node) {
  std::string value = node.as_string_or("");
  if (!http::is_bare_value(value)) node.expected("a text that a header can hold");
  return value;
}

// A list of core.v3.HeaderValue.
void parse_headers(Service& out, const Node& list) {
  for (const Node item : list.items()) {
    std::string name = parse_header_name(item["key"]);
    const Node value = item["value"];
    if (value.raw().find('%') != std::string_view::npos)
      value.error("formats (%) come with a later version");
    out.headers.emplace_back(std::move(name), parse_value(value));
    item.unsupported({"raw_value"}, kLater, Unknown::kAlwaysError);
    item.reject_unknown_keys(Unknown::kAlwaysError);
  }
}

std::unique_ptr<const Service> parse_grpc(const Node& node,
                                          const core::FilterParseContext& context) {
  auto out = std::make_unique<Service>();
  out->is_grpc = true;
  (void)node.one_of({"envoy_grpc", "google_grpc"});
  node.unsupported({"google_grpc"}, "use envoy_grpc", Unknown::kAlwaysError);
  if (const Node grpc = node["envoy_grpc"]; grpc.is_present()) {
    out->cluster = parse_cluster(grpc["cluster_name"], context);
    out->authority = grpc["authority"].as_string_or("");
    grpc.ignore({"skip_envoy_headers"});  // there are none
    grpc.unsupported({"retry_policy", "max_receive_message_length"}, kLater, Unknown::kAlwaysError);
    grpc.reject_unknown_keys(Unknown::kAlwaysError);
  }
  if (const Node timeout = node["timeout"]; timeout.is_present())
    out->timeout = timeout.as_duration();
  if (out->timeout == Duration{}) out->timeout = kDefaultTimeout;
  parse_headers(*out, node["initial_metadata"]);
  node.unsupported({"retry_policy"}, kLater, Unknown::kAlwaysError);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

std::unique_ptr<const Service> parse_http(const Node& node,
                                          const core::FilterParseContext& context) {
  auto out = std::make_unique<Service>();
  HttpTarget target = parse_http_target(node.required("server_uri"), context);
  out->cluster = std::move(target.cluster);
  // Envoy asks with the Host of the request; the URI's own path and host are for people.
  if (target.timeout != Duration{}) out->timeout = target.timeout;
  out->path_prefix = node["path_prefix"].as_string_or("");
  const bool is_path = out->path_prefix.empty() ||
                       (out->path_prefix.front() == '/' && http::is_target_text(out->path_prefix));
  if (!is_path) node["path_prefix"].expected("a path that begins with '/'");
  const Node request = node["authorization_request"];
  if (const Node names = request["allowed_headers"]; names.is_present())
    out->allowed_request = parse_names(names);
  parse_headers(*out, request["headers_to_add"]);
  request.reject_unknown_keys(Unknown::kAlwaysError);
  const Node response = node["authorization_response"];
  out->upstream_set = parse_names(response["allowed_upstream_headers"]);
  out->upstream_append = parse_names(response["allowed_upstream_headers_to_append"]);
  out->client = parse_names(response["allowed_client_headers"]);
  out->all_to_client = out->client.empty();
  out->client_on_success = parse_names(response["allowed_client_headers_on_success"]);
  out->metadata = parse_names(response["dynamic_metadata_from_headers"]);
  response.reject_unknown_keys(Unknown::kAlwaysError);
  node.unsupported({"retry_policy", "path_override"}, kLater, Unknown::kAlwaysError);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

BodySettings parse_body(const Node& node) {
  BodySettings out;
  if (node.is_missing()) return out;
  out.max_bytes = node["max_request_bytes"].as_u32(1);
  out.allow_partial = node["allow_partial_message"].as_bool_or(false);
  out.pack_as_bytes = node["pack_as_bytes"].as_bool_or(false);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

match::RegexPtr parse_optional_regex(const Node& node) {
  return node.is_present() ? match::parse_regex(node) : nullptr;
}

MutationRules parse_rules(const Node& node) {
  MutationRules out;
  out.allow_all_routing = node["allow_all_routing"].as_bool_or(false);
  out.allow_envoy = node["allow_envoy"].as_bool_or(false);
  out.disallow_system = node["disallow_system"].as_bool_or(false);
  out.disallow_all = node["disallow_all"].as_bool_or(false);
  out.disallow_is_error = node["disallow_is_error"].as_bool_or(false);
  out.allow = parse_optional_regex(node["allow_expression"]);
  out.disallow = parse_optional_regex(node["disallow_expression"]);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

void refuse_if_true(const Node& node, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (const Node field = node[key]; field.as_bool_or(false)) field.error(str(key, ' ', kLater));
  }
}

void parse_what_is_sent(Config& out, const Node& node) {
  for (const Node item : node["metadata_context_namespaces"].items())
    out.metadata_namespaces.push_back(item.as_string());
  if (const Node names = node["allowed_headers"]; names.is_present())
    out.allowed_headers = parse_names(names);
  out.disallowed_headers = parse_names(node["disallowed_headers"]);
  out.include_tls_session = node["include_tls_session"].as_bool_or(false);
  out.raw_headers = node["encode_raw_headers"].as_bool_or(false);
  refuse_if_true(node, {"include_peer_certificate"});
  node.unsupported({"typed_metadata_context_namespaces", "route_metadata_context_namespaces",
                    "route_typed_metadata_context_namespaces", "bootstrap_metadata_labels_key"},
                   kLater, Unknown::kAlwaysError);
}

constexpr EnumRow kApiVersions[] = {{"AUTO", 0}, {"V2", 1, "only V3 is spoken"}, {"V3", 2}};

}  // namespace

bool NameList::has(std::string_view name) const {
  return std::ranges::any_of(patterns, [name](const auto& p) { return p.matches(name); });
}

bool MutationRules::allows(std::string_view name) const {
  if (disallow != nullptr && disallow->matches(name)) return false;
  if (allow != nullptr && allow->matches(name)) return true;
  if (disallow_all) return false;
  const bool is_system = name.starts_with(':');
  if (is_system && disallow_system) return false;
  if ((is_system || name == "host") && !allow_all_routing) return false;
  return allow_envoy || !name.starts_with("x-envoy-");
}

Config parse_config(const Node& node, const core::FilterParseContext& context) {
  Config out;
  const Node service = node.one_of({"grpc_service", "http_service"});
  if (is(service, "grpc_service", "grpcService")) out.service = parse_grpc(service, context);
  if (is(service, "http_service", "httpService")) out.service = parse_http(service, context);
  (void)node["transport_api_version"].as_enum_or(2, kApiVersions);
  out.body = parse_body(node["with_request_body"]);
  out.failure_mode_allow = node["failure_mode_allow"].as_bool_or(false);
  out.failure_mode_header = node["failure_mode_allow_header_add"].as_bool_or(false);
  out.clear_route_cache = node["clear_route_cache"].as_bool_or(false);
  if (const Node status = node["status_on_error"]; status.is_present()) {
    const int code = status["code"].as_enum_or(403, kStatusCodes);
    if (code < 400) status["code"].expected("a status of an error");
    out.status_on_error = static_cast<uint16_t>(code);
    status.reject_unknown_keys(Unknown::kAlwaysError);
  }
  out.enabled = node["filter_enabled"].as_runtime_fraction_or(out.enabled);
  if (const Node metadata = node["filter_enabled_metadata"]; metadata.is_present())
    out.enabled_metadata = core::parse_metadata_matcher(metadata);
  if (const Node deny = node["deny_at_disable"]; deny.is_present())
    out.deny_at_disable = deny.as_runtime_bool_or(false);
  parse_what_is_sent(out, node);
  if (const Node rules = node["decoder_header_mutation_rules"]; rules.is_present())
    out.mutation_rules = parse_rules(rules);
  out.takes_metadata = node["enable_dynamic_metadata_ingestion"].as_bool_or(true);
  out.max_reply_body = node["max_denied_response_body_bytes"].as_u32_or(0);
  const std::string prefix = node["stat_prefix"].as_string_or("");
  if (!prefix.empty()) out.stat_prefix = str('.', prefix);
  // Mutations are always validated; no refusal is counted as a response of the cluster.
  node.ignore({"validate_mutations", "charge_cluster_response_stats"});
  refuse_if_true(node, {"emit_filter_state_stats", "enforce_response_header_limits", "shadow_mode",
                        "emit_client_span"});
  // Not all answers that change the route would be looked at again then.
  node.unsupported({"clear_route_cache_headers"}, kLater, Unknown::kAlwaysError);
  node.unsupported({"filter_metadata"}, kLater);
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

std::shared_ptr<const RouteConfig> parse_route_config(const Node& node,
                                                      const core::FilterParseContext& context) {
  auto out = std::make_shared<RouteConfig>();
  const Node override = node.one_of({"disabled", "check_settings"});
  if (override.is_mapping()) {
    for (const config::Entry entry : override["context_extensions"].entries())
      out->context_extensions.emplace(entry.key, entry.node.as_string_or(""));
    const bool disables = override["disable_request_body_buffering"].as_bool_or(false);
    const Node body = override["with_request_body"];
    if (disables && body.is_present()) body.error("contradicts disable_request_body_buffering");
    if (disables || body.is_present()) out->body = parse_body(body);
    const Node service =
        override.one_of({"grpc_service", "http_service"}, config::Need::kAtMostOne);
    if (is(service, "grpc_service", "grpcService")) out->service = parse_grpc(service, context);
    if (is(service, "http_service", "httpService")) out->service = parse_http(service, context);
    refuse_if_true(override, {"emit_client_span"});
    override.reject_unknown_keys(Unknown::kAlwaysError);
  } else if (override.is_present()) {
    out->disabled = override.as_bool();
  }
  node.reject_unknown_keys(Unknown::kAlwaysError);
  return out;
}

}  // namespace pillion::filters::authz
