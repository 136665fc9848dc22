// What a change supersedes dies when nobody uses it, with all that it held.
#include "proxy/retired.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "tests/support/ads_bootstrap.h"
#include "tests/support/run_until.h"
#include "xds/reflect.h"

namespace pillion {
namespace {

using ::testing::ElementsAre;
using xds::ResourceType;

class RetiredTest : public ::testing::Test,
                    private tls::SecretStoreObserver,
                    private tls::SecretFetcher {
 protected:
  RetiredTest() { secrets_.set_fetcher(*this); }
  void SetUp() override {
    options_.config_yaml = testing::ads_bootstrap("id: n, cluster: c");
    snapshot_ = run_build(options_, {}, {}).snapshot;
    ASSERT_NE(snapshot_, nullptr);
  }
  void on_secrets_settled() override {}
  void on_context_changed(const tls::ContextSlot&) override {}
  void on_wanted(const tls::SecretRef& ref) override { wanted_.push_back(ref.key().name); }
  void on_unwanted(const tls::SecretName& name) override { unwanted_.push_back(name.name); }

  // And the tick behind it.
  void pass(Duration time) { loop_.skip(time + std::chrono::milliseconds(20)); }
  // The clusters of the control plane from now on; "name=secret" is one with TLS.
  void use(const std::vector<std::string>& clusters) {
    BuildJob job;
    job.previous = snapshot_;
    xds::Response& response = job.responses.emplace_back();
    response.type = ResourceType::kClusters;
    for (const std::string_view text : clusters) add(response, text);
    std::shared_ptr<const Snapshot> built = run_build(options_, {}, job).snapshot;
    ASSERT_NE(built, nullptr);
    // Those with secrets wait for them.
    BuildJob again;
    again.previous = built;
    for (const auto& slot : built->tls_slots)
      for (const tls::SecretRef& ref : slot->secrets().certificates)
        again.settled_secrets.insert(ref.key());
    std::shared_ptr<const Snapshot> next = run_build(options_, {}, again).snapshot;
    ASSERT_NE(next, nullptr);
    secrets_.attach(next->tls_slots);
    retired_.add(changes_between(snapshot_.get(), *next), snapshot_);
    snapshot_ = std::move(next);
  }
  static void add(xds::Response& response, std::string_view text) {
    const std::string_view name = text.substr(0, text.find('='));
    std::string tls;
    if (name != text) {
      tls =
          str(R"(,"transport_socket":{"name":"tls","typed_config":{"@type":"type.googleapis.com/)",
              R"(envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",)",
              R"("common_tls_context":{"tls_certificate_sds_secret_configs":[{"name":")",
              text.substr(name.size() + 1), R"(","sds_config":{"ads":{}}}]}}})");
    }
    const Result<std::string> bytes =
        xds::encode(xds::message_of(ResourceType::kClusters),
                    str(R"({"name":")", name, R"(","type":"STATIC")", tls, "}"));
    ASSERT_TRUE(bytes) << bytes.error();
    xds::Resource& resource = response.resources.emplace_back();
    resource.name = name;
    resource.bytes = *bytes;
  }
  [[nodiscard]] std::weak_ptr<const upstream::ClusterConfig> config(std::string_view name) const {
    return snapshot_->clusters.find(name);
  }

  Options options_;
  io::Loop loop_;
  tls::SecretStore secrets_{loop_, *this};
  std::shared_ptr<const Snapshot> snapshot_;
  std::vector<std::string> wanted_, unwanted_;
  Retired retired_{loop_, secrets_};
};

TEST_F(RetiredTest, ASecretThatOnlyWhatIsGoneNeededIsAskedForNoMore) {
  use({"keep", "t=sec1"});
  EXPECT_THAT(wanted_, ElementsAre("sec1"));
  use({"keep"});
  EXPECT_THAT(unwanted_, ElementsAre());
  // Nothing else changes.
  pass(Retired::kPruneDelay);
  EXPECT_TRUE(testing::run_until(loop_, [this] { return !unwanted_.empty(); }));
  EXPECT_THAT(unwanted_, ElementsAre("sec1"));
}

TEST_F(RetiredTest, WhatAWorkerStillUsesStays) {
  use({"a"});
  const auto used = config("a");
  std::shared_ptr<const upstream::ClusterConfig> worker = used.lock();
  use({});
  pass(Retired::kPruneDelay);
  testing::run_for(loop_, std::chrono::milliseconds(20));
  EXPECT_FALSE(used.expired());
  worker.reset();
  pass(Retired::kPruneDelay);
  EXPECT_TRUE(testing::run_until(loop_, [&used] { return used.expired(); }));
}

TEST_F(RetiredTest, MuchIsFreedSoonerThanLittle) {
  std::vector<std::string> many;
  for (size_t i = 0; i <= Retired::kMuch; ++i) many.push_back(str("c", i));
  use(many);
  const auto one = config("c0");
  many.erase(many.begin());
  use(many);
  pass(Retired::kPruneSoon);
  testing::run_for(loop_, std::chrono::milliseconds(20));
  EXPECT_FALSE(one.expired()) << "one piece can wait for others";
  const auto another = config("c1");
  use({});
  pass(Retired::kPruneSoon);
  EXPECT_TRUE(testing::run_until(loop_, [&] { return one.expired() && another.expired(); }));
}

TEST_F(RetiredTest, LargeSetsOfHostsThatWorkersHandBackDieOnTheThread) {
  upstream::Endpoints all(5000);
  for (size_t i = 0; i < all.size(); ++i)
    all[i].address = io::Address::ipv4(0x0a000000 + static_cast<uint32_t>(i), 80);
  upstream::HostSetPtr set = upstream::make_host_set(all, nullptr);
  const std::weak_ptr<const upstream::HostSet> former = set;
  retired_.add_hosts({std::move(set)});
  EXPECT_TRUE(testing::run_until(loop_, [&former] { return former.expired(); }));
}

}  // namespace
}  // namespace pillion
