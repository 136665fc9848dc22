#include "proxy/base/protobuf_wire.h"

#include <gtest/gtest.h>

namespace pillion::wire {
namespace {

using namespace std::string_view_literals;

TEST(WireReader, ReadsEachWireTypeAndTellsWhereTheBytesAreNoMessage) {
  // 1: varint 300, 2: fixed64, 3: "abc", 4: fixed32
  const auto bytes =
      "\x08\xac\x02\x11"
      "12345678"
      "\x1a\x03"
      "abc"
      "\x25"
      "1234"sv;
  Reader in(bytes);
  Field field;
  ASSERT_TRUE(in.next(field));
  EXPECT_EQ(field.number, 1U);
  EXPECT_EQ(field.value, 300U);
  ASSERT_TRUE(in.next(field));
  EXPECT_EQ(field.bytes, "12345678");
  EXPECT_FALSE(field.is_bytes);
  ASSERT_TRUE(in.next(field));
  EXPECT_EQ(field.bytes, "abc");
  EXPECT_TRUE(field.is_bytes);
  ASSERT_TRUE(in.next(field));
  EXPECT_EQ(field.bytes, "1234");
  EXPECT_FALSE(in.next(field));
  EXPECT_TRUE(in.is_sound());
}

TEST(WireReader, RefusesWhatIsCutOffOrNoMessage) {
  for (const std::string_view bytes :
       {"\x08"sv, "\x08\xff"sv,
        "\x1a\x05"
        "abc"sv,
        "\x11"
        "1234567"sv,
        "\x25"
        "123"sv,
        "\x00\x01"sv, "\x0b\x0c"sv, "\x0f"sv, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv,
        "\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv}) {
    Reader in(bytes);
    for (Field field; in.next(field);) {
    }
    EXPECT_FALSE(in.is_sound()) << ::testing::PrintToString(std::string(bytes));
  }
}

}  // namespace
}  // namespace pillion::wire
