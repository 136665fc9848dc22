#include "proxy/config/grpc_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "proxy/base/str.h"
#include "proxy/config/expand.h"
#include "proxy/config/google_grpc.h"

namespace pillion::config {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

struct Parsed {
  explicit Parsed(std::string_view yaml) {
    const DocumentPtr document = load_text(yaml, "f.yaml", errors);
    if (document != nullptr) service = parse_api_config_source(document->root(errors));
    messages = errors.to_string();
  }
  Errors errors;
  GrpcService service;
  std::string messages;
};

std::string source(std::string_view type, std::string_view services, std::string_view more = {}) {
  return str("{ api_type: ", type, ", transport_api_version: V3, grpc_services: [ ", services,
             " ], ", more, " }");
}

TEST(ApiConfigSource, KnowsTheTypesOfGrpc) {
  for (const auto& [type, is_delta] :
       {std::pair("GRPC", false), std::pair("DELTA_GRPC", true),
        std::pair("AGGREGATED_GRPC", false), std::pair("AGGREGATED_DELTA_GRPC", true)}) {
    const Parsed parsed(source(type, "{ envoy_grpc: { cluster_name: c } }"));
    EXPECT_EQ(parsed.messages, "") << type;
    EXPECT_EQ(parsed.service.is_delta, is_delta) << type;
    EXPECT_EQ(parsed.service.cluster.value, "c");
    EXPECT_FALSE(parsed.service.failover);
    EXPECT_FALSE(parsed.service.requests);
  }
}

TEST(ApiConfigSource, HasASecondServerAndARate) {
  const Parsed parsed(
      source("GRPC",
             "{ envoy_grpc: { cluster_name: a, max_receive_message_length: 100 } }, "
             "{ envoy_grpc: { cluster_name: b, authority: x, max_receive_message_length: 200 }, "
             "initial_metadata: [ { key: k, value: v } ] }",
             "rate_limit_settings: { max_tokens: 5, fill_rate: 4 }"));
  EXPECT_EQ(parsed.messages, "");
  EXPECT_EQ(parsed.service.cluster.value, "a");
  EXPECT_EQ(parsed.service.max_message_bytes, 200u);
  ASSERT_TRUE(parsed.service.failover);
  EXPECT_EQ(parsed.service.failover->cluster.value, "b");
  EXPECT_EQ(parsed.service.failover->authority, "x");
  EXPECT_EQ(parsed.service.failover->metadata.size(), 1u);
  ASSERT_TRUE(parsed.service.requests);
  EXPECT_EQ(parsed.service.requests->max_tokens, 5u);
  EXPECT_EQ(parsed.service.requests->interval, 250ms);
  const Parsed defaults(
      source("GRPC", "{ envoy_grpc: { cluster_name: a } }", "rate_limit_settings: {}"));
  ASSERT_TRUE(defaults.service.requests);
  EXPECT_EQ(defaults.service.requests->max_tokens, 100u);
  EXPECT_EQ(defaults.service.requests->interval, 100ms);
}

TEST(ApiConfigSource, IsRefusedByName) {
  constexpr std::string_view kOne = "{ envoy_grpc: { cluster_name: a } }";
  const auto google = [](std::string_view fields) {
    return source("GRPC", str("{ google_grpc: { target_uri: \"a:1\", ", fields, " } }"));
  };
  const auto target = [](std::string_view uri) {
    return source("GRPC", str("{ google_grpc: { target_uri: \"", uri, "\" } }"));
  };
  const std::pair<std::string, const char*> cases[] = {
      {source("REST", kOne), "nothing is polled: use GRPC or DELTA_GRPC"},
      {source("GRPC", kOne, "cluster_names: [ a ]"), "use grpc_services"},
      {source("GRPC", ""), "grpc_services: expected one service, or a second one"},
      {source("GRPC", str(kOne, ", ", kOne)), "expected two different services"},
      {source("GRPC", str(kOne, ", ", kOne, ", ", kOne)), "expected one service, or a second one"},
      {source("GRPC", kOne, "rate_limit_settings: { fill_rate: 0 }"),
       "fill_rate: expected 0.00001"},
      {source("GRPC", kOne, "rate_limit_settings: { max_tokens: 0 }"), "max_tokens: expected"},
      {target(""), "target_uri"},
      {target("unix:"), "target_uri"},
      {target("dns://1.1.1.1/a:1"), "a DNS server of its own is not supported"},
      {target("ipv4:[::1]:1"), "expected host:port, dns:///host:port"},
      {target("ipv6:127.0.0.1:1"), "expected host:port, dns:///host:port"},
      {target("ipv4:a:1"), "expected host:port, dns:///host:port"},
      {google("channel_credentials: { google_default: {} }"), "use ssl_credentials"},
      {google("channel_credentials: { ssl_credentials: {} }"), "root_certs: required"},
      {google("channel_credentials: { ssl_credentials: { root_certs: { inline_string: x }, "
              "cert_chain: { inline_string: x } } }"),
       "expected cert_chain and private_key together"},
      {google("call_credentials: [ { access_token: t } ]"), "use initial_metadata"},
      {google("channel_credentials_plugin: [ { \"@type\": type.googleapis.com/a.B } ]"),
       "\"a.B\" is not supported: use ssl_credentials"},
      {google("credentials_factory_name: x"), "credentials_factory_name"},
      {google("other: x"), "other: unknown field"},
  };
  for (const auto& [yaml, message] : cases)
    EXPECT_THAT(Parsed(yaml).messages, HasSubstr(message)) << yaml;
}

TEST(GoogleGrpc, TellsThatChannelArgumentsHaveNoEffect) {
  const Parsed parsed(source("GRPC",
                             "{ google_grpc: { target_uri: \"a:1\", stat_prefix: x, channel_args: "
                             "{ args: { grpc.x: { int_value: 1 } } } } }"));
  EXPECT_TRUE(parsed.errors.ok()) << parsed.messages;
  EXPECT_THAT(parsed.errors.to_string(Severity::kWarning),
              HasSubstr("channel_args: warning: has no effect"));
}

// The cluster that a target stands for.
struct Added {
  explicit Added(std::string_view services, std::string_view clusters = {}) {
    const DocumentPtr before =
        load_text(str("static_resources: { clusters: [ ", clusters,
                      " ] }\ndynamic_resources: { ads_config: { api_type: GRPC, grpc_services: [ ",
                      services, " ] } }"),
                  "f.yaml", errors);
    document = add_google_grpc_clusters(before);
    for (const Node cluster : document->root(errors)["static_resources"]["clusters"].items())
      all.push_back(cluster);
  }
  [[nodiscard]] Node address() const {
    Node endpoint;
    for (const Node locality : all.back()["load_assignment"]["endpoints"].items())
      for (const Node item : locality["lb_endpoints"].items()) endpoint = item;
    return endpoint["endpoint"]["address"];
  }
  Errors errors;
  DocumentPtr document;
  std::vector<Node> all;
};

TEST(GoogleGrpc, StandsForAClusterOfItsTarget) {
  struct Case {
    std::string_view target, type, host, port, authority;
  };
  const Case cases[] = {
      {"cp.example:80", "STRICT_DNS", "cp.example", "80", "cp.example:80"},
      {"cp.example", "STRICT_DNS", "cp.example", "443", "cp.example:443"},
      {"dns:///cp.example:80", "STRICT_DNS", "cp.example", "80", "cp.example:80"},
      {"dns:cp.example:80", "STRICT_DNS", "cp.example", "80", "cp.example:80"},
      {"10.0.0.1:80", "STATIC", "10.0.0.1", "80", "10.0.0.1:80"},
      {"ipv4:10.0.0.1:80", "STATIC", "10.0.0.1", "80", "10.0.0.1:80"},
      {"ipv4:10.0.0.1", "STATIC", "10.0.0.1", "443", "10.0.0.1:443"},
      {"ipv6:[::1]:80", "STATIC", "::1", "80", "[::1]:80"},
      {"ipv6:[::1]", "STATIC", "::1", "443", "[::1]:443"},
  };
  for (const Case& c : cases) {
    const Added added(str("{ google_grpc: { target_uri: \"", c.target, "\" } }"));
    ASSERT_EQ(added.all.size(), 1u) << c.target;
    EXPECT_EQ(added.all[0]["name"].raw(), str("google_grpc/", c.target));
    EXPECT_EQ(added.all[0]["type"].raw(), c.type) << c.target;
    EXPECT_EQ(added.address()["socket_address"]["address"].raw(), c.host);
    EXPECT_EQ(added.address()["socket_address"]["port_value"].raw(), c.port);
    const Parsed parsed(source("GRPC", str("{ google_grpc: { target_uri: \"", c.target, "\" } }")));
    EXPECT_EQ(parsed.messages, "") << c.target;
    EXPECT_EQ(parsed.service.authority, c.authority);
    EXPECT_EQ(parsed.service.cluster.value, str("google_grpc/", c.target));
  }
  for (const std::string_view target : {"unix:/run/xds.sock", "unix:///run/xds.sock"}) {
    const Added added(str("{ google_grpc: { target_uri: \"", target, "\" } }"));
    ASSERT_EQ(added.all.size(), 1u) << target;
    EXPECT_EQ(added.address()["pipe"]["path"].raw(), "/run/xds.sock");
  }
}

TEST(GoogleGrpc, ChecksTheServerForTheHostOfItsTarget) {
  const Added added(
      "{ googleGrpc: { target_uri: \"cp.example:80\", channel_credentials: { ssl_credentials: { "
      "root_certs: { filename: ca.crt }, cert_chain: { filename: a.crt }, private_key: { filename: "
      "a.key } } } } }",
      "{ name: other }");
  ASSERT_EQ(added.all.size(), 2u);
  const Node tls = added.all[1]["transport_socket"]["typed_config"];
  EXPECT_EQ(tls["sni"].raw(), "cp.example");
  const Node common = tls["common_tls_context"];
  EXPECT_EQ(common["validation_context"]["trusted_ca"]["filename"].raw(), "ca.crt");
  for (const Node san : common["validation_context"]["match_typed_subject_alt_names"].items()) {
    EXPECT_EQ(san["san_type"].raw(), "DNS");
    EXPECT_EQ(san["matcher"]["exact"].raw(), "cp.example");
  }
  EXPECT_EQ(common["validation_context"]["match_typed_subject_alt_names"].size(), 1u);
  EXPECT_EQ(common["tls_certificates"].size(), 1u);
}

TEST(GoogleGrpc, GivesServicesWithOtherCredentialsClustersOfTheirOwn) {
  const auto service = [](std::string_view more) {
    return str("{ google_grpc: { target_uri: \"a:1\"", more, " } }");
  };
  const auto tls = [&](std::string_view ca) {
    return service(
        str(", channel_credentials: { ssl_credentials: { root_certs: { filename: ", ca, " } } }"));
  };
  const Added added(str(service(""), ", ", tls("a.crt"), ", ", tls("b.crt"), ", ", tls("a.crt"),
                        ", ", service(", channel_credentials: { local_credentials: {} }")));
  ASSERT_EQ(added.all.size(), 3u) << "clear text, and one for each CA";
  std::set<std::string> trusted;
  for (const Node& cluster : added.all) {
    EXPECT_TRUE(cluster["name"].raw().starts_with("google_grpc/a:1"));
    const Node common = cluster["transport_socket"]["typed_config"]["common_tls_context"];
    trusted.emplace(common["validation_context"]["trusted_ca"]["filename"].raw());
  }
  EXPECT_EQ(trusted, (std::set<std::string>{"", "a.crt", "b.crt"}));
  // Who asks finds his own.
  const Parsed parsed(source("GRPC", tls("b.crt")));
  const auto of_b = std::ranges::find_if(added.all, [&](const Node& cluster) {
    return cluster["name"].raw() == parsed.service.cluster.value;
  });
  ASSERT_NE(of_b, added.all.end());
  EXPECT_EQ((*of_b)["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]
                   ["trusted_ca"]["filename"]
                       .raw(),
            "b.crt");
}

TEST(GoogleGrpc, AddsNothingTwice) {
  const Added once(
      "{ google_grpc: { target_uri: \"a:1\" } }, { google_grpc: { target_uri: \"a:1\" } }");
  EXPECT_EQ(once.all.size(), 1u);
  EXPECT_EQ(add_google_grpc_clusters(once.document), once.document);
  const Added none("{ envoy_grpc: { cluster_name: a } }", "{ name: a }");
  EXPECT_EQ(none.all.size(), 1u);
}

}  // namespace
}  // namespace pillion::config
