#pragma once
// What the builder makes of responses of a control plane, without the control plane.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "proxy/builder/resources.h"
#include "tests/support/ads_bootstrap.h"
#include "xds/reflect.h"

namespace pillion::testing {

inline const std::string kAdsBootstrap = ads_bootstrap("id: n, cluster: c", "DELTA_GRPC");

// An HttpConnectionManager in a listener, as JSON; `routes` is its member of route_specifier.
inline std::string listener_json(std::string_view name, int port, std::string_view routes) {
  return str(R"({"name":")", name, R"(","address":{"socket_address":{"address":"127.0.0.1",)",
             R"("port_value":)", port, R"(}},"filter_chains":[{"filters":[{"name":"hcm",)",
             R"("typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.network.)",
             R"(http_connection_manager.v3.HttpConnectionManager","stat_prefix":"in",)", routes,
             R"(,"http_filters":[{"name":"router","typed_config":{"@type":)",
             R"("type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]})");
}
inline std::string routes_json(std::string_view name, std::string_view cluster,
                               std::string_view more = {}) {
  return str(R"({"name":")", name, R"(",)", more, R"("virtual_hosts":[{"name":"all","domains":)",
             R"(["*"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":")", cluster,
             R"("}}]}]})");
}

class XdsBuildTest : public ::testing::Test {
 protected:
  using Type = xds::ResourceType;
  struct Said {
    std::string name;
    std::string json;  // empty: an answer without the resource
    std::vector<std::string> aliases = {};
  };

  void SetUp() override {
    options.config_yaml = kAdsBootstrap;
    BuildResult built = run_build(options, {}, {});
    ASSERT_NE(built.snapshot, nullptr) << built.messages;
    snapshot = built.snapshot;
  }

  // The next build takes it.
  xds::Response& add(Type type, const std::vector<Said>& resources) {
    xds::Response& response = job.responses.emplace_back();
    response.type = type;
    response.version = str("v", ++versions);
    for (const Said& said : resources) {
      xds::Resource& resource = response.resources.emplace_back();
      resource.name = said.name;
      resource.aliases = said.aliases;
      if (said.json.empty()) continue;
      const Result<std::string> bytes = xds::encode(xds::message_of(type), said.json);
      EXPECT_TRUE(bytes) << said.json;
      if (bytes) resource.bytes = *bytes;
    }
    return response;
  }
  // What was wrong, of all responses.
  std::string build() {
    job.previous = snapshot;
    job.now += std::chrono::seconds(1);
    const BuildResult result = run_build(options, {}, job);
    job.responses.clear();
    job.dropped_virtual_hosts.clear();
    EXPECT_NE(result.snapshot, nullptr) << result.messages;
    if (result.snapshot != nullptr) snapshot = result.snapshot;
    std::string wrong;
    for (const Answer& answer : result.answers) wrong += answer.wrong;
    return wrong;
  }
  std::string say(Type type, const std::vector<Said>& resources) {
    add(type, resources);
    return build();
  }

  [[nodiscard]] const core::HcmConfig* hcm(std::string_view listener = "in") const {
    for (const auto& l : snapshot->listeners) {
      if (l->name == listener)
        return std::get<std::shared_ptr<const core::HcmConfig>>(l->chains[0]->terminal).get();
    }
    return nullptr;
  }
  // Where the listener sends a request of this host, with a header x-scope if it is not empty:
  // cluster, "404", or "no listener".
  [[nodiscard]] std::string target(std::string_view host, std::string_view scope = {}) const {
    if (hcm() == nullptr) return "no listener";
    Arena arena;
    http::RequestHead head(arena);
    head.path = "/";
    head.authority = host;
    if (!scope.empty()) head.headers.add_copy("x-scope", scope);
    const route::RouteTable* table = hcm()->table_of(head);
    if (table == nullptr) return "404";
    const route::RouteMatch match = table->match(head, 0, false);
    return match ? std::string(route::cluster_name(match, head)) : "404";
  }

  Options options;
  BuildJob job;
  std::shared_ptr<const Snapshot> snapshot;
  int versions = 0;
};

}  // namespace pillion::testing
