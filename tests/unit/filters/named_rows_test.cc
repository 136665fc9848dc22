#include "filters/named_rows.h"

#include <gtest/gtest.h>

#include "proxy/base/str.h"

namespace pillion::filters {
namespace {

using Rows = NamedRows<stats::RbacPolicyStats>;

class NamedRowsTest : public ::testing::Test {
 protected:
  stats::RbacPolicyStats& row(std::string_view name) {
    return rows.row(name, now, [this](std::string_view n) {
      ++made;
      return registry.block<stats::RbacPolicyStats>(0, "web", n);
    });
  }
  stats::Registry registry;
  Rows rows;
  Instant now{std::chrono::hours(1)};
  int made = 0;
};

TEST_F(NamedRowsTest, AreMadeOnce) {
  row("a").allowed.inc();
  row("b").allowed.inc();
  row("a").allowed.inc();
  EXPECT_EQ(row("a").allowed.value(), 2u);
  EXPECT_EQ(made, 2);
}

TEST_F(NamedRowsTest, AreAllKeptWhileTheyAreFew) {
  row("first").allowed.inc();
  for (size_t i = 1; i < Rows::kMany; ++i) {
    now += std::chrono::hours(1);
    (void)row(str("n", i));
  }
  EXPECT_EQ(rows.size(), Rows::kMany);
  EXPECT_EQ(row("first").allowed.value(), 1u);
}

// As of a control plane that calls its policies by versions, and pushes them each second.
TEST_F(NamedRowsTest, DoNotAddUpWhereNamesComeAndGo) {
  for (size_t push = 0; push < 10'000; ++push) {
    row("stays").allowed.inc();
    (void)row(str("version-", push));
    now += std::chrono::seconds(1);
  }
  EXPECT_LE(rows.size(), 1300u) << "twice those of ten minutes";
  EXPECT_EQ(row("stays").allowed.value(), 10'000u);
}

TEST_F(NamedRowsTest, InUseAreKeptHoweverManyTheyAre) {
  constexpr size_t kNames = 10 * Rows::kMany;
  for (int round = 1; round <= 3; ++round) {
    for (size_t i = 0; i < kNames; ++i) row(str("n", i)).allowed.inc();
    now += std::chrono::minutes(9);
  }
  made = 0;
  for (size_t i = 0; i < kNames; ++i) (void)row(str("n", i));
  EXPECT_EQ(made, 0);
  EXPECT_EQ(rows.size(), kNames);
}

}  // namespace
}  // namespace pillion::filters
