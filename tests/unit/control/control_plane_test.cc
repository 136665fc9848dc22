// What is asked, answered and put in force, by the state of the world.
#include "proxy/control/control_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "proxy/builder/settle.h"
#include "tests/support/run_until.h"
#include "tests/unit/control/control_plane_fixture.h"
#include "xds/reflect.h"
#include "xds/value_json.h"

namespace pillion {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;
using xds::ResourceType;

const std::string kBootstrap =
    testing::ads_bootstrap("id: sidecar~1, cluster: test, metadata: { a: 1 }");

std::string static_cluster(std::string_view name, int port = 9) {
  return testing::static_cluster_json(name, port);
}
std::string eds_cluster(std::string_view name, std::string_view more = "",
                        std::string_view timeout = "15s") {
  return testing::eds_cluster_json(name, more, timeout);
}
std::string assignment(std::string_view name, const std::vector<int>& last_bytes) {
  return testing::assignment_json(name, last_bytes);
}
std::string routes(std::string_view name, std::string_view cluster) {
  return testing::routes_json(name, cluster);
}
// Of local_ratelimit: one request a day.
constexpr std::string_view kOneADay =
    R"({"name":"limit","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.)"
    R"(local_ratelimit.v3.LocalRateLimit","stat_prefix":"limit","token_bucket":{"max_tokens":1,)"
    R"("tokens_per_fill":1,"fill_interval":"86400s"}}},)";
std::string rds_listener(std::string_view name, int port, std::string_view route_name) {
  return testing::listener_json(name, port, testing::by_rds(route_name),
                                {.http_filters = kOneADay});
}

class ControlPlaneTest : public testing::ControlPlaneFixture {
 protected:
  void start(std::string_view bootstrap = kBootstrap) { ControlPlaneFixture::start(bootstrap); }

  // The bytes of a response, with the next version and nonce.
  std::string response(ResourceType type, const std::vector<std::string>& resources) {
    std::string list;
    for (const std::string& json : resources)
      list += str(list.empty() ? "" : ",", testing::any_json(xds::message_of(type), json));
    ++said;
    const Result<std::string> bytes =
        xds::encode("envoy.service.discovery.v3.DiscoveryResponse",
                    str(R"({"version_info":"v)", said, R"(","nonce":"n)", said,
                        R"(","type_url":"type.googleapis.com/)", xds::message_of(type),
                        R"(","resources":[)", list, "]}"));
    EXPECT_TRUE(bytes) << bytes.error();
    return bytes ? http::grpc_frame(*bytes) : std::string();
  }
  void say(ResourceType type, const std::vector<std::string>& resources) {
    clusters.last().data(response(type, resources));
    build();
  }

  // What an update changed of the file.
  [[nodiscard]] BuildResult read_again(std::string_view bootstrap) {
    options.config_yaml = bootstrap;
    BuildJob job;
    job.previous = snapshot;
    job.reads_files = true;
    job.now = loop.now();
    control->add_to(job, ControlPlane::Take::kStateAlone);
    return run_build(options, {}, job);
  }
  [[nodiscard]] const core::HcmConfig& hcm(size_t listener_index) const {
    const core::FilterChain& chain = *snapshot->listeners[listener_index]->chains[0];
    return *std::get<std::shared_ptr<const core::HcmConfig>>(chain.terminal);
  }
  [[nodiscard]] stats::BlockRef<stats::RdsStats> rds_stats(std::string_view name) {
    return registry.block<stats::RdsStats>(stats::kControl, "in", name);
  }
  [[nodiscard]] stats::BlockRef<stats::ClusterInfoStats> cluster_stats(std::string_view name) {
    return registry.block<stats::ClusterInfoStats>(stats::kControl, name);
  }

  // What was asked and answered since the last call: "cds v1 n1", "eds a b", "lds v1 n2 !reason".
  std::vector<std::string> requests() {
    std::vector<std::string> out;
    for_each_request(testing::kRequest, [&out](const config::Node& node) {
      std::string line;
      for (const ResourceType type : xds::kAllTypes) {
        if (node["type_url"].as_view_or().ends_with(xds::message_of(type)))
          line = xds::short_name(type);
      }
      for (const config::Node name : node["resource_names"].items()) line += str(' ', name.raw());
      for (const char* key : {"version_info", "response_nonce"})
        if (node.has(key)) line += str(' ', node[key].as_view_or());
      if (node.has("error_detail")) line += str(" !", node["error_detail"]["message"].as_view_or());
      out.push_back(line);
    });
    return out;
  }

  [[nodiscard]] std::vector<std::string> cluster_names() const {
    std::vector<std::string> names;
    for (const auto& cluster : snapshot->clusters) names.push_back(cluster->name);
    return names;
  }
  [[nodiscard]] std::vector<std::string> listener_names() const {
    std::vector<std::string> names;
    for (const auto& l : snapshot->listeners) names.push_back(l->name);
    return names;
  }
  // Where the listener's first chain sends a request to.
  [[nodiscard]] std::string target(std::string_view listener_name) const {
    for (const auto& l : snapshot->listeners) {
      if (l->name != listener_name) continue;
      const auto& hcm = std::get<std::shared_ptr<const core::HcmConfig>>(l->chains[0]->terminal);
      Arena arena;
      http::RequestHead head(arena);
      head.path = "/";
      head.authority = "any";
      const route::RouteMatch match = hcm->routes->match(head, 0, false);
      return match ? std::string(route::cluster_name(match, head)) : "404";
    }
    return "no listener";
  }

  int said = 0;
};

