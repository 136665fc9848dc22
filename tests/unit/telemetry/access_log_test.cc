#include "proxy/telemetry/access_log.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/unit/telemetry/config.h"
#include "tests/unit/telemetry/sample.h"

namespace pillion::telemetry {
namespace {

class AccessLogTest : public ::testing::Test {
 protected:
  AccessLogTest() {
    char name[] = "/tmp/pillion-access-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~AccessLogTest() override { std::filesystem::remove_all(directory_); }

  // An item of access_log: a FileAccessLog with further fields.
  [[nodiscard]] std::string file_log(std::string_view fields, std::string_view more = "") const {
    return "- { name: l, " + std::string(more) +
           "typed_config: { \"@type\": "
           "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, "
           "path: " +
           path() + ", " + std::string(fields) + " } }\n";
  }
  [[nodiscard]] std::string path() const { return directory_ + "/access.log"; }
  // Logs the sample once by each logger of the list and returns the file.
  std::string logged(std::string_view yaml) {
    Text text("access_log:\n" + std::string(yaml));
    LogWriter writer;
    for (const auto& logger : parse_access_logs(text.root()["access_log"], &writer))
      logger->log(sample_.info);
    writer.stop();
    EXPECT_EQ(text.messages(), "");
    EXPECT_EQ(text.unfinished(), 1u) << "only the root, which is not the parser's";
    std::ifstream in(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::string errors(std::string_view yaml) {
    Text text("access_log:\n" + std::string(yaml));
    LogWriter writer;
    (void)parse_access_logs(text.root()["access_log"], &writer);
    return text.messages();
  }

  Sample sample_;
  std::string directory_;
};

TEST_F(AccessLogTest, WritesTheDefaultLineToAFile) {
  EXPECT_EQ(logged(file_log("")),
            "[2026-11-24T14:00:00.123Z] \"GET /users/7?a=b%20c&q=1 HTTP/1.1\" 200 - 17 321 12 4 "
            "\"10.0.0.9\" "
            "\"curl/8.5\" \"5d7f-11\" \"users:8080\" \"10.1.2.5:8080\"\n");
}

TEST_F(AccessLogTest, TakesEachKindOfFormat) {
  EXPECT_EQ(logged(file_log(
                "log_format: { text_format_source: { inline_string: \"a%RESPONSE_CODE%\\n\" } }")),
            "a200\n");
  std::filesystem::remove(path());
  EXPECT_EQ(logged(file_log("format: \"b%RESPONSE_CODE%\\n\"")), "b200\n");
  std::filesystem::remove(path());
  EXPECT_EQ(logged(file_log("json_format: { c: '%RESPONSE_CODE%' }")), "{\"c\":200}\n");
}

TEST_F(AccessLogTest, WritesWhatTheFilterLetsThrough) {
  constexpr std::string_view kErrorsOnly =
      "filter: { status_code_filter: { comparison: { op: GE, value: { default_value: 500 } } } }, ";
  EXPECT_EQ(logged(file_log("format: \"%RESPONSE_CODE%\\n\"", kErrorsOnly)), "");
  sample_.info.response_code = 503;
  EXPECT_EQ(logged(file_log("format: \"%RESPONSE_CODE%\\n\"", kErrorsOnly)), "503\n");
}

TEST_F(AccessLogTest, TwoLogsCanShareAFile) {
  EXPECT_EQ(logged(file_log("format: \"1\\n\"") + file_log("format: \"2\\n\"")), "1\n2\n");
}

TEST_F(AccessLogTest, TakesStdoutAndStderr) {
  for (const std::string_view type : {"StdoutAccessLog", "StderrAccessLog"}) {
    Text text(
        "access_log: [ { name: l, typed_config: { \"@type\": "
        "type.googleapis.com/envoy.extensions.access_loggers.stream.v3." +
        std::string(type) + ", log_format: { text_format: \"\" } } } ]");
    LogWriter writer;
    const auto loggers = parse_access_logs(text.root()["access_log"], &writer);
    EXPECT_EQ(text.messages(), "");
    ASSERT_EQ(loggers.size(), 1u);
    loggers[0]->log(sample_.info);
  }
}

TEST_F(AccessLogTest, OpensNothingWithoutAWriter) {
  Text text("access_log:\n" + file_log(""));
  const auto loggers = parse_access_logs(text.root()["access_log"], nullptr);
  ASSERT_EQ(loggers.size(), 1u);
  loggers[0]->log(sample_.info);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(AccessLogTest, RefusesWhatItDoesNotKnow) {
  const auto of_type = [](std::string_view type) {
    return "- { name: l, typed_config: { \"@type\": type.googleapis.com/" + std::string(type) +
           " } }";
  };
  EXPECT_NE(errors(of_type("envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig"))
                .find("is not supported yet"),
            std::string::npos);
  EXPECT_NE(errors(of_type("envoy.extensions.access_logger.file.v3.FileAccessLog"))
                .find("did you mean \"envoy.extensions.access_loggers.file.v3.FileAccessLog\"?"),
            std::string::npos);
  EXPECT_NE(errors(file_log("format: '%NOPE%'")).find("unknown operator %NOPE%"),
            std::string::npos);
  EXPECT_NE(errors(file_log("log_formt: x")).find("did you mean \"log_format\"?"),
            std::string::npos);
  EXPECT_NE(errors("- { name: l, typed_config: { \"@type\": "
                   "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, "
                   "path: /no/such/file } }")
                .find("cannot open \"/no/such/file\" for writing: No such file or directory"),
            std::string::npos);
}

TEST_F(AccessLogTest, AnEmptyListIsNoLog) {
  EXPECT_EQ(errors("  []"), "");
  Text text("{}");
  EXPECT_TRUE(parse_access_logs(text.root()["access_log"], nullptr).empty());
}

}  // namespace
}  // namespace pillion::telemetry
