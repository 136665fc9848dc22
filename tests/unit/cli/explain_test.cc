#include "proxy/cli/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "proxy/cli/ca.h"
#include "proxy/cli/explain_parts.h"

namespace pillion::cli {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kGood = PILLION_SOURCE_DIR "/tests/data/config/good/";

std::shared_ptr<const Snapshot> build(const Options& options) {
  config::Errors errors;
  auto snapshot = build_snapshot(options, {}, errors);
  EXPECT_NE(snapshot, nullptr) << errors.to_string();
  return snapshot;
}
std::shared_ptr<const Snapshot> from_file(const std::string& name) {
  Options options;
  options.config_path = kGood + name;
  return build(options);
}
std::shared_ptr<const Snapshot> from_text(const std::string& yaml) {
  Options options;
  options.config_yaml = yaml;
  return build(options);
}

ExplainRequest request(std::string_view text, const std::string& listener = {}) {
  auto parsed = parse_explain_request(text);
  EXPECT_TRUE(parsed.has_value()) << parsed.error();
  parsed->listener = listener;
  return *parsed;
}

std::vector<std::string> lines_of(const std::shared_ptr<const Snapshot>& snapshot,
                                  const ExplainRequest& request) {
  if (snapshot == nullptr) return {};
  auto lines = explain(*snapshot, request);
  EXPECT_TRUE(lines.has_value()) << lines.error();
  return lines ? *lines : std::vector<std::string>{};
}

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

// An Envoy bootstrap with most of what can decide a route.
constexpr const char* kEnvoy = R"(
static_resources:
  listeners:
  - name: edge
    address: { socket_address: { address: 0.0.0.0, port_value: 8080 } }
    filter_chains:
    - name: far
      filter_chain_match: { source_prefix_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ] }
      filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: users
    - name: near
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          normalize_path: true
          path_with_escaped_slashes_action: REJECT_REQUEST
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            name: main
            virtual_hosts:
            - name: users
              domains: [ users, "*.users" ]
              routes:
              - name: beta
                match: { prefix: /users, headers: [ { name: x-beta, string_match: { exact: "1" } } ] }
                route: { cluster: beta, timeout: 2s, prefix_rewrite: /v2, host_rewrite_literal: beta.shop }
              - match: { path: /old }
                redirect: { path_redirect: /users, response_code: FOUND }
              - match: { path: /health }
                direct_response: { status: 200 }
              - match: { prefix: /users }
                route: { cluster: users, retry_policy: { retry_on: connect-failure, num_retries: 3 } }
  clusters:
  - name: users
    connect_timeout: 1s
    type: STATIC
    load_assignment: { cluster_name: users, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 10.1.0.1, port_value: 80 } } } } ] } ] }
  - name: beta
    type: STRICT_DNS
    lb_policy: LEAST_REQUEST
    load_assignment: { cluster_name: beta, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: beta.shop, port_value: 81 } } } } ] } ] }
)";

struct EnvoyCase {
  const char* request;
  std::vector<std::string> headers;
  const char* source;
  std::vector<const char*> expected;
};

TEST(Explain, AnEnvoyBootstrap) {
  const auto snapshot = from_text(kEnvoy);
  const EnvoyCase cases[] = {
      {"GET http://users/users/7",
       {},
       nullptr,
       {"listener: edge, at 0.0.0.0:8080", "filter chain: near", "routes: main",
        "route 0 (beta): not taken", "x-beta", "route 3: taken", "cluster: users",
        "host: 10.1.0.1:80", "connect timeout: 1s", "retries: 3 on connect-failure", "timeout: 15s",
        "balancing: round robin"}},
      {"GET http://users/users/7?a=b",
       {"x-beta: 1"},
       nullptr,
       {"route 0 (beta): taken", "cluster: beta", "timeout: 2s", "path sent: /v2/7?a=b",
        "host sent: beta.shop", "host: each address of beta.shop, port 81",
        "balancing: least requests"}},
      {"GET http://a.users/x/../old",
       {},
       nullptr,
       {"path: /x/../old becomes /old", "redirects (302) to http://a.users/users"}},
      {"GET http://users/health", {}, nullptr, {"action: answers 200 itself"}},
      {"GET http://users/a%2fb", {}, nullptr, {"path: refused", "400"}},
      {"GET http://users/nothing", {}, nullptr, {"none of 4 fits; the answer is 404"}},
      {"GET http://users:99/", {}, nullptr, {"virtual host: none has a domain for \"users:99\""}},
      {"GET http://elsewhere/", {}, nullptr, {"virtual host: none has a domain for \"elsewhere\""}},
      {"GET http://10.0.0.1/users", {"host: users"}, nullptr, {"cluster: users"}},
      {"GET http://users/",
       {},
       "10.9.9.9",
       {"filter chain: far", "the bytes pass as they are", "cluster: users"}},
      {"GET https://users/", {}, nullptr, {"TLS is not HTTP"}},
  };
  for (const EnvoyCase& each : cases) {
    ExplainRequest call = request(each.request);
    call.headers = each.headers;
    if (each.source != nullptr) call.source = *io::Address::parse_ip(each.source, 0);
    std::string text;
    for (const std::string& line : lines_of(snapshot, call)) text += line + '\n';
    for (const char* expected : each.expected)
      EXPECT_THAT(text, HasSubstr(expected)) << each.request;
  }
}

