#include "xds/ads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/json.h"
#include "proxy/base/str.h"
#include "tests/support/fake_cluster_client.h"
#include "tests/support/run_until.h"
#include "xds/reflect.h"
#include "xds/value_json.h"

namespace pillion::xds {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace std::chrono_literals;

constexpr std::string_view kTypes = "type.googleapis.com/";

struct Recorder final : SourceObserver {
  void on_resources(Response&& response) override { responses.push_back(std::move(response)); }
  void on_fetch_timeout(ResourceType type, const std::set<std::string>& names) override {
    std::string line(short_name(type));
    for (const std::string& name : names) line += ' ' + name;
    timeouts.push_back(line);
  }
  void on_connected(bool connected, std::string_view text) override {
    connections.push_back(str(connected ? "+" : "-", text));
  }
  std::vector<Response> responses;
  std::vector<std::string> timeouts;
  std::vector<std::string> connections;
};

// A DiscoveryResponse of clusters or whatever else, made by protobuf itself.
std::string response(ResourceType type, std::string_view version, std::string_view nonce,
                     const std::vector<std::string>& names) {
  std::string resources;
  const bool is_assignment = type == ResourceType::kEndpoints;
  for (const std::string& name : names) {
    resources += str(resources.empty() ? "" : ",", R"({"@type":")", kTypes, message_of(type),
                     R"(",")", is_assignment ? "cluster_name" : "name", R"(":")", name, R"("})");
  }
  const Result<std::string> bytes =
      encode("envoy.service.discovery.v3.DiscoveryResponse",
             str(R"({"version_info":")", version, R"(","nonce":")", nonce, R"(","type_url":")",
                 kTypes, message_of(type), R"(","control_plane":{"identifier":"cp"},"resources":[)",
                 resources, "]}"));
  EXPECT_TRUE(bytes) << bytes.error();
  return bytes ? *bytes : std::string();
}

class Ads : public ::testing::Test {
 protected:
  Ads() {
    options.cluster = "xds";
    options.node = *encode("envoy.config.core.v3.Node", R"({"id":"me"})");
    ads.emplace(loop, rng, clusters, seen, options);
  }

  // The requests since the last call, each as one line of JSON, as protobuf reads them.
  std::vector<std::string> requests() {
    std::vector<std::string> out;
    http::GrpcFrames frames(1 << 20);
    const std::string sent = std::exchange(clusters.last().sent, {});
    EXPECT_EQ(
        frames.feed(sent,
                    [&](std::string_view message) {
                      config::Errors errors;
                      const auto document = reflect("envoy.service.discovery.v3.DiscoveryRequest",
                                                    message, "request", errors);
                      std::string json;
                      append_json(json, document->root_value());
                      EXPECT_TRUE(errors.ok()) << errors.to_string();
                      // What is the same in all is left out.
                      for (std::string_view part :
                           {std::string_view(R"("type_url":"type.googleapis.com/envoy.config.)"),
                            std::string_view("\"type_url\":")}) {
                        if (const size_t at = json.find(part); at != json.npos)
                          json.replace(at, part.size(), "\"type\":\"");
                      }
                      out.push_back(json);
                      return true;
                    }),
        nullptr);
    return out;
  }
  void receive(const std::string& message) { clusters.last().data(http::grpc_frame(message)); }
  // Until the next try of a stream.
  void wait_for_call(size_t count) {
    for (int i = 0; i < 100 && clusters.calls.size() < count; ++i) loop.skip(1s);
    ASSERT_EQ(clusters.calls.size(), count);
  }

  io::Loop loop;
  Rng rng{1};
  ::pillion::testing::FakeClusterClient clusters;
  Recorder seen;
  AdsOptions options;
  std::optional<AdsClient> ads;
};

TEST_F(Ads, SaysTheNodeOnceAndAsksForAllByAnEmptyList) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  ads->subscribe_all(ResourceType::kListeners, 0s);
  EXPECT_EQ(clusters.last().cluster, "xds");
  EXPECT_EQ(clusters.last().path,
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources");
  EXPECT_THAT(requests(), ElementsAre(R"({"node":{"id":"me"},"type":"cluster.v3.Cluster"})",
                                      R"({"type":"listener.v3.Listener"})"));
}

TEST_F(Ads, AcknowledgesWithTheVersionAndTheNonceOfTheResponse) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  (void)requests();
  clusters.last().head();
  receive(response(ResourceType::kClusters, "v1", "n1", {"a", "b"}));
  ASSERT_EQ(seen.responses.size(), 1u);
  EXPECT_EQ(seen.responses[0].resources[1].name, "b");
  EXPECT_THAT(seen.connections, ElementsAre("+cp"));
  EXPECT_THAT(requests(), IsEmpty()) << "not before it was taken";
  ads->accept(ResourceType::kClusters);
  EXPECT_THAT(requests(), ElementsAre(R"({"version_info":"v1","type":"cluster.v3.Cluster",)"
                                      R"("response_nonce":"n1"})"));
  EXPECT_EQ(ads->version(ResourceType::kClusters), "v1");
}

