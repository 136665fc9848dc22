// Clusters and listeners that wait for DNS, health checks or secrets: what is in force meanwhile,
// what waits with them, and what control looks for.
#include "proxy/builder/warming.h"

#include <gmock/gmock.h>

#include "tests/support/build_test.h"

namespace pillion {
namespace {

using testing::listener_json;
using testing::routes_json;

std::string endpoint_json(std::string_view address) {
  return str(R"("load_assignment":{"cluster_name":"c","endpoints":[{"lb_endpoints":[{"endpoint":)",
             R"({"address":{"socket_address":{"address":")", address,
             R"(","port_value":80}}}}]}]})");
}
std::string cluster_json(std::string_view name, std::string_view type, std::string_view address,
                         std::string_view more = {}) {
  return str(R"({"name":")", name, R"(","type":")", type, R"(",)", more, endpoint_json(address),
             "}");
}
std::string by_dns(std::string_view name, std::string_view host, std::string_view more = {}) {
  return cluster_json(name, "STRICT_DNS", host, more);
}
std::string fixed(std::string_view name, std::string_view more = {}) {
  return cluster_json(name, "STATIC", "127.0.0.1", more);
}
constexpr std::string_view kRds =
    R"("rds":{"route_config_name":"r","config_source":{"ads":{},"resource_api_version":"V3"}})";
constexpr std::string_view kChecks =
    R"("health_checks":[{"timeout":"1s","interval":"1s","unhealthy_threshold":1,)"
    R"("healthy_threshold":1,"tcp_health_check":{}}],)";

std::string secret_json(std::string_view name) {
  return str(
      R"({"name":")", name,
      R"(","sds_config":{"ads":{},"resource_api_version":"V3","initial_fetch_timeout":"0s"}})");
}
// With a certificate by SDS.
const std::string kClientTls =
    str(R"("transport_socket":{"name":"tls","typed_config":{"@type":"type.googleapis.com/)",
        R"(envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext","sni":"a",)",
        R"("common_tls_context":{"tls_certificate_sds_secret_configs":[)", secret_json("mine"),
        R"(],"validation_context_sds_secret_config":)", secret_json("roots"), "}}},");
const std::string kServerTls =
    str(R"("transport_socket":{"name":"tls","typed_config":{"@type":"type.googleapis.com/)",
        R"(envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",)",
        R"("common_tls_context":{"tls_certificate_sds_secret_configs":[)", secret_json("mine"),
        "]}}},");

std::string with_server_tls(std::string listener) {
  const std::string_view at = R"("filter_chains":[{)";
  return listener.insert(listener.find(at) + at.size(), kServerTls);
}

const std::string kFile = testing::ads_bootstrap("id: n, cluster: c", "DELTA_GRPC");

class Warming : public testing::XdsBuildTest {
 protected:
  [[nodiscard]] const Piece<CompiledCluster>& piece(std::string_view name) const {
    return snapshot->resources->clusters.find(name)->second;
  }
  [[nodiscard]] bool is_in_force(std::string_view name) const {
    return snapshot->clusters.find(name) != nullptr;
  }
  // Discovery has done its part for what waits under that name.
  void warm(std::string_view name) { job.warm.insert(piece(name).newest->config.get()); }
  // Of what TLS contexts need.
  void settle_secret(std::string_view name) {
    for (const auto& slot : snapshot->tls_slots) {
      for (const tls::SecretRef& ref : slot->secrets().certificates)
        if (ref.name == name) job.settled_secrets.insert(ref.key());
      const auto& validation = slot->secrets().validation;
      if (validation && validation->name == name) job.settled_secrets.insert(validation->key());
    }
  }
  [[nodiscard]] std::vector<std::string> sought_since(
      const std::shared_ptr<const Snapshot>& before) const {
    std::vector<std::string> names;
    for (const auto& config : warming_between(*before->resources, *snapshot->resources).added)
      names.push_back(config->name);
    return names;
  }
  [[nodiscard]] std::vector<std::string> given_up_since(
      const std::shared_ptr<const Snapshot>& before) const {
    return warming_between(*before->resources, *snapshot->resources).given_up;
  }
};

