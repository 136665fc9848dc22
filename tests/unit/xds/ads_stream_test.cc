// Streams that end, the next ones, and a second server.
#include "tests/unit/xds/ads_fixture.h"

namespace pillion::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

std::string response(ResourceType type, std::string_view version, std::string_view nonce,
                     const std::vector<std::string>& names) {
  return said(Protocol::kStateOfTheWorld, type, version, nonce, names);
}

class AdsStream : public AdsTest {};

TEST_F(AdsStream, TellsWhyAStreamEndedAndOpensAnother) {
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

TEST_F(AdsStream, WaitsLongerAndLongerUntilAStreamLives) {
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
TEST_F(AdsStream, IsNotKeptBusyByAServerThatEndsEachStreamAfterItsFirstAnswer) {
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

TEST_F(AdsStream, IsAsSoundAfterAStreamThatBreaksAtAnyByte) {
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

TEST_F(AdsStream, WaitsAtMostTheLongestTimeHoweverLongItIs) {
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

TEST_F(AdsStream, EndsAStreamThatIsNoGrpc) {
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

// ---- a second server ----

TEST_F(AdsStream, AsksTheSecondServerWhereTheFirstDoesNotAnswer) {
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
  // One that does not take the stream; but nobody waits for one that was not asked.
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

TEST_F(AdsStream, TellsWhichServerHasTakenIt) {
  options.failover = AdsOptions::Server{"second", "", {}};
  begin();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  EXPECT_EQ(ads->cluster(), "xds");
  clusters.last().fail("refused");
  wait_for_call(2);
  EXPECT_EQ(ads->cluster(), "second");
  clusters.last().take();
  EXPECT_THAT(seen.clusters, ElementsAre("second"));
  clusters.last().fail("reset");
  EXPECT_THAT(seen.connections, ElementsAre("+", "-reset"));
  EXPECT_THAT(seen.clusters, ElementsAre("second", "second")) << "whose stream has ended";
}

// It has nothing new to say, or nothing by these names.
TEST_F(AdsStream, IsThereWhileItTakesWhatItIsAskedAndSaysNothing) {
  options.failover = AdsOptions::Server{"second", "", {}};
  begin();
  ads->subscribe(ResourceType::kRoutes, {{"nobody", 0s}});
  EXPECT_FALSE(ads->is_connected());
  clusters.last().take();
  EXPECT_TRUE(ads->is_connected());
  loop.skip(1h);
  EXPECT_EQ(clusters.calls.size(), 1u);
  clusters.last().take();
  EXPECT_THAT(seen.connections, ElementsAre("+"));
  receive(response(ResourceType::kRoutes, "v1", "n1", {}));
  EXPECT_THAT(seen.connections, ElementsAre("+", "+cp")) << "it has a name now";
  ads->accept(ResourceType::kRoutes);
}

TEST_F(AdsStream, GoesBackToTheServerThatWasThereThoughItWasSilent) {
  options.failover = AdsOptions::Server{"second", "", {}};
  begin();
  ads->subscribe_all(ResourceType::kClusters, 0s);
  clusters.last().take();
  loop.skip(20s);
  clusters.last().fail("reset");
  EXPECT_THAT(seen.connections, ElementsAre("+", "-reset"));
  wait_for_call(2);
  EXPECT_EQ(clusters.last().cluster, "xds");
  // It takes the stream and ends it: it does not serve.
  clusters.last().take();
  clusters.last().trailers("14", "not the leader");
  wait_for_call(3);
  EXPECT_EQ(clusters.last().cluster, "second");
}

}  // namespace
}  // namespace pillion::xds
