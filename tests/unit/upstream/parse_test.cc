// config.cluster.v3.Cluster: what is understood, what is refused (bad files with their messages).
#include "proxy/upstream/parse.h"

#include "proxy/tls/issue.h"
#include "tests/unit/config/cases.h"
#include "tests/unit/upstream/fixture.h"

namespace pillion::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void parse_clusters(const std::string& path, config::Errors& errors) {
  const auto document = config::load_file(path, errors);
  if (document == nullptr) return;
  for (const config::Node cluster :
       document->root(errors)["static_resources"]["clusters"].items()) {
    (void)parse_cluster(cluster);
  }
}

TEST(ClusterParsing, GivesTheExpectedMessagesForEachBadFile) {
  size_t checked = 0;
  for (const config::Case& c : config::read_cases(config::case_folder() / "bad/envoy")) {
    if (!c.path.filename().string().starts_with("cluster_")) continue;
    ++checked;
    EXPECT_NE(c.expected, "") << c.path;
    EXPECT_EQ(config::messages_of(c, parse_clusters), c.expected) << c.path;
  }
  EXPECT_NE(checked, 0u);
}

TEST(ClusterParsing, HasEnvoysDefaultsButForIdleConnections) {
  const auto c = cluster_of("name: orders");
  EXPECT_EQ(c->name, "orders");
  EXPECT_EQ(c->stat_name, "orders");
  EXPECT_EQ(c->type, DiscoveryType::kStatic);
  EXPECT_TRUE(c->static_hosts.hosts.empty());
  EXPECT_EQ(c->pool->connect_timeout, seconds(5));
  EXPECT_EQ(c->pool->idle_timeout, seconds(60));
  EXPECT_EQ(c->pool->limits.max_connections, 1024u);
  EXPECT_EQ(c->pool->limits.max_pending, 1024u);
  EXPECT_EQ(c->pool->limits.max_requests, 1024u);
  EXPECT_EQ(c->pool->limits.max_retries, 3u);
  EXPECT_FALSE(c->pool->limits.retry_budget);
  EXPECT_EQ(c->balancer.group.policy, BalancePolicy::kRoundRobin);
  EXPECT_EQ(c->balancer.panic_threshold, 50u);
  EXPECT_EQ(c->balancer.overprovisioning, 140u);
  EXPECT_EQ(c->buffer_limit, 1024u * 1024);
  EXPECT_EQ(c->dns->refresh_rate, seconds(5));
  EXPECT_EQ(c->dns->failure_base, seconds(5));
  EXPECT_EQ(c->dns->failure_max, seconds(5));
  EXPECT_EQ(c->pool->tls, nullptr);
}

