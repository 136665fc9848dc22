// How answers of DNS become hosts, and what failures leave.
#include "proxy/discovery/dns_source.h"

#include "tests/support/log_capture.h"
#include "tests/unit/discovery/fixture.h"

namespace pillion::discovery {
namespace {

using DnsSourceTest = DiscoveryTest;

TEST_F(DnsSourceTest, MakesAHostOfEachAddressOfEachName) {
  server.set_a("orders.shop", {"10.0.0.1", "10.0.0.2"});
  server.set_a("more.shop", {"10.0.0.3"});
  discovery.add(cluster_of("{ name: a, type: STRICT_DNS, " +
                           endpoints({"orders.shop:80", "more.shop:81", "10.0.0.9:82"}) + " }"));
  EXPECT_FALSE(discovery.all_warm());
  EXPECT_EQ(stats_of("a")->warming_state.value(), 1);
  ASSERT_TRUE(run_until(loop, [&] { return warm == 1; }));
  EXPECT_EQ(reported.count("a"), 0u) << "before it was committed";
  discovery.commit();
  const HostSetPtr hosts = discovery.hosts("a");
  ASSERT_EQ(addresses_of(hosts),
            (Addresses{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:81", "10.0.0.9:82"}));
  EXPECT_EQ(hosts->hosts[0]->hostname(), "orders.shop");
  EXPECT_EQ(hosts->hosts[2]->hostname(), "more.shop");
  EXPECT_EQ(stats_of("a")->warming_state.value(), 0);
  EXPECT_EQ(stats_of("a")->update_attempt.value(), 2u);
  EXPECT_EQ(stats_of("a")->update_success.value(), 2u);
  EXPECT_EQ(stats_of("a")->membership_total.value(), 4);
}

TEST_F(DnsSourceTest, NeverAsksForAddresses) {
  discovery.add(dns("a", "10.0.0.1:80"));
  EXPECT_TRUE(discovery.all_warm());
  run_for(loop, std::chrono::milliseconds(50));
  EXPECT_TRUE(server.questions().empty());
}

TEST_F(DnsSourceTest, FollowsAnswersAndKeepsHostsThatStay) {
  server.set_a("orders.shop", {"10.0.0.1", "10.0.0.2"});
  const HostSetPtr before = settle(dns("a", "orders.shop:80"));
  server.set_a("orders.shop", {"10.0.0.3", "10.0.0.2"});
  ASSERT_TRUE(wait_for("a", {"10.0.0.2:80", "10.0.0.3:80"}));
  EXPECT_EQ(discovery.hosts("a")->hosts[0], before->hosts[1]);
  ASSERT_EQ(reported["a"].size(), 1u);
  EXPECT_EQ(reported["a"][0], discovery.hosts("a"));
  EXPECT_EQ(stats_of("a")->membership_change.value(), 2u);
}

TEST_F(DnsSourceTest, ChangesNothingWhenAnswersAreOnlyReordered) {
  server.set_a("orders.shop", {"10.0.0.1", "10.0.0.2"});
  const HostSetPtr before = settle(dns("a", "orders.shop:80"));
  server.set_a("orders.shop", {"10.0.0.2", "10.0.0.1"});
  const size_t asked = server.count("orders.shop");
  ASSERT_TRUE(run_until(loop, [&] { return server.count("orders.shop") >= asked + 6; }));
  EXPECT_EQ(discovery.hosts("a"), before);
  EXPECT_TRUE(reported["a"].empty());
  EXPECT_GE(stats_of("a")->update_no_rebuild.value(), 2u);
}

TEST_F(DnsSourceTest, KeepsTheLastAnswerWhenLookupsFail) {
  server.set_a("orders.shop", {"10.0.0.1"});
  const HostSetPtr before = settle(dns("a", "orders.shop:80"));
  server.set("orders.shop", DnsType::kA, DnsReply::fails(2));
  server.set("orders.shop", DnsType::kAaaa, DnsReply::fails(2));
  ASSERT_TRUE(run_until(loop, [&] { return stats_of("a")->update_failure.value() >= 2; }));
  EXPECT_EQ(discovery.hosts("a"), before);
  server.set_a("orders.shop", {"10.0.0.2"});
  EXPECT_TRUE(wait_for("a", {"10.0.0.2:80"})) << "it goes on asking";
}

TEST_F(DnsSourceTest, KeepsOneFamilyWhenOnlyItFails) {
  server.set_a("orders.shop", {"10.0.0.1"});
  server.set_aaaa("orders.shop", {"fd00::1"});
  settle(dns("a", "orders.shop:80", "dns_refresh_rate: 0.03s, dns_lookup_family: ALL"));
  ASSERT_EQ(addresses_of(discovery.hosts("a")), (Addresses{"10.0.0.1:80", "[fd00::1]:80"}));
  server.set("orders.shop", DnsType::kAaaa, DnsReply::fails(2));
  server.set_a("orders.shop", {"10.0.0.2"});
  EXPECT_TRUE(wait_for("a", {"[fd00::1]:80", "10.0.0.2:80"}));
}

TEST_F(DnsSourceTest, HasNoHostsWhenTheNameHasNone) {
  server.set_a("orders.shop", {"10.0.0.1"});
  settle(dns("a", "orders.shop:80"));
  server.forget("orders.shop");
  EXPECT_TRUE(wait_for("a", {}));
  EXPECT_GE(stats_of("a")->update_empty.value(), 1u);
  EXPECT_EQ(stats_of("a")->membership_total.value(), 0);
}

TEST_F(DnsSourceTest, TellsOnceThatANameHasNoAddress) {
  testing::LogCapture log;
  settle(dns("shop", "nosuch.invalid:80"));
  const std::string_view line =
      "[warning][dns] DNS has no address for the name: mistyped, or a service without endpoints; "
      "calls to the cluster get 503 no healthy upstream: cluster=shop name=nosuch.invalid\n";
  EXPECT_EQ(log.count(line), 1u) << log.text();
  ASSERT_TRUE(run_until(loop, [&] { return stats_of("shop")->update_empty.value() >= 4; }));
  EXPECT_EQ(log.count("nosuch.invalid"), 1u) << log.text();
}

TEST_F(DnsSourceTest, TellsThatANameHasLostItsAddressesAndWhatIsLeft) {
  testing::LogCapture log;
  server.set_a("orders.shop", {"10.0.0.1"});
  server.set_a("more.shop", {"10.0.0.2"});
  settle(cluster_of("{ name: a, type: STRICT_DNS, dns_refresh_rate: 0.03s, " +
                    endpoints({"orders.shop:80", "more.shop:80"}) + " }"));
  EXPECT_EQ(log.text(), "");
  server.forget("orders.shop");
  ASSERT_TRUE(wait_for("a", {"10.0.0.2:80"}));
  EXPECT_EQ(log.count("goes on with its other endpoints: cluster=a name=orders.shop endpoints=1\n"),
            1u)
      << log.text();
}

TEST_F(DnsSourceTest, SaysOfAFirstFailureThatNoAddressIsKnown) {
  testing::LogCapture log;
  server.set("orders.shop", DnsType::kA, DnsReply::fails(2));
  server.set("orders.shop", DnsType::kAaaa, DnsReply::fails(2));
  settle(dns("a", "orders.shop:80"));
  EXPECT_EQ(
      log.count("lookup failed, and no address is known yet; asking again: name=orders.shop "), 1u)
      << log.text();
  EXPECT_EQ(log.count("the last answer stays"), 0u) << log.text();
  EXPECT_EQ(log.count("no address for the name"), 0u) << log.text();
}

TEST_F(DnsSourceTest, IsWarmAfterAFailureToo) {
  server.set("orders.shop", DnsType::kA, DnsReply::silence());
  server.set("orders.shop", DnsType::kAaaa, DnsReply::silence());
  discovery.add(dns("a", "orders.shop:80"));
  ASSERT_TRUE(run_until(loop, [&] { return warm == 1; }));
  EXPECT_TRUE(discovery.hosts("a")->hosts.empty());
  EXPECT_EQ(stats_of("a")->update_failure.value(), 1u);
}

TEST_F(DnsSourceTest, ChoosesTheFamilyThatIsAskedFor) {
  server.set_a("both.shop", {"10.0.0.1"});
  server.set_aaaa("both.shop", {"fd00::1"});
  server.set_a("four.shop", {"10.0.0.1"});
  server.set_aaaa("six.shop", {"fd00::1"});
  const std::string v4 = "10.0.0.1:80";
  const std::string v6 = "[fd00::1]:80";
  const struct {
    const char* family;
    Addresses both, four, six;
  } cases[] = {
      {"AUTO", {v6}, {v4}, {v6}},  {"V4_PREFERRED", {v4}, {v4}, {v6}}, {"V4_ONLY", {v4}, {v4}, {}},
      {"V6_ONLY", {v6}, {}, {v6}}, {"ALL", {v4, v6}, {v4}, {v6}},
  };
  for (const auto& c : cases) {
    const std::string more = str("dns_lookup_family: ", c.family);
    EXPECT_EQ(addresses_of(settle(dns("both", "both.shop:80", more))), c.both) << c.family;
    EXPECT_EQ(addresses_of(settle(dns("four", "four.shop:80", more))), c.four) << c.family;
    EXPECT_EQ(addresses_of(settle(dns("six", "six.shop:80", more))), c.six) << c.family;
    for (const char* name : {"both", "four", "six"}) discovery.remove(name);
  }
}

TEST_F(DnsSourceTest, StaysWithTheAddressOfALogicalNameWhileAnswersNameIt) {
  server.set_a("s.shop", {"10.0.0.1", "10.0.0.2"});
  const HostSetPtr before = settle(dns("a", "s.shop:80", "dns_refresh_rate: 0.03s", "LOGICAL_DNS"));
  EXPECT_EQ(addresses_of(before), Addresses{"10.0.0.1:80"});
  server.set_a("s.shop", {"10.0.0.2", "10.0.0.1"});
  const size_t asked = server.count("s.shop");
  ASSERT_TRUE(run_until(loop, [&] { return server.count("s.shop") >= asked + 6; }));
  EXPECT_EQ(discovery.hosts("a"), before);
  server.set_a("s.shop", {"10.0.0.2"});
  EXPECT_TRUE(wait_for("a", {"10.0.0.2:80"}));
}

TEST_F(DnsSourceTest, HonoursTheTimeToLiveWithAFloor) {
  server.set_a("long.shop", {"10.0.0.1"}, 60);
  server.set_a("zero.shop", {"10.0.0.1"}, 1);
  settle(dns("long", "long.shop:80", "dns_refresh_rate: 0.02s, respect_dns_ttl: true"));
  const size_t asked = server.count("long.shop");
  run_for(loop, std::chrono::milliseconds(150));
  EXPECT_EQ(server.count("long.shop"), asked) << "60 s have not passed";
  settle(dns("short", "zero.shop:80", "dns_refresh_rate: 60s, respect_dns_ttl: true"));
  const size_t short_asked = server.count("zero.shop");
  const Instant before = MonotonicClock::now();
  ASSERT_TRUE(run_until(loop, [&] { return server.count("zero.shop") > short_asked; }));
  EXPECT_GE(MonotonicClock::now() - before, std::chrono::milliseconds(800));
}

TEST_F(DnsSourceTest, StartsFromWhatAnEarlierSourceKnewWhenDnsIsDown) {
  server.set_a("orders.shop", {"10.0.0.1"});
  const HostSetPtr before = settle(dns("a", "orders.shop:80", "dns_refresh_rate: 60s"));
  server.set("orders.shop", DnsType::kA, DnsReply::fails(2));
  server.set("orders.shop", DnsType::kAaaa, DnsReply::fails(2));
  settle(dns("a", "orders.shop:80", "dns_refresh_rate: 30s"));
  EXPECT_EQ(discovery.hosts("a"), before);
}

TEST(DnsSourceKey, TellsApartWhatMatters) {
  const auto key = [](std::string_view fields, std::string_view target) {
    return DnsSource::key_of(
        *cluster_of(str("{ name: a, type: STRICT_DNS, ", fields, endpoints({target}), " }")));
  };
  const std::string base = key("", "a.b:80");
  EXPECT_EQ(base, key("connect_timeout: 1s, ", "a.b:80"));
  EXPECT_NE(base, key("", "a.b:81"));
  EXPECT_NE(base, key("", "a.c:80"));
  EXPECT_NE(base, key("dns_refresh_rate: 1s, ", "a.b:80"));
  EXPECT_NE(base, key("dns_lookup_family: ALL, ", "a.b:80"));
  EXPECT_NE(base, key("respect_dns_ttl: true, ", "a.b:80"));
  EXPECT_NE(base, key("dns_jitter: 1s, ", "a.b:80"));
}

}  // namespace
}  // namespace pillion::discovery
