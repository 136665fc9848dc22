// What is counted of what a control plane says, by the state of the world.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/control/control_plane.h"
#include "tests/unit/control/control_plane_by_sotw.h"

namespace pillion::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using xds::ResourceType;

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

// Those without an effect and an answer: nothing else tells of them.
TEST_F(ControlPlaneTest, CountsResponsesThatANewerOneHasReplaced) {
  start();
  for (int i = 0; i < 4; ++i)
    clusters.last().data(response(ResourceType::kClusters, {static_cluster("a")}));
  build();
  EXPECT_THAT(requests(), Contains("cds v4 n4"));
  const auto stats = registry.block<stats::ControlPlaneStats>(stats::kControl);
  registry.refresh();
  EXPECT_EQ(stats->responses_superseded.value(), 2u) << "v1 was being built, v4 is the last";
  registry.refresh();
  EXPECT_EQ(stats->responses_superseded.value(), 2u);
}

}  // namespace
}  // namespace pillion::testing
