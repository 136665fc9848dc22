#include "proxy/telemetry/trace_context.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/base/str.h"

namespace pillion::telemetry {
namespace {

constexpr TraceId kTrace{0x4bf92f3577b34da6, 0xa3ce929d0e0e4736};
constexpr uint64_t kSpan = 0x00f067aa0ba902b7;
const std::string kIds = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

struct Fields {
  Fields(std::initializer_list<std::pair<std::string_view, std::string_view>> list)
      : headers(arena) {
    for (const auto& [name, value] : list) headers.add_copy(name, value);
  }
  Arena arena;
  http::Headers headers;
};

TEST(TraceContext, ReadsATraceparent) {
  TraceContext context;
  ASSERT_TRUE(parse_traceparent(str("00-", kIds, "-01"), context));
  EXPECT_EQ(context.trace, kTrace);
  EXPECT_EQ(context.span, kSpan);
  EXPECT_EQ(context.sampled, Sampled::kYes);
  ASSERT_TRUE(parse_traceparent(str("00-", kIds, "-02"), context));
  EXPECT_EQ(context.sampled, Sampled::kNo) << "only the lowest flag says sampled";
  EXPECT_TRUE(context.random);
  // A version that we do not know is read as far as we know it.
  EXPECT_TRUE(parse_traceparent(str("cc-", kIds, "-01"), context));
  EXPECT_TRUE(parse_traceparent(str("cc-", kIds, "-01-what-the-future-brings"), context));
}

TEST(TraceContext, RefusesAMalformedTraceparent) {
  const std::string zero_trace = str("00-", std::string(32, '0'), "-00f067aa0ba902b7-01");
  const std::string zero_span = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
  for (const std::string& text :
       {std::string(), std::string("00"), str("ff-", kIds, "-01"), str("00-", kIds, "-1"),
        str("00-", kIds, "-01-"), str("00-", kIds, "-01-x"), str("00-", kIds, "-0g"),
        str("0G-", kIds, "-01"), str("cc-", kIds, "-01x"), zero_trace, zero_span,
        std::string("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
        str("00_", kIds, "-01"), str(" 00-", kIds, "-01"), str("00-", kIds, "-01 ")}) {
    TraceContext context;
    EXPECT_FALSE(parse_traceparent(text, context)) << text;
    EXPECT_FALSE(context.has_parent());
  }
}

TEST(TraceContext, ReadsB3InOneField) {
  struct Case {
    std::string text;
    TraceId trace;
    Sampled sampled;
  };
  for (const Case& c :
       {Case{str(kIds, "-1"), kTrace, Sampled::kYes}, Case{str(kIds, "-0"), kTrace, Sampled::kNo},
        Case{str(kIds, "-d"), kTrace, Sampled::kYes}, Case{kIds, kTrace, Sampled::kUnsaid},
        Case{str(kIds, "-1-05e3ac9a4f6e3b90"), kTrace, Sampled::kYes},
        Case{"a3ce929d0e0e4736-00f067aa0ba902b7-1", {0, kTrace.low}, Sampled::kYes},
        Case{"0", {}, Sampled::kNo}, Case{"1", {}, Sampled::kYes}, Case{"d", {}, Sampled::kYes}}) {
    TraceContext context;
    ASSERT_TRUE(parse_b3(c.text, context)) << c.text;
    EXPECT_EQ(context.trace, c.trace) << c.text;
    EXPECT_EQ(context.span, c.trace.is_valid() ? kSpan : 0) << c.text;
    EXPECT_EQ(context.sampled, c.sampled) << c.text;
  }
  for (const std::string& text :
       {std::string(), std::string("2"), std::string("x"), std::string("-"), str(kIds, "-"),
        str(kIds, "-2"), str(kIds, "-1-"), str(kIds, "-1-05e3"), str(kIds, "-1-05e3ac9a4f6e3b90x"),
        std::string("4bf92f3577b34da6a3ce929d0e0e4736"), std::string("abc-00f067aa0ba902b7-1"),
        str(std::string(32, '0'), "-00f067aa0ba902b7-1")}) {
    TraceContext context;
    EXPECT_FALSE(parse_b3(text, context)) << text;
  }
}

TEST(TraceContext, ReadsB3InManyFields) {
  const Fields full{{"x-b3-traceid", "4bf92f3577b34da6a3ce929d0e0e4736"},
                    {"x-b3-spanid", "00f067aa0ba902b7"},
                    {"x-b3-sampled", "1"}};
  const TraceContext context = read_trace_context(full.headers);
  EXPECT_EQ(context.form, TraceForm::kB3Multi);
  EXPECT_EQ(context.trace, kTrace);
  EXPECT_EQ(context.sampled, Sampled::kYes);
  const Fields debug{{"x-b3-traceid", "a3ce929d0e0e4736"},
                     {"x-b3-spanid", "00f067aa0ba902b7"},
                     {"x-b3-flags", "1"}};
  EXPECT_EQ(read_trace_context(debug.headers).sampled, Sampled::kYes);
  const Fields denied{{"x-b3-sampled", "0"}};
  EXPECT_EQ(read_trace_context(denied.headers).sampled, Sampled::kNo);
  EXPECT_FALSE(read_trace_context(denied.headers).has_parent());
  const Fields half{{"x-b3-traceid", "a3ce929d0e0e4736"}, {"x-b3-sampled", "1"}};
  EXPECT_EQ(read_trace_context(half.headers).form, TraceForm::kNone) << "an id without a span";
}

TEST(TraceContext, PrefersTraceparentEvenWhereItIsMalformed) {
  // Two opinions: whoever wrote the newer form knows of both.
  const Fields both{{"b3", "a3ce929d0e0e4736-00f067aa0ba902b7-1"},
                    {"traceparent", str("00-", kIds, "-01")}};
  EXPECT_EQ(read_trace_context(both.headers).trace, kTrace);
  const Fields malformed{{"b3", "a3ce929d0e0e4736-00f067aa0ba902b7-1"}, {"traceparent", "00-1"}};
  EXPECT_TRUE(read_trace_context(malformed.headers).malformed);
  EXPECT_FALSE(read_trace_context(malformed.headers).has_parent());
  const std::string parent = str("00-", kIds, "-01");
  const Fields twice{{"traceparent", parent}, {"traceparent", parent}};
  EXPECT_TRUE(read_trace_context(twice.headers).malformed);
}

TEST(TraceContext, ChecksATracestate) {
  std::string many = "k0=v";
  for (int i = 1; i < 32; ++i) many += str(",k", i, "=v");
  for (const std::string& text :
       {std::string("a=1"), std::string("a=1,b=2"), std::string("a=1 , b=2,,"),
        std::string("t@v=x;y:z"), many,
        str("a=", std::string(256, 'x'), ",b=", std::string(256, 'y')), std::string()}) {
    EXPECT_TRUE(is_valid_tracestate(text)) << text;
  }
  for (const std::string& text :
       {std::string("a"), std::string("=1"), std::string("a="), std::string("A=1"),
        std::string("a=1=2"), std::string("a=\x01"), std::string("-a=1"), many + ",more=1",
        str("a=", std::string(257, 'x'))}) {
    EXPECT_FALSE(is_valid_tracestate(text)) << text;
  }
}

TEST(TraceContext, WritesWhatItReads) {
  struct Case {
    TraceForm form;
    Fields came;  // in this form
  };
  for (Case& c : std::array{Case{TraceForm::kW3c, {}}, Case{TraceForm::kB3Single, {{"b3", "0"}}},
                            Case{TraceForm::kB3Multi, {{"x-b3-sampled", "0"}}}}) {
    http::Headers& headers = c.came.headers;
    write_trace_context(headers, {kTrace, kSpan, 7, true});
    EXPECT_EQ(headers.get(http::HeaderId::kTraceparent), str("00-", kIds, "-01"));
    if (c.form != TraceForm::kW3c) headers.remove(http::HeaderId::kTraceparent);
    const TraceContext context = read_trace_context(headers);
    EXPECT_EQ(context.form, c.form);
    EXPECT_EQ(context.trace, kTrace);
    EXPECT_EQ(context.span, kSpan);
    EXPECT_EQ(context.sampled, Sampled::kYes);
  }
}

// Whoever reads the other form shall not take the caller for its parent.
TEST(TraceContext, WritesEachFormThatCame) {
  Fields all{{"traceparent", str("00-", kIds, "-01")},
             {"b3", str(kIds, "-1")},
             {"x-b3-traceid", kIds.substr(0, 32)},
             {"x-b3-spanid", kIds.substr(33)},
             {"x-b3-sampled", "1"}};
  write_trace_context(all.headers, {kTrace, 0xabc, kSpan, true});
  const std::string ids = "4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc";
  EXPECT_EQ(all.headers.get(http::HeaderId::kTraceparent), str("00-", ids, "-01"));
  EXPECT_EQ(all.headers.get(http::HeaderId::kB3), str(ids, "-1-00f067aa0ba902b7"));
  EXPECT_EQ(all.headers.get(http::HeaderId::kXB3SpanId), "0000000000000abc");
  EXPECT_EQ(all.headers.get(http::HeaderId::kXB3ParentSpanId), "00f067aa0ba902b7");
}

TEST(TraceContext, TheRandomFlagGoesOn) {
  Fields fields{};
  write_trace_context(fields.headers, {.trace = kTrace, .span = kSpan, .random = true});
  EXPECT_EQ(fields.headers.get(http::HeaderId::kTraceparent), str("00-", kIds, "-02"));
}

TEST(TraceContext, DebugGoesOnUnlessTheRequestIsNotSampled) {
  for (const bool sampled : {true, false}) {
    Fields single{{"b3", str(kIds, "-d")}};
    Fields many{{"x-b3-traceid", kIds.substr(0, 32)},
                {"x-b3-spanid", kIds.substr(33)},
                {"x-b3-sampled", "1"},
                {"x-b3-flags", "1"}};
    for (Fields* fields : {&single, &many}) {
      const TraceContext context = read_trace_context(fields->headers);
      EXPECT_TRUE(context.debug);
      write_trace_context(
          fields->headers,
          {.trace = kTrace, .span = kSpan, .sampled = sampled, .debug = context.debug});
    }
    const http::Headers& headers = many.headers;
    EXPECT_EQ(single.headers.get(http::HeaderId::kB3), str(kIds, sampled ? "-d" : "-0"));
    EXPECT_EQ(headers.get(http::HeaderId::kXB3Flags), sampled ? "1" : "");
    EXPECT_EQ(headers.get(http::HeaderId::kXB3Sampled), sampled ? "" : "0");
  }
}

TEST(TraceContext, MakesIdsOfWhichNoHalfIsZero) {
  Rng rng(7);
  for (int i = 0; i < 1000; ++i) {
    const TraceId id = make_trace_id(rng);
    EXPECT_NE(id.high, 0u);
    EXPECT_NE(id.low, 0u);
    EXPECT_NE(make_span_id(rng), 0u);
  }
}

}  // namespace
}  // namespace pillion::telemetry
