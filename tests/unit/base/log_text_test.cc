#include "proxy/base/log_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <vector>

namespace pillion {
namespace {

std::string escaped(std::string_view text, Escape escape = Escape::kLine) {
  std::string out;
  append_escaped(out, text, escape);
  return out;
}

TEST(LogText, LeavesPrintableTextAlone) {
  const std::string text = "GET /users/7?a=b HTTP/1.1 \"quoted\" \\ ~!";
  EXPECT_EQ(escaped(text), text);
  EXPECT_EQ(escaped(""), "");
}

TEST(LogText, EscapesControlCharactersAtEveryPosition) {
  // The fast path looks at eight bytes at once: no position may slip through.
  for (size_t at = 0; at < 20; ++at) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      std::string text(20, 'x');
      text[at] = static_cast<char>(byte);
      const bool plain = byte >= 0x20 && byte < 0x7f;
      EXPECT_EQ(escaped(text) == text, plain) << "byte " << byte << " at " << at;
    }
  }
}

TEST(LogText, WritesTheUsualEscapes) {
  EXPECT_EQ(escaped("a\nb\rc\td\x1b[31m\x7f"), "a\\nb\\rc\\td\\x1b[31m\\x7f");
}

TEST(LogText, KeepsUtf8ButNeitherC1ControlsNorBrokenSequences) {
  EXPECT_EQ(escaped("caf\xc3\xa9 \xe2\x82\xac"), "caf\xc3\xa9 \xe2\x82\xac");
  EXPECT_EQ(escaped("\xc2\x9b"), "\\xc2\\x9b") << "CSI as one character";
  EXPECT_EQ(escaped("\xff\xc3"), "\\xff\\xc3");
}

TEST(LogText, LeavesOpaqueBytesOfHeaderValuesAlone) {
  EXPECT_EQ(escaped("\xe9t\xe9\r\n", Escape::kControls), "\xe9t\xe9\\r\\n");
}

TEST(LogText, CopiesUpToTheFirstByteThatIsNotPrintable) {
  // Every length, with a bad byte at every place: words overlap differently in each.  Buffers of
  // exactly that size let AddressSanitizer see a byte too many.
  for (size_t size = 0; size <= 40; ++size) {
    const std::vector<char> good(size, 'x');
    for (size_t at = 0; at <= size; ++at) {
      for (const char bad : {'\0', '\x1f', '\x7f', '\x80', '\xff'}) {
        std::vector<char> from = good;
        if (at < size) from[at] = bad;
        std::vector<char> to(size);
        ASSERT_EQ(copy_printable(to.data(), {from.data(), size}), at) << size;
        ASSERT_TRUE(std::equal(good.begin(), good.begin() + static_cast<ptrdiff_t>(at), to.begin()))
            << size << " " << at;
      }
    }
  }
  char all[95];
  char to[95];
  std::iota(std::begin(all), std::end(all), ' ');
  EXPECT_EQ(copy_printable(to, {all, sizeof all}), sizeof all);
}

}  // namespace
}  // namespace pillion
