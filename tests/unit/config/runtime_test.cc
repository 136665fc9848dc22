#include "proxy/config/runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/config/value_hash.h"

namespace pillion::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Runtime runtime_of(std::string_view yaml) {
  Errors errors;
  const DocumentPtr document = load_text(yaml, "layer", errors);
  Runtime runtime(parse_runtime_values(document->root(errors)));
  EXPECT_TRUE(errors.ok()) << errors.to_string();
  return runtime;
}

// A document whose parser finds that runtime.
struct Parsed {
  Parsed(std::string_view text, const Runtime& runtime) : document(load_text(text, "f", errors)) {
    errors.use(runtime);
  }
  Node operator[](std::string_view key) { return document->root(errors)[key]; }
  std::string warnings() const { return errors.to_string(Severity::kWarning); }

  Errors errors;
  DocumentPtr document;
};

TEST(Runtime, ReadsValuesOfALayerAsWhatTheyAre) {
  const Runtime r = runtime_of(
      "{ a: 5, b: 0.5, c: 'true', d: False, e: word, f: { numerator: 3, denominator: MILLION },\n"
      "  g: { h: { i: 7 } }, j: '12', k: -1 }");
  EXPECT_EQ(r.find("a")->unsigned_number(), 5u);
  EXPECT_EQ(r.find("b")->number, 0.5);
  EXPECT_EQ(r.find("b")->unsigned_number(), std::nullopt);
  EXPECT_EQ(r.find("c")->boolean, true);
  EXPECT_EQ(r.find("d")->boolean, false);
  EXPECT_EQ(r.find("e")->text, "word");
  EXPECT_EQ(r.find("e")->number, std::nullopt);
  EXPECT_EQ(r.find("f")->fraction, (Fraction{3, 1'000'000}));
  EXPECT_EQ(r.find("g.h.i")->unsigned_number(), 7u);
  EXPECT_EQ(r.find("g"), nullptr);
  EXPECT_EQ(r.find("j")->unsigned_number(), 12u);
  EXPECT_EQ(r.find("k")->unsigned_number(), std::nullopt);
  EXPECT_TRUE(r.has_any("g."));
  EXPECT_FALSE(r.has_any("z"));
}

TEST(Runtime, RefusesListsAndWhatIsNestedWithoutAnEnd) {
  std::string deep = "1";
  for (int i = 0; i < 40; ++i) deep = str("{ a: ", deep, " }");
  for (const std::string& text : {std::string("{ a: [ 1 ] }"), deep}) {
    Errors errors;
    const DocumentPtr document = load_text(text, "layer", errors);
    (void)parse_runtime_values(document->root(errors));
    EXPECT_FALSE(errors.ok()) << text;
  }
}

TEST(Runtime, TellsWhatHasChanged) {
  const Runtime before = runtime_of("{ a: 1, b: 2, c: 3 }");
  const Runtime after = runtime_of("{ b: 2, c: 4, d: 5 }");
  EXPECT_THAT(after.changes_from(before), ElementsAre("a", "c", "d"));
  EXPECT_THAT(after.changes_from(after), IsEmpty());
}

constexpr std::string_view kFields = R"(
u: { default_value: 7, runtime_key: k.u }
d: { default_value: 0.5, runtime_key: k.d }
b: { default_value: true, runtime_key: k.b }
f: { default_value: { numerator: 1, denominator: MILLION }, runtime_key: k.f }
)";

TEST(Runtime, FieldsGiveWayToTheValuesOfTheirKeys) {
  const Runtime r = runtime_of("{ k: { u: 8, d: 1.5, b: false, f: 30 } }");
  Parsed p(kFields, r);
  EXPECT_EQ(p["u"].as_runtime_u32_or(0), 8u);
  EXPECT_EQ(p["d"].as_runtime_double_or(0), 1.5);
  EXPECT_FALSE(p["b"].as_runtime_bool_or(true));
  EXPECT_EQ(p["f"].as_fraction(), (Fraction{30, 100}));
  EXPECT_THAT(p.errors.runtime_keys(), ElementsAre("k.b", "k.d", "k.f", "k.u"));
  p.document->root(p.errors).reject_unknown_keys();
  EXPECT_THAT(p.errors.unfinished(), IsEmpty());
  EXPECT_EQ(p.errors.unusable_runtime_values(), 0u);
}

