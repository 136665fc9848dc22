// SRDS: scopes choose the table; what waits for what; who loses if two have one key.
#include "proxy/builder/scoped_routes.h"

#include <gmock/gmock.h>

#include "proxy/builder/settle.h"
#include "tests/support/build_test.h"

namespace pillion::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class ScopedRoutes : public XdsBuildTest {
 protected:
  void SetUp() override {
    XdsBuildTest::SetUp();
    tell_clusters({"a", "b", "c"});
  }
  std::vector<std::string> wanted() const {
    std::vector<std::string> names;
    for (const auto& [name, timeout] : wanted_routes(*snapshot->resources)) names.push_back(name);
    return names;
  }
  // Two scopes with their tables in force.
  void begin() {
    EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds())}), "");
    EXPECT_EQ(
        say(Type::kScopedRoutes, {scope_json("one", "1", "r1"), scope_json("two", "2", "r2")}), "");
    EXPECT_EQ(say(Type::kRoutes, {routes_json("r1", "a"), routes_json("r2", "b")}), "");
    ASSERT_EQ(target("h", "1"), "a");
    ASSERT_EQ(target("h", "2"), "b");
  }
};

TEST_F(ScopedRoutes, WaitForScopesAndThenForTheirTables) {
  EXPECT_FALSE(wanted_scopes(*snapshot->resources));
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds())}), "");
  EXPECT_EQ(wanted_scopes(*snapshot->resources), (Wanted{std::chrono::seconds(15), nullptr}));
  EXPECT_EQ(target("h", "1"), "no listener");
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "1", "r1"), scope_json("two", "2", "r2")}),
            "");
  EXPECT_THAT(wanted(), UnorderedElementsAre("r1", "r2"));
  EXPECT_EQ(target("h", "1"), "no listener");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r1", "a")}), "");
  EXPECT_EQ(target("h", "1"), "no listener");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r2", "b")}), "");
  EXPECT_EQ(target("h", "1"), "a");
  EXPECT_EQ(target("h", "2"), "b");
  EXPECT_EQ(target("h", "3"), "404");
  EXPECT_EQ(target("h"), "404");
}

TEST_F(ScopedRoutes, DoNotHoldUpAListenerForEver) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds())}), "");
  job.given_up_scopes = true;
  build();
  EXPECT_EQ(target("h", "1"), "404");
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "1", "r1")}), "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r1", "a")}), "");
  EXPECT_EQ(target("h", "1"), "a") << "late, but there";
}

// Else all its requests would get 404 until the first scopes are there.
TEST_F(ScopedRoutes, AreWaitedForWhereTheListenerHadATableOfItsOwn) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_rds("r"))}), "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r", "old")}), "");
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds())}), "");
  EXPECT_TRUE(wanted_scopes(*snapshot->resources)) << "it asks for what it waits for";
  EXPECT_EQ(target("h", "1"), "old");
  EXPECT_EQ(snapshot->resources->changing_listeners, 1u);
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "1", "r1")}), "");
  EXPECT_EQ(target("h", "1"), "old") << "the scope has no table yet";
  EXPECT_THAT(wanted(), UnorderedElementsAre("r", "r1"));
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r1", "new")}), "");
  EXPECT_EQ(target("h", "1"), "new");
  EXPECT_EQ(snapshot->resources->changing_listeners, 0u);
  // From then on scopes come one by one.
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds(),
                                                 {.fields = R"("traffic_direction":"INBOUND",)"})}),
            "");
  EXPECT_EQ(snapshot->resources->changing_listeners, 0u);
}

TEST_F(ScopedRoutes, ThatNeverComeLetSuchAListenerGo) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_rds("r"))}), "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r", "old")}), "");
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds())}), "");
  EXPECT_EQ(target("h"), "old");
  job.given_up_scopes = true;
  build();
  EXPECT_EQ(target("h"), "404");
}

// A second listener need not wait for what the first one does without.
TEST_F(ScopedRoutes, ThatAreReplacedAreThereForAListenerThatIsNew) {
  begin();
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "1", "r1"), scope_json("two", "2", "r3")}),
            "");
  EXPECT_EQ(say(Type::kListeners,
                {listener_json("in", 1001, by_srds()), listener_json("more", 1002, by_srds())}),
            "");
  EXPECT_NE(hcm("more"), nullptr);
}