TEST_F(Warming, AClusterByDnsWaitsAndAllOthersTakeEffect) {
  const auto before = snapshot;
  EXPECT_EQ(
      say(Type::kClusters, {{"slow", by_dns("slow", "slow.shop")}, {"quick", fixed("quick")}}), "");
  EXPECT_TRUE(is_in_force("quick"));
  EXPECT_FALSE(is_in_force("slow"));
  EXPECT_EQ(snapshot->resources->warming_clusters, 1u);
  EXPECT_THAT(sought_since(before), ::testing::ElementsAre("slow"));
  // What comes later does, too.
  EXPECT_EQ(say(Type::kListeners, {{"in", listener_json("in", 2001, kRds)}}), "");
  EXPECT_EQ(say(Type::kRoutes, {{"r", routes_json("r", "quick")}}), "");
  EXPECT_EQ(target("any"), "quick");
  warm("slow");
  (void)build();
  EXPECT_TRUE(is_in_force("slow"));
  EXPECT_EQ(snapshot->resources->warming_clusters, 0u);
}

TEST_F(Warming, RoutesAndListenersThatNameItWaitWithIt) {
  (void)say(Type::kClusters, {{"slow", by_dns("slow", "slow.shop")}, {"quick", fixed("quick")}});
  (void)say(Type::kListeners, {{"in", listener_json("in", 2001, kRds)}});
  EXPECT_EQ(say(Type::kRoutes, {{"r", routes_json("r", "quick")}}), "");
  EXPECT_EQ(say(Type::kRoutes, {{"r", routes_json("r", "slow")}}), "");
  EXPECT_EQ(target("any"), "quick") << "the routes of before stay";
  EXPECT_EQ(say(Type::kListeners,
                {{"in", listener_json("in", 2001, kRds)},
                 {"out", listener_json("out", 2002,
                                       str(R"("route_config":)", routes_json("own", "slow")))}}),
            "");
  EXPECT_EQ(hcm("out"), nullptr);
  EXPECT_EQ(snapshot->resources->warming_listeners, 1u);
  warm("slow");
  (void)build();
  EXPECT_EQ(target("any"), "slow");
  EXPECT_NE(hcm("out"), nullptr);
}

TEST_F(Warming, NamesThatNeedNoDnsWaitForNothing) {
  const auto before = snapshot;
  (void)say(Type::kClusters, {{"ip", by_dns("ip", "127.0.0.1")},
                              {"fixed", fixed("fixed")},
                              {"dst", R"({"name":"dst","type":"ORIGINAL_DST",)"
                                      R"("lb_policy":"CLUSTER_PROVIDED"})"}});
  for (const char* name : {"ip", "fixed", "dst"}) EXPECT_TRUE(is_in_force(name)) << name;
  EXPECT_TRUE(warming_between(*before->resources, *snapshot->resources).empty());
}

TEST_F(Warming, AChangedClusterServesAsBeforeUntilTheNewOneIsWarm) {
  (void)say(Type::kClusters, {{"a", fixed("a")}});
  const auto former = snapshot->clusters.find("a");
  const auto before = snapshot;
  (void)say(Type::kClusters, {{"a", by_dns("a", "slow.shop")}});
  EXPECT_EQ(snapshot->clusters.find("a"), former);
  EXPECT_EQ(snapshot->resources->warming_clusters, 0u) << "nothing has to wait for it";
  EXPECT_EQ(snapshot->resources->changing_clusters, 1u);
  EXPECT_THAT(sought_since(before), ::testing::ElementsAre("a"));
  // Routes may name it: it is there.
  (void)say(Type::kListeners, {{"in", listener_json("in", 2001, kRds)}});
  (void)say(Type::kRoutes, {{"r", routes_json("r", "a")}});
  EXPECT_EQ(target("any"), "a");
  warm("a");
  (void)build();
  EXPECT_EQ(snapshot->clusters.find("a")->type, upstream::DiscoveryType::kStrictDns);
  EXPECT_EQ(snapshot->resources->changing_clusters, 0u);
}

