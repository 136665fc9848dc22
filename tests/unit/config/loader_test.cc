#include "proxy/config/loader.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <fstream>

#include "proxy/config/node.h"
#include "tests/unit/config/cases.h"

namespace pillion::config {
namespace {

std::string messages(std::string_view text, const LoadLimits& limits = {}) {
  Errors errors;
  (void)load_text(text, "f", errors, limits);
  return errors.to_string();
}

std::string repeated(std::string_view what, size_t times) {
  std::string out;
  out.reserve(what.size() * times);
  for (size_t i = 0; i < times; ++i) out += what;
  return out;
}

TEST(Loader, GivesTheExpectedMessagesForEachBadFile) {
  for (const Case& c : read_cases(case_folder() / "bad/text")) {
    EXPECT_EQ(messages_of(c, [](const std::string& path, Errors& e) { (void)load_file(path, e); }),
              c.expected)
        << c.path;
  }
}

TEST(Loader, KeepsThePlaceOfEveryValueAndKey) {
  Errors errors;
  auto document = load_text("a: 1\nb:\n  - x\n  - { c: d }\n", "f", errors);
  ASSERT_NE(document, nullptr);
  Node b = document->root(errors)["b"];
  EXPECT_EQ(b.where().place(), "f:3:3");
  EXPECT_EQ(b.key_where().place(), "f:2:1");
  Node c = (*++b.items().begin())["c"];
  EXPECT_EQ(c.where().place(), "f:4:10");
  EXPECT_EQ(c.key_where().place(), "f:4:7");
  EXPECT_EQ(c.path(), "b[1].c");
}

TEST(Loader, ReadsJsonWithTabsAndEscapes) {
  Errors errors;
  auto document = load_text(
      "{\n\t\"a\": {\"b\":[1,\t2],\"c\":\"x\\/\\u00e9\\n\"},\n\t\"d\":true\n}\n", "f.json", errors);
  ASSERT_NE(document, nullptr) << errors.to_string();
  Node root = document->root(errors);
  EXPECT_EQ(root["a"]["b"].size(), 2U);
  EXPECT_EQ(root["a"]["c"].as_string(), "x/\xc3\xa9\n");
  EXPECT_TRUE(root["d"].as_bool());
  EXPECT_EQ(errors.to_string(), "");
}

TEST(Loader, KnowsQuotedFromPlain) {
  Errors errors;
  auto document = load_text("a: true\nb: \"true\"\nc: !!str true\nd: |\n  true\n", "f", errors);
  ASSERT_NE(document, nullptr) << errors.to_string();
  Node root = document->root(errors);
  EXPECT_FALSE(root["a"].is_quoted());
  for (const char* key : {"b", "c", "d"}) EXPECT_TRUE(root[key].is_quoted()) << key;
}

TEST(Loader, CopiesAliasesAndKeepsTheirPlaces) {
  Errors errors;
  auto document = load_text("a: &x { k: 7 }\nb: *x\nc: [*x]\n", "f", errors);
  ASSERT_NE(document, nullptr) << errors.to_string();
  Node k = document->root(errors)["b"]["k"];
  EXPECT_EQ(k.as_u32(), 7U);
  EXPECT_EQ(k.where().place(), "f:1:12");
  EXPECT_EQ(k.path(), "b.k");
}

TEST(Loader, SaysWhyAFileCannotBeRead) {
  Errors errors;
  EXPECT_EQ(load_file("/nonexistent/x.yaml", errors), nullptr);
  EXPECT_EQ(load_file("/", errors), nullptr);
  EXPECT_EQ(errors.to_string(),
            "/nonexistent/x.yaml: cannot open: No such file or directory\n"
            "/: cannot read: Is a directory\n");
}

TEST(Loader, RefusesAFileThatIsOnlySpace) {
  EXPECT_EQ(messages(""), "f: the file is empty\n");
  EXPECT_EQ(messages(" \n\t\r\n"), "f: the file is empty\n");
}

TEST(Loader, RefusesEveryMalformedUtf8Sequence) {
  // Overlong, surrogate, beyond U+10FFFF, cut off, stray continuation (RFC 3629).
  for (const char* bytes : {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80",
                            "\xf0\x80\x80\xaf", "\xff", "\xc3("}) {
    EXPECT_TRUE(messages("a: " + std::string(bytes)).starts_with("f:1:4: not valid UTF-8"))
        << bytes;
  }
  EXPECT_EQ(messages("a: \xf0\x9f\x98\x80 \xe2\x82\xac\n"), "");
}

TEST(Loader, SurvivesNestingOf200000) {
  LoadLimits limits;
  limits.max_line_bytes = size_t{4} << 20;
  const std::pair<const char*, const char*> kPairs[] = {{"[", "]"}, {"{a: ", "}"}, {"[{a: ", "}]"}};
  for (const auto& [opening, closing] : kPairs) {
    const std::string open = "a: " + repeated(opening, 200'000);
    const std::string said = messages(open + "x" + repeated(closing, 200'000), limits);
    EXPECT_NE(said.find("nested deeper than 200"), std::string::npos) << opening << said;
    EXPECT_NE(messages(open, limits), "") << opening;
  }
  for (const char* opening : {"- ", "? "}) {
    const std::string said = messages(repeated(opening, 200'000) + "x\n");
    EXPECT_NE(said.find(opening[0] == '-' ? "nested deeper than 200" : "a key must be text"),
              std::string::npos)
        << said;
  }
}

TEST(Loader, CountsAliasesTowardsDepth) {
  std::string text = "a0: &a0 [x]\n";
  for (int i = 1; i < 300; ++i) {
    const std::string n = std::to_string(i);
    text += "a" + n + ": &a" + n + " [*a" + std::to_string(i - 1) + "]\n";
  }
  EXPECT_NE(messages(text).find("nested deeper than 200 levels"), std::string::npos);
}

TEST(Loader, BoundsBytesLinesAndValues) {
  LoadLimits limits;
  limits.max_bytes = size_t{1} << 20;
  limits.max_line_bytes = 1000;
  limits.max_values = 100;
  EXPECT_EQ(messages(repeated("#\n", (size_t{1} << 19) + 1), limits), "f: longer than 1 MiB\n");
  EXPECT_EQ(messages("a: " + std::string(2000, 'x'), limits),
            "f:1:1002: line longer than 1000 bytes\n");
  EXPECT_EQ(messages("a:\n" + repeated("- x\n", 200), limits), "f:100:3: more than 100 values\n");
}

TEST(Loader, EndsATwoMillionLineFileInBoundedTimeAndMemory) {
  std::string text = "a:\n";
  for (int i = 0; i < 2'000'000; ++i) text += "  - v\n";
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(messages(text), "f:2000000:5: more than 2000000 values\n");
  // 1.5 s and 230 MiB in a release build; the bounds leave room for sanitizers and a busy machine.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 1024 * 1024) << "KiB";
}

TEST(Loader, FindsTheDuplicateInALargeMappingInTime) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "k" + std::to_string(i) + ": v\n";
  EXPECT_EQ(messages(text + "k77: again\n"),
            "f:200001:1: k77: duplicate key, first written at 78:1\n");
}

TEST(Loader, ReportsMoreThanOneThing) {
  EXPECT_EQ(messages("a: 1\na: 2\nb: !x y\n<<: {}\n"),
            "f:2:1: a: duplicate key, first written at 1:1\n"
            "f:3:4: tag \"!x\" is not supported\n"
            "f:4:1: merge keys (<<) are not supported: repeat the fields, or use an alias for a "
            "whole value\n");
}

TEST(Loader, RefusesWhatTheLibraryMisreads) {
  EXPECT_EQ(messages("a: \"x\\N\"\n"),
            "f:1:4: the escapes \\N and \\_ are not supported: write \\u0085 and \\u00a0\n");
  EXPECT_EQ(messages("a: \"x\\u0085\\u00a0\"\n"), "");
  EXPECT_EQ(messages("a: >+\n  x\n\n"),
            "f:1:4: folded text that keeps its line ends (>+) is not supported: use |+\n");
  EXPECT_EQ(messages("a: '\n\n  '\n"),
            "f:1:4: quoted text that ends in empty lines is not supported: write \\n\n");
  EXPECT_EQ(messages("a: \"x\n\n\n  \"\n"),
            "f:1:4: quoted text that ends in empty lines is not supported: write \\n\n");
  EXPECT_EQ(messages("a: ''\nb: \"\"\nc: >-\n  +\nd: |+\n\n"), "");
}

TEST(Loader, NoticesAQuoteThatNeverCloses) {
  EXPECT_EQ(messages("a: |\n  echo it's\nb: &x >-\n  \"open\n"), "");
  EXPECT_EQ(messages("a: \"\n"), "f:1:4: a quote is never closed\n");
  EXPECT_EQ(messages("a: \"x\n"), "f:1:4: a quote is never closed\n");
  EXPECT_EQ(messages("a: 'it''s\n"), "f:1:4: a quote is never closed\n");
  EXPECT_EQ(messages("a: 'it''s'\n"), "");
  EXPECT_EQ(messages("a: \"x\\\"\n"), "f:1:4: a quote is never closed\n");
  EXPECT_EQ(messages("a: \"x\\\\\""), "");
  EXPECT_EQ(messages("a: &anchor \"x\"\nb: *anchor\n"), "");
}

DocumentPtr loaded(std::string_view text, const std::string& source, Errors& errors) {
  return load_text(text, source, errors);
}

TEST(Merge, FollowsProtobuf) {
  Errors errors;
  auto base = loaded("a: 1\nm: { x: 1, y: [1] }\nl: [a]\nk: v\n", "base", errors);
  auto over = loaded("a: 2\nm: { y: [2], z: 3 }\nl: [b]\nk:\nn: new\n", "over", errors);
  auto merged = merge(base, over);
  base.reset();
  over.reset();
  Node root = merged->root(errors);
  EXPECT_EQ(root["a"].as_u32(), 2U) << "scalars replace";
  EXPECT_EQ(root["m"]["x"].as_u32(), 1U) << "messages merge";
  EXPECT_EQ(root["m"]["z"].as_u32(), 3U);
  EXPECT_EQ(root["m"]["y"].size(), 2U) << "lists append";
  EXPECT_EQ(root["l"].size(), 2U);
  EXPECT_EQ(root["k"].as_string(), "v") << "null is absent";
  EXPECT_EQ(root["n"].as_string(), "new");
  EXPECT_EQ(root["m"]["z"].where().place(), "over:2:17");
  EXPECT_EQ(root["m"]["x"].where().place(), "base:2:9");
  EXPECT_EQ(errors.to_string(), "");
}

TEST(Merge, KnowsAFieldInItsOtherSpelling) {
  Errors errors;
  auto merged = merge(loaded("static_resources: { clusters: [a] }", "b", errors),
                      loaded("staticResources: { clusters: [b] }", "o", errors));
  EXPECT_EQ(merged->root(errors)["static_resources"]["clusters"].size(), 2U);
  EXPECT_EQ(errors.to_string(), "");
}

}  // namespace
}  // namespace pillion::config
