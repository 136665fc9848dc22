#include "proxy/base/intrusive_list.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace pillion {
namespace {

struct OtherTag {};
struct Item : ListNode<>, ListNode<OtherTag> {
  explicit Item(char n) : name(n) {}
  char name;
};
using List = IntrusiveList<Item>;

std::string names(const List& list) {
  std::string text;
  for (Item* item = list.front(); item != nullptr; item = list.next(*item)) text += item->name;
  return text;
}

class IntrusiveListTest : public ::testing::Test {
 protected:
  Item a{'a'}, b{'b'}, c{'c'};
  List list;
};

TEST_F(IntrusiveListTest, KeepsOrder) {
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.front(), nullptr);
  list.push_back(b);
  list.push_back(c);
  list.push_front(a);
  EXPECT_EQ(names(list), "abc");
  EXPECT_EQ(list.size(), 3u);
  EXPECT_EQ(list.front(), &a);
  EXPECT_EQ(list.back(), &c);
}

TEST_F(IntrusiveListTest, RemovesFromEitherEndAndTheMiddle) {
  list.push_back(a);
  list.push_back(b);
  list.push_back(c);
  List::erase(b);
  EXPECT_EQ(names(list), "ac");
  EXPECT_FALSE(b.ListNode<>::is_linked());
  EXPECT_EQ(list.pop_front(), &a);
  EXPECT_EQ(list.pop_back(), &c);
  EXPECT_EQ(list.pop_back(), nullptr);
  EXPECT_TRUE(list.empty());
  List::erase(b);
  EXPECT_TRUE(list.empty()) << "removing what is not linked does nothing";
}

TEST_F(IntrusiveListTest, AnElementThatDiesLeavesTheList) {
  list.push_back(a);
  {
    Item dying('d');
    list.push_back(dying);
    list.push_back(b);
    EXPECT_EQ(names(list), "adb");
  }
  EXPECT_EQ(names(list), "ab");
}

TEST_F(IntrusiveListTest, AListThatDiesLetsItsElementsGo) {
  {
    List other;
    other.push_back(a);
    other.push_back(b);
  }
  EXPECT_FALSE(a.ListNode<>::is_linked());
  list.push_back(a);
  EXPECT_EQ(names(list), "a");
}

TEST_F(IntrusiveListTest, MovesAllElementsOfAnother) {
  List other;
  list.push_back(a);
  other.push_back(b);
  other.push_back(c);
  list.splice(other);
  EXPECT_EQ(names(list), "abc");
  EXPECT_TRUE(other.empty());
  list.splice(other);
  EXPECT_EQ(names(list), "abc") << "an empty one adds nothing";
  other.splice(list);
  EXPECT_EQ(names(other), "abc");
  EXPECT_TRUE(list.empty());
  other.clear();
}

TEST_F(IntrusiveListTest, AnElementCanBeOnSeveralLists) {
  IntrusiveList<Item, OtherTag> others;
  list.push_back(a);
  others.push_back(a);
  List::erase(a);
  EXPECT_EQ(others.front(), &a);
  others.clear();
}

}  // namespace
}  // namespace pillion
