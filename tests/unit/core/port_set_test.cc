#include "proxy/core/port_set.h"

#include <gtest/gtest.h>

namespace pillion::core {
namespace {

TEST(PortSet, IsMadeOfRanges) {
  PortSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_FALSE(set.contains(0));
  set.add(PortSet::range(80, 81));
  set.add(PortSet::range(8000, 9000));
  set.add(PortSet::range(8999, 9001));
  set.add(PortSet::range(5, 5));
  for (const int in : {80, 8000, 8999, 9000}) {
    EXPECT_TRUE(set.contains(static_cast<uint16_t>(in))) << in;
    EXPECT_FALSE(set.complement().contains(static_cast<uint16_t>(in))) << in;
  }
  for (const int out : {0, 5, 79, 81, 7999, 9001, 65535}) {
    EXPECT_FALSE(set.contains(static_cast<uint16_t>(out))) << out;
    EXPECT_TRUE(set.complement().contains(static_cast<uint16_t>(out))) << out;
  }
}

TEST(PortSet, OfAllHasAnEmptyComplement) {
  EXPECT_TRUE(PortSet::all().contains(0));
  EXPECT_TRUE(PortSet::all().contains(65535));
  EXPECT_TRUE(PortSet::all().complement().empty());
  EXPECT_TRUE(PortSet().complement().contains(65535));
}

}  // namespace
}  // namespace pillion::core
