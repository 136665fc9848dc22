// What is asked for by name, by way of the whole control plane: what is said to the server for each
// name does not grow with what is there already.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/control/control_plane_fixture.h"

namespace pillion {
namespace {

using core::RouteKind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using xds::ResourceType;

constexpr std::string_view kAnyCluster = R"("validate_clusters":false,)";

std::string vhds_table(std::string_view name) {
  return testing::resource_json(name,
                                R"("vhds":{"config_source":{"ads":{}}},"validate_clusters":false)");
}

class NamesByDelta : public testing::ControlPlaneFixture {
 protected:
  void SetUp() override {
    start(testing::ads_bootstrap("id: n, cluster: c", "DELTA_GRPC"));
    say(ResourceType::kClusters, {});
    std::vector<Versioned> listeners, tables;
    for (int i = 0; i < 50; ++i) {
      const std::string listener = str("l", i);
      const std::string table = str("r", i);
      listeners.push_back(
          {listener, "1", testing::listener_json(listener, 2000 + i, testing::by_rds(table))});
      tables.push_back({table, "1", vhds_table(table)});
    }
    say(ResourceType::kListeners, listeners);
    say(ResourceType::kRoutes, tables);
    (void)asked(ResourceType::kVirtualHosts);
  }

  void say(ResourceType type, const std::vector<Versioned>& resources) {
    say_delta(type, resources);
    build();
  }
  // What was said of that type since the last time, a text for each request: "+new -gone".
  std::vector<std::string> asked(ResourceType type) {
    loop.run_once(false);
    std::vector<std::string> out;
    for_each_request(testing::kDeltaRequest, [&](const config::Node& node) {
      if (!node["type_url"].as_view_or().ends_with(xds::message_of(type))) return;
      std::string line;
      for (const config::Node name : node["resource_names_subscribe"].items())
        line += str(line.empty() ? "+" : " +", name.raw());
      for (const config::Node name : node["resource_names_unsubscribe"].items())
        line += str(line.empty() ? "-" : " -", name.raw());
      if (!line.empty()) out.push_back(line);
    });
    return out;
  }
};

TEST_F(NamesByDelta, OfHostsThatRequestsWantAreSaidTogetherAndEachOnce) {
  for (const char* host : {"r0/a", "r0/b", "r1/c", "r0/a"})
    control->want_route({RouteKind::kVirtualHost, host});
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("+r0/a +r0/b +r1/c"));
  control->want_route({RouteKind::kVirtualHost, "r2/d"});
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("+r2/d"));
  control->want_route({RouteKind::kVirtualHost, "no-table/d"});
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), IsEmpty());
}

// Of a server that is slow and does not heed that nobody wants it any more.
TEST_F(NamesByDelta, OfHostsThatComeTooLateAreNotKept) {
  for (const char* host : {"r0/late", "r0/live"})
    control->want_route({RouteKind::kVirtualHost, host});
  loop.skip(RouteRequests::kForsakenTime + std::chrono::seconds(1));
  loop.run_once(false);
  control->want_route({RouteKind::kVirtualHost, "r0/live"});
  (void)asked(ResourceType::kVirtualHosts);
  say(ResourceType::kVirtualHosts,
      {{"r0/late", "1", testing::virtual_host_json("late", "late", "c")},
       {"r0/live", "1", testing::virtual_host_json("live", "live", "c")}});
  EXPECT_FALSE(snapshot->resources->virtual_hosts.contains("r0/late"));
  EXPECT_TRUE(snapshot->resources->virtual_hosts.contains("r0/live"));
}

TEST_F(NamesByDelta, OfHostsAreSaidAgainOnANewStream) {
  control->want_route({RouteKind::kVirtualHost, "r0/a"});
  say(ResourceType::kVirtualHosts, {{"r0/a", "1", testing::virtual_host_json("a", "a", "c")}});
  (void)asked(ResourceType::kVirtualHosts);
  clusters.last().trailers("14", "bye");
  loop.skip(std::chrono::seconds(30));
  clusters.last().head();
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("+* +r0/a"));
}

