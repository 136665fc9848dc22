#include "proxy/config/yaml_stream.h"

#include <gtest/gtest.h>

#include "proxy/config/node.h"

namespace pillion::config {
namespace {

struct Stream {
  explicit Stream(std::string given)
      : text(std::move(given)), documents(load_stream(text, "s", errors)) {}

  // The `name` of each document that has one.
  std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const auto& each : documents) {
      if (each.document == nullptr) continue;
      out.emplace_back(each.document->root(errors)["name"].raw());
    }
    return out;
  }
  std::string all_text() const {
    std::string out;
    for (const auto& each : documents) out += each.text;
    return out;
  }

  Errors errors;
  std::string text;
  std::vector<StreamDocument> documents;
};

using Names = std::vector<std::string>;

TEST(YamlStream, TakesOneDocumentOrMany) {
  for (const auto& [text, names] : std::vector<std::pair<std::string, Names>>{
           {"name: a", {"a"}},
           {"--- {name: a}\n--- # c\nname: b\n", {"a", "b"}},
           {"# c\n---\nname: a\n---\n---\n# nothing\n---\nname: b\n...\n", {"a", "b"}},
           {"%YAML 1.2\n---\nname: a\n", {"a"}},
           {"name: a\r\n---\r\nname: b\r\n", {"a", "b"}},
           {"{\"name\": \"a\"}\n---\n{\"name\": \"b\"}", {"a", "b"}},
           {"name: a\n---x: 1\n", {"a"}},
           {"# only a comment\n", {}},
       }) {
    Stream stream(text);
    EXPECT_TRUE(stream.errors.ok()) << text << stream.errors.to_string();
    EXPECT_EQ(stream.names(), names) << text;
    EXPECT_EQ(stream.all_text(), text);
  }
}

TEST(YamlStream, TellsWhereTheValueBegins) {
  Stream stream("# c\n---\n# d\nname: a\n---\n{name: b}\n--- {name: c}\n");
  ASSERT_EQ(stream.documents.size(), 4U);
  EXPECT_EQ(stream.documents[0].document, nullptr);
  EXPECT_EQ(stream.documents[1].head, "---\n# d\n");
  EXPECT_EQ(stream.documents[2].head, "---\n");
  EXPECT_EQ(stream.documents[3].head, "");
}

TEST(YamlStream, CountsLinesFromTheStartOfTheStream) {
  Stream stream("name: a\n---\n- a list\n---\nname: b\nname: c\n---\nx: [\n");
  EXPECT_EQ(stream.errors.to_string().substr(0, 2), "s:") << stream.errors.to_string();
  Stream lists("name: a\n---\n- a list\n---\nname: b\nname: c\n");
  EXPECT_EQ(lists.errors.to_string(),
            "s:3:1: expected a mapping (key: value), got a list\n"
            "s:6:1: name: duplicate key, first written at 5:1\n");
}

TEST(YamlStream, RefusesWhatIsNoYamlOrNoText) {
  for (const char* text : {"a: b: c\n", "name: \"a\n", "\x01", "", "name: a\n...\nname: b\n"}) {
    EXPECT_FALSE(Stream(text).errors.ok()) << text;
  }
}

}  // namespace
}  // namespace pillion::config
