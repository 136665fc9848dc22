// Layers of the runtime, and which pieces of a configuration are made anew when a value changes.
#include <gmock/gmock.h>

#include "proxy/builder/runtime_layers.h"
#include "tests/support/build_test.h"

namespace pillion::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;

constexpr std::string_view kRoutes =
    R"("route_config":{"virtual_hosts":[{"name":"all","domains":["*"],"routes":[{"match":{)"
    R"("prefix":"/","runtime_fraction":{"default_value":{"numerator":1},"runtime_key":"share"}},)"
    R"("route":{"weighted_clusters":{"runtime_key_prefix":"weights","clusters":[)"
    R"({"name":"plain","weight":1},{"name":"weighed","weight":3}]}}}]}]})";

// The layers, and what has values that they may change.
std::string bootstrap(std::string_view layers) {
  return str(
      ads_bootstrap(), R"(    - { name: plain, type: STATIC, load_assignment: { endpoints: [] } }
    - { name: weighed, type: STATIC, lb_policy: LEAST_REQUEST, load_assignment: { endpoints: [] },
        least_request_lb_config: { active_request_bias: { default_value: 1.5, runtime_key: bias } } }
  listeners:
    - )",
      listener_json("in", 1001, kRoutes), "\nlayered_runtime: { layers: [ ", layers, " ] }\n");
}
constexpr std::string_view kLayers =
    "{ name: fixed, static_layer: { bias: 2, other: 1 } }, "
    "{ name: pushed, rtds_layer: { name: rt, rtds_config: { ads: {} } } }, "
    "{ name: admin, admin_layer: {} }";

std::string layer(std::string_view values) {
  return str(R"({"name":"rt","layer":{)", values, "}}");
}

class RuntimeBuild : public BuildTest {
 protected:
  // The admin layer has these keys.
  void set_admin(const std::vector<std::pair<std::string, std::string>>& values) {
    config::RuntimeValues layer;
    for (const auto& [key, text] : values) layer[key] = config::parse_runtime_value(text);
    job.admin_values = std::make_shared<const config::RuntimeValues>(std::move(layer));
    (void)build();
  }
  double bias() const { return cluster("weighed")->balancer.group.active_request_bias; }
  std::string value(std::string_view key) const {
    const auto* v = snapshot->resources->runtime->find(key);
    return v == nullptr ? "none" : v->text;
  }
};

TEST_F(RuntimeBuild, TheLastLayerThatHasAKeyDecides) {
  start(bootstrap(kLayers));
  EXPECT_EQ(bias(), 2);
  EXPECT_EQ(say(Type::kRuntime, {layer(R"("bias":3)")}), "");
  EXPECT_EQ(bias(), 3);
  set_admin({{"bias", "4"}});
  EXPECT_EQ(bias(), 4);
  EXPECT_EQ(say(Type::kRuntime, {layer(R"("bias":5)")}), "");
  EXPECT_EQ(bias(), 4) << "the admin layer stands behind it";
  set_admin({});
  EXPECT_EQ(bias(), 5);
  EXPECT_EQ(say(Type::kRuntime, {layer("")}), "");
  EXPECT_EQ(bias(), 2);
}

TEST_F(RuntimeBuild, OnlyWhatNamesAChangedKeyIsMadeAnew) {
  start(bootstrap(kLayers));
  const auto plain = cluster("plain");
  const auto weighed = cluster("weighed");
  const auto listener = snapshot->listeners[0];
  (void)say(Type::kRuntime, {layer(R"("nobody.asks":1)")});
  EXPECT_EQ(cluster("weighed"), weighed);
  EXPECT_EQ(snapshot->listeners[0], listener);
  (void)say(Type::kRuntime, {layer(R"("bias":7)")});
  EXPECT_NE(cluster("weighed"), weighed);
  EXPECT_NE(cluster("weighed")->hash, weighed->hash) << "workers must hear of it";
  EXPECT_EQ(cluster("weighed")->connection_hash, weighed->connection_hash);
  EXPECT_EQ(cluster("plain"), plain);
  EXPECT_EQ(snapshot->listeners[0], listener);
  const auto now = cluster("weighed");
  (void)say(Type::kRuntime, {layer(R"("bias":7,"share":100)")});
  EXPECT_EQ(cluster("weighed"), now);
  EXPECT_NE(snapshot->listeners[0], listener);
  EXPECT_NE(snapshot->listeners[0]->hash, listener->hash);
  EXPECT_EQ(snapshot->listeners[0]->chains[0]->connection_hash,
            listener->chains[0]->connection_hash);
}

