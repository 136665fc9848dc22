// Endpoints by delta of which one assignment is bad: the others are taken, it keeps what it had,
// and the server hears of it by name, now and on the next stream.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/str.h"
#include "proxy/control/control_plane.h"
#include "proxy/http/grpc_frames.h"
#include "tests/support/fake_cluster_client.h"
#include "xds/reflect.h"

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

class RefusedEndpoints : public ::testing::Test, protected ControlPlaneHost {
 protected:
  void SetUp() override {
    options.config_yaml = kBootstrap;
    const BuildResult built = run_build(options, {}, {});
    ASSERT_NE(built.snapshot, nullptr) << built.messages;
    ControlPlaneHost& host = *this;
    control.emplace(ControlPlane::Context{loop, rng, clusters, registry},
                    built.snapshot->bootstrap.dynamic, host);
    control->start(*built.snapshot);
    clusters.last().head();
    EXPECT_THAT(requests(), ElementsAre("+a +b"));
  }
  void on_resources_wait() override {}
  void on_endpoints(const std::string& name, const upstream::HostSetPtr& hosts) override {
    endpoints[name] = hosts->hosts.size();
    hosts_of[name] = hosts;
  }
  [[nodiscard]] upstream::HostSetPtr endpoints_of(const std::string& name) const override {
    const auto it = hosts_of.find(name);
    return it == hosts_of.end() ? nullptr : it->second;
  }
  void on_initialized() override {}
  void on_unknown_fields(const config::UnknownFieldMap&) override {}

  // An assignment with one endpoint for each port.
  static std::string assignment(std::string_view name, std::string_view version,
                                const std::vector<int>& ports) {
    std::string list;
    for (const int port : ports)
      list += str(list.empty() ? "" : ",", R"({"endpoint":{"address":{"socket_address":{)",
                  R"("address":"10.0.0.1","port_value":)", port, "}}}}");
    return str(R"({"name":")", name, R"(","version":")", version, R"(","resource":{"@type":)",
               R"("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",)",
               R"("cluster_name":")", name, R"(","endpoints":[{"lb_endpoints":[)", list, "]}]}}");
  }
  void say(std::string_view nonce, const std::vector<std::string>& resources) {
    std::string list;
    for (const std::string& one : resources) list += str(list.empty() ? "" : ",", one);
    const Result<std::string> bytes = xds::encode(
        "envoy.service.discovery.v3.DeltaDiscoveryResponse",
        str(R"({"nonce":")", nonce, R"(","type_url":"type.googleapis.com/)",
            R"(envoy.config.endpoint.v3.ClusterLoadAssignment","resources":[)", list, "]}"));
    ASSERT_TRUE(bytes) << bytes.error();
    clusters.last().data(http::grpc_frame(*bytes));
  }
  // "+NAME" subscribed, "NAME@VERSION" held, the nonce, "!REASON".
  std::vector<std::string> requests() {
    std::vector<std::string> out;
    http::GrpcFrames frames(1 << 20);
    const std::string sent = std::exchange(clusters.last().sent, {});
    (void)frames.feed(sent, [&out](std::string_view message) {
      config::Errors errors;
      const auto document = xds::reflect("envoy.service.discovery.v3.DeltaDiscoveryRequest",
                                         message, "request", errors);
      const config::Node node = document->root(errors);
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
      return true;
    });
    return out;
  }

  io::Loop loop;
  Rng rng{1};
  stats::Registry registry;
  Options options;
  ::pillion::testing::FakeClusterClient clusters;
  std::optional<ControlPlane> control;
  std::map<std::string, size_t> endpoints;
  std::map<std::string, upstream::HostSetPtr> hosts_of;
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

}  // namespace
}  // namespace pillion