TEST_F(Warming, OneThatAsksForTheSameNamesDoesNotWaitAgain) {
  (void)say(Type::kClusters, {{"a", by_dns("a", "slow.shop")}});
  warm("a");
  (void)build();
  (void)say(Type::kClusters, {{"a", by_dns("a", "slow.shop", R"("connect_timeout":"1s",)")}});
  EXPECT_FALSE(piece("a").waits());
  (void)say(Type::kClusters, {{"a", by_dns("a", "other.shop", R"("connect_timeout":"1s",)")}});
  EXPECT_TRUE(piece("a").waits());
}

TEST_F(Warming, WhatReplacesOneThatWaitsWaitsItself) {
  (void)say(Type::kClusters, {{"a", by_dns("a", "slow.shop")}});
  warm("a");
  const auto before = snapshot;
  EXPECT_EQ(say(Type::kClusters, {{"a", by_dns("a", "other.shop")}}), "");
  EXPECT_FALSE(is_in_force("a")) << "another one was warm";
  EXPECT_THAT(sought_since(before), ::testing::ElementsAre("a"));
  EXPECT_THAT(given_up_since(before), ::testing::IsEmpty()) << "its place is taken";
  (void)say(Type::kClusters, {{"a", fixed("a")}});
  EXPECT_TRUE(is_in_force("a"));
  EXPECT_EQ(snapshot->resources->warming_clusters, 0u);
}

TEST_F(Warming, OneThatIsRemovedWhileItWaitsIsGivenUp) {
  (void)say(Type::kClusters, {{"a", fixed("a")}, {"b", by_dns("b", "slow.shop")}});
  (void)say(Type::kClusters, {{"a", by_dns("a", "slow.shop")}, {"b", by_dns("b", "slow.shop")}});
  const auto before = snapshot;
  (void)say(Type::kClusters, {{"a", fixed("a")}});
  EXPECT_THAT(given_up_since(before), ::testing::ElementsAre("a", "b"));
  EXPECT_TRUE(is_in_force("a"));
  EXPECT_FALSE(snapshot->resources->clusters.contains("b"));
  EXPECT_THAT(snapshot->resources->unsettled.clusters, ::testing::IsEmpty());
}

TEST_F(Warming, ARefusedUpdateLeavesTheOneThatWaitsWaiting) {
  (void)say(Type::kClusters, {{"a", by_dns("a", "slow.shop")}});
  const auto before = snapshot;
  EXPECT_NE(say(Type::kClusters, {{"a", fixed("a", R"("connect_timeout":"-1s",)")}}), "");
  EXPECT_TRUE(warming_between(*before->resources, *snapshot->resources).empty());
  warm("a");
  (void)build();
  EXPECT_TRUE(is_in_force("a"));
}

TEST_F(Warming, TheFirstHealthChecksAreWaitedFor) {
  (void)say(Type::kClusters, {{"a", fixed("a", kChecks)}});
  EXPECT_FALSE(is_in_force("a"));
  warm("a");
  (void)build();
  EXPECT_TRUE(is_in_force("a"));
}

TEST_F(Warming, EndpointsComeBeforeHealthChecks) {
  const std::string eds =
      str(R"({"name":"a","type":"EDS",)", kChecks, R"("eds_cluster_config":{"service_name":"e",)",
          R"("eds_config":{"ads":{},"resource_api_version":"V3"}}})");
  (void)say(Type::kClusters, {{"a", eds}});
  warm("a");  // there is nobody to check
  (void)build();
  EXPECT_FALSE(is_in_force("a"));
  job.endpoints.insert("e");
  (void)build();
  EXPECT_FALSE(is_in_force("a")) << "they are to be checked";
  warm("a");
  (void)build();
  EXPECT_TRUE(is_in_force("a"));
}