TEST(Explain, AQuestionThatMakesNoSenseIsRefused) {
  const auto snapshot = from_text(kEnvoy);
  ASSERT_NE(snapshot, nullptr);
  ExplainRequest bad_header = request("GET http://users/");
  bad_header.headers = {"no colon here"};
  const std::pair<ExplainRequest, const char*> cases[] = {
      {request("GET http://users/", "egde"),
       "there is no listener \"egde\" (did you mean \"edge\"?)"},
      {request("GET http:///x"), "expected a host, or host:port"},
      {request("GET http://users:0x/"), "expected a host, or host:port"},
      {request("G@T http://users/"), "this request would be refused"},
      {bad_header, "this request would be refused"},
  };
  for (const auto& [call, says] : cases) {
    const auto lines = explain(*snapshot, call);
    ASSERT_FALSE(lines.has_value()) << call.url;
    EXPECT_THAT(lines.error(), HasSubstr(says));
  }
  for (const char* text :
       {"", "users", "GET", "GET users", "GET ftp://users/", "GET http://a /b"}) {
    EXPECT_FALSE(parse_explain_request(text).has_value()) << text;
  }
}

// A proxy that runs with the snapshot.
class FakeFacts final : public Facts {
 public:
  explicit FakeFacts(std::shared_ptr<const upstream::ClusterConfig> config)
      : config_(std::move(config)) {}
  void listener(std::string_view name, Lines& lines) override {
    lines.push_back(str("facts of listener ", name));
  }
  void routes(std::string_view name, Lines& lines) override {
    lines.push_back(str("facts of routes ", name));
  }
  std::shared_ptr<const upstream::ClusterConfig> cluster(std::string_view name,
                                                         Lines& lines) override {
    lines.push_back(str("facts of cluster ", name));
    return config_;
  }
  bool hosts(std::string_view, Lines& lines) override {
    lines.push_back("host: live");
    return true;
  }
  void breakers(std::string_view cluster, Lines& lines) override {
    lines.push_back(str("breakers of ", cluster));
  }

 private:
  std::shared_ptr<const upstream::ClusterConfig> config_;
};

TEST(Explain, TellsWhatARunningProxyKnowsInItsPlace) {
  const auto snapshot = from_file("explicit_proxy.yaml");
  ASSERT_NE(snapshot, nullptr);
  FakeFacts facts(snapshot->clusters.front());
  const auto lines = explain(*snapshot, request("GET http://orders/orders/7"), &facts);
  ASSERT_TRUE(lines.has_value());
  const auto at = [&lines](std::string_view begin) {
    return std::ranges::find_if(
        *lines, [begin](const std::string& line) { return line.starts_with(begin); });
  };
  const auto listener = at("listener: ");
  const auto cluster = at("cluster: orders");
  ASSERT_NE(listener, lines->end());
  ASSERT_NE(cluster, lines->end());
  EXPECT_EQ(*(listener + 1), "facts of listener outbound");
  EXPECT_EQ(*(cluster + 1), "facts of cluster orders");
  EXPECT_EQ(*(cluster + 2), "host: live");
  EXPECT_EQ(lines->back(), "breakers of orders");
}

TEST(Explain, AClusterThatIsNotThereIsToldWithItsReasons) {
  const auto snapshot = from_file("explicit_proxy.yaml");
  ASSERT_NE(snapshot, nullptr);
  FakeFacts facts(nullptr);
  const auto lines = explain(*snapshot, request("GET http://orders/orders/7"), &facts);
  ASSERT_TRUE(lines.has_value());
  EXPECT_THAT(*lines, Contains("cluster: there is none called \"orders\""));
  EXPECT_EQ(lines->back(), "facts of cluster orders");
}

}  // namespace
}  // namespace pillion::cli
