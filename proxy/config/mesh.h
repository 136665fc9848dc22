#pragma once
// The short mesh YAML as values: what a person wrote, checked, with defaults filled in.  expand.h
// turns it into Envoy v3 configuration.  Every part remembers the Node it came from, so that errors
// in the expanded configuration point to the short file.
//
// Defaults, where the file says nothing (`outbound:` with nothing after it is there, and has them):
//   workload   namespace default; a certificate of a CA (csr) lives 24h, and its identity is
//              spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/NAME
//   inbound    listen 0.0.0.0:15006, capture redirect, mtls strict on all ports, protocol auto (the
//              app gets gRPC by HTTP/2 and all else by HTTP/1.1, whatever came: a client that chose
//              HTTP/2 by ALPN chose it for the sidecar, and few apps speak both in clear text),
//              escaped_slashes reject (%2F and %5C are a second spelling of a path to apps that
//              unescape them, and to no other), authorize all members of the mesh
//   outbound   listen 127.0.0.1:15001, capture redirect; unknown passthrough when captured, else
//              reject (without capture there is no original destination)
//   both       capture redirects IPv4 and IPv6 to one port: the listener has a twin of the other
//              family, :: for 0.0.0.0, ::1 for 127.0.0.1, and the other way around.  Other
//              addresses have none: what is redirected may not arrive there anyway
//   service    hosts [ its name ], tls mesh, protocol auto (the client's), timeout 15s, balance
//   least_request, 1024 each of
//              connections, pending and requests; 2 retries on connect-failure, which no server
//              can have seen: `reset` may run a request twice and is for the user to ask for; a
//              retry budget of 20 %; no outlier detection and no health checks (`outlier: {}` has
//              the defaults below, and ejects half of the hosts at most, but always one: Envoy's 10
//              % would spare every host of a cluster with fewer than ten)
//   telemetry  no metrics listener, no metrics by principal, no access log, no tracing; with
//              tracing: sample 1%
//   admin      listen 127.0.0.1:15000

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proxy/config/node.h"
#include "proxy/config/scalars.h"

namespace pillion::config {

enum class Capture : uint8_t { kRedirect, kOff };
enum class Mtls : uint8_t { kStrict, kOff, kPermissive };
// What becomes of %2F and %5C in the paths of inbound requests.
enum class SlashEscapes : uint8_t { kReject, kKeep, kDecode };
// What a service speaks; kAuto: what its client speaks, or at the last hop what the content asks
// for.
enum class ServiceProtocol : uint8_t { kAuto, kHttp1, kHttp2 };
enum class UnknownHosts : uint8_t { kPassthrough, kReject };

struct CertificateFiles {
  std::string cert, key, ca;
  Node node;
};

// A secret discovery service that has them, and what it calls them.
struct CertificateSds {
  AddressText socket;
  std::string cert, ca;
  Node node, socket_node;
};

// The SPIFFE Workload API; without `socket:` that of SPIFFE_ENDPOINT_SOCKET.
struct CertificateSpiffe {
  AddressText socket;
  bool is_complete = false;
  Node node, socket_node;
};

// A CA that signs requests: Istio's, or `pillion ca serve`.
struct CertificateCsr {
  AddressText address;  // TLS, but on a Unix socket
  std::string token_file, ca, identity;
  std::chrono::nanoseconds ttl{std::chrono::hours(24)};
  std::string key;  // a word of the extension's; empty: p256
  bool is_complete = false;
  Node node, address_node, token_node, ca_node, identity_node, ttl_node, key_node;
};

struct Workload {
  std::string name, name_space, trust_domain;
  // At most one of them.
  std::optional<CertificateFiles> certificates;
  std::optional<CertificateSds> sds;
  std::optional<CertificateSpiffe> spiffe;
  std::optional<CertificateCsr> csr;
  std::vector<std::string> groups;  // of the key exchange, the best first; empty: the default ones
  Node node, groups_node;

  [[nodiscard]] bool has_certificates() const { return certificates || sds || spiffe || csr; }
};

// A rule of inbound.authorize; what is empty matches all.  Its texts are spelled as requests are
// when rules see them.
struct AuthorizeRule {
  bool denies = false;
  std::vector<std::string> from;  // SPIFFE ids; "/*" at the end: all below
  std::vector<std::string> methods;
  std::vector<std::string> paths;  // canonical, without a query; "/*" at the end: all below
  std::vector<std::string> hosts;  // without a port; "*." at the beginning: all below
  std::vector<uint16_t> ports;
  Node node, from_node, ports_node;

