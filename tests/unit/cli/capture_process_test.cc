#include "proxy/cli/capture_process.h"

#include <gtest/gtest.h>

namespace pillion::cli {
namespace {

TEST(CaptureProcess, FindsAProgramByName) {
  EXPECT_TRUE(find_program("sh").ends_with("/sh"));
  EXPECT_EQ(find_program("no-program-of-this-name"), "");
}

TEST(CaptureProcess, GivesTheInputAndCollectsBothOutputs) {
  auto outcome = run_program({find_program("sh"), "-c", "cat; echo wrong >&2; exit 3"}, "rules\n");
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->exit_code, 3);
  EXPECT_EQ(outcome->output, "rules\nwrong\n");
}

TEST(CaptureProcess, MovesMoreThanAPipeHolds) {
  std::string much(1 << 20, 'x');
  auto outcome = run_program({find_program("cat")}, much);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->output, much);
}

TEST(CaptureProcess, ReportsTheSignalThatEndedIt) {
  auto outcome = run_program({find_program("sh"), "-c", "kill -9 $$"}, "");
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->exit_code, 128 + 9);
}

TEST(CaptureProcess, AProgramThatCannotStartIsAnError) {
  EXPECT_EQ(run_program({"/no/such/program"}, "").error(),
            "/no/such/program: No such file or directory");
}

}  // namespace
}  // namespace pillion::cli
