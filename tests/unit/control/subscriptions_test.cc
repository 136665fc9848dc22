// What is kept of one process for the next one (--last-good-cache), by way of what is asked and
// said.
#include "proxy/control/subscriptions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/run_until.h"
#include "tests/unit/xds/ads_fixture.h"

namespace pillion {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using xds::ResourceType;

class KeptSubscriptions : public ::testing::Test {
 protected:
  KeptSubscriptions() {
    std::string name = (fs::temp_directory_path() / "pillion_subscriptions_XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~KeptSubscriptions() override {
    subscriptions.reset();
    fs::remove_all(folder);
  }
  // Another process, which asks for clusters and for these names.
  void start(const WantedNames& endpoints, const WantedNames& hosts) {
    subscriptions.reset();
    seen = {};
    xds::AdsOptions options;
    options.cluster = "xds";
    options.protocol = xds::Protocol::kDelta;
    subscriptions.emplace(
        Subscriptions::Context{loop, rng, clusters, "", (folder / "state").string(), "me"}, options,
        seen);
    subscriptions->start();
    subscriptions->subscribe_all(ResourceType::kClusters, {});
    subscriptions->subscribe(ResourceType::kEndpoints, endpoints);
    subscriptions->subscribe(ResourceType::kVirtualHosts, hosts);
  }
  void connect() {
    if (clusters.calls.empty() || !clusters.last().is_open) loop.skip(1s);
    clusters.last().head();
  }
  void say(ResourceType type, const std::vector<std::string>& items) {
    clusters.last().data(http::grpc_frame(xds::said(xds::Protocol::kDelta, type, "v", "n", items)));
  }
  // What was said since the last time; all of it is accepted.
  std::vector<std::string> heard() {
    while (accepted < seen.responses.size()) {
      const xds::Response& response = seen.responses[accepted++];
      subscriptions->accept(response.source, response.type);
      loop.run_once(false);
    }
    accepted = 0;
    seen.responses.clear();
    return std::exchange(seen.lines, {});
  }
  // Nobody answers.
  std::vector<std::string> recalled() {
    loop.skip(1s);
    (void)testing::run_until(loop, [&] { return !seen.lines.empty(); });
    return heard();
  }

  fs::path folder;
  io::Loop loop;
  Rng rng{1};
  ::pillion::testing::FakeClusterClient clusters;
  xds::Recorder seen;
  std::optional<Subscriptions> subscriptions;
  size_t accepted = 0;
  const WantedNames all_hosts = {{"*", {}}};
};

TEST_F(KeptSubscriptions, AreThereForTheNextProcessAlsoHostsThatWereAskedForByTheNameForAll) {
  start({{"a", {}}}, all_hosts);
  connect();
  say(ResourceType::kClusters, {"a@1", "b@1"});
  say(ResourceType::kEndpoints, {"a@1"});
  say(ResourceType::kVirtualHosts, {"r/x@1", "r/y@1"});
  EXPECT_THAT(heard(), ElementsAre("cds v a@1 b@1", "eds v a@1", "vhds v r/x@1 r/y@1"));
  start({{"a", {}}}, all_hosts);
  EXPECT_THAT(recalled(), UnorderedElementsAre("cds  a@1 b@1", "eds  a@1", "vhds  r/x@1 r/y@1"));
}

TEST_F(KeptSubscriptions, AreNotLostByAProcessThatHearsOnlyApart) {
  start({{"a", {}}}, all_hosts);
  connect();
  say(ResourceType::kClusters, {"a@1"});
  say(ResourceType::kVirtualHosts, {"r/x@1"});
  heard();
  start({}, {});
  connect();
  say(ResourceType::kClusters, {"a@2"});
  heard();
  start({}, all_hosts);
  EXPECT_THAT(recalled(), UnorderedElementsAre("cds  a@2", "vhds  r/x@1"));
}

TEST_F(KeptSubscriptions, ThatAreNotSaidAgainLeaveOnceAllHasBeenSaid) {
  start({{"a", {}}, {"b", {}}}, all_hosts);
  connect();
  say(ResourceType::kClusters, {"a@1", "b@1"});
  say(ResourceType::kEndpoints, {"a@1", "b@1"});
  say(ResourceType::kVirtualHosts, {"r/x@1", "r/y@1"});
  heard();
  start({{"a", {}}}, all_hosts);
  recalled();
  connect();
  say(ResourceType::kClusters, {"a@2"});
  EXPECT_THAT(heard(), ElementsAre("cds v a@2"));
  loop.skip(16s);
  EXPECT_THAT(heard(), ElementsAre("cds  -b")) << "and no host, of which nothing was said";
  say(ResourceType::kVirtualHosts, {"r/x@2"});
  EXPECT_THAT(heard(), ElementsAre("vhds v r/x@2"));
  loop.skip(16s);
  EXPECT_THAT(heard(), ElementsAre("vhds  -r/y"));
  start({{"a", {}}, {"b", {}}}, all_hosts);
  EXPECT_THAT(recalled(), UnorderedElementsAre("cds  a@2", "eds  a@1", "vhds  r/x@2"));
}

TEST_F(KeptSubscriptions, ThatNobodyAsksForAnyMoreLeave) {
  start({{"a", {}}, {"b", {}}, {"c", {}}}, all_hosts);
  connect();
  say(ResourceType::kEndpoints, {"a@1", "b@1", "c@1"});
  say(ResourceType::kVirtualHosts, {"r/x@1"});
  heard();
  subscriptions->change(ResourceType::kEndpoints, {"b"}, {{"a", {}}, {"c", {}}});
  subscriptions->subscribe(ResourceType::kEndpoints, {{"a", {}}});
  subscriptions->subscribe(ResourceType::kVirtualHosts, {});
  start({{"a", {}}, {"b", {}}, {"c", {}}}, all_hosts);
  EXPECT_THAT(recalled(), ElementsAre("eds  a@1"));
}

TEST_F(KeptSubscriptions, KnowWhereAResponseComesFrom) {
  using Origin = Subscriptions::Origin;
  start({}, {});
  connect();
  say(ResourceType::kClusters, {"a@1"});
  ASSERT_EQ(seen.responses.size(), 1u);
  EXPECT_EQ(subscriptions->origin(seen.responses[0].source), Origin::kStream);
  heard();
  start({}, {});
  loop.skip(1s);
  ASSERT_TRUE(testing::run_until(loop, [&] { return !seen.responses.empty(); }));
  EXPECT_EQ(subscriptions->origin(seen.responses[0].source), Origin::kLastGood);
  heard();
  const std::string path = (folder / "listeners.json").string();
  std::ofstream(path) << R"({"resources":[{"@type":)"
                      << R"("type.googleapis.com/envoy.config.listener.v3.Listener","name":"l"}]})";
  config::ConfigSource file;
  file.key = "path/" + path;
  file.how = config::ConfigSource::Path{path};
  subscriptions->subscribe_all(ResourceType::kListeners, file);
  ASSERT_TRUE(testing::run_until(loop, [&] { return !seen.responses.empty(); }));
  EXPECT_EQ(subscriptions->origin(seen.responses[0].source), Origin::kFile);
  EXPECT_EQ(subscriptions->origin(77), Origin::kStream) << "there is none any more";
}

}  // namespace
}  // namespace pillion
