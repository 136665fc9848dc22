#include "proxy/control/last_good.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "proxy/base/str.h"
#include "proxy/control/last_good_file.h"
#include "tests/support/log_capture.h"
#include "tests/support/run_until.h"
#include "xds/reflect.h"

namespace pillion {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using xds::ResourceType;
using namespace std::chrono_literals;

class LastGoodTest : public ::testing::Test, private LastGoodObserver {
 protected:
  LastGoodTest() {
    std::string name = (fs::temp_directory_path() / "pillion_last_good_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    path_ = (folder_ / "state").string();
    open();
  }
  ~LastGoodTest() override {
    kept_.reset();
    fs::remove_all(folder_);
  }
  void open(const std::string& owner = "me") {
    kept_.reset();  // which writes
    LastGoodObserver& observer = *this;
    kept_ = std::make_unique<LastGood>(loop_, path_, owner, observer);
    kept_->start();
  }
  void on_last_good(std::vector<xds::Response>&& responses) override {
    recalled_ = std::move(responses);
  }
  std::vector<xds::Response> recall() {
    recalled_.reset();
    kept_->recall();
    EXPECT_TRUE(testing::run_until(loop_, [&] { return recalled_.has_value(); }));
    return recalled_.value_or(std::vector<xds::Response>());
  }

  static xds::Resource resource(ResourceType type, const std::string& fields) {
    const Result<std::string> bytes = xds::encode(xds::message_of(type), str("{", fields, "}"));
    EXPECT_TRUE(bytes) << bytes.error();
    xds::Resource out;
    out.bytes = bytes ? *bytes : std::string();
    return out;
  }
  static xds::Response said(ResourceType type, const std::vector<std::string>& names,
                            const std::string& more = "") {
    xds::Response out;
    out.type = type;
    const bool is_assignment = type == ResourceType::kEndpoints;
    for (const std::string& name : names) {
      out.resources.push_back(resource(
          type, str(is_assignment ? R"("cluster_name":")" : R"("name":")", name, '"', more)));
      out.resources.back().name = name;
    }
    return out;
  }
  void accept(const xds::Response& response) {
    kept_->heard(response);
    kept_->answered(response.type, {}, nullptr);
  }
  // "cds a b", as a new process finds it.
  std::vector<std::string> found() {
    open();
    std::vector<std::string> out;
    for (const xds::Response& response : recall()) {
      std::string& line = out.emplace_back(xds::short_name(response.type));
      for (const xds::Resource& one : response.resources) line += ' ' + one.name;
    }
    return out;
  }
  std::string text() {
    std::ostringstream out;
    out << std::ifstream(path_, std::ios::binary).rdbuf();
    return out.str();
  }

  io::Loop loop_;
  fs::path folder_;
  std::string path_;
  std::optional<std::vector<xds::Response>> recalled_;
  std::unique_ptr<LastGood> kept_;
};

TEST_F(LastGoodTest, WhatWasAcceptedIsThereForTheNextProcess) {
  accept(said(ResourceType::kClusters, {"a", "b"}));
  accept(said(ResourceType::kEndpoints, {"a"}));
  EXPECT_THAT(found(), ElementsAre("cds a b", "eds a"));
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

TEST_F(LastGoodTest, IsWrittenSomeSecondsAfterAChange) {
  accept(said(ResourceType::kClusters, {"a"}));
  loop_.skip(2s);
  EXPECT_TRUE(testing::run_until(loop_, [&] { return fs::exists(path_); }));
}

TEST_F(LastGoodTest, IsWrittenOnceForManyChanges) {
  accept(said(ResourceType::kClusters, {"a"}));
  loop_.skip(2s);
  ASSERT_TRUE(testing::run_until(loop_, [&] { return fs::exists(path_); }));
  const std::string first = text();
  accept(said(ResourceType::kRoutes, {"x"}));
  testing::run_for(loop_, 10ms);  // until the thread is done
  loop_.skip(1900ms);
  accept(said(ResourceType::kRoutes, {"y"}));
  testing::run_for(loop_, 10ms);
  EXPECT_EQ(text(), first) << "not yet";
  loop_.skip(200ms);
  EXPECT_TRUE(testing::run_until(loop_, [&] { return text() != first; }));
  EXPECT_THAT(text(), HasSubstr("RouteConfiguration"));
  EXPECT_THAT(found(), ElementsAre("cds a", "rds x y"));
}

TEST_F(LastGoodTest, ClustersAndListenersAreCompleteOthersAddUp) {
  accept(said(ResourceType::kClusters, {"a", "b"}));
  accept(said(ResourceType::kClusters, {"b", "c"}));
  accept(said(ResourceType::kRoutes, {"x"}));
  accept(said(ResourceType::kRoutes, {"y"}));
  EXPECT_THAT(found(), ElementsAre("cds b c", "rds x y"));
}

TEST_F(LastGoodTest, ADeltaTakesAwayWhatItNames) {
  accept(said(ResourceType::kClusters, {"a", "b"}));
  xds::Response delta = said(ResourceType::kClusters, {"c"});
  delta.is_delta = true;
  delta.removed = {"a"};
  accept(delta);
  EXPECT_THAT(found(), ElementsAre("cds b c"));
}

TEST_F(LastGoodTest, WhatWasRefusedKeepsItsPredecessor) {
  accept(said(ResourceType::kClusters, {"a", "b"}));
  kept_->heard(said(ResourceType::kClusters, {"a", "b", "c"}, R"(,"type":"EDS")"));
  const std::set<std::string> refused = {"a"};
  kept_->answered(ResourceType::kClusters, "bad", &refused);
  kept_->heard(said(ResourceType::kClusters, {"z"}));
  kept_->answered(ResourceType::kClusters, "bad", nullptr);
  open();
  const std::vector<xds::Response> loaded = recall();
  ASSERT_THAT(loaded, SizeIs(1));
  ASSERT_THAT(loaded[0].resources, SizeIs(3));
  EXPECT_EQ(loaded[0].resources[0].bytes, said(ResourceType::kClusters, {"a"}).resources[0].bytes);
  EXPECT_NE(loaded[0].resources[1].bytes, said(ResourceType::kClusters, {"b"}).resources[0].bytes);
}

TEST_F(LastGoodTest, NoSecretIsEverWritten) {
  constexpr std::string_view kKey =
      R"(,"transport_socket":{"name":"tls","typed_config":{"@type":)"
      R"("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",)"
      R"("common_tls_context":{"tls_certificates":[{"private_key":{"inline_string":"hush hush"}}]}}})";
  xds::Response clusters = said(ResourceType::kClusters, {"open"});
  for (xds::Resource& one : said(ResourceType::kClusters, {"closed"}, std::string(kKey)).resources)
    clusters.resources.push_back(one);
  accept(clusters);
  accept(said(ResourceType::kSecrets, {"own"},
              R"(,"generic_secret":{"secret":{"inline_string":"hush"}})"));
  EXPECT_THAT(found(), ElementsAre("cds open"));
  EXPECT_THAT(text(), Not(HasSubstr("hush")));
}

TEST_F(LastGoodTest, WhatIsNotWantedAnyMoreLeaves) {
  accept(said(ResourceType::kEndpoints, {"a", "b"}));
  kept_->forget(ResourceType::kEndpoints, "a");
  EXPECT_THAT(found(), ElementsAre("eds b"));
  accept(said(ResourceType::kRoutes, {"r"}));
  kept_->forget_all(ResourceType::kRoutes);
  EXPECT_THAT(found(), ElementsAre("eds b"));
}

TEST_F(LastGoodTest, WhatWasReadStaysUntilItIsSaidOtherwise) {
  accept(said(ResourceType::kClusters, {"a", "b"}));
  accept(said(ResourceType::kEndpoints, {"a", "b"}));
  accept(said(ResourceType::kRoutes, {"r"}));
  open();
  accept(said(ResourceType::kClusters, {"a"}));
  EXPECT_THAT(found(), ElementsAre("cds a", "eds a b", "rds r"));
  xds::Response delta = said(ResourceType::kClusters, {"c"});
  delta.is_delta = true;
  accept(delta);
  EXPECT_THAT(found(), ElementsAre("cds a c", "eds a b", "rds r"));
}

TEST_F(LastGoodTest, WhatWasReadAndIsNotConfirmedLeaves) {
  const auto by_delta = [](xds::Response response) {
    response.is_delta = true;
    return response;
  };
  accept(said(ResourceType::kClusters, {"again", "gone", "refused", "wrong"}));
  accept(said(ResourceType::kEndpoints, {"asked", "gone"}));
  open();
  accept(by_delta(said(ResourceType::kClusters, {"again"})));
  kept_->heard(by_delta(said(ResourceType::kClusters, {"new", "refused"}, R"(,"type":"EDS")")));
  const std::set<std::string> refused = {"refused"};
  kept_->answered(ResourceType::kClusters, "bad", &refused);
  kept_->heard(by_delta(said(ResourceType::kClusters, {"wrong"})));
  kept_->answered(ResourceType::kClusters, "bad", nullptr);
  accept(by_delta(said(ResourceType::kEndpoints, {"new"})));
  kept_->confirm(ResourceType::kClusters, {});
  kept_->confirm(ResourceType::kEndpoints, {"asked"});
  EXPECT_THAT(found(), ElementsAre("cds again new refused wrong", "eds asked new"));
}

TEST_F(LastGoodTest, ScopesAreCompleteUnlessByDelta) {
  accept(said(ResourceType::kScopedRoutes, {"a", "b"}));
  accept(said(ResourceType::kScopedRoutes, {"b", "c"}));
  EXPECT_THAT(found(), ElementsAre("srds b c"));
  xds::Response delta = said(ResourceType::kScopedRoutes, {"d"});
  delta.is_delta = true;
  accept(delta);
  EXPECT_THAT(found(), ElementsAre("srds b c d"));
}

TEST_F(LastGoodTest, AVirtualHostThatThereIsNotIsNotKept) {
  xds::Response hosts = said(ResourceType::kVirtualHosts, {"r/a", "r/b"});
  hosts.is_delta = true;
  accept(hosts);
  hosts.resources[0].bytes.clear();
  accept(hosts);
  EXPECT_THAT(found(), ElementsAre("vhds r/b"));
}

// What comes before a write merges with what came before it as the responses would.
TEST_F(LastGoodTest, ChangesOfOneNameAddUpAsTheyCame) {
  accept(said(ResourceType::kClusters, {"a", "b", "c"}));
  open();
  xds::Response delta = said(ResourceType::kClusters, {"d"});
  delta.is_delta = true;
  delta.removed = {"a"};
  accept(delta);
  xds::Response all = said(ResourceType::kClusters, {"e"});
  all.unchanged = {"a", "b", "d"};
  accept(all);
  delta = {};
  delta.type = ResourceType::kClusters;
  delta.is_delta = true;
  delta.unchanged = {"c", "e"};
  accept(delta);
  EXPECT_THAT(found(), ElementsAre("cds b d e"));
}

TEST_F(LastGoodTest, AFileThatIsNotAsItWasWrittenIsNotUsed) {
  accept(said(ResourceType::kClusters, {"a"}));
  open();
  const std::string good = text();
  const auto reason = [](std::string_view text, std::string_view owner) {
    const auto decoded = decode_last_good(text, owner);
    return decoded ? std::string("none") : decoded.error();
  };
  EXPECT_EQ(reason(good, "me"), "none");
  EXPECT_EQ(reason(good, "you"), "it is another node's");
  EXPECT_EQ(reason("", "me"), "not a file of this version");
  EXPECT_EQ(reason(good.substr(0, 40), "me"), "not a file of this version");
  for (size_t at = good.find('\n') + 1; at < good.size(); ++at) {
    std::string changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_EQ(reason(changed, "me"), "its hash is wrong") << at;
    EXPECT_EQ(reason(good.substr(0, at), "me"), "its hash is wrong") << at;
  }
  open("you");
  EXPECT_THAT(recall(), IsEmpty());
}

TEST_F(LastGoodTest, AFolderThatIsNotThereIsTold) {
  path_ = (folder_ / "none" / "state").string();
  open();
  testing::LogCapture log;
  accept(said(ResourceType::kClusters, {"a"}));
  loop_.skip(2s);
  EXPECT_TRUE(testing::run_until(loop_, [&] {
    return log.text().find("cannot keep the last good state") != std::string::npos;
  }));
}

}  // namespace
}  // namespace pillion
