#include "proxy/base/ascii.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

namespace pillion {
namespace {

TEST(Ascii, LowersLettersAndNothingElse) {
  EXPECT_EQ(lowered("X-Request-ID [@`]"), "x-request-id [@`]");
  EXPECT_EQ(lowered("\xc3\x84"), "\xc3\x84") << "not ASCII";
  EXPECT_EQ(lowered(""), "");
}

TEST(Ascii, KnowsTheHexDigitsOfBothCases) {
  for (int c = 0; c < 256; ++c) {
    const size_t lower = std::string_view("0123456789abcdef").find(static_cast<char>(c));
    const size_t upper = std::string_view("0123456789ABCDEF").find(static_cast<char>(c));
    const size_t expected = std::min(lower, upper);
    EXPECT_EQ(hex_digit(static_cast<char>(c)),
              expected == std::string_view::npos ? -1 : static_cast<int>(expected))
        << c;
  }
}

TEST(Ascii, ReadsAnEscape) {
  EXPECT_EQ(escaped_byte("%2f"), '/');
  EXPECT_EQ(escaped_byte("%2Fa"), '/');
  EXPECT_EQ(escaped_byte("%ff"), 255);
  EXPECT_EQ(escaped_byte("%00"), 0);
  for (const char* text : {"", "%", "%2", "%2g", "%g2", "2f2", "%%2f", "% 2"})
    EXPECT_EQ(escaped_byte(text), -1) << text;
}

}  // namespace
}  // namespace pillion
