// Names that the file and a control plane both have: the file's stays, and the other one is there
// when the file no longer has it, though nobody says it again.
#include <gmock/gmock.h>

#include "tests/support/build_test.h"

namespace pillion::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string cluster_json(std::string_view name, int seconds, std::string_view type = "STATIC") {
  return str(R"({"name":")", name, R"(","type":")", type, R"(","connect_timeout":")", seconds,
             R"(s")", type == "EDS" ? R"(,"eds_cluster_config":{"eds_config":{"ads":{}}})" : "",
             "}");
}
std::string routes_of_its_own(std::string_view cluster) {
  return str(R"("route_config":)", routes_json("own", cluster));
}

class Shadows : public BuildTest {
 protected:
  // The file has these beside the cluster "xds"; what it is refused for.
  std::string read(std::string_view clusters, std::string_view listeners = {}) {
    options.config_yaml = str(ads_bootstrap("id: n, cluster: c", "DELTA_GRPC"), clusters,
                              listeners.empty() ? "" : "  listeners:\n", listeners);
    job.previous = snapshot;
    job.reads_files = true;
    const BuildResult result = run_build(options, {}, job);
    job.reads_files = false;
    warnings = result.warnings;
    if (result.snapshot != nullptr) snapshot = result.snapshot;
    return result.messages;
  }
  std::string say_delta(Type type, const std::vector<Said>& resources,
                        const std::vector<std::string>& removed = {}) {
    xds::Response& response = add(type, resources);
    response.is_delta = true;
    response.removed = removed;
    for (xds::Resource& resource : response.resources) resource.version = response.version;
    return build();
  }
  // connect_timeout in seconds of each in force: "c 5".
  [[nodiscard]] std::vector<std::string> in_force() const {
    std::vector<std::string> out;
    for (const auto& c : snapshot->clusters) {
      if (c->name != "xds")
        out.push_back(str(c->name, ' ', c->pool->connect_timeout.count() / 1'000'000'000));
    }
    return out;
  }
  [[nodiscard]] const Pieces<CompiledCluster>& hidden() const {
    return snapshot->resources->shadowed_clusters;
  }
};

constexpr std::string_view kC = "    - { name: c, connect_timeout: 1s }\n";

TEST_F(Shadows, ByDeltaTakeTheirPlaceWhenTheFileHasTheNameNoMore) {
  EXPECT_EQ(read(kC), "");
  EXPECT_EQ(say_delta(Type::kClusters, {{"c", cluster_json("c", 5)}, {"d", cluster_json("d", 6)}}),
            "");
  EXPECT_THAT(in_force(), ElementsAre("c 1", "d 6"));
  EXPECT_EQ(read(""), "");
  EXPECT_THAT(in_force(), ElementsAre("c 5", "d 6"));
  const Piece<CompiledCluster>& piece = snapshot->resources->clusters.find("c")->second;
  EXPECT_EQ(piece.version, "v1");
  EXPECT_EQ(piece.active_version, "v1");
  EXPECT_TRUE(hidden().empty());
  // And back.
  EXPECT_EQ(read(kC), "");
  EXPECT_THAT(in_force(), ElementsAre("c 1", "d 6"));
  EXPECT_FALSE(snapshot->resources->clusters.contains("c"));
  EXPECT_EQ(read(""), "");
  EXPECT_THAT(in_force(), ElementsAre("c 5", "d 6"));
}

TEST_F(Shadows, AreTheNewestThatWasSaid) {
  EXPECT_EQ(read(kC), "");
  EXPECT_EQ(say_delta(Type::kClusters, {{"c", cluster_json("c", 5)}}), "");
  EXPECT_EQ(say_delta(Type::kClusters, {{"c", cluster_json("c", 6)}}), "");
  // As bad as if the file had it not, and as well named.
  EXPECT_THAT(say_delta(Type::kClusters, {{"c", cluster_json("c", 0)}}),
              HasSubstr("cds/c: connect_timeout: "));
  EXPECT_EQ(read(""), "");
  EXPECT_THAT(in_force(), ElementsAre("c 6"));
  ASSERT_TRUE(snapshot->resources->clusters.find("c")->second.error);
}

TEST_F(Shadows, GoWhenTheControlPlaneTakesThemBack) {
  EXPECT_EQ(read(kC), "");
  EXPECT_EQ(say_delta(Type::kClusters, {{"c", cluster_json("c", 5)}}), "");
  EXPECT_EQ(say_delta(Type::kClusters, {}, {"c"}), "");
  EXPECT_TRUE(hidden().empty());
  // Likewise in the state of the world, where they stay as long as they are said.
  EXPECT_EQ(say(Type::kClusters, {{"c", cluster_json("c", 5)}}), "");
  EXPECT_TRUE(hidden().contains("c"));
  EXPECT_EQ(say(Type::kClusters, {{"d", cluster_json("d", 6)}}), "");
  EXPECT_TRUE(hidden().empty());
  EXPECT_EQ(read(""), "");
  EXPECT_THAT(in_force(), ElementsAre("d 6"));
}

TEST_F(Shadows, AreNoMoreThanTheNamesOfTheFile) {
  EXPECT_EQ(read(kC), "");
  std::vector<Said> many;
  for (int i = 0; i < 100; ++i) many.push_back({str('n', i), cluster_json(str('n', i), 5)});
  many.push_back({"c", cluster_json("c", 5)});
  EXPECT_EQ(say_delta(Type::kClusters, many), "");
  EXPECT_EQ(std::distance(hidden().begin(), hidden().end()), 1);
}

TEST_F(Shadows, OfAReloadThatIsRefusedStay) {
  EXPECT_EQ(read(kC), "");
  EXPECT_EQ(say_delta(Type::kClusters, {{"c", cluster_json("c", 5)}}), "");
  EXPECT_NE(read("    - { name: 3, connect_timeout: none }\n"), "");
  EXPECT_THAT(in_force(), ElementsAre("c 1"));
  EXPECT_EQ(read(""), "");
  EXPECT_THAT(in_force(), ElementsAre("c 5"));
}

// Make before break: that of the file goes on until the other one has endpoints.
TEST_F(Shadows, TakeTheirPlaceWhenTheyCan) {
  EXPECT_EQ(read(kC), "");
  EXPECT_EQ(say_delta(Type::kClusters, {{"c", cluster_json("c", 5, "EDS")}}), "");
  EXPECT_EQ(read(""), "");
  EXPECT_THAT(in_force(), ElementsAre("c 1"));
  job.endpoints.insert("c");
  EXPECT_EQ(build(), "");
  EXPECT_THAT(in_force(), ElementsAre("c 5"));
}

std::string listener_yaml(std::string_view name, int port) {
  return str("    - { name: ", name,
             ", address: { socket_address: { address: 127.0.0.1, port_value: ", port,
             " } }, filter_chains: [ { filters: [ { name: tcp, typed_config: { \"@type\": "
             "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, "
             "stat_prefix: tcp, cluster: xds } } ] } ] }\n");
}

TEST_F(Shadows, MayBeListeners) {
  EXPECT_EQ(read("", listener_yaml("in", 1001)), "");
  tell_clusters({"a"});
  EXPECT_EQ(
      say_delta(Type::kListeners, {{"in", listener_json("in", 1002, routes_of_its_own("a"))}}), "");
  EXPECT_EQ(read(""), "");
  EXPECT_EQ(target("h"), "a");
}

// Its address is another one's by now.
TEST_F(Shadows, ThatTakeAnAddressOfAnotherStayBehindAndAreNotForgotten) {
  EXPECT_EQ(read("", listener_yaml("in", 1001)), "");
  EXPECT_EQ(
      say_delta(Type::kListeners, {{"in", listener_json("in", 1002, routes_of_its_own("a"))}}), "");
  EXPECT_EQ(read("", listener_yaml("other", 1002)), "") << "the file is good";
  EXPECT_EQ(target("h"), "no listener");
  EXPECT_THAT(warnings, HasSubstr("127.0.0.1:1002"));
  EXPECT_TRUE(snapshot->resources->listeners.find("in")->second.error);
  EXPECT_EQ(read("", listener_yaml("other", 1003)), "");
  EXPECT_EQ(target("h"), "a");
}

}  // namespace
}  // namespace pillion::testing
