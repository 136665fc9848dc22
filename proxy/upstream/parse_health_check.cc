// health_checks (config.core.v3.HealthCheck).
#include <array>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/http/message.h"
#include "proxy/upstream/parse_parts.h"

namespace pillion::upstream {
namespace {

using config::EnumRow;
using config::Need;
using config::Node;

constexpr EnumRow kMethods[] = {{"METHOD_UNSPECIFIED", 0},
                                {"GET", 1},
                                {"HEAD", 2},
                                {"POST", 3},
                                {"PUT", 4},
                                {"DELETE", 5},
                                {"CONNECT", 6, "a check needs an answer"},
                                {"OPTIONS", 7},
                                {"TRACE", 8},
                                {"PATCH", 9}};
constexpr std::array<std::string_view, 10> kMethodTexts = {
    "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
constexpr EnumRow kCodecs[] = {{"HTTP1", 0}, {"HTTP2", 1, kLater}, {"HTTP3", 2, kLater}};

Duration positive(const Node& node, Duration fallback) {
  const Duration value = node.as_duration_or(fallback);
  if (node.is_present() && value <= Duration{}) node.expected("more than 0s");
  return value;
}

// core.v3.HealthCheck.Payload: `text` is hexadecimal.
std::string parse_payload(const Node& node) {
  const Node kind = node.one_of({"text", "binary"}, Need::kExactlyOne);
  node.unsupported({"binary"}, "write the bytes as hexadecimal text");
  node.reject_unknown_keys();
  if (kind.is_missing() || kind.key() != "text") return {};
  const std::string text = kind.as_string();
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) break;
    bytes += static_cast<char>(high * 16 + low);
  }
  if (bytes.size() * 2 != text.size()) kind.expected("hexadecimal digits, two a byte");
  return bytes;
}

std::vector<StatusRange> parse_statuses(const Node& list) {
  std::vector<StatusRange> out;
  for (const Node item : list.items()) {
    const auto first = static_cast<uint32_t>(item.required("start").as_u64_or(100, 100, 600));
    const auto end = static_cast<uint32_t>(item.required("end").as_u64_or(600, 100, 600));
    if (first >= end) item["end"].expected("more than start");
    item.reject_unknown_keys();
    out.emplace_back(first, end);
  }
  return out;
}

void parse_headers(const Node& node, HttpCheck& out) {
  for (const Node item : node["request_headers_to_add"].items()) {
    const Node header = item.required("header");
    std::string name = lowered(header.required("key").as_string_or(""));
    std::string value = header["value"].as_string_or("");
    const bool is_bad = value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos ||
                        name.find_first_of(std::string_view(" :\r\n\0", 5)) != std::string::npos;
    if (is_bad) header.expected("a field name, and a value of one line");
    if (value.find('%') != std::string::npos)
      header["value"].error("a health check has no values to put in: no % here");
    header.unsupported({"raw_value"}, kLater);
    header.reject_unknown_keys();
    item.unsupported({"append_action", "append", "keep_empty_value"}, kLater);
    item.reject_unknown_keys();
    out.headers.emplace_back(std::move(name), std::move(value));
  }
  for (const Node item : node["request_headers_to_remove"].items()) {
    out.removed_headers.push_back(lowered(item.as_string()));
  }
}

void parse_http(const Node& node, HttpCheck& out) {
  out.path = node.required("path").as_string_or("/");
  if (out.path.empty() || out.path.front() != '/' ||
      out.path.find_first_of(std::string_view(" \r\n\t\0", 5)) != std::string::npos) {
    node["path"].expected("a path such as /healthz");
  }
  out.host = node["host"].as_string_or("");
  if (out.host.find_first_of(std::string_view(" \r\n\t\0", 5)) != std::string::npos)
    node["host"].expected("a host name");
  out.method = kMethodTexts[static_cast<size_t>(node["method"].as_enum_or<int>(0, kMethods))];
  if (node.has("expected_statuses")) out.expected = parse_statuses(node["expected_statuses"]);
  out.retriable = parse_statuses(node["retriable_statuses"]);
  parse_headers(node, out);
  (void)node["codec_client_type"].as_enum_or<int>(0, kCodecs);
  node.ignore({"response_buffer_size"});  // bounds what `receive` compares
  // Without these a host would be healthy that fails its check.
  node.unsupported({"send", "receive", "service_name_matcher"}, kLater,
                   config::Unknown::kAlwaysError);
  node.unsupported({"use_alpn_protocol"}, kLater);
  node.reject_unknown_keys();
}

void parse_tcp(const Node& node, TcpCheck& out) {
  if (const Node send = node["send"]) out.send = parse_payload(send);
  for (const Node item : node["receive"].items()) out.receive.push_back(parse_payload(item));
  node.unsupported({"proxy_protocol_config"}, kLater);
  node.reject_unknown_keys();
}

void parse_intervals(const Node& node, HealthCheckOptions& out) {
  out.timeout = positive(node.required("timeout"), std::chrono::seconds(1));
  out.interval = positive(node.required("interval"), std::chrono::seconds(1));
  out.no_traffic_interval = positive(node["no_traffic_interval"], out.no_traffic_interval);
  out.no_traffic_healthy_interval =
      positive(node["no_traffic_healthy_interval"], out.no_traffic_interval);
  out.unhealthy_interval = positive(node["unhealthy_interval"], out.interval);
  out.unhealthy_edge_interval = positive(node["unhealthy_edge_interval"], out.unhealthy_interval);
  out.healthy_edge_interval = positive(node["healthy_edge_interval"], out.interval);
  out.initial_jitter = node["initial_jitter"].as_duration_or(Duration{});
  out.interval_jitter = node["interval_jitter"].as_duration_or(Duration{});
  out.interval_jitter_percent = node["interval_jitter_percent"].as_u32_or(0);
}

std::shared_ptr<const HealthCheckOptions> parse_check(const Node& node) {
  auto out = std::make_shared<HealthCheckOptions>();
  parse_intervals(node, *out);
  out->unhealthy_threshold = node.required("unhealthy_threshold").as_u32_or(1, 1);
  out->healthy_threshold = node.required("healthy_threshold").as_u32_or(1, 1);
  out->reuse_connection = node["reuse_connection"].as_bool_or(true);
  out->logs_all_failures = node["always_log_health_check_failures"].as_bool_or(false);
  refuse_true(node, "always_log_health_check_success");
  const Node kind = node.one_of(
      {"http_health_check", "tcp_health_check", "grpc_health_check", "custom_health_check"});
  if (const Node criteria = node["transport_socket_match_criteria"])
    out->transport_criteria = parse_labels(criteria);
  node.unsupported({"tls_options", "event_log_path", "event_logger", "event_service", "name"},
                   kLater);
  // Another port is that of what judges the application.
  node.unsupported({"alt_port", "grpc_health_check", "custom_health_check"}, kLater,
                   config::Unknown::kAlwaysError);
  node.reject_unknown_keys();
  if (kind.key() == "http_health_check" || kind.key() == "httpHealthCheck") {
    parse_http(kind, out->http);
  } else if (kind.key() == "tcp_health_check" || kind.key() == "tcpHealthCheck") {
    out->kind = HealthCheckOptions::Kind::kTcp;
    parse_tcp(kind, out->tcp);
  }
  return out;
}

}  // namespace

void parse_health_check(const Node& cluster, ClusterConfig& out) {
  const Node list = cluster["health_checks"];
  for (const Node item : list.items()) {
    if (out.health_check != nullptr) {
      item.error("a cluster has at most one health check");
      break;
    }
    out.health_check = parse_check(item);
  }
  if (out.health_check && out.type == DiscoveryType::kOriginalDst)
    list.error("clusters of type ORIGINAL_DST cannot have it yet");
}

}  // namespace pillion::upstream
