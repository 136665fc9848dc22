#include "proxy/base/failure.h"

#include <gtest/gtest.h>

#include <set>

namespace pillion {
namespace {

constexpr int kKinds = static_cast<int>(FailureKind::kInternal) + 1;

TEST(Failure, IsNoneUnlessSaidOtherwise) {
  EXPECT_FALSE(Failure());
  EXPECT_TRUE(Failure{FailureKind::kNoRoute});
  EXPECT_EQ(Failure{FailureKind::kNoRoute}.row().status, 404);
}

TEST(Failure, EachKindHasARowOfItsOwn) {
  std::set<std::string_view> names;
  for (int kind = 0; kind < kKinds; ++kind)
    names.insert(failure_row(static_cast<FailureKind>(kind)).name);
  EXPECT_EQ(names.size(), static_cast<size_t>(kKinds));
}

TEST(Failure, RowsAreConsistent) {
  for (int kind = 1; kind < kKinds; ++kind) {
    const FailureRow& row = failure_row(static_cast<FailureKind>(kind));
    EXPECT_TRUE(row.status == 0 || (row.status >= 400 && row.status <= 599)) << row.name;
    EXPECT_FALSE(row.details.empty()) << row.name;
    EXPECT_EQ(row.details.find(' '), std::string_view::npos)
        << row.name << ": details are one word";
    // What the client is to blame for is never tried again; what was never sent always may be.
    if (row.side == FailureSide::downstream) {
      EXPECT_EQ(row.retry, RetryClass::never) << row.name;
    }
  }
}

}  // namespace
}  // namespace pillion