TEST(ClusterParsing, ReadsEveryFieldThatItKnows) {
  const auto c = cluster_of(R"(
name: orders
alt_stat_name: o
type: STRICT_DNS
connect_timeout: 0.25s
per_connection_buffer_limit_bytes: 4096
lb_policy: LEAST_REQUEST
least_request_lb_config: { choice_count: 4, active_request_bias: { default_value: 0.5, runtime_key: x } }
common_lb_config:
  healthy_panic_threshold: { value: 33.4 }
  zone_aware_lb_config: { fail_traffic_on_panic: true }
  update_merge_window: 1s
  ignore_new_hosts_until_first_hc: true
load_assignment:
  cluster_name: orders
  policy: { overprovisioning_factor: 200 }
  endpoints:
  - locality: { region: eu, zone: a, sub_zone: "1" }
    priority: 1
    load_balancing_weight: 3
    lb_endpoints:
    - endpoint: { hostname: h, address: { socket_address: { address: orders.shop, port_value: 8080 } } }
      health_status: DEGRADED
      load_balancing_weight: 7
    - endpoint: { address: { socket_address: { address: 10.0.0.1, port_value: 81 } } }
circuit_breakers:
  thresholds:
  - { priority: HIGH, max_connections: 1 }
  - { max_connections: 2, max_pending_requests: 3, max_requests: 4, max_retries: 5, track_remaining: true,
      retry_budget: { budget_percent: { value: 12.5 } } }
dns_refresh_rate: 30s
dns_failure_refresh_rate: { base_interval: 2s }
respect_dns_ttl: true
dns_lookup_family: V4_PREFERRED
dns_jitter: 1s
upstream_connection_options: { tcp_keepalive: { keepalive_probes: 3, keepalive_time: 10, keepalive_interval: 5 } }
upstream_bind_config:
  source_address: { address: 127.0.0.2, port_value: 0 }
  extra_source_addresses: [ { address: { address: "::6", port_value: 0 } } ]
transport_socket:
  name: envoy.transport_sockets.raw_buffer
  typed_config: { "@type": type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer }
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    common_http_protocol_options:
      idle_timeout: 10s
      max_connection_duration: 60s
      max_headers_count: 50
      max_requests_per_connection: 9
      max_response_headers_kb: 8
    explicit_http_config: { http_protocol_options: {} }
)");
  EXPECT_EQ(c->stat_name, "o");
  EXPECT_EQ(c->type, DiscoveryType::kStrictDns);
  EXPECT_EQ(c->pool->connect_timeout, milliseconds(250));
  EXPECT_EQ(c->buffer_limit, 4096u);
  EXPECT_EQ(c->balancer.group.policy, BalancePolicy::kLeastRequest);
  EXPECT_EQ(c->balancer.group.choice_count, 4u);
  EXPECT_EQ(c->balancer.group.active_request_bias, 0.5);
  EXPECT_EQ(c->balancer.panic_threshold, 33u);
  EXPECT_TRUE(c->balancer.fail_traffic_on_panic);
  EXPECT_TRUE(c->balancer.excludes_unchecked);
  EXPECT_EQ(c->balancer.overprovisioning, 200u);
  ASSERT_EQ(c->dns_targets.size(), 2u);
  const DnsTarget& first = c->dns_targets[0];
  EXPECT_EQ(first.name, "orders.shop");
  EXPECT_EQ(first.port, 8080);
  EXPECT_EQ(first.like.hostname, "h");
  EXPECT_EQ(first.like.weight, 7u);
  EXPECT_EQ(first.like.priority, 1u);
  EXPECT_EQ(first.like.health, HealthStatus::kDegraded);
  ASSERT_NE(first.like.locality, nullptr);
  EXPECT_EQ(*first.like.locality, (Locality{"eu", "a", "1"}));
  EXPECT_EQ(c->dns_targets[1].name, "10.0.0.1");
  EXPECT_EQ(c->dns_targets[1].like.hostname, "10.0.0.1");
  EXPECT_EQ(c->pool->limits.max_connections, 2u);
  EXPECT_EQ(c->pool->limits.max_pending, 3u);
  EXPECT_EQ(c->pool->limits.max_requests, 4u);
  EXPECT_EQ(c->pool->limits.max_retries, 5u);
  ASSERT_TRUE(c->pool->limits.retry_budget);
  EXPECT_EQ(c->pool->limits.retry_budget->percent, 12.5);
  EXPECT_EQ(c->pool->limits.retry_budget->min_concurrency, 3u);
  EXPECT_TRUE(c->tracks_remaining);
  EXPECT_EQ(c->dns->refresh_rate, seconds(30));
  EXPECT_EQ(c->dns->failure_base, seconds(2));
  EXPECT_EQ(c->dns->failure_max, seconds(20));
  EXPECT_TRUE(c->dns->respect_ttl);
  EXPECT_EQ(c->dns->family, DnsFamily::kV4Preferred);
  EXPECT_EQ(c->dns->jitter, seconds(1));
  EXPECT_TRUE(c->pool->socket.keepalive);
  EXPECT_EQ(c->pool->socket.keepalive_probes, 3u);
  EXPECT_EQ(c->pool->socket.keepalive_time_s, 10u);
  EXPECT_EQ(c->pool->socket.keepalive_interval_s, 5u);
  EXPECT_EQ(c->pool->source.to_string(), "127.0.0.2:0");
  EXPECT_EQ(c->pool->source_for(*io::Address::parse_ip("10.0.0.1", 80)), c->pool->source);
  EXPECT_EQ(c->pool->source_for(*io::Address::parse_ip("fd00::1", 80)).to_string(), "[::6]:0");
  EXPECT_EQ(c->pool->idle_timeout, seconds(10));
  EXPECT_EQ(c->pool->max_connection_duration, seconds(60));
  EXPECT_EQ(c->pool->head_limits.max_fields, 50u);
  EXPECT_EQ(c->pool->head_limits.max_bytes, 8192u);
  EXPECT_EQ(c->pool->max_requests_per_connection, 9u);
}