TEST_F(ControlPlaneTest, AsksForListenersWhenClustersHaveEndpoints) {
  start();
  EXPECT_THAT(requests(), ElementsAre("cds"));
  say(ResourceType::kClusters, {static_cluster("a"), eds_cluster("b")});
  EXPECT_THAT(requests(), ElementsAre("eds b", "cds v1 n1"));
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "a")) << "b waits for its endpoints";
  say(ResourceType::kEndpoints, {assignment("b", {1, 2})});
  EXPECT_THAT(requests(), ElementsAre("eds b v2 n2", "lds"));
  EXPECT_EQ(endpoints["b"], 2u);
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "a", "b"));
  EXPECT_EQ(initialized, 0);
  say(ResourceType::kListeners, {rds_listener("in", 1001, "r")});
  EXPECT_THAT(requests(), ElementsAre("rds r", "lds v3 n3"));
  EXPECT_THAT(listener_names(), IsEmpty()) << "without its routes it would answer 404";
  say(ResourceType::kRoutes, {routes("r", "b")});
  EXPECT_THAT(requests(), ElementsAre("rds r v4 n4"));
  EXPECT_EQ(target("in"), "b");
  EXPECT_EQ(initialized, 1);
}

class RunningControlPlane : public ControlPlaneTest {
 protected:
  void SetUp() override {
    start();
    say(ResourceType::kClusters, {static_cluster("a"), eds_cluster("b")});
    say(ResourceType::kEndpoints, {assignment("b", {1})});
    say(ResourceType::kListeners, {rds_listener("in", 1001, "r")});
    say(ResourceType::kRoutes, {routes("r", "a")});
    ASSERT_EQ(initialized, 1);
    ASSERT_EQ(target("in"), "a");
    (void)requests();
    builds = 0;
  }
};

// By the state of the world each request would be answered by all that was asked for so far.
TEST_F(ControlPlaneTest, AsksForTheEndpointsOfManyClustersByOneRequest) {
  start();
  std::vector<std::string> many;
  for (int i = 0; i < 2000; ++i) many.push_back(eds_cluster(str("c", i)));
  say(ResourceType::kClusters, many);
  std::vector<std::string> of_endpoints;
  ASSERT_TRUE(testing::run_until(loop, [&] {
    for (const std::string& line : requests())
      if (line.starts_with("eds")) of_endpoints.push_back(line);
    return !of_endpoints.empty();
  }));
  testing::run_for(loop, 10ms);
  EXPECT_EQ(of_endpoints.size(), 1u);
  EXPECT_EQ(std::ranges::count(of_endpoints[0], ' '), 2000);
  EXPECT_THAT(requests(), IsEmpty());
}

TEST_F(RunningControlPlane, WaitsNoMoreForWhatWasAnswered) {
  loop.skip(60s);
  EXPECT_FALSE(is_wanted) << "a timeout would start a build";
}

