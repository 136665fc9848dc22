#include "proxy/base/shared_value.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace pillion {
namespace {

using Value = SharedValue<std::string>;

TEST(SharedValues, AreOneObjectWhereTheyAreEqual) {
  const size_t before = Value::count();
  {
    const Value a(std::string("eu-west"));
    const Value b(std::string("eu-west"));
    const Value other(std::string("eu-east"));
    EXPECT_EQ(a, b);
    EXPECT_EQ(a.get(), b.get());
    EXPECT_FALSE(a == other);
    EXPECT_EQ(Value::count(), before + 2);
    Value moved = Value(a);
    moved = nullptr;
    EXPECT_TRUE(moved == nullptr);
    EXPECT_EQ(*a, "eu-west");
  }
  EXPECT_EQ(Value::count(), before) << "the last holder's end frees it";
}

// The last holder of a value ends while another thread asks for the same value.
TEST(SharedValues, AreMadeAndEndedByManyThreads) {
  const size_t before = Value::count();
  std::atomic<bool> is_wrong = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&is_wrong] {
      for (int i = 0; i < 5000; ++i) {
        const std::string text(1, static_cast<char>('a' + i % 3));
        const Value mine(text);
        const Value copy = mine;
        if (*copy != text) is_wrong = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(is_wrong);
  EXPECT_EQ(Value::count(), before);
}

}  // namespace
}  // namespace pillion
