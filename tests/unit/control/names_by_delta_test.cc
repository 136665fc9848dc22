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

TEST_F(NamesByDelta, OfHostsAreSaidAgainOnANewStream) {
  control->want_route({RouteKind::kVirtualHost, "r0/a"});
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

}  // namespace
}  // namespace pillion
