// What `pillion explain` says of short files: who may call whom, by which way.
#include "proxy/cli/explain.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "proxy/base/str.h"
#include "proxy/cli/ca.h"
#include "tests/unit/cli/explain_fixture.h"

namespace pillion::cli {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Explain, AnOutboundCallToAKnownService) {
  const auto lines =
      lines_of(from_file("explicit_proxy.yaml"), request("GET http://orders/orders/7"));
  EXPECT_THAT(lines, Contains("listener: outbound, at 127.0.0.1:15001"));
  EXPECT_THAT(lines, Contains(HasSubstr("filter chain: ")));
  EXPECT_THAT(
      lines,
      Contains(HasSubstr("virtual host: orders, because its domain \"orders\" fits \"orders\"")));
  EXPECT_THAT(lines, Contains("action: forwards to cluster orders"));
  EXPECT_THAT(lines, Contains("cluster: orders"));
  EXPECT_THAT(lines, Contains("host: 127.0.0.1:25006"));
  EXPECT_THAT(lines, Contains("upstream: plain text"));
  EXPECT_THAT(lines, Contains(HasSubstr("timeout: ")));
  EXPECT_THAT(lines, Contains(HasSubstr("retries: ")));
}

TEST(Explain, SaysWhichPolicyAllowsOrDenies) {
  const auto snapshot = from_text(R"(
static_resources:
  listeners:
  - name: in
    address: { socket_address: { address: 127.0.0.1, port_value: 18080 } }
    filter_chains:
    - filters:
      - name: guard
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC
          stat_prefix: guard.
          rules: { action: DENY, policies: { far: { permissions: [ { any: true } ], principals: [
            { remote_ip: { address_prefix: 10.0.0.0, prefix_len: 8 } } ] } } }
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          normalize_path: true
          route_config:
            virtual_hosts:
            - name: all
              domains: [ "*" ]
              routes: [ { match: { prefix: / }, direct_response: { status: 200 } } ]
          http_filters:
          - name: authorize
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules: { policies: { readers: { permissions: [ { url_path: { path: { exact: /a } } } ],
                principals: [ { any: true } ] } } }
          - name: router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
)");
  const auto allowed = lines_of(snapshot, request("GET http://x/b/../a?q"));
  EXPECT_THAT(allowed, Contains("connection: allowed: no policy matches"));
  EXPECT_THAT(allowed, Contains("filter authorize: allowed by policy \"readers\""));
  const auto denied = lines_of(snapshot, request("GET http://x/b"));
  EXPECT_EQ(denied.back(), "filter authorize: denied: no policy matches");
  ExplainRequest far = request("GET http://x/a");
  far.source = *io::Address::parse_ip("10.0.0.1", 0);
  EXPECT_EQ(lines_of(snapshot, far).back(), "connection: denied by policy \"far\"");
}

TEST(Explain, ACapturedCallIsJudgedByThePortOfItsUrl) {
  const auto snapshot = from_file("outbound_only.yaml");
  const auto known = lines_of(snapshot, request("GET http://orders:8080/"));
  EXPECT_THAT(known, Contains("destination: port 8080 of some address of orders"));
  EXPECT_THAT(known, Contains("host: each address of orders-1.shop, port 8080"));
  EXPECT_THAT(known, Contains("host: each address of orders-2.shop, port 8080"));
  EXPECT_THAT(known, Contains("retries: none"));
  const auto other_port = lines_of(snapshot, request("GET http://orders:9999/"));
  EXPECT_THAT(other_port, Not(Contains("cluster: orders")));
}

TEST(Explain, AnInboundCallOverMutualTls) {
  const std::string dir = str(testing::TempDir(), "explain_ca_", ::getpid());
  std::filesystem::remove_all(dir);
  testing::internal::CaptureStdout();
  ASSERT_EQ(run_ca_init({.dir = dir, .trust_domain = "mesh.local"}), 0);
  ASSERT_EQ(run_ca_issue({.dir = dir,
                          .spiffe = "spiffe://mesh.local/ns/shop/sa/users",
                          .dns = {},
                          .ips = {},
                          .out_cert = dir + "/a.crt",
                          .out_key = dir + "/a.key"}),
            0);
  testing::internal::GetCapturedStdout();
  const auto snapshot = from_text(
      "workload: { name: users, namespace: shop, trust_domain: mesh.local, certificates: { files: "
      "{ cert: " +
      dir + "/a.crt, key: " + dir + "/a.key, ca: " + dir + "/ca.crt } } }\n" +
      "inbound: { capture: redirect, mtls: strict, app: 127.0.0.1:8080 }\n" +
      "outbound: { capture: redirect }\n" +
      "services: { orders: { endpoints: { dns: orders.shop:8080 }, tls: mesh } }\n");
  ExplainRequest call = request("GET http://users:8080/users/7", "inbound");
  const auto plain = lines_of(snapshot, call);
  EXPECT_THAT(plain, Contains(HasSubstr("none fits plain text to port 8080")));
  EXPECT_THAT(plain, Contains(HasSubstr("TLS would take ")));
  call.is_tls = true;
  const auto encrypted = lines_of(snapshot, call);
  EXPECT_THAT(encrypted, Contains("downstream: TLS ends here"));
  EXPECT_THAT(encrypted, Contains("host: 127.0.0.1:8080"));
  EXPECT_THAT(lines_of(snapshot, request("GET http://orders:8080/")),
              Contains("upstream: mutual TLS; the server must have a certificate of " + dir +
                       "/ca.crt, with URI SAN with prefix spiffe://mesh.local/"));
}

