// The stream and its times; what is said over it by the rules: ads_exchange_test.cc.
#include "xds/ads.h"

#include "tests/support/log_capture.h"
#include "tests/unit/xds/ads_fixture.h"

namespace pillion::xds {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace std::chrono_literals;

std::string response(ResourceType type, std::string_view version, std::string_view nonce,
                     const std::vector<std::string>& names) {
  return said(Protocol::kStateOfTheWorld, type, version, nonce, names);
}

class Ads : public AdsTest {};

TEST_F(Ads, AsksTheServerThatItIsTold) {
  options.authority = "cp.example";
  options.metadata = {{"x-key", "1"}};
  begin();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  ads->subscribe_all(ResourceType::kListeners, 0s);
  EXPECT_EQ(clusters.last().cluster, "xds");
  EXPECT_EQ(clusters.last().authority, "cp.example");
  EXPECT_THAT(clusters.last().fields, ::testing::Contains(::testing::Pair("x-key", "1")));
  EXPECT_EQ(clusters.last().path,
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources");
  EXPECT_THAT(requests(), ElementsAre("node cds", "lds"));
  receive(response(ResourceType::kListeners, "v1", "n1", {"a"}));
  EXPECT_THAT(seen.connections, ElementsAre("+cp"));
  EXPECT_TRUE(ads->is_connected());
}

TEST_F(Ads, AsksForOneTypeByItsOwnMethodWhoseMessagesNeedNotNameIt) {
  const auto path = [](ResourceType type, Protocol protocol) {
    return std::string(method_path(type, protocol));
  };
  EXPECT_EQ(path(ResourceType::kListeners, Protocol::kStateOfTheWorld),
            "/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners");
  EXPECT_EQ(path(ResourceType::kVirtualHosts, Protocol::kDelta),
            "/envoy.service.route.v3.VirtualHostDiscoveryService/DeltaVirtualHosts");
  EXPECT_EQ(path(ResourceType::kVirtualHosts, Protocol::kStateOfTheWorld), "");
  EXPECT_EQ(method_path({}, Protocol::kDelta),
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources");
  for (const Protocol protocol : {Protocol::kStateOfTheWorld, Protocol::kDelta}) {
    options.protocol = protocol;
    options.only = ResourceType::kEndpoints;
    begin();
    EXPECT_EQ(clusters.last().path, path(ResourceType::kEndpoints, protocol));
    ads->subscribe(ResourceType::kEndpoints, {{"a", 0s}});
    receive(said(protocol, ResourceType::kEndpoints, "v1", "n1", {"a@1;9s"}, false));
    EXPECT_EQ(seen.lines.back(), "eds v1 a@1");
    seen.lines.clear();
    ads->accept(ResourceType::kEndpoints);
    receive(said(protocol, ResourceType::kRoutes, "v1", "n2", {"a"}));
    EXPECT_THAT(seen.lines, IsEmpty()) << "of another type";
  }
}

TEST_F(Ads, SaysReasonsThatAreNoUtf8AsWellAsItCan) {
  ads->start();
  ads->subscribe_all(ResourceType::kListeners, 0s);
  clusters.last().head();
  receive(response(ResourceType::kListeners, "v1", "n1", {"a"}));
  (void)requests();
  ads->reject(ResourceType::kListeners, "lds/a: address: required field is missing\xff");
  EXPECT_THAT(requests(),
              ElementsAre("lds nonce=n1 error=lds/a: address: required field is missing?"));
  EXPECT_EQ(ads->counts(ResourceType::kListeners).rejected, 1u);
  receive(response(ResourceType::kListeners, "v1", "n2", {"a"}));
  ads->accept(ResourceType::kListeners);
  EXPECT_EQ(ads->counts(ResourceType::kListeners).success, 1u);
  EXPECT_EQ(ads->version(ResourceType::kListeners), "v1");
}

TEST_F(Ads, ReadsOnWhileAResponseIsLookedAtAndTakesTheNewest) {
  begin();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  ads->subscribe_all(ResourceType::kListeners, 0s);
  (void)requests();
  for (int i = 1; i <= 60; ++i)
    receive(response(ResourceType::kClusters, str('v', i), str('n', i), {str('c', i)}));
  EXPECT_FALSE(clusters.last().is_paused);
  receive(response(ResourceType::kListeners, "v1", "m1", {}));
  EXPECT_EQ(seen.lines.back(), "lds v1") << "another type waits for nothing";
  ads->accept(ResourceType::kClusters);
  EXPECT_EQ(seen.lines.back(), "cds v60 c60");
  ads->accept(ResourceType::kClusters);
  EXPECT_THAT(requests(), ElementsAre("cds v=v1 nonce=n1", "cds v=v60 nonce=n60"));
  EXPECT_EQ(ads->counts(ResourceType::kClusters).superseded, 58u);
  EXPECT_EQ(ads->counts(ResourceType::kClusters).success, 2u);
}

// Each costs something before it is dropped.
TEST_F(Ads, ReadsNoFasterThanSixtyFourIn100MillisecondsWhatHasToWait) {
  begin();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  for (int i = 0; i <= 64; ++i) {
    EXPECT_FALSE(clusters.last().is_paused);
    receive(response(ResourceType::kClusters, str('v', i), str('n', i), {}));
  }
  EXPECT_TRUE(clusters.last().is_paused);
  loop.skip(110ms);
  EXPECT_FALSE(clusters.last().is_paused) << "whatever becomes of the first";
}

TEST_F(Ads, StopsReadingWhenTooMuchWaits) {
  const auto say = [&](char name, size_t megabytes) {
    server_says(ResourceType::kClusters, "w", "n", {std::string(megabytes << 20, name) + "@1"});
  };
  for (const Protocol protocol : {Protocol::kStateOfTheWorld, Protocol::kDelta}) {
    options.protocol = protocol;
    begin();
    ads->subscribe_all(ResourceType::kClusters, 0s);
    for (const char name : {'a', 'b', 'b', 'b', 'b', 'b', 'b'}) say(name, 1);
    EXPECT_FALSE(clusters.last().is_paused) << "the newest of a name is what waits";
    if (protocol == Protocol::kDelta) {
      for (const char name : {'c', 'd', 'e', 'f'}) say(name, 1);
    } else {
      say('c', 10);
    }
    EXPECT_TRUE(clusters.last().is_paused);
    ads->accept(ResourceType::kClusters);
    EXPECT_FALSE(clusters.last().is_paused);
  }
}

// ---- what is no answer ----

TEST_F(Ads, IsNotConfusedByAResponseOfATypeThatNobodyKnows) {
  ::pillion::testing::LogCapture log;
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  clusters.last().head();
  (void)requests();
  for (int i = 0; i < 3; ++i)
    receive(*encode("envoy.service.discovery.v3.DiscoveryResponse",
                    R"({"nonce":"n1","type_url":"type.googleapis.com/a.B"})"));
  receive("\xff\xff");
  // Known, but not asked for.
  receive(response(ResourceType::kRoutes, "v1", "n1", {"r"}));
  EXPECT_THAT(requests(), IsEmpty());
  EXPECT_THAT(seen.responses, IsEmpty());
  EXPECT_EQ(log.count("unknown type"), 1u) << "it is told once";
  receive(response(ResourceType::kClusters, "v1", "n2", {"a"}));
  EXPECT_EQ(seen.responses.size(), 1u);
}

TEST_F(Ads, GoesOnWithoutWhatTheServerHasNot) {
  for (const Protocol protocol : {Protocol::kStateOfTheWorld, Protocol::kDelta}) {
    options.protocol = protocol;
    begin();
    ads->subscribe(ResourceType::kRoutes, {{"a", 10s}, {"b", 10s}, {"c", 10s}});
    seen.timeouts.clear();
    server_says(ResourceType::kRoutes, "v1", "n1", {"a@1;99s", "!b", "!x"});
    EXPECT_THAT(seen.timeouts, ElementsAre("rds b"));
    EXPECT_THAT(seen.lines.back(), HasSubstr("!b !x"));
    ads->answered(ResourceType::kRoutes, "a");
    ads->accept(ResourceType::kRoutes);
    if (protocol == Protocol::kDelta) {
      server_says(ResourceType::kRoutes, "v2", "n2", {"-a", "-c"});
      EXPECT_THAT(seen.timeouts, ElementsAre("rds b", "rds c")) << "at once";
      EXPECT_EQ(seen.lines.back(), "rds v2 -a -c");
      ads->accept(ResourceType::kRoutes);
    }
    loop.skip(11s);
    EXPECT_THAT(seen.timeouts, ElementsAre("rds b", "rds c"));
  }
}

// ---- the rate of requests ----

TEST_F(Ads, SendsNoMoreRequestsThanTheRateAllows) {
  options.requests = config::RateLimit{3, 100ms};
  begin();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  ads->subscribe_all(ResourceType::kListeners, 0s);
  ads->subscribe(ResourceType::kEndpoints, {{"a", 0s}});
  EXPECT_EQ(ads->rate_limit_enforced(), 0u);
  ads->subscribe(ResourceType::kRoutes, {{"r", 0s}});
  ads->subscribe(ResourceType::kEndpoints, {{"b", 0s}});
  EXPECT_THAT(requests(), ElementsAre("node cds", "lds", "eds [a]"));
  EXPECT_GE(ads->rate_limit_enforced(), 1u);
  EXPECT_EQ(ads->pending_requests(), 2u);
  // What is wanted when its turn comes is what is said.
  ads->subscribe(ResourceType::kEndpoints, {{"c", 0s}});
  loop.skip(110ms);
  loop.skip(110ms);
  EXPECT_THAT(requests(), ::testing::UnorderedElementsAre("rds [r]", "eds [c]"));
  EXPECT_EQ(ads->pending_requests(), 0u);
  // Answers wait too, and with them what comes after.
  for (int i = 1; i <= 3; ++i) server_says(ResourceType::kClusters, str('v', i), str('n', i), {});
  for (const int i : {1, 3}) {
    loop.skip(110ms);
    ASSERT_EQ(seen.responses.back().version, str('v', i));
    ads->accept(ResourceType::kClusters);
    loop.skip(110ms);
    EXPECT_THAT(requests(), ElementsAre(str("cds v=v", i, " nonce=n", i)));
  }
}

TEST_F(Ads, ServesEachTypeInTurnUnderARate) {
  options.requests = config::RateLimit{1, 100ms};
  begin();
  ads->subscribe(ResourceType::kEndpoints, {{"e", 0s}});
  EXPECT_THAT(requests(), ElementsAre("node eds [e]"));
  std::vector<std::string> said;
  for (int i = 0; i < 4; ++i) {
    // Both are due whenever there is a token.
    ads->subscribe(ResourceType::kEndpoints, {{str("e", i), 0s}});
    ads->subscribe(ResourceType::kRoutes, {{str("r", i), 0s}});
    loop.skip(110ms);
    for (const std::string& request : requests()) said.push_back(request.substr(0, 3));
  }
  EXPECT_THAT(said, ElementsAre("rds", "eds", "rds", "eds"));
}

TEST_F(Ads, SaysBothEndsOfANameThatLeftAndCameBackWhileRequestsWaited) {
  options.requests = config::RateLimit{1, 100ms};
  options.protocol = Protocol::kDelta;
  begin();
  ads->subscribe(ResourceType::kRoutes, {{"a", 0s}});
  EXPECT_THAT(requests(), ElementsAre("node rds +[a]"));
  ads->subscribe(ResourceType::kRoutes, {});
  ads->subscribe(ResourceType::kRoutes, {{"a", 0s}});
  loop.skip(110ms);
  EXPECT_THAT(requests(), ElementsAre("rds +[a]")) << "what was said of it is forgotten";
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
