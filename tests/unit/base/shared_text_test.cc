#include "proxy/base/shared_text.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxy/base/rng.h"
#include "proxy/base/str.h"
#include "tests/unit/base/many_holders.h"

namespace pillion {
namespace {

TEST(SharedText, IsOneObjectWhereTextsAreEqual) {
  static_assert(sizeof(SharedText) == sizeof(void*));
  const size_t before = SharedText::count();
  {
    const SharedText a("orders");
    const SharedText b(std::string("orders"));
    EXPECT_EQ(a, b);
    EXPECT_EQ(a.view().data(), b.view().data());
    EXPECT_EQ(SharedText::count(), before + 1);
    SharedText other("users");
    EXPECT_NE(a, other);
    EXPECT_LT(a, other);
    other = a;
    EXPECT_EQ(SharedText::count(), before + 1) << "the last holder's end frees it";
  }
  EXPECT_EQ(SharedText::count(), before);
}

TEST(SharedText, ReadsAsViewsAndTexts) {
  SharedText text;
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(text, "");
  EXPECT_EQ(text.view(), std::string_view());
  text = "orders";
  EXPECT_EQ(text, "orders");
  EXPECT_EQ(text, std::string("orders"));
  EXPECT_EQ(text.size(), 6u);
  EXPECT_EQ(str("<", text, ">"), "<orders>");
  text = "";
  EXPECT_EQ(text, SharedText());
  const std::string with_zero("a\0b", 3);
  EXPECT_EQ(SharedText(with_zero).str(), with_zero);
}

TEST(SharedText, IsAKeyThatIsFoundByAnyText) {
  const std::map<SharedText, int, std::less<>> ordered = {{"b", 2}, {"a", 1}, {"c", 3}};
  EXPECT_EQ(ordered.begin()->first, "a");
  EXPECT_EQ(ordered.find(std::string_view("b"))->second, 2);
  std::unordered_map<SharedText, int, SharedTextHash, SharedTextEqual> hashed = {{"", 0}, {"a", 1}};
  EXPECT_EQ(hashed.find(std::string_view("a"))->second, 1);
  EXPECT_EQ(hashed.find(std::string("a"))->second, 1);
  EXPECT_EQ(hashed.find(std::string_view(""))->second, 0);
  EXPECT_EQ(hashed.find(std::string_view("b")), hashed.end());
}

// The table moves texts together when one goes.
TEST(SharedText, AreFoundAfterAnySequenceOfEnds) {
  Rng rng(5);
  const size_t before = SharedText::count();
  {
    std::vector<SharedText> held(500);
    std::set<std::string> different;
    for (int i = 0; i < 50'000; ++i) held[rng.below(held.size())] = str("text-", rng.below(700));
    for (const SharedText& text : held) {
      different.insert(text);
      EXPECT_EQ(SharedText(text.str()).view().data(), text.view().data());
    }
    different.erase("");
    EXPECT_EQ(SharedText::count(), before + different.size());
  }
  EXPECT_EQ(SharedText::count(), before);
}

TEST(SharedText, IsMadeAndEndedByManyThreads) {
  testing::make_and_end_by_many_threads<SharedText>(
      [](const SharedText& text) { return text.view(); });
}

}  // namespace
}  // namespace pillion
