// A request without a route waits for one, and not for longer than it has to.
#include <gmock/gmock.h>

#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

using ::testing::HasSubstr;

class OnDemand : public FilterTest, protected core::RouteAsker {
 protected:
  OnDemand() : FilterTest("envoy.extensions.filters.http.on_demand.v3.OnDemand") {
    configure("{}");
    worker.context.route_demands.set_asker(this);
  }
  void ask_for_route(const core::RouteName& name) override { asked.push_back(name.name); }

  // A request that matches no route.
  Exchange& lost(std::string_view wish) {
    Exchange& made =
        lost_.emplace_back(worker, *chain_, states_, route::RouteMatch{}, connection, Fields{});
    made.wish.name = wish;
    made.begin();
    return made;
  }
  [[nodiscard]] route::RouteMatch found() const { return {&host, &route}; }
  core::RouteDemands& demands() { return worker.context.route_demands; }

  route::VirtualHost host;
  route::Route route;
  route::RouteTable table{route::RouteTable::Parts{}};
  std::vector<std::string> asked;
  std::list<Exchange> lost_;
};

TEST_F(OnDemand, LetsPassWhatHasARoute) {
  EXPECT_TRUE(exchange().passed);
  EXPECT_TRUE(asked.empty());
}

TEST_F(OnDemand, LetsPassWhatNobodyCouldBringARouteFor) {
  EXPECT_TRUE(lost("").passed);
  EXPECT_TRUE(asked.empty());
}

TEST_F(OnDemand, WaitsUntilThereIsARoute) {
  host.table = &table;
  Exchange& request = lost("t/a");
  EXPECT_FALSE(request.passed);
  EXPECT_EQ(asked, std::vector<std::string>{"t/a"});
  demands().wake();
  EXPECT_FALSE(request.passed) << "something else has changed";
  request.next_match = found();
  demands().wake();
  EXPECT_TRUE(request.passed);
  EXPECT_TRUE(request.route());
  EXPECT_EQ(asked.size(), 1u);
  EXPECT_EQ(demands().waiting(), 0u);
}

TEST_F(OnDemand, GoesOnWithoutARouteWhenThatIsTheAnswer) {
  Exchange& request = lost("t/a");
  demands().answer({{core::RouteKind::kVirtualHost, "t/a"}}, worker.loop.now());
  EXPECT_TRUE(request.passed);
  EXPECT_FALSE(request.route());
}

TEST_F(OnDemand, AsksForTheNextThingThatIsMissing) {
  Exchange& request = lost("t");
  request.wish.name = "t/a";  // the table has come, and has VHDS
  demands().wake();
  EXPECT_FALSE(request.passed);
  EXPECT_EQ(asked, (std::vector<std::string>{"t", "t/a"}));
}

TEST_F(OnDemand, HasPatienceForAWhile) {
  Exchange& request = lost("t/a");
  worker.loop.skip(seconds(4));
  worker.loop.run_once(false);
  EXPECT_FALSE(request.passed);
  worker.loop.skip(seconds(2));
  worker.loop.run_once(false);
  EXPECT_TRUE(request.passed);
  EXPECT_EQ(demands().waiting(), 0u);
}

TEST_F(OnDemand, IsForgottenWithItsRequest) {
  lost("t/a").end();
  EXPECT_EQ(demands().waiting(), 0u);
  demands().wake();
  worker.loop.skip(seconds(10));
  worker.loop.run_once(false);
}

TEST_F(OnDemand, RefusesClustersOnDemandByName) {
  EXPECT_THAT(errors_of("odcds: { source: { ads: {} } }"),
              HasSubstr("odcds: known to Envoy v3 but not supported"));
  EXPECT_THAT(errors_of_route("odcds: {}"),
              HasSubstr("odcds: known to Envoy v3 but not supported"));
  EXPECT_THAT(errors_of("other: 1"), HasSubstr("other"));
}

}  // namespace
}  // namespace pillion::filters
