// What is asked for by name, by way of the whole control plane: what is said to the server for each
// name does not grow with what is there already.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "proxy/config/node.h"
#include "proxy/control/control_plane.h"
#include "proxy/http/grpc_frames.h"
#include "tests/support/ads_bootstrap.h"
#include "tests/support/fake_cluster_client.h"
#include "xds/reflect.h"

namespace pillion {
namespace {

using core::RouteKind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using xds::ResourceType;

std::string vhds_table(std::string_view name) {
  return str(R"("name":")", name,
             R"(","vhds":{"config_source":{"ads":{}}},"validate_clusters":false)");
}
std::string listener(int i) {
  return str(R"("name":"l)", i, R"(","address":{"socket_address":{"address":"127.0.0.1",)",
             R"("port_value":)", 2000 + i, R"(}},"filter_chains":[{"filters":[{"name":"hcm",)",
             R"("typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.network.)",
             R"(http_connection_manager.v3.HttpConnectionManager","stat_prefix":"in","rds":)",
             R"({"route_config_name":"r)", i, R"(","config_source":{"ads":{}}},"http_filters":[)",
             R"({"name":"router","typed_config":{"@type":"type.googleapis.com/envoy.extensions.)",
             R"(filters.http.router.v3.Router"}}]}}]}])");
}

class NamesByDelta : public ::testing::Test, protected ControlPlaneHost {
 protected:
  void SetUp() override {
    options.config_yaml = testing::ads_bootstrap("id: n, cluster: c", "DELTA_GRPC");
    BuildResult built = run_build(options, {}, {});
    ASSERT_NE(built.snapshot, nullptr) << built.messages;
    snapshot = built.snapshot;
    ControlPlaneHost& host = *this;
    control.emplace(ControlPlane::Context{loop, rng, clusters, registry},
                    snapshot->bootstrap.dynamic, host);
    control->start(*snapshot);
    clusters.last().head();
    say(ResourceType::kClusters, {});
    std::vector<std::pair<std::string, std::string>> listeners, tables;
    for (int i = 0; i < 50; ++i) {
      listeners.emplace_back(str("l", i), listener(i));
      tables.emplace_back(str("r", i), vhds_table(str("r", i)));
    }
    say(ResourceType::kListeners, listeners);
    say(ResourceType::kRoutes, tables);
    (void)asked(ResourceType::kVirtualHosts);
  }

  void on_resources_wait() override { is_wanted = true; }
  void on_endpoints(const std::string&, const upstream::HostSetPtr&) override {}
  [[nodiscard]] upstream::HostSetPtr endpoints_of(const std::string&) const override {
    return nullptr;
  }
  void on_initialized() override {}
  void on_unknown_fields(const config::UnknownFieldMap&) override {}
  void on_routes_answered(const std::vector<core::RouteName>& names) override {
    for (const core::RouteName& name : names) answers.push_back(name.name);
  }

  void say(ResourceType type, const std::vector<std::pair<std::string, std::string>>& resources) {
    std::string list;
    for (const auto& [name, fields] : resources)
      list += str(list.empty() ? "" : ",", R"({"name":")", name,
                  R"(","version":"1","resource":{"@type":"type.googleapis.com/)",
                  xds::message_of(type), R"(",)", fields, "}}");
    const Result<std::string> bytes = xds::encode(
        "envoy.service.discovery.v3.DeltaDiscoveryResponse",
        str(R"({"system_version_info":"v","nonce":"n","type_url":"type.googleapis.com/)",
            xds::message_of(type), R"(","resources":[)", list, "]}"));
    ASSERT_TRUE(bytes) << bytes.error();
    clusters.last().data(http::grpc_frame(*bytes));
    while (std::exchange(is_wanted, false)) {
      BuildJob job;
      job.previous = snapshot;
      job.now = loop.now();
      control->add_to(job, ControlPlane::Take::kResponsesToo);
      const BuildResult result = run_build(options, {}, job);
      ASSERT_NE(result.snapshot, nullptr);
      snapshot = result.snapshot;
      control->on_built(result, *snapshot);
      control->on_applied();
    }
  }
  // What was said of that type since the last time, a text for each request: "+new -gone".
  std::vector<std::string> asked(ResourceType type) {
    loop.run_once(false);
    std::vector<std::string> out;
    http::GrpcFrames frames(1 << 20);
    const std::string sent = std::exchange(clusters.last().sent, {});
    (void)frames.feed(sent, [&](std::string_view message) {
      config::Errors errors;
      const auto document = xds::reflect("envoy.service.discovery.v3.DeltaDiscoveryRequest",
                                         message, "request", errors);
      const config::Node node = document->root(errors);
      if (!node["type_url"].as_view_or().ends_with(xds::message_of(type))) return true;
      std::string line;
      for (const config::Node name : node["resource_names_subscribe"].items())
        line += str(line.empty() ? "+" : " +", name.raw());
      for (const config::Node name : node["resource_names_unsubscribe"].items())
        line += str(line.empty() ? "-" : " -", name.raw());
      if (!line.empty()) out.push_back(line);
      return true;
    });
    return out;
  }

  io::Loop loop;
  Rng rng{1};
  stats::Registry registry;
  Options options;
  ::pillion::testing::FakeClusterClient clusters;
  std::optional<ControlPlane> control;
  std::shared_ptr<const Snapshot> snapshot;
  std::vector<std::string> answers;
  bool is_wanted = false;
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
      {{"r0/a", R"("name":"a","domains":["a"],"routes":[{"match":{"prefix":"/"},)"
                R"("direct_response":{"status":200}}])"}});
  EXPECT_THAT(answers, ElementsAre("r0/a"));
  say(ResourceType::kRoutes, {{"r1", R"("name":"r1")"}});
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("-r1/b"));
  say(ResourceType::kRoutes, {{"r1", vhds_table("r1")}});
  EXPECT_THAT(asked(ResourceType::kVirtualHosts), ElementsAre("+r1/b"));
}

TEST_F(NamesByDelta, OfEndpointsComeInPortionsWhenThereAreMany) {
  constexpr size_t kClusters = 3000;
  std::vector<std::pair<std::string, std::string>> all;
  for (size_t i = 0; i < kClusters; ++i) {
    const std::string name = str("c", i);
    all.emplace_back(name, str(R"("name":")", name, R"(","type":"EDS","eds_cluster_config":)",
                               R"({"eds_config":{"ads":{}}})"));
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
