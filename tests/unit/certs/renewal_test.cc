#include "certs/renewal.h"

#include <gtest/gtest.h>

#include "tests/support/run_until.h"

namespace pillion::certs {
namespace {

using namespace std::chrono_literals;

constexpr WallTime at(Duration since) { return WallTime(since); }

TEST(Renewal, ComesAtHalfOfTheLifeOrALittleBefore) {
  Rng rng(1);
  Duration least = 1000h, most{};
  for (int i = 0; i < 1000; ++i) {
    const Duration wait = until_renewal(at(1000h), at(1000h), at(1024h), rng);
    least = std::min(least, wait);
    most = std::max(most, wait);
  }
  EXPECT_GE(least, 12h - 144min);
  EXPECT_LE(most, 12h);
  EXPECT_GT(most - least, 100min) << "no jitter";
}

TEST(Renewal, IsNotPutOffForWhatIsHalfOver) {
  Rng rng(1);
  EXPECT_EQ(until_renewal(at(1020h), at(1000h), at(1024h), rng), kSoonest);
  EXPECT_EQ(until_renewal(at(2000h), at(1000h), at(1024h), rng), kSoonest);
  EXPECT_EQ(until_renewal(at(1000h), at(1024h), at(1000h), rng), kSoonest);
}

TEST(Renewal, BacksOffWithFullJitter) {
  Rng rng(1);
  const Backoff backoff{500ms, 30s};
  const Duration limits[] = {500ms, 1s, 2s, 4s, 8s, 16s, 30s, 30s};
  for (uint32_t failures = 1; failures <= 8; ++failures) {
    Duration most{};
    for (int i = 0; i < 1000; ++i) most = std::max(most, until_retry(backoff, failures, rng));
    EXPECT_LE(most, limits[failures - 1]) << failures;
    EXPECT_GE(most, limits[failures - 1] * 9 / 10) << failures;
  }
}

struct Task final : RenewalTask {
  void on_renewal_due() override { ++due; }
  int due = 0;
};

TEST(Renewal, AsksAgainAfterAFailureAndAtItsTime) {
  io::Loop loop;
  Rng rng(1);
  Task task;
  Renewal renewal(loop, rng, task, {100ms, 1s});
  renewal.failed();
  renewal.failed();
  EXPECT_EQ(renewal.failures(), 2u);
  loop.skip(300ms);
  EXPECT_TRUE(testing::run_until(loop, [&] { return task.due == 1; }));
  const WallTime now = wall_now();
  renewal.succeeded(now, now, now + 24h);
  EXPECT_EQ(renewal.failures(), 0u);
  loop.skip(9h);
  loop.run_once(false);
  EXPECT_EQ(task.due, 1);
  loop.skip(4h);
  EXPECT_TRUE(testing::run_until(loop, [&] { return task.due == 2; }));
}

// A machine without a battery begins in 1970, and learns the time later.
TEST(Renewal, ComesSoonAfterTheWallClockHasJumped) {
  io::Loop loop;
  Rng rng(1);
  Task task;
  WallTime wall = at(1h);
  Renewal renewal(loop, rng, task, {}, [&] { return wall; });
  renewal.succeeded(wall, wall, at(20000h));
  loop.skip(20min);
  loop.run_once(false);
  EXPECT_EQ(task.due, 0);
  wall = at(19999h);
  loop.skip(kLongestSleep);
  EXPECT_TRUE(testing::run_until(loop, [&] { return task.due == 1; }));
  // Back: no later than it was to be.
  renewal.succeeded(wall, wall, wall + 10h);
  wall = at(1h);
  loop.skip(5h);
  EXPECT_TRUE(testing::run_until(loop, [&] { return task.due == 2; }));
}

}  // namespace
}  // namespace pillion::certs