TEST_F(RunningControlPlane, TakesEndpointsWithoutABuild) {
  say(ResourceType::kEndpoints, {assignment("b", {1, 2, 3})});
  EXPECT_EQ(endpoints["b"], 3u);
  EXPECT_EQ(builds, 0);
  EXPECT_THAT(requests(), ElementsAre("eds b v5 n5"));
  // Of one that nobody asked for nothing is kept.
  say(ResourceType::kEndpoints, {assignment("other", {1})});
  EXPECT_FALSE(endpoints.contains("other"));
  EXPECT_THAT(requests(), ElementsAre("eds b v6 n6"));
}

TEST_F(RunningControlPlane, TakesTheGoodAndNamesTheBad) {
  say(ResourceType::kClusters,
      {static_cluster("a", 10), eds_cluster("b", R"(,"connect_timeout":"0s")"),
       static_cluster("c")});
  EXPECT_THAT(
      requests(),
      ElementsAre("cds v1 n5 !cds/b: connect_timeout: expected more than 0s, got \"0s\"\n"));
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "a", "b", "c")) << "b as it was";
  EXPECT_EQ(snapshot->clusters[1]->static_hosts.hosts[0]->address.port(), 10);
  ASSERT_TRUE(snapshot->resources->clusters.find("b")->second.error);
  // The same again is as bad; then it is good.
  say(ResourceType::kClusters,
      {static_cluster("a"), eds_cluster("b", R"(,"connect_timeout":"0s")")});
  EXPECT_THAT(requests(), ElementsAre(HasSubstr("cds v1 n6 !cds/b")));
  say(ResourceType::kClusters,
      {static_cluster("a"), eds_cluster("b", R"(,"connect_timeout":"1s")")});
  EXPECT_THAT(requests(), ElementsAre("cds v7 n7"));
  EXPECT_FALSE(snapshot->resources->clusters.find("b")->second.error);
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "a", "b"));
}

// Of two servers, in one build.
TEST_F(RunningControlPlane, GivesEachTableTheVersionOfItsOwnResponse) {
  say(ResourceType::kListeners,
      {rds_listener("in", 1001, "r"),
       testing::listener_json(
           "two", 1002,
           R"("rds":{"route_config_name":"s","config_source":{"resource_api_version":"V3",)"
           R"("api_config_source":{"api_type":"GRPC","transport_api_version":"V3",)"
           R"("grpc_services":[{"envoy_grpc":{"cluster_name":"xds"}}]}}})")});
  ASSERT_THAT(clusters.calls, SizeIs(2));
  clusters.calls[1]->head();
  clusters.calls[0]->data(response(ResourceType::kRoutes, {routes("r", "b")}));
  clusters.calls[1]->data(response(ResourceType::kRoutes, {routes("s", "a")}));
  builds = 0;
  build();
  ASSERT_EQ(builds, 1);
  EXPECT_EQ(target("in"), "b");
  EXPECT_EQ(target("two"), "a");
  EXPECT_EQ(rds_stats("r")->version.value(), xds::version_number("v6"));
  EXPECT_EQ(rds_stats("s")->version.value(), xds::version_number("v7"));
}

TEST_F(RunningControlPlane, AsksForScopesOnlyAsLongAsAListenerUsesThem) {
  const std::string scoped = testing::listener_json(
      "in", 1001,
      R"("scoped_routes":{"name":"scopes","scope_key_builder":{"fragments":[)"
      R"({"header_value_extractor":{"name":"x-scope","index":0}}]},"rds_config_source":{"ads":{}},)"
      R"("scoped_rds":{"scoped_rds_config_source":{"ads":{}}}})");
  say(ResourceType::kListeners, {scoped});
  EXPECT_THAT(requests(), ::testing::Contains("srds"));
  say(ResourceType::kScopedRoutes, {});
  EXPECT_THAT(requests(), ::testing::Contains("srds v6 n6"));
  say(ResourceType::kListeners, {rds_listener("in", 1001, "r")});
  say(ResourceType::kRoutes, {routes("r", "a")});
  EXPECT_THAT(requests(), ::testing::IsSupersetOf({"srds * v6 n6", "srds v6 n6"}));
  say(ResourceType::kListeners, {scoped});
  EXPECT_THAT(requests(), ::testing::Contains("srds * v6 n6")) << "and again";
}

