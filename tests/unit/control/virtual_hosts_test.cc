// VHDS: hosts that come one by one join their table, and are told to who waits for them.
#include "proxy/builder/virtual_hosts.h"

#include <gmock/gmock.h>

#include "proxy/builder/settle.h"
#include "proxy/control/route_requests.h"
#include "proxy/control/wanted_hosts.h"
#include "tests/support/build_test.h"

namespace pillion::testing {
namespace {

using core::RouteKind;
using core::RouteName;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using namespace std::chrono_literals;

const std::string kByRds = by_rds("r");
constexpr std::string_view kVhds = R"("vhds":{"config_source":{"ads":{}}},)";

// A table without hosts of its own.
std::string table(std::string_view fields = {}) {
  return str(R"({"name":"r",)", kVhds, fields, R"("validate_clusters":false})");
}

class VirtualHostsByVhds : public XdsBuildTest {
 protected:
  void SetUp() override {
    XdsBuildTest::SetUp();
    tell_clusters({"one", "two", "three", "c", "x"});
  }
  void begin() {
    EXPECT_EQ(say(Type::kListeners, {{"in", listener_json("in", 1001, kByRds)}}), "");
    EXPECT_EQ(say(Type::kRoutes, {{"r", table()}}), "");
    EXPECT_EQ(say(Type::kVirtualHosts, {{"r/a.com", virtual_host_json("a", "a.com", "one")}}), "");
    ASSERT_EQ(target("a.com"), "one");
  }
  // What VHDS is asked for, as of the last call and the builds since.
  std::vector<std::string> wanted(const std::set<std::string>& names = {}) {
    Names tables;
    const Resources& now = *snapshot->resources;
    touched = hosts.use(seen == nullptr ? Resources() : *seen->resources, now, names, tables);
    seen = snapshot;
    std::vector<std::string> out;
    for (const auto& [name, how] : hosts.wanted()) out.push_back(name);
    return out;
  }
  WantedHosts hosts;
  Names touched;
  std::shared_ptr<const Snapshot> seen;
};

TEST_F(VirtualHostsByVhds, AreAskedForWhereATableSaysSo) {
  EXPECT_EQ(say(Type::kListeners, {{"in", listener_json("in", 1001, kByRds)}}), "");
  EXPECT_THAT(wanted({"r/a"}), IsEmpty());
  EXPECT_EQ(say(Type::kRoutes, {{"r", routes_json("r", "c")}}), "");
  EXPECT_THAT(wanted({"r/a"}), IsEmpty());
  EXPECT_EQ(say(Type::kRoutes, {{"r", table()}}), "");
  const std::set<std::string> names = {"other/b", "r/a"};
  EXPECT_THAT(wanted(names), UnorderedElementsAre("*", "r/a"));
  EXPECT_THAT(touched, UnorderedElementsAre("*", "r/a"));
  // By difference.
  EXPECT_EQ(say(Type::kRoutes, {{"r", table(R"("response_headers_to_remove":["x"],)")}}), "");
  EXPECT_THAT(wanted(names), UnorderedElementsAre("*", "r/a"));
  EXPECT_THAT(touched, IsEmpty()) << "it has VHDS as before";
  EXPECT_THAT(hosts.change({"r/b", "other/c"}, {"r/a", "r/b", "other/c"}), ElementsAre("r/b"));
  EXPECT_THAT(hosts.change({"r/a"}, {"r/b"}), ElementsAre("r/a"));
  EXPECT_THAT(wanted({"r/b"}), UnorderedElementsAre("*", "r/b"));
  EXPECT_EQ(say(Type::kRoutes, {{"r", routes_json("r", "c")}}), "");
  EXPECT_THAT(wanted({"r/b"}), IsEmpty());
  EXPECT_THAT(touched, UnorderedElementsAre("*", "r/b"));
}

TEST_F(VirtualHostsByVhds, ComeByDeltaAlone) {
  const auto by = [](std::string_view source) {
    return str(R"({"name":"r","vhds":{"config_source":)", source,
               R"(},"validate_clusters":false})");
  };
  EXPECT_EQ(say(Type::kListeners, {{"in", listener_json("in", 1001, kByRds)}}), "");
  EXPECT_THAT(say(Type::kRoutes, {{"r", by(R"({"path_config_source":{"path":"/x"}})")}}),
              HasSubstr("rds/r: vhds.config_source: VHDS is a delta, which a file is not"));
  const auto stream = [&](std::string_view type) {
    return by(str(R"({"api_config_source":{"api_type":")", type,
                  R"(","transport_api_version":"V3","grpc_services":[{"envoy_grpc":)",
                  R"({"cluster_name":"xds"}}]}})"));
  };
  EXPECT_THAT(say(Type::kRoutes, {{"r", stream("GRPC")}}),
              HasSubstr("vhds.config_source.api_config_source.api_type: expected DELTA_GRPC"));
  EXPECT_EQ(say(Type::kRoutes, {{"r", stream("DELTA_GRPC")}}), "");
  EXPECT_THAT(wanted(), ElementsAre("*"));
  EXPECT_TRUE(hosts.wanted().at("*").source->key.starts_with("api/xds"));
}

TEST_F(VirtualHostsByVhds, AreRefusedWhereAdsIsTheStateOfTheWorld) {
  start(ads_bootstrap("id: n, cluster: c", "GRPC"));
  EXPECT_EQ(say(Type::kListeners, {{"in", listener_json("in", 1001, kByRds)}}), "");
  EXPECT_THAT(say(Type::kRoutes, {{"r", table()}}),
              HasSubstr("rds/r: vhds.config_source: VHDS needs DELTA_GRPC"));
}

TEST_F(VirtualHostsByVhds, AreCountedForEachTable) {
  begin();
  stats::Registry registry;
  VhdsStats counters(registry);
  counters.change({"r"}, *snapshot->resources, route_users(*snapshot->resources));
  const auto block = registry.block<stats::VhdsStats>(stats::kControl, "in", "r");
  counters.on_taken(*snapshot->resources, 3ms);
  counters.on_taken(*snapshot->resources, 3ms);
  EXPECT_EQ(block->config_reload.value(), 1u) << "the second brought nothing";
  EXPECT_EQ(block->update_duration.sum_micros(), 6000u);
  EXPECT_EQ(block->update_empty.value(), 0u);
  xds::SourceCounts counts;
  counts.success = 2;
  counters.update(counts, "v");
  EXPECT_EQ(block->update_success.value(), 2u);
  EXPECT_EQ(block->update_attempt.value(), 3u);
  counters.change({"r"}, *snapshot->resources, {});
  counters.on_taken(*snapshot->resources, 3ms);
  EXPECT_EQ(block->update_duration.sum_micros(), 6000u) << "nobody uses it";
}

TEST_F(VirtualHostsByVhds, AreWaitedForOnce) {
  EXPECT_EQ(say(Type::kListeners, {{"in", listener_json("in", 1001, kByRds)}}), "");
  EXPECT_EQ(say(Type::kRoutes, {{"r", table()}}), "");
  EXPECT_EQ(target("a.com"), "no listener");
  job.given_up_virtual_hosts = true;
  build();
  EXPECT_EQ(target("a.com"), "404");
  EXPECT_EQ(say(Type::kVirtualHosts, {{"r/a.com", virtual_host_json("a", "a.com", "one")}}), "");
  EXPECT_EQ(target("a.com"), "one");
}

TEST_F(VirtualHostsByVhds, ComeAndChangeAndGo) {
  begin();
  EXPECT_EQ(target("b.com"), "404");
  const auto before = hcm()->routes;
  EXPECT_EQ(say(Type::kVirtualHosts, {{"r/a.com", virtual_host_json("a", "a.com", "one")}}), "");
  EXPECT_EQ(hcm()->routes, before) << "nothing has changed";
  EXPECT_EQ(say(Type::kVirtualHosts, {{"r/b.com", virtual_host_json("b", "b.com", "two")}}), "");
  EXPECT_EQ(target("a.com"), "one") << "others stay";
  EXPECT_EQ(target("b.com"), "two");
  EXPECT_EQ(say(Type::kVirtualHosts, {{"r/b.com", virtual_host_json("b", "b.com", "three")}}), "");
  EXPECT_EQ(target("b.com"), "three");
  xds::Response& delta = add(Type::kVirtualHosts, {});
  delta.is_delta = true;
  delta.removed = {"r/a.com"};
  EXPECT_EQ(build(), "");
  EXPECT_EQ(target("a.com"), "404");
  EXPECT_EQ(say(Type::kVirtualHosts, {{"r/b.com", ""}}), "");
  EXPECT_EQ(target("b.com"), "404") << "an answer without a resource";
}

TEST_F(VirtualHostsByVhds, OutliveAChangeOfTheirTable) {
  begin();
  const std::string own =
      str(R"("virtual_hosts":[)", virtual_host_json("own", "own.com", "x"), "],");
  EXPECT_EQ(say(Type::kRoutes, {{"r", table(own)}}), "");
  EXPECT_EQ(target("a.com"), "one");
  EXPECT_EQ(target("own.com"), "x");
  const std::string same =
      str(R"("virtual_hosts":[)", virtual_host_json("own", "a.com", "x"), "],");
  EXPECT_EQ(say(Type::kRoutes, {{"r", table(same)}}), "");
  EXPECT_EQ(target("a.com"), "x") << "what the table has itself comes first";
  EXPECT_EQ(say(Type::kRoutes, {{"r", routes_json("r", "c")}}), "");
  EXPECT_EQ(target("a.com"), "c");
  EXPECT_TRUE(snapshot->resources->virtual_hosts.empty()) << "it has no VHDS any more";
}

TEST_F(VirtualHostsByVhds, AreRefusedByName) {
  begin();
  EXPECT_THAT(say(Type::kVirtualHosts, {{"r/x.com", virtual_host_json("x", "a.com", "two")},
                                        {"r/good", virtual_host_json("good", "good", "two")}}),
              HasSubstr("vhds/r/x.com: domains: \"a.com\" is already one of virtual host \"a\""));
  EXPECT_EQ(target("a.com"), "one");
  EXPECT_EQ(target("good"), "two") << "the good ones are taken";
  EXPECT_THAT(say(Type::kVirtualHosts, {{"plain", virtual_host_json("x", "x.com", "two")}}),
              HasSubstr("vhds/plain: name: expected <route table>/<host>"));
  EXPECT_THAT(say(Type::kVirtualHosts, {{"r/a.com", R"({"name":"a"})"}}),
              HasSubstr("domains: required field is missing"));
  EXPECT_EQ(target("a.com"), "one") << "as it was";
}

TEST_F(VirtualHostsByVhds, MayComeBeforeTheirTable) {
  begin();
  EXPECT_EQ(say(Type::kVirtualHosts, {{"s/y.com", virtual_host_json("y", "y.com", "two")}}), "");
  EXPECT_EQ(target("y.com"), "404");
  const std::string by_s = R"("rds":{"route_config_name":"s","config_source":{"ads":{}}})";
  EXPECT_EQ(say(Type::kListeners, {{"in", listener_json("in", 1001, by_s)}}), "");
  const std::string s = str(R"({"name":"s",)", kVhds, R"("validate_clusters":false})");
  EXPECT_EQ(say(Type::kRoutes, {{"s", s}}), "");
  EXPECT_EQ(target("y.com"), "two");
  EXPECT_EQ(target("a.com"), "404");
}

TEST_F(VirtualHostsByVhds, OfOneNameUnderTwoAreOne) {
  begin();
  EXPECT_EQ(say(Type::kVirtualHosts, {{"r/www.a.com", virtual_host_json("a", "a.com", "one")}}),
            "");
  EXPECT_EQ(hcm()->routes->hosts().size(), 1u);
}

TEST_F(VirtualHostsByVhds, GoWhenNobodyUsesThem) {
  begin();
  RouteRequests requests;
  Instant now{1h};
  EXPECT_EQ(requests.want({RouteKind::kVirtualHost, "r/a.com"}, now), RouteRequests::Verdict::kAsk);
  EXPECT_EQ(requests.want({RouteKind::kVirtualHost, "r/alias"}, now), RouteRequests::Verdict::kAsk);
  requests.on_answered(RouteKind::kVirtualHost, "r/a.com", "r/a.com");
  requests.on_answered(RouteKind::kVirtualHost, "r/alias", "r/a.com");
  requests.on_built(*snapshot->resources);
  (void)target("a.com");
  now += RouteRequests::kUnusedTime;
  EXPECT_THAT(requests.drop_unused(*snapshot->resources, now), IsEmpty()) << "a request used it";
  now += RouteRequests::kUnusedTime - 1s;
  EXPECT_THAT(requests.drop_unused(*snapshot->resources, now), IsEmpty());
  now += 1s;
  job.dropped_virtual_hosts = requests.drop_unused(*snapshot->resources, now);
  EXPECT_THAT(job.dropped_virtual_hosts, ElementsAre("r/a.com"));
  EXPECT_THAT(requests.virtual_hosts(), IsEmpty());
  build();
  EXPECT_EQ(target("a.com"), "404");
}

// ---- who waits for them ----

TEST_F(VirtualHostsByVhds, AreToldToRequestsWhenTheyAreInForce) {
  begin();
  RouteRequests requests;
  const RouteName there{RouteKind::kVirtualHost, "r/a.com"}, none{RouteKind::kVirtualHost, "r/no"};
  const Instant now{1h};
  EXPECT_EQ(requests.want(there, now), RouteRequests::Verdict::kAsk);
  EXPECT_EQ(requests.want(none, now), RouteRequests::Verdict::kAsk);
  EXPECT_EQ(requests.want(there, now), RouteRequests::Verdict::kWaits);
  EXPECT_THAT(requests.virtual_hosts(), UnorderedElementsAre("r/a.com", "r/no"));
  requests.on_answered(RouteKind::kVirtualHost, "r/a.com", "r/a.com");
  EXPECT_THAT(requests.take_answers(), IsEmpty()) << "it is being built";
  requests.on_built(*snapshot->resources);
  EXPECT_THAT(requests.take_answers(), ElementsAre(there));
  EXPECT_EQ(requests.want(there, now), RouteRequests::Verdict::kAnswered);
  EXPECT_EQ(requests.want(none, now), RouteRequests::Verdict::kWaits);
  requests.on_given_up(RouteKind::kVirtualHost, "r/no");
  EXPECT_THAT(requests.take_answers(), ElementsAre(none));
  requests.on_answered(RouteKind::kVirtualHost, "r/never-asked", "r/never-asked");
  requests.on_built(*snapshot->resources);
  EXPECT_THAT(requests.take_answers(), IsEmpty());
}

TEST_F(VirtualHostsByVhds, ThatWaitForAClusterAreToldLater) {
  begin();
  RouteRequests requests;
  const RouteName name{RouteKind::kVirtualHost, "r/b.com"};
  EXPECT_EQ(requests.want(name, {}), RouteRequests::Verdict::kAsk);
  add(Type::kClusters,
      {{"new", R"({"name":"new","type":"EDS","eds_cluster_config":{"eds_config":{"ads":{}}}})"}});
  EXPECT_EQ(build(), "");
  EXPECT_EQ(say(Type::kVirtualHosts, {{"r/b.com", virtual_host_json("b", "b.com", "new")}}), "");
  requests.on_answered(RouteKind::kVirtualHost, "r/b.com", "r/b.com");
  requests.on_built(*snapshot->resources);
  EXPECT_THAT(requests.take_answers(), IsEmpty());
  EXPECT_EQ(target("b.com"), "404");
  job.endpoints = std::set<std::string>{"new"};
  build();
  requests.on_built(*snapshot->resources);
  EXPECT_THAT(requests.take_answers(), ElementsAre(name));
  EXPECT_EQ(target("b.com"), "new");
}

}  // namespace
}  // namespace pillion::testing
