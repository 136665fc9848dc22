#include "proxy/base/shared_map.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "proxy/base/rng.h"
#include "proxy/base/str.h"

namespace pillion {
namespace {

using Plain = std::map<std::string, int>;
using Shared = SharedMap<int>;

Plain plain(const Shared& map) {
  Plain out;
  std::string last;
  for (const auto& [name, value] : map) {
    EXPECT_LT(last, name) << "not in order";
    last = name.str();
    out.emplace(last, value);
  }
  return out;
}

// What differs, as the slow way finds it.
using Difference = std::map<std::string, std::pair<std::optional<int>, std::optional<int>>>;
Difference difference(const Plain& a, const Plain& b) {
  Difference out;
  for (const auto& [name, value] : a) out[name].first = value;
  for (const auto& [name, value] : b) out[name].second = value;
  std::erase_if(out, [](const auto& item) { return item.second.first == item.second.second; });
  return out;
}
// May name what was written again with the same value.
Difference difference(const Shared& a, const Shared& b) {
  Difference out;
  diff(a, b, [&out](const SharedText& name, const int* before, const int* after) {
    EXPECT_TRUE(before != nullptr || after != nullptr);
    auto& both = out[name.str()];
    if (before != nullptr) both.first = *before;
    if (after != nullptr) both.second = *after;
  });
  std::erase_if(out, [](const auto& item) { return item.second.first == item.second.second; });
  return out;
}

TEST(SharedMap, IsWhatAMapIsAfterAnySequenceOfChanges) {
  Rng rng(7);
  Shared map;
  Plain model;
  std::vector<std::pair<Shared, Plain>> versions;
  const auto name = [&rng] { return str("cluster-", rng.below(2000)); };
  for (int step = 0; step < 20'000; ++step) {
    const std::string key = name();
    if (rng.below(step < 10'000 ? 4 : 2) == 0) {
      EXPECT_EQ(map.erase(key), model.erase(key) == 1);
    } else {
      map[key] = model[key] = step;
    }
    EXPECT_EQ(map.size(), model.size());
    if (step % 1000 == 0) versions.emplace_back(map, model);
  }
  EXPECT_EQ(plain(map), model);
  for (int i = 0; i < 2000; ++i) {
    const std::string key = str("cluster-", i);
    const auto it = map.find(key);
    ASSERT_EQ(it != map.end(), model.contains(key));
    if (it != map.end()) {
      EXPECT_EQ(it->second, model.at(key));
    }
  }
  // Earlier versions are as they were, and differ as they should, from whichever other.
  for (const auto& [version, then] : versions) {
    EXPECT_EQ(plain(version), then);
    EXPECT_EQ(difference(version, map), difference(then, model));
    EXPECT_EQ(difference(map, version), difference(model, then));
    EXPECT_EQ(difference(versions.front().first, version),
              difference(versions.front().second, then));
  }
  erase_if(map, [](const auto& item) { return item.second % 2 == 0; });
  std::erase_if(model, [](const auto& item) { return item.second % 2 == 0; });
  EXPECT_EQ(plain(map), model);
}

TEST(SharedMap, LooksAtLittleWhereOneOfManyDiffers) {
  Shared map;
  for (int i = 0; i < 10'000; ++i) map[str("cluster-", i)] = i;
  Shared changed = map;
  changed["cluster-777"] = -1;
  int seen = 0;
  diff(map, changed, [&seen](const SharedText& name, const int* before, const int* after) {
    EXPECT_EQ(name, "cluster-777");
    EXPECT_EQ(*before, 777);
    EXPECT_EQ(*after, -1);
    ++seen;
  });
  EXPECT_EQ(seen, 1);
  size_t same = 0;
  for (const auto& [name, value] : map)
    same += &map.find(name)->second == &changed.find(name)->second ? 1u : 0u;
  EXPECT_EQ(same, 9999U) << "the others are the same objects";
}

TEST(SharedMap, OfNamesIsASet) {
  SharedNames names(std::vector<std::string>{"b", "a", "b"});
  EXPECT_EQ(names.size(), 2U);
  EXPECT_FALSE(names.insert("a"));
  EXPECT_TRUE(names.insert("c"));
  const SharedNames before = names;
  EXPECT_TRUE(names.erase("a"));
  EXPECT_FALSE(names.contains("a"));
  EXPECT_TRUE(before.contains("a"));
  EXPECT_EQ(erase_if(names, [](std::string_view name) { return name == "b"; }), 1U);
  std::string rest;
  names.for_each([&rest](std::string_view name) { rest += name; });
  EXPECT_EQ(rest, "c");
}

}  // namespace
}  // namespace pillion
