// What responses that wait become together, what they take, and what is said to each of them.
#include "xds/pending.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unordered_map>

#include "proxy/base/rng.h"
#include "proxy/base/str.h"

namespace pillion::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Response response(bool is_delta, ResourceType type, std::string_view nonce,
                  const std::vector<std::string>& names) {
  Response out;
  out.type = type;
  out.is_delta = is_delta;
  out.nonce = nonce;
  out.version = str("of-", nonce);
  for (const std::string& name : names) {
    if (name.starts_with('-')) {
      out.removed.push_back(name.substr(1));
    } else {
      out.resources.push_back({name, std::string(1000, 'x'), str(nonce)});
    }
  }
  return out;
}

TEST(Pending, TakesNoMoreForWhatIsSaidAgain) {
  for (const ResourceType type : {ResourceType::kClusters, ResourceType::kEndpoints}) {
    Pending pending(response(false, type, "n000", {"a", "b"}));
    const size_t alone = pending.bytes();
    for (int i = 100; i < 1000; ++i)
      EXPECT_EQ(pending.add(response(false, type, str('n', i), {"a", "b"})), 1u);
    EXPECT_EQ(pending.bytes(), alone);
    EXPECT_THAT(pending.take_parts(), ::testing::SizeIs(1));
    EXPECT_EQ(pending.take().nonce, "n999");
  }
  // By delta a nonce and the names stay.
  Pending pending(response(true, ResourceType::kClusters, "n0", {"a"}));
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(pending.add(response(true, ResourceType::kClusters, "n", {"a"})), 0u);
  EXPECT_GT(pending.bytes(), 200'000u);
  EXPECT_LT(pending.bytes(), 400'000u);
}

// Whatever comes, the same as if each had been looked at in its turn.
TEST(Pending, OfADeltaIsWhatItsResponsesLeaveBehind) {
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    std::unordered_map<std::string, std::string> model;  // name -> nonce; "-": gone
    std::optional<Pending> pending;
    for (int i = 0; i < 20; ++i) {
      std::set<std::string> names;
      for (uint64_t n = rng.below(5); n > 0; --n) names.insert(str('r', rng.below(8)));
      std::vector<std::string> items;
      for (const std::string& name : names) {
        const bool is_gone = rng.below(3) == 0;
        items.push_back(is_gone ? '-' + name : name);
        model[name] = is_gone ? "-" : str('n', i);
      }
      Response next = response(true, ResourceType::kRoutes, str('n', i), items);
      pending ? void(pending->add(std::move(next))) : void(pending.emplace(std::move(next)));
    }
    const Response all = pending->take();
    EXPECT_EQ(all.resources.size() + all.removed.size(), model.size());
    for (const Resource& resource : all.resources)
      EXPECT_EQ(model.at(resource.name), resource.version);
    for (const std::string& name : all.removed) EXPECT_EQ(model.at(name), "-");
    EXPECT_EQ(pending->take_parts().size(), 20u);
  }
}

std::vector<std::string> lines_of(const std::vector<Reply>& replies) {
  std::vector<std::string> lines;
  for (const Reply& reply : replies) lines.push_back(str(reply.nonce, ' ', reply.error));
  return lines;
}

TEST(Pending, RefusalsNameOnlyWhatTheirResponseHad) {
  const std::set<std::string> refused = {"a", "b"};
  const std::string why = "cds/a: type: bad\ncds/a: name: bad\ncds/b: lb_policy: bad\n";
  const auto parts = [] {
    return std::vector<Part>{
        {"n1", "", {"a", "x"}}, {"n2", "", {"x"}}, {"n3", "", {"b"}}, {"n4", "cds/z: twice", {}}};
  };
  EXPECT_THAT(lines_of(replies_to(ResourceType::kClusters, parts(), why, &refused)),
              ElementsAre("n2 ", "n1 cds/a: type: bad\ncds/a: name: bad\n",
                          "n3 cds/b: lb_policy: bad\n", "n4 cds/z: twice"));
  // Nothing of them was taken.
  EXPECT_THAT(lines_of(replies_to(ResourceType::kClusters, parts(), why, nullptr)),
              ElementsAre("n1 " + why, "n2 " + why, "n3 " + why, "n4 cds/z: twice"));
  // What has no name is told all the same.
  const std::set<std::string> nobody = {""};
  EXPECT_THAT(lines_of(replies_to(ResourceType::kClusters, {{"n1", "", {"a"}}, {"n2", "", {"b"}}},
                                  "cds: name: missing", &nobody)),
              ElementsAre("n1 ", "n2 cds: name: missing"));
}

TEST(Pending, ALongRefusalIsCut) {
  std::string why;
  std::set<std::string> refused;
  std::vector<std::string> names;
  for (int i = 0; i < 20'000; ++i) {
    names.push_back(str("cluster-", i));
    refused.insert(names.back());
    why += str("cds/cluster-", i, ": bad\n");
  }
  const auto replies = replies_to(
      ResourceType::kClusters, {{"n1", "", names}, {"n2", "", {"cluster-19999"}}}, why, &refused);
  EXPECT_THAT(replies[0].error, HasSubstr("cds/cluster-7: bad\n"));
  EXPECT_LT(replies[0].error.size(), size_t{17} << 10);
  EXPECT_EQ(replies[1].error, "cds/cluster-19999: bad\n");
}

}  // namespace
}  // namespace pillion::xds
