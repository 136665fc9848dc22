// What is buried dies on another thread, and much of it leaves the process.
#include "proxy/undertaker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace pillion {
namespace {

using ::testing::Each;
using ::testing::Ne;
using ::testing::SizeIs;

// Tells on which thread it died.
struct Mortal {
  explicit Mortal(std::vector<std::thread::id>& where) : died(where) {}
  Mortal(const Mortal&) = delete;
  Mortal& operator=(const Mortal&) = delete;
  ~Mortal() { died.push_back(std::this_thread::get_id()); }
  std::vector<std::thread::id>& died;
};

// An initializer list would keep copies until bury() has returned.
template <typename... Pieces>
Undertaker::Dead dead(Pieces... pieces) {
  Undertaker::Dead all;
  (all.push_back(std::move(pieces)), ...);
  return all;
}

TEST(Undertaker, FreesOnAnotherThreadAndTellsWhenAllIsFree) {
  std::vector<std::thread::id> died;
  std::promise<size_t> free_by_then;
  Undertaker undertaker([&] { free_by_then.set_value(died.size()); });
  undertaker.bury(dead(std::make_shared<Mortal>(died), std::make_shared<Mortal>(died)));
  EXPECT_EQ(free_by_then.get_future().get(), 2u);
  EXPECT_THAT(died, Each(Ne(std::this_thread::get_id())));
}

TEST(Undertaker, BuryDoesNotWaitForThePieceThatIsBeingFreed) {
  std::promise<void> may_end;
  std::promise<void> runs;
  std::vector<std::thread::id> died;
  Undertaker undertaker([] {});
  const auto slow = [&](const void*) {
    runs.set_value();
    may_end.get_future().wait();
  };
  undertaker.bury(dead(std::shared_ptr<const void>(&may_end, slow)));
  runs.get_future().wait();
  undertaker.bury(dead(std::make_shared<Mortal>(died)));
  may_end.set_value();  // a bury() that waited would never come here
  undertaker.stop();
  EXPECT_THAT(died, SizeIs(1));
}

TEST(Undertaker, WhatIsLeftAtTheEndIsFreedByWhoEndsIt) {
  std::promise<void> runs;
  std::atomic<bool> other_is_free{false};
  std::thread::id where;
  bool told = false;
  Undertaker undertaker([&] { told = true; });
  const auto other = [&](const void*) {
    where = std::this_thread::get_id();
    other_is_free = true;
  };
  const auto slow = [&](const void*) {
    runs.set_value();
    while (!other_is_free) std::this_thread::yield();
  };
  // The last one is taken first.
  undertaker.bury(
      dead(std::shared_ptr<const void>(&where, other), std::shared_ptr<const void>(&runs, slow)));
  runs.get_future().wait();
  undertaker.stop();
  EXPECT_EQ(where, std::this_thread::get_id());
  EXPECT_FALSE(told);
}

TEST(Undertaker, GivesMemoryBackAfterMuchWasFreedAndNotAfterLittle) {
  std::atomic<int> buried{0};
  Undertaker undertaker([&] { ++buried; });
  undertaker.bury(dead(std::make_shared<int>(1)));
  while (buried == 0) std::this_thread::yield();
  EXPECT_EQ(undertaker.trims(), 0u);
  // How much that has to be depends on the machine.  The thread counts when it has nothing left.
  for (int round = 0; undertaker.trims() == 0; ++round) {
    ASSERT_LT(round, 1000);
    const int before = buried;
    auto much = std::make_shared<std::list<std::string>>();
    for (int i = 0; i < 100'000; ++i) much->emplace_back(100, 'x');
    undertaker.bury(dead(std::move(much)));
    while (buried == before) std::this_thread::yield();
  }
  undertaker.stop();
}

}  // namespace
}  // namespace pillion
