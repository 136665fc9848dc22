#pragma once
// BuildTest: what the builder makes of a file and of responses of a control plane, one build after
// the other as a server makes them, without the control plane.
//
//   start();                                              // the file
//   EXPECT_EQ(say(Type::kListeners, {listener_json(...)}), "");   // nothing was wrong with it
//   EXPECT_EQ(target("h"), "a");                          // where a request goes by the snapshot

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
#include "tests/support/xds_json.h"
#include "xds/reflect.h"

namespace pillion::testing {

class BuildTest : public ::testing::Test {
 protected:
  using Type = xds::ResourceType;

  // A resource; its name is that in the JSON unless another one is given.
  struct Said {
    Said(const char* message) : Said(std::string(message)) {}  // NOLINT: as a text
    Said(std::string message) : json(std::move(message)) {     // NOLINT: likewise
      const size_t begin = json.find("\"name\":\"") + 8;
      name = json.substr(begin, json.find('"', begin) - begin);
    }
    // Without JSON: an answer that there is no such resource.
    Said(std::string its_name, std::string message, std::vector<std::string> its_aliases = {})
        : name(std::move(its_name)), json(std::move(message)), aliases(std::move(its_aliases)) {}
    std::string name;
    std::string json;
    std::vector<std::string> aliases;
  };

  void start(std::string_view bootstrap = ads_bootstrap("id: n, cluster: c", "DELTA_GRPC")) {
    options.config_yaml = bootstrap;
    BuildResult built = run_build(options, {}, {});
    ASSERT_NE(built.snapshot, nullptr) << built.messages;
    warnings = built.warnings;
    snapshot = std::move(built.snapshot);
  }
  // Why the file is refused.
  std::string refusal(std::string_view bootstrap) {
    options.config_yaml = bootstrap;
    return run_build(options, {}, {}).messages;
  }

  // The next build takes it.
  xds::Response& add(Type type, const std::vector<Said>& resources) {
    xds::Response& response = job.responses.emplace_back();
    response.type = type;
    response.version = str('v', ++versions);
    for (const Said& said : resources) {
      xds::Resource& resource = response.resources.emplace_back();
      resource.name = said.name;
      resource.aliases = said.aliases;
      if (said.json.empty()) continue;
      const Result<std::string> bytes = xds::encode(xds::message_of(type), said.json);
      EXPECT_TRUE(bytes) << bytes.error() << said.json;
      if (bytes) resource.bytes = *bytes;
    }
    return response;
  }
  xds::Response& add_delta(Type type, const std::vector<Said>& resources,
                           const std::vector<std::string>& removed) {
    xds::Response& response = add(type, resources);
    response.is_delta = true;
    response.removed = removed;
    return response;
  }
  // What was wrong, of all responses.
  std::string build() {
    job.previous = snapshot;
    job.now += std::chrono::seconds(1);
    BuildResult result = run_build(options, {}, job);
    job.responses.clear();
    job.warm.clear();  // they may be gone
    job.dropped_virtual_hosts.clear();
    job.admin_values = nullptr;
    EXPECT_NE(result.snapshot, nullptr) << result.messages;
    if (result.snapshot != nullptr) snapshot = std::move(result.snapshot);
    warnings = result.warnings;
    unusable_runtime_values += result.unusable_runtime_values;
    std::string wrong;
    for (const Answer& answer : result.answers) wrong += answer.wrong;
    return wrong;
  }
  std::string say(Type type, const std::vector<Said>& resources) {
    add(type, resources);
    return build();
  }
  std::string remove(Type type, const std::vector<std::string>& names) {
    add_delta(type, {}, names);
    return build();
  }

  // CDS has told of them: what names them need not wait for the word.
  void tell_clusters(const std::vector<std::string_view>& names) {
    std::vector<Said> clusters;
    for (const std::string_view name : names) clusters.emplace_back(static_cluster_json(name));
    EXPECT_EQ(say(Type::kClusters, clusters), "");
    versions = 0;
  }

  // The connection manager of a listener in force, by its name or its place; null: there is none.
  [[nodiscard]] const core::HcmConfig* hcm(std::string_view listener = "in") const {
    for (size_t i = 0; i < snapshot->listeners.size(); ++i)
      if (snapshot->listeners[i]->name == listener) return &hcm_at(i);
    return nullptr;
  }
  [[nodiscard]] const core::HcmConfig& hcm_at(size_t listener) const {
    const core::FilterChain& chain = *snapshot->listeners[listener]->chains[0];
    return *std::get<std::shared_ptr<const core::HcmConfig>>(chain.terminal);
  }
  [[nodiscard]] std::shared_ptr<const upstream::ClusterConfig> cluster(
      std::string_view name) const {
    return snapshot->clusters.find(name);
  }
  // Where listener "in" sends a request of this host, with a header x-scope if it is not empty:
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
  BuildJob job;  // what the next build knows beside the responses
  std::shared_ptr<const Snapshot> snapshot;
  int versions = 0;
  std::string warnings;                  // of the last build
  uint64_t unusable_runtime_values = 0;  // of all
};

// With a control plane for all, by deltas.
class XdsBuildTest : public BuildTest {
 protected:
  void SetUp() override { start(); }
};

}  // namespace pillion::testing
