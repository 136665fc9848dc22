#include "proxy/base/json.h"

#include <gtest/gtest.h>

namespace pillion {
namespace {

TEST(Json, ReadsEachKind) {
  const auto document =
      JsonDocument::parse(R"({"s":"x","n":1.5,"i":-7,"b":true,"z":null,"a":[1,2],"o":{"k":"v"}})");
  ASSERT_TRUE(document) << document.error();
  const Json root = document->root();
  EXPECT_EQ(root["s"].as_string(), "x");
  EXPECT_EQ(root["n"].as_double(), 1.5);
  EXPECT_EQ(root["n"].as_int(), std::nullopt);
  EXPECT_EQ(root["i"].as_int(), -7);
  EXPECT_TRUE(root["b"].as_bool());
  EXPECT_EQ(root["z"].kind(), Json::Kind::kNull);
  ASSERT_EQ(root["a"].items().size(), 2u);
  EXPECT_EQ(root["a"].items()[1].as_int(), 2);
  ASSERT_EQ(root["o"].entries().size(), 1u);
  EXPECT_EQ(root["o"].entries()[0].first, "k");
}

TEST(Json, ReadsWhatIsMissingAsTheDefault) {
  const auto document = JsonDocument::parse(R"({"s":1})");
  ASSERT_TRUE(document);
  const Json root = document->root();
  EXPECT_TRUE(root["none"]["deeper"].is_missing());
  EXPECT_EQ(root["s"].as_string("other"), "other") << "of another kind";
  EXPECT_TRUE(root["s"].items().empty());
  EXPECT_EQ(root["none"].dump(), "null");
}

TEST(Json, SaysWhereATextIsWrong) {
  const auto document = JsonDocument::parse("{\n  \"a\": 1,\n  \"b\" 2\n}");
  ASSERT_FALSE(document);
  EXPECT_EQ(document.error().find("line 3, column"), 0u) << document.error();
  EXPECT_FALSE(JsonDocument::parse(""));
  EXPECT_FALSE(JsonDocument::parse("{} x"));
  EXPECT_FALSE(JsonDocument::parse("\"\xff\""));
}

TEST(Json, RefusesDeepNesting) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(JsonDocument::parse(nested(1000)));
  const auto document = JsonDocument::parse(nested(1001));
  ASSERT_FALSE(document);
  EXPECT_EQ(document.error(), "nested deeper than 1000 levels");
  EXPECT_FALSE(JsonDocument::parse(nested(1'000'000)));
  EXPECT_TRUE(JsonDocument::parse("\"" + std::string(5000, '[') + "\\\"[\""))
      << "brackets in a string";
}

TEST(Json, KnowsTheRangeOfIntegers) {
  const auto document =
      JsonDocument::parse("[9223372036854775807, 9223372036854775808, 1e3, 1e300]");
  ASSERT_TRUE(document);
  const auto items = document->root().items();
  EXPECT_EQ(items[0].as_int(), INT64_MAX);
  EXPECT_EQ(items[1].as_int(), std::nullopt);
  EXPECT_EQ(items[2].as_int(), 1000);
  EXPECT_EQ(items[3].as_int(), std::nullopt);
}

TEST(Json, WritesBackWhatItRead) {
  const auto document = JsonDocument::parse(R"( { "b" : [ 1 , "\n" ] , "a" : {} } )");
  ASSERT_TRUE(document);
  EXPECT_EQ(document->root().dump(), R"({"a":{},"b":[1,"\n"]})");
}

TEST(Json, RefusesAKeyThatComesTwiceWhereThatIsAsked) {
  // Two readers may believe two values.
  using Keys = JsonDocument::Keys;
  const auto error_of = [](std::string_view text) {
    const auto document = JsonDocument::parse(text, 10, Keys::kUnique);
    return document ? std::string() : document.error();
  };
  EXPECT_EQ(error_of(R"({"a":1,"b":{"a":1,"c":[{"a":1},{"a":2}]}})"), "");
  EXPECT_EQ(error_of(R"({"a":1,"a":1})"), "key \"a\" comes twice");
  EXPECT_EQ(error_of(R"({"b":[{"x":{"a":1,"\u0061":2}}]})"), "key \"a\" comes twice");
  EXPECT_EQ(error_of(R"({"a":1,)").substr(0, 6), "line 1");
  EXPECT_TRUE(JsonDocument::parse(R"({"a":1,"a":1})"));
}

}  // namespace
}  // namespace pillion
