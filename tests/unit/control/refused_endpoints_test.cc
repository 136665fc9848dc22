// Endpoints by delta of which one assignment is bad: the others are taken, it keeps what it had,
// and the server hears of it by name, now and on the next stream.
#include <gmock/gmock.h>

#include "tests/unit/control/control_plane_fixture.h"

namespace pillion {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::string_view kBootstrap = R"(node: { id: n, cluster: c }
dynamic_resources:
  ads_config: { api_type: DELTA_GRPC, transport_api_version: V3,
                grpc_services: [ { envoy_grpc: { cluster_name: xds } } ] }
static_resources:
  clusters:
    - { name: xds, http2_protocol_options: {} }
    - { name: a, type: EDS, eds_cluster_config: { eds_config: { ads: {} } } }
    - { name: b, type: EDS, eds_cluster_config: { eds_config: { ads: {} } } }
)";

class RefusedEndpoints : public testing::ControlPlaneFixture {
 protected:
  void SetUp() override {
    start(kBootstrap);
    EXPECT_THAT(requests(), ElementsAre("+a +b"));
  }

  // An assignment with one endpoint for each port.
  static Versioned assignment(const std::string& name, const std::string& version,
                              const std::vector<int>& ports) {
    std::string list;
    for (const int port : ports)
      list += str(list.empty() ? "" : ",", R"({"endpoint":{"address":{"socket_address":{)",
                  R"("address":"10.0.0.1","port_value":)", port, "}}}}");
    return {name, version,
            str(R"({"cluster_name":")", name, R"(","endpoints":[{"lb_endpoints":[)", list, "]}]}")};
  }
  void say(std::string_view nonce, const std::vector<Versioned>& resources) {
    say_delta(xds::ResourceType::kEndpoints, resources, nonce);
  }
  // "+NAME" subscribed, "NAME@VERSION" held, the nonce, "!REASON".
  std::vector<std::string> requests() {
    std::vector<std::string> out;
    for_each_request(testing::kDeltaRequest, [&out](const config::Node& node) {
      std::string line;
      const auto add = [&line](const auto&... words) {
        line += str(line.empty() ? "" : " ", words...);
      };
      for (const config::Node name : node["resource_names_subscribe"].items()) add('+', name.raw());
      for (const config::Entry held : node["initial_resource_versions"].entries())
        add(held.key, '@', held.node.raw());
      if (node.has("response_nonce")) add(node["response_nonce"].raw());
      if (node.has("error_detail")) add('!', node["error_detail"]["message"].raw());
      out.push_back(line);
    });
    return out;
  }
};

TEST_F(RefusedEndpoints, OfADeltaAreNamedAndTheOthersAreTaken) {
  say("n1", {assignment("a", "1", {1}), assignment("b", "1", {1})});
  EXPECT_THAT(requests(), ElementsAre("n1"));
  say("n2", {assignment("a", "2", {1, 2}), assignment("b", "2", {1, 70'000})});
  EXPECT_EQ(endpoints["a"], 2u);
  EXPECT_EQ(endpoints["b"], 1u) << "as it was";
  EXPECT_THAT(requests(), ElementsAre(AllOf(HasSubstr("n2 !eds/b: "), HasSubstr("70000"))));
  // What it holds is told on the next stream, so that b is said again.
  clusters.last().fail("reset");
  loop.skip(1s);
  ASSERT_EQ(clusters.calls.size(), 2u);
  EXPECT_THAT(requests(), ElementsAre("+a +b a@2 b@1"));
  clusters.last().head();
  say("m1", {assignment("b", "3", {1, 2, 3})});
  EXPECT_EQ(endpoints["b"], 3u);
  EXPECT_THAT(requests(), ElementsAre("m1"));
}

TEST_F(RefusedEndpoints, AreShownBesideWhatIsInForceUntilTheyAreSaidBetter) {
  const auto shown = [this] {
    std::vector<admin::ConfigResource> out;
    control->append_endpoints(out);
    return out;
  };
  say("n1", {assignment("a", "1", {1})});
  say("n2", {assignment("a", "2", {70'000}), assignment("b", "1", {70'001})});
  std::vector<admin::ConfigResource> both = shown();
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].name, "a");
  EXPECT_FALSE(both[0].is_warming);
  EXPECT_NE(both[0].make_document, nullptr) << "as it was";
  ASSERT_TRUE(both[0].error_state);
  EXPECT_THAT(both[0].error_state->details, HasSubstr("70000"));
  EXPECT_EQ(both[0].error_state->version, "v");
  EXPECT_EQ(both[0].client_status, admin::ClientStatus::kNacked);
  EXPECT_EQ(both[1].name, "b");
  EXPECT_TRUE(both[1].is_warming) << "there never was any";
  ASSERT_TRUE(both[1].error_state);
  EXPECT_THAT(both[1].error_state->details, HasSubstr("70001"));
  // The same again as what is in force; and that there is none.
  say("n3", {assignment("a", "3", {1})});
  say_removed(xds::ResourceType::kEndpoints, {"b"}, "n4");
  both = shown();
  ASSERT_EQ(both.size(), 1u);
  EXPECT_FALSE(both[0].error_state);
  EXPECT_EQ(both[0].client_status, admin::ClientStatus::kAcked);
}

}  // namespace
}  // namespace pillion
