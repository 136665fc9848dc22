// What `pillion explain` says of an Envoy bootstrap, and of questions that make no sense.
#include <gmock/gmock.h>

#include "tests/unit/cli/explain_fixture.h"

namespace pillion::cli {
namespace {

using ::testing::HasSubstr;

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

}  // namespace
}  // namespace pillion::cli
