// What control keeps of names that clients have chosen: how many, how long, and which go first.
#include "proxy/control/route_requests.h"

#include <gmock/gmock.h>

#include "tests/support/build_test.h"

namespace pillion::testing {
namespace {

using core::RouteKind;
using core::RouteName;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Verdict = RouteRequests::Verdict;
using namespace std::chrono_literals;

RouteName host(size_t i, std::string_view table = "r") {
  return {RouteKind::kVirtualHost, str(table, '/', i)};
}

class RouteRequestsTest : public ::testing::Test {
 protected:
  Verdict want(const RouteName& name) { return requests.want(name, now); }
  void want(size_t from, size_t count) {
    for (size_t i = from; i < from + count; ++i) (void)want(host(i));
  }
  // It has come and is in force.
  void bring(const RouteName& name) {
    requests.on_answered(name.kind, name.name, name.name);
    Resources resources;
    Piece<CompiledVirtualHost>& piece = resources.virtual_hosts[name.name];
    piece.newest = std::make_shared<const CompiledVirtualHost>();
    piece.activate();
    requests.on_built(resources);
  }

  RouteRequests requests;
  Instant now{1h};
};

TEST_F(RouteRequestsTest, ManyNamesAreBoundedForEachTable) {
  want(0, RouteRequests::kMaxPerTable);
  EXPECT_EQ(want(host(9000)), Verdict::kAnswered)
      << "the table is full, with those of a moment ago";
  EXPECT_EQ(want(host(1, "s")), Verdict::kAsk) << "of another one there is room";
  EXPECT_EQ(want({RouteKind::kTable, "t"}), Verdict::kAsk);
  EXPECT_EQ(requests.virtual_hosts().size(), RouteRequests::kMaxPerTable + 1);
  EXPECT_THAT(requests.take_forsaken(), IsEmpty());
}

// Of names that clients invent the server may say nothing at all, and nobody need wait for them.
TEST_F(RouteRequestsTest, NamesWithoutAnAnswerMakeRoomTheOldestFirst) {
  want(0, 10);
  now += 100ms;
  want(10, RouteRequests::kMaxPerTable - 10);
  (void)requests.take_touched();
  now += RouteRequests::kStay - 100ms;
  EXPECT_EQ(want(host(0)), Verdict::kWaits) << "somebody wants it still";
  EXPECT_EQ(want(host(9000)), Verdict::kAsk);
  EXPECT_THAT(requests.take_touched(), UnorderedElementsAre("r/1", "r/9000"));
  EXPECT_THAT(requests.take_forsaken(), ElementsAre(host(1))) << "who waits for it is told";
  for (size_t i = 9001; i < 9009; ++i) EXPECT_EQ(want(host(i)), Verdict::kAsk);
  EXPECT_EQ(want(host(9009)), Verdict::kAnswered) << "all others are of a moment ago";
  EXPECT_EQ(requests.virtual_hosts().size(), RouteRequests::kMaxPerTable);
}

TEST_F(RouteRequestsTest, NamesThatAreThereOutliveAnyNumberThatIsNot) {
  for (size_t i = 0; i < 100; ++i) {
    (void)want(host(i));
    bring(host(i));
  }
  for (size_t i = 1000; i < 100'000; ++i) {
    if (i % 1000 == 0) now += RouteRequests::kStay;
    ASSERT_EQ(want(host(i)), Verdict::kAsk) << i;
  }
  EXPECT_EQ(requests.virtual_hosts().size(), RouteRequests::kMaxPerTable);
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(want(host(i)), Verdict::kAnswered);
}

TEST_F(RouteRequestsTest, NamesInVainMakeRoomToo) {
  want(0, RouteRequests::kMaxPerTable);
  for (const size_t i : {size_t{0}, size_t{1}}) {
    requests.on_given_up(RouteKind::kVirtualHost, host(i).name);
    bring(host(i + 10));
  }
  EXPECT_THAT(requests.take_answers(), ElementsAre(host(0), host(10), host(1), host(11)));
  (void)requests.take_touched();
  now += RouteRequests::kStay;
  EXPECT_EQ(want(host(0)), Verdict::kAnswered);
  EXPECT_EQ(want(host(5000)), Verdict::kAsk);
  EXPECT_THAT(requests.take_touched(), UnorderedElementsAre("r/1", "r/5000"));
  EXPECT_THAT(requests.take_forsaken(), IsEmpty()) << "nobody waits for what was answered";
}

// As a client does that repeats what it has invented: one that there is still finds room.
TEST_F(RouteRequestsTest, NamesInVainKeepNobodyOutHoweverOftenTheyAreWanted) {
  want(0, RouteRequests::kMaxPerTable);
  for (size_t i = 0; i < RouteRequests::kMaxPerTable; ++i)
    requests.on_given_up(RouteKind::kVirtualHost, host(i).name);
  for (size_t i = 9000; i < 9100; ++i) {
    now += 10ms;
    for (size_t j = 0; j < 8; ++j) (void)want(host((i * 8 + j) % RouteRequests::kMaxPerTable));
    ASSERT_EQ(want(host(i)), Verdict::kAsk);
    bring(host(i));
  }
}

TEST_F(RouteRequestsTest, OnlySoManyAreAskedForInASecond) {
  const auto asked = [this](size_t from) {
    size_t count = 0;
    for (size_t i = from; i < from + 20'000; ++i)
      count += want(host(i, str("r", i % 64))) == Verdict::kAsk;
    return count;
  };
  EXPECT_EQ(asked(0), RouteRequests::kMaxNames);
  now += 1s;
  EXPECT_EQ(asked(20'000), RouteRequests::kAsksPerSecond);
}

TEST_F(RouteRequestsTest, AnAnswerThatComesTooLateIsToldOnce) {
  (void)want(host(0));
  (void)want(host(1));
  (void)want(host(2));
  requests.on_given_up(RouteKind::kVirtualHost, host(2).name);
  now += RouteRequests::kForsakenTime;
  requests.drop_forsaken(now);
  EXPECT_FALSE(requests.take_late(host(2).name)) << "it was answered";
  EXPECT_TRUE(requests.take_late(host(0).name));
  EXPECT_FALSE(requests.take_late(host(0).name));
  (void)want(host(1));
  EXPECT_FALSE(requests.take_late(host(1).name)) << "it is wanted again";
  want(10, RouteRequests::kMaxPerTable);  // those given up make room
  EXPECT_TRUE(requests.take_late(host(2).name));
}

TEST_F(RouteRequestsTest, WhatHasComeIsNotForgottenBeforeItIsBuilt) {
  want(0, RouteRequests::kMaxPerTable);
  requests.on_heard(RouteKind::kVirtualHost, host(0).name);
  now += RouteRequests::kForsakenTime;
  EXPECT_EQ(want(host(5000)), Verdict::kAsk);
  EXPECT_THAT(requests.take_forsaken(), ElementsAre(host(1)));
  requests.drop_forsaken(now);
  EXPECT_THAT(requests.virtual_hosts(), UnorderedElementsAre("r/0", "r/5000"));
  bring(host(0));
  EXPECT_THAT(requests.take_answers(), ElementsAre(host(0)));
}

TEST_F(RouteRequestsTest, WhatNobodyWaitsForAnyMoreIsNotAskedForAnyMore) {
  EXPECT_EQ(requests.forsaken_at(), Instant{});
  EXPECT_EQ(want(host(0)), Verdict::kAsk);
  EXPECT_EQ(want({RouteKind::kTable, "t"}), Verdict::kAsk);
  now += 3s;
  EXPECT_EQ(want(host(1)), Verdict::kAsk);
  EXPECT_EQ(want({RouteKind::kTable, "t"}), Verdict::kWaits);
  now += RouteRequests::kForsakenTime - 3s;
  EXPECT_EQ(requests.forsaken_at(), now);
  requests.drop_forsaken(now);
  EXPECT_THAT(requests.virtual_hosts(), ElementsAre("r/1"));
  EXPECT_EQ(requests.tables().size(), 1u);
  EXPECT_THAT(requests.take_forsaken(), ElementsAre(host(0)));
  now += 3s;
  requests.drop_forsaken(now);
  EXPECT_TRUE(requests.empty());
  EXPECT_EQ(requests.tables().size(), 0u);
  EXPECT_EQ(requests.forsaken_at(), Instant{});
  EXPECT_EQ(want(host(0)), Verdict::kAsk) << "a later request asks again";
}

TEST_F(RouteRequestsTest, WhatWasAnsweredStaysThoughNobodyWaits) {
  (void)want(host(0));
  (void)want(host(1));
  requests.on_given_up(RouteKind::kVirtualHost, host(0).name);
  bring(host(1));
  now += RouteRequests::kForsakenTime;
  requests.drop_forsaken(now);
  EXPECT_EQ(requests.virtual_hosts().size(), 2u) << "a change shall reach us";
}

TEST_F(RouteRequestsTest, TablesGoWhenNothingNamesThem) {
  for (const char* name : {"t0", "t1"}) EXPECT_EQ(want({RouteKind::kTable, name}), Verdict::kAsk);
  requests.drop_tables({"t0", "never-asked"});
  EXPECT_FALSE(requests.tables().contains("t0"));
  EXPECT_TRUE(requests.tables().contains("t1"));
  EXPECT_THAT(requests.take_answers(), ElementsAre(RouteName{RouteKind::kTable, "t0"}));
  EXPECT_THAT(requests.take_forsaken(), IsEmpty()) << "workers learn it with the build";
}

TEST_F(RouteRequestsTest, HostsGoWithTheirTable) {
  for (const char* table : {"r", "r/more", "s"}) (void)want(host(0, table));
  (void)want(host(1));
  bring(host(1));
  (void)requests.take_answers();
  EXPECT_THAT(requests.drop_hosts_of("r"), ElementsAre("r/1")) << "the one that came";
  EXPECT_THAT(requests.virtual_hosts(), ElementsAre("r/more/0", "s/0"));
  EXPECT_THAT(requests.take_answers(), ElementsAre(host(0)));
}

// A name costs what it concerns: as many as fit in the time of a few, were all looked at.
TEST_F(RouteRequestsTest, FloodsDoNotGetSlower) {
  const auto flood = [&](size_t from, size_t count) {
    const Instant begin = MonotonicClock::now();
    for (size_t i = from; i < from + count; ++i) (void)want(host(i, str("r", i % 64)));
    return MonotonicClock::now() - begin;
  };
  (void)flood(0, RouteRequests::kMaxNames);
  EXPECT_LT(flood(RouteRequests::kMaxNames, 10'000), 1s) << "refused";
  now += 10s;
  EXPECT_LT(flood(30'000, 10'000), 1s) << "each makes room for the next";
  EXPECT_EQ(requests.virtual_hosts().size(), RouteRequests::kMaxNames);
  EXPECT_EQ(requests.take_forsaken().size(), 10'000u);
}

}  // namespace
}  // namespace pillion::testing
