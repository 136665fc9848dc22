// What is told of streams to the control plane, and of who takes none.
#include <gmock/gmock.h>

#include "tests/support/log_capture.h"
#include "tests/unit/control/control_plane_fixture.h"

namespace pillion::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kThereIsOne = "there is a stream to the control plane: cluster=";

class ControlPlaneStreams : public ControlPlaneFixture {
 protected:
  // The next try.
  void wait_for_call(size_t number) {
    for (int i = 0; i < 100 && clusters.calls.size() < number; ++i) loop.skip(100ms);
    ASSERT_EQ(clusters.calls.size(), number);
  }

  LogCapture log;
};

TEST_F(ControlPlaneStreams, AreToldOfByTheClusterThatHasTakenThem) {
  std::string bootstrap = ads_bootstrap();
  const std::string_view one = "{ envoy_grpc: { cluster_name: xds } }";
  bootstrap.replace(bootstrap.find(one), one.size(),
                    str(one, ", { envoy_grpc: { cluster_name: second } }"));
  std::string second = static_cluster_json("second");
  second.insert(second.size() - 1, R"(,"http2_protocol_options":{})");
  start(str(bootstrap, "    - ", second, "\n"));
  EXPECT_THAT(control->silent_clusters(), ElementsAre("xds"));
  clusters.last().fail("refused");
  wait_for_call(2);
  EXPECT_THAT(control->silent_clusters(), ElementsAre("second"));
  clusters.last().take();
  EXPECT_THAT(control->silent_clusters(), IsEmpty());
  loop.skip(1100ms);
  EXPECT_THAT(log.text(), HasSubstr(str(kThereIsOne, "second")));
}

TEST_F(ControlPlaneStreams, OfOneTypeHaveAClusterToo) {
  start(typed_bootstrap());
  EXPECT_THAT(control->silent_clusters(), ElementsAre("xds"));
  clusters.last().take();
  loop.skip(1100ms);
  EXPECT_THAT(log.text(), HasSubstr(str(kThereIsOne, "xds")));
}

// A server takes a stream by its SETTINGS, and says "404" or "unimplemented" after that.
TEST_F(ControlPlaneStreams, ThatEndAtOnceAreNotToldOf) {
  start(ads_bootstrap());
  for (size_t i = 1; i <= 3; ++i) {
    wait_for_call(i);
    clusters.last().take();
    clusters.last().trailers("12", "no such method");
  }
  EXPECT_EQ(log.count("no such method"), 3u);
  EXPECT_EQ(log.count(kThereIsOne), 0u);
  wait_for_call(4);
  clusters.last().take();
  loop.skip(1100ms);
  EXPECT_EQ(log.count(kThereIsOne), 1u);
}

}  // namespace
}  // namespace pillion::testing
