// The codecs' part of an HttpConnectionManager: limits and liberties, times of connections.
#include "proxy/core/parse_parts.h"
#include "proxy/http/parse_h2_options.h"

namespace pillion::core {
namespace {

using config::EnumRow;
using config::Node;
using config::Unknown;

constexpr EnumRow kUnderscores[] = {{"ALLOW", 0}, {"REJECT_REQUEST", 1}, {"DROP_HEADER", 2}};

// common_http_protocol_options (HttpProtocolOptions).
void parse_common(HcmConfig& out, const Node& node) {
  out.idle_timeout = node["idle_timeout"].as_duration_or(out.idle_timeout);
  out.max_connection_duration =
      node["max_connection_duration"].as_duration_or(out.max_connection_duration);
  out.max_stream_duration = node["max_stream_duration"].as_duration_or(out.max_stream_duration);
  out.max_requests_per_connection = node["max_requests_per_connection"].as_u32_or(0);
  out.head_limits.max_fields = node["max_headers_count"].as_u32_or(out.head_limits.max_fields, 1);
  out.underscores =
      node["headers_with_underscores_action"].as_enum_or(Underscores::kAllow, kUnderscores);
  node.ignore({"max_response_headers_kb"});  // of upstreams: it counts in a cluster's options
  out.connection_duration_jitter = node["max_connection_duration_jitter"].as_percent_or(0);
  node.reject_unknown_keys();
}

// http_protocol_options (Http1ProtocolOptions).
void parse_http1(HcmConfig& out, const Node& node) {
  out.head_limits.allow_absolute_url = node["allow_absolute_url"].as_bool_or(true);
  out.head_limits.accept_http10 = node["accept_http_10"].as_bool_or(false);
  out.default_host_http10 = header_text(node["default_host_for_http_10"], "");
  // Envoy drops trailers unless told otherwise; a message without them is another message.
  const Node trailers = node["enable_trailers"];
  if (!trailers.as_bool_or(true)) trailers.warn("has no effect: trailers are always forwarded");
  if (node["allow_chunked_length"].as_bool_or(false)) {
    node["allow_chunked_length"].error(
        "a message with Content-Length and Transfer-Encoding is always refused: two opinions on "
        "where it ends are how "
        "requests are smuggled");
  }
  // Of requests that we send, and of the choice between Envoy's two parsers; ours takes any method.
  node.ignore({"send_fully_qualified_url", "use_balsa_parser", "allow_custom_methods"});
  refuse_true(node, {"override_stream_error_on_invalid_http_message"},
              "the connection always ends then");
  node.unsupported({"header_key_format"}, "names of header fields are sent in lower case");
  node.unsupported({"ignore_http_11_upgrade"}, kLater, Unknown::kAlwaysError);
  node.reject_unknown_keys();
}

// Options of codecs that we lack are legal, but whoever wrote them should know.
void warn_of_newer_codecs(const Node& hcm) {
  const Node http3 = hcm["http3_protocol_options"];
  if (http3.is_present()) http3.warn("has no effect: HTTP/3 comes with a later version");
}

}  // namespace

void parse_protocol_options(HcmConfig& out, const Node& hcm) {
  parse_common(out, hcm["common_http_protocol_options"]);
  parse_http1(out, hcm["http_protocol_options"]);
  out.h2 = http::parse_h2_options(hcm["http2_protocol_options"]);
  warn_of_newer_codecs(hcm);
  out.head_limits.max_bytes = 1024 * hcm["max_request_headers_kb"].as_u32_or(60, 1, 8192);
  out.head_limits.max_line = out.head_limits.max_bytes;
  out.h2.max_head_bytes = out.head_limits.max_bytes;
  out.head_limits.disallow_obs_text = http::disallows_obs_text(hcm["http2_protocol_options"]);
  hcm.ignore(
      {"http1_safe_max_connection_duration"});  // connections always end between two requests
  refuse_true(hcm, {"stream_error_on_invalid_http_message"}, "the connection always ends then");
}

}  // namespace pillion::core
