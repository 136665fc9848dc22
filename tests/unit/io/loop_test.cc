#include "proxy/io/loop.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <thread>

#include "proxy/io/inbox.h"
#include "tests/support/run_until.h"

namespace pillion::io {
namespace {

using namespace std::chrono_literals;

struct Task final : ReadyTask {
  explicit Task(std::function<void()> f) : fn(std::move(f)) {}
  void run_ready() override { fn(); }
  std::function<void()> fn;
};

struct Corpse final : Deferred {
  explicit Corpse(std::function<void()> f) : at_death(std::move(f)) {}
  ~Corpse() override { at_death(); }
  std::function<void()> at_death;
};

TEST(Loop, RunsReadyTasksOnceAndInOrder) {
  Loop loop;
  std::string order;
  Task a([&] { order += 'a'; });
  Task b([&] {
    order += 'b';
    loop.post(a);  // work made by work belongs to the same turn
  });
  loop.post(a);
  loop.post(b);
  loop.post(a);
  loop.run_once(false);
  EXPECT_EQ(order, "aba");
  {
    Task gone([&] { order += 'x'; });
    loop.post(gone);
  }
  loop.run_once(false);
  EXPECT_EQ(order, "aba") << "a task that dies unlinks itself";
}

struct Bell {
  void ring() { ++rung; }
  int rung = 0;
};

TEST(Loop, SkippedTimePassesAtOnceAndLaterDeadlinesKeepTheirDistance) {
  Loop loop;
  Bell bell;
  Timer timer = Timer::of<&Bell::ring>(&bell);
  loop.arm(timer, 60s);
  loop.skip(59s);
  EXPECT_EQ(bell.rung, 0);
  loop.skip(2s);
  EXPECT_EQ(bell.rung, 1);
  loop.arm(timer, 20ms);
  const Instant begin = MonotonicClock::now();
  EXPECT_TRUE(testing::run_until(loop, [&] { return bell.rung == 2; }));
  EXPECT_LT(MonotonicClock::now() - begin, 5s);
}

TEST(Loop, StarvesNobodyByATaskThatPostsItself) {
  Loop loop;
  int runs = 0;
  Task greedy([&] {
    ++runs;
    loop.post(greedy);
  });
  loop.post(greedy);
  bool fired = false;
  struct Alarm {
    void ring() { *fired = true; }
    bool* fired;
  } alarm{&fired};
  Timer timer = Timer::of<&Alarm::ring>(&alarm);
  loop.arm(timer, 20ms);
  const Instant limit = MonotonicClock::now() + 5s;
  // Waiting turns: the loop may not sleep while work is left.
  while (!fired && MonotonicClock::now() < limit) loop.run_once(true);
  EXPECT_TRUE(fired);
  EXPECT_GT(runs, 2000) << "more than one turn's budget";
}

TEST(Loop, DestroysClosedObjectsAtTheEndOfTheTurn) {
  Loop loop;
  std::string order;
  Task task([&] {
    loop.delete_later(new Corpse([&] {
      order += "first ";
      // What a destructor gives up dies in the same turn.
      loop.delete_later(new Corpse([&] { order += "second "; }));
    }));
    order += "alive ";
  });
  loop.post(task);
  loop.run_once(false);
  EXPECT_EQ(order, "alive first second ");
}

TEST(Loop, DestroysWhatIsLeftWhenItEnds) {
  bool dead = false;
  {
    Loop loop;
    loop.delete_later(new Corpse([&] { dead = true; }));
    EXPECT_FALSE(dead);
  }
  EXPECT_TRUE(dead);
}

TEST(Loop, FiresTimersNeverEarlyAndWakesOnceForEach) {
  Loop loop;
  struct Alarm {
    void ring() { rang_at = MonotonicClock::now(); }
    Instant rang_at{};
  } alarm;
  Timer timer = Timer::of<&Alarm::ring>(&alarm);
  for (const Duration delay : {Duration(1ns), Duration(7ms), Duration(33'300us), Duration(90ms)}) {
    alarm.rang_at = {};
    loop.run_once(false);  // a fresh clock
    loop.arm(timer, delay);
    const Instant deadline = timer.deadline();
    const uint64_t before = loop.counts.turns;
    while (alarm.rang_at == Instant{}) loop.run_once(true);
    EXPECT_GE(alarm.rang_at, deadline);
    EXPECT_LE(alarm.rang_at, deadline + 200ms) << "a slot, and what a busy machine adds";
    // run_once(true) is one wait: a premature wake-up would show as further turns.
    EXPECT_LE(loop.counts.turns - before, 4U) << to_millis(delay);
  }
}

TEST(Loop, ReadsTheClockOnceATurn) {
  Loop loop;
  Instant first{}, second{};
  Task task([&] {
    first = loop.now();
    const Instant limit = MonotonicClock::now() + 2ms;
    while (MonotonicClock::now() < limit) {
    }
    second = loop.now();
  });
  loop.post(task);
  loop.run_once(false);
  EXPECT_EQ(first, second);
  EXPECT_GT(loop.now(), second);
}

TEST(Loop, StopsFromAnotherThread) {
  Loop loop;
  std::thread other([&] { loop.stop(); });
  loop.run();
  other.join();
}

TEST(Inbox, RunsMessagesOfManyThreadsInOrderOfPosting) {
  Loop loop;
  Inbox inbox(loop);
  constexpr int kThreads = 4;
  constexpr int kMessages = 5000;
  std::vector<std::vector<int>> seen(kThreads);
  const auto here = std::this_thread::get_id();
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kMessages; ++i) {
        inbox.post([&, t, i] {
          EXPECT_EQ(std::this_thread::get_id(), here);
          seen[t].push_back(i);
        });
      }
    });
  }
  const auto all = [&] {
    for (const auto& s : seen) {
      if (s.size() != kMessages) return false;
    }
    return true;
  };
  EXPECT_TRUE(testing::run_until(loop, all));
  for (auto& thread : threads) thread.join();
  for (const auto& s : seen) {
    for (int i = 0; i < static_cast<int>(s.size()); ++i) ASSERT_EQ(s[static_cast<size_t>(i)], i);
  }
}

TEST(Inbox, DestroysWaitingMessagesUnrun) {
  Loop loop;
  auto value = std::make_shared<int>(1);
  bool ran = false;
  {
    Inbox inbox(loop);
    inbox.post([value, &ran] { ran = true; });
    EXPECT_EQ(value.use_count(), 2);
  }
  EXPECT_EQ(value.use_count(), 1);
  loop.run_once(false);
  EXPECT_FALSE(ran);
}

TEST(Inbox, MayBeDestroyedByAMessage) {
  Loop loop;
  auto inbox = std::make_unique<Inbox>(loop);
  bool ran_after = false;
  inbox->post([&] { inbox.reset(); });
  inbox->post([&] { ran_after = true; });
  EXPECT_TRUE(testing::run_until(loop, [&] { return inbox == nullptr; }));
  loop.run_once(false);
  EXPECT_FALSE(ran_after);
}

TEST(Inbox, RunsAMessagePostedByAMessage) {
  Loop loop;
  Inbox inbox(loop);
  int depth = 0;
  std::function<void()> next = [&] {
    if (++depth < 10) inbox.post(next);
  };
  inbox.post(next);
  EXPECT_TRUE(testing::run_until(loop, [&] { return depth == 10; }));
}

}  // namespace
}  // namespace pillion::io