TEST(ClusterParsing, TakesTheOlderFieldsOfHttpToo) {
  const auto c = cluster_of(
      "{ name: a, max_requests_per_connection: 4, http_protocol_options: { accept_http_10: true },"
      " common_http_protocol_options: { idle_timeout: 0s } }");
  EXPECT_EQ(c->pool->max_requests_per_connection, 4u);
  EXPECT_EQ(c->pool->idle_timeout, Duration{});
}

TEST(ClusterParsing, GivesStaticEndpointsTheirHosts) {
  const auto c =
      cluster_of("{ name: a, " + endpoints({"10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:80"}) + " }");
  ASSERT_EQ(c->static_hosts.hosts.size(), 2u) << "a repeated endpoint is one";
  EXPECT_EQ(c->static_hosts.hosts[0]->address.to_string(), "10.0.0.1:80");
  EXPECT_EQ(c->static_hosts.hosts[0]->hostname(), "");
  EXPECT_NE(c->static_hosts.hosts[0]->id, c->static_hosts.hosts[1]->id);
}

TEST(ClusterParsing, TakesUnixSocketsAndOriginalDestinations) {
  const auto local = cluster_of(
      "{ name: a, load_assignment: { endpoints: [ { lb_endpoints: [ { endpoint: { address: { pipe: "
      "{ "
      "path: /run/app.sock } } } } ] } ] } }");
  ASSERT_EQ(local->static_hosts.hosts.size(), 1u);
  EXPECT_EQ(local->static_hosts.hosts[0]->address.to_string(), "unix:/run/app.sock");

  const auto original = cluster_of(
      "{ name: a, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, cleanup_interval: 3s,"
      " original_dst_lb_config: { use_http_header: false, upstream_port_override: 15006 } }");
  EXPECT_EQ(original->type, DiscoveryType::kOriginalDst);
  EXPECT_EQ(original->cleanup_interval, seconds(3));
  EXPECT_EQ(original->original_dst_port, 15006);
}

TEST(ClusterParsing, KeepsConnectionsWhenOnlyPolicyDiffers) {
  const std::string base = endpoints({"10.0.0.1:80"});
  const auto a = cluster_of("{ name: a, " + base + " }");
  const auto same = cluster_of("{ " + base + ", name: a }");
  EXPECT_EQ(a->hash, same->hash);
  EXPECT_EQ(a->connection_hash, same->connection_hash);
  for (const char* policy :
       {"connect_timeout: 1s", "lb_policy: RANDOM",
        "circuit_breakers: { thresholds: [ { max_connections: 1 } ] }",
        "common_http_protocol_options: { idle_timeout: 1s, max_headers_count: 3 }"}) {
    const auto other = cluster_of(str("{ name: a, ", base, ", ", policy, " }"));
    EXPECT_NE(a->hash, other->hash) << policy;
    EXPECT_EQ(a->connection_hash, other->connection_hash) << policy;
  }
  for (const char* connection :
       {"upstream_bind_config: { source_address: { address: 127.0.0.1, port_value: 0 } }",
        "upstream_connection_options: { tcp_keepalive: {} }", "alt_stat_name: b"}) {
    const auto other = cluster_of(str("{ name: a, ", base, ", ", connection, " }"));
    EXPECT_NE(a->hash, other->hash) << connection;
    EXPECT_NE(a->connection_hash, other->connection_hash) << connection;
  }
}

