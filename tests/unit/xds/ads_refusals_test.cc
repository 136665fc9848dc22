// Refusals: they are told the more slowly the more there are, and hold up nothing else.
#include "tests/unit/xds/ads_fixture.h"

namespace pillion::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace std::chrono_literals;

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
  EXPECT_TRUE(ads->release(ResourceType::kRoutes)) << "it is held, and told within a second";
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

// ---- what comes meanwhile ----

TEST_P(Refusals, ThatAreHeldBackHoldUpNoGoodResponseThatFollows) {
  for (int i = 1; i <= 12; ++i) {
    refuse("v1", str("n", i));
    loop.skip(5100ms);
  }
  (void)requests();
  refuse("v1", "n13");
  EXPECT_THAT(requests(), IsEmpty()) << "it is held for seconds";
  server_says(ResourceType::kRoutes, "v2", "n14", {"r@2"});
  loop.skip(110ms);
  EXPECT_THAT(requests(), ElementsAre(HasSubstr("nonce=n13 error=bad")));
  EXPECT_THAT(seen.lines.back(), HasSubstr("rds v2 r"));
  ads->accept(ResourceType::kRoutes);
  EXPECT_THAT(requests(),
              ElementsAre(::testing::AllOf(HasSubstr("nonce=n14"), Not(HasSubstr("error")))));
}

// What took a second to be refused is not looked at again at once.
TEST_P(Refusals, ThatTookLongGiveWayTheLater) {
  for (int i = 1; i < 40; ++i) {
    refuse("v1", str("n", i));
    loop.skip(5100ms);
  }
  const size_t looked_at = seen.responses.size();
  server_says(ResourceType::kRoutes, "v1", "m1", {"r@1"});
  loop.skip(1s);
  ads->reject(ResourceType::kRoutes, "bad");
  server_says(ResourceType::kRoutes, "v2", "m2", {"r@2"});
  loop.skip(3900ms);
  EXPECT_EQ(seen.responses.size(), looked_at + 1);
  loop.skip(200ms);
  EXPECT_EQ(seen.responses.size(), looked_at + 2);
}

// A server that does not wait for answers.
TEST_P(Refusals, OfTenThousandThatComeAtOnceAreFew) {
  size_t looked_at = 0;
  for (int i = 0; i < 10'000; ++i) {
    while (clusters.last().is_paused) {
      loop.skip(10ms);
      if (seen.responses.size() == looked_at) continue;
      looked_at = seen.responses.size();
      ads->reject(ResourceType::kRoutes, "bad");
    }
    server_says(ResourceType::kRoutes, str("v", i), str("n", i), {"r@1"});
  }
  EXPECT_GT(looked_at, 10u);
  EXPECT_LT(looked_at, 250u) << "10,000 are read in 16 s";
}

}  // namespace
}  // namespace pillion::xds
