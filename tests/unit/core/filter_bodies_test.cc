// Filters that change bodies: pieces replaced, trailers made a last piece, responses that wait
// until they are complete, requests that get a body.
#include "tests/unit/core/scripted_filters.h"

namespace pillion::core {
namespace {

class FilterBodies : public FilterRunTest {
 protected:
  static FilterVerdict go(FilterContext&) { return FilterVerdict::kContinue; }
  void replaces_request(const std::string& filter, std::string by) {
    texts.push_back(std::make_unique<std::string>(std::move(by)));
    on(filter + ".request_body", [text = texts.back().get()](FilterContext& context) {
      context.replace_request_body(*text);
      return FilterVerdict::kContinue;
    });
  }
  void replaces_response(const std::string& filter, std::string_view hook, std::string by) {
    texts.push_back(std::make_unique<std::string>(std::move(by)));
    on(str(filter, '.', hook), [text = texts.back().get()](FilterContext& context) {
      context.replace_response_body(*text);
      return FilterVerdict::kContinue;
    });
  }
  void buffers_response(const std::string& filter, uint64_t limit) {
    on(filter + ".response_head",
       [limit](FilterContext& context) { return context.buffer_response(limit); });
    on(filter + ".response_buffered", go);
  }
  std::vector<std::unique_ptr<std::string>> texts;  // the filters' memory
};

TEST_F(FilterBodies, AReplacedPieceGoesToTheFiltersBehindAndOut) {
  make({"a", "b", "c"});
  replaces_request("b", "longer than it");
  EXPECT_TRUE(run->on_request_head(false));
  take();
  EXPECT_FALSE(run->on_request_body("one", false));
  EXPECT_FALSE(run->on_request_body("two", true));
  EXPECT_EQ(
      take(),
      (Calls{"a.request_body one", "b.request_body one", "c.request_body longer than it",
             "pass request_body longer than it", "a.request_body two end", "b.request_body two end",
             "c.request_body longer than it end", "pass request_body longer than it end"}));
}

TEST_F(FilterBodies, OfAPieceThatIsTakenNothingGoesOnButTheEnd) {
  make({"a", "b"});
  replaces_response("b", "response_body", "");
  EXPECT_TRUE(run->on_response_head(response, false));
  take();
  EXPECT_FALSE(run->on_response_body("one", false));
  EXPECT_FALSE(run->on_response_body("two", true));
  EXPECT_EQ(take(), (Calls{"b.response_body one", "b.response_body two end", "a.response_body  end",
                           "pass response_body  end"}));
}

TEST_F(FilterBodies, ALargePieceIsReplacedInParts) {
  make({"a"});
  EXPECT_TRUE(run->on_request_head(false));
  take();
  const std::string large(Slab::kCapacity + 10, 'x');
  replaces_request("a", "y");
  EXPECT_FALSE(run->on_request_body(large, true));
  EXPECT_EQ(passed, "yy");
  EXPECT_EQ(take().back(), "pass request_body y end");
}

// What it was replaced by lies in the filter that did so; a part of the piece would be gone.
TEST_F(FilterBodies, AReplacedPieceCanBeStoppedBehindTheFilterThatReplacedIt) {
  for (const bool is_part : {false, true}) {
    SCOPED_TRACE(is_part);
    make({"a", "b"});
    stopped.clear();
    passed.clear();
    EXPECT_TRUE(run->on_request_head(false));
    replaces_request("a", "changed");
    std::string scratch = "onetwo";
    if (is_part) {
      on("a.request_body", [&scratch](FilterContext& context) {
        context.replace_request_body(std::string_view(scratch).substr(3));
        return FilterVerdict::kContinue;
      });
    }
    stops("b.request_body");
    EXPECT_FALSE(run->on_request_body(scratch, false));
    script.erase("a.request_body");
    scratch = "gone, with all that it held";
    EXPECT_FALSE(run->on_request_body("three", true));
    script.erase("b.request_body");
    take();
    resume("b.request_body");
    EXPECT_EQ(take(), (Calls{str("pass request_body ", is_part ? "two" : "changed"),
                             "a.request_body three end", "b.request_body three end",
                             "pass request_body three end"}));
  }
}

TEST_F(FilterBodies, AFilterMayStopThePieceThatItReplaces) {
  make({"a", "b"});
  EXPECT_TRUE(run->on_request_head(false));
  std::string text = "mine";
  FilterContext* waiting = nullptr;
  on("a.request_body", [&](FilterContext& context) {
    context.replace_request_body(text);
    waiting = &context;
    return FilterVerdict::kStop;
  });
  EXPECT_FALSE(run->on_request_body("one", true));
  take();
  waiting->resume();
  EXPECT_EQ(take(), (Calls{"b.request_body mine end", "pass request_body mine end"}));
}

TEST_F(FilterBodies, WhatWaitedIsReplacedWhenItGoesOn) {
  make({"a", "b"});
  stops("b.response_head");
  replaces_response("a", "response_body", "x");
  EXPECT_FALSE(run->on_response_head(response, false));
  EXPECT_FALSE(run->on_response_body("one", false));
  EXPECT_FALSE(run->on_response_trailers(trailers));
  take();
  resume("b.response_head");
  EXPECT_EQ(take(), (Calls{"a.response_head", "pass response_head", "b.response_body one",
                           "a.response_body one", "pass response_body x", "b.response_trailers",
                           "a.response_trailers", "pass response_trailers"}));
}

// ---- trailers ----

TEST_F(FilterBodies, TrailersBecomeTheLastPieceForThoseBehind) {
  make({"a", "b", "c"});
  replaces_response("b", "response_trailers", "tail");
  EXPECT_TRUE(run->on_response_head(response, false));
  EXPECT_TRUE(run->on_response_body("one", false));
  take();
  EXPECT_FALSE(run->on_response_trailers(trailers));
  EXPECT_EQ(take(), (Calls{"c.response_trailers", "b.response_trailers", "a.response_body tail end",
                           "pass response_body tail end"}));
}

TEST_F(FilterBodies, ATailCanBeStoppedAndReplacedAgain) {
  make({"a", "b", "c"});
  replaces_response("c", "response_trailers", "tail");
  replaces_response("b", "response_body", "other tail");
  stops("a.response_body");
  EXPECT_TRUE(run->on_response_head(response, false));
  EXPECT_FALSE(run->on_response_trailers(trailers));
  EXPECT_EQ(take(),
            (Calls{"c.response_head", "b.response_head", "a.response_head", "c.response_trailers",
                   "b.response_body tail end", "a.response_body other tail end"}));
  resume("a.response_body");
  EXPECT_EQ(take(), Calls{"pass response_body other tail end"});
  resume("a.response_body");
  EXPECT_EQ(take(), Calls{});
}

TEST_F(FilterBodies, ATailWaitsBehindWhatIsStopped) {
  make({"a", "b"});
  replaces_response("b", "response_trailers", "tail");
  stops("a.response_body");
  EXPECT_TRUE(run->on_response_head(response, false));
  EXPECT_FALSE(run->on_response_body("one", false));
  EXPECT_FALSE(run->on_response_trailers(trailers));
  script.erase("a.response_body");
  take();
  resume("a.response_body");
  EXPECT_EQ(take(), (Calls{"pass response_body one", "b.response_trailers",
                           "a.response_body tail end", "pass response_body tail end"}));
}

// ---- responses that wait ----

TEST_F(FilterBodies, ABufferedResponseGoesOnWhenItIsComplete) {
  make({"a", "b", "c"});
  buffers_response("b", 100);
  EXPECT_FALSE(run->on_response_head(response, false));
  EXPECT_FALSE(run->on_response_body("one", false));
  EXPECT_FALSE(run->on_response_body("two", false));
  EXPECT_EQ(take(), (Calls{"c.response_head", "b.response_head"}));
  EXPECT_FALSE(run->on_response_trailers(trailers));
  EXPECT_EQ(take(),
            (Calls{"b.response_buffered 6 trailers", "a.response_head", "pass response_head",
                   "c.response_body onetwo", "b.response_body onetwo", "a.response_body onetwo",
                   "pass response_body onetwo", "c.response_trailers", "b.response_trailers",
                   "a.response_trailers", "pass response_trailers"}));
}

TEST_F(FilterBodies, ABufferedResponseIsNotPausedByTheUsualBound) {
  make({"a"});
  buffers_response("a", 10 * FilterRun::kHeldLimit);
  EXPECT_FALSE(run->on_response_head(response, false));
  const std::string piece(FilterRun::kHeldLimit, 'x');
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(run->on_response_body(piece, i == 9));
  const Calls calls_made = take();
  EXPECT_EQ(calls_made[1], str("a.response_buffered ", 10 * FilterRun::kHeldLimit));
  EXPECT_EQ(std::ranges::count(calls_made, "pause response"), 0);
}

TEST_F(FilterBodies, AResponseLongerThanTheLimitIsShownAsFarAsItCame) {
  make({"a"});
  buffers_response("a", 5);
  EXPECT_FALSE(run->on_response_head(response, false));
  EXPECT_FALSE(run->on_response_body("12345", false));
  EXPECT_EQ(take(), Calls{"a.response_head"});
  EXPECT_FALSE(run->on_response_body("6", false));
  EXPECT_EQ(take(), (Calls{"a.response_buffered 6 of more", "pass response_head",
                           "a.response_body 123456", "pass response_body 123456"}));
  EXPECT_TRUE(run->on_response_body("7", true)) << "the rest streams";
}

TEST_F(FilterBodies, AResponseThatIsTooLongCanBeRefused) {
  make({"a", "b"});
  buffers_response("a", 5);
  on("a.response_buffered", [](FilterContext& context) {
    context.refuse_response();
    return FilterVerdict::kStop;
  });
  EXPECT_FALSE(run->on_response_head(response, false));
  take();
  EXPECT_FALSE(run->on_response_body("123456", true));
  EXPECT_EQ(take(), (Calls{"a.response_buffered 6 of more", "refuse response", "reply 500 too_long",
                           "a.complete", "b.complete"}));
}

// The head goes on as the end of the response, whatever was there and is still to come.
TEST_F(FilterBodies, TheBodyOfABufferedResponseCanBeDropped) {
  for (const bool is_complete : {false, true}) {
    SCOPED_TRACE(is_complete);
    make({"a", "b", "c"});
    buffers_response("b", 5);
    on("b.response_buffered", [](FilterContext& context) {
      context.drop_response_body();
      return FilterVerdict::kContinue;
    });
    EXPECT_FALSE(run->on_response_head(response, false));
    take();
    if (is_complete) {
      EXPECT_FALSE(run->on_response_body("123", false));
      EXPECT_FALSE(run->on_response_trailers(trailers));
    } else {
      EXPECT_FALSE(run->on_response_body("123456", false));
    }
    EXPECT_EQ(take(), (Calls{is_complete ? "b.response_buffered 3 trailers"
                                         : "b.response_buffered 6 of more",
                             "give up response", "a.response_head end", "pass response_head end"}));
  }
}

TEST_F(FilterBodies, AHeadWhoseBodyWasDroppedMayWait) {
  make({"a", "b"});
  buffers_response("b", 5);
  on("b.response_buffered", [](FilterContext& context) {
    context.drop_response_body();
    return FilterVerdict::kContinue;
  });
  stops("a.response_head");
  EXPECT_FALSE(run->on_response_head(response, false));
  EXPECT_FALSE(run->on_response_body("123456", false));
  take();
  resume("a.response_head");
  EXPECT_EQ(take(), Calls{"pass response_head end"});
}

TEST_F(FilterBodies, AResponseWithoutABodyIsNotBuffered) {
  make({"a"});
  buffers_response("a", 5);
  EXPECT_TRUE(run->on_response_head(response, true));
  EXPECT_EQ(take(), Calls{"a.response_head end"});
}

// All of it waited at another filter already.
TEST_F(FilterBodies, AResponseThatIsThereAlreadyIsShownAtOnce) {
  make({"a", "b"});
  buffers_response("a", 100);
  stops("b.response_head");
  EXPECT_FALSE(run->on_response_head(response, false));
  EXPECT_FALSE(run->on_response_body("one", true));
  take();
  resume("b.response_head");
  EXPECT_EQ(take(), (Calls{"a.response_head", "a.response_buffered 3", "pass response_head",
                           "b.response_body one end", "a.response_body one end",
                           "pass response_body one end"}));
}

// ---- requests ----

TEST_F(FilterBodies, AFilterIsToldWhenTheRequestThatItAskedForIsThere) {
  make({"a"});
  on("a.request_head", [](FilterContext& context) { return context.buffer_request(100); });
  on("a.request_buffered", go);
  EXPECT_FALSE(run->on_request_head(false));
  EXPECT_FALSE(run->on_request_body("one", false));
  EXPECT_FALSE(run->on_request_body("two", true));
  EXPECT_EQ(take(),
            (Calls{"a.request_head", "invite body", "a.request_buffered 6", "pass request_head",
                   "a.request_body onetwo end", "pass request_body onetwo end"}));
  EXPECT_EQ(request_.content_length, 6u);
}

TEST_F(FilterBodies, ARequestThatHasNoneIsGivenABody) {
  make({"a", "b"});
  on("a.request_head", [](FilterContext& context) {
    context.add_request_body("mine");
    return FilterVerdict::kContinue;
  });
  EXPECT_FALSE(run->on_request_head(true));
  EXPECT_EQ(take(), (Calls{"a.request_head end", "extend request", "b.request_head",
                           "pass request_head", "a.request_body mine end",
                           "b.request_body mine end", "pass request_body mine end"}));
}

TEST_F(FilterBodies, AGivenBodyWaitsBehindAStoppedHead) {
  make({"a", "b"});
  on("a.request_head", [](FilterContext& context) {
    context.add_request_body("mine");
    return FilterVerdict::kContinue;
  });
  stops("b.request_head");
  EXPECT_FALSE(run->on_request_head(true));
  take();
  resume("b.request_head");
  EXPECT_EQ(take(), (Calls{"pass request_head", "a.request_body mine end",
                           "b.request_body mine end", "pass request_body mine end"}));
}

}  // namespace
}  // namespace pillion::core
