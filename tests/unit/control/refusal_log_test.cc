// What the log says of resources that are refused: whose they are, and how often.
#include "proxy/control/refusal_log.h"

#include <gmock/gmock.h>

#include "tests/support/log_capture.h"

namespace pillion::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using Origin = Subscriptions::Origin;
using xds::ResourceType;

class RefusalLogTest : public ::testing::Test {
 protected:
  void refuse(std::string_view reason, Origin origin = Origin::kStream,
              ResourceType type = ResourceType::kClusters) {
    refusals.refused(type, origin, reason, now);
  }

  Instant now{1h};
  LogCapture log;
  RefusalLog refusals;
};

TEST_F(RefusalLogTest, EndsWithTheLastWordOfTheReason) {
  refuse("cds/a: bad\n\n");
  EXPECT_THAT(log.text(),
              AllOf(EndsWith("the control plane sent: type=cds reason=\"cds/a: bad\"\n"),
                    Not(HasSubstr("lines_left_out"))));
}

TEST_F(RefusalLogTest, CutsWhatIsLongAtALineAndSaysHowManyAreLeft) {
  std::string reason;
  for (int i = 0; i < 500; ++i) reason += "cds/a: name: bad\n";
  refuse(reason);
  // 240 lines of 17 bytes are what 4096 hold.
  EXPECT_THAT(log.text(), EndsWith("name: bad\" lines_left_out=260\n"));
  refuse(std::string(5000, 'x') + "\nmore\n");
  EXPECT_THAT(log.text(), EndsWith("x lines_left_out=2\n"));
}

TEST_F(RefusalLogTest, SaysWhoseTheyAre) {
  refuse("a", Origin::kFile);
  EXPECT_THAT(log.text(), HasSubstr("refused a part of what a file holds: type=cds reason=a"));
  refuse("a", Origin::kLastGood);
  EXPECT_THAT(log.text(), HasSubstr("what the last good state holds: "));
}

TEST_F(RefusalLogTest, TellsOfTheSameAgainAfterAMinuteUnlessItIsAFile) {
  for (int i = 0; i < 5; ++i) refuse("cds/a: bad\n");
  EXPECT_EQ(log.count("refused"), 1u) << "the server says it again and again";
  refuse("cds/b: bad\n");
  refuse("cds/b: bad\n", Origin::kStream, ResourceType::kListeners);
  EXPECT_EQ(log.count("refused"), 3u) << "another reason, and another type";
  now += 1min;
  refuse("cds/b: bad\n");
  EXPECT_EQ(log.count("refused"), 4u);
  refusals.accepted(ResourceType::kClusters);
  refuse("cds/b: bad\n");
  EXPECT_EQ(log.count("refused"), 5u) << "it was good in between";
  refuse("cds/b: bad\n", Origin::kFile);
  refuse("cds/b: bad\n", Origin::kFile);
  EXPECT_EQ(log.count("refused"), 7u) << "somebody has written it again";
}

}  // namespace
}  // namespace pillion::testing
