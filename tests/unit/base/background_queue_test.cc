// Who posts never waits: not for a job, not for the job before, not for the end of a thread.
#include "proxy/base/background_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace pillion {
namespace {

using ::testing::ElementsAre;

TEST(BackgroundQueue, RunsJobsInTheirOrderAndOneAtATime) {
  BackgroundQueue queue;
  std::vector<int> order;  // of one thread after the other
  std::atomic<int> at_once{0};
  std::promise<void> last;
  for (int i = 0; i < 3; ++i) {
    queue.post([&, i](const std::stop_token&) {
      EXPECT_EQ(++at_once, 1);
      order.push_back(i);
      --at_once;
      if (i == 2) last.set_value();
    });
  }
  last.get_future().wait();
  EXPECT_THAT(order, ElementsAre(0, 1, 2));
}

TEST(BackgroundQueue, BeginsAgainAfterItHasRunEmpty) {
  BackgroundQueue queue;
  int runs = 0;
  for (int i = 0; i < 3; ++i) {
    queue.post([&](const std::stop_token&) { ++runs; });
    queue.wait();
    EXPECT_EQ(runs, i + 1);
  }
}

TEST(BackgroundQueue, PostDoesNotWaitForTheJobThatRuns) {
  BackgroundQueue queue;
  std::promise<void> may_go_on;
  int runs = 0;
  queue.post([&](const std::stop_token&) { may_go_on.get_future().wait(); });
  queue.post([&](const std::stop_token&) { ++runs; });
  may_go_on.set_value();  // a post() that waited would never come here
  queue.wait();
  EXPECT_EQ(runs, 1);
}

TEST(BackgroundQueue, StopTellsTheJobThatRunsAndDropsTheOthers) {
  BackgroundQueue queue;
  std::promise<void> runs;
  bool was_told = false;
  bool has_run = false;
  queue.post([&](const std::stop_token& stop) {
    runs.set_value();
    while (!stop.stop_requested()) std::this_thread::yield();
    was_told = true;
  });
  const auto kept = std::make_shared<int>();
  queue.post([&has_run, kept](const std::stop_token&) { has_run = true; });
  runs.get_future().wait();
  queue.stop();
  EXPECT_EQ(kept.use_count(), 1) << "what a dropped job holds is free at once";
  queue.post([&has_run](const std::stop_token&) { has_run = true; });
  queue.wait();
  EXPECT_TRUE(was_told);
  EXPECT_FALSE(has_run);
}

TEST(BackgroundQueue, AJobMayOutliveItsQueueAndIsWaitedForAsLongAsOneLikes) {
  std::promise<void> has_begun;
  const auto may_end = std::make_shared<std::promise<void>>();
  const auto has_ended = std::make_shared<std::atomic<bool>>(false);
  {
    BackgroundQueue queue;
    queue.post([&has_begun, may_end, has_ended](const std::stop_token&) {
      has_begun.set_value();
      may_end->get_future().wait();
      *has_ended = true;
    });
    has_begun.get_future().wait();
  }
  EXPECT_FALSE(*has_ended);
  EXPECT_FALSE(BackgroundQueue::wait_for_all(Duration(1)));
  may_end->set_value();
  EXPECT_TRUE(BackgroundQueue::wait_for_all(std::chrono::minutes(1)));
  EXPECT_TRUE(*has_ended);
}

// From here on the system gives this process no thread, as in a pod that has used up its pids.
void forbid_threads() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_NPROC, &none);
  if (getuid() == 0 && setuid(65534) != 0) std::_Exit(9);
}

TEST(BackgroundQueueDeathTest, WithoutThreadsItsJobsRunOnTheReserve) {
  const auto life = [] {
    BackgroundQueue::keep_reserve();
    forbid_threads();
    std::atomic<int> runs{0};
    BackgroundQueue one, other;
    for (BackgroundQueue* queue : {&one, &other, &one})
      queue->post([&runs](const std::stop_token&) { ++runs; });
    one.wait();
    other.wait();
    BackgroundQueue::wait_for_all();
    std::_Exit(runs);
  };
  EXPECT_EXIT(life(), ::testing::ExitedWithCode(3), "");
}

TEST(BackgroundQueueDeathTest, WithoutThreadsAndReserveTheyRunAtOnce) {
  const auto life = [] {
    forbid_threads();
    int runs = 0;
    BackgroundQueue queue;
    for (int i = 1; i <= 3; ++i) {
      queue.post([&runs](const std::stop_token&) { ++runs; });
      if (runs != i) std::_Exit(9);
    }
    queue.wait();
    BackgroundQueue::wait_for_all();
    std::_Exit(runs);
  };
  EXPECT_EXIT(life(), ::testing::ExitedWithCode(3), "");
}

}  // namespace
}  // namespace pillion