TEST_F(RunningControlPlane, HoldsRoutesUntilTheirNewClusterHasEndpoints) {
  say(ResourceType::kClusters, {static_cluster("a"), eds_cluster("b"), eds_cluster("new")});
  say(ResourceType::kRoutes, {routes("r", "new")});
  EXPECT_EQ(target("in"), "a");
  const auto piece = [this]() -> const Piece<CompiledRoutes>& {
    return snapshot->resources->routes.find("r")->second;
  };
  EXPECT_EQ(piece().version, "v6");
  EXPECT_EQ(piece().active_version, "v4") << "what /config_dump shows is in force";
  say(ResourceType::kEndpoints, {assignment("new", {7})});
  EXPECT_EQ(target("in"), "new");
  EXPECT_EQ(piece().active_version, "v6");
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "a", "b", "new"));
}

// go-control-plane says refused clusters again at once, and goes on with listeners and routes.
TEST_F(RunningControlPlane, HoldsRoutesThatComeWhileRefusedClustersAreJudgedOnceMore) {
  const std::string bad =
      response(ResourceType::kClusters,
               {static_cluster("a"), eds_cluster("bad", R"(,"connect_timeout":"0s")")});
  for (int i = 0; i < 3; ++i) {
    clusters.last().data(bad);
    build();
    loop.skip(1s);  // refusals after the first are held back
  }
  ASSERT_THAT(requests(), ::testing::Contains(HasSubstr("!cds/bad")));
  // Once more, and its successor is on the way; routes come before it, while this one is judged.
  clusters.last().data(bad);
  clusters.last().data(response(ResourceType::kRoutes, {routes("r", "new")}));
  build();
  EXPECT_EQ(target("in"), "a");
  say(ResourceType::kClusters, {static_cluster("a"), static_cluster("new")});
  EXPECT_EQ(target("in"), "new");
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "a", "new"));
}

// Istio's clusters are such.
TEST_F(RunningControlPlane, HoldsRoutesForATimeIfTheirClusterMayWaitForEver) {
  say(ResourceType::kClusters,
      {static_cluster("a"), eds_cluster("b"), eds_cluster("new", "", "0s")});
  say(ResourceType::kRoutes, {routes("r", "new")});
  EXPECT_EQ(target("in"), "a");
  say(ResourceType::kEndpoints, {assignment("new", {7})});
  EXPECT_EQ(target("in"), "new");
  say(ResourceType::kClusters, {static_cluster("a"), eds_cluster("b"), eds_cluster("new", "", "0s"),
                                eds_cluster("newer", "", "0s")});
  say(ResourceType::kRoutes, {routes("r", "newer")});
  EXPECT_EQ(target("in"), "new");
  loop.skip(kHoldTime + 1s);
  build();
  EXPECT_EQ(target("in"), "newer") << "others must not wait for ever";
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "a", "b", "new"));
}

TEST_F(RunningControlPlane, KeepsARemovedClusterWhileRoutesNameItAndForATime) {
  say(ResourceType::kClusters, {eds_cluster("b")});
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "a", "b")) << "the update of r may be on its way";
  say(ResourceType::kRoutes, {routes("r", "b")});
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "b"));
  say(ResourceType::kClusters, {});
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "b"));
  loop.skip(kLingerTime + 1s);
  build();
  EXPECT_THAT(cluster_names(), ElementsAre("xds")) << "the control plane means it";
}

TEST_F(RunningControlPlane, RemovesListenersThatAreNotSaidAnyMoreAndKeepsRoutes) {
  say(ResourceType::kRoutes, {});
  EXPECT_EQ(target("in"), "a") << "RDS cannot take back";
  say(ResourceType::kListeners, {});
  EXPECT_THAT(listener_names(), IsEmpty());
  EXPECT_THAT(requests(), ElementsAre("rds r v5 n5", "rds v5 n5", "lds v6 n6"))
      << "nobody needs r any more";
  EXPECT_TRUE(snapshot->resources->routes.empty());
}

TEST_F(RunningControlPlane, KeepsTheListenerWhileItsNewRoutesAreOnTheWay) {
  say(ResourceType::kListeners, {rds_listener("in", 1001, "r2")});
  EXPECT_EQ(target("in"), "a");
  say(ResourceType::kRoutes, {routes("r", "b")});
  EXPECT_EQ(target("in"), "b") << "the old one still gets its updates";
  say(ResourceType::kRoutes, {routes("r2", "a")});
  EXPECT_EQ(target("in"), "a");
}

