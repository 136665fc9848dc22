#include "proxy/io/signals.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <thread>
#include <vector>

#include "proxy/io/loop.h"
#include "tests/support/run_until.h"

namespace pillion::io {
namespace {

struct Recorder final : SignalObserver {
  void on_signal(int signal) override {
    seen.push_back(signal);
    thread = std::this_thread::get_id();
  }
  std::vector<int> seen;
  std::thread::id thread;
};

TEST(Signals, ArriveOnTheThreadOfTheLoop) {
  Loop loop;
  Recorder recorder;
  Signals signals(loop, {SIGHUP, SIGUSR1}, recorder);
  std::thread([] { ::kill(::getpid(), SIGUSR1); }).join();
  ASSERT_TRUE(testing::run_until(loop, [&] { return !recorder.seen.empty(); }));
  EXPECT_EQ(recorder.seen, std::vector{SIGUSR1});
  EXPECT_EQ(recorder.thread, std::this_thread::get_id());
  ::raise(SIGHUP);
  ASSERT_TRUE(testing::run_until(loop, [&] { return recorder.seen.size() == 2; }));
  EXPECT_EQ(recorder.seen.back(), SIGHUP);
}

TEST(Signals, MayBeDestroyedWithASignalUnderWay) {
  Loop loop;
  Recorder recorder;
  {
    Signals signals(loop, {SIGUSR1}, recorder);
    ::raise(SIGUSR1);
  }
  loop.run_once(false);
  EXPECT_TRUE(recorder.seen.empty());
}

TEST(Signals, GiveTheDefaultActionBack) {
  Loop loop;
  Recorder recorder;
  const auto handler = [] {
    struct sigaction action{};
    ::sigaction(SIGUSR2, nullptr, &action);
    return action.sa_handler;
  };
  {
    Signals signals(loop, {SIGUSR2}, recorder);
    EXPECT_NE(handler(), SIG_DFL);
  }
  loop.run_once(false);
  EXPECT_EQ(handler(), SIG_DFL);
}

}  // namespace
}  // namespace pillion::io