std::string with_tls(const tls::Issued& ca) {
  std::string pem;
  for (char c : ca.certificate_pem) c == '\n' ? pem += "\\n" : pem += c;
  return str(
      "{ name: a, transport_socket: { name: tls, typed_config: { \"@type\": "
      "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: a.b, "
      "common_tls_context: { validation_context: { trusted_ca: { inline_string: \"",
      pem, "\" } } } } } }");
}

TEST(ClusterParsing, SharesTlsContextsAndCountsThemInItsHashes) {
  tls::CertificateRequest request;
  request.common_name = "ca";
  request.not_before = 1'700'000'000;
  request.not_after = 2'900'000'000;
  request.is_ca = true;
  const auto ca = tls::issue(request, nullptr);
  const auto other_ca = tls::issue(request, nullptr);
  ASSERT_TRUE(ca && other_ca);
  const auto a = cluster_of(with_tls(*ca));
  const auto b = cluster_of(with_tls(*ca));
  const auto c = cluster_of(with_tls(*other_ca));
  ASSERT_NE(a->pool->tls, nullptr);
  EXPECT_EQ(a->pool->tls->current()->sni(), "a.b");
  EXPECT_EQ(a->pool->tls, b->pool->tls);
  EXPECT_EQ(a->connection_hash, b->connection_hash);
  EXPECT_NE(a->connection_hash, c->connection_hash);
  EXPECT_NE(a->connection_hash, cluster_of("name: a")->connection_hash);
}

TEST(ClusterParsing, KnowsOutlierDetectionAndItsDefaults) {
  const auto a = cluster_of("{ name: a, outlier_detection: {} }");
  ASSERT_NE(a->outlier, nullptr);
  ASSERT_NE(a->health, nullptr);
  EXPECT_EQ(a->outlier->consecutive_5xx, 5u);
  EXPECT_EQ(a->outlier->interval, std::chrono::seconds(10));
  EXPECT_EQ(a->outlier->base_ejection_time, std::chrono::seconds(30));
  EXPECT_EQ(a->outlier->max_ejection_time, std::chrono::seconds(300));
  EXPECT_EQ(a->outlier->max_ejection_percent, 10u);
  EXPECT_FALSE(a->outlier->always_eject_one);
  EXPECT_EQ(a->outlier->enforcing_of(OutlierKind::kConsecutiveGateway), 0u);
  EXPECT_EQ(a->outlier->enforcing_of(OutlierKind::kConsecutive5xx), 100u);
  const auto b = cluster_of(
      "{ name: a, outlier_detection: { base_ejection_time: 400s, enforcing_success_rate: 7, "
      "split_external_local_origin_errors: true, always_eject_one_host: true } }");
  EXPECT_EQ(b->outlier->max_ejection_time, std::chrono::seconds(400)) << "gives way to the base";
  EXPECT_EQ(b->outlier->enforcing_of(OutlierKind::kSuccessRate), 7u);
  EXPECT_TRUE(b->outlier->split_local_origin);
  EXPECT_TRUE(b->outlier->always_eject_one);
  EXPECT_NE(a->hash, b->hash);
  EXPECT_EQ(a->connection_hash, b->connection_hash) << "connections stay";
  EXPECT_EQ(cluster_of("name: a")->health, nullptr);
}

