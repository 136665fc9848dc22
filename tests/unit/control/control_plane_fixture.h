#pragma once
// ControlPlaneFixture: a control plane in memory against the real client, builder and parsers; the
// test plays the server's part: it builds when it is told to, and keeps the snapshot.
//
//   start(bootstrap);
//   say_delta(ResourceType::kEndpoints, {{"a", "1", assignment_json("a", {1})}}, "n1");
//   build();
//   for_each_request(kDeltaRequest, [](const config::Node& request) { ... });

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "proxy/config/node.h"
#include "proxy/control/control_plane.h"
#include "proxy/http/grpc_frames.h"
#include "tests/support/ads_bootstrap.h"
#include "tests/support/fake_cluster_client.h"
#include "tests/support/xds_json.h"
#include "xds/reflect.h"

namespace pillion::testing {

inline constexpr std::string_view kRequest = "envoy.service.discovery.v3.DiscoveryRequest";
inline constexpr std::string_view kDeltaRequest =
    "envoy.service.discovery.v3.DeltaDiscoveryRequest";

class ControlPlaneFixture : public ::testing::Test, protected ControlPlaneHost {
 protected:
  void start(std::string_view bootstrap) {
    options.config_yaml = bootstrap;
    BuildResult built = run_build(options, {}, {});
    ASSERT_NE(built.snapshot, nullptr) << built.messages;
    snapshot = built.snapshot;
    ControlPlaneHost& host = *this;
    control.emplace(ControlPlane::Context{loop, rng, clusters, registry, unknown_fields},
                    snapshot->bootstrap.dynamic, host);
    control->start(*snapshot);
    clusters.last().head();
  }

  void on_resources_wait() override { is_wanted = true; }
  void on_endpoints(const std::string& name, const upstream::HostSetPtr& hosts) override {
    endpoints[name] = hosts->hosts.size();
    hosts_of[name] = hosts;
  }
  [[nodiscard]] upstream::HostSetPtr endpoints_of(const std::string& name) const override {
    const auto it = hosts_of.find(name);
    return it == hosts_of.end() ? nullptr : it->second;
  }
  void on_initialized() override { ++initialized; }
  void on_unknown_fields(const config::UnknownFieldMap& fields) override {
    config::add_unknown_fields(unknown_of_endpoints, fields);
  }
  void on_routes_answered(const std::vector<core::RouteName>& names) override {
    ++times_answered;
    for (const core::RouteName& name : names) answers.push_back(name.name);
  }

  void build() {
    while (std::exchange(is_wanted, false)) {
      BuildJob job;
      job.previous = snapshot;
      job.now = loop.now();
      control->add_to(job, ControlPlane::Take::kResponsesToo);
      const BuildResult result = run_build(options, {}, job);
      ASSERT_NE(result.snapshot, nullptr);
      ++builds;
      snapshot = result.snapshot;
      control->on_built(result, *snapshot);
      control->on_applied();
    }
  }

  struct Versioned {
    std::string name;
    std::string version;
    std::string json;
  };
  // By delta; nothing is built.
  void say_delta(xds::ResourceType type, const std::vector<Versioned>& resources,
                 std::string_view nonce = "n") {
    std::string list;
    for (const auto& [name, version, json] : resources)
      list += str(list.empty() ? "" : ",", R"({"name":")", name, R"(","version":")", version,
                  R"(","resource":)", any_json(xds::message_of(type), json), "}");
    send_delta(type, "resources", list, nonce);
  }

  // By delta: there is no such thing any more.
  void say_removed(xds::ResourceType type, const std::vector<std::string>& names,
                   std::string_view nonce = "n") {
    std::string list;
    for (const std::string& name : names) list += str(list.empty() ? "\"" : ",\"", name, '"');
    send_delta(type, "removed_resources", list, nonce);
  }
  // `list`: of that field, in JSON.
  void send_delta(xds::ResourceType type, std::string_view field, std::string_view list,
                  std::string_view nonce) {
    const Result<std::string> bytes =
        xds::encode("envoy.service.discovery.v3.DeltaDiscoveryResponse",
                    str(R"({"system_version_info":"v","nonce":")", nonce,
                        R"(","type_url":"type.googleapis.com/)", xds::message_of(type), R"(",")",
                        field, R"(":[)", list, "]}"));
    ASSERT_TRUE(bytes) << bytes.error();
    clusters.last().data(http::grpc_frame(*bytes));
  }

  // Calls fn(request) for each that was sent since the last call; `message`: what they are.
  template <typename Fn>
  void for_each_request(std::string_view message, Fn&& fn) {
    http::GrpcFrames frames(1 << 20);
    const std::string sent = std::exchange(clusters.last().sent, {});
    (void)frames.feed(sent, [&](std::string_view bytes) {
      config::Errors errors;
      const auto document = xds::reflect(message, bytes, "request", errors);
      fn(document->root(errors));
      return true;
    });
  }

  io::Loop loop;
  Rng rng{1};
  stats::Registry registry;
  Options options;
  config::UnknownFields unknown_fields = config::UnknownFields::kCount;
  config::UnknownFieldMap unknown_of_endpoints;
  FakeClusterClient clusters;
  std::optional<ControlPlane> control;
  std::shared_ptr<const Snapshot> snapshot;
  std::map<std::string, size_t> endpoints;
  std::map<std::string, upstream::HostSetPtr> hosts_of;
  std::vector<std::string> answers;  // names of on_routes_answered()
  int times_answered = 0;
  bool is_wanted = false;
  int initialized = 0;
  int builds = 0;
};

}  // namespace pillion::testing
