#pragma once
// Builds as a server makes them, one after the other, from what a control plane says in a test.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "proxy/builder/resources.h"
#include "xds/reflect.h"

namespace pillion {

class BuildTest : public ::testing::Test {
 protected:
  void start(std::string_view bootstrap) {
    options.config_yaml = bootstrap;
    BuildResult built = run_build(options, {}, {});
    ASSERT_NE(built.snapshot, nullptr) << built.messages;
    warnings = built.warnings;
    snapshot = std::move(built.snapshot);
  }
  // Why the configuration is refused.
  std::string refusal(std::string_view bootstrap) {
    options.config_yaml = bootstrap;
    return run_build(options, {}, {}).messages;
  }

  // Resources as JSON, of one type; what is wrong with them.
  std::string say(xds::ResourceType type, const std::vector<std::string>& resources,
                  const std::vector<std::string>& removed = {}) {
    BuildJob job;
    xds::Response& response = job.responses.emplace_back();
    response.type = type;
    response.version = str('v', ++said_);
    response.removed = removed;
    response.is_delta = !removed.empty();
    for (const std::string& json : resources) {
      Result<std::string> bytes = xds::encode(xds::message_of(type), json);
      EXPECT_TRUE(bytes) << bytes.error();
      const size_t name = json.find("\"name\":\"") + 8;
      response.resources.push_back({json.substr(name, json.find('"', name) - name), *bytes, {}});
    }
    return build(std::move(job));
  }
  // The admin layer of the runtime has these keys.
  void set_admin(const std::vector<std::pair<std::string, std::string>>& values) {
    config::RuntimeValues layer;
    for (const auto& [key, text] : values) layer[key] = config::parse_runtime_value(text);
    BuildJob job;
    job.admin_values = std::make_shared<const config::RuntimeValues>(std::move(layer));
    (void)build(std::move(job));
  }
  void give_up_extension(const std::string& name) {
    given_up_extensions.insert(name);
    (void)build({});
  }

  const core::HcmConfig& hcm(size_t listener) const {
    const core::FilterChain& chain = *snapshot->listeners[listener]->chains[0];
    return *std::get<std::shared_ptr<const core::HcmConfig>>(chain.terminal);
  }
  std::shared_ptr<const upstream::ClusterConfig> cluster(std::string_view name) const {
    for (const auto& c : snapshot->clusters)
      if (c->name == name) return c;
    return nullptr;
  }

  Options options;
  std::shared_ptr<const Snapshot> snapshot;
  std::set<std::string> given_up_extensions;
  std::string warnings;
  uint64_t unusable_runtime_values = 0;

 private:
  std::string build(BuildJob job) {
    job.previous = snapshot;
    job.given_up_extensions = given_up_extensions;
    BuildResult result = run_build(options, {}, job);
    EXPECT_NE(result.snapshot, nullptr);
    snapshot = std::move(result.snapshot);
    warnings = result.warnings;
    unusable_runtime_values += result.unusable_runtime_values;
    return result.answers.empty() ? std::string() : result.answers[0].wrong;
  }
  int said_ = 0;
};

}  // namespace pillion
