#include "proxy/core/metadata.h"

#include <gtest/gtest.h>

#include "proxy/base/json.h"
#include "proxy/config/loader.h"
#include "proxy/core/metadata_matcher.h"

namespace pillion::core {
namespace {

using Path = std::vector<std::string>;

class MetadataTest : public ::testing::Test {
 protected:
  MetadataTest() {
    auto document = JsonDocument::parse(
        R"({"sub": "ann", "groups": ["a", "b"], "n": 5, "ok": true, "none": null,
            "deep": {"er": "x"}, "empty": ""})");
    metadata.set(arena, "jwt", "payload", metadata_of(document->root(), arena));
  }
  std::string text(const Path& path) {
    const MetadataValue* value = metadata.find("jwt", path);
    if (value == nullptr) return "(none)";
    std::string out;
    append_text(out, *value);
    return out;
  }
  bool matches(std::string_view yaml) {
    config::Errors errors;
    const config::DocumentPtr document = config::load_text(yaml, "f", errors);
    const MetadataMatcher matcher = parse_metadata_matcher(document->root(errors));
    EXPECT_EQ(errors.to_string(), "") << yaml;
    return matcher.matches(metadata);
  }
  bool value_matches(std::string_view key, std::string_view value) {
    return matches("{ filter: jwt, path: [ { key: payload }, { key: " + std::string(key) +
                   " } ], value: " + std::string(value) + " }");
  }
  std::string errors_of(std::string_view yaml) {
    config::Errors errors;
    const config::DocumentPtr document = config::load_text(yaml, "f", errors);
    (void)parse_metadata_matcher(document->root(errors));
    return errors.to_string();
  }

  Arena arena;
  Metadata metadata;
};

TEST_F(MetadataTest, ValuesAreFoundByTheirPath) {
  EXPECT_EQ(text({"payload", "sub"}), "ann");
  EXPECT_EQ(text({"payload", "deep", "er"}), "x");
  EXPECT_EQ(text({"payload", "groups"}), R"(["a","b"])");
  EXPECT_EQ(text({"payload", "ok"}), "true");
  EXPECT_EQ(text({"payload", "none"}), "null");
  EXPECT_EQ(text({"payload", "nothing"}), "(none)");
  EXPECT_EQ(text({"payload", "sub", "deeper"}), "(none)") << "a text has no members";
  EXPECT_EQ(metadata.find("other", Path{"payload"}), nullptr);
}

TEST_F(MetadataTest, AKeyIsReplacedAndItsNeighboursStay) {
  metadata.set(arena, "jwt", "more", MetadataValue::of(true));
  metadata.set(arena, "jwt", "payload", MetadataValue::of(std::string_view("new")));
  metadata.set(arena, "other", "payload", MetadataValue::of(std::string_view("theirs")));
  EXPECT_EQ(text({"payload"}), "new");
  EXPECT_EQ(text({"more"}), "true");
  EXPECT_EQ(text({}), R"({"payload":"new","more":true})");
}

TEST_F(MetadataTest, EachKindOfMatcherMatchesItsKindOfValueOnly) {
  struct Row {
    std::string_view key, value;
    bool expected;
  };
  constexpr Row kRows[] = {
      {"sub", "{ string_match: { exact: ann } }", true},
      {"sub", "{ string_match: { exact: bob } }", false},
      {"n", "{ string_match: { exact: '5' } }", false},
      {"nothing", "{ string_match: { exact: '' } }", false},
      {"empty", "{ string_match: { exact: '' } }", true},
      {"n", "{ double_match: { exact: 5 } }", true},
      {"n", "{ double_match: { range: { start: 4, end: 6 } } }", true},
      {"n", "{ double_match: { range: { start: 4, end: 5 } } }", false},
      {"sub", "{ double_match: { exact: 0 } }", false},
      {"ok", "{ bool_match: true }", true},
      {"ok", "{ bool_match: false }", false},
      {"none", "{ bool_match: false }", false},
      {"none", "{ null_match: {} }", true},
      {"nothing", "{ null_match: {} }", false},
      {"none", "{ present_match: true }", true},
      {"nothing", "{ present_match: true }", false},
      {"nothing", "{ present_match: false }", false},
      {"sub", "{ present_match: false }", false},
      {"groups", "{ list_match: { one_of: { string_match: { exact: b } } } }", true},
      {"groups", "{ list_match: { one_of: { string_match: { exact: c } } } }", false},
      {"sub", "{ list_match: { one_of: { string_match: { exact: ann } } } }", false},
      {"sub",
       "{ or_match: { value_matchers: [ { string_match: { exact: x } }, { string_match: { "
       "prefix: an } } ] } }",
       true},
  };
  for (const Row& row : kRows)
    EXPECT_EQ(value_matches(row.key, row.value), row.expected) << row.key << ' ' << row.value;
}

TEST_F(MetadataTest, AnInvertedMatcherHoldsForWhatIsMissingToo) {
  EXPECT_TRUE(
      matches("{ filter: a, path: [ { key: b } ], value: { bool_match: true }, invert: true }"));
}

TEST_F(MetadataTest, WhatIsUnknownInAMatcherIsRefused) {
  EXPECT_EQ(errors_of("{ filter: a, path: [ { key: b, index: 1 } ], value: { bool_match: true } }"),
            "f:1:32: path[0].index: unknown field\n");
  EXPECT_NE(errors_of("{ filter: a, path: [], value: { bool_match: true } }"), "");
  EXPECT_NE(errors_of("{ filter: a, path: [ { key: b } ], value: { regex: x } }"), "");
  EXPECT_NE(errors_of("{ filter: a, path: [ { key: b } ] }"), "");
}

}  // namespace
}  // namespace pillion::core