TEST_F(NamesByDelta, OfHostsAreAnsweredWhenTheyAreInForceAndGoWithTheirTable) {
  control->want_route({RouteKind::kVirtualHost, "r0/a"});
  control->want_route({RouteKind::kVirtualHost, "r1/b"});
  (void)asked(ResourceType::kVirtualHosts);
  say(ResourceType::kVirtualHosts,
      {{"r0/a", "1",
        R"({"name":"a","domains":["a"],"routes":[{"match":{"prefix":"/"},)"
        R"("direct_response":{"status":200}}]})"}});
  EXPECT_THAT(answers, ElementsAre("r0/a"));
  say(ResourceType::kRoutes, {{"r1", "1", R"({"name":"r1"})"}});
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("-r1/b"));
  say(ResourceType::kRoutes, {{"r1", "1", vhds_table("r1")}});
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("+r1/b"));
}

TEST_F(NamesByDelta, OfHostsThatNobodyWaitsForAnyMoreAreTakenBack) {
  control->want_route({RouteKind::kVirtualHost, "r0/invented"});
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("+r0/invented"));
  loop.skip(std::chrono::seconds(4));
  control->want_route({RouteKind::kVirtualHost, "r0/other"});
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("+r0/other"));
  loop.skip(RouteRequests::kForsakenTime - std::chrono::milliseconds(3900));
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("-r0/invented"));
  EXPECT_THAT(answers, ElementsAre("r0/invented")) << "should somebody have come to wait, too";
  loop.skip(std::chrono::milliseconds(4100));
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("-r0/other"));
}

// An answer to a worker wakes all that wait there.
TEST_F(NamesByDelta, OfHostsThatAreRefusedAreToldOnceInATurn) {
  for (size_t i = 0; i < RouteRequests::kMaxPerTable + 100; ++i)
    control->want_route({RouteKind::kVirtualHost, str("r0/", i)});
  EXPECT_THAT(answers, IsEmpty());
  (void)asked(ResourceType::kVirtualHosts);
  EXPECT_EQ(answers.size(), 100u);
  EXPECT_EQ(times_answered, 1);
  loop.skip(RouteRequests::kStay);
  control->want_route({RouteKind::kVirtualHost, "r0/real"});
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("+r0/real -r0/0"));
  EXPECT_EQ(answers.back(), "r0/0");
}

TEST_F(NamesByDelta, OfEndpointsComeInPortionsWhenThereAreMany) {
  constexpr size_t kClusters = 3000;
  std::vector<Versioned> all;
  for (size_t i = 0; i < kClusters; ++i) {
    const std::string name = str("c", i);
    all.push_back({name, "1", testing::eds_cluster_json(name)});
  }
  say(ResourceType::kClusters, all);
  std::vector<std::string> requests;
  size_t names = 0;
  while (names < kClusters) {
    for (const std::string& line : asked(ResourceType::kEndpoints)) {
      requests.push_back(line);
      names += static_cast<size_t>(std::ranges::count(line, '+'));
    }
  }
  EXPECT_EQ(names, kClusters) << "each once";
  EXPECT_GT(requests.size(), 1u);
  const auto longest = std::ranges::max_element(requests, {}, &std::string::size);
  EXPECT_LT(std::ranges::count(*longest, '+'), 2900) << "in one turn";
}

// ---- tables of scopes ----

class TablesOnDemand : public NamesByDelta {
 protected:
  void SetUp() override {
    start(testing::ads_bootstrap("id: n, cluster: c", "DELTA_GRPC"));
    say(ResourceType::kClusters, {});
    say(ResourceType::kListeners, {{"in", "1", testing::listener_json("in", 2000, by)}});
  }
  // A scope on demand for each of the tables.
  void say_scopes(const std::vector<std::string>& tables) {
    std::vector<Versioned> scopes;
    for (const std::string& table : tables)
      scopes.push_back(
          {str("s-", table), "1", testing::scope_json(str("s-", table), table, table, true)});
    say(ResourceType::kScopedRoutes, scopes);
  }
  void remove_scope(std::string_view table) {
    say_removed(ResourceType::kScopedRoutes, {str("s-", table)});
    build();
  }
  void use(const std::string& table) {
    control->want_route({RouteKind::kTable, table});
    build();
  }
  bool is_demanded(std::string_view table) {
    is_wanted = true;  // another build, whatever for
    build();
    return snapshot->resources->demanded_routes.contains(table);
  }
  // A request of that scope, on a worker.
  [[nodiscard]] bool has_table(std::string_view key) const {
    const auto& scopes = snapshot->resources->scope_table;
    route::ScopeKey wanted;
    wanted.fragments[wanted.size++] = key;
    const route::ScopeTable::Scope* scope = scopes->find(wanted);
    return scope != nullptr && scope->table != nullptr;
  }

  std::string by = testing::by_srds();
};

