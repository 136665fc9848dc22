#include "proxy/base/str.h"

#include <gtest/gtest.h>

namespace pillion {
namespace {

TEST(Str, JoinsTextsAndNumbers) {
  EXPECT_EQ(str("port ", 80, " of ", std::string("host"), ": ", true, ' ', 1.5, ' ', int64_t{-7}),
            "port 80 of host: true 1.5 -7");
  EXPECT_EQ(str(), "");
  EXPECT_EQ(str(uint64_t{18446744073709551615ULL}), "18446744073709551615");
}

TEST(Str, ComparesAsciiWithoutCase) {
  EXPECT_TRUE(equals_ignore_case("Content-Length", "content-LENGTH"));
  EXPECT_FALSE(equals_ignore_case("a", "ab"));
  EXPECT_FALSE(equals_ignore_case("@", "`")) << "neighbours of the letters differ";
  EXPECT_FALSE(equals_ignore_case("[", "{"));
  EXPECT_EQ(to_lower('Z'), 'z');
  EXPECT_EQ(to_lower('\xc4'), '\xc4') << "ASCII only";
}

TEST(Str, TrimsSpacesAndTabsOnly) {
  EXPECT_EQ(trim(" \t a b\t "), "a b");
  EXPECT_EQ(trim("\n a"), "\n a");
  EXPECT_EQ(trim(" \t"), "");
}

}  // namespace
}  // namespace pillion
