#include "proxy/telemetry/sampling.h"

#include <gtest/gtest.h>

#include "proxy/base/str.h"

namespace pillion::telemetry {
namespace {

using http::HeaderId;

struct Request {
  explicit Request(std::string_view id) : head(arena) {
    if (!id.empty()) head.headers.add(HeaderId::kXRequestId, id);
  }
  TraceDecision decide(const SamplingOptions& options, Sampled parent = Sampled::kUnsaid,
                       RequestIdRole role = {}) {
    TraceContext context;
    context.sampled = parent;
    return decide_trace(head, context, options, role, rng);
  }
  [[nodiscard]] std::string_view id() const { return head.headers.get(HeaderId::kXRequestId); }
  Arena arena;
  http::RequestHead head;
  Rng rng{1};
};

// The first eight digits are the dice: 0x00000bb8 is 3000 of 10,000.
constexpr std::string_view kId = "00000bb8-0000-4000-8000-000000000000";
constexpr std::string_view kSampledId = "00000bb8-0000-9000-8000-000000000000";

TEST(Sampling, TheRequestIdIsTheDice) {
  EXPECT_FALSE(Request(kId).decide({.random = 3000}).sampled);
  EXPECT_TRUE(Request(kId).decide({.random = 3001}).sampled);
  EXPECT_FALSE(Request(kId).decide({.random = 0}).sampled);
}

TEST(Sampling, OverallSamplingLimitsEveryReason) {
  EXPECT_FALSE(Request(kId).decide({.overall = 3000}).sampled);
  EXPECT_FALSE(Request(kSampledId).decide({.overall = 3000}).sampled);
  EXPECT_FALSE(Request(kId).decide({.overall = 3000}, Sampled::kYes).sampled) << "the caller's too";
  EXPECT_TRUE(Request(kId).decide({.overall = 3001}, Sampled::kYes).sampled);
}

TEST(Sampling, TheCallersDecisionCountsBeforeOurs) {
  EXPECT_TRUE(Request(kId).decide({.random = 0}, Sampled::kYes).sampled);
  EXPECT_FALSE(Request(kId).decide({}, Sampled::kNo).sampled);
}

TEST(Sampling, TheReasonTravelsInTheRequestId) {
  struct Case {
    std::string_view in;
    std::string_view field;
    TraceReason reason;
    char digit;
  };
  for (const Case& c : {Case{kId, "", TraceReason::kSampling, '9'},
                        Case{kId, "x-envoy-force-trace", TraceReason::kServiceForced, 'a'},
                        Case{kId, "x-client-trace-id", TraceReason::kClientForced, 'b'},
                        Case{kSampledId, "x-client-trace-id", TraceReason::kSampling, '9'}}) {
    Request request(c.in);
    if (!c.field.empty()) request.head.headers.add(c.field, "1");
    EXPECT_EQ(request.decide({}).reason, c.reason) << c.field;
    EXPECT_EQ(request.id()[14], c.digit) << c.field;
  }
  Request refused(kSampledId);
  EXPECT_FALSE(refused.decide({.overall = 0}).sampled);
  EXPECT_EQ(refused.id(), kId) << "those behind us need not think about it";
  Request untouched(kId);
  EXPECT_TRUE(untouched.decide({}, Sampled::kUnsaid, {.carries_reason = false}).sampled);
  EXPECT_EQ(untouched.id(), kId);
}

TEST(Sampling, AnIdThatIsNoNumberIsNotTraceable) {
  for (const std::string_view id : {"", "abc", "zzzzzzzz-0000-4000-8000-000000000000"}) {
    Request request(id);
    EXPECT_EQ(request.decide({}).reason, TraceReason::kNotTraceable) << id;
    EXPECT_EQ(request.id(), id);
  }
  EXPECT_TRUE(Request("").decide({}, Sampled::kYes).sampled) << "the caller knows better";
  EXPECT_TRUE(Request("").decide({.random = 0}, Sampled::kUnsaid, {.samples = false}).sampled);
}

TEST(Sampling, ClientSamplingIsAShareOfThoseThatAsk) {
  int traced = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Request request(kId);
    request.rng = Rng(seed);
    request.head.headers.add(HeaderId::kXClientTraceId, "1");
    if (request.decide({.client = 5000, .random = 0}).sampled) ++traced;
  }
  EXPECT_GT(traced, 400);
  EXPECT_LT(traced, 600);
}

}  // namespace
}  // namespace pillion::telemetry