TEST_F(Ads, RefusesWithTheLastGoodVersionAndTheReason) {
  ads->start();
  ads->subscribe_all(ResourceType::kListeners, 0s);
  clusters.last().head();
  receive(response(ResourceType::kListeners, "v1", "n1", {"a"}));
  ads->accept(ResourceType::kListeners);
  receive(response(ResourceType::kListeners, "v2", "n2", {"a"}));
  (void)requests();
  ads->reject(ResourceType::kListeners, "lds/a: address: required field is missing\xff");
  EXPECT_THAT(requests(),
              ElementsAre(R"({"version_info":"v1","type":"listener.v3.Listener",)"
                          R"("response_nonce":"n2","error_detail":{"code":3,)"
                          R"("message":"lds/a: address: required field is missing?"}})"));
  EXPECT_EQ(ads->counts(ResourceType::kListeners).rejected, 1u);
  EXPECT_EQ(ads->counts(ResourceType::kListeners).success, 1u);
}

TEST_F(Ads, AsksForNamesWhenThereAreSomeAndTellsWhenThereAreNoneAnyMore) {
  ads->start();
  ads->subscribe(ResourceType::kEndpoints, {});
  EXPECT_THAT(requests(), IsEmpty()) << "an empty list would mean all";
  ads->subscribe(ResourceType::kEndpoints, {{"b", 0s}, {"a", 0s}});
  ads->subscribe(ResourceType::kEndpoints, {{"a", 0s}, {"b", 0s}});
  EXPECT_THAT(requests(), ElementsAre(R"({"node":{"id":"me"},"resource_names":["a","b"],)"
                                      R"("type":"endpoint.v3.ClusterLoadAssignment"})"));
  ads->subscribe(ResourceType::kEndpoints, {});
  EXPECT_THAT(requests(), ElementsAre(R"({"type":"endpoint.v3.ClusterLoadAssignment"})"));
}

TEST_F(Ads, LetsNewNamesRideOnTheAnswerThatIsDue) {
  ads->start();
  ads->subscribe(ResourceType::kRoutes, {{"a", 0s}});
  clusters.last().head();
  receive(response(ResourceType::kRoutes, "v1", "n1", {"a"}));
  (void)requests();
  ads->subscribe(ResourceType::kRoutes, {{"a", 0s}, {"b", 0s}});
  EXPECT_THAT(requests(), IsEmpty());
  ads->accept(ResourceType::kRoutes);
  EXPECT_THAT(requests(), ElementsAre(R"({"version_info":"v1","resource_names":["a","b"],)"
                                      R"("type":"route.v3.RouteConfiguration",)"
                                      R"("response_nonce":"n1"})"));
}

TEST_F(Ads, DealsWithResponsesOfATypeOneByOneAndStopsReadingWhenTooManyWait) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  clusters.last().head();
  for (int i = 1; i <= 9; ++i)
    receive(response(ResourceType::kClusters, str('v', i), str('n', i), {}));
  EXPECT_EQ(seen.responses.size(), 1u);
  EXPECT_TRUE(clusters.last().is_paused);
  (void)requests();
  for (int i = 1; i <= 9; ++i) {
    ASSERT_EQ(seen.responses.size(), static_cast<size_t>(i));
    EXPECT_EQ(seen.responses.back().nonce, str('n', i));
    ads->accept(ResourceType::kClusters);
    EXPECT_THAT(requests(), ElementsAre(HasSubstr(str("\"response_nonce\":\"n", i, '"'))));
  }
  EXPECT_FALSE(clusters.last().is_paused);
}

TEST_F(Ads, TellsWhatIsWrongWithAllOfAResponse) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  clusters.last().head();
  receive(response(ResourceType::kClusters, "v1", "n1", {"a", "a"}));
  ASSERT_EQ(seen.responses.size(), 1u);
  EXPECT_EQ(seen.responses[0].wrong, "cds/a: there are two of this name");
  EXPECT_THAT(seen.responses[0].resources, IsEmpty());
  ads->reject(ResourceType::kClusters, seen.responses[0].wrong);
  const Result<std::string> foreign =
      encode("envoy.service.discovery.v3.DiscoveryResponse",
             str(R"({"nonce":"n2","type_url":")", kTypes,
                 R"(envoy.config.cluster.v3.Cluster","resources":[{"@type":")", kTypes,
                 R"(envoy.config.listener.v3.Listener"}]})"));
  receive(*foreign);
  ASSERT_EQ(seen.responses.size(), 2u);
  EXPECT_THAT(seen.responses[1].wrong, HasSubstr("expected a envoy.config.cluster.v3.Cluster"));
}

