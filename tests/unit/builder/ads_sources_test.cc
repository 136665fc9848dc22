// Without a stream of ads_config nothing may ask it: it is refused where it is written, for what
// waits for such an answer would hold up the start for ever.
#include "proxy/builder/ads_sources.h"

#include <gmock/gmock.h>

#include "tests/support/build_test.h"

namespace pillion::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kFile = R"({"path_config_source":{"path":"/f.yaml"}})";
constexpr std::string_view kManager = "filter_chains[0].filters[0].typed_config.";
constexpr std::string_view kNeedsAds = ": ads needs dynamic_resources.ads_config";

std::string with(std::string resource, std::string_view field) {
  resource.insert(resource.size() - 1, str(",", field));
  return resource;
}

class AdsSources : public BuildTest {
 protected:
  void SetUp() override { start(typed_bootstrap()); }
  static auto at(std::string_view place) { return HasSubstr(str(place, kNeedsAds)); }
};

TEST_F(AdsSources, EndpointsAreRefusedAndOtherClustersTaken) {
  const std::string wrong =
      say(Type::kClusters, {eds_cluster_json("a"), static_cluster_json("b"),
                            resource_json("c", R"("type":"EDS","eds_cluster_config":{"eds_config":)"
                                               R"({"self":{}}})")});
  EXPECT_THAT(wrong, AllOf(at("cds/a: eds_cluster_config.eds_config"),
                           HasSubstr("cds/c: eds_cluster_config.eds_config: self needs "
                                     "dynamic_resources.ads_config")));
  EXPECT_EQ(cluster("a"), nullptr);
  EXPECT_NE(cluster("b"), nullptr);
}

TEST_F(AdsSources, RoutesAndScopesOfAListenerAreRefused) {
  EXPECT_THAT(say(Type::kListeners, {listener_json("in", 1001, by_rds("r"))}),
              at(str("lds/in: ", kManager, "rds.config_source")));
  EXPECT_THAT(
      say(Type::kListeners, {listener_json("in", 1001, by_srds())}),
      AllOf(at(str("lds/in: ", kManager, "scoped_routes.rds_config_source")),
            at(str("lds/in: ", kManager, "scoped_routes.scoped_rds.scoped_rds_config_source"))));
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_rds("r", kFile))}), "");
}

TEST_F(AdsSources, FiltersAndSecretsAreRefused) {
  constexpr std::string_view kFilter =
      R"({"name":"f","config_discovery":{"config_source":{"ads":{}},"type_urls":[)"
      R"("type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"]}},)";
  EXPECT_THAT(say(Type::kListeners,
                  {listener_json("in", 1001, by_rds("r", kFile), {.http_filters = kFilter})}),
              at(str("lds/in: ", kManager, "http_filters[0].config_discovery.config_source")));
  const std::string tls =
      str(R"("transport_socket":{"name":"tls","typed_config":)",
          any_json("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                   R"({"common_tls_context":{"tls_certificate_sds_secret_configs":[)"
                   R"({"name":"mine","sds_config":{"ads":{}}}]}})"),
          "}");
  EXPECT_THAT(say(Type::kClusters, {with(static_cluster_json("a"), tls)}),
              at("cds/a: transport_socket.typed_config.common_tls_context."
                 "tls_certificate_sds_secret_configs[0].sds_config"));
}

TEST_F(AdsSources, VirtualHostsOfATableAreRefused) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_rds("r", kFile))}), "");
  EXPECT_THAT(
      say(Type::kRoutes, {routes_json("r", "xds", R"("vhds":{"config_source":{"ads":{}}},)")}),
      AllOf(at("rds/r: vhds.config_source"), Not(HasSubstr("DELTA_GRPC"))));
}

TEST_F(AdsSources, AScopeNeedsASourceForTheTableThatItNames) {
  // Only scopes with tables of their own can do without an rds_config_source.
  const std::string scopes = str(R"("scoped_rds":{"scoped_rds_config_source":)", kFile, "}");
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds(scopes, "null"))}), "");
  EXPECT_THAT(say(Type::kScopedRoutes, {scope_json("s", "1", "r")}),
              HasSubstr("srds/s: route_configuration_name: rds by ads needs "
                        "dynamic_resources.ads_config"));
  const std::string own =
      str(R"({"name":"own","key":{"fragments":[{"string_key":"2"}]},"route_configuration":)",
          routes_json("mine", "xds"), "}");
  EXPECT_EQ(say(Type::kScopedRoutes, {{"own", own}}), "");
}

TEST_F(AdsSources, MetadataIsTheUsers) {
  const std::string metadata =
      R"("metadata":{"filter_metadata":{"x":{"sds_config":{"ads":{"a":1}}}}})";
  EXPECT_EQ(say(Type::kClusters, {with(static_cluster_json("a"), metadata)}), "");
}

TEST_F(AdsSources, WhatTheProcessHasCountsAndNotWhatTheFileSaysNow) {
  // dynamic_resources takes effect at the next start.
  job.has_ads = true;
  EXPECT_EQ(say(Type::kClusters, {eds_cluster_json("a")}), "");
  start();
  job.has_ads = false;
  EXPECT_THAT(say(Type::kClusters, {eds_cluster_json("a")}),
              at("cds/a: eds_cluster_config.eds_config"));
}

TEST_F(AdsSources, OfTheFileAreRefusedInTheirPlace) {
  std::string bootstrap = typed_bootstrap();
  bootstrap.insert(bootstrap.find("    - { name: xds"), str("    - ", eds_cluster_json("a"), "\n"));
  EXPECT_THAT(refusal(bootstrap), at("static_resources.clusters[0].eds_cluster_config.eds_config"));
  const auto refusal_of = [this](std::string_view routes) {
    return refusal(
        str(typed_bootstrap(), "  listeners:\n    - ", listener_json("in", 1001, routes), "\n"));
  };
  EXPECT_THAT(refusal_of(by_rds("r")),
              at(str("static_resources.listeners[0].", kManager, "rds.config_source")));
  // Who is asked for the tables of this list is not said.
  const std::string list =
      str(R"("scoped_route_configurations_list":{)", R"("scoped_route_configurations":[)",
          scope_json("s", "1", "r"), "]}");
  EXPECT_THAT(refusal_of(by_srds(list, "null")),
              HasSubstr("static_resources.listeners[0]: rds by ads needs "
                        "dynamic_resources.ads_config"));
}

}  // namespace
}  // namespace pillion::testing