TEST_F(ScopedRoutes, KeepTheirTableUntilTheNewOneIsThere) {
  begin();
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "1", "r3"), scope_json("two", "2", "r2")}),
            "");
  EXPECT_THAT(wanted(), UnorderedElementsAre("r1", "r2", "r3"));
  EXPECT_EQ(target("h", "1"), "a");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r3", "c")}), "");
  EXPECT_EQ(target("h", "1"), "c");
  EXPECT_THAT(wanted(), UnorderedElementsAre("r2", "r3"));
}

TEST_F(ScopedRoutes, KeepTheirTableWhileTheNewOneNamesAClusterThatIsNotKnownYet) {
  begin();
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "1", "r3"), scope_json("two", "2", "r2")}),
            "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r3", "new")}), "");
  EXPECT_EQ(target("h", "1"), "a");
  tell_clusters({"new"});
  EXPECT_EQ(target("h", "1"), "new");
}

TEST_F(ScopedRoutes, TakeNewTablesAndLeaveListenersThatDoNotChange) {
  begin();
  const auto before = hcm()->scopes;
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r1", "a")}), "");
  EXPECT_EQ(hcm()->scopes, before) << "nothing has changed";
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r1", "c")}), "");
  EXPECT_NE(hcm()->scopes, before);
  EXPECT_EQ(target("h", "1"), "c");
  EXPECT_EQ(target("h", "2"), "b");
}

TEST_F(ScopedRoutes, GoWhenTheyAreNotSaidAnyMore) {
  begin();
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("two", "2", "r2")}), "");
  EXPECT_EQ(target("h", "1"), "404");
  EXPECT_EQ(target("h", "2"), "b");
  EXPECT_THAT(wanted(), UnorderedElementsAre("r2"));
}

TEST_F(ScopedRoutes, OfADeltaGoByName) {
  begin();
  add_delta(Type::kScopedRoutes, {scope_json("three", "3", "r2")}, {"one"});
  EXPECT_EQ(build(), "");
  EXPECT_EQ(target("h", "1"), "404");
  EXPECT_EQ(target("h", "2"), "b");
  EXPECT_EQ(target("h", "3"), "b");
}

TEST_F(ScopedRoutes, WithTheKeyOfAnotherAreRefusedByName) {
  begin();
  const std::string wrong = say(
      Type::kScopedRoutes,
      {scope_json("new", "1", "r2"), scope_json("one", "1", "r1"), scope_json("two", "2", "r1")});
  EXPECT_THAT(wrong, HasSubstr("srds/new: key: is already that of the scope \"one\""));
  EXPECT_EQ(target("h", "1"), "a");
  EXPECT_EQ(target("h", "2"), "a") << "what is good is taken";
  // Keys may be exchanged.
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "2", "r1"), scope_json("two", "1", "r2")}),
            "");
  EXPECT_EQ(target("h", "2"), "a");
  EXPECT_EQ(target("h", "1"), "b") << "its table is still there";
}

// They are not asked for any more, and what goes meanwhile would not be heard.
TEST_F(ScopedRoutes, AreForgottenWithTheLastListenerThatUsesThem) {
  begin();
  EXPECT_EQ(say(Type::kListeners, {}), "");
  EXPECT_FALSE(wanted_scopes(*snapshot->resources));
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds())}), "");
  EXPECT_EQ(target("h", "1"), "no listener") << "it waits for scopes";
  xds::Response& delta = add(Type::kScopedRoutes, {scope_json("two", "2", "r2")});
  delta.is_delta = true;
  EXPECT_EQ(build(), "");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r2", "b")}), "");
  EXPECT_EQ(target("h", "2"), "b");
  EXPECT_EQ(target("h", "1"), "404") << "it was not said again";
}

TEST_F(ScopedRoutes, OnDemandAskForTheirTableWhenARequestDoes) {
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_srds())}), "");
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "1", "r1", true)}), "");
  EXPECT_EQ(target("h", "1"), "404") << "nothing holds the listener up";
  EXPECT_TRUE(wanted().empty());
  job.demanded_routes.insert("r1");
  build();
  EXPECT_THAT(wanted(), UnorderedElementsAre("r1"));
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r1", "a")}), "");
  EXPECT_EQ(target("h", "1"), "a");
}