TEST_F(RunningControlPlane, RefusesAListenerOnAnAddressThatAnotherHas) {
  say(ResourceType::kListeners, {rds_listener("in", 1001, "r"), rds_listener("second", 1001, "r")});
  EXPECT_THAT(requests(), ElementsAre(HasSubstr("listens on 127.0.0.1:1001 already")));
  EXPECT_THAT(listener_names(), ElementsAre("in"));
  // Two that change places are no clash.
  say(ResourceType::kListeners, {rds_listener("in", 1001, "r"), rds_listener("second", 1002, "r")});
  say(ResourceType::kListeners, {rds_listener("in", 1002, "r"), rds_listener("second", 1001, "r")});
  EXPECT_THAT(requests(), ElementsAre("lds v6 n6", "lds v7 n7"));
}

TEST_F(RunningControlPlane, LeavesTheFilesNamesAlone) {
  const auto before = snapshot->clusters[0];
  say(ResourceType::kClusters, {static_cluster("a"), eds_cluster("b"), static_cluster("xds")});
  EXPECT_THAT(requests(), ElementsAre("cds v5 n5"));
  EXPECT_EQ(snapshot->clusters[0], before);
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "a", "b"));
}

TEST_F(RunningControlPlane, CompilesOnlyWhatHasChanged) {
  const auto a = snapshot->clusters[1];
  const auto in = snapshot->listeners[0];
  say(ResourceType::kClusters,
      {static_cluster("a"), eds_cluster("b", R"(,"connect_timeout":"9s")")});
  EXPECT_EQ(snapshot->clusters[1], a);
  EXPECT_EQ(snapshot->listeners[0], in);
  say(ResourceType::kRoutes, {routes("r", "b")});
  EXPECT_NE(snapshot->listeners[0]->hash, in->hash) << "its routes are a part of it";
  EXPECT_EQ(snapshot->listeners[0]->chains[0]->connection_hash, in->chains[0]->connection_hash);
}

TEST_F(RunningControlPlane, GoesOnWithTheLastStateWhileTheControlPlaneIsAway) {
  clusters.last().fail("Connection reset");
  loop.skip(60s);
  EXPECT_EQ(target("in"), "a");
  EXPECT_GT(clusters.calls.size(), 1u);
  EXPECT_THAT(requests(), ElementsAre("cds v1", "eds b v2", "lds v3", "rds r v4"));
}

TEST_F(ControlPlaneTest, DoesNotWaitForEverForWhatIsNotAnswered) {
  start();
  loop.skip(16s);
  EXPECT_THAT(requests(), ElementsAre("cds", "lds")) << "clusters did not come";
  say(ResourceType::kListeners, {rds_listener("in", 1001, "r")});
  EXPECT_EQ(initialized, 0);
  loop.skip(16s);
  build();
  EXPECT_EQ(initialized, 1) << "routes did not come";
  EXPECT_EQ(target("in"), "404");
  say(ResourceType::kClusters, {eds_cluster("b")});
  EXPECT_THAT(cluster_names(), ElementsAre("xds"));
  loop.skip(16s);
  build();
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "b")) << "endpoints did not come";
}

TEST_F(ControlPlaneTest, StartsWithoutWhatMustBeRefused) {
  start();
  say(ResourceType::kClusters, {eds_cluster("b")});
  say(ResourceType::kEndpoints, {assignment("b", {1, 300})});
  EXPECT_THAT(requests(),
              ElementsAre("cds", "eds b", "cds v1 n1",
                          AllOf(HasSubstr("eds b n2 !eds/b"), HasSubstr("10.0.0.300")), "lds"));
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "b")) << "without endpoints";
  say(ResourceType::kListeners, {rds_listener("in", 1001, "r")});
  say(ResourceType::kRoutes, {R"({"name":"r","virtual_hosts":[{"name":"no domains"}]})"});
  EXPECT_THAT(requests(), ElementsAre("rds r", "lds v3 n3", HasSubstr("rds r n4 !rds/r")));
  EXPECT_EQ(initialized, 1);
  EXPECT_EQ(target("in"), "404");
  loop.skip(60s);
  EXPECT_EQ(cluster_stats("b")->init_fetch_timeout.value(), 0u) << "it was answered";
  EXPECT_EQ(rds_stats("r")->init_fetch_timeout.value(), 0u);
  // Better ones are welcome.
  say(ResourceType::kRoutes, {routes("r", "b")});
  EXPECT_EQ(target("in"), "b");
  say(ResourceType::kEndpoints, {assignment("b", {1})});
  EXPECT_EQ(endpoints["b"], 1u);
}

