// A build whose result nobody wants ends at the next piece.
#include <gtest/gtest.h>

#include <stop_token>

#include "proxy/base/str.h"
#include "proxy/builder/builder.h"
#include "tests/support/ads_bootstrap.h"

namespace pillion {
namespace {

class CancelledBuild : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.config_yaml = testing::ads_bootstrap();
    job_.previous = run_build(options_, {}, {}).snapshot;
    ASSERT_NE(job_.previous, nullptr);
    job_.cancelled = stop_.get_token();
  }

  Options options_;
  std::stop_source stop_;
  BuildJob job_;
};

TEST_F(CancelledBuild, LooksAtNoFurtherResourceAndHasNoSnapshot) {
  xds::Response& response = job_.responses.emplace_back();
  response.type = xds::ResourceType::kClusters;
  for (int i = 0; i < 3; ++i) {
    xds::Resource& resource = response.resources.emplace_back();
    resource.name = str("c", i);
    resource.bytes = "no cluster";
  }
  EXPECT_NE(run_build(options_, {}, job_).answers.at(0).wrong, "");
  stop_.request_stop();
  const BuildResult built = run_build(options_, {}, job_);
  EXPECT_EQ(built.snapshot, nullptr);
  EXPECT_EQ(built.answers.at(0).wrong, "") << "it was not looked at";
}

TEST_F(CancelledBuild, CompilesNothingMoreOfAFile) {
  job_.reads_files = true;
  options_.config_yaml += "    - { name: bad, type: NONE }\n";
  EXPECT_NE(run_build(options_, {}, job_).messages, "");
  stop_.request_stop();
  const BuildResult built = run_build(options_, {}, job_);
  EXPECT_EQ(built.snapshot, nullptr);
  EXPECT_EQ(built.messages, "");
}

}  // namespace
}  // namespace pillion
