#include "proxy/control/cached_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/xds/ads_fixture.h"

namespace pillion {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using xds::ResourceType;

class CachedSourceTest : public ::testing::Test {
 protected:
  static xds::Response kept(ResourceType type, const std::vector<std::string>& names) {
    xds::Response out;
    out.type = type;
    for (const std::string& name : names) {
      out.resources.emplace_back();
      out.resources.back().name = name;
    }
    return out;
  }
  std::vector<std::string> said() {
    // What is due comes in a turn of its own.
    for (int turn = 0; turn < 2; ++turn) loop.run_once(false);
    return std::exchange(seen.lines, {});
  }

  io::Loop loop;
  xds::Recorder seen;
  CachedSource source{loop,
                      {kept(ResourceType::kEndpoints, {"a", "b", "c"}),
                       kept(ResourceType::kVirtualHosts, {"r/a", "r/b"})},
                      seen};
};

TEST_F(CachedSourceTest, SaysWhatItHasOfEachNameOnce) {
  source.subscribe(ResourceType::kEndpoints, {{"a", {}}, {"other", {}}});
  EXPECT_THAT(said(), ElementsAre("eds  a"));
  source.accept(ResourceType::kEndpoints);
  source.change(ResourceType::kEndpoints, {{"a", {}}, {"b", {}}, {"c", {}}}, {"b", "gone"});
  EXPECT_THAT(said(), ElementsAre("eds  b")) << "only what has come";
  source.accept(ResourceType::kEndpoints);
  source.subscribe(ResourceType::kEndpoints, {{"a", {}}, {"b", {}}});
  EXPECT_THAT(said(), IsEmpty());
}

TEST_F(CachedSourceTest, SaysAllVirtualHostsToTheNameForAll) {
  source.subscribe(ResourceType::kVirtualHosts, {{"r/b", {}}});
  EXPECT_THAT(said(), ElementsAre("vhds  r/b"));
  source.accept(ResourceType::kVirtualHosts);
  source.change(ResourceType::kVirtualHosts, {{"*", {}}, {"r/b", {}}}, {"*"});
  EXPECT_THAT(said(), ElementsAre("vhds  r/a"));
  source.accept(ResourceType::kVirtualHosts);
  source.change(ResourceType::kVirtualHosts, {{"*", {}}, {"r/a", {}}}, {"r/a"});
  EXPECT_THAT(said(), IsEmpty());
}

TEST_F(CachedSourceTest, IsSilentOfWhatTheControlPlaneSpeaksOf) {
  source.subscribe(ResourceType::kEndpoints, {{"a", {}}});
  source.forget(ResourceType::kEndpoints);
  EXPECT_THAT(said(), IsEmpty());
}

}  // namespace
}  // namespace pillion