TEST_F(ControlPlaneTest, StartsWhenAllOfAResponseMustBeRefused) {
  start();
  say(ResourceType::kClusters, {eds_cluster("a"), eds_cluster("b"), eds_cluster("b")});
  EXPECT_THAT(requests(), ElementsAre("cds", "cds n1 !cds/b: there are two of this name\n", "lds"));
  say(ResourceType::kClusters, {eds_cluster("a"), eds_cluster("b")});
  say(ResourceType::kListeners, {rds_listener("in", 1001, "r")});
  say(ResourceType::kRoutes, {routes("r", "a"), routes("r", "b")});
  EXPECT_THAT(requests(), ElementsAre("eds a b", "cds v2 n2", "rds r", "lds v3 n3",
                                      "rds r n4 !rds/r: there are two of this name\n"));
  EXPECT_EQ(initialized, 1);
  EXPECT_EQ(rds_stats("r")->update_rejected.value(), 1u);
}

TEST_F(RunningControlPlane, WaitsLaterForAGoodOneInThePlaceOfOneThatMustBeRefused) {
  say(ResourceType::kClusters, {static_cluster("a"), eds_cluster("b"), eds_cluster("new")});
  say(ResourceType::kRoutes, {routes("r", "new")});
  say(ResourceType::kEndpoints, {assignment("new", {300})});
  EXPECT_EQ(target("in"), "a");
  say(ResourceType::kListeners, {rds_listener("in", 1001, "r2")});
  say(ResourceType::kRoutes, {R"({"name":"r2","virtual_hosts":[{"name":"no domains"}]})"});
  EXPECT_EQ(target("in"), "a") << "the listener before it has routes";
  loop.skip(16s);
  build();
  EXPECT_EQ(target("in"), "404") << "as the control plane wants it";
  EXPECT_THAT(cluster_names(), ElementsAre("xds", "a", "b", "new"));
}

TEST_F(RunningControlPlane, CountsWhatIsSaidByNameAsEnvoyDoes) {
  const auto rds = rds_stats("r");
  EXPECT_EQ(rds->update_success.value(), 1u);
  EXPECT_EQ(rds->update_attempt.value(), 2u);
  EXPECT_EQ(rds->config_reload.value(), 1u);
  EXPECT_NE(rds->version.value(), 0);
  EXPECT_NE(rds->update_time.value(), 0);
  say(ResourceType::kRoutes, {routes("r", "a")});
  EXPECT_EQ(rds->update_success.value(), 2u);
  EXPECT_EQ(rds->config_reload.value(), 1u) << "nothing new";
  say(ResourceType::kRoutes, {R"({"name":"r","virtual_hosts":[{"name":"no domains"}]})"});
  EXPECT_EQ(rds->update_rejected.value(), 1u);

  const auto eds = cluster_stats("b");
  EXPECT_EQ(eds->update_success.value(), 1u);
  say(ResourceType::kEndpoints, {assignment("b", {1})});
  EXPECT_EQ(eds->update_success.value(), 2u);
  EXPECT_EQ(eds->update_no_rebuild.value(), 1u);
  say(ResourceType::kEndpoints, {assignment("b", {300})});
  EXPECT_EQ(eds->update_rejected.value(), 1u);
  clusters.last().fail("Connection reset");
  registry.refresh();
  EXPECT_EQ(eds->update_failure.value(), 1u);
  EXPECT_EQ(rds->update_failure.value(), 1u);
  EXPECT_EQ(eds->update_attempt.value(), 5u);
  say(ResourceType::kListeners, {});
  EXPECT_EQ(registry.scopes(stats::KindOf<stats::RdsStats>::kKind).size(), 1u) << "ours alone";
}