TEST(Runtime, WithoutAValueTheDefaultHoldsAndTheKeyIsRemembered) {
  const Runtime none;
  Parsed p(kFields, none);
  EXPECT_EQ(p["u"].as_runtime_u32_or(0), 7u);
  EXPECT_EQ(p["d"].as_runtime_double_or(0), 0.5);
  EXPECT_TRUE(p["b"].as_runtime_bool_or(false));
  EXPECT_EQ(p["f"].as_fraction(), (Fraction{1, 1'000'000}));
  EXPECT_THAT(p.errors.take_runtime_keys(), ElementsAre("k.b", "k.d", "k.f", "k.u"));
  EXPECT_THAT(p.errors.take_runtime_keys(), IsEmpty());
}

TEST(Runtime, AValueOfAnotherKindIsCountedAndTheDefaultHolds) {
  const Runtime r = runtime_of("{ k: { u: many, d: -2, b: 1, f: 0.5 } }");
  Parsed p(kFields, r);
  EXPECT_EQ(p["u"].as_runtime_u32_or(0), 7u);
  EXPECT_EQ(p["d"].as_runtime_double_or(0), 0.5);
  EXPECT_TRUE(p["b"].as_runtime_bool_or(false));
  EXPECT_EQ(p["f"].as_fraction(), (Fraction{1, 1'000'000}));
  EXPECT_TRUE(p.errors.ok());
  EXPECT_EQ(p.errors.unusable_runtime_values(), 4u);
  EXPECT_THAT(p.warnings(), HasSubstr("the runtime's value of \"k.u\" does not count"));
}

TEST(Runtime, SharesAboveAHundredAreAll) {
  const Runtime r = runtime_of("{ k: { f: 250 } }");
  Parsed p(kFields, r);
  EXPECT_EQ(p["f"].as_fraction(), (Fraction{100, 100}));
}

TEST(Runtime, TheHashOfAPieceDependsOnTheValuesOfItsKeys) {
  const auto hash = [](const Runtime& runtime, std::string_view field) {
    Parsed p(kFields, runtime);
    (void)p["u"].as_runtime_u32_or(0);
    return hash_value(p[field]);
  };
  const Runtime none;
  const Runtime one = runtime_of("{ k: { u: 8 } }");
  const Runtime other = runtime_of("{ k: { u: 9 } }");
  EXPECT_NE(hash(none, "u"), hash(one, "u"));
  EXPECT_NE(hash(one, "u"), hash(other, "u"));
  EXPECT_EQ(hash(one, "u"), hash(runtime_of("{ k: { u: 8 }, more: 1 }"), "u"));
  EXPECT_EQ(hash(none, "d"), hash(one, "d")) << "what names no such key stays what it is";
}

// Of an empty one 0 % would be made, and a guard were off.
TEST(RuntimeFraction, NeedsADefaultWhereItIsAMapping) {
  const auto read = [](std::string_view yaml, std::string& messages) {
    Errors errors;
    const auto document = load_text(yaml, "t", errors);
    const Fraction got = document->root(errors)["f"].as_runtime_fraction_or({7, 100});
    messages = errors.to_string();
    return got.numerator;
  };
  std::string messages;
  EXPECT_EQ(read("g: 1", messages), 7u) << "missing";
  EXPECT_EQ(messages, "");
  EXPECT_EQ(read("f: 5%", messages), 5u);
  EXPECT_EQ(read("f: { default_value: {} }", messages), 0u) << "which says so";
  EXPECT_EQ(messages, "");
  for (const std::string_view bad : {"f: {}", "f: { runtime_key: k }", "f: { numerator: 1 }"}) {
    EXPECT_EQ(read(bad, messages), 7u) << bad;
    EXPECT_NE(messages.find("f.default_value: required field is missing"), std::string::npos)
        << bad;
  }
}

TEST(RuntimeFeatureFlag, NeedsADefault) {
  Errors errors;
  const auto document = load_text("f: {}", "t", errors);
  (void)document->root(errors)["f"].as_runtime_bool_or(false);
  EXPECT_NE(errors.to_string().find("f.default_value: required field is missing"),
            std::string::npos);
}

}  // namespace
}  // namespace pillion::config
