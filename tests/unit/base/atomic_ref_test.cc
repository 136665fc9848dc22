#include "proxy/base/atomic_ref.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace pillion {
namespace {

struct Thing : AtomicRefCounted {
  explicit Thing(std::atomic<int>& ends) : ended(ends) {}
  ~Thing() { ++ended; }
  std::atomic<int>& ended;
};

TEST(AtomicRef, EndsItsObjectWithTheLastHolder) {
  std::atomic<int> ended{0};
  {
    AtomicRef<Thing> a = make_atomic_ref<Thing>(ended);
    AtomicRef<const Thing> b = a;
    EXPECT_EQ(b.get(), a.get());
    a = nullptr;
    EXPECT_TRUE(a == nullptr);
    AtomicRef<const Thing> c = std::move(b);
    EXPECT_TRUE(b == nullptr);  // NOLINT: it says so
    const AtomicRef<const Thing>& same = c;
    c = same;
    EXPECT_EQ(ended, 0);
    c = make_atomic_ref<Thing>(ended);
    EXPECT_EQ(ended, 1);
  }
  EXPECT_EQ(ended, 2);
}

TEST(AtomicRef, IsCountedByManyThreads) {
  std::atomic<int> ended{0};
  AtomicRef<Thing> thing = make_atomic_ref<Thing>(ended);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([mine = thing] {
      for (int i = 0; i < 5000; ++i) {
        const AtomicRef<const Thing> copy = mine;
        const AtomicRef<const Thing> another = copy;
      }
    });
  }
  thing = nullptr;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ended, 1) << "the closures of the threads were its last holders";
}

}  // namespace
}  // namespace pillion