TEST_F(RunningControlPlane, CountsHowLongUpdatesTakeAndWhatIsEmpty) {
  const auto rds = rds_stats("r");
  const auto eds = cluster_stats("b");
  const auto recorded = [](const auto& histogram) {
    uint64_t count = 0;
    for (size_t i = 0; i < stats::Histogram::kBuckets; ++i) count += histogram.bucket(i);
    return count;
  };
  EXPECT_EQ(recorded(rds->update_duration), 1u);
  EXPECT_EQ(recorded(eds->update_duration), 1u);
  EXPECT_NE(rds->config_reload_time_ms.value(), 0);
  say(ResourceType::kRoutes, {});
  EXPECT_EQ(rds->update_empty.value(), 1u);
  EXPECT_EQ(rds->update_success.value(), 2u);
  EXPECT_EQ(target("in"), "a") << "what is not said is not taken away";
  say(ResourceType::kEndpoints, {});
  EXPECT_EQ(eds->update_empty.value(), 1u);
  const auto cds = registry.block<stats::CdsStats>(stats::kControl);
  EXPECT_EQ(cds->config_reload.value(), 1u);
  EXPECT_EQ(recorded(cds->update_duration), 1u);
  say(ResourceType::kClusters, {static_cluster("a"), eds_cluster("b")});
  EXPECT_EQ(cds->config_reload.value(), 1u) << "nothing new";
  EXPECT_EQ(recorded(cds->update_duration), 2u);
}

TEST_F(RunningControlPlane, KeepsTheStateOfFiltersWhenRoutesChange) {
  const core::HttpFilterChain* filters = hcm(0).filters.get();
  ASSERT_NE(filters, nullptr);
  say(ResourceType::kRoutes, {routes("r", "b")});
  EXPECT_EQ(target("in"), "b");
  EXPECT_EQ(hcm(0).filters.get(), filters) << "or each update of routes would fill its buckets";
  // The same listener from the beginning has the same hash.
  const uint64_t hash = snapshot->listeners[0]->hash;
  say(ResourceType::kListeners, {});
  say(ResourceType::kListeners, {rds_listener("in", 1001, "r")});
  say(ResourceType::kRoutes, {routes("r", "b")});
  EXPECT_EQ(snapshot->listeners[0]->hash, hash);
}

TEST_F(RunningControlPlane, GivesAnAddressThatTwoClaimToTheOneThatHadIt) {
  say(ResourceType::kListeners, {rds_listener("in", 1001, "r"), rds_listener("second", 1002, "r")});
  (void)requests();
  // "in" comes first by its name, but "second" has been there.
  say(ResourceType::kListeners, {rds_listener("in", 1002, "r"), rds_listener("second", 1002, "r")});
  EXPECT_THAT(requests(), ElementsAre(AllOf(HasSubstr("lds v5 n6 !lds/in"), HasSubstr("already"))));
  ASSERT_THAT(listener_names(), ElementsAre("in", "second"));
  EXPECT_EQ(snapshot->listeners[0]->address.port(), 1001);
  EXPECT_EQ(snapshot->resources->listeners.find("in")->second.version, "v5")
      << "of what is in force";
  // A third one takes the address to which "in" has to go back: it must not.
  say(ResourceType::kListeners, {rds_listener("in", 1002, "r"), rds_listener("second", 1002, "r"),
                                 rds_listener("aaa", 1001, "r")});
  EXPECT_THAT(listener_names(), ElementsAre("in", "second"));
  EXPECT_THAT(requests(), ElementsAre(AllOf(HasSubstr("lds/in"), HasSubstr("lds/aaa"))));
}

TEST_F(RunningControlPlane, RefusesAFileWhoseListenerClaimsTheAddressOfOneOfTheControlPlane) {
  const auto file = [](int port) {
    return str(kBootstrap, "  listeners:\n    - ", rds_listener("fixed", port, "r"), "\n");
  };
  const BuildResult refused = read_again(file(1001));
  EXPECT_EQ(refused.snapshot, nullptr);
  EXPECT_THAT(refused.messages, HasSubstr("listener \"in\" listens on 127.0.0.1:1001 already"));
  EXPECT_NE(read_again(file(1002)).snapshot, nullptr);
}

