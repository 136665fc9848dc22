#include "proxy/control/unknown_fields.h"

#include <gtest/gtest.h>

#include "proxy/base/str.h"
#include "tests/support/log_capture.h"

namespace pillion {
namespace {

TEST(UnknownFieldList, WarnsOfEachNameOnceAndCountsOn) {
  testing::LogCapture log;
  UnknownFieldList list;
  list.add({{"a.B.c", {2, "cds/x: c"}}});
  list.add({{"a.B.c", {3, "cds/y: c"}}, {"a.B.d", {1, "cds/y: d"}}});
  EXPECT_EQ(log.count("a.B.c"), 1u) << log.text();
  EXPECT_EQ(log.count("a.B.d"), 1u) << log.text();
  EXPECT_EQ(list.all().at("a.B.c").count, 5u);
  EXPECT_EQ(list.all().at("a.B.c").example, "cds/x: c");
}

TEST(UnknownFieldList, KeepsAndTellsABoundedNumberOfNames) {
  testing::LogCapture log(log::Level::kCritical);
  UnknownFieldList list;
  for (int i = 0; i < 3000; ++i) list.add({{str("field", i), {1, "x"}}});
  EXPECT_EQ(list.all().size(), config::Errors::kMaxProblems);
}

}  // namespace
}  // namespace pillion