TEST_F(Ads, AnswersABadResponseAfterTheOneBeforeItEachWithItsNonce) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  clusters.last().head();
  receive(response(ResourceType::kClusters, "v1", "n1", {"a"}));
  receive(response(ResourceType::kClusters, "v2", "n2", {"a", "a"}));
  (void)requests();
  ads->accept(ResourceType::kClusters);
  EXPECT_THAT(requests(), ElementsAre(AllOf(HasSubstr(R"("version_info":"v1")"),
                                            HasSubstr(R"("response_nonce":"n1")"))));
  ASSERT_EQ(seen.responses.size(), 2u);
  ads->reject(ResourceType::kClusters, seen.responses[1].wrong);
  EXPECT_THAT(requests(), ElementsAre(AllOf(HasSubstr(R"("version_info":"v1")"),
                                            HasSubstr(R"("response_nonce":"n2","error_detail")"))));
}

TEST_F(Ads, RefusesTheSameAgainMoreSlowly) {
  ads->start();
  ads->subscribe(ResourceType::kRoutes, {{"r", 0s}});
  clusters.last().head();
  (void)requests();
  const auto refuse = [&](std::string_view version, std::string_view nonce) {
    receive(response(ResourceType::kRoutes, version, nonce, {"r"}));
    ads->reject(ResourceType::kRoutes, "bad");
  };
  refuse("v1", "n1");
  EXPECT_THAT(requests(), ElementsAre(HasSubstr(R"("response_nonce":"n1")")));
  refuse("v1", "n2");
  EXPECT_THAT(requests(), IsEmpty());
  loop.skip(110ms);
  EXPECT_THAT(requests(), ElementsAre(HasSubstr(R"("response_nonce":"n2","error_detail")")));
  refuse("v1", "n3");
  loop.skip(110ms);
  EXPECT_THAT(requests(), IsEmpty());
  loop.skip(100ms);
  EXPECT_THAT(requests(), ElementsAre(HasSubstr(R"("response_nonce":"n3","error_detail")")));
  for (int i = 0; i < 40; ++i) {
    refuse("v1", "again");
    loop.skip(5100ms);
    ASSERT_EQ(requests().size(), 1u);
  }
  // New names take it along, another version is another matter.
  refuse("v1", "n4");
  ads->subscribe(ResourceType::kRoutes, {{"r", 0s}, {"s", 0s}});
  loop.skip(10ms);
  EXPECT_THAT(requests(), ElementsAre(AllOf(HasSubstr(R"(["r","s"])"), HasSubstr("n4"))));
  refuse("v2", "n5");
  EXPECT_THAT(requests(), ElementsAre(HasSubstr(R"("response_nonce":"n5")")));
  // What is held when the stream breaks is not said on the next.
  refuse("v2", "n6");
  clusters.last().fail("reset");
  wait_for_call(2);
  loop.skip(10s);
  EXPECT_THAT(requests(), ElementsAre(Not(HasSubstr("error_detail"))));
}

TEST_F(Ads, IsNotConfusedByAResponseOfATypeThatNobodyKnows) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  clusters.last().head();
  (void)requests();
  receive(*encode("envoy.service.discovery.v3.DiscoveryResponse",
                  R"({"nonce":"n1","type_url":"type.googleapis.com/a.B"})"));
  receive("\xff\xff");
  // Known, but not asked for.
  receive(response(ResourceType::kRoutes, "v1", "n1", {"r"}));
  EXPECT_THAT(requests(), IsEmpty());
  EXPECT_THAT(seen.responses, IsEmpty());
  receive(response(ResourceType::kClusters, "v1", "n2", {"a"}));
  EXPECT_EQ(seen.responses.size(), 1u);
}

TEST_F(Ads, CountsAttemptsAsEnvoyDoes) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 1s);
  EXPECT_EQ(ads->counts(ResourceType::kClusters).attempts, 1u) << "the subscription";
  loop.skip(2s);
  EXPECT_EQ(ads->counts(ResourceType::kClusters).attempts, 2u) << "no answer in time";
  clusters.last().head();
  receive(response(ResourceType::kClusters, "v1", "n1", {"a"}));
  EXPECT_EQ(ads->counts(ResourceType::kClusters).attempts, 2u) << "it is being looked at";
  ads->accept(ResourceType::kClusters);
  clusters.last().fail("reset");
  EXPECT_EQ(ads->counts(ResourceType::kClusters).attempts, 4u);
}

