// What is asked, answered and put in force, by the state of the world.
#include "proxy/control/control_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "proxy/builder/settle.h"
#include "tests/support/run_until.h"
#include "tests/unit/control/control_plane_by_sotw.h"

namespace pillion::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;
using xds::ResourceType;

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

// By the state of the world each request would be answered by all that was asked for so far.
TEST_F(ControlPlaneTest, AsksForTheEndpointsOfManyClustersByOneRequest) {
  start();
  std::vector<std::string> many;
  for (int i = 0; i < 2000; ++i) many.push_back(eds_cluster(str("c", i)));
  say(ResourceType::kClusters, many);
  std::vector<std::string> of_endpoints;
  ASSERT_TRUE(run_until(loop, [&] {
    for (const std::string& line : requests())
      if (line.starts_with("eds")) of_endpoints.push_back(line);
    return !of_endpoints.empty();
  }));
  run_for(loop, 10ms);
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

// Of a server that was ahead with routes while its clusters were not acknowledged yet.
TEST_F(RunningControlPlane, HoldsRoutesForAMomentIfTheirClusterIsNotKnownYet) {
  say(ResourceType::kRoutes, {routes("r", "new")});
  EXPECT_EQ(target("in"), "a");
  say(ResourceType::kClusters, {static_cluster("a"), static_cluster("new")});
  EXPECT_EQ(target("in"), "new");
  say(ResourceType::kRoutes, {routes("r", "never")});
  EXPECT_EQ(target("in"), "new");
  loop.skip(kAnnounceTime - 1s);
  say(ResourceType::kRoutes, {routes("r", "neither")});
  EXPECT_EQ(target("in"), "new");
  loop.skip(2s);
  build();
  EXPECT_EQ(target("in"), "neither") << "further ones do not put it off";
  say(ResourceType::kRoutes,
      {R"({"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[)"
       R"({"match":{"prefix":"/a"},"route":{"cluster":"a"}},)"
       R"({"match":{"prefix":"/"},"route":{"cluster":"neither"}}]}]})"});
  EXPECT_EQ(snapshot->resources->routes.find("r")->second.active_version, "v9")
      << "what is missing already is not waited for again";
}

// The moment is of what is unknown, not of the routes: those of before may have waited for long.
TEST_F(RunningControlPlane, HoldsRoutesAnewForAnotherClusterThatIsNotKnownYet) {
  say(ResourceType::kRoutes, {routes("r", "new")});
  say(ResourceType::kClusters, {static_cluster("a"), eds_cluster("new")});
  EXPECT_EQ(target("in"), "a");
  loop.skip(kAnnounceTime + 1s);
  say(ResourceType::kRoutes, {routes("r", "newer")});
  EXPECT_EQ(target("in"), "a");
  say(ResourceType::kClusters, {static_cluster("a"), static_cluster("newer")});
  EXPECT_EQ(target("in"), "newer");
}

TEST_F(RunningControlPlane, HoldsAListenerForAMomentIfAClusterOfItsNewTableIsNotKnownYet) {
  say(ResourceType::kListeners,
      {rds_listener("in", 1001, "r2"), rds_listener("other", 1002, "r2")});
  say(ResourceType::kRoutes, {routes("r2", "new")});
  EXPECT_EQ(target("in"), "a");
  EXPECT_EQ(target("other"), "new") << "nothing is lost by one that is new";
  say(ResourceType::kClusters, {static_cluster("a"), static_cluster("new")});
  EXPECT_EQ(target("in"), "new");
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
}  // namespace pillion::testing