TEST_F(RuntimeBuild, KeysThatNoFieldNamesCountForClusters) {
  start(bootstrap(kLayers));
  const auto weighed = cluster("weighed");
  (void)say(Type::kRuntime,
            {layer(R"("circuit_breakers":{"plain":{"default":{"max_requests":3}}})")});
  EXPECT_EQ(cluster("plain")->pool->limits.max_requests, 3u);
  EXPECT_EQ(cluster("weighed"), weighed);
  (void)say(Type::kRuntime, {layer("")});
  EXPECT_EQ(cluster("plain")->pool->limits.max_requests, 1024u);
}

TEST_F(RuntimeBuild, PiecesOfTheControlPlaneAreMadeAnewToo) {
  start(bootstrap(kLayers));
  const auto json = [](std::string_view name, std::string_view key) {
    return str(R"({"name":")", name, R"(","type":"STATIC","lb_policy":"LEAST_REQUEST",)",
               R"("least_request_lb_config":{"active_request_bias":{"default_value":1,)",
               R"("runtime_key":")", key, R"("}},"load_assignment":{"cluster_name":")", name,
               R"("}})");
  };
  EXPECT_EQ(say(Type::kClusters, {json("a", "bias.a"), json("b", "bias.b")}), "");
  const auto b = cluster("b");
  (void)say(Type::kRuntime, {layer(R"("bias.a":9)")});
  EXPECT_EQ(cluster("a")->balancer.group.active_request_bias, 9);
  EXPECT_EQ(cluster("b"), b);
}

TEST_F(RuntimeBuild, WeightsOfClustersFollowTheirPrefix) {
  start(bootstrap(kLayers));
  const auto weights = [this] {
    const auto& routes = *hcm_at(0).routes;
    Arena arena;
    http::RequestHead head(arena);
    head.path = "/";
    head.authority = "any";
    std::map<std::string, int> seen;
    for (uint64_t random = 0; random < 8; ++random) {
      const route::RouteMatch match = routes.match(head, random << 61, false);
      if (match) ++seen[std::string(route::cluster_name(match, head))];
    }
    return seen;
  };
  (void)say(Type::kRuntime, {layer(R"("share":100,"weights.weighed":0)")});
  EXPECT_THAT(weights(), ElementsAre(Key("plain")));
  (void)say(Type::kRuntime, {layer(R"("share":100,"weights.weighed":0,"weights.plain":0)")});
  EXPECT_EQ(weights().size(), 2u) << "without any weight those of the file hold";
  EXPECT_THAT(warnings, HasSubstr("all weights zero"));
}

TEST_F(RuntimeBuild, AnUnusableValueIsCountedAndTheDefaultHolds) {
  start(bootstrap(kLayers));
  EXPECT_EQ(say(Type::kRuntime, {layer(R"("bias":"a lot")")}), "");
  EXPECT_EQ(bias(), 1.5);
  EXPECT_EQ(unusable_runtime_values, 1u);
  EXPECT_THAT(warnings, HasSubstr("\"bias\" does not count"));
}

TEST_F(RuntimeBuild, ABadLayerKeepsItsPredecessor) {
  start(bootstrap(kLayers));
  (void)say(Type::kRuntime, {layer(R"("bias":3)")});
  EXPECT_THAT(say(Type::kRuntime, {layer(R"("bias":[1])")}), HasSubstr("rtds/rt: layer.bias"));
  EXPECT_EQ(bias(), 3);
  EXPECT_EQ(remove(Type::kRuntime, {"rt"}), "") << "a delta takes it away";
  EXPECT_EQ(bias(), 2);
}

TEST_F(RuntimeBuild, OthersLayersAreNotTaken) {
  start(bootstrap(kLayers));
  EXPECT_EQ(say(Type::kRuntime, {R"({"name":"else","layer":{"bias":3}})"}), "");
  EXPECT_EQ(bias(), 2);
}

TEST_F(RuntimeBuild, RefusesLayersThatCannotBe) {
  EXPECT_THAT(refusal(bootstrap("{ name: a, admin_layer: {} }, { name: b, admin_layer: {} }")),
              HasSubstr("there is an admin layer already"));
  EXPECT_THAT(refusal(bootstrap("{ name: a, static_layer: {} }, { name: a, static_layer: {} }")),
              HasSubstr("another layer is called \"a\" already"));
  EXPECT_THAT(refusal(bootstrap("{ name: a, disk_layer: { symlink_root: /srv } }")),
              HasSubstr("disk_layer: known to Envoy v3 but not supported by Pillion yet"));
  EXPECT_THAT(refusal(bootstrap("{ name: a }")), HasSubstr("static_layer"));
}

TEST_F(RuntimeBuild, WithoutLayersThereIsAnAdminLayer) {
  start("node: { id: a }\nstatic_resources: {}\n");
  EXPECT_TRUE(has_admin_layer(*snapshot->bootstrap.runtime_layers));
  set_admin({{"a", "1"}});
  EXPECT_EQ(value("a"), "1");
}

}  // namespace
}  // namespace pillion::testing
