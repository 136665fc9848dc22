#include "proxy/telemetry/access_log_filter.h"

#include <gtest/gtest.h>

#include "proxy/base/response_flags.h"
#include "tests/unit/telemetry/config.h"
#include "tests/unit/telemetry/sample.h"

namespace pillion::telemetry {
namespace {

// Does the filter let the stream through?  Fails the test if the text is no filter.
bool passes(std::string_view yaml, const core::StreamInfo& info) {
  Text text(yaml);
  const auto filter = parse_access_log_filter(text.root());
  EXPECT_EQ(text.messages(), "");
  EXPECT_EQ(text.unfinished(), 0u) << yaml;
  return filter != nullptr && filter->matches(info);
}
std::string errors(std::string_view yaml) {
  Text text(yaml);
  (void)parse_access_log_filter(text.root());
  return text.messages();
}

TEST(AccessLogFilter, ComparesTheStatus) {
  Sample sample;
  constexpr std::string_view kAtLeast400 =
      "status_code_filter: { comparison: { op: GE, value: { default_value: 400, runtime_key: x } } "
      "}";
  EXPECT_FALSE(passes(kAtLeast400, sample.info));
  sample.info.response_code = 400;
  EXPECT_TRUE(passes(kAtLeast400, sample.info));
  EXPECT_TRUE(
      passes("status_code_filter: { comparison: { value: { default_value: 400 } } }", sample.info))
      << "EQ";
  EXPECT_TRUE(
      passes("status_code_filter: { comparison: { op: LE, value: { default_value: 400 } } }",
             sample.info));
  EXPECT_FALSE(
      passes("status_code_filter: { comparison: { op: NE, value: { default_value: 400 } } }",
             sample.info));
}

TEST(AccessLogFilter, ComparesTheDurationInMilliseconds) {
  Sample sample;
  EXPECT_TRUE(passes("duration_filter: { comparison: { op: EQ, value: { default_value: 12 } } }",
                     sample.info));
  EXPECT_FALSE(passes("duration_filter: { comparison: { op: GE, value: { default_value: 13 } } }",
                      sample.info));
  sample.make_tcp();
  EXPECT_TRUE(passes("duration_filter: { comparison: { op: EQ, value: { default_value: 512 } } }",
                     sample.info));
}

TEST(AccessLogFilter, KnowsHealthChecksAndTraces) {
  Sample sample;
  EXPECT_TRUE(passes("not_health_check_filter: {}", sample.info));
  sample.info.is_health_check = true;
  EXPECT_FALSE(passes("not_health_check_filter: {}", sample.info));
  EXPECT_FALSE(passes("traceable_filter: {}", sample.info)) << "nothing is traced";
}

TEST(AccessLogFilter, SamplesByTheRequestId) {
  Sample sample;
  constexpr std::string_view kHalf =
      "runtime_filter: { runtime_key: k, percent_sampled: { numerator: 50 } }";
  const bool first = passes(kHalf, sample.info);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(passes(kHalf, sample.info), first) << "the same request, the same choice";
  int passed = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string id = "request-" + std::to_string(i);
    sample.info.stream_id = id;
    passed += passes(kHalf, sample.info) ? 1 : 0;
  }
  EXPECT_NEAR(passed, 1000, 150);
  EXPECT_TRUE(passes("runtime_filter: { runtime_key: k, percent_sampled: { numerator: 100 } }",
                     sample.info));
  EXPECT_FALSE(
      passes("runtime_filter: { runtime_key: k, percent_sampled: { numerator: 0 }, "
             "use_independent_randomness: true }",
             sample.info));
}

TEST(AccessLogFilter, MatchesHeaders) {
  Sample sample;
  EXPECT_TRUE(
      passes("header_filter: { header: { name: user-agent, string_match: { prefix: curl } } }",
             sample.info));
  EXPECT_FALSE(passes("header_filter: { header: { name: user-agent, string_match: { exact: x } } }",
                      sample.info));
  sample.make_tcp();
  EXPECT_FALSE(
      passes("header_filter: { header: { name: user-agent, string_match: { prefix: curl } } }",
             sample.info));
}

TEST(AccessLogFilter, MatchesResponseFlags) {
  Sample sample;
  EXPECT_FALSE(passes("response_flag_filter: {}", sample.info));
  sample.info.failure = {FailureKind::kNoRoute};
  EXPECT_TRUE(passes("response_flag_filter: {}", sample.info)) << "any flag";
  EXPECT_TRUE(passes("response_flag_filter: { flags: [ UH, NR ] }", sample.info));
  EXPECT_FALSE(passes("response_flag_filter: { flags: [ UH ] }", sample.info));
  sample.info.flags = flag_bit(ResponseFlag::kNoHealthyUpstream);
  EXPECT_TRUE(passes("response_flag_filter: { flags: [ UH ] }", sample.info));
}

TEST(AccessLogFilter, MatchesLogTypes) {
  Sample sample;
  EXPECT_TRUE(passes("log_type_filter: { types: [ DownstreamEnd ] }", sample.info));
  EXPECT_FALSE(passes("log_type_filter: { types: [ DownstreamEnd ], exclude: true }", sample.info));
  EXPECT_FALSE(
      passes("log_type_filter: { types: [ TcpConnectionEnd, DownstreamStart ] }", sample.info));
  sample.make_tcp();
  EXPECT_TRUE(passes("log_type_filter: { types: [ TcpConnectionEnd ] }", sample.info));
}

TEST(AccessLogFilter, MatchesGrpcStatus) {
  Sample sample;
  sample.request.headers.add_copy("content-type", "application/grpc");
  sample.trailers.add_copy("grpc-status", "5");
  EXPECT_TRUE(passes("grpc_status_filter: { statuses: [ NOT_FOUND ] }", sample.info));
  EXPECT_FALSE(passes("grpc_status_filter: { statuses: [ OK ] }", sample.info));
  EXPECT_TRUE(passes("grpc_status_filter: { statuses: [ OK ], exclude: true }", sample.info));
}

TEST(AccessLogFilter, CombinesFilters) {
  const Sample sample;
  constexpr std::string_view kTrue = "{ not_health_check_filter: {} }";
  constexpr std::string_view kFalse = "{ traceable_filter: {} }";
  const auto combine = [](std::string_view kind, std::string_view a, std::string_view b) {
    return std::string(kind) + ": { filters: [ " + std::string(a) + ", " + std::string(b) + " ] }";
  };
  EXPECT_TRUE(passes(combine("and_filter", kTrue, kTrue), sample.info));
  EXPECT_FALSE(passes(combine("and_filter", kTrue, kFalse), sample.info));
  EXPECT_TRUE(passes(combine("or_filter", kFalse, kTrue), sample.info));
  EXPECT_FALSE(passes(combine("or_filter", kFalse, kFalse), sample.info));
}

TEST(AccessLogFilter, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(errors("{}"), "t:1:1: expected a kind of filter, got a mapping\n");
  EXPECT_NE(errors("extension_filter: { name: cel }")
                .find("extension_filter: known to Envoy v3 but not supported"),
            std::string::npos);
  EXPECT_NE(errors("metadata_filter: {}").find("known to Envoy v3 but not supported"),
            std::string::npos);
  EXPECT_EQ(errors("response_flag_filter: { flags: [ UHH ] }"),
            "t:1:34: response_flag_filter.flags[0]: unknown response flag \"UHH\" (did you mean "
            "\"UH\"?)\n");
  EXPECT_EQ(errors("log_type_filter: { types: [ DownstreamEnde ] }"),
            "t:1:29: log_type_filter.types[0]: unknown access log type \"DownstreamEnde\" (did you "
            "mean \"DownstreamEnd\"?)\n");
  EXPECT_NE(errors("and_filter: { filters: [ { traceable_filter: {} } ] }")
                .find("expected at least two filters"),
            std::string::npos);
  EXPECT_NE(errors("status_code_filter: {}").find("comparison"), std::string::npos);
  EXPECT_NE(errors("{ traceable_filter: {}, not_health_check_filter: {} }")
                .find("only one kind of filter"),
            std::string::npos);
  EXPECT_NE(errors("status_code_filtre: {}").find("did you mean \"status_code_filter\"?"),
            std::string::npos);
}

}  // namespace
}  // namespace pillion::telemetry
