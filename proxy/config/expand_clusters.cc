// Clusters and TLS of the expanded configuration.
#include <chrono>

#include "proxy/base/str.h"
#include "proxy/config/expand_parts.h"

namespace pillion::config {
namespace {

using std::chrono::seconds;

constexpr std::string_view kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
constexpr std::string_view kUpstreamTls =
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

// Common server defaults for idle keep-alive are 60-75 s: closing first avoids the race in which a
// request meets a connection that the server is closing.
void write_idle_timeout(EnvoyWriter& out) {
  out.message("typed_extension_protocol_options", [&] {
    out.any(kHttpOptions, kHttpOptions, [&] {
      out.message("common_http_protocol_options",
                  [&] { out.duration("idle_timeout", seconds(60)); });
      out.message("explicit_http_config", [&] { out.message("http_protocol_options", [] {}); });
    });
  });
}

void write_endpoints(EnvoyWriter& out, std::string_view cluster,
                     std::span<const Endpoint> endpoints) {
  out.message("load_assignment", [&] {
    out.text("cluster_name", cluster);
    out.list("endpoints", [&] {
      out.item([&] {
        out.list("lb_endpoints", [&] {
          for (const Endpoint& endpoint : endpoints) {
            out.standing_for(endpoint.node, [&] {
              out.item([&] {
                out.message("endpoint", [&] { out.address("address", endpoint.address); });
              });
            });
          }
        });
      });
    });
  });
}

void write_upstream_tls(EnvoyWriter& out, const Mesh& mesh, const Service& service) {
  out.message("transport_socket", [&] {
    out.extension("envoy.transport_sockets.tls", kUpstreamTls, [&] {
      if (!service.hosts.empty()) out.text("sni", service.hosts.front().value);
      write_common_tls(out, mesh);
    });
  });
}

void write_service(EnvoyWriter& out, const Mesh& mesh, const Service& service) {
  out.item([&] {
    out.text("name", service.name);
    out.word("type", service.uses_dns ? "STRICT_DNS" : "STATIC");
    out.duration("connect_timeout", seconds(2));
    out.word("lb_policy", service.lb_policy);
    if (service.uses_dns) out.flag("respect_dns_ttl", true);
    out.standing_for(service.endpoints_node,
                     [&] { write_endpoints(out, service.name, service.endpoints); });
    out.message("circuit_breakers", [&] {
      out.list("thresholds", [&] {
        out.item([&] {
          out.number("max_connections", service.max_connections);
          out.number("max_pending_requests", service.max_pending);
          out.number("max_requests", service.max_requests);
          out.number("max_retries", 1024);
        });
      });
    });
    write_idle_timeout(out);
    if (service.uses_mesh_tls && !mesh.lacks_identity) write_upstream_tls(out, mesh, service);
  });
}

// The last hop to the pod's own address: by these sources the capture rules know it
// (cli/capture.h).
void write_last_hop_sources(EnvoyWriter& out) {
  const auto write = [&](std::string_view key, std::string_view ip) {
    out.message(key, [&] {
      out.text("address", ip);
      out.number("port_value", 0);
    });
  };
  out.message("upstream_bind_config", [&] {
    write("source_address", "127.0.0.6");
    out.list("extra_source_addresses", [&] { out.item([&] { write("address", "::6"); }); });
  });
}

void write_passthrough(EnvoyWriter& out, std::string_view name) {
  out.item([&] {
    out.text("name", name);
    out.word("type", "ORIGINAL_DST");
    out.word("lb_policy", "CLUSTER_PROVIDED");
    out.duration("connect_timeout", seconds(5));
    if (name == kInboundPassthrough) write_last_hop_sources(out);
    write_idle_timeout(out);
  });
}

}  // namespace

void write_local(EnvoyWriter& out, std::string_view name, const AddressText& address,
                 const Node& node) {
  out.item([&] {
    out.text("name", name);
    out.word("type", address.kind == AddressText::Kind::kName ? "STRICT_DNS" : "STATIC");
    out.duration("connect_timeout", seconds(1));
    const Endpoint endpoint{address, node};
    write_endpoints(out, name, {&endpoint, 1});
    write_idle_timeout(out);
  });
}

void write_common_tls(EnvoyWriter& out, const Mesh& mesh) {
  if (!mesh.workload.certificates) return;
  const CertificateFiles& files = *mesh.workload.certificates;
  out.standing_for(files.node, [&] {
    out.message("common_tls_context", [&] {
      out.message("tls_params", [&] {
        out.word("tls_minimum_protocol_version", "TLSv1_3");
        out.word("tls_maximum_protocol_version", "TLSv1_3");
      });
      out.list("tls_certificates", [&] {
        out.item([&] {
          out.standing_for(files.node["cert"], [&] {
            out.message("certificate_chain", [&] { out.text("filename", files.cert); });
          });
          out.standing_for(files.node["key"], [&] {
            out.message("private_key", [&] { out.text("filename", files.key); });
          });
        });
      });
      out.message("validation_context", [&] {
        out.standing_for(files.node["ca"], [&] {
          out.message("trusted_ca", [&] { out.text("filename", files.ca); });
        });
        out.list("match_typed_subject_alt_names", [&] {
          out.item([&] {
            out.word("san_type", "URI");
            out.message("matcher", [&] {
              out.text("prefix", str("spiffe://", mesh.workload.trust_domain, '/'));
            });
          });
        });
      });
      out.list("alpn_protocols", [&] { out.item_text("http/1.1"); });
    });
  });
}

void write_clusters(EnvoyWriter& out, const Mesh& mesh) {
  if (mesh.inbound) {
    out.standing_for(mesh.inbound->app_node, [&] {
      write_local(out, kAppCluster, mesh.inbound->app, mesh.inbound->app_node);
      if (mesh.inbound->capture == Capture::kRedirect) write_passthrough(out, kInboundPassthrough);
    });
  }
  for (const Service& service : mesh.services) {
    out.standing_for(service.node, [&] { write_service(out, mesh, service); });
  }
  if (mesh.outbound && mesh.outbound->unknown == UnknownHosts::kPassthrough) {
    out.standing_for(mesh.outbound->node, [&] { write_passthrough(out, kOutboundPassthrough); });
  }
  if (mesh.metrics) {
    out.standing_for(mesh.metrics_node,
                     [&] { write_local(out, kAdminCluster, mesh.admin, mesh.admin_node); });
  }
  write_tracing_cluster(out, mesh);
}

}  // namespace pillion::config
