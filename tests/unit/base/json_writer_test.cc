#include "proxy/base/json_writer.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "proxy/base/utf8.h"

namespace pillion {
namespace {

TEST(JsonWriter, WritesNestedValuesWithOneSpacePerLevel) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("name", "a").key("list").begin_array();
  json.value(1).value(-2).value(true).null();
  json.begin_object().end_object().end_array();
  json.key("big").value_as_string(18446744073709551615u).end_object();
  EXPECT_EQ(out,
            "{\n \"name\": \"a\",\n \"list\": [\n  1,\n  -2,\n  true,\n  null,\n  {}\n ],\n"
            " \"big\": \"18446744073709551615\"\n}");
}

TEST(JsonWriter, WritesCompactly) {
  std::string out;
  JsonWriter json(out, JsonWriter::Style::kCompact);
  json.begin_array().value(1.5).begin_object().field("a", "b").end_object().end_array();
  EXPECT_EQ(out, "[1.5,{\"a\":\"b\"}]");
}

TEST(JsonWriter, WritesNullForNumbersThatJsonLacks) {
  std::string out;
  JsonWriter(out).value(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(out, "null");
}

TEST(JsonWriter, EscapesWhatWouldEndAStringOrForgeALine) {
  std::string out;
  append_json_string(out, std::string_view("a\"b\\c\nd\r\t\x01\x7f\0", 12));
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\nd\\r\\t\\u0001\\u007f\\u0000\"");
}

TEST(JsonWriter, ReplacesBytesThatAreNoUtf8) {
  std::string out;
  append_json_string(out, "\xc3\xa9\xff\xc3");
  EXPECT_EQ(out, "\"\xc3\xa9\\ufffd\\ufffd\"");
}

TEST(Utf8, KnowsWellFormedSequences) {
  EXPECT_EQ(utf8_length("a"), 1u);
  EXPECT_EQ(utf8_length("\xc3\xa9"), 2u);
  EXPECT_EQ(utf8_length("\xe2\x82\xac"), 3u);
  EXPECT_EQ(utf8_length("\xf0\x9f\x98\x80"), 4u);
  EXPECT_EQ(utf8_length("\xc0\xaf"), 0u) << "overlong slash";
  EXPECT_EQ(utf8_length("\xe0\x80\xaf"), 0u) << "overlong slash";
  EXPECT_EQ(utf8_length("\xed\xa0\x80"), 0u) << "surrogate";
  EXPECT_EQ(utf8_length("\xf4\x90\x80\x80"), 0u) << "beyond U+10FFFF";
  EXPECT_EQ(utf8_length("\xe2\x82"), 0u) << "cut off";
  EXPECT_EQ(utf8_length("\x80"), 0u) << "continuation";
}

}  // namespace
}  // namespace pillion
