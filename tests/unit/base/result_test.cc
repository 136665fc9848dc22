#include "proxy/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace pillion {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error{"odd"};
  return n / 2;
}

TEST(Result, HoldsAValueOrAnError) {
  const auto good = half(4);
  ASSERT_TRUE(good);
  EXPECT_TRUE(good.has_value());
  EXPECT_EQ(*good, 2);
  const auto bad = half(3);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error(), "odd");
}

TEST(Result, FallsBackWhenThereIsNoValue) {
  EXPECT_EQ(half(4).value_or(9), 2);
  EXPECT_EQ(half(3).value_or(9), 9);
}

TEST(Result, TellsAnErrorFromAValueOfTheSameType) {
  const Result<std::string> value = std::string("text");
  const Result<std::string> error = Error{"text"};
  EXPECT_TRUE(value);
  EXPECT_FALSE(error);
}

TEST(Result, MovesValuesThatCannotBeCopied) {
  Result<std::unique_ptr<int>> made = std::make_unique<int>(7);
  const std::unique_ptr<int> taken = *std::move(made);
  EXPECT_EQ(*taken, 7);
}

TEST(Result, StatusCarriesNothingOrAReason) {
  const Status<> ok = Ok{};
  EXPECT_TRUE(ok);
  const Status<> failed = Error{"no"};
  EXPECT_EQ(failed.error(), "no");
}

TEST(Result, CarriesErrorsOfAnyType) {
  const Result<int, int> failed = Error{5};
  EXPECT_EQ(failed.error(), 5);
}

TEST(ResultDeathTest, AbortsWhenTheWrongSideIsRead) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH((void)half(3).value(), "assertion failed");
  EXPECT_DEATH((void)half(4).error(), "assertion failed");
}

}  // namespace
}  // namespace pillion
