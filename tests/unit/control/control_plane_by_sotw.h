#pragma once
// ControlPlaneTest: a control plane that says the state of the world; RunningControlPlane: one
// whose first configuration is in force: a listener "in" with routes "r" to the clusters "a" and
// "b".
//
//   say(ResourceType::kClusters, {static_cluster("a")});          // and builds
//   EXPECT_THAT(requests(), ElementsAre("cds", "cds v1 n1"));

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/control/control_plane.h"
#include "tests/unit/control/control_plane_fixture.h"
#include "xds/reflect.h"

namespace pillion::testing {

inline const std::string kBootstrap =
    ads_bootstrap("id: sidecar~1, cluster: test, metadata: { a: 1 }");

inline std::string static_cluster(std::string_view name, int port = 9) {
  return static_cluster_json(name, port);
}
inline std::string eds_cluster(std::string_view name, std::string_view more = "",
                               std::string_view timeout = "15s") {
  return eds_cluster_json(name, more, timeout);
}
inline std::string assignment(std::string_view name, const std::vector<int>& last_bytes) {
  return assignment_json(name, last_bytes);
}
inline std::string routes(std::string_view name, std::string_view cluster) {
  return routes_json(name, cluster);
}
// Of local_ratelimit: one request a day.
inline constexpr std::string_view kOneADay =
    R"({"name":"limit","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.)"
    R"(local_ratelimit.v3.LocalRateLimit","stat_prefix":"limit","token_bucket":{"max_tokens":1,)"
    R"("tokens_per_fill":1,"fill_interval":"86400s"}}},)";
inline std::string rds_listener(std::string_view name, int port, std::string_view route_name) {
  return listener_json(name, port, by_rds(route_name), {.http_filters = kOneADay});
}

class ControlPlaneTest : public ControlPlaneFixture {
 protected:
  void start(std::string_view bootstrap = kBootstrap) { ControlPlaneFixture::start(bootstrap); }

  // The bytes of a response, with the next version and nonce.
  std::string response(xds::ResourceType type, const std::vector<std::string>& resources) {
    std::string list;
    for (const std::string& json : resources)
      list += str(list.empty() ? "" : ",", any_json(xds::message_of(type), json));
    ++said;
    const Result<std::string> bytes =
        xds::encode("envoy.service.discovery.v3.DiscoveryResponse",
                    str(R"({"version_info":"v)", said, R"(","nonce":"n)", said,
                        R"(","type_url":"type.googleapis.com/)", xds::message_of(type),
                        R"(","resources":[)", list, "]}"));
    EXPECT_TRUE(bytes) << bytes.error();
    return bytes ? http::grpc_frame(*bytes) : std::string();
  }
  void say(xds::ResourceType type, const std::vector<std::string>& resources) {
    clusters.last().data(response(type, resources));
    build();
  }

  // What an update changed of the file.
  [[nodiscard]] BuildResult read_again(std::string_view bootstrap) {
    options.config_yaml = bootstrap;
    BuildJob job;
    job.previous = snapshot;
    job.reads_files = true;
    job.now = loop.now();
    control->add_to(job, ControlPlane::Take::kStateAlone);
    return run_build(options, {}, job);
  }
  [[nodiscard]] const core::HcmConfig& hcm(size_t listener_index) const {
    const core::FilterChain& chain = *snapshot->listeners[listener_index]->chains[0];
    return *std::get<std::shared_ptr<const core::HcmConfig>>(chain.terminal);
  }
  [[nodiscard]] stats::BlockRef<stats::RdsStats> rds_stats(std::string_view name) {
    return registry.block<stats::RdsStats>(stats::kControl, "in", name);
  }
  [[nodiscard]] stats::BlockRef<stats::ClusterInfoStats> cluster_stats(std::string_view name) {
    return registry.block<stats::ClusterInfoStats>(stats::kControl, name);
  }

  // What was asked and answered since the last call: "cds v1 n1", "eds a b", "lds v1 n2 !reason".
  std::vector<std::string> requests() {
    std::vector<std::string> out;
    for_each_request(kRequest, [&out](const config::Node& node) {
      std::string line;
      for (const xds::ResourceType type : xds::kAllTypes) {
        if (node["type_url"].as_view_or().ends_with(xds::message_of(type)))
          line = xds::short_name(type);
      }
      for (const config::Node name : node["resource_names"].items()) line += str(' ', name.raw());
      for (const char* key : {"version_info", "response_nonce"})
        if (node.has(key)) line += str(' ', node[key].as_view_or());
      if (node.has("error_detail")) line += str(" !", node["error_detail"]["message"].as_view_or());
      out.push_back(line);
    });
    return out;
  }

  [[nodiscard]] std::vector<std::string> cluster_names() const {
    std::vector<std::string> names;
    for (const auto& cluster : snapshot->clusters) names.push_back(cluster->name);
    return names;
  }
  [[nodiscard]] std::vector<std::string> listener_names() const {
    std::vector<std::string> names;
    for (const auto& l : snapshot->listeners) names.push_back(l->name);
    return names;
  }
  // Where the listener's first chain sends a request to.
  [[nodiscard]] std::string target(std::string_view listener_name) const {
    for (const auto& l : snapshot->listeners) {
      if (l->name != listener_name) continue;
      const auto& hcm = std::get<std::shared_ptr<const core::HcmConfig>>(l->chains[0]->terminal);
      Arena arena;
      http::RequestHead head(arena);
      head.path = "/";
      head.authority = "any";
      const route::RouteMatch match = hcm->routes->match(head, 0, false);
      return match ? std::string(route::cluster_name(match, head)) : "404";
    }
    return "no listener";
  }

  int said = 0;
};

class RunningControlPlane : public ControlPlaneTest {
 protected:
  void SetUp() override {
    start();
    say(xds::ResourceType::kClusters, {static_cluster("a"), eds_cluster("b")});
    say(xds::ResourceType::kEndpoints, {assignment("b", {1})});
    say(xds::ResourceType::kListeners, {rds_listener("in", 1001, "r")});
    say(xds::ResourceType::kRoutes, {routes("r", "a")});
    ASSERT_EQ(initialized, 1);
    ASSERT_EQ(target("in"), "a");
    (void)requests();
    builds = 0;
  }
};

}  // namespace pillion::testing