TEST_F(ScopedRoutes, OfTheConfigurationItselfNeedNoSrds) {
  const auto list = [](std::string_view scopes) {
    return by_srds(str(R"("scoped_route_configurations_list":{"scoped_route_configurations":[)",
                       scopes, "]}"));
  };
  const std::string own =
      str(R"({"name":"own","key":{"fragments":[{"string_key":"2"}]},"route_configuration":)",
          routes_json("inside", "b"), "}");
  const std::string both = str(scope_json("one", "1", "r1"), ",", own);
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, list(both))}), "");
  EXPECT_FALSE(wanted_scopes(*snapshot->resources));
  EXPECT_THAT(wanted(), UnorderedElementsAre("r1"));
  EXPECT_EQ(target("h", "2"), "no listener");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r1", "a")}), "");
  EXPECT_EQ(target("h", "1"), "a");
  EXPECT_EQ(target("h", "2"), "b");
  EXPECT_EQ(say(Type::kRoutes, {routes_json("r1", "c")}), "");
  EXPECT_EQ(target("h", "1"), "c");
  const std::string twice = str(scope_json("one", "1", "r1"), ",", scope_json("two", "1", "r2"));
  EXPECT_THAT(say(Type::kListeners, {listener_json("in", 1001, list(twice))}),
              HasSubstr("is already that of the scope \"one\""));
}

TEST_F(ScopedRoutes, MayComeFromAFileAndTheirTablesFromAnother) {
  const auto by_files = [](std::string_view scopes, std::string_view tables) {
    const auto file = [](std::string_view path) {
      return str(R"({"path_config_source":{"path":")", path, R"("}})");
    };
    return by_srds(str(R"("scoped_rds":{"scoped_rds_config_source":)", file(scopes), "}"),
                   file(tables));
  };
  EXPECT_EQ(say(Type::kListeners, {listener_json("in", 1001, by_files("/s", "/t"))}), "");
  ASSERT_TRUE(wanted_scopes(*snapshot->resources));
  EXPECT_EQ(wanted_scopes(*snapshot->resources)->source->key, "path//s");
  EXPECT_EQ(say(Type::kScopedRoutes, {scope_json("one", "1", "r1")}), "");
  EXPECT_EQ(wanted_routes(*snapshot->resources).at("r1").source->key, "path//t");
  // All scopes of a process are one set.
  EXPECT_THAT(say(Type::kListeners, {listener_json("in", 1001, by_files("/s", "/t")),
                                     listener_json("two", 1002, by_srds())}),
              HasSubstr("lds/two: srds is asked of the file /s already"));
}

TEST_F(ScopedRoutes, AreCounted) {
  begin();
  stats::Registry registry;
  ScopedRdsStats counters(registry);
  counters.keep(*snapshot->resources);
  const auto block = registry.block<stats::ScopedRdsStats>(stats::kControl, "in", "scopes");
  EXPECT_EQ(block->all_scopes.value(), 2);
  EXPECT_EQ(block->active_scopes.value(), 2);
  EXPECT_EQ(block->on_demand_scopes.value(), 0);
  EXPECT_EQ(block->config_reload.value(), 1);
  EXPECT_EQ(
      say(Type::kScopedRoutes, {scope_json("one", "1", "r1"), scope_json("two", "2", "r9", true)}),
      "");
  counters.keep(*snapshot->resources);
  EXPECT_EQ(block->active_scopes.value(), 1);
  EXPECT_EQ(block->on_demand_scopes.value(), 1);
  EXPECT_EQ(block->config_reload.value(), 2);
  xds::SourceCounts counts;
  counts.success = 3;
  counts.rejected = 1;
  counters.update(counts, "v");
  EXPECT_EQ(block->update_success.value(), 3);
  EXPECT_EQ(block->update_rejected.value(), 1);
  EXPECT_EQ(block->update_attempt.value(), 5);
  EXPECT_NE(block->config_reload_time_ms.value(), 0);
  counters.on_taken(*snapshot->resources, std::chrono::milliseconds(2));
  EXPECT_EQ(block->update_duration.sum_micros(), 2000u);
  EXPECT_EQ(block->update_empty.value(), 0u);
}

}  // namespace
}  // namespace pillion::testing
