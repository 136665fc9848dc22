#include "proxy/telemetry/local_replies.h"

#include <gtest/gtest.h>

#include "proxy/telemetry/header_formats.h"
#include "tests/unit/telemetry/config.h"
#include "tests/unit/telemetry/sample.h"

namespace pillion::telemetry {
namespace {

struct Reply {
  uint16_t status = 0;
  std::string body;
  std::string content_type;
  std::string added;  // headers, "name=value;"
};

// What becomes of a 503 "no healthy upstream".
Reply apply(std::string_view yaml) {
  Text text(yaml);
  const auto replies = parse_local_replies(text.root());
  EXPECT_EQ(text.messages(), "");
  EXPECT_EQ(text.unfinished(), 0u);
  Sample sample;
  sample.info.failure = {FailureKind::kNoHealthyUpstream};
  core::LocalReplyText reply{503, "no healthy upstream", "text/plain"};
  http::Headers headers(sample.arena);
  replies->apply(sample.info, sample.arena, headers, reply);
  Reply result{reply.status, std::string(reply.body), std::string(reply.content_type), ""};
  headers.for_each([&result](const http::Field& f) {
    result.added += std::string(f.name) + "=" + std::string(f.value) + ";";
  });
  return result;
}

constexpr std::string_view kOn503 =
    "filter: { status_code_filter: { comparison: { value: { default_value: 503 } } } }";

TEST(LocalReplies, LeaveRepliesAloneThatNoMapperMatches) {
  const Reply reply = apply("mappers: [ { filter: { traceable_filter: {} }, status_code: 500 } ]");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.body, "no healthy upstream");
  EXPECT_EQ(reply.content_type, "text/plain");
}

TEST(LocalReplies, MapStatusBodyAndHeaders) {
  const Reply reply = apply(
      "mappers: [ { " + std::string(kOn503) +
      ", status_code: 502, body: { inline_string: sorry }, headers_to_add: [ { header: { key: "
      "X-Why, value: '%RESPONSE_FLAGS% %RESPONSE_CODE%' } } ] } ]");
  EXPECT_EQ(reply.status, 502);
  EXPECT_EQ(reply.body, "sorry");
  EXPECT_EQ(reply.added, "x-why=UH 502;");
}

TEST(LocalReplies, TheFirstMapperThatMatchesDecides) {
  const Reply reply = apply("mappers: [ { " + std::string(kOn503) +
                            ", status_code: 500 }, { filter: { "
                            "status_code_filter: { comparison: { value: { default_value: 500 } } } "
                            "}, status_code: 400 } ]");
  EXPECT_EQ(reply.status, 500);
}

TEST(LocalReplies, FormatBodies) {
  const Reply text = apply(
      "body_format: { text_format: '%LOCAL_REPLY_BODY% (%RESPONSE_CODE%) for %REQ(:PATH)%' }");
  EXPECT_EQ(text.body, "no healthy upstream (503) for /users/7?a=b%20c&q=1");
  EXPECT_EQ(text.content_type, "text/plain");
  const Reply lines = apply("mappers: [ { " + std::string(kOn503) +
                            ", body: { inline_string: \"two\\nlines\\n\" } } ]\n"
                            "body_format: { text_format: 'Error: %LOCAL_REPLY_BODY%' }");
  EXPECT_EQ(lines.body, "Error: two\nlines\n");
  const Reply json = apply("mappers: [ { " + std::string(kOn503) +
                           ", status_code: 502, body: { inline_string: 'a\"b' }, "
                           "body_format_override: { json_format: { error: '%LOCAL_REPLY_BODY%', "
                           "code: '%RESPONSE_CODE%' } } } ]\n"
                           "body_format: { text_format: unused }");
  EXPECT_EQ(json.body, "{\"error\":\"a\\\"b\",\"code\":502}\n");
  EXPECT_EQ(json.content_type, "application/json");
}

TEST(LocalReplies, AreNoneWithoutConfiguration) {
  Text text("{}");
  EXPECT_EQ(parse_local_replies(text.root()["local_reply_config"]), nullptr);
}

std::string header_value(std::string_view value, const core::StreamInfo* info) {
  Text text("v: '" + std::string(value) + "'");
  const auto format = HeaderFormats().compile(text.root()["v"]);
  if (format == nullptr) return text.messages();
  Arena arena;
  return std::string(format->render(arena, info));
}

TEST(HeaderFormats, RenderOperators) {
  Sample sample;
  EXPECT_EQ(header_value("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%:%PROTOCOL%", &sample.info),
            "10.1.2.3:HTTP/1.1");
  EXPECT_EQ(header_value("%REQ(X-NONE)%", &sample.info), "")
      << "absent is empty, so that no header is added";
  EXPECT_EQ(header_value("%PROTOCOL%", nullptr), "");
}

TEST(HeaderFormats, NeverMakeAnIllegalFieldValue) {
  Sample sample;
  sample.request.path = "/a?x=1%0d%0aset-cookie:+a%00";
  EXPECT_EQ(header_value("%QUERY_PARAM(x)%", &sample.info), "1\\r\\nset-cookie:+a\\x00");
}

TEST(HeaderFormats, ReportBadOperators) {
  EXPECT_EQ(header_value("%NOPE%", nullptr), "t:1:4: v: unknown operator %NOPE%\n");
}

}  // namespace
}  // namespace pillion::telemetry
