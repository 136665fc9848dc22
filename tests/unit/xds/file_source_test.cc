#include "xds/file_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "proxy/base/str.h"
#include "tests/support/run_until.h"

namespace pillion::xds {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FileSourceTest : public ::testing::Test, protected SourceObserver {
 protected:
  FileSourceTest() {
    std::string name = (fs::temp_directory_path() / "pillion_source_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ / "cds.yaml";
  }
  ~FileSourceTest() override {
    source_.reset();
    BackgroundQueue::wait_for_all();
    fs::remove_all(folder_);
  }

  void start(ResourceType type = ResourceType::kClusters) {
    SourceObserver& observer = *this;
    source_ = std::make_unique<FileSource>(loop_, type, path_.string(), observer);
    source_->start();
  }
  void write(std::string_view version, std::initializer_list<std::string_view> names) {
    std::string text = str("version_info: v", version, "\nresources:\n");
    for (const std::string_view name : names)
      text +=
          str("- { \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: ", name,
              " }\n");
    // As a careful writer does.
    const fs::path next = folder_ / "next";
    std::ofstream(next, std::ios::trunc) << text;
    fs::rename(next, path_);
  }
  std::vector<std::string> await_names(size_t responses) {
    EXPECT_TRUE(testing::run_until(loop_, [&] { return responses_.size() >= responses; }));
    std::vector<std::string> names;
    if (responses_.empty()) return names;
    for (const Resource& resource : responses_.back().resources) names.push_back(resource.name);
    return names;
  }

  void on_resources(Response&& response) override { responses_.push_back(std::move(response)); }
  void on_fetch_timeout(ResourceType, const std::set<std::string>& names) override {
    ++timeouts_;
    late_ = names;
  }
  void on_connected(bool, std::string_view, std::string_view) override {}

  io::Loop loop_;
  fs::path folder_, path_;
  std::unique_ptr<FileSource> source_;
  std::vector<Response> responses_;
  int timeouts_ = 0;
  std::set<std::string> late_;
};

TEST_F(FileSourceTest, TellsAllThatIsInTheFileAndEachChange) {
  write("1", {"a", "b"});
  start();
  source_->subscribe_all(ResourceType::kClusters, 15s);
  EXPECT_THAT(await_names(1), ElementsAre("a", "b"));
  source_->accept(ResourceType::kClusters);
  EXPECT_EQ(source_->version(ResourceType::kClusters), "v1");
  write("2", {"b"});
  EXPECT_THAT(await_names(2), ElementsAre("b"));
  source_->reject(ResourceType::kClusters, "no");
  EXPECT_EQ(source_->version(ResourceType::kClusters), "v1");
  const SourceCounts& counts = source_->counts(ResourceType::kClusters);
  EXPECT_EQ(counts.success, 1u);
  EXPECT_EQ(counts.rejected, 1u);
  EXPECT_EQ(counts.attempts, 3u);
  EXPECT_EQ(timeouts_, 0);
}

TEST_F(FileSourceTest, TellsTheNextResponseOnlyWhenTheOneBeforeIsAnswered) {
  write("1", {"a"});
  start();
  source_->subscribe_all(ResourceType::kClusters, 0s);
  EXPECT_THAT(await_names(1), ElementsAre("a"));
  write("2", {"b"});
  testing::run_for(loop_, 4 * io::FileWatch::kSettle);
  EXPECT_EQ(responses_.size(), 1u);
  source_->accept(ResourceType::kClusters);
  EXPECT_THAT(await_names(2), ElementsAre("b"));
}

TEST_F(FileSourceTest, TellsOnlyWhatWasAskedForByNameAndAgainWhenMoreIs) {
  write("1", {"a", "b", "c"});
  start();
  source_->subscribe(ResourceType::kClusters, {{"b", 15s}});
  EXPECT_THAT(await_names(1), ElementsAre("b"));
  source_->accept(ResourceType::kClusters);
  source_->subscribe(ResourceType::kClusters, {{"b", 15s}, {"c", 15s}});
  EXPECT_EQ(responses_.size(), 1u) << "never inside of subscribe()";
  EXPECT_THAT(await_names(2), ElementsAre("b", "c"));
}

TEST_F(FileSourceTest, NamesThatTheFileLacksAreToldWhenTheirTimeIsOver) {
  write("1", {"a"});
  start();
  source_->subscribe(ResourceType::kClusters, {{"a", 50ms}, {"x", 50ms}, {"y", 0s}});
  EXPECT_THAT(await_names(1), ElementsAre("a"));
  source_->answered(ResourceType::kClusters, "a");
  source_->accept(ResourceType::kClusters);
  EXPECT_TRUE(testing::run_until(loop_, [&] { return timeouts_ == 1; }));
  EXPECT_THAT(late_, ElementsAre("x"));
}

TEST_F(FileSourceTest, WaitsForAFileAndForItsDirectory) {
  path_ = folder_ / "later" / "cds.yaml";
  start();
  source_->subscribe_all(ResourceType::kClusters, 10ms);
  EXPECT_TRUE(testing::run_until(loop_, [&] { return timeouts_ == 1; }));
  EXPECT_THAT(late_, IsEmpty());
  EXPECT_EQ(source_->counts(ResourceType::kClusters).failure, 1u);
  EXPECT_FALSE(source_->is_connected());
  fs::create_directory(path_.parent_path());
  write("1", {"a"});
  EXPECT_THAT(await_names(1), ElementsAre("a"));
  EXPECT_TRUE(source_->is_connected());
}

TEST_F(FileSourceTest, WhatIsWrongWithTheFileIsToldOnceAndTheNextGoodOneIsTaken) {
  std::ofstream(path_) << "resources: 3\n";
  start();
  source_->subscribe_all(ResourceType::kClusters, 15s);
  EXPECT_THAT(await_names(1), IsEmpty());
  EXPECT_THAT(responses_.back().wrong, HasSubstr("cds.yaml:1:12: resources: expected a list"));
  source_->reject(ResourceType::kClusters, responses_.back().wrong);
  write("1", {"a"});
  EXPECT_THAT(await_names(2), ElementsAre("a"));
}

TEST_F(FileSourceTest, AFileThatGoesLeavesWhatItSaid) {
  write("1", {"a"});
  start();
  source_->subscribe_all(ResourceType::kClusters, 15s);
  EXPECT_THAT(await_names(1), ElementsAre("a"));
  source_->accept(ResourceType::kClusters);
  fs::remove(path_);
  EXPECT_TRUE(testing::run_until(
      loop_, [&] { return source_->counts(ResourceType::kClusters).failure == 1; }));
  EXPECT_EQ(responses_.size(), 1u);
  EXPECT_FALSE(source_->is_connected());
}

TEST_F(FileSourceTest, NothingComesAfterStop) {
  write("1", {"a"});
  start();
  source_->subscribe_all(ResourceType::kClusters, 10ms);
  source_->stop();
  testing::run_for(loop_, 100ms);
  EXPECT_THAT(responses_, IsEmpty());
  EXPECT_EQ(timeouts_, 0);
}

TEST_F(FileSourceTest, EndsWhileItsFileIsReadAndMayBeginAgain) {
  std::string text = "resources:\n";
  for (int i = 0; i < 20'000; ++i)
    text += str("- { \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: c", i,
                " }\n");
  std::ofstream(path_) << text;
  start();
  source_->subscribe_all(ResourceType::kClusters, 15s);
  source_->stop();
  write("1", {"a"});
  source_->start();
  EXPECT_THAT(await_names(1), ElementsAre("a")) << "of the former reader nothing is taken";
  start();  // another; the first one ends
  source_.reset();
}

}  // namespace
}  // namespace pillion::xds
