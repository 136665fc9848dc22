#include <algorithm>
#include <chrono>

#include "proxy/base/str.h"
#include "proxy/config/expand_parts.h"
#include "proxy/config/mesh_parts.h"

namespace pillion::config {
namespace {

constexpr std::string_view kOpenTelemetry = "envoy.config.trace.v3.OpenTelemetryConfig";
constexpr std::string_view kScheme = "http://";
constexpr std::string_view kDefaultPath = "/v1/traces";
constexpr uint16_t kDefaultPort = 4318;
constexpr double kDefaultSample = 1;  // percent

}  // namespace

// `{ otlp: "http://collector:4318", sample: 1% }`
Tracing parse_mesh_tracing(const Node& node) {
  Tracing out;
  out.node = node;
  out.collector = *parse_address("127.0.0.1:4318");
  if (!is_section(node, "{ otlp: \"http://collector:4318\", sample: 1% }")) return out;
  out.otlp_node = node.required("otlp");
  out.sample_percent = node["sample"].as_percent_or(kDefaultSample);
  refuse_later(node, {"zipkin"});
  node.reject_unknown_keys();
  const std::string_view url = out.otlp_node.as_view_or();
  const auto refuse = [&out] {
    if (out.otlp_node.is_scalar())
      out.otlp_node.expected("a URL such as http://collector:4318 (OTLP over HTTP)");
    return out;
  };
  if (!url.starts_with(kScheme)) return refuse();
  const size_t slash = std::min(url.find('/', kScheme.size()), url.size());
  std::string_view authority = url.substr(kScheme.size(), slash - kScheme.size());
  const std::string_view path = url.substr(slash);
  std::string with_port(authority);
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket))
    with_port += str(":", kDefaultPort);
  const auto address = parse_address(with_port);
  if (!address || address->kind == AddressText::Kind::kUnix || address->port == 0) return refuse();
  out.collector = *address;
  out.url = str(kScheme, with_port, path.size() <= 1 ? kDefaultPath : path);
  return out;
}

void write_tracing(EnvoyWriter& out, const Mesh& mesh) {
  if (!mesh.tracing) return;
  const Tracing& tracing = *mesh.tracing;
  out.standing_for(tracing.node, [&] {
    out.message("tracing", [&] {
      out.message("random_sampling", [&] { out.word("value", str(tracing.sample_percent)); });
      out.flag("spawn_upstream_span", true);
      out.message("provider", [&] {
        out.extension("envoy.tracers.opentelemetry", kOpenTelemetry, [&] {
          out.standing_for(tracing.otlp_node, [&] {
            out.message("http_service", [&] {
              out.message("http_uri", [&] {
                out.text("uri", tracing.url);
                out.text("cluster", kTracingCluster);
                out.duration("timeout", std::chrono::seconds(1));
              });
            });
          });
          out.text("service_name", mesh.workload.name);
        });
      });
    });
  });
}

void write_tracing_cluster(EnvoyWriter& out, const Mesh& mesh) {
  if (!mesh.tracing) return;
  const Tracing& tracing = *mesh.tracing;
  out.standing_for(tracing.otlp_node, [&] {
    write_local(out, kTracingCluster, tracing.collector, tracing.otlp_node,
                ServiceProtocol::kHttp1);
  });
}

}  // namespace pillion::config
