// What /init_dump says of pieces that are not in force: which target, by Envoy's name, and why.
#include "proxy/builder/waits.h"

#include <gmock/gmock.h>

#include "proxy/builder/settle.h"
#include "tests/support/build_test.h"

namespace pillion::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = admin::Wait::Kind;

constexpr std::string_view kVhds = R"("vhds":{"config_source":{"ads":{}}},)";
// A filter "f" by ECDS.
constexpr std::string_view kDiscovered =
    R"({"name":"f","config_discovery":{"config_source":{"ads":{}},"type_urls":)"
    R"(["type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"]}},)";

std::string filter(std::string_view fields = "") {
  return resource_json(
      "f", str(R"("typed_config":)", any_json("envoy.extensions.filters.http.fault.v3.HTTPFault",
                                              str("{", fields, "}"))));
}

class WaitsTest : public XdsBuildTest {
 protected:
  // "name <- target: reason" of each target of that kind.
  std::vector<std::string> waits(Kind kind) const {
    std::vector<std::string> out;
    for (const admin::Wait& wait : waits_of_pieces(*snapshot->resources)) {
      EXPECT_EQ(wait.targets.size(), wait.reasons.size());
      for (size_t i = 0; i < wait.targets.size() && wait.kind == kind; ++i)
        out.push_back(str(wait.name, " <- ", wait.targets[i], ": ", wait.reasons[i]));
    }
    return out;
  }
  // A cluster that waits for its endpoints.
  void add_cold_cluster() { EXPECT_EQ(say(Type::kClusters, {eds_cluster_json("cold")}), ""); }
};

TEST_F(WaitsTest, NothingWaitsAtFirstAndInTheEnd) {
  EXPECT_THAT(waits_of_pieces(*snapshot->resources), IsEmpty());
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_rds("r"))}), "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r", "a")}), "");
  EXPECT_THAT(waits_of_pieces(*snapshot->resources), IsEmpty());
}

TEST_F(WaitsTest, AListenerWaitsForRoutes) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_rds("r"))}), "");
  EXPECT_THAT(waits(Kind::kListener),
              ElementsAre("in <- shared target RdsRouteConfigSubscription RDS init r: the routes "
                          "\"r\" (RDS), which have not come"));
  add(Type::kRoutes, {R"({"name":"r","virtual_hosts":[{"name":"no domains"}]})"});
  EXPECT_NE(build(), "");
  EXPECT_THAT(waits(Kind::kListener), ElementsAre(HasSubstr("what came was refused: rds/r: ")));
  add_cold_cluster();
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r", "cold")}), "");
  EXPECT_THAT(waits(Kind::kListener),
              ElementsAre(HasSubstr("the routes \"r\", which wait themselves")));
  EXPECT_THAT(waits(Kind::kRoute),
              ElementsAre("r <- target Cluster cold: the cluster \"cold\", which waits itself"));
}

TEST_F(WaitsTest, AListenerWaitsForItsFilterByEcds) {
  EXPECT_EQ(say(Type::kListeners,
                {listener_json("in", 1001, by_rds("r"), {.http_filters = kDiscovered})}),
            "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r", "a")}), "");
  EXPECT_THAT(waits(Kind::kListener),
              ElementsAre("in <- shared target FilterConfigSubscription init f: the filter \"f\" "
                          "(ECDS), which has not come"));
  EXPECT_NE(say(Type::kExtensions, {filter(R"("abort":{"http_status":7})")}), "");
  EXPECT_THAT(waits(Kind::kListener), ElementsAre(HasSubstr("what came was refused: ecds/f: ")));
  EXPECT_EQ(say(Type::kExtensions, {filter()}), "");
  EXPECT_THAT(waits_of_pieces(*snapshot->resources), IsEmpty());
}

TEST_F(WaitsTest, AListenerWaitsForScopesAndTheseForTheirTables) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds())}), "");
  EXPECT_THAT(waits(Kind::kListener),
              ElementsAre("in <- target ConfigSubscriptionCommonBase init target 'SRDS': "
                          "the scopes (SRDS), which have not come"));
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "1", "r1"), scope_json("two", "2", "r2")}),
            "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r1", "a")}), "");
  EXPECT_THAT(waits(Kind::kListener),
              ElementsAre(HasSubstr("the scope \"two\", which waits itself")));
  EXPECT_THAT(
      waits(Kind::kScope),
      ElementsAre(HasSubstr("two <- shared target RdsRouteConfigSubscription RDS init r2")));
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r1", "a"), routes_json("r2", "a")}), "");
  EXPECT_THAT(waits_of_pieces(*snapshot->resources), IsEmpty());
  // One that takes another table keeps the old one, and holds nobody up.
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "1", "r1"), scope_json("two", "2", "r3")}),
            "");
  EXPECT_THAT(waits(Kind::kListener), IsEmpty());
  EXPECT_THAT(waits(Kind::kScope), ElementsAre(HasSubstr("RDS init r3")));
}

