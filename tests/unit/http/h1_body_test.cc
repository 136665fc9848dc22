#include <gtest/gtest.h>

#include <random>

#include "proxy/http/limits.h"
#include "tests/support/h1_parse.h"

namespace pillion::http {
namespace {

using testing::one_byte;
using testing::read_body;
using testing::ReadBody;
using testing::whole;

ReadBody read_all_ways(const std::string& bytes, Framing framing = Framing::kChunked,
                       uint64_t length = 0) {
  const ReadBody at_once = read_body(bytes, framing, length, whole);
  std::minstd_rand random(bytes.size());
  for (int i = 0; i < 20; ++i) {
    const ReadBody cut =
        i == 0 ? read_body(bytes, framing, length, one_byte)
               : read_body(bytes, framing, length, [&](size_t) { return random() % 29; });
    EXPECT_EQ(cut.failure, at_once.failure) << bytes.substr(0, 80);
    EXPECT_EQ(cut.done, at_once.done) << bytes.substr(0, 80);
    EXPECT_EQ(cut.consumed, at_once.consumed) << bytes.substr(0, 80);
    if (at_once.failure == FailureKind::kNone) {
      EXPECT_EQ(cut.data, at_once.data) << bytes.substr(0, 80);
    }
  }
  return at_once;
}

TEST(H1Body, EndsWhereItsFramingSays) {
  ReadBody b = read_all_ways("hello, world", Framing::kLength, 5);
  EXPECT_EQ(b.data, "hello");
  EXPECT_EQ(b.consumed, 5u);
  EXPECT_TRUE(b.done);
  b = read_all_ways("hell", Framing::kLength, 5);
  EXPECT_FALSE(b.done);
  b = read_all_ways("all of it", Framing::kUntilClose);
  EXPECT_EQ(b.data, "all of it");
  EXPECT_FALSE(b.done);
  EXPECT_TRUE(read_body("x", Framing::kNone, 0, [](size_t) { return 1; }).done);
}

TEST(H1Body, ReadsChunks) {
  struct Case {
    std::string bytes;
    std::string data;
  };
  const Case cases[] = {
      {"5\r\nhello\r\n0\r\n", "hello"},
      {"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n", "abcdef"},
      {"A\r\n0123456789\r\n0\r\n", "0123456789"},
      {"0000000000000a\r\n0123456789\r\n0\r\n", "0123456789"},
      {"5;a=b;c=\"d e\"\r\nhello\r\n0;last\r\n", "hello"},
      {"0\r\n", ""},
      {"00\r\n", ""},
      {"4\r\n\r\n\r\n\r\n0\r\n", "\r\n\r\n"},
  };
  for (const Case& c : cases) {
    // The trailer section that follows is not the reader's.
    const ReadBody b = read_all_ways(c.bytes + "\r\nGET /");
    EXPECT_EQ(b.failure, FailureKind::kNone) << c.bytes;
    EXPECT_TRUE(b.done) << c.bytes;
    EXPECT_EQ(b.data, c.data);
    EXPECT_EQ(b.consumed, c.bytes.size());
  }
}

TEST(H1Body, RefusesMalformedChunks) {
  for (const std::string bytes : {"\r\n",
                                  "x\r\n",
                                  "-1\r\n",
                                  "+1\r\n",
                                  "0x1\r\n",
                                  " 1\r\n",
                                  "1 \r\na\r\n",
                                  "1\na\r\n",
                                  "1\r\r\n",
                                  "1\ra",
                                  ";x\r\n",
                                  "1;\x01\r\n",
                                  "1;a\nb\r\n",
                                  "1\r\nab\r\n",
                                  "1\r\na\n",
                                  "1\r\na\r\r",
                                  "1\r\na0\r\n",
                                  "fffffffffffffffff\r\n",
                                  "1000000000000000\r\n",
                                  "5\r\nhello5\r\n"}) {
    EXPECT_EQ(read_all_ways(bytes).failure, FailureKind::kBadChunk) << bytes;
  }
  EXPECT_EQ(read_all_ways(std::string("1\0\r\n", 4)).failure, FailureKind::kBadChunk);
  EXPECT_EQ(failure_row(FailureKind::kBadChunk).status, 400);
}

TEST(H1Body, OneByteChunksComeOutTogether) {
  std::string bytes;
  std::string expected;
  for (int i = 0; i < 10'000; ++i) {
    const char c = static_cast<char>('a' + i % 26);
    bytes += str("1\r\n", std::string(1, c), "\r\n");
    expected += c;
  }
  const ReadBody b = read_body(bytes + "0\r\n", Framing::kChunked, 0, whole);
  EXPECT_EQ(b.data, expected);
  EXPECT_EQ(b.views, 1u);
}

TEST(H1Body, LargeChunksAreNotMoved) {
  const std::string large(8000, 'x');
  const ReadBody b = read_body(str("1\r\na\r\n1f40\r\n", large, "\r\n2\r\nbc\r\n0\r\n"),
                               Framing::kChunked, 0, whole);
  EXPECT_EQ(b.data, str("a", large, "bc"));
  EXPECT_EQ(b.views, 2u);
}

TEST(H1Body, ChunkExtensionsAreCapped) {
  EXPECT_EQ(read_all_ways("1;" + std::string(kMaxChunkExtension, 'e') + "\r\na\r\n0\r\n").failure,
            FailureKind::kNone);
  EXPECT_EQ(
      read_all_ways("1;" + std::string(kMaxChunkExtension + 1, 'e') + "\r\na\r\n0\r\n").failure,
      FailureKind::kChunkOverhead);
  // Many that are each allowed: more framing than data in the long run.
  std::string bytes;
  for (int i = 0; i < 20; ++i) bytes += "1;" + std::string(1000, 'e') + "\r\na\r\n";
  EXPECT_EQ(read_all_ways(bytes).failure, FailureKind::kChunkOverhead);
  // Data pays for it.
  bytes.clear();
  for (int i = 0; i < 40; ++i)
    bytes += "3e8;" + std::string(1000, 'e') + "\r\n" + std::string(1000, 'd') + "\r\n";
  EXPECT_EQ(read_all_ways(bytes + "0\r\n").failure, FailureKind::kNone);
}

}  // namespace
}  // namespace pillion::http
