// HTTP towards the hosts of a cluster.
#include "proxy/base/str.h"
#include "proxy/config/suggest.h"
#include "proxy/http/parse_h2_options.h"
#include "proxy/upstream/parse_parts.h"

namespace pillion::upstream {
namespace {

using config::Need;
using config::Node;

constexpr std::string_view kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

void parse_common(const Node& node, PoolOptions& out) {
  if (node.is_missing()) return;
  out.idle_timeout = node["idle_timeout"].as_duration_or(out.idle_timeout);
  out.max_connection_duration = node["max_connection_duration"].as_duration_or(Duration{});
  http::H1Limits& head = out.head_limits;
  head.max_fields = node["max_headers_count"].as_u32_or(head.max_fields, 1);
  const uint32_t kilobytes =
      node["max_response_headers_kb"].as_u32_or(head.max_bytes / 1024, 1, 8192);
  head.max_bytes = head.max_line = kilobytes * 1024;
  if (node.has("max_requests_per_connection")) {
    out.max_requests_per_connection = node["max_requests_per_connection"].as_u32();
  }
  // Concern clients: their requests and connections.
  node.ignore({"headers_with_underscores_action", "max_connection_duration_jitter"});
  node.unsupported({"max_stream_duration"}, kLater);
  node.reject_unknown_keys();
}

void parse_http1(const Node& node) {
  if (node.is_missing()) return;
  // Concern requests of clients, or name parsers of Envoy; trailers are always forwarded.
  node.ignore({"allow_absolute_url", "accept_http_10", "default_host_for_http_10",
               "enable_trailers", "use_balsa_parser",
               "override_stream_error_on_invalid_http_message"});
  if (node["allow_chunked_length"].as_bool_or(false)) {
    node["allow_chunked_length"].error(
        "a message with both Content-Length and Transfer-Encoding is never accepted (request "
        "smuggling)");
  }
  refuse_true(node, "send_fully_qualified_url");
  node.unsupported({"header_key_format", "allow_custom_methods", "ignore_http_11_upgrade"}, kLater);
  node.reject_unknown_keys();
}

void parse_http2(const Node& node, PoolOptions& out) {
  out.h2 = http::parse_h2_options(node);
  out.head_limits.disallow_obs_text = http::disallows_obs_text(node);
}

// Both protocols of a cluster that may speak either.
void parse_either(const Node& node, UpstreamProtocol protocol, PoolOptions& out) {
  out.protocol = protocol;
  parse_http1(node["http_protocol_options"]);
  parse_http2(node["http2_protocol_options"], out);
  node.unsupported({"http3_protocol_options", "alternate_protocols_cache_options"}, kLater);
  node.reject_unknown_keys();
}

void parse_explicit(const Node& node, PoolOptions& out) {
  const Node version =
      node.one_of({"http_protocol_options", "http2_protocol_options", "http3_protocol_options"},
                  Need::kExactlyOne);
  if (version.key() == "http_protocol_options" || version.key() == "httpProtocolOptions") {
    parse_http1(version);
  } else if (version.key() == "http2_protocol_options" || version.key() == "http2ProtocolOptions") {
    out.protocol = UpstreamProtocol::kHttp2;
    parse_http2(version, out);
  }
  node.unsupported({"http3_protocol_options"}, kLater, config::Unknown::kAlwaysError);
  node.reject_unknown_keys();
}

// UpstreamHttpProtocolOptions: names in TLS by the request; empty, and false, it is as without.
void refuse_automatic_names(const Node& node) {
  constexpr std::string_view kFlags[] = {"auto_sni", "auto_san_validation"};
  for (const std::string_view flag : kFlags)
    if (node[flag].as_bool_or(false))
      node.unsupported({flag}, kLater, config::Unknown::kAlwaysError);
  if (!node["override_auto_sni_header"].as_view_or().empty())
    node.unsupported({"override_auto_sni_header"}, kLater, config::Unknown::kAlwaysError);
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
}

void parse_typed_options(const Node& node, PoolOptions& out) {
  const Node protocol =
      node.one_of({"explicit_http_config", "use_downstream_protocol_config", "auto_config"});
  const std::string_view key = protocol ? protocol.key() : std::string_view();
  if (key == "explicit_http_config" || key == "explicitHttpConfig") {
    parse_explicit(protocol, out);
  } else if (key == "use_downstream_protocol_config" || key == "useDownstreamProtocolConfig") {
    parse_either(protocol, UpstreamProtocol::kDownstream, out);
  } else if (protocol) {
    parse_either(protocol, UpstreamProtocol::kAuto, out);
  }
  parse_common(node["common_http_protocol_options"], out);
  node.unsupported({"outlier_detection", "retry_policy", "hash_policy", "request_mirror_policies"},
                   kLater);
  // Of names that certificates must have, and of what requests pass.
  refuse_automatic_names(node["upstream_http_protocol_options"]);
  node.unsupported({"http_filters", "header_validation_config"}, kLater,
                   config::Unknown::kAlwaysError);
  node.reject_unknown_keys();
}

}  // namespace

void parse_http_options(const Node& cluster, ClusterConfig& out) {
  // The fields of older configurations.
  const SharedPart<PoolOptions> before = out.pool;
  const Node older = cluster["common_http_protocol_options"];
  const Node requests = cluster["max_requests_per_connection"];
  out.pool->max_requests_per_connection = requests.as_u32_or(0);
  parse_common(older, *out.pool);
  parse_http1(cluster["http_protocol_options"]);
  const Node http2 = cluster["http2_protocol_options"];
  if (http2.is_present()) {
    out.pool->protocol = UpstreamProtocol::kHttp2;
    parse_http2(http2, *out.pool);
  }
  refuse_automatic_names(cluster["upstream_http_protocol_options"]);

  for (const auto& [key, value] : cluster["typed_extension_protocol_options"].entries()) {
    const auto [type, node] = value.typed_config();
    if (type == kHttpOptions) {
      // As Envoy: these count, and nothing of the older fields.
      for (const Node& field : {older, http2})
        if (field.is_present()) field.warn(str("has no effect beside ", kHttpOptions));
      out.pool = before;
      out.pool->max_requests_per_connection = requests.as_u32_or(0);  // unless they say it
      parse_typed_options(node, *out.pool);
    } else if (!type.empty()) {
      node.error(str("protocol options \"", config::printable(type),
                     "\" are not supported by Pillion yet; ", kHttpOptions, " are"));
    }
  }
  out.pool->h2.max_head_bytes = out.pool->head_limits.max_bytes;
}

}  // namespace pillion::upstream
