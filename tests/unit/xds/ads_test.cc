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

TEST_F(Ads, StopsReadingWhenTooManyOrTooLargeOnesWait) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  clusters.last().head();
  for (int i = 1; i <= 65; ++i) {
    EXPECT_FALSE(clusters.last().is_paused);
    receive(response(ResourceType::kClusters, str('v', i), str('n', i), {}));
  }
  EXPECT_EQ(seen.responses.size(), 1u);
  EXPECT_TRUE(clusters.last().is_paused);
  (void)requests();
  for (int i = 1; i <= 65; ++i) {
    ASSERT_EQ(seen.responses.size(), static_cast<size_t>(i));
    EXPECT_EQ(seen.responses.back().nonce, str('n', i));
    ads->accept(ResourceType::kClusters);
    EXPECT_THAT(requests(), ElementsAre(str("cds v=v", i, " nonce=n", i)));
    EXPECT_FALSE(clusters.last().is_paused);
  }
  // The first is looked at, of the others each is a third of what may wait.
  const std::string name(6 << 20, 'x');
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(clusters.last().is_paused);
    receive(response(ResourceType::kClusters, "w", "n", {name}));
  }
  EXPECT_TRUE(clusters.last().is_paused);
  ads->accept(ResourceType::kClusters);
  EXPECT_FALSE(clusters.last().is_paused);
}

// ---- refusals ----

class Refusals : public AdsTest, public ::testing::WithParamInterface<Protocol> {
 protected:
  void SetUp() override {
    options.protocol = GetParam();
    begin();
    ads->subscribe(ResourceType::kRoutes, {{"r", 0s}});
    (void)requests();
  }
  void refuse(std::string_view version, std::string_view nonce) {
    server_says(ResourceType::kRoutes, version, nonce, {"r"});
    ads->reject(ResourceType::kRoutes, "bad");
  }
};
INSTANTIATE_TEST_SUITE_P(Both, Refusals,
                         ::testing::Values(Protocol::kStateOfTheWorld, Protocol::kDelta),
                         [](const auto& one) {
                           return one.param == Protocol::kDelta ? "Delta" : "StateOfTheWorld";
                         });

TEST_P(Refusals, OfTheSameAreToldMoreAndMoreSlowly) {
  refuse("v1", "n1");
  EXPECT_THAT(requests(), ElementsAre(HasSubstr("nonce=n1")));
  refuse("v1", "n2");
  EXPECT_THAT(requests(), IsEmpty());
  loop.skip(110ms);
  EXPECT_THAT(requests(), ElementsAre(HasSubstr("nonce=n2 error=bad")));
  refuse("v1", "n3");
  loop.skip(110ms);
  EXPECT_THAT(requests(), IsEmpty());
  loop.skip(100ms);
  EXPECT_THAT(requests(), ElementsAre(HasSubstr("nonce=n3 error=bad")));
  for (int i = 0; i < 40; ++i) {
    refuse("v1", "again");
    loop.skip(5100ms);
    ASSERT_EQ(requests().size(), 1u);
  }
  // Another version is another matter.
  refuse("v2", "n5");
  EXPECT_THAT(requests(), ElementsAre(HasSubstr("nonce=n5")));
  // What is held when the stream breaks is not said on the next.
  refuse("v2", "n6");
  clusters.last().fail("reset");
  wait_for_call(2);
  loop.skip(10s);
  EXPECT_THAT(requests(), ElementsAre(Not(HasSubstr("error"))));
}

TEST_P(Refusals, ThatAreHeldBackDoNotHoldUpNewNames) {
  refuse("v1", "n1");
  refuse("v1", "n2");
  (void)requests();
  ads->subscribe(ResourceType::kRoutes, {{"r", 0s}, {"s", 0s}});
  if (GetParam() == Protocol::kDelta) {
    EXPECT_THAT(requests(), ElementsAre("rds +[s]"));
    loop.skip(110ms);
    EXPECT_THAT(requests(), ElementsAre("rds nonce=n2 error=bad"));
  } else {
    EXPECT_THAT(requests(), ElementsAre("rds [r,s] nonce=n2 error=bad"));
  }
}

TEST_P(Refusals, ThatAreHeldBackAreToldWhenTheyAreReleasedButNotAsOftenAsAServerLikes) {
  EXPECT_FALSE(ads->release(ResourceType::kRoutes));
  refuse("v1", "n1");
  refuse("v1", "n2");
  (void)requests();
  EXPECT_FALSE(ads->release(ResourceType::kClusters));
  EXPECT_TRUE(ads->release(ResourceType::kRoutes));
  EXPECT_THAT(requests(), ElementsAre(HasSubstr("nonce=n2 error=bad")));
  refuse("v1", "n3");
  EXPECT_FALSE(ads->release(ResourceType::kRoutes));
  EXPECT_THAT(requests(), IsEmpty());
  loop.skip(1s);
  EXPECT_THAT(requests(), ElementsAre(HasSubstr("nonce=n3 error=bad")));
}

