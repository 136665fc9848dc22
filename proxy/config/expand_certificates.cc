// TLS of a workload's identity, wherever it comes from.
#include <chrono>

#include "proxy/base/str.h"
#include "proxy/config/expand_parts.h"
#include "proxy/config/mesh_parts.h"

namespace pillion::config {
namespace {

constexpr std::string_view kSpiffeApi = "pillion.certs.v1.SpiffeWorkloadApi";
constexpr std::string_view kAuthority = "pillion.certs.v1.CertificateAuthority";
constexpr std::string_view kUpstreamTls =
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
// Of the one entry of certificate_provider_instances.
constexpr std::string_view kInstance = "workload";

void write_tls_versions(EnvoyWriter& out) {
  out.message("tls_params", [&] {
    out.word("tls_minimum_protocol_version", "TLSv1_3");
    out.word("tls_maximum_protocol_version", "TLSv1_3");
  });
}

void write_files(EnvoyWriter& out, const CertificateFiles& files) {
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
}

void write_instance(EnvoyWriter& out, std::string_view field, std::string_view name) {
  out.message(field, [&] {
    out.text("instance_name", kInstance);
    out.text("certificate_name", name);
  });
}

void write_peers(EnvoyWriter& out, std::string_view prefix) {
  out.list("match_typed_subject_alt_names", [&] {
    out.item([&] {
      out.word("san_type", "URI");
      out.message("matcher", [&] { out.text("prefix", prefix); });
    });
  });
}

// The CA is known by its certificate, which names where it was called.  No workload can pass for it:
// what the CA signs for workloads has SPIFFE ids alone.
void write_authority_tls(EnvoyWriter& out, const CertificateCsr& csr) {
  const bool is_name = csr.address.kind == AddressText::Kind::kName;
  out.message("transport_socket", [&] {
    out.extension("envoy.transport_sockets.tls", kUpstreamTls, [&] {
      if (is_name) out.text("sni", csr.address.host);
      out.message("common_tls_context", [&] {
        write_tls_versions(out);
        out.message("validation_context", [&] {
          out.standing_for(csr.ca_node, [&] {
            out.message("trusted_ca", [&] { out.text("filename", csr.ca); });
          });
          out.list("match_typed_subject_alt_names", [&] {
            out.item([&] {
              out.word("san_type", is_name ? "DNS" : "IP_ADDRESS");
              out.message("matcher", [&] { out.text("exact", csr.address.host); });
            });
          });
        });
      });
    });
  });
}

}  // namespace

void write_common_tls(EnvoyWriter& out, const Mesh& mesh, std::span<const std::string_view> alpn) {
  const Workload& workload = mesh.workload;
  if (!has_identity(workload)) return;
  const Node& origin = workload.spiffe ? workload.spiffe->node
                       : workload.csr  ? workload.csr->node
                                       : workload.certificates->node;
  out.standing_for(origin, [&] {
    out.message("common_tls_context", [&] {
      write_tls_versions(out);
      if (workload.certificates) {
        write_files(out, *workload.certificates);
      } else {
        write_instance(out, "tls_certificate_provider_instance", "default");
      }
      const std::string own = str("spiffe://", workload.trust_domain, '/');
      out.message("validation_context", [&] {
        if (workload.certificates) {
          out.standing_for(workload.certificates->node["ca"], [&] {
            out.message("trusted_ca", [&] { out.text("filename", workload.certificates->ca); });
          });
        } else {
          write_instance(out, "ca_certificate_provider_instance",
                         workload.spiffe ? "ALL" : "ROOTCA");
        }
        // With a bundle for each trust domain, whom the bundles vouch for.
        write_peers(out, workload.spiffe ? std::string_view("spiffe://") : own);
      });
      if (alpn.empty()) return;
      out.list("alpn_protocols", [&] {
        for (const std::string_view name : alpn) out.item_text(name);
      });
    });
  });
}

void write_identity_cluster(EnvoyWriter& out, const Mesh& mesh) {
  if (mesh.lacks_identity) return;
  if (const auto& spiffe = mesh.workload.spiffe) {
    out.standing_for(spiffe->socket_node, [&] {
      write_local(out, kIdentityCluster, spiffe->socket, spiffe->socket_node,
                  ServiceProtocol::kHttp2);
    });
  }
  if (const auto& csr = mesh.workload.csr) {
    const bool is_unix = csr->address.kind == AddressText::Kind::kUnix;
    out.standing_for(csr->address_node, [&] {
      write_local(out, kIdentityCluster, csr->address, csr->address_node, ServiceProtocol::kHttp2,
                  [&] {
                    if (!is_unix) write_authority_tls(out, *csr);
                  });
    });
  }
}

void write_identity_source(EnvoyWriter& out, const Mesh& mesh) {
  const Workload& workload = mesh.workload;
  if (mesh.lacks_identity || (!workload.spiffe && !workload.csr)) return;
  out.standing_for(workload.spiffe ? workload.spiffe->node : workload.csr->node, [&] {
    out.message("certificate_provider_instances", [&] {
      out.message(kInstance, [&] {
        out.extension("pillion.certificate_provider", workload.spiffe ? kSpiffeApi : kAuthority,
                      [&] {
                        out.text("cluster", kIdentityCluster);
                        if (!workload.trust_domain.empty())
                          out.text("trust_domain", workload.trust_domain);
                        if (!workload.csr) return;
                        const CertificateCsr& csr = *workload.csr;
                        out.standing_for(csr.token_node,
                                         [&] { out.text("token_file", csr.token_file); });
                        if (!csr.identity.empty()) {
                          out.standing_for(csr.identity_node,
                                           [&] { out.text("identity", csr.identity); });
                        }
                        out.standing_for(csr.ttl_node, [&] { out.duration("ttl", csr.ttl); });
                      });
      });
    });
  });
}

}  // namespace pillion::config
