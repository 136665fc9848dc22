// HttpConnectionManager.Tracing and the OpenTelemetry tracer (config.trace.v3.OpenTelemetryConfig).
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "proxy/base/ascii.h"
#include "proxy/base/str.h"
#include "proxy/config/runtime.h"
#include "proxy/config/suggest.h"
#include "proxy/telemetry/otlp.h"
#include "proxy/telemetry/tracing.h"

namespace pillion::telemetry {
namespace {

using config::Located;
using config::Need;
using config::Node;

constexpr std::string_view kOpenTelemetry = "envoy.config.trace.v3.OpenTelemetryConfig";
constexpr std::string_view kOthers = "envoy.config.trace.v3.";
constexpr std::string_view kLater = "comes with a later version";
constexpr std::string_view kDefaultPath = "/v1/traces";

// Parts of 10,000, which a key of the runtime goes over.
uint32_t parts_of(const Node& tracing, std::string_view field, std::string_view key) {
  const double percent = tracing[field].as_percent_or(100);
  const config::Fraction share = config::runtime_fraction(
      tracing, key, {static_cast<uint32_t>(std::lround(percent * 100)), 10'000});
  return static_cast<uint32_t>(
      std::min<uint64_t>(uint64_t{share.numerator} * 10'000 / share.denominator, 10'000));
}

CustomTag parse_tag(const Node& item) {
  CustomTag tag;
  tag.name = item["tag"].as_string();
  const Node type = item.one_of({"literal", "environment", "request_header", "metadata", "value"});
  item.unsupported({"metadata", "value"}, kLater, config::Unknown::kAlwaysError);
  item.unsupported({"value_type"}, kLater);
  item.reject_unknown_keys();
  if (type.is_missing() || item.has("metadata") || item.has("value")) return tag;
  if (item.has("literal")) {
    tag.value = type["value"].as_string();
  } else {
    const std::string name = type["name"].as_string();
    tag.value = type["default_value"].as_string_or("");
    if (item.has("request_header")) {
      tag.header = lowered(name);
    } else if (const char* value = std::getenv(name.c_str()); value != nullptr) {
      tag.value = value;
    }
  }
  type.reject_unknown_keys();
  return tag;
}

// "http://collector:4318/v1/traces" into authority and path.
void parse_uri(SpanTargetOptions& out, const Node& node) {
  const std::string uri = node.as_string();
  const size_t scheme = uri.find("://");
  if (scheme == std::string::npos ||
      (uri.compare(0, scheme, "http") != 0 && uri.compare(0, scheme, "https") != 0)) {
    if (!uri.empty()) node.expected("a URL such as http://collector:4318/v1/traces");
    return;
  }
  const size_t begin = scheme + 3;
  const size_t slash = std::min(uri.find('/', begin), uri.size());
  out.authority = uri.substr(begin, slash - begin);
  out.path = slash == uri.size() ? std::string(kDefaultPath) : uri.substr(slash);
  const auto is_bad = [](char c) { return c <= ' ' || c == 0x7f; };
  if (out.authority.empty() || std::ranges::any_of(uri, is_bad))
    node.expected("a URL such as http://collector:4318/v1/traces");
}

void parse_fields(SpanTargetOptions& out, const Node& list) {
  for (const Node item : list.items()) {
    const Node header = item["header"];
    std::string name = lowered(header["key"].as_string());
    std::string value = header["value"].as_string_or("");
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; };
    if (std::ranges::any_of(value, is_control))
      header["value"].expected("a text without control characters");
    if (value.find('%') != std::string::npos)
      header["value"].error("formats (%) come with a later version");
    header.unsupported({"raw_value"}, kLater);
    header.reject_unknown_keys();
    item.ignore({"append_action", "keep_empty_value", "append"});  // there is nothing to add to
    item.reject_unknown_keys();
    out.fields.emplace_back(std::move(name), std::move(value));
  }
}

void parse_http_service(SpanTargetOptions& out, const Node& node,
                        std::vector<Located<std::string>>& clusters) {
  const Node uri = node.required("http_uri");
  parse_uri(out, uri["uri"]);
  Located<std::string> cluster = uri["cluster"].located_string();
  out.cluster = cluster.value;
  clusters.push_back(std::move(cluster));
  out.timeout = uri["timeout"].as_duration();
  uri.reject_unknown_keys();
  parse_fields(out, node["request_headers_to_add"]);
  node.unsupported({"formatters"}, kLater);
  node.reject_unknown_keys();
}

SpanTargetOptions parse_open_telemetry(const Node& node, std::string_view instance,
                                       std::vector<Located<std::string>>& clusters) {
  SpanTargetOptions out;
  const Node service = node.one_of({"http_service", "grpc_service"});
  node.unsupported({"grpc_service"}, "comes with a later version; use http_service",
                   config::Unknown::kAlwaysError);
  if (service.is_present() && node.has("http_service")) parse_http_service(out, service, clusters);
  const std::string name = node["service_name"].as_string_or("");
  out.resource = encode_resource({name.empty() ? "unknown_service:envoy" : name, instance});
  out.max_waiting = node["max_cache_size"].as_u32_or(out.max_waiting, 1);
  node.unsupported({"resource_detectors", "sampler"}, kLater, config::Unknown::kAlwaysError);
  node.unsupported({"exporter", "set_telemetry_sdk_resource_attributes",
                    "set_service_name_resource_attribute", "set_instrumentation_scope"},
                   kLater);
  node.reject_unknown_keys();
  return out;
}

TracingOptions parse_options(const Node& node, bool is_outbound) {
  TracingOptions out;
  out.is_outbound = is_outbound;
  out.sampling = {parts_of(node, "client_sampling", "tracing.client_enabled"),
                  parts_of(node, "random_sampling", "tracing.random_sampling"),
                  parts_of(node, "overall_sampling", "tracing.global_enabled")};
  out.verbose = node["verbose"].as_bool_or(false);
  out.max_path_length = node["max_path_tag_length"].as_u32_or(out.max_path_length);
  out.spawn_upstream_span = node["spawn_upstream_span"].as_bool_or(false);
  for (const Node item : node["custom_tags"].items()) out.custom_tags.push_back(parse_tag(item));
  node.unsupported({"operation_name", "request_headers_for_tags", "operation", "upstream_operation",
                    "no_context_propagation"},
                   kLater);
  return out;
}

}  // namespace

std::shared_ptr<const core::Tracer> parse_tracing(const Node& node, bool is_outbound,
                                                  std::string_view instance, SpanExporter* exporter,
                                                  std::vector<Located<std::string>>& clusters) {
  if (node.is_missing()) return nullptr;
  TracingOptions options = parse_options(node, is_outbound);
  const Node provider = node.required("provider");
  node.reject_unknown_keys();
  if (provider.is_missing()) return nullptr;
  (void)provider["name"].as_string_or("");
  const auto [type, tracer] = provider.required("typed_config").typed_config();
  provider.reject_unknown_keys();
  if (type != kOpenTelemetry) {
    if (type.starts_with(kOthers)) {
      tracer.error(str("tracer \"", config::printable(type), "\" is not supported yet"));
    } else if (!type.empty()) {
      constexpr std::string_view kKnown[] = {kOpenTelemetry};
      tracer.error(str("unknown tracer \"", config::printable(type), '"',
                       config::did_you_mean(type, kKnown)));
    }
    return nullptr;
  }
  SpanTargetOptions target = parse_open_telemetry(tracer, instance, clusters);
  SpanTargetPtr shared = exporter == nullptr ? nullptr : exporter->target(std::move(target));
  return std::make_shared<const HttpTracer>(std::move(options), exporter, std::move(shared));
}

}  // namespace pillion::telemetry
