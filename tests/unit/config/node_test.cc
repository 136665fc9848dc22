#include "proxy/config/node.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "proxy/config/loader.h"

namespace pillion::config {
namespace {

using namespace std::chrono_literals;

// A document, and the errors that reading it gave.
struct Parsed {
  explicit Parsed(std::string_view text, UnknownFields unknown = UnknownFields::kError)
      : errors(unknown), document(load_text(text, "f.yaml", errors)) {}
  Node root() { return document->root(errors); }
  Node operator[](std::string_view key) { return root()[key]; }
  std::string messages() const { return errors.to_string(); }

  Errors errors;
  DocumentPtr document;
};

TEST(Node, ReadsScalarsOfEveryType) {
  Parsed p(
      "s: text\nb: true\nn: 8080\nd: 1.5s\never: 9223372036s\nf: 0.25\nz: 64KiB\np: 20%\nq: "
      "\"8080\"\n");
  EXPECT_EQ(p["s"].as_string(), "text");
  EXPECT_TRUE(p["b"].as_bool());
  EXPECT_EQ(p["n"].as_u32(1, 65535), 8080U);
  EXPECT_EQ(p["d"].as_duration(), 1500ms);
  EXPECT_EQ(p["ever"].as_duration(), 87600h) << "now + 10 times that can still be told";
  EXPECT_DOUBLE_EQ(p["f"].as_double(), 0.25);
  EXPECT_EQ(p["z"].as_size(), 65536U);
  EXPECT_DOUBLE_EQ(p["p"].as_percent(), 20.0);
  EXPECT_EQ(p["q"].as_u64(), 8080U) << "a quoted number is legal in proto3 JSON";
  p.root().reject_unknown_keys();
  EXPECT_EQ(p.messages(), "");
}

TEST(Node, NamesPlacePathExpectationAndFinding) {
  Parsed p("inbound:\n  listen: { port: 70000 }\n");
  EXPECT_EQ(p["inbound"]["listen"]["port"].as_u32(1, 65535), 1U);
  EXPECT_EQ(p.messages(), "f.yaml:2:19: inbound.listen.port: expected 1-65535, got 70000\n");
}

TEST(Node, ReportsAllErrorsSortedByPlace) {
  Parsed p("a: x\nb: 5\nc: [1]\n");
  (void)p["c"].as_string();
  (void)p["b"].as_duration();
  (void)p["a"].as_u32();
  EXPECT_EQ(p.messages(),
            "f.yaml:1:4: a: expected a whole number of 0-4294967295, got x\n"
            "f.yaml:2:4: b: expected a duration with a unit, such as 5s, got 5\n"
            "f.yaml:3:4: c: expected a string, got a list\n");
}

TEST(Node, PlacesAMissingFieldAtItsParent) {
  Parsed p("a:\n  b: { c: 1 }\n");
  EXPECT_EQ(p["a"]["b"]["d"].as_string(), "");
  EXPECT_EQ(p["a"]["x"]["y"].as_u32_or(7), 7U) << "a missing parent's fields are missing";
  EXPECT_EQ(p.messages(), "f.yaml:2:6: a.b.d: required field is missing (expected a string)\n");
}

TEST(Node, TreatsNullAsAbsent) {
  Parsed p("a:\nb: null\nc: \"null\"\n");
  EXPECT_FALSE(p.root().has("a"));
  EXPECT_EQ(p["b"].as_string_or("default"), "default");
  EXPECT_EQ(p["c"].as_string(), "null");
  EXPECT_EQ(p["a"].items().size(), 0U);
  EXPECT_EQ(p.messages(), "");
}

TEST(Node, GivesBooleansWrittenAsWordsAHint) {
  Parsed p("a: yes\nb: Off\nc: \"true\"\nd: 2\n");
  for (const char* key : {"a", "b", "c", "d"}) (void)p[key].as_bool();
  EXPECT_EQ(p.messages(),
            "f.yaml:1:4: a: expected true or false, got yes (did you mean true?)\n"
            "f.yaml:2:4: b: expected true or false, got Off (did you mean false?)\n"
            "f.yaml:3:4: c: expected true or false, got \"true\" (without quotes)\n"
            "f.yaml:4:4: d: expected true or false, got 2\n");
}

TEST(Node, RefusesNumbersThatAreAmbiguousOrDoNotFit) {
  Parsed p("a: 010\nb: -1\nc: 99999999999999999999\nd: 1e3\ne: 1.5\n");
  (void)p["a"].as_u32();
  (void)p["b"].as_u32(0, 9);
  (void)p["c"].as_u64();
  EXPECT_EQ(p["d"].as_u32(), 1000U);
  (void)p["e"].as_u32(0, 9);
  EXPECT_EQ(
      p.messages(),
      "f.yaml:1:4: a: expected a whole number without leading zeros of 0-4294967295, got 010\n"
      "f.yaml:2:4: b: expected a whole number of 0-9, got -1\n"
      "f.yaml:3:4: c: expected a whole number of 0-18446744073709551615, got "
      "99999999999999999999\n"
      "f.yaml:5:4: e: expected a whole number of 0-9, got 1.5\n");
}

TEST(Node, ReportsUnknownFieldsWithTheNearestKnownOne) {
  Parsed p("conect_timeout: 1s\nname: x\nzzz: 1\n");
  (void)p["connect_timeout"].as_duration_or(5s);
  (void)p["name"].as_string();
  p.root().reject_unknown_keys();
  EXPECT_EQ(p.messages(),
            "f.yaml:1:1: conect_timeout: unknown field (did you mean \"connect_timeout\"?)\n"
            "f.yaml:3:1: zzz: unknown field\n");
}

TEST(Node, ReportsEveryFieldOfAMessageThatHasNone) {
  Parsed p("router: { x: 1 }\n");
  p["router"].reject_unknown_keys();
  EXPECT_EQ(p.messages(), "f.yaml:1:11: router.x: unknown field\n");
}

TEST(Node, ToleratesUnknownFieldsWhenToldToButCountsThem) {
  Parsed p("new_thing: 1\nlb_subset_config: {}\nrules: { mystery: 1 }\n", UnknownFields::kWarn);
  p["rules"].reject_unknown_keys(Unknown::kAlwaysError);
  p.root().unsupported({"lb_subset_config"}, "issue 8");
  p.root().reject_unknown_keys();
  EXPECT_EQ(p.messages(), "f.yaml:3:10: rules.mystery: unknown field\n");
  EXPECT_EQ(p.errors.to_string(Severity::kWarning),
            "f.yaml:1:1: new_thing: warning: unknown field\n"
            "f.yaml:2:1: lb_subset_config: warning: known to Envoy v3 but not supported by Pillion "
            "yet (issue 8)\n");
  EXPECT_EQ(p.errors.unknown_fields().at("new_thing").count, 1U);
}

TEST(Node, RefusesNamesThatNobodyKnowsInWhatWasWrittenByHandAndCountsWhatIsLacking) {
  Parsed p("conect_timeout: 1s\nlbSubsetConfig: {}\nrules: { mystery: 1 }\n",
           UnknownFields::kCount);
  p.errors.refuse_unknown_names();
  (void)p["connect_timeout"].as_duration_or(5s);
  p["rules"].reject_unknown_keys();
  p.root().unsupported({"lb_subset_config"});
  p.root().reject_unknown_keys();
  EXPECT_EQ(p.messages(),
            "f.yaml:1:1: conect_timeout: unknown field (did you mean \"connect_timeout\"?)\n"
            "f.yaml:3:10: rules.mystery: unknown field\n");
  EXPECT_EQ(p.errors.unknown_fields().size(), 1U);
  EXPECT_EQ(p.errors.unknown_fields().at("lbSubsetConfig").count, 1U);
}

TEST(Node, ToleratesNamesThatNobodyKnowsInWhatWasWrittenByHandWhereTheUserSaysSo) {
  for (const UnknownFields policy : {UnknownFields::kWarn, UnknownFields::kCountAnyName}) {
    Parsed p("mystery: 1\n", policy);
    p.errors.refuse_unknown_names();
    p.root().reject_unknown_keys();
    EXPECT_EQ(p.messages(), "");
    EXPECT_EQ(p.errors.unknown_fields().at("mystery").count, 1U);
    EXPECT_EQ(p.errors.warning_count(), policy == UnknownFields::kWarn ? 1U : 0U);
  }
}

TEST(Node, CountsUnknownFieldsUnderOneNameForAllItemsOfAList) {
  Parsed p("{ a: [ { x: 1 }, { x: 2 } ], b: { '10.0': { y: 1 }, 'c d': { y: 2 } } }",
           UnknownFields::kCount);
  for (Node item : p.root()["a"].items()) item.reject_unknown_keys();
  for (Entry entry : p.root()["b"].entries()) entry.node.reject_unknown_keys();
  p.root().reject_unknown_keys();
  ASSERT_EQ(p.errors.unknown_fields().size(), 2U);
  EXPECT_EQ(p.errors.unknown_fields().at("a.x").count, 2U);
  EXPECT_EQ(p.errors.unknown_fields().at("a.x").example, "f.yaml:1:10: a[0].x");
  EXPECT_EQ(p.errors.unknown_fields().at("b.y").count, 2U);
  EXPECT_EQ(p.errors.warning_count(), 0U);
}

TEST(Node, AcceptsCamelCaseAsProto3JsonDoes) {
  Parsed p("connectTimeout: 2s\nacceptHttp10: true\n");
  EXPECT_EQ(p["connect_timeout"].as_duration(), 2s);
  EXPECT_TRUE(p["accept_http_10"].as_bool());
  p.root().reject_unknown_keys();
  EXPECT_EQ(p.messages(), "");
}

TEST(Node, RefusesAFieldInBothSpellings) {
  Parsed p("connect_timeout: 1s\nconnectTimeout: 2s\n");
  EXPECT_EQ(p["connect_timeout"].as_duration(), 1s);
  EXPECT_EQ(p.messages(), "f.yaml:2:17: connectTimeout: the same field as \"connect_timeout\"\n");
}

TEST(Node, ChoosesTheMemberOfAOneof) {
  Parsed p("a: { prefix: / }\nb: { prefix: /, path: /x }\nc: {}\n");
  EXPECT_EQ(p["a"].one_of({"prefix", "path"}).key(), "prefix");
  EXPECT_EQ(p["b"].one_of({"prefix", "path"}).key(), "prefix");
  EXPECT_TRUE(p["c"].one_of({"prefix", "path"}, Need::kAtMostOne).is_missing());
  EXPECT_TRUE(p["c"].one_of({"prefix", "path"}).is_missing());
  EXPECT_EQ(p.messages(),
            "f.yaml:2:23: b.path: only one of prefix and path may be given\n"
            "f.yaml:3:4: c: expected one of prefix, path\n");
}

enum class Policy { kRoundRobin = 0, kLeastRequest = 1, kRingHash = 2 };
constexpr std::array<EnumRow, 3> kPolicies = {
    {{"ROUND_ROBIN", 0}, {"LEAST_REQUEST", 1}, {"RING_HASH", 2, "issue 8"}}};

TEST(Node, ReadsEnumsByNameOrNumber) {
  Parsed p("a: LEAST_REQUEST\nb: 1\nc: LEAST_REQEST\nd: RING_HASH\n");
  EXPECT_EQ(p["a"].as_enum<Policy>(kPolicies), Policy::kLeastRequest);
  EXPECT_EQ(p["b"].as_enum<Policy>(kPolicies), Policy::kLeastRequest);
  EXPECT_EQ(p["none"].as_enum_or(Policy::kLeastRequest, kPolicies), Policy::kLeastRequest);
  EXPECT_EQ(p["c"].as_enum<Policy>(kPolicies), Policy::kRoundRobin);
  EXPECT_EQ(p["d"].as_enum_or(Policy::kLeastRequest, kPolicies), Policy::kLeastRequest);
  EXPECT_EQ(p.messages(),
            "f.yaml:3:4: c: expected one of ROUND_ROBIN, LEAST_REQUEST, got LEAST_REQEST (did you "
            "mean LEAST_REQUEST?)\n"
            "f.yaml:4:4: d: RING_HASH is known to Envoy v3 but not supported by Pillion yet (issue "
            "8)\n");
}

TEST(Node, WalksListsAndMaps) {
  Parsed p("l: [a, b]\nm: { x: 1, y: 2 }\nn: 5\n");
  std::string seen;
  for (Node item : p["l"].items()) seen += item.as_string() + item.path() + ' ';
  for (auto [key, node] : p["m"].entries()) seen += std::string(key) + '=' + node.as_string() + ' ';
  EXPECT_EQ(seen, "al[0] bl[1] x=1 y=2 ");
  p["m"].reject_unknown_keys();
  for (Node item : p["n"].items()) ADD_FAILURE() << item.path();
  for (Node item : p["n"].items()) ADD_FAILURE() << item.path();
  EXPECT_EQ(p.messages(), "f.yaml:3:4: n: expected a list, got 5\n") << "once, not per access";
}

TEST(Node, QuotesKeysThatWouldReadAsAPath) {
  Parsed p("m: { envoy.extensions.X: { a: [ { b: x } ] } }\n");
  (void)p["m"]["envoy.extensions.X"]["a"].items();
  for (auto [key, node] : p["m"].entries()) {
    for (Node item : node["a"].items()) (void)item["b"].as_u32(1, 2);
  }
  EXPECT_EQ(
      p.messages(),
      "f.yaml:1:38: m[\"envoy.extensions.X\"].a[0].b: expected a whole number of 1-2, got x\n");
}

TEST(Node, OpensAnyAndTypedStruct) {
  Parsed p(
      "a: { \"@type\": type.googleapis.com/envoy.Router, x: 1 }\n"
      "b: { \"@type\": type.googleapis.com/xds.type.v3.TypedStruct,\n"
      "     type_url: type.googleapis.com/envoy.Router, value: { x: 2 } }\n"
      "c: { x: 1 }\n");
  TypedConfig a = p["a"].typed_config();
  EXPECT_EQ(a.type, "envoy.Router");
  EXPECT_EQ(a.node["x"].as_u32(), 1U);
  a.node.reject_unknown_keys();
  TypedConfig b = p["b"].typed_config();
  EXPECT_EQ(b.type, "envoy.Router");
  EXPECT_EQ(b.node["x"].as_u32(), 2U);
  EXPECT_EQ(p["c"].typed_config().type, "");
  EXPECT_EQ(p["d"].typed_config().type, "");
  EXPECT_EQ(p.messages(),
            "f.yaml:1:1: d: required field is missing (expected a mapping with @type)\n"
            "f.yaml:4:4: c: expected @type, the type URL of the message\n");
}

TEST(Node, ReadsFractionsInAllTheirForms) {
  Parsed p(
      "a: { numerator: 5, denominator: TEN_THOUSAND }\n"
      "b: 0.5%\n"
      "c: { default_value: { numerator: 7 }, runtime_key: x }\n"
      "d: { value: 12.5 }\n");
  EXPECT_EQ(p["a"].as_fraction(), (Fraction{5, 10'000}));
  EXPECT_EQ(p["b"].as_fraction(), (Fraction{50, 10'000}));
  EXPECT_EQ(p["c"].as_fraction(), (Fraction{7, 100}));
  EXPECT_DOUBLE_EQ(p["d"].as_percent(), 12.5);
  EXPECT_EQ(p["none"].as_fraction_or({1, 2}), (Fraction{1, 2}));
  EXPECT_EQ(p.messages(), "");
}

TEST(Node, KeepsThePlaceOfANameForLater) {
  Parsed p("route:\n  cluster: nowhere\n");
  Located<std::string> name = p["route"]["cluster"].located_string();
  p.errors.error(name.where, "unknown cluster \"nowhere\"");
  EXPECT_EQ(p.messages(), "f.yaml:2:12: route.cluster: unknown cluster \"nowhere\"\n");
}

TEST(Node, EscapesAndShortensWhatItQuotes) {
  Parsed p("a: \"x\\ny\"\nb: " + std::string(200, 'k') + "\n");
  (void)p["a"].as_u32(1, 2);
  (void)p["b"].as_bool();
  EXPECT_EQ(p.messages(),
            "f.yaml:1:4: a: expected a whole number of 1-2, got \"x\\x0ay\"\n"
            "f.yaml:2:4: b: expected true or false, got " +
                std::string(60, 'k') + "...\n");
}

TEST(Node, OfNothingReadsAsMissing) {
  Node none;
  EXPECT_EQ(none["a"]["b"].as_u32_or(3), 3U);
  EXPECT_EQ(none["a"].as_string(), "");
  none.error("goes nowhere");
  none.reject_unknown_keys();
  EXPECT_EQ(none.path(), "");
}

TEST(Errors, KnowWhichMappingsAParserForgotToClose) {
  Parsed p("a: { x: 1 }\nb: { y: 1 }\nc: { z: 1 }\n");
  (void)p["a"]["x"].as_u32();
  (void)p["b"]["y"].as_u32();
  p["b"].reject_unknown_keys();
  (void)p["b"]["y"].as_u32();
  (void)p["c"].entries();
  p.root().reject_unknown_keys();
  ASSERT_EQ(p.errors.unfinished().size(), 1U);
  EXPECT_EQ(p.errors.unfinished()[0].path, "a");
}

TEST(Errors, AreBoundedAndSayHowManyMoreThereAre) {
  Errors errors;
  for (uint32_t i = 0; i < Errors::kMaxProblems + 5; ++i)
    errors.error({"f", {i + 1, 1}, {}}, "bad");
  const std::string text = errors.to_string();
  EXPECT_TRUE(text.ends_with("f:1000:1: bad\nand 5 more\n"));
  EXPECT_EQ(errors.error_count(), Errors::kMaxProblems + 5);
}

TEST(Errors, AreNotRepeated) {
  Errors errors;
  for (int i = 0; i < 3; ++i) errors.error({"f", {1, 1}, "a"}, "bad");
  EXPECT_EQ(errors.to_string(), "f:1:1: a: bad\n");
}

TEST(Errors, DropWhatFollowsFromEarlierOnes) {
  const std::pair<const char*, bool> kPaths[] = {{"a.b", true},  {"a.b.c", true}, {"a.b[1]", true},
                                                 {"a", true},    {"", false},     {"a.bc", false},
                                                 {"a.c", false}, {"b", false}};
  for (const auto& [path, is_dropped] : kPaths) {
    Errors errors;
    errors.error({"f", {1, 1}, "a.b"}, "first");
    errors.warn({"f", {1, 1}, "b"}, "only a warning");
    errors.error({"g", {1, 1}, "a.b"}, "counts before the call");
    errors.drop_what_follows();
    errors.error({"f", {2, 1}, path}, "second");
    EXPECT_EQ(errors.error_count(), is_dropped ? 2U : 3U) << path;
    errors.error({"h", {2, 1}, path}, "of another source");
    EXPECT_EQ(errors.error_count(), is_dropped ? 3U : 4U) << path;
  }
}

TEST(Errors, NameAResourceThatHasNoLines) {
  Errors errors;
  errors.error({"lds/inbound", {}, "filter_chains[1]"}, "bad");
  EXPECT_EQ(errors.to_string(), "lds/inbound: filter_chains[1]: bad\n");
}

}  // namespace
}  // namespace pillion::config
