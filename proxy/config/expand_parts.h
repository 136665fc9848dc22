#pragma once
// The pieces of expand.cc: each writes the listeners or clusters that a Mesh stands for.

#include <optional>
#include <span>
#include <string_view>

#include "proxy/config/envoy_writer.h"
#include "proxy/config/mesh.h"

namespace pillion::config {

// Names of what the user did not name.  Services cannot collide with them: their names have no '|'.
constexpr std::string_view kAppCluster = "inbound|app";
constexpr std::string_view kAppGrpcCluster = "inbound|app-grpc";  // where the app may speak both
constexpr std::string_view kInboundPassthrough = "inbound|passthrough";
constexpr std::string_view kOutboundPassthrough = "outbound|passthrough";
constexpr std::string_view kAdminCluster = "admin|metrics";
constexpr std::string_view kTracingCluster = "tracing|otlp";
constexpr std::string_view kIdentityCluster = "identity|source";
constexpr std::string_view kSdsCluster = "certificates|sds";

// Who comes in by a filter chain: peers with certificates, plain text, or the plain text of a port
// that takes both (whose metrics have names of their own).
enum class Peers : uint8_t { kMutualTls, kPlain, kPlainTwin };

void write_inbound_listener(EnvoyWriter& out, const Mesh& mesh);
void write_outbound_listener(EnvoyWriter& out, const Mesh& mesh);
void write_metrics_listener(EnvoyWriter& out, const Mesh& mesh);
// inbound.authorize: HTTP filters, and network filters with counters below `stat_prefix`.
void write_authorize_http(EnvoyWriter& out, const Mesh& mesh);
void write_authorize_tcp(EnvoyWriter& out, const Mesh& mesh, std::string_view stat_prefix);
void write_clusters(EnvoyWriter& out, const Mesh& mesh);

// Pieces of listeners: the connection manager in front of the app, a TCP proxy as one of a chain's
// filters, addresses, and the listener filter that finds where a captured connection meant to go.
void write_app_manager(EnvoyWriter& out, const Mesh& mesh, Peers peers);
void write_tcp(EnvoyWriter& out, const Mesh& mesh, std::string_view stat_prefix,
               std::string_view cluster);
void write_addresses(EnvoyWriter& out, const AddressText& address,
                     const std::optional<AddressText>& twin);
void write_original_dst(EnvoyWriter& out);

// HttpConnectionManager.tracing and the cluster of the collector, if there is tracing.
void write_tracing(EnvoyWriter& out, const Mesh& mesh);
void write_tracing_cluster(EnvoyWriter& out, const Mesh& mesh);

// certificate_provider_instances, and the cluster that is asked, if the identity comes from one.
void write_identity_source(EnvoyWriter& out, const Mesh& mesh);
void write_identity_cluster(EnvoyWriter& out, const Mesh& mesh);

// A cluster of one endpoint, without TLS unless `more` writes that.
void begin_local(EnvoyWriter& out, std::string_view name, const AddressText& address,
                 const Node& node, ServiceProtocol protocol);
template <typename More>
void write_local(EnvoyWriter& out, std::string_view name, const AddressText& address,
                 const Node& node, ServiceProtocol protocol, More&& more) {
  out.item([&] {
    begin_local(out, name, address, node, protocol);
    more();
  });
}
inline void write_local(EnvoyWriter& out, std::string_view name, const AddressText& address,
                        const Node& node, ServiceProtocol protocol) {
  write_local(out, name, address, node, protocol, [] {});
}

// CommonTlsContext of both sides: the workload's certificate, and peers of its trust domain.
void write_common_tls(EnvoyWriter& out, const Mesh& mesh, std::span<const std::string_view> alpn);

}  // namespace pillion::config
