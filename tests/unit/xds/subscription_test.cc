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
  EXPECT_GT(names.next_request("node", nullptr).fields.size(), 400'000u);
  const size_t before = testing::heap_bytes();
  // Once a set of all of them was copied with each request, which cost milliseconds.
  EXPECT_TRUE(names.add("new"));
  EXPECT_TRUE(names.drop(name_of(5000)));
  EXPECT_TRUE(names.has_news());
  EXPECT_LT(names.next_request("", nullptr).fields.size(), 200u);
  EXPECT_FALSE(names.has_news());
  EXPECT_LT(testing::heap_bytes(), before + 10'000) << "a set of all takes 50 times as much";
}

TEST(DeltaSubscription, HoldsEachNameOnceAndNotASecondTimeBecauseItWasSaid) {
  DeltaSubscription names(ResourceType::kEndpoints);
  names.begin_stream();
  names.ask(names_up_to(10'000));
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
  const std::string request = names.next_request("", nullptr).fields;
  // DeltaDiscoveryRequest.resource_names_unsubscribe
  EXPECT_TRUE(
      request.ends_with(std::string_view("\x22\x01"
                                         "b",
                                         3)));
}

// What a server says of one name, accepted.
void hear(Subscription& names, const std::string& name, const std::string& version) {
  Response response;
  response.type = ResourceType::kEndpoints;
  response.resources.resize(1);
  response.resources[0].name = name;
  response.resources[0].version = version;
  response.resources[0].has_body = true;
  names.sift(response);
  names.accepted();
}

TEST(DeltaSubscription, WhatIsHeldOfANameGoesWithItAndStaysWithAllOthers) {
  DeltaSubscription names(ResourceType::kEndpoints);
  names.begin_stream();
  names.ask({"a", "b", "c"});
  for (const char* name : {"a", "b", "c"}) hear(names, name, "held");
  names.drop("a");
  names.ask({"b", "d"});
  names.begin_stream();
  const std::string request = names.next_request("", nullptr).fields;
  const auto entry = [](const char* name) { return str("\x0a\x01", name, "\x12\x04held"); };
  EXPECT_EQ(request.find(entry("a")), request.npos);
  EXPECT_NE(request.find(entry("b")), request.npos) << "said and kept";
  EXPECT_EQ(request.find(entry("c")), request.npos);
  EXPECT_EQ(request.find(entry("d")), request.npos);
}

TEST(DeltaSubscription, WhatIsHeldOutlivesAChangeBetweenAllAndSomeNames) {
  DeltaSubscription names(ResourceType::kClusters);
  names.begin_stream();
  names.ask_all();
  for (const char* name : {"a", "b"}) hear(names, name, "held");
  names.ask({"b"});
  names.begin_stream();
  std::string request = names.next_request("", nullptr).fields;
  EXPECT_EQ(request.find("\x0a\x01"
                         "a"),
            request.npos);
  EXPECT_NE(request.find("\x0a\x01"
                         "b\x12\x04held"),
            request.npos);
  names.ask_all();
  names.begin_stream();
  request = names.next_request("", nullptr).fields;
  EXPECT_NE(request.find("\x0a\x01"
                         "b\x12\x04held"),
            request.npos);
}

TEST(DeltaSubscription, AnEmptyVersionIsHeldToo) {
  DeltaSubscription names(ResourceType::kEndpoints);
  names.begin_stream();
  names.ask({"a", "b"});
  hear(names, "a", "");
  names.begin_stream();
  // initial_resource_versions: an entry with a key alone
  EXPECT_NE(names.next_request("", nullptr)
                .fields.find("\x2a\x03\x0a\x01"
                             "a"),
            std::string::npos);
}

TEST(SotwSubscription, SaysTheSameNamesAgainWithoutMakingThemAnew) {
  SotwSubscription names(ResourceType::kEndpoints);
  names.begin_stream();
  names.ask(names_up_to(10'000));
  const RequestBytes first = names.next_request("node", nullptr);
  EXPECT_GT(first.names.size(), 400'000u);
  const char* const at = first.names.data();
  hear(names, name_of(7), "1");
  const Reply reply;
  const RequestBytes second = names.next_request("", &reply);
  EXPECT_EQ(second.names.data(), at);
  EXPECT_EQ(second.names.size(), first.names.size());
  names.drop(name_of(7));
  EXPECT_LT(names.next_request("", nullptr).names.size(), second.names.size());
}

}  // namespace
}  // namespace pillion::xds
