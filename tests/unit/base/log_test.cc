#include "proxy/base/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "proxy/base/log_writer.h"

namespace pillion::log {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// Lines go to a pipe that the test reads.
class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    EXPECT_EQ(::pipe2(pipe_, O_CLOEXEC | O_NONBLOCK), 0);
    set_output(pipe_[1]);
  }
  ~LogTest() override {
    detach();
    set_output(STDERR_FILENO);
    set_level(Level::kInfo);
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }
  std::string written() const {
    char text[65536];
    const ssize_t n = ::read(pipe_[0], text, sizeof text);
    return {text, n < 0 ? 0 : static_cast<size_t>(n)};
  }
  static std::string content(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  int pipe_[2];
};

TEST_F(LogTest, WritesLinesInEnvoysFormat) {
  info(kUpstream, "cluster is warm", {{"cluster", "orders"}, {"hosts", 3}});
  EXPECT_THAT(written(),
              MatchesRegex("\\[20[0-9-]+ [0-9:]+\\.[0-9]+\\]\\[[0-9]+\\]\\[info\\]\\[upstream\\] "
                           "cluster is warm: cluster=orders hosts=3\n"));
}

TEST_F(LogTest, FormatsEachKindOfValue) {
  struct Place {
    [[nodiscard]] std::string to_string() const { return "10.0.0.1:80"; }
  } place;
  const std::string text = "owned";
  error(kMain, "values",
        {{"i", -1},
         {"u", uint64_t{1} << 63},
         {"b", true},
         {"d", 0.5},
         {"s", text},
         {"p", place},
         {"e", ""}});
  EXPECT_THAT(
      written(),
      EndsWith("values: i=-1 u=9223372036854775808 b=true d=0.5 s=owned p=10.0.0.1:80 e=\"\"\n"));
  error(kMain, "durations", {{"a", 250ms}, {"b", 2s}, {"c", 1500us}, {"d", 42ns}, {"e", 90s}});
  EXPECT_THAT(written(), EndsWith("durations: a=250ms b=2s c=1500us d=42ns e=90s\n"));
}

TEST_F(LogTest, QuotesAndEscapesWhatAPeerSent) {
  warning(kConnHandler, "bad\nrequest", {{"path", "/a b\"c\\\n[2026] forged"}, {"esc", "\x1b[2J"}});
  EXPECT_THAT(written(),
              EndsWith("bad\\nrequest: path=\"/a b\\\"c\\\\\\n[2026] forged\" esc=\\x1b[2J\n"));
}

TEST_F(LogTest, FormatsNothingBelowItsLevel) {
  struct Trap {
    [[nodiscard]] std::string to_string() const {
      ADD_FAILURE() << "formatted";
      return {};
    }
  } trap;
  debug(kUpstream, "quiet", {{"trap", trap}});
  EXPECT_EQ(written(), "");
  set_level(kUpstream, Level::kOff);
  critical(kUpstream, "quiet", {{"trap", trap}});
  EXPECT_EQ(written(), "");
}

TEST_F(LogTest, SetsLevelsByName) {
  ASSERT_TRUE(set_levels("upstream:debug,io:trace"));
  EXPECT_TRUE(enabled(kUpstream, Level::kDebug));
  EXPECT_FALSE(enabled(kUpstream, Level::kTrace));
  EXPECT_TRUE(enabled(kIo, Level::kTrace));
  EXPECT_FALSE(enabled(kMain, Level::kDebug));
  ASSERT_TRUE(set_level("", "warn"));
  for (const auto& [name, level] : levels()) EXPECT_EQ(level, "warning") << name;
}

TEST_F(LogTest, RefusesUnknownNamesAndChangesNothing) {
  const auto component = set_levels("io:debug,nonsense:debug");
  ASSERT_FALSE(component);
  EXPECT_THAT(component.error(), HasSubstr("unknown log component \"nonsense\""));
  EXPECT_FALSE(enabled(kIo, Level::kDebug));
  EXPECT_THAT(set_levels("io:loud").error(), HasSubstr("got \"loud\""));
  EXPECT_THAT(set_levels("io").error(), HasSubstr("expected COMPONENT:LEVEL"));
}