TEST_F(TablesOnDemand, AreForgottenWhenNoScopeNamesThem) {
  say_scopes({"t0", "t1"});
  EXPECT_THAT(asked(ResourceType::kRoutes), IsEmpty());
  use("t0");
  use("t1");
  EXPECT_THAT(asked(ResourceType::kRoutes), ElementsAre("+t0", "+t1"));
  remove_scope("t0");
  EXPECT_THAT(asked(ResourceType::kRoutes), ElementsAre("-t0"));
  EXPECT_FALSE(is_demanded("t0"));
  EXPECT_TRUE(is_demanded("t1"));
  // It is another one when it comes again: nobody has asked for it.
  say_scopes({"t0", "t1"});
  EXPECT_THAT(asked(ResourceType::kRoutes), IsEmpty());
  use("t0");
  EXPECT_THAT(asked(ResourceType::kRoutes), ElementsAre("+t0"));
}

TEST_F(TablesOnDemand, ThatNothingNamesWhenTheyAreAskedForAreForgottenAtOnce) {
  say_scopes({"t0"});
  use("gone-meanwhile");
  EXPECT_THAT(asked(ResourceType::kRoutes), IsEmpty());
  EXPECT_FALSE(is_demanded("gone-meanwhile"));
  EXPECT_THAT(answers, ElementsAre("gone-meanwhile"));
}

// More than there is place for, but not at a time: the last ones are asked for like the first.
TEST_F(TablesOnDemand, MayBeAnyNumberOneAfterTheOther) {
  constexpr size_t kAtATime = 1000;
  for (size_t from = 0; from < RouteRequests::kMaxNames + kAtATime; from += kAtATime) {
    std::vector<std::string> tables;
    for (size_t i = from; i < from + kAtATime; ++i) tables.push_back(str("t", i));
    say_scopes(tables);
    for (const std::string& table : tables) control->want_route({RouteKind::kTable, table});
    build();
    (void)asked(ResourceType::kRoutes);
    EXPECT_THAT(answers, IsEmpty()) << "nothing is refused";
    for (std::string& table : tables) table = str("s-", table);
    say_removed(ResourceType::kScopedRoutes, tables);
    build();
    answers.clear();  // that they are gone
    loop.skip(std::chrono::seconds(1));
  }
  EXPECT_FALSE(is_demanded("t0"));
  EXPECT_EQ(snapshot->resources->demanded_routes.size(), 0u);
}

TEST_F(TablesOnDemand, ThatNoRequestUsesAreDroppedAndAskedForAgain) {
  say_scopes({"idle", "busy"});
  use("idle");
  use("busy");
  say(ResourceType::kRoutes, {{"idle", "1", testing::routes_json("idle", "c", kAnyCluster)},
                              {"busy", "1", testing::routes_json("busy", "c", kAnyCluster)}});
  EXPECT_TRUE(has_table("idle"));
  (void)asked(ResourceType::kRoutes);
  for (int i = 0; i < 4; ++i) {
    loop.skip(RouteRequests::kUnusedTime / 2);
    (void)has_table("busy");
    loop.run_once(false);
    build();
  }
  EXPECT_THAT(asked(ResourceType::kRoutes), ElementsAre("-idle"));
  EXPECT_TRUE(has_table("busy"));
  EXPECT_FALSE(has_table("idle"));
  use("idle");
  EXPECT_THAT(asked(ResourceType::kRoutes), ElementsAre("+idle"));
}

// Of the listener itself; without SRDS.
TEST_F(TablesOnDemand, OfScopesInAListenerLikewise) {
  const auto list = [](std::string_view scopes) {
    return testing::by_srds(str(R"("scoped_route_configurations_list":{)",
                                R"("scoped_route_configurations":[)", scopes, "]}"));
  };
  const std::string one = testing::scope_json("one", "1", "t1", true);
  const std::string two = testing::scope_json("two", "2", "t2", true);
  say(ResourceType::kListeners,
      {{"in", "2", testing::listener_json("in", 2000, list(str(one, ",", two)))}});
  use("t1");
  use("t2");
  EXPECT_THAT(asked(ResourceType::kRoutes), ElementsAre("+t1", "+t2"));
  say(ResourceType::kListeners, {{"in", "3", testing::listener_json("in", 2000, list(one))}});
  EXPECT_THAT(asked(ResourceType::kRoutes), ElementsAre("-t2"));
  EXPECT_FALSE(is_demanded("t2"));
  EXPECT_TRUE(is_demanded("t1"));
}

}  // namespace
}  // namespace pillion
