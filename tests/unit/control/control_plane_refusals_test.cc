// What of a control plane is refused, by the state of the world, and what goes on without it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/control/control_plane.h"
#include "tests/unit/control/control_plane_by_sotw.h"

namespace pillion::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;
using xds::ResourceType;

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

}  // namespace
}  // namespace pillion::testing