TEST_F(LogTest, TakesEnvoysOtherLoggersOnACommandLineOnly) {
  EXPECT_TRUE(set_levels("misc:error,rbac:debug,io:debug"));
  EXPECT_TRUE(enabled(kIo, Level::kDebug));
  EXPECT_THAT(set_levels("misc:loud").error(), HasSubstr("got \"loud\""));
  EXPECT_THAT(set_level("rbac", "debug").error(), HasSubstr("unknown log component \"rbac\""));
  for (std::string_view name : component_names()) EXPECT_NE(name, "rbac");
}

TEST_F(LogTest, ComponentsAreSortedByName) {
  const auto names = component_names();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

TEST_F(LogTest, ALimitTellsHowManyLinesItHeldBack) {
  Limit limit(1h);
  for (int i = 0; i < 5; ++i) warning(limit, kTls, "handshake failed", {{"try", i}});
  EXPECT_THAT(written(), EndsWith("handshake failed: try=0\n"));
}

TEST_F(LogTest, ALimitAdmitsOneLineAnInterval) {
  Limit limit(1s);
  uint64_t suppressed = 99;
  const Instant start{1h};
  EXPECT_TRUE(limit.admit(start, suppressed));
  EXPECT_EQ(suppressed, 0u);
  EXPECT_FALSE(limit.admit(start + 1ms, suppressed));
  EXPECT_FALSE(limit.admit(start + 999ms, suppressed));
  EXPECT_TRUE(limit.admit(start + 1s, suppressed));
  EXPECT_EQ(suppressed, 2u);
}

TEST_F(LogTest, GoesThroughTheWriterThreadAtOnce) {
  LogWriter writer({.flush_interval = 1h});
  writer.start();
  attach(writer);
  info(kMain, "by the writer");
  std::string text;
  while (text.empty()) text = written();
  EXPECT_THAT(text, EndsWith("[info][main] by the writer\n"));
  detach();
  info(kMain, "directly");
  EXPECT_THAT(written(), EndsWith("[info][main] directly\n"));
}

TEST_F(LogTest, GoesOnInTheNewFileAfterARotation) {
  std::string folder = (std::filesystem::temp_directory_path() / "pillion-log-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/log";
  set_output(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), path);
  LogWriter writer;
  writer.start();
  attach(writer);
  info(kMain, "before");
  ASSERT_TRUE(writer.flush());
  ASSERT_EQ(std::rename(path.c_str(), (path + ".1").c_str()), 0);
  writer.reopen();
  ASSERT_TRUE(writer.flush());
  info(kMain, "after");
  // An access log of the same path is a file of its own: its lines are no records.
  (*writer.open(path))->append("a line\n");
  detach();
  writer.stop();
  info(kMain, "directly");
  EXPECT_THAT(content(path + ".1"), EndsWith("before\n"));
  EXPECT_THAT(content(path), AllOf(HasSubstr("[main] after\n"), HasSubstr("a line\n"),
                                   EndsWith("[main] directly\n")));
  std::filesystem::remove_all(folder);
}

TEST_F(LogTest, DetachWritesWhatWaits) {
  LogWriter writer;
  writer.start();
  attach(writer);
  std::thread([] { info(kMain, "from a thread that ended"); }).join();
  detach();
  EXPECT_THAT(written(), EndsWith("from a thread that ended\n"));
}

TEST_F(LogTest, TakesAnotherPattern) {
  set_pattern("%l|%n|%v");
  warning(kDns, "text");
  EXPECT_EQ(written(), "warning|dns|text\n");
  set_pattern("[%Y-%m-%d %T.%e][%t][%l][%n] %v");
}

}  // namespace
}  // namespace pillion::log
