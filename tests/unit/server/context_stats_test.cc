// A rotation is counted for each who uses the certificate, by one look at what is in force.
#include "proxy/context_stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "tests/support/ads_bootstrap.h"
#include "tests/support/run_until.h"
#include "xds/reflect.h"

namespace pillion {
namespace {

using xds::ResourceType;

std::string cluster(std::string_view name, std::string_view stat_name, bool has_tls) {
  const std::string tls =
      R"(,"transport_socket":{"name":"tls","typed_config":{"@type":"type.googleapis.com/)"
      R"(envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext","common_tls_context":)"
      R"({"tls_certificate_sds_secret_configs":[{"name":"default","sds_config":{"ads":{}}}]}}})";
  return str(R"({"name":")", name, R"(","type":"STATIC","alt_stat_name":")", stat_name, '"',
             has_tls ? tls : "", "}");
}

class ContextStatsTest : public ::testing::Test, private tls::SecretStoreObserver {
 protected:
  void SetUp() override {
    options.config_yaml = testing::ads_bootstrap("id: n, cluster: c");
    snapshot = run_build(options, {}, {}).snapshot;
    ASSERT_NE(snapshot, nullptr);
  }
  void on_secrets_settled() override {}
  void on_context_changed(const tls::ContextSlot&) override {}

  // "name" or "name=stat_name"; "!name" is one without TLS.
  void use(const std::vector<std::string>& clusters) {
    BuildJob job;
    job.previous = snapshot;
    xds::Response& response = job.responses.emplace_back();
    response.type = ResourceType::kClusters;
    for (std::string_view text : clusters) {
      const bool has_tls = !text.starts_with('!');
      if (!has_tls) text.remove_prefix(1);
      const std::string_view name = text.substr(0, text.find('='));
      const std::string_view stat = text == name ? name : text.substr(name.size() + 1);
      const Result<std::string> bytes =
          xds::encode(xds::message_of(ResourceType::kClusters), cluster(name, stat, has_tls));
      ASSERT_TRUE(bytes) << bytes.error();
      xds::Resource& resource = response.resources.emplace_back();
      resource.name = name;
      resource.bytes = *bytes;
    }
    const BuildResult built = run_build(options, {}, job);
    ASSERT_NE(built.snapshot, nullptr) << built.messages;
    ASSERT_EQ(built.answers.at(0).wrong, "");
    // Those with secrets wait for them.
    BuildJob again;
    again.previous = built.snapshot;
    for (const auto& slot : built.snapshot->tls_slots)
      for (const tls::SecretRef& ref : slot->secrets().certificates)
        again.settled_secrets.insert(ref.key());
    snapshot = run_build(options, {}, again).snapshot;
    counters.keep();
  }
  void change(std::string_view name) {
    snapshot->clusters.find(name)->pool->for_each_tls(
        [this](const auto& slot) { counters.on_changed(*slot); });
  }
  uint64_t count(std::string_view stat_name) {
    return registry.block<stats::ClusterTlsFactoryStats>(stats::kControl, stat_name)
        ->ssl_context_update_by_sds.value();
  }
  void run() { testing::run_for(loop, std::chrono::milliseconds(20)); }

  Options options;
  io::Loop loop;
  stats::Registry registry;
  tls::SecretStore secrets{loop, *this};
  std::shared_ptr<const Snapshot> snapshot;
  ContextStats counters{loop, registry, secrets, snapshot};
};

TEST_F(ContextStatsTest, CountAChangeOncePerClusterThatUsesTheContext) {
  use({"a", "b", "!plain"});
  change("a");
  change("b");
  EXPECT_EQ(count("a"), 0u) << "not inside of the change";
  run();
  EXPECT_EQ(count("a"), 1u);
  EXPECT_EQ(count("b"), 1u);
  EXPECT_EQ(count("plain"), 0u);
  change("a");
  run();
  EXPECT_EQ(count("a"), 2u);
}

TEST_F(ContextStatsTest, EndWithTheirCluster) {
  use({"a", "b", "c"});
  for (const char* name : {"a", "b", "c"}) change(name);
  run();
  use({"a", "b=other"});
  EXPECT_EQ(count("a"), 1u);
  EXPECT_EQ(count("b"), 0u) << "it is called otherwise now";
  EXPECT_EQ(count("c"), 0u) << "it is gone";
}

TEST_F(ContextStatsTest, AreNotKeptOfWhatGoesMeanwhile) {
  use({"a", "b"});
  change("a");
  change("b");
  use({"a"});
  run();
  EXPECT_EQ(count("a"), 1u);
  EXPECT_EQ(count("b"), 0u);
}

}  // namespace
}  // namespace pillion