TEST_F(WaitsTest, AListenerThatTurnsToScopesWaitsForTheFirst) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_rds("r"))}), "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r", "a")}), "");
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds())}), "");
  EXPECT_THAT(waits(Kind::kListener),
              ElementsAre(HasSubstr("the scopes (SRDS), which have not come")));
}

TEST_F(WaitsTest, AListenerWaitsForAnAddressThatAnotherOneHas) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("a", 1001, by_rds("r"))}), "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r", "x")}), "");
  // a is to move away, when it has its routes.
  EXPECT_EQ(say(Type::kListeners, {listener_json("a", 1002, by_rds("not-there")),
                                   listener_json("b", 1001, by_rds("r"))}),
            "");
  EXPECT_THAT(waits(Kind::kListener),
              ElementsAre(HasSubstr("a <- shared target RdsRouteConfigSubscription"),
                          "b <- target Socket b: its address 127.0.0.1:1001, which the listener "
                          "\"a\" still has"));
  // Two that swap leave together: only what a lacks holds them up.
  EXPECT_EQ(say(Type::kListeners, {listener_json("a", 1001, by_rds("r"))}), "");
  EXPECT_EQ(say(Type::kListeners,
                {listener_json("a", 1001, by_rds("r")), listener_json("b", 1002, by_rds("r"))}),
            "");
  EXPECT_EQ(say(Type::kListeners, {listener_json("a", 1002, by_rds("not-there")),
                                   listener_json("b", 1001, by_rds("r"))}),
            "");
  EXPECT_THAT(waits(Kind::kListener), ElementsAre(HasSubstr("a <- shared target RdsRoute"),
                                                  HasSubstr("b <- target Socket b: ")));
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r", "x"), routes_json("not-there", "x")}), "");
  EXPECT_THAT(waits_of_pieces(*snapshot->resources), IsEmpty());
}

TEST_F(WaitsTest, NewRoutesWaitAMomentForAClusterThatIsNotKnown) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_rds("r"))}), "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r", "a")}), "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r", "new")}), "");
  EXPECT_THAT(
      waits(Kind::kRoute),
      ElementsAre("r <- target Cluster new: the cluster \"new\", which CDS has not told of"));
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_rds("s"))}), "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("s", "newer")}), "");
  EXPECT_THAT(waits(Kind::kListener), ElementsAre(HasSubstr("in <- target Cluster newer: ")));
  job.now += kAnnounceTime;
  EXPECT_EQ(build(), "");
  EXPECT_THAT(waits_of_pieces(*snapshot->resources), IsEmpty());
  EXPECT_EQ(
      warnings,
      "\"r\": warning: takes effect, and the cluster \"new\" that it names is not there; CDS has "
      "not told of it in 5 s: requests for it are answered by 503\n"
      "\"in\": warning: takes effect, and the cluster \"newer\" that it names is not there; CDS "
      "has not told of it in 5 s: requests for it are answered by 503\n");
}

TEST_F(WaitsTest, AScopeOnDemandWaitsForNothing) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds())}), "");
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "1", "r1", true)}), "");
  EXPECT_THAT(waits_of_pieces(*snapshot->resources), IsEmpty());
}

TEST_F(WaitsTest, ATableWaitsForItsFirstVirtualHosts) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_rds("r"))}), "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r", "a", kVhds)}), "");
  EXPECT_THAT(waits(Kind::kRoute),
              ElementsAre("r <- target VhdsConfigSubscription r: its first virtual hosts (VHDS), "
                          "which have not come"));
  EXPECT_EQ(say(Type::kVirtualHosts, {{"r/x", virtual_host_json("x", "x.com", "a")}}), "");
  EXPECT_THAT(waits_of_pieces(*snapshot->resources), IsEmpty());
  // One that comes later waits for its clusters, alone.
  add_cold_cluster();
  add_delta(Type::kVirtualHosts, {{"r/y", virtual_host_json("y", "y.com", "cold")}}, {});
  EXPECT_EQ(build(), "");
  EXPECT_THAT(waits(Kind::kVirtualHost), ElementsAre(HasSubstr("r/y <- target Cluster cold")));
  EXPECT_THAT(waits(Kind::kRoute), IsEmpty());
}

}  // namespace
}  // namespace pillion::testing
