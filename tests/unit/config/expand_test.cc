#include "proxy/config/expand.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "proxy/base/str.h"
#include "proxy/config/mesh_parts.h"
#include "proxy/config/node.h"
#include "proxy/config/yaml_print.h"
#include "tests/unit/config/cases.h"
#include "tests/unit/config/expanded.h"

namespace pillion::config {
namespace {

void load(const std::string& path, Errors& errors) { (void)load_bootstrap(path, {}, errors); }

constexpr std::string_view kSidecar =
    "workload:\n"
    "  trust_domain: mesh.local\n"
    "  certificates: { files: { cert: u.crt, key: u.key, ca: ca.crt } }\n"
    "inbound: { app: 127.0.0.1:8080 }\n"
    "outbound: {}\n"
    "services:\n"
    "  orders: { endpoints: { dns: orders.shop:9000 } }\n";

TEST(Expand, GivesTheExpectedMessagesForEachBadShortFile) {
  for (const Case& c : read_cases(case_folder() / "bad/short")) {
    EXPECT_EQ(messages_of(c, load), c.expected) << c.path;
    EXPECT_NE(c.expected, "") << c.path;
  }
}

TEST(Expand, AcceptsEveryGoodFile) {
  for (const Case& c : read_cases(case_folder() / "good"))
    EXPECT_EQ(messages_of(c, load), "") << c.path;
}

TEST(Expand, WritesOutlierDetectionAndHealthChecks) {
  Expanded mesh(
      "outbound: {}\n"
      "services:\n"
      "  a: { tls: off, endpoints: { static: 127.0.0.1:1 }, outlier: { eject: 7s },\n"
      "       health_check: { path: /up, interval: 3s } }\n"
      "  b: { tls: off, endpoints: { static: 127.0.0.1:1 }, health_check: {} }\n");
  ASSERT_TRUE(mesh.errors.ok()) << mesh.errors.to_string();
  const Node outlier = mesh.cluster("a")["outlier_detection"];
  EXPECT_EQ(outlier["consecutive_5xx"].as_u32(), 5u);
  EXPECT_EQ(outlier["base_ejection_time"].as_duration(), std::chrono::seconds(7));
  EXPECT_EQ(outlier["max_ejection_percent"].as_u32(), 50u);
  EXPECT_TRUE(outlier["always_eject_one_host"].as_bool());
  const Node check = Expanded::nth(mesh.cluster("a")["health_checks"], 0);
  EXPECT_EQ(check["interval"].as_duration(), std::chrono::seconds(3));
  EXPECT_EQ(check["http_health_check"]["path"].as_string(), "/up");
  EXPECT_TRUE(mesh.cluster("b")["outlier_detection"].is_missing());
  const Node tcp = Expanded::nth(mesh.cluster("b")["health_checks"], 0);
  EXPECT_TRUE(tcp["tcp_health_check"].is_mapping());
  EXPECT_EQ(tcp["unhealthy_threshold"].as_u32(), 3u);
}

TEST(Expand, ChecksTheFieldsOfEverySection) {
  Errors errors;
  auto document = load_file(case_folder() / "good/sidecar.yaml", errors);
  (void)expand(document, errors);
  for (const Where& where : errors.unfinished()) ADD_FAILURE() << where.path;
}

TEST(Expand, RequiresAClientCertificateOfTheTrustDomainByDefault) {
  Expanded e(kSidecar);
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  Node chain = e.nth(e.listener(0)["filter_chains"], 0);
  EXPECT_EQ(chain["filter_chain_match"]["transport_protocol"].raw(), "tls");
  EXPECT_EQ(chain["filter_chain_match"]["destination_port"].as_u32(), 8080U);
  Node tls = chain["transport_socket"]["typed_config"];
  EXPECT_TRUE(tls["require_client_certificate"].as_bool());
  Node san =
      e.nth(tls["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"], 0);
  EXPECT_EQ(san["matcher"]["prefix"].raw(), "spiffe://mesh.local/")
      << "with the slash: no prefix of a name";
  EXPECT_EQ(e.first_filter(chain)["forward_client_cert_details"].raw(), "SANITIZE_SET");
  // The second chain, for the other ports, must not be a way around the first one's TLS.
  Node other = e.nth(e.listener(0)["filter_chains"], 1);
  EXPECT_TRUE(other["transport_socket"]["typed_config"]["require_client_certificate"].as_bool());
  EXPECT_TRUE(e.listener(0)["default_filter_chain"].is_missing());
}

TEST(Expand, PutsTheGroupsOfTheKeyExchangeAtBothEnds) {
  std::string text(kSidecar);
  text.replace(text.find("inbound"), 0, "  tls: { groups: [ X25519, P-256 ] }\n");
  Expanded e(text);
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  const Node chain = e.nth(e.listener(0)["filter_chains"], 0);
  for (const Node& socket : {chain["transport_socket"], e.cluster("orders")["transport_socket"]}) {
    const Node groups = socket["typed_config"]["common_tls_context"]["tls_params"]["ecdh_curves"];
    ASSERT_EQ(groups.size(), 2u);
    EXPECT_EQ(e.nth(groups, 0).raw(), "X25519");
    EXPECT_EQ(e.nth(groups, 1).raw(), "P-256");
  }
}

TEST(Expand, GroupsNeedCertificates) {
  Expanded e("workload: { tls: { groups: [ X25519 ] } }\noutbound: {}\n");
  EXPECT_NE(e.errors.to_string().find("workload.tls: needs workload.certificates"),
            std::string::npos)
      << e.errors.to_string();
}

TEST(Expand, AuthorizesNobodyInParticularWithoutRules) {
  Expanded e(kSidecar);
  const Node app = e.nth(e.listener(0)["filter_chains"], 0);
  EXPECT_EQ(e.first_filter(app)["http_filters"].size(), 1u);
  EXPECT_EQ(e.nth(e.listener(0)["filter_chains"], 1)["filters"].size(), 1u);
}

// Name, destination port, transport protocol and stat_prefix of each chain; "tls" if it has TLS.
std::string chains_of(const Node& listener) {
  std::string out;
  for (Node chain : listener["filter_chains"].items()) {
    const Node match = chain["filter_chain_match"];
    const Node socket = chain["transport_socket"]["typed_config"];
    const bool is_tls = socket["require_client_certificate"].raw() == "true";
    out += str(chain["name"].raw(), ' ', match["destination_port"].raw(), ' ',
               match["transport_protocol"].raw(), ' ',
               Expanded::first_filter(chain)["stat_prefix"].raw(), is_tls ? " tls; " : "; ");
  }
  return out;
}

TEST(Expand, GivesPermissivePortsChainsForBoth) {
  Expanded e = expand_inbound("mtls: permissive");
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  const Node listener = e.listener(0);
  EXPECT_EQ(chains_of(listener),
            "app 8080 tls inbound tls; app-plain 8080 raw_buffer inbound_plain; "
            "other-ports  tls inbound_tcp tls; other-ports-plain  raw_buffer inbound_tcp_plain; ");
  EXPECT_EQ(listener["listener_filters_timeout"].raw(), "5s");
  EXPECT_EQ(listener["continue_on_listener_filters_timeout"].raw(), "true");
  // Plain text has no identity, and brings none.
  const Node plain = Expanded::first_filter(Expanded::nth(listener["filter_chains"], 1));
  EXPECT_TRUE(plain["forward_client_cert_details"].is_missing());
}

TEST(Expand, GivesPortsRulesOfTheirOwn) {
  Expanded e =
      expand_inbound("mtls: strict, ports: { 9090: { mtls: off }, 9091: { mtls: permissive } }");
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  EXPECT_EQ(
      chains_of(e.listener(0)),
      "app 8080 tls inbound tls; port-9090 9090  inbound_tcp; "
      "port-9091 9091 tls inbound_tcp tls; port-9091-plain 9091 raw_buffer inbound_tcp_plain; "
      "other-ports  tls inbound_tcp tls; ");
  const Node inspector = Expanded::nth(e.listener(0)["listener_filters"], 1);
  const Node range = inspector["filter_disabled"]["destination_port_range"];
  EXPECT_EQ(range["start"].raw(), "9090");
  EXPECT_EQ(range["end"].raw(), "9091");
}

TEST(Expand, GivesThePortOfTheAppARuleToo) {
  Expanded e = expand_inbound("mtls: off, ports: { 8080: { mtls: strict } }");
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  EXPECT_EQ(chains_of(e.listener(0)), "app 8080 tls inbound tls; other-ports   inbound_tcp; ");
  const Node inspector = Expanded::nth(e.listener(0)["listener_filters"], 1);
  EXPECT_EQ(inspector["filter_disabled"]["not_match"]["destination_port_range"]["start"].raw(),
            "8080");
  EXPECT_TRUE(e.listener(0)["listener_filters_timeout"].is_missing());
}

TEST(Expand, LeavesOneSpellingOfARequestToTheApp) {
  Expanded e = expand_inbound("mtls: off, capture: off");
  const Node manager = Expanded::first_filter(Expanded::nth(e.listener(0)["filter_chains"], 0));
  for (const char* flag : {"normalize_path", "merge_slashes", "strip_trailing_host_dot"})
    EXPECT_EQ(manager[flag].raw(), "true") << flag;
  EXPECT_EQ(manager["path_with_escaped_slashes_action"].raw(), "REJECT_REQUEST");
  EXPECT_EQ(manager["route_config"]["ignore_path_parameters_in_path_matching"].raw(), "true");
  EXPECT_EQ(manager["common_http_protocol_options"]["headers_with_underscores_action"].raw(),
            "DROP_HEADER");
  for (const auto& [word, action] :
       {std::pair("keep", "KEEP_UNCHANGED"), {"decode", "UNESCAPE_AND_FORWARD"}}) {
    Expanded other = expand_inbound(str("mtls: off, capture: off, escaped_slashes: ", word));
    ASSERT_TRUE(other.errors.ok()) << other.errors.to_string();
    EXPECT_EQ(Expanded::first_filter(Expanded::nth(other.listener(0)["filter_chains"],
                                                   0))["path_with_escaped_slashes_action"]
                  .raw(),
              action);
  }
}

TEST(Expand, CountsPrincipalsWhereItIsAskedTo) {
  for (const bool asked : {false, true}) {
    Expanded e(
        str("inbound: { app: 127.0.0.1:8080, mtls: off }\n"
            "telemetry: { metrics: { listen: 127.0.0.1:15090, by_principal: ",
            asked, " } }\n"));
    ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
    const Node manager = Expanded::first_filter(Expanded::nth(e.listener(0)["filter_chains"], 0));
    EXPECT_EQ(manager["http_filters"].size(), asked ? 2U : 1U);
  }
}

TEST(Expand, MakesOneHttpChainForEachPortAndPassesTheOthersAsTcp) {
  Expanded e(kSidecar);
  Node outbound = e.listener(1);
  EXPECT_EQ(outbound["filter_chains"].size(), 2U);
  EXPECT_EQ(e.nth(outbound["filter_chains"], 0)["filter_chain_match"]["destination_port"].as_u32(),
            80U);
  EXPECT_EQ(e.nth(outbound["filter_chains"], 1)["filter_chain_match"]["destination_port"].as_u32(),
            9000U);
  EXPECT_EQ(e.first_filter(outbound["default_filter_chain"])["cluster"].raw(),
            "outbound|passthrough");
  EXPECT_EQ(e.cluster("outbound|passthrough")["type"].raw(), "ORIGINAL_DST");
}

TEST(Expand, TracesBothWaysToACollectorOfItsOwn) {
  struct Case {
    std::string_view otlp, uri, type, address, port;
  };
  for (const Case& c :
       {Case{"http://collector", "http://collector:4318/v1/traces", "STRICT_DNS", "collector",
             "4318"},
        Case{"http://10.0.0.7:80/", "http://10.0.0.7:80/v1/traces", "STATIC", "10.0.0.7", "80"},
        Case{"http://[::1]/otlp", "http://[::1]:4318/otlp", "STATIC", "::1", "4318"}}) {
    Expanded e(std::string("workload: { name: users }\n"
                           "inbound: { app: 127.0.0.1:8080, mtls: off }\n"
                           "outbound: {}\n"
                           "telemetry: { tracing: { otlp: \"")
                   .append(c.otlp)
                   .append("\", sample: 0.5% } }\n"));
    ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
    for (const Where& where : e.errors.unfinished()) ADD_FAILURE() << where.path;
    for (size_t i = 0; i < 2; ++i) {
      Node tracing = e.first_filter(e.nth(e.listener(i)["filter_chains"], 0))["tracing"];
      EXPECT_EQ(tracing["random_sampling"]["value"].raw(), "0.5");
      EXPECT_TRUE(tracing["spawn_upstream_span"].as_bool());
      Node tracer = tracing["provider"]["typed_config"];
      EXPECT_EQ(tracer["service_name"].raw(), "users");
      EXPECT_EQ(tracer["http_service"]["http_uri"]["uri"].raw(), c.uri);
      EXPECT_EQ(tracer["http_service"]["http_uri"]["cluster"].raw(), "tracing|otlp");
    }
    Node cluster = e.cluster("tracing|otlp");
    EXPECT_EQ(cluster["type"].raw(), c.type);
    Node locality = e.nth(cluster["load_assignment"]["endpoints"], 0);
    Node address = e.nth(locality["lb_endpoints"], 0)["endpoint"]["address"]["socket_address"];
    EXPECT_EQ(address["address"].raw(), c.address);
    EXPECT_EQ(address["port_value"].raw(), c.port);
  }
}

TEST(Expand, ListensForBothFamiliesWhereCaptureRedirectsBoth) {
  struct Case {
    const char *fields, *twin;
  };
  for (const Case& c : {Case{"{}", "::1"}, Case{"{ listen: '0.0.0.0:1' }", "::"},
                        Case{"{ listen: '[::]:1' }", "0.0.0.0"},
                        Case{"{ listen: '[::1]:1', capture: redirect }", "127.0.0.1"},
                        Case{"{ listen: '127.0.0.1:1', capture: off }", ""},
                        Case{"{ listen: '10.0.0.1:1' }", ""}, Case{"{ listen: 'unix:/x' }", ""}}) {
    Expanded e(std::string("outbound: ") + c.fields);
    Node twin = e.nth(e.listener(0)["additional_addresses"], 0)["address"]["socket_address"];
    EXPECT_EQ(twin["address"].raw(), c.twin) << c.fields;
    if (twin.is_missing()) continue;
    EXPECT_EQ(twin["port_value"].raw(),
              e.listener(0)["address"]["socket_address"]["port_value"].raw())
        << c.fields;
  }
}

TEST(Expand, RoutesTakeRequestsToTheServerAsAWhole) {
  // The path of OPTIONS * is "*", which begins with "" and not with "/".
  Expanded e(kSidecar);
  for (size_t i : {0U, 1U}) {
    Node manager = e.first_filter(e.nth(e.listener(i)["filter_chains"], 0));
    for (Node host : manager["route_config"]["virtual_hosts"].items()) {
      Node prefix = e.nth(host["routes"], 0)["match"]["prefix"];
      EXPECT_TRUE(prefix.is_present());
      EXPECT_EQ(prefix.raw(), "");
    }
  }
}

TEST(Expand, ClosesUnknownDestinationsUnderReject) {
  Expanded e("outbound: { unknown: reject }\n");
  EXPECT_TRUE(e.listener(0)["default_filter_chain"].is_missing());
  EXPECT_TRUE(e.cluster("outbound|passthrough").is_missing());
  Node manager = e.first_filter(e.nth(e.listener(0)["filter_chains"], 0));
  Node host = e.nth(manager["route_config"]["virtual_hosts"], 0);
  EXPECT_EQ(e.nth(host["routes"], 0)["direct_response"]["status"].as_u32(), 502U);
}

TEST(Expand, WithoutCaptureIsAPlainProxyPort) {
  Expanded e(
      "outbound: { capture: off }\ninbound: { capture: off, mtls: off, app: 127.0.0.1:80 }\n");
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  for (size_t i : {0U, 1U}) {
    EXPECT_TRUE(e.listener(i)["listener_filters"].is_missing());
    EXPECT_EQ(e.listener(i)["filter_chains"].size(), 1U);
    EXPECT_TRUE(e.nth(e.listener(i)["filter_chains"], 0)["filter_chain_match"].is_missing());
  }
}

TEST(Expand, RetriesOnlyWhatNoServerCanHaveSeenUnlessTold) {
  Expanded e(kSidecar);
  Node manager = e.first_filter(e.nth(e.listener(1)["filter_chains"], 0));
  Node host = e.nth(manager["route_config"]["virtual_hosts"], 0);
  Node policy = e.nth(host["routes"], 0)["route"]["retry_policy"];
  EXPECT_EQ(policy["retry_on"].raw(), "connect-failure");
  EXPECT_EQ(policy["num_retries"].as_u32(), 2U);
  EXPECT_TRUE(policy["per_try_timeout"].is_missing());
  Node limits = e.nth(e.cluster("orders")["circuit_breakers"]["thresholds"], 0);
  EXPECT_EQ(limits["retry_budget"]["budget_percent"].as_percent(), 20.0);
  EXPECT_EQ(limits["retry_budget"]["min_retry_concurrency"].as_u32(), 3U);
  EXPECT_TRUE(limits["max_retries"].is_missing());
}

TEST(Expand, WritesRetriesInEnvoysWords) {
  Expanded e(
      "outbound: {}\nservices: { users: { tls: off, endpoints: { dns: u:80 }, retries: { attempts: "
      "4,\n"
      "  on: [ 503, grpc-unavailable, 429, reset-before-request, grpc-internal ], per_try: 500ms,\n"
      "  budget: 12.5% } } }\n");
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  Node manager = e.first_filter(e.nth(e.listener(0)["filter_chains"], 0));
  Node host = e.nth(manager["route_config"]["virtual_hosts"], 0);
  Node policy = e.nth(host["routes"], 0)["route"]["retry_policy"];
  EXPECT_EQ(policy["retry_on"].raw(),
            "retriable-status-codes,unavailable,reset-before-request,internal");
  EXPECT_EQ(e.nth(policy["retriable_status_codes"], 0).as_u32(), 503U);
  EXPECT_EQ(e.nth(policy["retriable_status_codes"], 1).as_u32(), 429U);
  EXPECT_EQ(policy["num_retries"].as_u32(), 4U);
  EXPECT_EQ(policy["per_try_timeout"].as_duration(), std::chrono::milliseconds(500));
  Node limits = e.nth(e.cluster("users")["circuit_breakers"]["thresholds"], 0);
  EXPECT_EQ(limits["retry_budget"]["budget_percent"].as_percent(), 12.5);
}

TEST(Expand, LimitsATryEvenWithoutAnother) {
  Expanded e(
      "outbound: {}\nservices: { users: { tls: off, endpoints: { dns: u:80 }, retries: { attempts: "
      "0,\n"
      "  per_try: 500ms } } }\n");
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  Node manager = e.first_filter(e.nth(e.listener(0)["filter_chains"], 0));
  Node host = e.nth(manager["route_config"]["virtual_hosts"], 0);
  Node policy = e.nth(host["routes"], 0)["route"]["retry_policy"];
  EXPECT_TRUE(policy["retry_on"].is_missing());
  EXPECT_EQ(policy["per_try_timeout"].as_duration(), std::chrono::milliseconds(500));
}

TEST(Expand, TakesCertificatesFromASecretDiscoveryService) {
  Expanded e(
      "workload: { trust_domain: mesh.local,\n"
      "  certificates: { sds: { socket: \"unix:/run/sds.sock\" } } }\n"
      "inbound: { app: 127.0.0.1:80 }\n");
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  const Node chain = e.nth(e.listener(0)["filter_chains"], 0);
  const Node tls = chain["transport_socket"]["typed_config"]["common_tls_context"];
  const Node certificate = e.nth(tls["tls_certificate_sds_secret_configs"], 0);
  EXPECT_EQ(certificate["name"].as_string(), "default");
  const Node service = e.nth(certificate["sds_config"]["api_config_source"]["grpc_services"], 0);
  const std::string cluster = service["envoy_grpc"]["cluster_name"].as_string();
  EXPECT_EQ(cluster, "certificates|sds");
  EXPECT_EQ(service["envoy_grpc"]["authority"].as_string(), "localhost");
  const Node combined = tls["combined_validation_context"];
  EXPECT_EQ(combined["validation_context_sds_secret_config"]["name"].as_string(), "ROOTCA");
  EXPECT_TRUE(combined["default_validation_context"].has("match_typed_subject_alt_names"));
  const Node endpoints = e.nth(e.cluster(cluster)["load_assignment"]["endpoints"], 0);
  const Node endpoint = e.nth(endpoints["lb_endpoints"], 0)["endpoint"];
  EXPECT_EQ(endpoint["address"]["pipe"]["path"].as_string(), "/run/sds.sock");
}

TEST(Expand, SpeaksTheProtocolOfTheClientUnlessTold) {
  constexpr std::string_view kOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  Expanded e(
      "workload: { trust_domain: mesh.local }\n"
      "inbound: { app: 127.0.0.1:80, mtls: off }\n"
      "outbound: {}\n"
      "services:\n"
      "  a: { endpoints: { dns: a:1 }, tls: off }\n"
      "  b: { endpoints: { dns: b:1 }, tls: off, protocol: auto }\n"
      "  c: { endpoints: { dns: c:1 }, tls: off, protocol: http1 }\n"
      "  d: { endpoints: { dns: d:1 }, tls: off, protocol: http2 }\n");
  EXPECT_TRUE(e.errors.ok()) << e.errors.to_string();
  const auto options = [&](std::string_view cluster) {
    return e.cluster(cluster)["typed_extension_protocol_options"][kOptions];
  };
  for (const std::string_view name : {"a", "b", "outbound|passthrough"}) {
    EXPECT_TRUE(options(name).has("use_downstream_protocol_config")) << name;
  }
  EXPECT_TRUE(options("c")["explicit_http_config"].has("http_protocol_options"));
  EXPECT_TRUE(options("d")["explicit_http_config"].has("http2_protocol_options"));
}

// A WebSocket goes through two sidecars as an upgrade or, where they speak HTTP/2, as an extended
// CONNECT.
TEST(Expand, LetsUpgradesThroughInBothProtocols) {
  constexpr std::string_view kOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  Expanded e(kSidecar);
  for (const size_t i : {size_t{0}, size_t{1}}) {
    Node manager = e.first_filter(e.nth(e.listener(i)["filter_chains"], 0));
    EXPECT_TRUE(manager["http2_protocol_options"]["allow_connect"].as_bool());
    EXPECT_EQ(e.nth(manager["upgrade_configs"], 0)["upgrade_type"].as_string(), "websocket");
  }
  Node options = e.cluster("orders")["typed_extension_protocol_options"][kOptions];
  EXPECT_TRUE(options["use_downstream_protocol_config"]["http2_protocol_options"]["allow_connect"]
                  .as_bool());
}

// The clusters of the app: "name of the cluster: protocol", in the order of the routes.
std::string app_routes(std::string_view protocol) {
  Expanded e(
      str("workload: { trust_domain: mesh.local }\ninbound: { app: 127.0.0.1:80, mtls: off, ",
          protocol, " }\n"));
  EXPECT_TRUE(e.errors.ok()) << e.errors.to_string();
  Node manager = e.first_filter(e.nth(e.listener(0)["filter_chains"], 0));
  std::string out;
  for (Node route : e.nth(manager["route_config"]["virtual_hosts"], 0)["routes"].items()) {
    const std::string name = route["route"]["cluster"].as_string();
    const Node options = e.cluster(
        name)["typed_extension_protocol_options"]
             ["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]["explicit_http_config"];
    out += str(route["match"].has("grpc") ? "grpc to " : "to ", name, " by ",
               options.has("http2_protocol_options") ? "2; " : "1; ");
  }
  return out;
}

TEST(Expand, SpeaksToTheAppAsTheContentAsksUnlessTold) {
  EXPECT_EQ(app_routes("protocol: auto"), "grpc to inbound|app-grpc by 2; to inbound|app by 1; ");
  EXPECT_EQ(app_routes("capture: off"), app_routes("protocol: auto"));
  EXPECT_EQ(app_routes("protocol: http1"), "to inbound|app by 1; ");
  EXPECT_EQ(app_routes("protocol: http2"), "to inbound|app by 2; ");
}

TEST(Expand, LeavesOtherServersUrlsAlone) {
  Expanded e(kSidecar);
  Node inbound = e.first_filter(e.nth(e.listener(0)["filter_chains"], 0));
  Node outbound = e.first_filter(e.nth(e.listener(1)["filter_chains"], 0));
  EXPECT_TRUE(inbound["merge_slashes"].as_bool());
  EXPECT_FALSE(outbound["merge_slashes"].as_bool_or(false));
  EXPECT_TRUE(outbound["normalize_path"].as_bool());
}

TEST(Expand, ShowsOnlyMetricsAndReadinessOfTheAdminInterface) {
  Expanded e("outbound: {}\ntelemetry: { metrics: { listen: 0.0.0.0:15090 } }\n");
  Node manager = e.first_filter(e.nth(e.listener(1)["filter_chains"], 0));
  std::string paths;
  for (Node route : e.nth(manager["route_config"]["virtual_hosts"], 0)["routes"].items()) {
    paths += route["match"]["path"].as_string() + ' ';
  }
  EXPECT_EQ(paths, "/stats/prometheus /metrics /ready ");
}

TEST(Expand, PointsErrorsInTheExpansionToTheShortFile) {
  Expanded e(kSidecar);
  Node cluster = e.cluster("orders");
  cluster["connect_timeout"].error("from a later stage");
  Node address = e.nth(cluster["load_assignment"]["endpoints"], 0)["lb_endpoints"];
  e.nth(address, 0)["endpoint"].error("too");
  Node chain = e.nth(e.listener(0)["filter_chains"], 0);
  Node ca = chain["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]
                 ["trusted_ca"];
  ca["filename"].error("cannot open");
  EXPECT_EQ(e.errors.to_string(),
            "mesh.yaml:3:57: workload.certificates.files.ca: cannot open\n"
            "mesh.yaml:7:11: services.orders: from a later stage\n"
            "mesh.yaml:7:31: services.orders.endpoints.dns: too\n");
}

TEST(Expand, TellsShortFilesFromEnvoysByTheirFields) {
  Errors errors;
  auto is_short = [&errors](const char* text) {
    return is_short_form(*load_text(text, "f", errors));
  };
  EXPECT_TRUE(is_short("outbound: {}\n"));
  EXPECT_TRUE(is_short("admin: { listen: 127.0.0.1:1 }\n"));
  EXPECT_FALSE(is_short("static_resources: {}\nadmin: {}\n"));
  EXPECT_FALSE(is_short("staticResources: { clusters: [] }\n"));
  EXPECT_FALSE(is_short("node: { id: x }\n"));
  EXPECT_FALSE(is_short("admin: { address: { pipe: { path: /x } } }\n"));
}

TEST(LoadBootstrap, LaysTheOverlayOnTheFile) {
  Errors errors;
  const std::string file = case_folder() / "good/outbound_only.yaml";
  auto envoy = load_bootstrap(file, "node: { id: other }", errors);
  ASSERT_NE(envoy, nullptr);
  EXPECT_EQ(envoy->root(errors)["node"]["id"].raw(), "other");
  EXPECT_EQ(envoy->root(errors)["node"]["cluster"].raw(), "workload");
  auto merged = load_bootstrap(file, "admin: { listen: 127.0.0.1:9901 }", errors);
  ASSERT_NE(merged, nullptr);
  Node admin = merged->root(errors)["admin"]["address"]["socket_address"];
  EXPECT_EQ(admin["port_value"].as_u32(), 9901U);
  EXPECT_EQ(admin["port_value"].where().place(), "--config-yaml:1:18");
  EXPECT_EQ(errors.to_string(), "");
  EXPECT_EQ(load_bootstrap("", "", errors), nullptr);
  EXPECT_FALSE(errors.ok());
}

// What asks for the identity, and how both sides of TLS name it.
TEST(Expand, TakesAnIdentityFromTheSpiffeWorkloadApi) {
  Expanded mesh(
      "workload: { certificates: { spiffe: { socket: unix:/run/agent.sock } } }\n"
      "inbound: { app: 127.0.0.1:8080 }\n");
  ASSERT_TRUE(mesh.errors.ok()) << mesh.errors.to_string();
  const Node source = mesh.root()["certificate_provider_instances"]["workload"]["typed_config"];
  EXPECT_EQ(source["@type"].as_string(), "type.googleapis.com/pillion.certs.v1.SpiffeWorkloadApi");
  EXPECT_EQ(source["cluster"].as_string(), "identity|source");
  const Node cluster = mesh.cluster("identity|source");
  ASSERT_TRUE(cluster.is_mapping());
  EXPECT_TRUE(cluster["transport_socket"].is_missing());
  const Node chain = Expanded::nth(mesh.listener(0)["filter_chains"], 0);
  const Node tls = chain["transport_socket"]["typed_config"]["common_tls_context"];
  EXPECT_EQ(tls["tls_certificate_provider_instance"]["instance_name"].as_string(), "workload");
  const Node validation = tls["validation_context"];
  EXPECT_EQ(validation["ca_certificate_provider_instance"]["certificate_name"].as_string(), "ALL");
}

TEST(Expand, ShowsATokenToTheCaOfTheFileAlone) {
  Expanded mesh(
      "workload:\n"
      "  name: users\n"
      "  namespace: shop\n"
      "  trust_domain: mesh.local\n"
      "  certificates: { csr: { address: istiod.istio-system:15012, token_file: t, ca: ca.crt,\n"
      "    key: rsa2048 } }\n"
      "inbound: { app: 127.0.0.1:8080 }\n");
  ASSERT_TRUE(mesh.errors.ok()) << mesh.errors.to_string();
  const Node source = mesh.root()["certificate_provider_instances"]["workload"]["typed_config"];
  EXPECT_EQ(source["token_file"].as_string(), "t");
  EXPECT_EQ(source["identity"].as_string(), "spiffe://mesh.local/ns/shop/sa/users");
  EXPECT_EQ(source["ttl"].as_duration(), std::chrono::hours(24));
  EXPECT_EQ(source["key"].as_string(), "rsa2048");
  const Node tls = mesh.cluster("identity|source")["transport_socket"]["typed_config"];
  EXPECT_EQ(tls["sni"].as_string(), "istiod.istio-system");
  const Node validation = tls["common_tls_context"]["validation_context"];
  EXPECT_EQ(validation["trusted_ca"]["filename"].as_string(), "ca.crt");
  const Node name = Expanded::nth(validation["match_typed_subject_alt_names"], 0);
  EXPECT_EQ(name["san_type"].as_string(), "DNS");
  EXPECT_EQ(name["matcher"]["exact"].as_string(), "istiod.istio-system");
}

TEST(Expand, ReadsTheSocketOfTheWorkloadApiAsTheStandardHasIt) {
  struct Case {
    std::string_view text, expected;  // "": refused
  };
  for (const Case& c :
       std::initializer_list<Case>{{"unix:///run/agent.sock", "unix:/run/agent.sock"},
                                   {"unix:/run/agent.sock", "unix:/run/agent.sock"},
                                   {"tcp://127.0.0.1:8081", "127.0.0.1:8081"},
                                   {"tcp://[::1]:8081", "[::1]:8081"},
                                   {"127.0.0.1:8081", "127.0.0.1:8081"},
                                   {"", ""},
                                   {"/run/agent.sock", ""},
                                   {"unix:agent.sock", ""},
                                   {"unix://authority/agent.sock", ""},
                                   {"unix:///run/agent.sock?x=1", ""},
                                   {"unix:@abstract", ""},
                                   {"tcp://agent:8081", ""},
                                   {"tcp://127.0.0.1", ""},
                                   {"tcp://127.0.0.1:8081/path", ""},
                                   {"http://127.0.0.1:8081", ""}}) {
    const auto read = parse_spiffe_endpoint(c.text);
    EXPECT_EQ(read ? read->to_string() : std::string(), c.expected) << c.text;
  }
}

TEST(Expand, TakesTheSocketFromTheEnvironmentIfNobodySaysOne) {
  constexpr std::string_view kText =
      "workload: { certificates: { spiffe: {} } }\ninbound: { app: 127.0.0.1:8080 }\n";
  ::unsetenv("SPIFFE_ENDPOINT_SOCKET");
  EXPECT_FALSE(Expanded(kText).errors.ok());
  ::setenv("SPIFFE_ENDPOINT_SOCKET", "http://x", 1);
  EXPECT_FALSE(Expanded(kText).errors.ok());
  ::setenv("SPIFFE_ENDPOINT_SOCKET", "unix:///run/agent.sock", 1);
  Expanded mesh(kText);
  EXPECT_TRUE(mesh.errors.ok()) << mesh.errors.to_string();
  EXPECT_TRUE(mesh.cluster("identity|source").is_mapping());
  ::unsetenv("SPIFFE_ENDPOINT_SOCKET");
}

}  // namespace
}  // namespace pillion::config
