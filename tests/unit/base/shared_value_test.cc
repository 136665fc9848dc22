#include "proxy/base/shared_value.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/unit/base/many_holders.h"

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

TEST(SharedValues, AreMadeAndEndedByManyThreads) {
  testing::make_and_end_by_many_threads<Value>([](const Value& value) { return *value; });
}

}  // namespace
}  // namespace pillion
