// What a worker's list of hosts keeps when the endpoints change.
#include "proxy/upstream/host_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "proxy/base/rng.h"

namespace pillion::upstream {
namespace {

class HostListTest : public ::testing::Test {
 protected:
  // The endpoints with these numbers, in this order.
  void take(const std::vector<uint32_t>& numbers, uint32_t weight = 1) {
    Endpoints endpoints(numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      endpoints[i].address = io::Address::ipv4(0x0a000000 + numbers[i], 80);
      endpoints[i].weight = weight;
    }
    made = 0;
    gone.clear();
    set = make_host_set(endpoints, set);
    list.adopt(
        set,
        [&](const HostInfoPtr& info) {
          ++made;
          return make_ref<Host>(info, config, uint16_t{0});
        },
        [&](Host& host) { gone.insert(host.info().id); });
  }
  [[nodiscard]] std::vector<const Host*> hosts() const {
    std::vector<const Host*> out;
    for (const Ref<Host>& host : list.all()) out.push_back(host.get());
    return out;
  }

  ClusterConfig config;
  HostList list;
  HostSetPtr set;
  int made = 0;
  std::set<HostId> gone;
};

TEST_F(HostListTest, KeepsTheHostsAroundAChange) {
  take({1, 2, 3, 4, 5});
  const auto before = hosts();
  take({1, 2, 9, 4, 5});
  EXPECT_EQ(made, 1);
  EXPECT_EQ(gone.size(), 1u);
  for (const size_t i : {0u, 1u, 3u, 4u}) EXPECT_EQ(hosts()[i], before[i]) << i;
  take({1, 4, 5});
  EXPECT_EQ(made, 0);
  EXPECT_EQ(hosts(), (std::vector{before[0], before[3], before[4]}));
  take({1, 7, 8, 4, 5});
  EXPECT_EQ(made, 2);
  EXPECT_TRUE(gone.empty());
  take({5, 4, 1});
  EXPECT_EQ(made, 0);
  EXPECT_EQ(hosts(), (std::vector{before[4], before[3], before[0]}));
  take({});
  EXPECT_EQ(gone.size(), 3u);
}

TEST_F(HostListTest, TellsHostsOfWhatChangedOfTheirEndpoints) {
  take({1, 2});
  const auto before = hosts();
  take({2, 1}, 7);
  EXPECT_EQ(hosts(), (std::vector{before[1], before[0]}));
  for (const Host* host : hosts()) EXPECT_EQ(host->info().weight, 7u);
}

TEST_F(HostListTest, FollowsAnyChangeOfOrder) {
  Rng rng(11);
  std::map<HostId, const Host*> known;
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint32_t> numbers(rng.below(40));
    for (uint32_t& number : numbers) number = static_cast<uint32_t>(rng.below(50));
    // Mostly in order, as endpoints come.
    if (rng.below(4) != 0) std::ranges::sort(numbers);
    const size_t before = known.size();
    take(numbers, 1 + static_cast<uint32_t>(rng.below(2)));
    ASSERT_EQ(list.all().size(), set->hosts.size());
    std::map<HostId, const Host*> now;
    for (size_t i = 0; i < set->hosts.size(); ++i) {
      const HostId id = set->hosts[i]->id;
      ASSERT_EQ(&list.all()[i]->info(), set->hosts[i].get());
      if (known.contains(id)) {
        ASSERT_EQ(known[id], list.all()[i].get());
      }
      now[id] = list.all()[i].get();
    }
    for (const auto& [id, host] : known) ASSERT_EQ(gone.contains(id), !now.contains(id));
    ASSERT_EQ(before - gone.size() + static_cast<size_t>(made), now.size());
    known = std::move(now);
  }
}

}  // namespace
}  // namespace pillion::upstream
