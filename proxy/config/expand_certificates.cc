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

void write_tls_parameters(EnvoyWriter& out, const Workload& workload) {
  out.message("tls_params", [&] {
    out.word("tls_minimum_protocol_version", "TLSv1_3");
    out.word("tls_maximum_protocol_version", "TLSv1_3");
    if (workload.groups.empty()) return;
    out.standing_for(workload.groups_node, [&] {
      out.list("ecdh_curves", [&] {
        for (const std::string& name : workload.groups) out.item_text(name);
      });
    });
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

std::string own_prefix(const Workload& workload) {
  return str("spiffe://", workload.trust_domain, '/');
}

void write_files(EnvoyWriter& out, const Workload& workload) {
  const CertificateFiles& files = *workload.certificates;
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
    out.standing_for(files.node["ca"],
                     [&] { out.message("trusted_ca", [&] { out.text("filename", files.ca); }); });
    write_peers(out, own_prefix(workload));
  });
}

// What a server of gRPC is called; the name of our cluster would be no legal host.
void write_authority(EnvoyWriter& out, const AddressText& address) {
  const bool is_unix = address.kind == AddressText::Kind::kUnix;
  out.text("authority", is_unix ? std::string("localhost") : address.to_string());
}

void write_secret_by_sds(EnvoyWriter& out, const CertificateSds& sds, std::string_view name) {
  out.text("name", name);
  out.message("sds_config", [&] {
    out.message("api_config_source", [&] {
      out.word("api_type", "GRPC");
      out.word("transport_api_version", "V3");
      out.list("grpc_services", [&] {
        out.item([&] {
          out.message("envoy_grpc", [&] {
            out.text("cluster_name", kSdsCluster);
            write_authority(out, sds.socket);
          });
        });
      });
    });
    // It is who the workload is: without it the process is not ready.
    out.duration("initial_fetch_timeout", std::chrono::nanoseconds(0));
    out.word("resource_api_version", "V3");
  });
}

void write_sds(EnvoyWriter& out, const Workload& workload) {
  out.list("tls_certificate_sds_secret_configs",
           [&] { out.item([&] { write_secret_by_sds(out, *workload.sds, workload.sds->cert); }); });
  out.message("combined_validation_context", [&] {
    out.message("default_validation_context", [&] { write_peers(out, own_prefix(workload)); });
    out.message("validation_context_sds_secret_config",
                [&] { write_secret_by_sds(out, *workload.sds, workload.sds->ca); });
  });
}

void write_instance(EnvoyWriter& out, std::string_view field, std::string_view name) {
  out.message(field, [&] {
    out.text("instance_name", kInstance);
    out.text("certificate_name", name);
  });
}

const Node& origin_of(const Workload& workload) {
  if (workload.sds) return workload.sds->node;
  if (workload.spiffe) return workload.spiffe->node;
  if (workload.csr) return workload.csr->node;
  return workload.certificates->node;
}

// The CA is known by its certificate, which names where it was called.  No workload can pass for
// it: what the CA signs for workloads has SPIFFE ids alone.
void write_authority_tls(EnvoyWriter& out, const CertificateCsr& csr) {
  const bool is_name = csr.address.kind == AddressText::Kind::kName;
  out.message("transport_socket", [&] {
    out.extension("envoy.transport_sockets.tls", kUpstreamTls, [&] {
      if (is_name) out.text("sni", csr.address.host);
      out.message("common_tls_context", [&] {
        write_tls_parameters(out, {});
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
  if (!workload.has_certificates()) return;
  out.standing_for(origin_of(workload), [&] {
    out.message("common_tls_context", [&] {
      write_tls_parameters(out, workload);
      if (workload.sds) {
        write_sds(out, workload);
      } else if (workload.certificates) {
        write_files(out, workload);
      } else {
        write_instance(out, "tls_certificate_provider_instance", "default");
        out.message("validation_context", [&] {
          write_instance(out, "ca_certificate_provider_instance",
                         workload.spiffe ? "ALL" : "ROOTCA");
          // With a bundle for each trust domain, whom the bundles vouch for.
          write_peers(out, workload.spiffe ? std::string("spiffe://") : own_prefix(workload));
        });
      }
      if (alpn.empty()) return;
      out.list("alpn_protocols", [&] {
        for (const std::string_view name : alpn) out.item_text(name);
      });
    });
  });
}

void write_identity_cluster(EnvoyWriter& out, const Mesh& mesh) {
  if (mesh.lacks_identity) return;
  if (const auto& sds = mesh.workload.sds) {
    out.standing_for(sds->node, [&] {
      write_local(out, kSdsCluster, sds->socket, sds->socket_node, ServiceProtocol::kHttp2);
    });
  }
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
  out.standing_for(origin_of(workload), [&] {
    out.message("certificate_provider_instances", [&] {
      out.message(kInstance, [&] {
        out.extension(
            "pillion.certificate_provider", workload.spiffe ? kSpiffeApi : kAuthority, [&] {
              out.text("cluster", kIdentityCluster);
              if (!workload.trust_domain.empty()) out.text("trust_domain", workload.trust_domain);
              if (!workload.csr) return;
              const CertificateCsr& csr = *workload.csr;
              write_authority(out, csr.address);
              out.standing_for(csr.token_node, [&] { out.text("token_file", csr.token_file); });
              if (!csr.identity.empty()) {
                out.standing_for(csr.identity_node, [&] { out.text("identity", csr.identity); });
              }
              out.standing_for(csr.ttl_node, [&] { out.duration("ttl", csr.ttl); });
              if (!csr.key.empty())
                out.standing_for(csr.key_node, [&] { out.word("key", csr.key); });
            });
      });
    });
  });
}

}  // namespace pillion::config
