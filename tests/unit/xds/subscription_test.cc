// What a change costs among many names.
#include "xds/subscription.h"

#include <gtest/gtest.h>

#include "proxy/base/str.h"
#include "tests/support/heap_bytes.h"

namespace pillion::xds {
namespace {

// Long enough to lie on the heap.
std::string name_of(size_t i) { return str("outbound|8080||service-", i, ".namespace.svc.local"); }

std::set<std::string> names_up_to(size_t count) {
  std::set<std::string> names;
  for (size_t i = 0; i < count; ++i) names.insert(names.end(), name_of(i));
  return names;
}

TEST(DeltaSubscription, SaysAndKeepsOfTenThousandNamesOnlyTheOnesThatDiffer) {
  DeltaSubscription names(ResourceType::kEndpoints);
  names.begin_stream();
  names.ask(names_up_to(10'000));
  EXPECT_GT(names.next_request("node", nullptr).size(), 400'000u);
  const size_t before = testing::heap_bytes();
  // Once a set of all of them was copied with each request, which cost milliseconds.
  EXPECT_TRUE(names.add("new"));
  EXPECT_TRUE(names.drop(name_of(5000)));
  EXPECT_TRUE(names.has_news());
  EXPECT_LT(names.next_request("", nullptr).size(), 200u);
  EXPECT_FALSE(names.has_news());
  EXPECT_LT(testing::heap_bytes(), before + 10'000) << "a set of all takes 50 times as much";
}

TEST(DeltaSubscription, HoldsEachNameOnceAndNotASecondTimeBecauseItWasSaid) {
  DeltaSubscription names(ResourceType::kEndpoints);
  names.begin_stream();
  std::set<std::string> all = names_up_to(10'000);
  names.ask(std::move(all));
  const size_t before = testing::heap_bytes();
  (void)names.next_request("node", nullptr);
  EXPECT_LT(testing::heap_bytes(), before + 10'000);
}

TEST(DeltaSubscription, ANameThatComesAndGoesUnsaidIsNotSaid) {
  DeltaSubscription names(ResourceType::kEndpoints);
  names.begin_stream();
  names.ask({"a"});
  (void)names.next_request("node", nullptr);
  EXPECT_TRUE(names.add("b"));
  EXPECT_FALSE(names.add("b"));
  EXPECT_TRUE(names.drop("b"));
  EXPECT_FALSE(names.drop("b"));
  EXPECT_FALSE(names.has_news());
}

TEST(DeltaSubscription, ANameThatGoesComesAndGoesIsUnsubscribed) {
  // The server knows it, whatever was meant between.
  DeltaSubscription names(ResourceType::kEndpoints);
  names.begin_stream();
  names.ask({"a", "b"});
  (void)names.next_request("node", nullptr);
  names.drop("b");
  names.add("b");
  names.drop("b");
  ASSERT_TRUE(names.has_news());
  const std::string request = names.next_request("", nullptr);
  // DeltaDiscoveryRequest.resource_names_unsubscribe
  EXPECT_TRUE(
      request.ends_with(std::string_view("\x22\x01"
                                         "b",
                                         3)));
}

}  // namespace
}  // namespace pillion::xds
