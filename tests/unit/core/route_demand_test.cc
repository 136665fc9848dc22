// Who waits for routes, what control is asked, and how little of it is kept.
#include "proxy/core/route_demand.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>

namespace pillion::core {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

class RouteDemandsTest : public ::testing::Test, protected RouteAsker {
 protected:
  struct Waiter final : RouteWaiter {
    void on_routes() override {
      ++woken;
      if (then) then();
    }
    int woken = 0;
    std::function<void()> then;
  };

  RouteDemandsTest() { demands.set_asker(this); }
  void ask_for_route(const RouteName& name) override { asked.push_back(name.name); }
  Waiter& waiter() { return waiters.emplace_back(); }
  bool await(Waiter& waiter, std::string_view name) {
    return demands.await(waiter, {RouteKind::kVirtualHost, name}, now);
  }

  std::vector<std::string> asked;
  Instant now{1h};
  RouteDemands demands;
  std::list<Waiter> waiters;
};

TEST_F(RouteDemandsTest, AskOnceForAllThatWaitForTheSame) {
  Waiter &a = waiter(), &b = waiter(), &c = waiter();
  EXPECT_TRUE(await(a, "t/a"));
  EXPECT_TRUE(await(b, "t/a"));
  EXPECT_TRUE(await(c, "t/c"));
  EXPECT_THAT(asked, ElementsAre("t/a", "t/c"));
  EXPECT_EQ(demands.waiting(), 3u);
  demands.wake();
  EXPECT_EQ(a.woken + b.woken + c.woken, 3);
  EXPECT_EQ(demands.waiting(), 0u);
  demands.wake();
  EXPECT_EQ(a.woken, 1) << "once";
}

TEST_F(RouteDemandsTest, DoNotAskAgainForWhoLooksAgain) {
  Waiter& a = waiter();
  a.then = [&] { EXPECT_TRUE(await(a, "t/a")); };
  EXPECT_TRUE(await(a, "t/a"));
  for (int i = 0; i < 3; ++i) demands.wake();
  EXPECT_EQ(a.woken, 3);
  EXPECT_THAT(asked, ElementsAre("t/a"));
  a.then = [&] { EXPECT_TRUE(await(a, "t/other")); };
  demands.wake();
  EXPECT_THAT(asked, ElementsAre("t/a", "t/other"));
}

TEST_F(RouteDemandsTest, DoNotWaitForWhatWasAnswered) {
  Waiter& a = waiter();
  a.then = [&] { EXPECT_FALSE(await(a, "t/a")); };
  EXPECT_TRUE(await(a, "t/a"));
  demands.answer({{RouteKind::kVirtualHost, "t/a"}}, now);
  EXPECT_EQ(a.woken, 1);
  EXPECT_FALSE(await(a, "t/a")) << "the next request neither";
  EXPECT_TRUE(demands.await(a, {RouteKind::kTable, "t/a"}, now)) << "which is something else";
  a.stop_waiting();
  now += RouteDemands::kInVainTime;
  EXPECT_TRUE(await(waiter(), "t/a")) << "it may be there by now";
}

TEST_F(RouteDemandsTest, LetWaitersLeaveAtAnyTime) {
  Waiter &a = waiter(), &b = waiter();
  EXPECT_TRUE(await(a, "t/a"));
  EXPECT_TRUE(await(b, "t/b"));
  a.then = [&] { b.stop_waiting(); };  // its stream ends with the connection of the other
  demands.wake();
  EXPECT_EQ(a.woken, 1);
  EXPECT_EQ(b.woken, 0);
  b.stop_waiting();
  EXPECT_EQ(demands.waiting(), 0u);
}

TEST_F(RouteDemandsTest, LetNotMoreWaitThanTheirBound) {
  for (size_t i = 0; i < RouteDemands::kMaxWaiting; ++i) EXPECT_TRUE(await(waiter(), "t/a"));
  EXPECT_FALSE(await(waiter(), "t/a"));
  waiters.front().stop_waiting();
  EXPECT_TRUE(await(waiter(), "t/a"));
  for (Waiter& w : waiters) w.stop_waiting();
}

TEST_F(RouteDemandsTest, KeepNotMoreNamesInVainThanTheirBound) {
  for (size_t i = 0; i < 3 * RouteDemands::kMaxInVain; ++i)
    demands.answer({{RouteKind::kVirtualHost, std::to_string(i)}}, now);
  EXPECT_FALSE(await(waiter(), std::to_string(3 * RouteDemands::kMaxInVain - 1)));
  EXPECT_TRUE(await(waiters.front(), "0")) << "forgotten";
  waiters.front().stop_waiting();
}

TEST_F(RouteDemandsTest, WithoutControlNobodyWaits) {
  demands.set_asker(nullptr);
  EXPECT_FALSE(await(waiter(), "t/a"));
  EXPECT_THAT(asked, IsEmpty());
}

TEST(AskableHosts, AreNamesAndAddresses) {
  for (const char* host : {"a", "a.b-c.example", "A.B", "a:8080", "10.0.0.1", "[::1]:80", "x_y"})
    EXPECT_TRUE(is_askable_host(host)) << host;
  for (const std::string& host :
       {std::string(), std::string("a/b"), std::string("*"), std::string("a b"), std::string("a\n"),
        std::string("\xc3\xa4"), std::string("a%2f"), std::string("a@b"), std::string(300, 'a'),
        std::string("a\0b", 3)})
    EXPECT_FALSE(is_askable_host(host)) << host;
}

}  // namespace
}  // namespace pillion::core