  // Of connections of which nothing more is known it says nothing, or less.
  [[nodiscard]] bool asks_request() const {
    return !methods.empty() || !paths.empty() || !hosts.empty();
  }
};

// Of one port of the app that capture redirects from, instead of inbound.mtls.
struct PortRule {
  uint16_t port = 0;
  Mtls mtls = Mtls::kStrict;
  Node node;
};

struct Inbound {
  AddressText listen, app;
  std::optional<AddressText> listen_twin;
  Capture capture = Capture::kRedirect;
  Mtls mtls = Mtls::kStrict;
  std::vector<PortRule> ports;
  SlashEscapes escaped_slashes = SlashEscapes::kReject;
  ServiceProtocol protocol = ServiceProtocol::kAuto;
  // A deny rule wins; with any allow rule, what none allows is denied.
  std::vector<AuthorizeRule> authorize;
  Node node, listen_node, app_node;

  // Does only one of the ports that connections come for lead to the app?  Without capture there is
  // one port, and a Unix socket has none to tell the app's connections by: all come to the app.
  [[nodiscard]] bool has_other_ports() const {
    return capture == Capture::kRedirect && app.port != 0;
  }
  [[nodiscard]] Mtls mtls_of(uint16_t port) const {
    for (const PortRule& rule : ports) {
      if (rule.port == port) return rule.mtls;
    }
    return mtls;
  }
};

struct Outbound {
  AddressText listen;
  std::optional<AddressText> listen_twin;
  Capture capture = Capture::kRedirect;
  UnknownHosts unknown = UnknownHosts::kPassthrough;
  Node node, listen_node;
};

struct Retries {
  uint32_t attempts = 2;               // beyond the first try
  std::string on = "connect-failure";  // in Envoy's words
  std::vector<uint32_t> statuses;
  std::chrono::nanoseconds per_try{};  // 0: none
  double budget_percent = 20;          // retries under way, of the requests under way; 3 always may
  Node node;
};

struct Outlier {
  uint32_t consecutive_5xx = 5;
  std::chrono::nanoseconds interval{std::chrono::seconds(10)};
  std::chrono::nanoseconds eject{std::chrono::seconds(30)};
  Node node;
};

struct HealthCheck {
  std::string path;  // of an HTTP check; empty: to connect is enough
  std::chrono::nanoseconds interval{std::chrono::seconds(10)};
  std::chrono::nanoseconds timeout{std::chrono::seconds(1)};
  uint32_t unhealthy = 3;
  uint32_t healthy = 2;
  Node node;
};

struct Endpoint {
  AddressText address;
  Node node;
};

struct Service {
  std::string name;
  std::vector<Located<std::string>> hosts;
  bool uses_dns = false;
  std::vector<Endpoint> endpoints;
  bool uses_mesh_tls = true;
  ServiceProtocol protocol = ServiceProtocol::kAuto;
  std::chrono::nanoseconds timeout{std::chrono::seconds(15)};
  Retries retries;
  uint32_t max_connections = 1024, max_pending = 1024, max_requests = 1024;
  std::string lb_policy = "LEAST_REQUEST";
  std::optional<Outlier> outlier;
  std::optional<HealthCheck> health_check;
  Node node, hosts_node, endpoints_node;
};

struct AccessLog {
  std::string path;
  bool is_json = false;
  Node node;
};

// OTLP over HTTP.
struct Tracing {
  AddressText collector;
  std::string url;
  double sample_percent = 1;
  Node node, otlp_node;
};

struct Mesh {
  Workload workload;
  std::optional<Inbound> inbound;
  std::optional<Outbound> outbound;
  std::vector<Service> services;
  std::optional<AddressText> metrics;
  Node metrics_node;
  bool counts_principals = false;  // requests by SPIFFE id of the client
  std::optional<AccessLog> access_log;
  std::optional<Tracing> tracing;
  AddressText admin;
  Node admin_node;
  Node root;
  // No certificates, or not all, and the file is refused already.  What is expanded has no TLS
  // then, so that its parsers do not complain of the same once more.
  bool lacks_identity = false;
};

// Records what is wrong with it.  The result can always be expanded; where a value is wrong a
// harmless one stands in.
Mesh parse_mesh(const Node& root);

}  // namespace pillion::config