TEST_F(Warming, AClusterWaitsForTheSecretsOfItsContext) {
  (void)say(Type::kClusters, {{"a", fixed("a", kClientTls)}, {"b", fixed("b")}});
  EXPECT_TRUE(is_in_force("b"));
  EXPECT_FALSE(is_in_force("a"));
  EXPECT_EQ(snapshot->tls_slots.size(), 1u) << "or nobody would ask for them";
  settle_secret("mine");
  (void)build();
  EXPECT_FALSE(is_in_force("a"));
  settle_secret("roots");
  (void)build();
  EXPECT_TRUE(is_in_force("a"));
  // They are known now: no more builds for the next one.
  (void)say(Type::kClusters, {{"a", fixed("a", kClientTls)}, {"c", fixed("c", kClientTls)}});
  EXPECT_TRUE(is_in_force("c"));
}

TEST_F(Warming, AListenerWaitsForTheSecretsOfItsContextAndOthersDoNot) {
  (void)say(Type::kClusters, {{"a", fixed("a")}});
  const std::string routes = str(R"("route_config":)", routes_json("own", "a"));
  const std::string secret = with_server_tls(listener_json("secret", 2002, routes));
  EXPECT_EQ(say(Type::kListeners, {{"in", listener_json("in", 2001, routes)}, {"secret", secret}}),
            "");
  EXPECT_NE(hcm("in"), nullptr);
  EXPECT_EQ(hcm("secret"), nullptr);
  EXPECT_EQ(snapshot->resources->warming_listeners, 1u);
  // One that is in force stays in force while it is to get secrets.
  EXPECT_EQ(say(Type::kListeners,
                {{"in", with_server_tls(listener_json("in", 2001, routes))}, {"secret", secret}}),
            "");
  EXPECT_EQ(snapshot->listeners.find("in")->chains[0]->tls, nullptr);
  EXPECT_EQ(snapshot->resources->changing_listeners, 1u);
  settle_secret("mine");
  (void)build();
  EXPECT_NE(hcm("secret"), nullptr);
  EXPECT_NE(snapshot->listeners.find("in")->chains[0]->tls, nullptr);
  EXPECT_EQ(snapshot->resources->changing_listeners, 0u);
}

TEST_F(Warming, AListenerThatIsRemovedWhileItWaitsLeavesNoContext) {
  const std::string routes = str(R"("route_config":)", routes_json("own", "a"));
  (void)say(Type::kClusters, {{"a", fixed("a")}});
  (void)say(Type::kListeners, {{"in", with_server_tls(listener_json("in", 2001, routes))}});
  EXPECT_EQ(snapshot->tls_slots.size(), 1u);
  (void)say(Type::kListeners, {});
  EXPECT_THAT(snapshot->tls_slots, ::testing::IsEmpty());
  EXPECT_THAT(snapshot->resources->unsettled.listeners, ::testing::IsEmpty());
}

// A file takes effect as a whole: control waits for all of it (server_apply.cc).
TEST_F(Warming, WhatAFileSaysWaitsForNothingWhereItIsRead) {
  options.config_yaml = str(kFile, "    - ", by_dns("of_file", "slow.shop"), "\n");
  job.reads_files = true;
  (void)build();
  EXPECT_TRUE(is_in_force("of_file"));
  EXPECT_EQ(snapshot->resources->warming_clusters, 0u);
}

TEST_F(Warming, AListenerOfTheFileServesOnWhileTheOneThatIsReadWaits) {
  const std::string listener =
      str("  listeners:\n    - ",
          listener_json("in", 2001, str(R"("route_config":)", routes_json("own", "slow"))), "\n");
  options.config_yaml = kFile + listener;
  job.reads_files = true;
  (void)build();
  ASSERT_NE(hcm("in"), nullptr) << "nobody has named its cluster yet";
  job.reads_files = false;
  (void)say(Type::kClusters, {{"slow", by_dns("slow", "slow.shop")}});
  EXPECT_NE(hcm("in"), nullptr);
  const auto before = snapshot->listeners.find("in");
  job.reads_files = true;
  (void)build();
  EXPECT_EQ(snapshot->listeners.find("in"), before);
}

}  // namespace
}  // namespace pillion
