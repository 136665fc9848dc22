#include <gtest/gtest.h>

#include <chrono>

#include "tests/unit/core/parse_fixture.h"

namespace pillion::core {
namespace {

using namespace std::chrono_literals;
using C = HcmConfig;

constexpr FieldCase<C> kFields[] = {
    {"codec_type: HTTP1", [](const C& c) { return c.codec == CodecType::kHttp1; }},
    {"server_name: pillion", [](const C& c) { return c.server_name == "pillion"; }},
    {"server_header_transformation: PASS_THROUGH",
     [](const C& c) { return c.server_header == ServerHeader::kPassThrough; }},
    {"server_header_transformation: APPEND_IF_ABSENT",
     [](const C& c) { return c.server_header == ServerHeader::kAppendIfAbsent; }},
    {"max_request_headers_kb: 8", [](const C& c) { return c.head_limits.max_bytes == 8192; }},
    {"max_request_headers_kb: 8192",
     [](const C& c) { return c.head_limits.max_line == 8192 * 1024; }},
    {"stream_idle_timeout: 7s", [](const C& c) { return c.stream_idle_timeout == 7s; }},
    {"stream_idle_timeout: 7s", [](const C& c) { return c.head_limits.flush_time == 7s; }},
    {"stream_flush_timeout: 8s", [](const C& c) { return c.head_limits.flush_time == 8s; }},
    {"request_timeout: 9s", [](const C& c) { return c.request_timeout == 9s; }},
    {"request_headers_timeout: 250ms",
     [](const C& c) { return c.request_headers_timeout == 250ms; }},
    {"drain_timeout: 11s", [](const C& c) { return c.drain_timeout == 11s; }},
    {"delayed_close_timeout: 0s", [](const C& c) { return c.head_limits.linger_time == 0s; }},
    {"common_http_protocol_options: { idle_timeout: 12s }",
     [](const C& c) { return c.idle_timeout == 12s; }},
    {"common_http_protocol_options: { max_connection_duration: 13s }",
     [](const C& c) { return c.max_connection_duration == 13s; }},
    {"common_http_protocol_options: { max_stream_duration: 14s }",
     [](const C& c) { return c.max_stream_duration == 14s; }},
    {"common_http_protocol_options: { max_headers_count: 7 }",
     [](const C& c) { return c.head_limits.max_fields == 7; }},
    {"common_http_protocol_options: { max_requests_per_connection: 9 }",
     [](const C& c) { return c.max_requests_per_connection == 9; }},
    {"common_http_protocol_options: { headers_with_underscores_action: REJECT_REQUEST }",
     [](const C& c) { return c.underscores == Underscores::kReject; }},
    {"common_http_protocol_options: { headers_with_underscores_action: DROP_HEADER }",
     [](const C& c) { return c.underscores == Underscores::kDrop; }},
    {"http_protocol_options: { allow_absolute_url: false }",
     [](const C& c) { return !c.head_limits.allow_absolute_url; }},
    {"http_protocol_options: { accept_http_10: true }",
     [](const C& c) { return c.head_limits.accept_http10; }},
    {"http_protocol_options: { accept_http_10: true, default_host_for_http_10: a.b }",
     [](const C& c) { return c.default_host_http10 == "a.b"; }},
    {"use_remote_address: true", [](const C& c) { return c.use_remote_address; }},
    {"xff_num_trusted_hops: 2", [](const C& c) { return c.xff_num_trusted_hops == 2; }},
    {"skip_xff_append: true", [](const C& c) { return c.skip_xff_append; }},
    {"append_x_forwarded_port: true", [](const C& c) { return c.append_x_forwarded_port; }},
    {"via: '1.1 pillion'", [](const C& c) { return c.via == "1.1 pillion"; }},
    {"generate_request_id: false", [](const C& c) { return !c.generate_request_id; }},
    {"preserve_external_request_id: true",
     [](const C& c) { return c.preserve_external_request_id; }},
    {"always_set_request_id_in_response: true",
     [](const C& c) { return c.always_set_request_id_in_response; }},
    {"forward_client_cert_details: FORWARD_ONLY",
     [](const C& c) { return c.forward_client_cert == ForwardClientCert::kForwardOnly; }},
    {"forward_client_cert_details: APPEND_FORWARD",
     [](const C& c) { return c.forward_client_cert == ForwardClientCert::kAppendForward; }},
    {"forward_client_cert_details: SANITIZE_SET",
     [](const C& c) { return c.forward_client_cert == ForwardClientCert::kSanitizeSet; }},
    {"forward_client_cert_details: ALWAYS_FORWARD_ONLY",
     [](const C& c) { return c.forward_client_cert == ForwardClientCert::kAlwaysForwardOnly; }},
    {"set_current_client_cert_details: { cert: true }",
     [](const C& c) { return c.client_cert_details.cert; }},
    {"set_current_client_cert_details: { chain: true }",
     [](const C& c) { return c.client_cert_details.chain; }},
    {"set_current_client_cert_details: { subject: true }",
     [](const C& c) { return c.client_cert_details.subject; }},
    {"set_current_client_cert_details: { dns: true }",
     [](const C& c) { return c.client_cert_details.dns; }},
    {"set_current_client_cert_details: { uri: true }",
     [](const C& c) { return c.client_cert_details.uri; }},
    {"proxy_100_continue: true", [](const C& c) { return c.proxy_100_continue; }},
    {"strip_any_host_port: true", [](const C& c) { return c.strip_any_host_port; }},
    {"strip_matching_host_port: true", [](const C& c) { return c.strip_matching_host_port; }},
    {"strip_trailing_host_dot: true", [](const C& c) { return c.strip_trailing_host_dot; }},
    {"normalize_path: true", [](const C& c) { return c.path.normalize; }},
    {"merge_slashes: true", [](const C& c) { return c.path.merge_slashes; }},
    {"path_with_escaped_slashes_action: REJECT_REQUEST",
     [](const C& c) { return c.path.escaped_slashes == match::EscapedSlashes::kReject; }},
    {"upgrade_configs: [ { upgrade_type: WebSocket } ]",
     [](const C& c) {
       return c.upgrades.size() == 1 && c.upgrades[0].type == "websocket" && c.upgrades[0].enabled;
     }},
    {"upgrade_configs: [ { upgrade_type: CONNECT, enabled: false } ]",
     [](const C& c) {
       return c.upgrades.size() == 1 && c.upgrades[0].type == "connect" && !c.upgrades[0].enabled;
     }},
    {"local_reply_config: {}", [](const C& c) { return c.local_replies != nullptr; }},
    {"access_log: [ {}, {} ]", [](const C& c) { return c.access_logs.size() == 2; }},
};

TEST(HcmParsing, BringsEachFieldToItsPlace) {
  const ParsedManager plain(manager());
  for (const FieldCase<C>& field : kFields) {
    const ParsedManager config(manager(field.yaml));
    EXPECT_EQ(config.messages, "") << field.yaml;
    EXPECT_TRUE(field.arrived(*config)) << field.yaml;
    EXPECT_FALSE(field.arrived(*plain)) << field.yaml;
    EXPECT_NE(config->hash, plain->hash) << field.yaml;
  }
}

TEST(HcmParsing, HasEnvoysDefaults) {
  const ParsedManager config(manager());
  EXPECT_EQ(config.messages, "");
  EXPECT_EQ(config->stat_prefix, "web");
  EXPECT_EQ(config->codec, CodecType::kAuto);
  EXPECT_EQ(config->head_limits.max_bytes, 60u * 1024);
  EXPECT_EQ(config->head_limits.max_fields, 100u);
  EXPECT_FALSE(config->head_limits.accept_http10);
  EXPECT_TRUE(config->head_limits.allow_absolute_url);
  EXPECT_EQ(config->idle_timeout, 1h);
  EXPECT_EQ(config->stream_idle_timeout, 5min);
  EXPECT_EQ(config->head_limits.flush_time, 5min);
  EXPECT_EQ(config->request_timeout, 0s);
  EXPECT_EQ(config->max_stream_duration, 0s);
  EXPECT_EQ(config->drain_timeout, 5s);
  EXPECT_EQ(config->head_limits.linger_time, 1s);
  EXPECT_TRUE(config->generate_request_id);
  EXPECT_EQ(config->forward_client_cert, ForwardClientCert::kSanitize);
  EXPECT_EQ(config->server_name, "envoy");
  EXPECT_EQ(config->server_header, ServerHeader::kOverwrite);
  EXPECT_EQ(config->local_replies, nullptr);
  ASSERT_NE(config->routes, nullptr);
}

TEST(HcmParsing, TellsTheClustersOfItsRoutes) {
  const std::string route = "{ match: { prefix: / }, route: { cluster: users } }";
  const ParsedManager config(str("{ stat_prefix: a, http_filters: [ ", kRouter,
                                 " ], route_config: { name: r, virtual_hosts: [ { name: v, "
                                 "domains: [ '*' ], request_headers_to_add: [ { header: "
                                 "{ key: a, value: '%X%' } } ], routes: [ ",
                                 route, " ] } ] } }"));
  EXPECT_EQ(config.messages, "");
  EXPECT_EQ(config->routes->name(), "r");
  ASSERT_EQ(config.clusters.size(), 1u);
  EXPECT_EQ(config.clusters[0].value, "users");
}

TEST(HcmParsing, TakesTheOptionsOfTheRouter) {
  const auto with_router = [](std::string_view options) {
    return str(
        "{ stat_prefix: a, route_config: {}, http_filters: [ { name: r, is_optional: true, "
        "typed_config: { '@type': "
        "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, ",
        options, " } } ] }");
  };
  const ParsedManager first(
      with_router("suppress_envoy_headers: true, dynamic_stats: false, start_child_span: false"));
  EXPECT_EQ(first.messages, "");
  EXPECT_TRUE(first->suppress_envoy_headers);
  EXPECT_FALSE(first->respect_expected_rq_timeout);
  const ParsedManager second(with_router("respect_expected_rq_timeout: true"));
  EXPECT_TRUE(second->respect_expected_rq_timeout);
  EXPECT_FALSE(second->suppress_envoy_headers);
}

TEST(HcmParsing, ReadsCamelCaseAsJsonWritesIt) {
  const ParsedManager config(
      str("{ statPrefix: a, routeConfig: {}, xffNumTrustedHops: 3, httpFilters: [ { name: r, "
          "typedConfig: { '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3."
          "Router, suppressEnvoyHeaders: true } } ] }"));
  EXPECT_EQ(config.messages, "");
  EXPECT_EQ(config->xff_num_trusted_hops, 3u);
  EXPECT_TRUE(config->suppress_envoy_headers);
}

// The name of a oneof's member says what the text is.
TEST(HcmParsing, ReadsCamelCaseInDataSources) {
  const ParsedManager config(
      str("{ statPrefix: a, httpFilters: [ ", kRouter,
          " ], routeConfig: { virtualHosts: [ { name: v, domains: [ '*' ], routes: [ { match: { "
          "prefix: / }, "
          "directResponse: { status: 200, body: { inlineBytes: aGk= } } } ] } ] } }"));
  EXPECT_EQ(config.messages, "");
  const auto match = config->routes->match(route::Request("h/").head, 0, false);
  ASSERT_TRUE(match);
  EXPECT_EQ(match.route->direct_response->body, "hi");
}

// What is legal and changes nothing.
TEST(HcmParsing, AcceptsWhatHasNoEffect) {
  for (const std::string_view field :
       {"http1_safe_max_connection_duration: true", "add_proxy_protocol_connection_state: false",
        "common_http_protocol_options: { max_response_headers_kb: 9 }", "access_log_options: {}",
        "access_log_options: { flush_access_log_on_new_request: false }",
        "stream_error_on_invalid_http_message: false",
        "http_protocol_options: { allow_chunked_length: false, send_fully_qualified_url: true, "
        "use_balsa_parser: true }",
        "request_id_extension: { typed_config: { '@type': "
        "type.googleapis.com/envoy.extensions.request_id.uuid.v3."
        "UuidRequestIdConfig, pack_trace_reason: false } }"}) {
    EXPECT_EQ(ParsedManager(manager(field)).messages, "") << field;
  }
}

TEST(HcmParsing, TakesTheOptionsOfHttp2) {
  const ParsedManager config(
      manager("codec_type: HTTP2, http2_protocol_options: { max_concurrent_streams: 5, "
              "connection_keepalive: { interval: 30s, timeout: 5s } }"));
  EXPECT_EQ(config.messages, "");
  EXPECT_EQ(config->codec, CodecType::kHttp2);
  EXPECT_EQ(config->h2.max_concurrent_streams, 5u);
  EXPECT_EQ(config->h2.ping_interval, std::chrono::seconds(30));
  EXPECT_FALSE(config->h2.allow_connect);
  const ParsedManager upgrades(manager("http2_protocol_options: { allow_connect: true }"));
  EXPECT_EQ(upgrades.messages, "");
  EXPECT_TRUE(upgrades->h2.allow_connect);
  const ParsedManager more(
      manager("max_request_headers_kb: 96, drain_timeout_jitter: { value: 20 }, "
              "common_http_protocol_options: { max_connection_duration_jitter: { value: 10 } }, "
              "http2_protocol_options: { disallow_obs_text: true, stream_reset_burst: 7 }"));
  EXPECT_EQ(more.messages, "");
  EXPECT_EQ(more->h2.max_head_bytes, 96u * 1024);
  EXPECT_EQ(more->h2.stream_reset_burst, 7u);
  EXPECT_TRUE(more->head_limits.disallow_obs_text);
  EXPECT_EQ(more->drain_timeout_jitter, 20);
  EXPECT_EQ(more->connection_duration_jitter, 10);
  const ParsedManager refused(manager("http2_protocol_options: { allow_metadata: true }"));
  EXPECT_FALSE(refused.errors.ok());
}

TEST(HcmParsing, WarnsOfTheOptionsOfCodecsToCome) {
  const ParsedManager config(manager("http3_protocol_options: {}"));
  EXPECT_TRUE(config.errors.ok());
  EXPECT_EQ(config.messages,
            "l:1:63: http3_protocol_options: warning: has no effect: HTTP/3 comes with a later "
            "version\n");
}

TEST(HcmParsing, WarnsThatTrailersCannotBeDropped) {
  const ParsedManager config(manager("http_protocol_options: { enable_trailers: false }"));
  EXPECT_TRUE(config.errors.ok());
  EXPECT_NE(config.messages.find(
                "enable_trailers: warning: has no effect: trailers are always forwarded"),
            std::string::npos)
      << config.messages;
}

// Envoy has it, or will have it: it may guard something.  Names outside of its tree it lacks, too.
TEST(HcmParsing, SkipsOptionalFiltersOfTypesThatEnvoyCannotHave) {
  const auto messages = [](std::string_view type) {
    return ParsedManager(str("{ stat_prefix: a, route_config: {}, http_filters: [ { name: f, "
                             "is_optional: true, typed_config: { '@type': type.googleapis.com/",
                             type, " } }, ", kRouter, " ] }"))
        .messages;
  };
  EXPECT_NE(messages("acme.v1.Anything").find("is optional and skipped"), std::string::npos);
  for (const std::string_view type :
       {"envoy.extensions.filters.http.filter_chain.v3.FilterChainConfig",
        "envoy.extensions.filters.http.next_year.v3.Guard",
        "envoy.config.filter.http.golang.v2.Config"}) {
    const std::string text = messages(type);
    EXPECT_EQ(text.find("skipped"), std::string::npos) << text;
    EXPECT_NE(text.find("HTTP filter"), std::string::npos) << type;
  }
}

TEST(HcmParsing, LooksAtNoMoreFiltersThanAChainMayHave) {
  std::string list;
  for (int i = 0; i < 5000; ++i)
    list += str("{ name: f", i, ", is_optional: true, typed_config: { '@type': x/acme.v1.A } }, ");
  const ParsedManager config(
      str("{ stat_prefix: a, route_config: {}, http_filters: [ ", list, kRouter, " ] }"));
  EXPECT_NE(config.messages.find("expected at most 64 filters"), std::string::npos);
  EXPECT_EQ(config.messages.find("f100"), std::string::npos);
}

}  // namespace
}  // namespace pillion::core
