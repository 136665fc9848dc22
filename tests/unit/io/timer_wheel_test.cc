#include "proxy/io/timer_wheel.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <random>

namespace pillion::io {
namespace {

using namespace std::chrono_literals;
constexpr Instant kStart = Instant(1'000'003ms);

// A wheel with a clock of its own: advances exactly as a loop does, from wake-up to wake-up.
struct Clock {
  TimerWheel wheel{kStart};
  Instant now = kStart;
  int wakeups = 0;

  void pass(Duration duration) {
    const Instant end = now + duration;
    for (;;) {
      const Instant next = wheel.next_wakeup();
      if (next == Instant{} || next > end) break;
      now = std::max(now, next);
      ++wakeups;
      wheel.advance(now);
    }
    now = end;
  }
};

struct Alarm {
  explicit Alarm(Clock& c) : clock(c) {}
  void ring() {
    ++rings;
    rang_at = clock.now;
    if (then) then();
  }
  void arm(Duration delay) { timer.arm(clock.wheel, clock.now + delay); }
  Clock& clock;
  int rings = 0;
  Instant rang_at{};
  std::function<void()> then;
  Timer timer = Timer::of<&Alarm::ring>(this);
};

TEST(TimerWheel, FiresNeverEarlyAndAtMostASlotLate) {
  // Every delay of the first two levels, and around each border of the higher ones.
  std::vector<int64_t> ticks;
  for (int64_t t = 0; t < 4200; ++t) ticks.push_back(t);
  for (const int64_t border : {int64_t{1} << 12, int64_t{1} << 18, int64_t{1} << 24}) {
    for (int64_t t = border - 70; t < border + 70; ++t) ticks.push_back(t);
  }
  for (const Duration offset : {Duration(0), Duration(1), Duration(9'999'999), Duration(5ms)}) {
    Clock clock;
    std::deque<Alarm> alarms;
    std::vector<Instant> deadlines;
    for (const int64_t tick : ticks) {
      alarms.emplace_back(clock).arm(tick * TimerWheel::kSlot + offset);
      deadlines.push_back(alarms.back().timer.deadline());
    }
    clock.pass(48h);
    for (size_t i = 0; i < alarms.size(); ++i) {
      ASSERT_EQ(alarms[i].rings, 1) << ticks[i];
      EXPECT_GE(alarms[i].rang_at, deadlines[i]) << ticks[i];
      EXPECT_LE(alarms[i].rang_at, deadlines[i] + TimerWheel::kSlot) << ticks[i];
    }
  }
}

TEST(TimerWheel, HoldsUnderRandomUse) {
  std::mt19937 random(7);
  const auto upto = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  Clock clock;
  std::deque<Alarm> alarms;
  for (int i = 0; i < 300; ++i) alarms.emplace_back(clock);
  std::vector<Instant> deadline(alarms.size());
  for (size_t i = 0; i < alarms.size(); ++i) {
    alarms[i].then = [&, i] {
      ASSERT_NE(deadline[i], Instant{});
      EXPECT_GE(clock.now, deadline[i]);
      EXPECT_LE(clock.now, deadline[i] + TimerWheel::kSlot);
      deadline[i] = {};
    };
  }
  for (int round = 0; round < 20000; ++round) {
    const size_t i = static_cast<size_t>(upto(static_cast<int64_t>(alarms.size())));
    if (upto(4) == 0) {
      alarms[i].timer.cancel();
      deadline[i] = {};
    } else {
      alarms[i].arm(Duration(upto(int64_t{1} << upto(46))));  // up to 19 hours
      deadline[i] = alarms[i].timer.deadline();
    }
    clock.pass(Duration(upto(int64_t{1} << upto(36))));  // up to 68 s
    for (const Instant d : deadline) {
      ASSERT_TRUE(d == Instant{} || d + TimerWheel::kSlot >= clock.now) << "overdue";
    }
  }
}

TEST(TimerWheel, MovesADeadlineLaterWithoutFiringAndEarlierAtOnce) {
  Clock clock;
  Alarm alarm(clock);
  alarm.arm(100ms);
  alarm.arm(500ms);
  clock.pass(400ms);
  EXPECT_EQ(alarm.rings, 0);
  clock.pass(120ms);
  EXPECT_EQ(alarm.rings, 1);
  alarm.arm(1h);
  EXPECT_FALSE(clock.wheel.needs_rearm() && clock.wheel.next_wakeup() == Instant{});
  alarm.arm(50ms);
  clock.pass(70ms);
  EXPECT_EQ(alarm.rings, 2);
  clock.pass(2h);
  EXPECT_EQ(alarm.rings, 2);
}

TEST(TimerWheel, AsksForAnEarlierWakeUpOnlyWhenNeeded) {
  Clock clock;
  Alarm near(clock), far(clock), sooner(clock);
  near.arm(200ms);
  EXPECT_TRUE(clock.wheel.needs_rearm());
  static_cast<void>(clock.wheel.next_wakeup());
  far.arm(300ms);
  EXPECT_FALSE(clock.wheel.needs_rearm());
  sooner.arm(100ms);
  EXPECT_TRUE(clock.wheel.needs_rearm());
}

TEST(TimerWheel, IsSilentWithoutTimers) {
  Clock clock;
  EXPECT_EQ(clock.wheel.next_wakeup(), Instant{});
  Alarm alarm(clock);
  alarm.arm(10s);
  alarm.timer.cancel();
  EXPECT_EQ(clock.wheel.next_wakeup(), Instant{});
  alarm.arm(1h);
  clock.pass(2h);
  EXPECT_EQ(alarm.rings, 1);
  EXPECT_LE(clock.wakeups, 4) << "one for each level on the way down";
}

TEST(TimerWheel, LetsCallbacksArmCancelAndDestroy) {
  Clock clock;
  Alarm again(clock), cancelled(clock), moved(clock);
  auto destroyed = std::make_unique<Alarm>(clock);
  again.arm(100ms);
  cancelled.arm(100ms);
  moved.arm(100ms);
  destroyed->arm(100ms);
  again.then = [&] {
    cancelled.timer.cancel();
    destroyed.reset();
    moved.arm(1s);
    if (again.rings < 3) again.arm(0ms);
  };
  clock.pass(200ms);
  EXPECT_EQ(again.rings, 3);
  EXPECT_EQ(cancelled.rings, 0);
  EXPECT_EQ(moved.rings, 0);
  clock.pass(1s);
  EXPECT_EQ(moved.rings, 1);
  // Itself.
  auto own = std::make_unique<Alarm>(clock);
  bool rang = false;
  own->then = [&] {
    rang = true;
    std::function<void()> keep = std::move(own->then);  // outlives this call
    own.reset();
  };
  own->arm(10ms);
  clock.pass(1s);
  EXPECT_TRUE(rang);
}

TEST(TimerWheel, CatchesUpAfterALongSleep) {
  // A stopped process or a stalled loop: everything due fires in one go.
  Clock clock;
  std::deque<Alarm> alarms;
  for (int i = 1; i <= 500; ++i) alarms.emplace_back(clock).arm(i * 1s);
  clock.now += 1h;
  clock.wheel.advance(clock.now);
  for (const Alarm& alarm : alarms) EXPECT_EQ(alarm.rings, 1);
  EXPECT_EQ(clock.wheel.next_wakeup(), Instant{});
}

}  // namespace
}  // namespace pillion::io
