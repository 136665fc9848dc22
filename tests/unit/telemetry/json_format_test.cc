#include "proxy/telemetry/json_format.h"

#include <gtest/gtest.h>

#include "proxy/base/json.h"
#include "proxy/telemetry/line_format.h"
#include "tests/unit/telemetry/config.h"
#include "tests/unit/telemetry/sample.h"

namespace pillion::telemetry {
namespace {

std::string render(std::string_view yaml, const core::StreamInfo& info,
                   const JsonFormat::Options& options = {}) {
  Text text(yaml);
  const JsonFormat format = JsonFormat::parse(text.root(), options);
  if (!text.messages().empty()) return text.messages();
  std::string out;
  format.append(out, info);
  return out;
}

TEST(JsonFormat, KeepsTheKindsOfValues) {
  const Sample sample;
  EXPECT_EQ(
      render(
          "{ code: '%RESPONSE_CODE%', method: '%REQ(:METHOD)%', both: '%PROTOCOL% %RESPONSE_CODE%',"
          " flags: '%RESPONSE_FLAGS%', none: '%REQ(X-NONE)%' }",
          sample.info),
      R"({"code":200,"method":"GET","both":"HTTP/1.1 200","flags":"-","none":null})"
      "\n");
}

TEST(JsonFormat, KeepsNestingAndConstants) {
  const Sample sample;
  EXPECT_EQ(render("{ a: { b: [ '%BYTES_SENT%', x, 1, 2.5, true, null, '7' ] }, c: plain, d: {} , "
                   "e: '100%%' }",
                   sample.info),
            R"({"a":{"b":[321,"x",1,2.5,true,null,"7"]},"c":"plain","d":{},"e":"100%"})"
            "\n");
}

TEST(JsonFormat, LeavesOutWhatIsEmptyWhenAsked) {
  const Sample sample;
  EXPECT_EQ(render("{ a: '%REQ(X-NONE)%', b: '%PROTOCOL%', c: '%REQ(X-NONE)%', d: { e: "
                   "'%REQ(X-NONE)%' }, f: 'x%REQ(X-NONE)%' }",
                   sample.info, {.omit_empty_values = true}),
            R"({"b":"HTTP/1.1","d":{},"f":"x"})"
            "\n");
}

TEST(JsonFormat, SortsWhenAsked) {
  const Sample sample;
  EXPECT_EQ(render("{ b: 1, a: { d: 1, c: 2 } }", sample.info, {.sort_properties = true}),
            R"({"a":{"c":2,"d":1},"b":1})"
            "\n");
}

TEST(JsonFormat, EscapesWhatAPeerSentIntoValidJson) {
  Sample sample;
  const std::string evil = "\"},\n{\"a\":\x01\xff\\ \xc3\xa9\x7f";
  sample.request.headers.add("x-evil", evil);
  const std::string line =
      render("{ \"na\\\"me\": '%REQ(X-EVIL)%', text: 'a %REQ(X-EVIL)%' }", sample.info);
  EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line";
  const auto parsed = JsonDocument::parse(line);
  ASSERT_TRUE(parsed) << parsed.error() << line;
  EXPECT_EQ(parsed->root()["na\"me"].as_string(), "\"},\n{\"a\":\x01\xef\xbf\xbd\\ \xc3\xa9\x7f");
  EXPECT_EQ(parsed->root()["text"].as_string(), "a \"},\n{\"a\":\x01\xef\xbf\xbd\\ \xc3\xa9\x7f");
}

TEST(JsonFormat, CutsToTheMaximumLength) {
  const Sample sample;
  EXPECT_EQ(render("{ a: '%REQ(USER-AGENT):4%' }", sample.info), "{\"a\":\"curl\"}\n");
}

TEST(JsonFormat, ReportsBadOperatorsWhereTheyAreWritten) {
  const Sample sample;
  EXPECT_EQ(render("a:\n  b: '%PROTOCOLS%'\n  c: '%REQ%'\n", sample.info),
            "t:2:6: a.b: unknown operator %PROTOCOLS% (did you mean \"PROTOCOL\"?)\n"
            "t:3:6: a.c: operator %REQ% needs an argument: %REQ(...)%\n");
  Text text("f: [ a ]");
  (void)JsonFormat::parse(text.root()["f"], {});
  EXPECT_EQ(text.messages(), "t:1:4: f: expected a mapping of names to values, got a list\n");
}

struct Formatted {
  std::string line;
  std::string content_type;
};
Formatted format(std::string_view yaml) {
  const Sample sample;
  Text text(yaml);
  const LineFormat format = LineFormat::parse(text.root());
  if (!text.messages().empty()) return {text.messages(), ""};
  EXPECT_EQ(text.unfinished(), 0u);
  Formatted result;
  format.append(result.line, sample.info);
  result.content_type = format.content_type();
  return result;
}

TEST(LineFormat, TakesEachWayToWriteAFormat) {
  EXPECT_EQ(format("text_format: \"%RESPONSE_CODE%\\n\"").line, "200\n");
  EXPECT_EQ(format("text_format_source: { inline_string: '%PROTOCOL%' }").line, "HTTP/1.1");
  EXPECT_EQ(format("json_format: { a: '%RESPONSE_CODE%' }").line, "{\"a\":200}\n");
  EXPECT_EQ(format("{ jsonFormat: { a: '%REQ(N)%' }, omitEmptyValues: true }").line, "{}\n");
  EXPECT_EQ(
      format("{ json_format: { b: 1, a: 2 }, json_format_options: { sort_properties: true } }")
          .line,
      "{\"a\":2,\"b\":1}\n");
  EXPECT_EQ(format("{ text_format: '%REQ(N)%', omit_empty_values: true }").line, "");
}

TEST(LineFormat, KnowsTheContentType) {
  EXPECT_EQ(format("text_format: x").content_type, "text/plain");
  EXPECT_EQ(format("json_format: { a: 1 }").content_type, "application/json");
  EXPECT_EQ(format("{ text_format: x, content_type: text/html; charset=UTF-8 }").content_type,
            "text/html; charset=UTF-8");
}

TEST(LineFormat, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(format("{}").line,
            "t:1:1: expected one of text_format, json_format, text_format_source\n");
  EXPECT_EQ(format("{ text_format: a, json_format: { a: b } }").line,
            "t:1:32: json_format: only one of text_format and json_format may be given\n");
  EXPECT_EQ(format("{ text_format: a, formatters: [ { name: cel, typed_config: { \"@type\": "
                   "type.googleapis.com/envoy.extensions.formatter.cel.v3.Cel } } ] }")
                .line,
            "t:1:60: formatters[0].typed_config: formatter "
            "\"envoy.extensions.formatter.cel.v3.Cel\" is not "
            "supported yet\n");
}

}  // namespace
}  // namespace pillion::telemetry