TEST(ClusterParsing, KnowsHealthChecksAndTheirDefaults) {
  const auto http = cluster_of(
      "{ name: a, health_checks: [ { timeout: 1s, interval: 4s, unhealthy_threshold: 3, "
      "healthy_threshold: 2, http_health_check: { path: /up, method: HEAD, request_headers_to_add: "
      "[ { header: { key: X-Probe, value: yes } } ], expected_statuses: [ { start: 200, end: 300 } "
      "], retriable_statuses: [ { start: 500, end: 501 } ] } } ] }");
  ASSERT_NE(http->health_check, nullptr);
  const HealthCheckOptions& o = *http->health_check;
  EXPECT_EQ(o.kind, HealthCheckOptions::Kind::kHttp);
  EXPECT_EQ(o.unhealthy_interval, std::chrono::seconds(4));
  EXPECT_EQ(o.unhealthy_edge_interval, std::chrono::seconds(4));
  EXPECT_EQ(o.no_traffic_interval, std::chrono::seconds(60));
  EXPECT_TRUE(o.reuse_connection);
  EXPECT_EQ(o.http.method, "HEAD");
  EXPECT_EQ(o.http.headers.front().first, "x-probe");
  EXPECT_TRUE(HttpCheck::contains(o.http.expected, 299));
  EXPECT_FALSE(HttpCheck::contains(o.http.expected, 300));
  EXPECT_TRUE(HttpCheck::contains(o.http.retriable, 500));
  const auto tcp = cluster_of(
      "{ name: a, health_checks: [ { timeout: 1s, interval: 4s, unhealthy_threshold: 3, "
      "healthy_threshold: 2, tcp_health_check: { send: { text: 50494e47 }, receive: [ { text: "
      "'504f' }, { text: 4E47 } ] } } ] }");
  EXPECT_EQ(tcp->health_check->tcp.send, "PING");
  EXPECT_EQ(tcp->health_check->tcp.receive, (std::vector<std::string>{"PO", "NG"}));
}

TEST(ClusterParsing, KnowsTheTransportCriteriaOfHealthChecks) {
  const auto with = [](std::string_view fields) {
    return cluster_of(str("{ name: a, health_checks: [ { timeout: 1s, interval: 4s, "
                          "unhealthy_threshold: 3, healthy_threshold: 2, tcp_health_check: {}",
                          fields, " } ] }"))
        ->health_check->transport_criteria;
  };
  EXPECT_EQ(with(""), std::nullopt);
  EXPECT_EQ(with(", transport_socket_match_criteria: {}"), LabelSet{});
  EXPECT_EQ(with(", transport_socket_match_criteria: { a: 1 }"), (LabelSet{{"a", "1"}}));
}

TEST(ClusterParsing, AdoptsWhatItsPredecessorKnewOfHosts) {
  const auto a = cluster_of("{ name: a, outlier_detection: {} }");
  const auto b = cluster_of("{ name: a, outlier_detection: { interval: 1s } }");
  adopt_limits(*b, *a);
  EXPECT_EQ(a->health, b->health);
  const auto c = cluster_of("name: a");
  adopt_limits(*c, *b);
  EXPECT_EQ(c->health, nullptr);
}

TEST(ClusterParsing, AdoptsTheLimitsOfItsPredecessor) {
  const auto a = cluster_of("name: a");
  const auto b = cluster_of("name: a");
  EXPECT_NE(a->limits, b->limits);
  adopt_limits(*b, *a);
  EXPECT_EQ(a->limits, b->limits);
}

TEST(ClusterParsing, WarnsInsteadOfRefusingWhenUnknownFieldsAreTolerated) {
  config::Errors errors(config::UnknownFields::kWarn);
  const auto document =
      config::load_text("{ name: a, stats_matcher: {}, preconnect_policy: {} }", "t", errors);
  (void)parse_cluster(document->root(errors));
  EXPECT_TRUE(errors.ok()) << errors.to_string();
  EXPECT_EQ(errors.warning_count(), 2u);
}

TEST(ClusterParsing, TakesOlderFieldsBesideTypedOptionsWhichCount) {
  const auto c = cluster_of(
      "name: a\nhttp2_protocol_options: {}\nper_connection_buffer_limit_bytes: 0\n"
      "max_requests_per_connection: 7\nupstream_http_protocol_options: { auto_sni: false }\n"
      "typed_extension_protocol_options: { o: { '@type': "
      "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, "
      "upstream_http_protocol_options: {}, explicit_http_config: { http_protocol_options: {} } } "
      "}");
  EXPECT_EQ(c->pool->protocol, UpstreamProtocol::kHttp1);
  EXPECT_EQ(c->pool->max_requests_per_connection, 7u);
  EXPECT_EQ(c->buffer_limit, UINT32_MAX) << "0 is no limit";
}

}  // namespace
}  // namespace pillion::upstream
