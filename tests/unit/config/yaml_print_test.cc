#include "proxy/config/yaml_print.h"

#include <gtest/gtest.h>

#include "proxy/config/expand.h"
#include "proxy/config/loader.h"
#include "proxy/config/node.h"
#include "tests/unit/config/cases.h"

namespace pillion::config {
namespace {

bool is_same(const Value& a, const Value& b) {
  if (a.kind != b.kind || a.size != b.size || a.scalar() != b.scalar()) return false;
  if ((a.key == nullptr) != (b.key == nullptr)) return false;
  if (a.key != nullptr && a.key->text != b.key->text) return false;
  if (a.kind != Kind::kMapping && a.kind != Kind::kSequence) return true;
  const Value* y = b.first_child;
  for (const Value* x = a.first_child; x != nullptr; x = x->next, y = y->next) {
    if (!is_same(*x, *y)) return false;
  }
  return true;
}

TEST(YamlPrint, GivesBackTheTreeOfEveryGoodFile) {
  for (const Case& c : read_cases(case_folder() / "good")) {
    Errors errors;
    auto document = load_bootstrap(c.path, {}, errors);
    auto again = load_text(print_yaml(*document), "printed", errors);
    ASSERT_NE(again, nullptr) << errors.to_string();
    EXPECT_TRUE(is_same(document->root_value(), again->root_value())) << c.path;
  }
}

TEST(YamlPrint, QuotesWhatWouldReadAsSomethingElse) {
  // What YAML 1.1 or 1.2 takes for a bool, null, number, date or syntax must come back as a string.
  for (const char* text :
       {"true",  "No",         "null",  "~",        "1",   "1.5", "010", "0x1f", "1_000",
        "12:30", "2020-01-01", "1e3",   ".inf",     "",    " x",  "x ",  "a: b", "a #b",
        "- a",   "*x",         "&x",    "%x",       "@x",  "!x",  "{a}", "[a]",  "a\nb",
        "tab\t", "\x01",       "\"q\"", "it's",     "\\",  "|",   ">",   "?",    ":",
        "-",     "---",        "<<",    "\xc3\xa9", "a,b", "y",   "="}) {
    TreeBuilder out("t");
    out.begin_mapping();
    out.key(text).string(text);
    out.key("list").begin_sequence();
    out.string(text);
    out.end();
    out.end();
    auto document = out.finish();
    const std::string printed = print_yaml(*document);
    Errors errors;
    auto again = load_text(printed, "printed", errors);
    ASSERT_NE(again, nullptr) << printed << errors.to_string();
    EXPECT_EQ(errors.to_string(), "") << printed;
    EXPECT_TRUE(is_same(document->root_value(), again->root_value())) << printed;
    if (std::string_view(text) == "No") {
      EXPECT_NE(printed.find("\"No\": \"No\""), printed.npos) << printed;
    }
  }
}

TEST(YamlPrint, KeepsTypedScalarsPlain) {
  TreeBuilder out("t");
  out.begin_mapping();
  out.key("port").number(8080);
  out.key("b").boolean(true);
  out.key("f").plain("-1.5");
  out.key("z").null();
  out.key("e").begin_mapping();
  out.end();
  out.key("l").begin_sequence();
  out.begin_sequence();
  out.number(1);
  out.end();
  out.begin_mapping();
  out.key("a").plain("inbound|app");
  out.end();
  out.end();
  out.end();
  EXPECT_EQ(print_yaml(*out.finish()),
            "port: 8080\nb: true\nf: -1.5\nz: null\ne: {}\nl:\n-\n  - 1\n- a: inbound|app\n");
}

// The text of `a: VALUE` when it was read and printed as it was written.
std::string as_written(const std::string& value) {
  Errors errors;
  const auto document = load_text("a: " + value + "\n", "t", errors);
  if (document == nullptr) return errors.to_string();
  const std::string printed = print_yaml(*document, ScalarStyle::kAsWritten);
  const auto again = load_text(printed, "printed", errors);
  EXPECT_TRUE(again != nullptr && is_same(document->root_value(), again->root_value())) << printed;
  return printed.substr(3);
}

TEST(YamlPrint, LeavesPlainTextPlainAndQuotedTextQuoted) {
  // What these mean depends on who reads them, so that none may change sides.
  for (const char* value :
       {"012", "1_000.5", "-0x1f", "+5", "-.inf", "2001-12-14 21:59:43.10 -5", "yes", "=", "a b",
        "a, b", "x#y", "-x", "?x", ":x", "\xc3\xa9", "a'b\"c", "1e3", "0o17", "12:30:45"}) {
    EXPECT_EQ(as_written(value), std::string(value) + "\n");
    if (std::string_view(value).find('"') != std::string_view::npos) continue;
    EXPECT_EQ(as_written('"' + std::string(value) + '"'), '"' + std::string(value) + "\"\n");
  }
  // Ends of lines in YAML 1.1.
  EXPECT_EQ(as_written("a\xe2\x80\xa8z"), "\"a\\u2028z\"\n");
  EXPECT_EQ(as_written("\"a\\u0085\\nz\""), "\"a\\u0085\\nz\"\n");
  EXPECT_EQ(as_written("'it''s'"), "\"it's\"\n");
  EXPECT_EQ(as_written("~"), "null\n");
}

TEST(YamlPrint, ShowsTextOfSeveralLinesAsALiteralBlock) {
  EXPECT_EQ(as_written("\"x\\ny\""), "|-\n  x\n  y\n");
  EXPECT_EQ(as_written("\"x\\n\\n  y\\n\""), "|\n  x\n\n    y\n");
  EXPECT_EQ(as_written("\"x\\n\\n\""), "|+\n  x\n\n");
  EXPECT_EQ(as_written("|\n  # no comment\n  ---\n"), "|\n  # no comment\n  ---\n");
}

TEST(YamlPrint, QuotesWhatALiteralBlockCannotShow) {
  for (const char* value : {"\"\\nx\"", "\" x\\ny\"", "\"x\\n \\ny\"", "\"x\\n  \"", "\"x\\r\\ny\"",
                            "\"x\\x07\\ny\"", "\"\\n\""}) {
    EXPECT_EQ(as_written(value)[0], '"') << value;
  }
}

}  // namespace
}  // namespace pillion::config
