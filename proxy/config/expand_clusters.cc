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
void write_http_options(EnvoyWriter& out, ServiceProtocol protocol) {
  const auto http1 = [&] { out.message("http_protocol_options", [] {}); };
  // With upgrades to whoever takes them.
  const auto http2 = [&] {
    out.message("http2_protocol_options", [&] { out.flag("allow_connect", true); });
  };
  out.message("typed_extension_protocol_options", [&] {
    out.any(kHttpOptions, kHttpOptions, [&] {
      out.message("common_http_protocol_options",
                  [&] { out.duration("idle_timeout", seconds(60)); });
      switch (protocol) {
        case ServiceProtocol::kHttp1:
          return out.message("explicit_http_config", http1);
        case ServiceProtocol::kHttp2:
          return out.message("explicit_http_config", http2);
        case ServiceProtocol::kAuto:
          return out.message("use_downstream_protocol_config", [&] {
            http1();
            http2();
          });
      }
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
      // Each pool offers the protocol that it speaks (ALPN).
      write_common_tls(out, mesh, {});
    });
  });
}

void write_outlier(EnvoyWriter& out, const Outlier& outlier) {
  out.standing_for(outlier.node, [&] {
    out.message("outlier_detection", [&] {
      out.number("consecutive_5xx", outlier.consecutive_5xx);
      out.duration("interval", outlier.interval);
      out.duration("base_ejection_time", outlier.eject);
      out.number("max_ejection_percent", 50);
      out.flag("always_eject_one_host", true);
      // Rows of failures alone: they say which host it is, in a cluster of any size.
      out.number("enforcing_success_rate", 0);
      out.number("enforcing_local_origin_success_rate", 0);
    });
  });
}

void write_health_check(EnvoyWriter& out, const HealthCheck& check) {
  out.standing_for(check.node, [&] {
    out.list("health_checks", [&] {
      out.item([&] {
        out.duration("timeout", check.timeout);
        out.duration("interval", check.interval);
        out.number("unhealthy_threshold", check.unhealthy);
        out.number("healthy_threshold", check.healthy);
        if (check.path.empty()) return out.message("tcp_health_check", [] {});
        out.message("http_health_check", [&] { out.text("path", check.path); });
      });
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
          out.message("retry_budget", [&] {
            out.message("budget_percent",
                        [&] { out.decimal("value", service.retries.budget_percent); });
            out.number("min_retry_concurrency", 3);
          });
        });
      });
    });
    if (service.outlier) write_outlier(out, *service.outlier);
    if (service.health_check) write_health_check(out, *service.health_check);
    write_http_options(out, service.protocol);
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
    write_http_options(out, ServiceProtocol::kAuto);
  });
}

}  // namespace

void write_local(EnvoyWriter& out, std::string_view name, const AddressText& address,
                 const Node& node, ServiceProtocol protocol) {
  out.item([&] {
    out.text("name", name);
    out.word("type", address.kind == AddressText::Kind::kName ? "STRICT_DNS" : "STATIC");
    out.duration("connect_timeout", seconds(1));
    const Endpoint endpoint{address, node};
    write_endpoints(out, name, {&endpoint, 1});
    write_http_options(out, protocol);
  });
}

void write_common_tls(EnvoyWriter& out, const Mesh& mesh, std::span<const std::string_view> alpn) {
  if (!mesh.workload.certificates) return;
  const CertificateFiles& files = *mesh.workload.certificates;
  out.standing_for(files.node, [&] {
    out.message("common_tls_context", [&] {
      out.message("tls_params", [&] {
        out.word("tls_minimum_protocol_version", "TLSv1_3");
        out.word("tls_maximum_protocol_version", "TLSv1_3");
        if (mesh.workload.groups.empty()) return;
        out.standing_for(mesh.workload.groups_node, [&] {
          out.list("ecdh_curves", [&] {
            for (const std::string& name : mesh.workload.groups) out.item_text(name);
          });
        });
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
      if (alpn.empty()) return;
      out.list("alpn_protocols", [&] {
        for (const std::string_view name : alpn) out.item_text(name);
      });
    });
  });
}

namespace {

void write_app(EnvoyWriter& out, const Inbound& inbound) {
  const bool is_auto = inbound.protocol == ServiceProtocol::kAuto;
  write_local(out, kAppCluster, inbound.app, inbound.app_node,
              is_auto ? ServiceProtocol::kHttp1 : inbound.protocol);
  if (!is_auto) return;
  write_local(out, kAppGrpcCluster, inbound.app, inbound.app_node, ServiceProtocol::kHttp2);
}

}  // namespace

void write_clusters(EnvoyWriter& out, const Mesh& mesh) {
  if (mesh.inbound) {
    out.standing_for(mesh.inbound->app_node, [&] {
      write_app(out, *mesh.inbound);
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
    out.standing_for(mesh.metrics_node, [&] {
      write_local(out, kAdminCluster, mesh.admin, mesh.admin_node, ServiceProtocol::kHttp1);
    });
  }
  write_tracing_cluster(out, mesh);
}

}  // namespace pillion::config
