#include "proxy/http/headers.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "proxy/http/head_stash.h"
#include "tests/support/h1_parse.h"

namespace pillion::http {
namespace {

TEST(Headers, KnowsEveryNameOfTheTableAndNoOther) {
  for (int i = 1; i < static_cast<int>(HeaderId::kCount); ++i) {
    const auto id = static_cast<HeaderId>(i);
    EXPECT_EQ(find_header_id(header_name(id)), id) << header_name(id);
    EXPECT_EQ(find_header_id(str(header_name(id), "x")), HeaderId::kUnknown);
  }
  EXPECT_EQ(find_header_id(""), HeaderId::kUnknown);
  EXPECT_EQ(find_header_id("x"), HeaderId::kUnknown);
  EXPECT_EQ(find_header_id("Host"), HeaderId::kUnknown);  // lower case is the caller's duty
}

TEST(Headers, KeepOrderAndRepeats) {
  Arena arena;
  Headers h(arena);
  h.add(HeaderId::kAccept, "a");
  h.add("x-one", "1");
  h.add("x-one", "2");
  h.add_copy("X-Copied", std::string("3"));
  EXPECT_EQ(testing::describe(h), "accept: a\nx-one: 1\nx-one: 2\nx-copied: 3\n");
  EXPECT_EQ(h.count(), 4u);
  EXPECT_EQ(h.byte_size(), 7u + 6u + 6u + 9u);
  EXPECT_EQ(h.get(HeaderId::kAccept), "a");
  EXPECT_EQ(h.find("x-one")->value, "1");
  std::string all;
  h.for_each_of("x-one", [&](const Field& f) { all += f.value; });
  EXPECT_EQ(all, "12");
}

TEST(Headers, SetReplacesAndRemoveHides) {
  Arena arena;
  Headers h(arena);
  for (int i = 0; i < 100; ++i) h.add("x-many", "v");  // grows
  h.add(HeaderId::kVia, "1");
  h.set("x-many", "one");
  EXPECT_EQ(testing::describe(h), "via: 1\nx-many: one\n");
  h.set(HeaderId::kVia, "2");
  EXPECT_EQ(testing::describe(h), "x-many: one\nvia: 2\n");
  EXPECT_EQ(h.remove("via"), 1);
  EXPECT_EQ(h.remove("via"), 0);
  EXPECT_FALSE(h.has(HeaderId::kVia));
  EXPECT_EQ(h.find("x-gone"), nullptr);
  h.clear();
  EXPECT_EQ(h.count(), 0u);
}

TEST(HeadStash, MovesTheViewsOfAHeadWheneverItsBytesMove) {
  Arena arena;
  Headers fields(arena);
  HeadStash stash;
  EXPECT_TRUE(stash.empty());
  std::string first = "x-name: value";
  fields.add(Field{{first.data(), 6}, {first.data() + 8, 5}, HeaderId::kUnknown});
  fields.add(Field{header_name(HeaderId::kVia), {first.data() + 8, 5}, HeaderId::kVia});
  stash.append(first.data(), first.size(), fields);
  first.assign(first.size(), '#');  // the read buffer is used again
  EXPECT_EQ(testing::describe(fields), "x-name: value\nvia: value\n");
  const std::string more(100'000, 'm');  // several times larger: the stash itself moves
  for (size_t i = 0; i < more.size(); i += 1000) stash.append(more.data() + i, 1000, fields);
  EXPECT_EQ(testing::describe(fields), "x-name: value\nvia: value\n");
  EXPECT_EQ(stash.size(), first.size() + more.size());
  EXPECT_EQ(fields.find("x-name")->name.data(), stash.data());
  stash.clear();
  EXPECT_TRUE(stash.empty());
}

}  // namespace
}  // namespace pillion::http
