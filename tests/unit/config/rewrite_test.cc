#include "proxy/config/rewrite.h"

#include <gtest/gtest.h>

#include "proxy/config/node.h"
#include "proxy/config/yaml_print.h"

namespace pillion::config {
namespace {

struct Text {
  explicit Text(std::string_view text) : document(load_text(text, "t", errors)) {}

  Node root() { return document->root(errors); }
  std::string apply(const Rewrite& rewrite) {
    return print_yaml(*rewrite.apply(), ScalarStyle::kAsWritten);
  }

  Errors errors;
  DocumentPtr document;
};

void write_x(EnvoyWriter& out) { out.text("x", "1"); }
void write_item(EnvoyWriter& out) { out.item_text("new"); }

TEST(Rewrite, KeepsWhatIsNotMentioned) {
  const std::string text = "a: 012\nb: \"012\"\nc:\n- yes\n- \"yes\"\nd: {}\ne: null\n";
  Text t(text);
  EXPECT_EQ(t.apply(Rewrite(t.document)), text);
}

TEST(Rewrite, AddsAtBothEndsInTheOrderOfTheCalls) {
  Text t("list: [ old ]\n");
  Rewrite rewrite(t.document);
  const Value& list = *t.root()["list"].value();
  rewrite.first(list, write_item);
  rewrite.last(list, [](EnvoyWriter& out) { out.item_text("later"); });
  rewrite.last(list, [](EnvoyWriter& out) { out.item_text("last"); });
  EXPECT_EQ(t.apply(rewrite), "list:\n- new\n- old\n- later\n- last\n");
}

TEST(Rewrite, MakesAContainerThatIsMissingOrNull) {
  Text t("null_list:\nempty_list: []\nnull_mapping: ~\n");
  Rewrite rewrite(t.document);
  const Value& root = *t.root().value();
  for (const char* key : {"null_list", "empty_list", "new_list"}) {
    rewrite.first_of_list(root, key, write_item);
  }
  rewrite.last_of_mapping(root, "null_mapping", write_x);
  rewrite.last_of_mapping(root, "new_mapping", write_x);
  EXPECT_EQ(t.apply(rewrite),
            "null_list:\n- new\nempty_list:\n- new\nnull_mapping:\n  x: \"1\"\nnew_list:\n- new\n"
            "new_mapping:\n  x: \"1\"\n");
}

TEST(Rewrite, ReplacesScalarsByTextThatStaysText) {
  Text t("port: http\npath: /a\n");
  Rewrite rewrite(t.document);
  rewrite.scalar(*t.root()["port"].value(), uint64_t{80});
  rewrite.scalar(*t.root()["path"].value(), std::string("80"));
  EXPECT_EQ(t.apply(rewrite), "port: 80\npath: \"80\"\n");
}

}  // namespace
}  // namespace pillion::config