TEST(Explain, TheTransportSocketsOfAClusterAndWhoseTheyAre) {
  const std::string type = "'@type': type.googleapis.com/envoy.extensions.";
  const auto at = [](std::string_view port) {
    return str("endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ", port,
               " } } }");
  };
  const std::string tls = "{ name: t, typed_config: { " + type +
                          "transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: {} } }";
  const std::string yaml = str(
      "static_resources: { listeners: [ { name: l, address: { socket_address: { address: "
      "127.0.0.1, "
      "port_value: 10000 } }, filter_chains: [ { filters: [ { name: t, typed_config: { ",
      type,
      "filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: a, cluster: a } } ] } ] } ], clusters: "
      "[ "
      "{ name: a, load_assignment: { endpoints: [ { lb_endpoints: [ { ",
      at("1"), ", metadata: { filter_metadata: { envoy.transport_socket_match: { m: x } } } }, { ",
      at("2"), " } ] } ] }, transport_socket_matches: [ { name: mesh, match: { m: x }, ",
      "transport_socket: ", tls, " } ] } ] }");
  const auto lines = lines_of(from_text(yaml), request("GET http://a/"));
  EXPECT_THAT(lines, Contains("host: 127.0.0.1:1, m=\"x\""));
  EXPECT_THAT(lines, Contains("host: 127.0.0.1:2"));
  EXPECT_THAT(lines, Contains("upstream, hosts with m=\"x\" (\"mesh\"): TLS; the server may be "
                              "anybody"));
  EXPECT_THAT(lines, Contains("upstream, other hosts: plain text"));
}

TEST(Explain, ABodyOfTlsStaysTheClientsOwn) {
  const auto lines = lines_of(from_text("outbound: {}\n"), request("GET https://example.com/x"));
  EXPECT_THAT(lines, Contains(HasSubstr("they are the client's TLS, which nobody opens")));
  EXPECT_THAT(lines, Contains("upstream: the client's own TLS as it comes"));
}

TEST(Explain, AnUnknownHostIsAnsweredWithTheReason) {
  const auto lines =
      lines_of(from_text("outbound: { unknown: reject }\n"), request("GET http://nobody/"));
  EXPECT_THAT(lines, Contains("virtual host: unknown, the one for \"*\", because no other has a "
                              "domain for \"nobody\""));
  EXPECT_THAT(lines, Contains("action: answers 502 itself: no service of this name in the mesh"));
}

TEST(Explain, NeedsNoCertificates) {
  config::Errors errors(config::UnknownFields::kError, config::UnreadableFiles::kWarn);
  Options options;
  options.config_yaml =
      "workload: { trust_domain: mesh.local, certificates: { files: { cert: /nonexistent/a.crt, "
      "key: /nonexistent/a.key, ca: /nonexistent/ca.crt } } }\n"
      "inbound: { app: 127.0.0.1:8080, authorize: [ { allow: { from: [ "
      "\"spiffe://mesh.local/a\" ] } } ] }\noutbound: {}\n"
      "services: { orders: { endpoints: { dns: orders.shop:8080 } } }\n";
  const auto snapshot = build_snapshot(options, {}, errors);
  ASSERT_NE(snapshot, nullptr) << errors.to_string();
  EXPECT_EQ(errors.sorted(config::Severity::kWarning).size(), 3U);
  EXPECT_THAT(lines_of(snapshot, request("GET http://orders:8080/")),
              Contains("upstream: mutual TLS; the server must have a certificate of "
                       "/nonexistent/ca.crt, with URI SAN with prefix spiffe://mesh.local/"));
  ExplainRequest call = request("GET http://users:8080/", "inbound");
  call.is_tls = true;
  EXPECT_THAT(lines_of(snapshot, call), Contains("downstream: TLS ends here"));
  EXPECT_EQ(lines_of(snapshot, call).back(), "filter authorize-allow: denied: no policy matches");
  call.caller = "spiffe://mesh.local/a";
  EXPECT_THAT(lines_of(snapshot, call),
              Contains("filter authorize-allow: allowed by policy \"rule-1\""));
}

// To whom some requests are denied, other ports than the app's are closed: nobody sees what is
// asked for there.
TEST(Explain, AConnectionThatMayBeADeniedRequest) {
  config::Errors errors(config::UnknownFields::kError, config::UnreadableFiles::kWarn);
  Options options;
  options.config_yaml =
      "workload: { trust_domain: mesh.local, certificates: { files: { cert: /nonexistent/a.crt, "
      "key: /nonexistent/a.key, ca: /nonexistent/ca.crt } } }\n"
      "inbound: { app: 127.0.0.1:8080, authorize: [ { deny: { from: [ "
      "\"spiffe://mesh.local/a\" ], paths: [ /admin ] } } ] }\n";
  const auto snapshot = build_snapshot(options, {}, errors);
  ASSERT_NE(snapshot, nullptr) << errors.to_string();
  ExplainRequest call = request("GET http://users:9090/", "inbound");
  call.is_tls = true;
  call.caller = "spiffe://mesh.local/a";
  EXPECT_EQ(lines_of(snapshot, call).back(), "connection: denied by policy \"rule-1\"");
  call.caller = "spiffe://mesh.local/b";
  EXPECT_THAT(lines_of(snapshot, call), Contains("connection: allowed: no policy matches"));
  ExplainRequest to_app = request("GET http://users:8080/", "inbound");
  to_app.is_tls = true;
  to_app.caller = "spiffe://mesh.local/a";
  EXPECT_THAT(lines_of(snapshot, to_app),
              Contains("filter authorize-deny: allowed: no policy matches"));
}

}  // namespace
}  // namespace pillion::cli
