#include "proxy/io/turn_watch.h"

#include <gtest/gtest.h>

#include <functional>

#include "proxy/io/loop.h"

namespace pillion::io {
namespace {

using namespace std::chrono_literals;

struct Work final : ReadyTask {
  explicit Work(std::function<void()> f) : fn(std::move(f)) {}
  void run_ready() override { fn(); }
  std::function<void()> fn;
};

void work_for(Duration time) {
  const Instant end = MonotonicClock::now() + time;
  while (MonotonicClock::now() < end) {
  }
}

uint64_t count_of(const stats::Histogram& histogram) {
  uint64_t count = 0;
  for (size_t i = 0; i < stats::Histogram::kBuckets; ++i) count += histogram.bucket(i);
  return count;
}

class Turns : public ::testing::Test {
 protected:
  Turns() { loop.watch_turns(&watch); }

  Loop loop;
  stats::Histogram duration;
  stats::Histogram delay;
  stats::Histogram cpu;
  TurnWatch watch{{duration, delay, cpu}};
};

TEST_F(Turns, AreCountedWithWhatTheyTook) {
  Work work([] { work_for(3ms); });
  loop.post(work);
  loop.run_once(false);
  EXPECT_EQ(count_of(duration), 1u);
  EXPECT_EQ(count_of(cpu), 1u);
  // A thousandth of what is kept is shown: microseconds, kept in nanoseconds.
  EXPECT_GE(duration.sum_micros(), 3'000'000u);
  EXPECT_LE(cpu.sum_micros(), duration.sum_micros()) << "what others had the core for is no work";
}

TEST_F(Turns, DoNotCountTheWaitBetweenThem) {
  struct Bell {
    void ring() {}
  } bell;
  Timer timer = Timer::of<&Bell::ring>(&bell);
  loop.arm(timer, 20ms);
  while (timer.is_armed()) loop.run_once(true);
  EXPECT_LT(cpu.sum_micros(), 20'000'000u);
  EXPECT_GE(count_of(delay), 1u) << "waits with an end";
}

TEST_F(Turns, AreNotWatchedAnyMoreOnceTheWatchIsOver) {
  loop.watch_turns(nullptr);
  loop.run_once(false);
  EXPECT_EQ(count_of(duration), 0u);
}

}  // namespace
}  // namespace pillion::io