TEST_P(Refusals, HoldUpNoOtherType) {
  ads->subscribe_all(ResourceType::kClusters, 0s);
  refuse("v1", "n1");
  refuse("v1", "n2");
  (void)requests();
  server_says(ResourceType::kClusters, "v1", "m1", {"c"});
  ads->accept(ResourceType::kClusters);
  EXPECT_THAT(requests(), ElementsAre(HasSubstr("nonce=m1")));
}

// Whether it says the same or another version each time: 10,000 in a row, each as soon as the one
// before was refused.
TEST_P(Refusals, TenThousandInARowKeepNobodyBusy) {
  for (const bool is_same : {true, false}) {
    size_t answers = 0;
    bool is_due = true;
    for (int i = 0; i < 10'000; ++i) {
      if (is_due) refuse(is_same ? "v" : str("v", i), str("n", i));
      is_due = !requests().empty();
      if (is_due) ++answers;
      loop.skip(360ms);  // 10,000 of them are an hour
    }
    EXPECT_GT(answers, 100u);
    EXPECT_LT(answers, is_same ? 900u : 3700u);
    loop.skip(6s);
    (void)requests();
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

// ---- opening it again ----

TEST_F(Ads, TellsWhyAStreamEndedAndOpensAnother) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  clusters.last().head();
  receive(response(ResourceType::kClusters, "v1", "n1", {"a"}));
  ads->accept(ResourceType::kClusters);
  clusters.last().trailers("14", "going away");
  EXPECT_THAT(seen.connections,
              ElementsAre("+cp", "-the control plane closed it: grpc-status 14: going away"));
  EXPECT_FALSE(ads->is_connected());
  wait_for_call(2);
}

TEST_F(Ads, WaitsLongerAndLongerUntilAStreamLives) {
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
  loop.skip(31s);
  clusters.last().fail("reset");
  loop.skip(520ms);
  EXPECT_EQ(clusters.calls.size(), 12u) << "the first wait is short again";
}

// It answers, and ends: no more than a server that does not answer at all.
TEST_F(Ads, IsNotKeptBusyByAServerThatEndsEachStreamAfterItsFirstAnswer) {
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  for (int second = 0; second < 3600; ++second) {
    if (clusters.last().is_open) {
      clusters.last().head();
      receive(response(ResourceType::kClusters, "v1", "n1", {}));
      ads->accept(ResourceType::kClusters);
      clusters.last().fail("reset");
    }
    loop.skip(1s);
  }
  EXPECT_LT(clusters.calls.size(), 500u);
  EXPECT_GT(clusters.calls.size(), 100u);
}

TEST_F(Ads, IsAsSoundAfterAStreamThatBreaksAtAnyByte) {
  const std::string bytes = http::grpc_frame(response(ResourceType::kClusters, "v1", "n1", {"a"}));
  ads->start();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    (void)requests();
    if (cut != 0) {
      clusters.last().head();
      clusters.last().data(bytes.substr(0, cut));
    }
    const size_t calls = clusters.calls.size();
    clusters.last().fail("reset");
    wait_for_call(calls + 1);
    ASSERT_THAT(requests(), ElementsAre("node cds"));
  }
  EXPECT_EQ(seen.responses.size(), 1u);
  ads->accept(ResourceType::kClusters);
  EXPECT_THAT(requests(), IsEmpty());
  clusters.last().head();
  receive(response(ResourceType::kClusters, "v2", "n2", {"b"}));
  ads->accept(ResourceType::kClusters);
  EXPECT_THAT(requests(), ElementsAre("cds v=v2 nonce=n2"));
}

// ---- a second server ----

TEST_F(Ads, AsksTheSecondServerWhereTheFirstDoesNotAnswer) {
  options.failover = AdsOptions::Server{"second", "", {}};
  begin();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  const auto breaks = [&](bool answers) {
    const size_t calls = clusters.calls.size();
    if (answers) {
      clusters.last().head();
      receive(response(ResourceType::kClusters, "v1", "n1", {}));
      ads->accept(ResourceType::kClusters);
    }
    clusters.last().fail("reset");
    wait_for_call(calls + 1);
    return clusters.last().cluster;
  };
  EXPECT_EQ(breaks(false), "second");
  EXPECT_TRUE(ads->is_failed_over());
  EXPECT_EQ(breaks(false), "xds");
  EXPECT_EQ(breaks(true), "xds") << "it was well";
  EXPECT_EQ(breaks(false), "second");
  EXPECT_EQ(breaks(true), "xds") << "the first one comes first";
  // Silence is no answer, but nobody waits for one that was not asked.
  loop.skip(14s);
  EXPECT_TRUE(clusters.last().is_open);
  const size_t calls = clusters.calls.size();
  loop.skip(2s);
  wait_for_call(calls + 1);
  EXPECT_EQ(clusters.last().cluster, "second");
  clusters.last().head();
  receive(response(ResourceType::kClusters, "v1", "n1", {}));
  loop.skip(60s);
  EXPECT_TRUE(clusters.last().is_open);
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
  for (int i = 1; i <= 3; ++i) server_says(ResourceType::kClusters, str("v", i), str("n", i), {});
  for (int i = 1; i <= 3; ++i) {
    loop.skip(110ms);
    ASSERT_EQ(seen.responses.size(), static_cast<size_t>(i));
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
