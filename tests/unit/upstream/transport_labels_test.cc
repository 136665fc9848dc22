// What endpoints say of their transport sockets: as Envoy compares it, and shared where it is
// equal.
#include "proxy/upstream/transport_labels.h"

#include <gtest/gtest.h>

#include "proxy/config/loader.h"

namespace pillion::upstream {
namespace {

LabelSet labels_of(std::string_view yaml) {
  config::Errors errors;
  const auto document = config::load_text(yaml, "labels", errors);
  LabelSet out = parse_labels(document->root(errors));
  EXPECT_TRUE(errors.ok()) << errors.to_string();
  return out;
}

TEST(TransportLabels, KeepValuesInOneForm) {
  EXPECT_EQ(labels_of("{ b: istio, a: true }"), (LabelSet{{"a", "true"}, {"b", "\"istio\""}}));
  EXPECT_EQ(labels_of("{ a: null, b: [ 1, x, {} ] }"),
            (LabelSet{{"a", "null"}, {"b", "[1,\"x\",{}]"}}));
  EXPECT_EQ(labels_of("{ a: { z: 1, b: [], m: 'a\"b' } }"),
            (LabelSet{{"a", R"({"b":[],"m":"a\"b","z":1})"}}));
  EXPECT_TRUE(labels_of("{}").empty());
}

TEST(TransportLabels, TakeEqualValuesForEqual) {
  // All numbers of a Struct are doubles.
  EXPECT_EQ(labels_of("{ a: 1 }"), labels_of("{ a: 1.0 }"));
  EXPECT_EQ(labels_of("{ a: 100 }"), labels_of("{ a: 1e2 }"));
  EXPECT_EQ(labels_of("{ a: 0 }"), labels_of("{ a: -0.0 }"));
  EXPECT_EQ(labels_of("{ a: { x: 1, y: 2 } }"), labels_of("{ a: { y: 2, x: 1 } }"));
  EXPECT_NE(labels_of("{ a: [ 1, 2 ] }"), labels_of("{ a: [ 2, 1 ] }"));
  EXPECT_NE(labels_of("{ a: 1 }"), labels_of("{ a: '1' }"));
  EXPECT_NE(labels_of("{ a: true }"), labels_of("{ a: 'true' }"));
  EXPECT_NE(labels_of("{ a: null }"), labels_of("{ a: 'null' }"));
  EXPECT_NE(labels_of("{ a: null }"), labels_of("{}"));
  EXPECT_EQ(labels_of("{ a: x, b: 0.5 }"),
            (LabelSet{{"a", label_text("x")}, {"b", label_text(0.5)}}));
  EXPECT_EQ(label_text(-0.0), "0");
}

TEST(TransportLabels, ContainWhatHasEachOfTheWanted) {
  const LabelSet labels = labels_of("{ a: 1, b: x, c: { d: 1, e: 2 } }");
  EXPECT_TRUE(contains(labels, labels));
  EXPECT_TRUE(contains(labels, labels_of("{ c: { e: 2, d: 1 }, a: 1 }")));
  EXPECT_TRUE(contains(labels, {})) << "nothing is wanted";
  EXPECT_TRUE(contains({}, {}));
  EXPECT_FALSE(contains(labels, labels_of("{ a: 2 }")));
  EXPECT_FALSE(contains(labels, labels_of("{ a: 1, z: 1 }")));
  EXPECT_FALSE(contains(labels, labels_of("{ c: { d: 1 } }"))) << "a value is compared as a whole";
  EXPECT_FALSE(contains({}, labels_of("{ a: 1 }")));
}

TEST(TransportLabels, AreOneObjectWhereTheyAreEqual) {
  const TransportLabelsPtr a = make_transport_labels(labels_of("{ tlsMode: istio }"), {});
  EXPECT_EQ(make_transport_labels(labels_of("{ tlsMode: istio }"), {}), a);
  EXPECT_NE(make_transport_labels({}, labels_of("{ tlsMode: istio }")), a)
      << "those of the locality are others";
  EXPECT_NE(make_transport_labels(labels_of("{ tlsMode: other }"), {}), a);
  EXPECT_EQ(make_transport_labels({}, {}), nullptr);
  // Nothing of a text may look like the end of one.
  EXPECT_NE(make_transport_labels({{"a", "1"}, {"b", "2"}}, {}),
            make_transport_labels({{"a", "11:b1:2"}}, {}));
}

}  // namespace
}  // namespace pillion::upstream