TEST_F(Ads, OpensABrokenStreamAgainWithWhatItKnowsAndWithoutTheNonce) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  ads->subscribe(ResourceType::kEndpoints, {{"e", 0s}});
  clusters.last().head();
  receive(response(ResourceType::kClusters, "v1", "n1", {"a"}));
  ads->accept(ResourceType::kClusters);
  receive(response(ResourceType::kClusters, "v2", "n2", {"b"}));  // open while the stream breaks
  clusters.last().trailers("14", "going away");
  EXPECT_THAT(seen.connections,
              ElementsAre("+cp", "-the control plane closed it: grpc-status 14: going away"));
  EXPECT_FALSE(ads->is_connected());
  wait_for_call(2);
  EXPECT_THAT(
      requests(),
      ElementsAre(R"({"version_info":"v1","node":{"id":"me"},"type":"cluster.v3.Cluster"})",
                  R"({"resource_names":["e"],"type":"endpoint.v3.ClusterLoadAssignment"})"));
  ads->accept(ResourceType::kClusters);
  EXPECT_THAT(requests(), IsEmpty()) << "the nonce died with its stream";
  clusters.last().head();
  receive(response(ResourceType::kClusters, "v2", "m1", {"b"}));
  ads->accept(ResourceType::kClusters);
  EXPECT_THAT(requests(), ElementsAre(HasSubstr(R"("response_nonce":"m1")")));
}

TEST_F(Ads, WaitsLongerAndLongerUntilAResponseComes) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  for (size_t i = 1; i <= 10; ++i) {
    clusters.last().fail("Connection refused");
    wait_for_call(i + 1);
  }
  EXPECT_EQ(ads->counts(ResourceType::kClusters).failure, 10u);
  EXPECT_THAT(seen.connections, IsEmpty()) << "there was none to lose";
  clusters.last().head();
  receive(response(ResourceType::kClusters, "v1", "n1", {}));
  clusters.last().fail("reset");
  loop.skip(520ms);
  EXPECT_EQ(clusters.calls.size(), 12u) << "the first wait is short again";
}

TEST_F(Ads, WaitsAtMostTheLongestTimeHoweverLongItIs) {
  options.backoff_base = 24h;
  options.backoff_max = 240h;
  ads.emplace(loop, rng, clusters, seen, options);
  ads->start();
  for (size_t i = 1; i <= 70; ++i) {
    clusters.last().fail("Connection refused");
    loop.skip(241h);
    ASSERT_EQ(clusters.calls.size(), i + 1);
  }
}

TEST_F(Ads, TellsWhatWasNotAnsweredInTime) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 15s);
  ads->subscribe(ResourceType::kEndpoints, {{"a", 10s}, {"b", 0s}, {"c", 10s}, {"d", 20s}});
  ads->answered(ResourceType::kEndpoints, "a");
  loop.skip(9s);
  EXPECT_THAT(seen.timeouts, IsEmpty());
  loop.skip(2s);
  EXPECT_THAT(seen.timeouts, ElementsAre("eds c"));
  loop.skip(5s);
  EXPECT_THAT(seen.timeouts, ElementsAre("eds c", "cds"));
  clusters.last().head();
  ads->subscribe(ResourceType::kEndpoints, {{"a", 10s}});
  loop.skip(30s);
  EXPECT_THAT(seen.timeouts, ElementsAre("eds c", "cds")) << "d is not wanted any more";
}

TEST_F(Ads, EndsAStreamThatIsNoGrpc) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  clusters.last().head(503);
  wait_for_call(2);
  clusters.last().head();
  clusters.last().data(std::string("\x01\0\0\0\x01x", 6));
  wait_for_call(3);
  clusters.last().head();
  clusters.last().data(std::string("\0\xff\0\0\0", 5));
  wait_for_call(4);
  EXPECT_EQ(ads->counts(ResourceType::kClusters).failure, 3u);
}

TEST_F(Ads, TakesMessagesThatComeInPieces) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  clusters.last().head();
  const std::string bytes = http::grpc_frame(response(ResourceType::kClusters, "v1", "n1", {"a"})) +
                            http::grpc_frame(response(ResourceType::kClusters, "v2", "n2", {}));
  for (const char c : bytes) clusters.last().data(std::string_view(&c, 1));
  ASSERT_EQ(seen.responses.size(), 1u);
  ads->accept(ResourceType::kClusters);
  ASSERT_EQ(seen.responses.size(), 2u);
  EXPECT_EQ(seen.responses[1].version, "v2");
}

TEST_F(Ads, IsSilentAfterStop) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 1s);
  ads->stop();
  EXPECT_FALSE(clusters.last().is_open);
  loop.skip(60s);
  EXPECT_EQ(clusters.calls.size(), 1u);
  EXPECT_THAT(seen.timeouts, IsEmpty());
}

}  // namespace
}  // namespace pillion::xds
