// What is asked for by name follows what differs, and touches no other name.
#include "proxy/builder/needs.h"

#include <gmock/gmock.h>

#include "proxy/builder/settle.h"
#include "tests/support/build_test.h"

namespace pillion::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// Its endpoints have another name, and so have its counters.
std::string eds_cluster(std::string_view name, std::string_view service,
                        std::string_view stat = {}) {
  return resource_json(name, str(R"("type":"EDS","alt_stat_name":")", stat,
                                 R"(","eds_cluster_config":{"service_name":")", service,
                                 R"(","eds_config":{"ads":{}}})"));
}

constexpr std::string_view kScopes = R"("scoped_rds":{"scoped_rds_config_source":{"ads":{}}})";
constexpr std::string_view kSoon = R"({"ads":{},"initial_fetch_timeout":"3s"})";

class Needs : public XdsBuildTest {
 protected:
  void SetUp() override {
    XdsBuildTest::SetUp();
    (void)follow();
  }
  // The names that the last build touched, of endpoints and of routes; what is kept of both by
  // difference is what a look at all says.
  Names follow() {
    const Resources& before = seen == nullptr ? none : *seen->resources;
    const Resources& now = *snapshot->resources;
    Names of_endpoints = endpoints.use(before, now);
    Names of_routes = routes.use(before, now);
    update(eds, of_endpoints, endpoints.wanted(now, of_endpoints));
    update(rds, of_routes, routes.wanted(now, of_routes));
    EXPECT_EQ(eds, wanted_endpoints(now));
    EXPECT_EQ(rds, wanted_routes(now));
    const auto names_in = [](const WantedNames& wanted) {
      Names out;
      for (const auto& [name, how] : wanted) out.insert(name);
      return out;
    };
    EXPECT_EQ(endpoints.users(now, names_in(eds)), endpoint_users(now));
    EXPECT_EQ(routes.users(now, names_in(rds)), route_users(now));
    seen = snapshot;
    of_endpoints.merge(of_routes);
    return of_endpoints;
  }
  static void update(WantedNames& all, const Names& touched, const WantedNames& now) {
    for (const std::string& name : touched)
      if (!now.contains(name)) all.erase(name);
    for (const auto& [name, how] : now) all.insert_or_assign(name, how);
  }
  void say_delta(Type type, const std::vector<Said>& resources,
                 const std::vector<std::string>& removed = {}) {
    add_delta(type, resources, removed);
    EXPECT_EQ(build(), "");
  }

  const Resources none;
  EndpointNeeds endpoints;
  RouteNeeds routes;
  WantedNames eds, rds;
  std::shared_ptr<const Snapshot> seen;
};

TEST_F(Needs, OfEndpointsFollowClustersThatAreCalledOtherwise) {
  say_delta(Type::kClusters, {eds_cluster("a", "a"), eds_cluster("b", "shared")});
  EXPECT_THAT(follow(), UnorderedElementsAre("a", "shared"));
  say_delta(Type::kClusters, {eds_cluster("c", "shared", "other")});
  EXPECT_THAT(follow(), ElementsAre("shared"));
  const Names shared = {"shared"};
  EXPECT_THAT(endpoints.users(*snapshot->resources, shared).at("shared"),
              ElementsAre("b", "other"));
  // A cluster that is called like the endpoints of others, and another one that takes its own.
  say_delta(Type::kClusters, {eds_cluster("shared", "b")});
  EXPECT_THAT(follow(), ElementsAre("b"));
  say_delta(Type::kClusters, {eds_cluster("b", "b")}, {"c"});
  EXPECT_THAT(follow(), UnorderedElementsAre("b", "shared"));
  job.endpoints = std::set<std::string>{"a", "b", "shared"};
  build();
  (void)follow();
  EXPECT_EQ(eds.size(), 2u);
  build();
  EXPECT_THAT(follow(), IsEmpty());
}

TEST_F(Needs, OfTablesThatRequestsAskForTouchThatNameAlone) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds())}), "");
  std::vector<Said> scopes;
  for (int i = 0; i < 100; ++i)
    scopes.push_back(scope_json(str("s", i), str(i), str("r", i), i % 2 == 0));
  EXPECT_EQ(say(Type::kScopedRoutes, scopes), "");
  (void)follow();
  EXPECT_EQ(rds.size(), 50u);
  job.demanded_routes.insert("r0");
  build();
  EXPECT_THAT(follow(), ElementsAre("r0"));
  EXPECT_EQ(rds.size(), 51u);
  job.demanded_routes.insert("nobody's");
  build();
  EXPECT_THAT(follow(), ElementsAre("nobody's"));
  EXPECT_EQ(rds.size(), 51u);
  say_delta(Type::kScopedRoutes, {scope_json("s0", "0", "r1")});
  EXPECT_THAT(follow(), UnorderedElementsAre("r0", "r1"));
  say_delta(Type::kScopedRoutes, {}, {"s3"});
  EXPECT_THAT(follow(), ElementsAre("r3"));
  // Who asks for all of them has changed.
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds(kScopes, kSoon))}), "");
  EXPECT_GE(follow().size(), 98u);
  EXPECT_EQ(rds.at("r1").timeout, std::chrono::seconds(3));
}

}  // namespace
}  // namespace pillion::testing
