#include "tests/unit/core/scripted_filters.h"

namespace pillion::core {
namespace {

using std::chrono::milliseconds;

TEST_F(FilterRunTest, RequestHooksRunInOrderAndResponseHooksInReverse) {
  make({"a", "b"});
  EXPECT_TRUE(run->on_request_head(false));
  EXPECT_TRUE(run->on_request_body("x", false));
  EXPECT_TRUE(run->on_request_trailers());
  EXPECT_EQ(take(), (Calls{"a.request_head", "b.request_head", "a.request_body x",
                           "b.request_body x", "a.request_trailers", "b.request_trailers"}));
  EXPECT_TRUE(run->on_response_head(response, false));
  EXPECT_TRUE(run->on_response_body("y", false));
  EXPECT_TRUE(run->on_response_trailers(trailers));
  EXPECT_EQ(take(), (Calls{"b.response_head", "a.response_head", "b.response_body y",
                           "a.response_body y", "b.response_trailers", "a.response_trailers"}));
  run->end();
  run->end();
  EXPECT_EQ(take(), (Calls{"a.complete", "b.complete"})) << "once";
}

// A filter of which only the head is of interest.
class HeadOnly final : public HttpFilter {
 public:
  FilterVerdict on_request_head(http::RequestHead&, bool) override {
    return FilterVerdict::kContinue;
  }
};
static_assert(hooks_of<HeadOnly>() == 1u << static_cast<unsigned>(FilterHook::kRequestHead));
static_assert(hooks_of<ScriptedFilter>() == 0x7f);

// ---- stopping ----

TEST_F(FilterRunTest, AStoppedRequestHeadKeepsAllThatFollowsBehindIt) {
  make({"a", "b"});
  stops("a.request_head");
  EXPECT_FALSE(run->on_request_head(false));
  EXPECT_FALSE(run->on_request_body("one", false));
  EXPECT_FALSE(run->on_request_body("two", true));
  EXPECT_EQ(take(), Calls{"a.request_head"});
  resume("a.request_head");
  EXPECT_EQ(take(), (Calls{"b.request_head", "pass request_head", "a.request_body onetwo end",
                           "b.request_body onetwo end", "pass request_body onetwo end"}));
  resume("a.request_head");
  EXPECT_EQ(take(), Calls{}) << "only what is stopped goes on";
}

TEST_F(FilterRunTest, AStoppedPieceOfTheBodyGoesOnBehindTheFilterThatStoppedIt) {
  make({"a", "b", "c"});
  EXPECT_TRUE(run->on_request_head(false));
  stops("b.request_body");
  take();
  EXPECT_FALSE(run->on_request_body("one", false));
  EXPECT_FALSE(run->on_request_body("two", true));
  EXPECT_EQ(take(), (Calls{"a.request_body one", "b.request_body one"}));
  script.erase("b.request_body");
  resume("b.request_body");
  EXPECT_EQ(take(), (Calls{"c.request_body one", "pass request_body one", "a.request_body two end",
                           "b.request_body two end", "c.request_body two end",
                           "pass request_body two end"}));
}

TEST_F(FilterRunTest, AnEmptyLastPieceCanBeStoppedToo) {
  make({"a", "b"});
  EXPECT_TRUE(run->on_request_head(false));
  stops("a.request_body");
  EXPECT_FALSE(run->on_request_body("", true));
  take();
  resume("a.request_body");
  EXPECT_EQ(take(), (Calls{"b.request_body  end", "pass request_body  end"}));
}

TEST_F(FilterRunTest, StoppedRequestTrailersGoOnBehindTheFilterThatStoppedThem) {
  make({"a", "b"});
  EXPECT_TRUE(run->on_request_head(false));
  stops("a.request_trailers");
  EXPECT_FALSE(run->on_request_trailers());
  take();
  resume("a.request_trailers");
  EXPECT_EQ(take(), (Calls{"b.request_trailers", "pass request_trailers"}));
}

TEST_F(FilterRunTest, TrailersWaitBehindAStoppedHead) {
  make({"a"});
  stops("a.request_head");
  EXPECT_FALSE(run->on_request_head(false));
  EXPECT_FALSE(run->on_request_body("one", false));
  EXPECT_FALSE(run->on_request_trailers());
  take();
  resume("a.request_head");
  EXPECT_EQ(take(), (Calls{"pass request_head", "a.request_body one", "pass request_body one",
                           "a.request_trailers", "pass request_trailers"}));
}

TEST_F(FilterRunTest, SeveralFiltersStopTheSameHeadOneAfterTheOther) {
  make({"a", "b"});
  stops("a.request_head");
  stops("b.request_head");
  EXPECT_FALSE(run->on_request_head(true));
  resume("a.request_head");
  EXPECT_EQ(take(), (Calls{"a.request_head end", "b.request_head end"}));
  resume("a.request_head");
  EXPECT_EQ(take(), Calls{}) << "it is b that stopped";
  resume("b.request_head");
  EXPECT_EQ(take(), Calls{"pass request_head"});
}

TEST_F(FilterRunTest, AResponseStopsAtEachOfItsHooks) {
  make({"a", "b"});
  stops("b.response_head");
  EXPECT_FALSE(run->on_response_head(response, false));
  EXPECT_FALSE(run->on_response_body("one", false));
  take();
  stops("a.response_body");
  resume("b.response_head");
  EXPECT_EQ(take(), (Calls{"a.response_head", "pass response_head", "b.response_body one",
                           "a.response_body one"}));
  EXPECT_FALSE(run->on_response_trailers(trailers));
  script.erase("a.response_body");
  stops("b.response_trailers");
  resume("a.response_body");
  EXPECT_EQ(take(), (Calls{"pass response_body one", "b.response_trailers"}));
  resume("b.response_trailers");
  EXPECT_EQ(take(), (Calls{"a.response_trailers", "pass response_trailers"}));
}

TEST_F(FilterRunTest, AnInterruptedDirectionDoesNotStopTheOther) {
  make({"a"});
  stops("a.request_body");
  EXPECT_TRUE(run->on_request_head(false));
  EXPECT_FALSE(run->on_request_body("one", false));
  EXPECT_TRUE(run->on_response_head(response, false));
  EXPECT_TRUE(run->on_response_body("answer", true));
}

// A stream that answers as soon as the head has passed, as a direct response does.
class AnswersAtOnce : public FilterRunTest {
  void pass_request_head() override {
    FilterRunTest::pass_request_head();
    (void)run->on_response_head(response, true);
  }
};

TEST_F(AnswersAtOnce, GoingOnWithTheRequestDoesNotGoOnWithAResponseThatItBrings) {
  make({"a"});
  stops("a.request_head");
  stops("a.response_head");
  EXPECT_FALSE(run->on_request_head(true));
  resume("a.request_head");
  EXPECT_EQ(take(), (Calls{"a.request_head end", "pass request_head", "a.response_head end"}));
  resume("a.response_head");
  EXPECT_EQ(take(), Calls{"pass response_head end"});
}

// ---- bounds ----

TEST_F(FilterRunTest, TheClientIsPausedWhenEnoughOfItsBodyWaits) {
  make({"a"});
  stops("a.request_head");
  EXPECT_FALSE(run->on_request_head(false));
  EXPECT_FALSE(run->on_request_body(std::string(FilterRun::kHeldLimit - 1, 'x'), false));
  EXPECT_FALSE(run->holds_request());
  EXPECT_EQ(take(), Calls{"a.request_head"});
  EXPECT_FALSE(run->on_request_body("x", false));
  EXPECT_TRUE(run->holds_request());
  EXPECT_EQ(take(), Calls{"pause request"});
  resume("a.request_head");
  EXPECT_FALSE(run->holds_request());
  EXPECT_EQ(calls.back(), "resume request");
  EXPECT_EQ(passed.size(), FilterRun::kHeldLimit);
}

TEST_F(FilterRunTest, TheUpstreamIsPausedWhenEnoughOfItsBodyWaits) {
  make({"a"});
  stops("a.response_body");
  EXPECT_TRUE(run->on_response_head(response, false));
  EXPECT_FALSE(run->on_response_body(std::string(FilterRun::kHeldLimit, 'x'), false));
  EXPECT_TRUE(run->holds_response());
  EXPECT_EQ(calls.back(), "pause response");
  script.erase("a.response_body");
  resume("a.response_body");
  EXPECT_EQ(calls.back(), "resume response");
}

// As Envoy's filters do.
TEST_F(FilterRunTest, WhatWaitsIsBoundedByTheListenersBufferLimit) {
  for (const uint32_t limit : {1u, 1000u, 10'000'000u}) {
    SCOPED_TRACE(limit);
    buffer_limit = limit;
    const size_t bound = std::min<size_t>(limit, FilterRun::kHeldLimit);
    make({"a"});
    stops("a.request_head");
    stops("a.response_head");
    EXPECT_FALSE(run->on_request_head(false));
    EXPECT_FALSE(run->on_request_body(std::string(bound - 1, 'x'), false));
    EXPECT_FALSE(run->holds_request());
    EXPECT_FALSE(run->on_request_body("x", false));
    EXPECT_TRUE(run->holds_request());
    EXPECT_FALSE(run->on_response_head(response, false));
    EXPECT_FALSE(run->on_response_body(std::string(bound, 'x'), false));
    EXPECT_TRUE(run->holds_response());
    EXPECT_EQ(stopped.at("a.request_head")->buffer_limit(), limit);
  }
}

// What is read at once may be longer than what can be kept in one piece.
TEST_F(FilterRunTest, ALongPieceIsStoppedInTheMiddle) {
  make({"a", "b"});
  EXPECT_TRUE(run->on_request_head(false));
  int left = 2;
  on("b.request_body", [&](FilterContext& context) {
    stopped["b"] = &context;
    return left-- > 0 ? FilterVerdict::kContinue : FilterVerdict::kStop;
  });
  std::string text;
  for (int i = 0; i < 60'000; ++i) text += static_cast<char>('a' + i % 26);
  EXPECT_FALSE(run->on_request_body(text, true));
  EXPECT_EQ(passed.size(), 2 * Slab::kCapacity);
  left = 100;
  resume("b");
  EXPECT_EQ(passed, text);
  EXPECT_TRUE(calls.back().ends_with(" end")) << calls.back();
}

// ---- replies ----

class ReplyAt : public FilterRunTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(ReplyAt, ARequestHookAnswersAndNothingOfTheRequestFollows) {
  make({"a", "b"});
  on(str("a.", GetParam()), replies(418));
  (void)(run->on_request_head(false) && run->on_request_body("x", false) &&
         run->on_request_trailers());
  const Calls seen = take();
  const std::vector<std::string> tail(seen.end() - 5, seen.end());
  EXPECT_EQ(tail, (Calls{"reply 418 scripted", "b.response_head end", "a.response_head end",
                         "a.complete", "b.complete"}));
  EXPECT_EQ(std::ranges::count(seen, str("b.", GetParam())), 0);
  EXPECT_FALSE(run->on_request_body("y", true));
  EXPECT_EQ(take(), Calls{}) << "no callback after the end";
}
INSTANTIATE_TEST_SUITE_P(Hooks, ReplyAt,
                         ::testing::Values("request_head", "request_body", "request_trailers"));

// As in Envoy: the filters have seen a response already, so the one that takes its place passes
// them by.
TEST_F(FilterRunTest, AResponseHeadHookReplacesTheResponse) {
  make({"a", "b"});
  on("b.response_head", replies(502));
  EXPECT_FALSE(run->on_response_head(response, false));
  EXPECT_EQ(take(), (Calls{"b.response_head", "reply 502 scripted", "a.complete", "b.complete"}));
  EXPECT_FALSE(run->on_response_body("late", true) && run->on_request_head(true))
      << "nobody is called";
}

TEST_F(FilterRunTest, ALocalReplyIsStoppedAsAnyResponse) {
  make({"a"});
  stops("a.response_head");
  on("a.request_head", replies(418));
  EXPECT_FALSE(run->on_request_head(false));
  EXPECT_FALSE(run->on_request_body("dropped", true));
  take();
  resume("a.response_head");
  EXPECT_EQ(take(), Calls{"pass response_head end"});
}

// ---- the end ----

TEST_F(FilterRunTest, NothingIsCalledAfterTheStreamEndedWhileItWaited) {
  make({"a", "b"});
  on("a.request_head", [this](FilterContext& context) {
    stopped["a"] = &context;
    context.arm_timer(milliseconds(50));
    return FilterVerdict::kStop;
  });
  EXPECT_FALSE(run->on_request_head(true));
  take();
  run->end();
  EXPECT_EQ(take(), (Calls{"a.complete", "b.complete"}));
  loop.skip(milliseconds(100));
  resume("a");
  stopped["a"]->local_reply({.status = 500});
  stopped["a"]->arm_timer(milliseconds(50));
  loop.skip(milliseconds(100));
  EXPECT_EQ(take(), Calls{});
}

TEST_F(FilterRunTest, ATimerFiresOnceAndItsFilterGoesOn) {
  make({"a"});
  on("a.request_head", [](FilterContext& context) {
    context.arm_timer(milliseconds(50));
    return FilterVerdict::kStop;
  });
  on("a.timer", [](FilterContext& context) {
    context.resume();
    return FilterVerdict::kContinue;
  });
  EXPECT_FALSE(run->on_request_head(true));
  loop.skip(milliseconds(40));
  EXPECT_EQ(take(), Calls{"a.request_head end"});
  loop.skip(milliseconds(100));
  EXPECT_EQ(take(), (Calls{"a.timer", "pass request_head"}));
}

// ---- buffering ----

class Buffering : public FilterRunTest {
 protected:
  void buffers(const std::string& name, uint64_t limit) {
    on(name + ".request_head",
       [limit](FilterContext& context) { return context.buffer_request(limit); });
  }
};

TEST_F(Buffering, TheHeadWaitsForTheWholeBodyAndThenTellsItsLength) {
  make({"a", "b"});
  buffers("a", 1 << 20);
  request_.framing = http::Framing::kChunked;
  EXPECT_FALSE(run->on_request_head(false));
  EXPECT_FALSE(run->on_request_body(std::string(100'000, 'x'), false));
  EXPECT_EQ(take(), (Calls{"a.request_head", "invite body"})) << "and never paused";
  EXPECT_FALSE(run->on_request_body("end", true));
  EXPECT_EQ(calls[0], "b.request_head");
  EXPECT_EQ(calls[1], "pass request_head");
  EXPECT_EQ(passed.size(), 100'003u);
  EXPECT_TRUE(calls.back().ends_with("end"));
  EXPECT_EQ(request_.framing, http::Framing::kLength);
  EXPECT_EQ(request_.content_length, 100'003u);
}

TEST_F(Buffering, TrailersEndTheBodyAndKeepItChunked) {
  make({"a"});
  buffers("a", 100);
  request_.framing = http::Framing::kChunked;
  EXPECT_FALSE(run->on_request_head(false));
  EXPECT_FALSE(run->on_request_body("one", false));
  EXPECT_FALSE(run->on_request_trailers());
  EXPECT_EQ(calls.back(), "pass request_trailers");
  EXPECT_EQ(request_.framing, http::Framing::kChunked);
}

TEST_F(Buffering, ARequestWithoutABodyDoesNotWait) {
  make({"a"});
  buffers("a", 1);
  EXPECT_TRUE(run->on_request_head(true));
}

struct TooLong {
  const char* name;
  uint64_t length;  // Content-Length; 0: chunked
  std::vector<size_t> pieces;
  bool refused;
};
class BufferLimit : public Buffering, public ::testing::WithParamInterface<TooLong> {};

TEST_P(BufferLimit, HoldsForKnownAndUnknownLengths) {
  make({"a"});
  buffers("a", 10);
  request_.framing = GetParam().length != 0 ? http::Framing::kLength : http::Framing::kChunked;
  request_.content_length = GetParam().length;
  bool more = run->on_request_head(false);
  EXPECT_FALSE(more);
  for (size_t i = 0; i < GetParam().pieces.size(); ++i) {
    EXPECT_FALSE(run->on_request_body(std::string(GetParam().pieces[i], 'x'),
                                      i + 1 == GetParam().pieces.size()));
  }
  EXPECT_EQ(std::ranges::count(calls, "refuse body"), GetParam().refused ? 1 : 0);
  EXPECT_EQ(std::ranges::count(calls, "pass request_head"), GetParam().refused ? 0 : 1);
}
INSTANTIATE_TEST_SUITE_P(Lengths, BufferLimit,
                         ::testing::Values(TooLong{"exact", 10, {10}, false},
                                           TooLong{"announced", 11, {}, true},
                                           TooLong{"chunked", 0, {5, 5}, false},
                                           TooLong{"chunked_too_long", 0, {5, 6}, true}),
                         [](const auto& test) { return test.param.name; });

// The one behind finds the body complete.
TEST_F(Buffering, ASecondFilterThatBuffersHasItsOwnLimit) {
  make({"a", "b"});
  buffers("a", 100);
  buffers("b", 5);
  EXPECT_FALSE(run->on_request_head(false));
  EXPECT_FALSE(run->on_request_body("123456", true));
  EXPECT_EQ(std::ranges::count(calls, "refuse body"), 1);
  EXPECT_EQ(std::ranges::count(calls, "pass request_head"), 0);
}

// ---- routes ----

class RouteOverrides : public FilterRunTest {
 protected:
  static std::unique_ptr<const route::FilterOverrides> level(route::FilterOverrides overrides) {
    return std::make_unique<const route::FilterOverrides>(std::move(overrides));
  }
  static std::shared_ptr<const route::FilterRouteConfig> config(std::string text) {
    return std::make_shared<const ScriptedRoute>(std::move(text));
  }
  void SetUp() override {
    host.table = &table;
    match = next_match = {&host, &route, &share};
  }
  route::RouteTable table{route::RouteTable::Parts{}};
  route::VirtualHost host;
  route::Route route;
  route::WeightedCluster share;
};

TEST_F(RouteOverrides, TheMostSpecificLevelThatConfiguresAFilterWins) {
  host.filters = level({{"a", config("host"), false}, {"b", config("host"), false}});
  route.filters = level({{"a", config("route"), false}});
  share.filters = level({{"c", config("share"), false}});
  make({"a", "b", "c", "d"});
  EXPECT_TRUE(run->on_request_head(true));
  EXPECT_EQ(take(), (Calls{"a.request_head(route) end", "b.request_head(host) end",
                           "c.request_head(share) end", "d.request_head end"}));
}

TEST_F(RouteOverrides, ARouteDisablesAFilterAndEnablesADisabledOne) {
  host.filters = level({{"a", nullptr, true}, {"b", nullptr, true}});
  route.filters = level({{"b", config("back"), false}, {"c", nullptr, false}});
  make({"a", "b", "c", "d"}, {"c", "d"});
  EXPECT_TRUE(run->on_request_head(true));
  EXPECT_TRUE(run->on_response_head(response, true));
  EXPECT_EQ(take(), (Calls{"b.request_head(back) end", "c.request_head end", "c.response_head end",
                           "b.response_head(back) end"}));
}

// A table that came by RDS may be meant for another list, with another filter of that name.
TEST_F(RouteOverrides, AConfigurationOfAnotherTypeIsNotTaken) {
  route.filters = level({{"a", config("other"), false, &route}});
  host.filters = level({{"a", config("host"), true}});
  int seen = 0;
  on("a.request_head", [&](FilterContext& context) {
    context.for_each_route_config([&](const route::FilterRouteConfig&) { ++seen; });
    return FilterVerdict::kContinue;
  });
  make({"a"});
  EXPECT_TRUE(run->on_request_head(true));
  EXPECT_EQ(take(), Calls{"a.request_head(host) end"}) << "it still enables the filter";
  EXPECT_EQ(seen, 1);
}

TEST_F(RouteOverrides, ThoseOfAllLevelsCanBeSeenTheMostSpecificFirst) {
  host.filters = level({{"a", config("host"), false}});
  route.filters = level({{"a", config("route"), false}});
  std::string seen;
  on("a.request_head", [&](FilterContext& context) {
    context.for_each_route_config([&](const route::FilterRouteConfig& c) {
      seen += static_cast<const ScriptedRoute&>(c).text + ' ';
    });
    return FilterVerdict::kContinue;
  });
  make({"a"});
  EXPECT_TRUE(run->on_request_head(true));
  EXPECT_EQ(seen, "route host ");
}

TEST_F(RouteOverrides, TheRouteIsChosenAgainOnlyOnDemandAndCountsForThoseBehind) {
  route::Route other;
  other.filters = level({{"b", config("other"), false}});
  next_match = {&host, &other, nullptr};
  route.filters = level({{"a", config("first"), false}, {"b", config("first"), false}});
  on("a.request_head", [](FilterContext& context) {
    context.clear_route_cache();
    return FilterVerdict::kContinue;
  });
  make({"a", "b"});
  EXPECT_EQ(take(), Calls{});
  EXPECT_TRUE(run->on_request_head(true));
  EXPECT_EQ(take(),
            (Calls{"a.request_head(first) end", "choose_route", "b.request_head(other) end"}));
}

// ---- state ----

TEST_F(FilterRunTest, FilterStateIsKeptByName) {
  make({"a"});
  on("a.request_head", [](FilterContext& context) {
    context.set_filter_state("x", "1");
    context.set_filter_state("y", "2");
    context.set_filter_state("x", "3");
    return FilterVerdict::kContinue;
  });
  EXPECT_TRUE(run->on_request_head(true));
  ASSERT_NE(info_.filter_state, nullptr);
  EXPECT_EQ(info_.filter_state->key, "y");
  ASSERT_NE(info_.filter_state->next, nullptr);
  EXPECT_EQ(info_.filter_state->next->value, "3");
  EXPECT_EQ(info_.filter_state->next->next, nullptr);
}

}  // namespace
}  // namespace pillion::core