TEST_F(RunningControlPlane, CountsFieldsThatItDoesNotKnow) {
  const Result<std::string> bytes =
      xds::encode("envoy.config.cluster.v3.Cluster", static_cluster("a", 11));
  BuildJob job;
  job.previous = snapshot;
  // Field 4095, a varint.
  xds::Response& response = job.responses.emplace_back();
  response.version = "v9";
  response.nonce = "n9";
  response.resources.emplace_back().name = "a";
  response.resources.back().bytes = *bytes + "\xf8\xff\x01\x01";
  const BuildResult result = run_build(options, {}, job);
  EXPECT_EQ(result.answers[0].wrong, "");
  EXPECT_EQ(result.warnings, "") << "they are said once, by the server";
  ASSERT_EQ(result.dynamic_unknown_fields.size(), 1u);
  const auto& [name, field] = *result.dynamic_unknown_fields.begin();
  EXPECT_EQ(name, "envoy.config.cluster.v3.Cluster.4095");
  EXPECT_EQ(field.count, 1u);
  EXPECT_EQ(field.example, "cds/a");
}

// A field of a message: number, length, bytes.
std::string wrapped(int number, std::string_view bytes) {
  return str(std::string(1, static_cast<char>(number << 3 | 2)),
             std::string(1, static_cast<char>(bytes.size())), bytes);
}

TEST_F(RunningControlPlane, TreatsUnknownFieldsOfEndpointsAsTheFlagsSay) {
  const auto say_unknown = [this](std::string_view nonce) {
    // cluster_name, and field 4095, a varint.
    const std::string bytes = wrapped(1, "b") + "\xf8\xff\x01\x01";
    const std::string url = str("type.googleapis.com/", xds::message_of(ResourceType::kEndpoints));
    clusters.last().data(http::grpc_frame(wrapped(1, "v") +
                                          wrapped(2, wrapped(1, url) + wrapped(2, bytes)) +
                                          wrapped(4, url) + wrapped(5, nonce)));
    build();
  };
  say_unknown("n9");
  EXPECT_THAT(requests(), ElementsAre("eds b v n9"));
  const auto stats = registry.block<stats::ServerStats>(stats::kControl);
  EXPECT_EQ(stats->dynamic_unknown_fields.value(), 1u);
  EXPECT_TRUE(unknown_of_endpoints.contains("envoy.config.endpoint.v3.ClusterLoadAssignment.4095"));
  unknown_fields = config::UnknownFields::kError;
  initialized = 0;
  SetUp();
  say_unknown("n10");
  EXPECT_THAT(requests(), ElementsAre(HasSubstr("eds b v6 n10 !eds/b: unknown field 4095")));
}

// The first assignment tells of it by the way of all resources; those after it go from the bytes.
TEST_F(RunningControlPlane, CountsMetadataWithoutEffectOfEachAssignment) {
  for (int port = 1; port <= 3; ++port) {
    say(ResourceType::kEndpoints,
        {str(
            R"({"cluster_name":"b","endpoints":[{"lb_endpoints":[{"metadata":{"filter_metadata":{)",
            R"("istio":{"workload":"w"}}},"endpoint":{"address":{"socket_address":{"address":)",
            R"("10.0.0.1","port_value":)", port, "}}}}]}]}")});
    EXPECT_EQ(endpoints.at("b"), 1U);
  }
  const auto stats = registry.block<stats::ServerStats>(stats::kControl);
  EXPECT_EQ(stats->dynamic_unknown_fields.value(), 3U);
  ASSERT_THAT(unknown_of_endpoints, SizeIs(1));
  EXPECT_EQ(unknown_of_endpoints.begin()->first, "filter_metadata[istio]");
  EXPECT_EQ(unknown_of_endpoints.begin()->second.count, 3U);
  EXPECT_THAT(unknown_of_endpoints.begin()->second.example, HasSubstr("eds/b"));
}

TEST_F(ControlPlaneTest, ServesListenersOfTheFileWithRoutesOfTheControlPlane) {
  start(str(kBootstrap, "  listeners:\n    - ", rds_listener("fixed", 1003, "r"), "\n"));
  EXPECT_THAT(listener_names(), IsEmpty());
  say(ResourceType::kClusters, {static_cluster("a")});
  EXPECT_THAT(requests(), ElementsAre("cds", "cds v1 n1", "lds", "rds r"));
  say(ResourceType::kRoutes, {routes("r", "a")});
  EXPECT_EQ(target("fixed"), "a");
  EXPECT_EQ(initialized, 0) << "LDS has not answered";
  say(ResourceType::kListeners, {});
  EXPECT_EQ(initialized, 1);
}

}  // namespace
}  // namespace pillion
