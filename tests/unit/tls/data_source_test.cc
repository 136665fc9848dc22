#include "proxy/tls/data_source.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "proxy/base/str.h"
#include "proxy/config/loader.h"

namespace pillion::tls {
namespace {

struct Read {
  explicit Read(const std::string& yaml) {
    const auto document = config::load_text(yaml, "f.yaml", errors);
    data = read_data_source(document->root(errors)["d"]);
    messages = errors.to_string();
  }
  config::Errors errors;
  DataText data;
  std::string messages;
};

TEST(DataSource, ReadsEachKind) {
  const std::string file = str(::testing::TempDir(), "data_source_test_", ::getpid());
  std::ofstream(file, std::ios::binary) << std::string("a\0b\n", 4);
  ::setenv("PILLION_DATA_SOURCE_TEST", "from the environment", 1);
  struct Case {
    std::string yaml;
    std::string text;
    std::string source;
  };
  const Case cases[] = {
      {"d: { filename: " + file + " }", std::string("a\0b\n", 4), file},
      {"d: { inline_string: plain }", "plain", "<inline>"},
      {"d: { inline_bytes: aGVsbG8= }", "hello", "<inline>"},
      {"d: { environment_variable: PILLION_DATA_SOURCE_TEST }", "from the environment",
       "$PILLION_DATA_SOURCE_TEST"},
      {"e: {}", "", ""},
  };
  for (const Case& c : cases) {
    const Read r(c.yaml);
    EXPECT_EQ(r.data.text, c.text) << c.yaml;
    EXPECT_EQ(r.data.source, c.source) << c.yaml;
  }
}

TEST(DataSource, NamesWhatIsWrong) {
  struct Case {
    const char* yaml;
    const char* message;
  };
  const Case cases[] = {
      {"d: { filename: /nonexistent/a }",
       "f.yaml:1:16: d.filename: cannot read /nonexistent/a: No such file or directory\n"},
      {"d: { filename: /tmp }", "f.yaml:1:16: d.filename: cannot read /tmp: not a regular file\n"},
      {"d: { filename: \"/nonexistent/a\\nb\" }",
       "f.yaml:1:16: d.filename: cannot read /nonexistent/a\\x0ab: No such file or directory\n"},
      {"d: { inline_bytes: '%%%%' }", "f.yaml:1:20: d.inline_bytes: expected base64\n"},
      {"d: { inline_string: '' }",
       "f.yaml:1:21: d.inline_string: expected a string that is not empty, got \"\"\n"},
      {"d: { filename: '-----BEGIN PRIVATE KEY-----' }",
       "f.yaml:1:16: d.filename: expected the name of a file, got PEM: use inline_string\n"},
      {"d: { environment_variable: PILLION_NO_SUCH_VARIABLE }",
       "f.yaml:1:28: d.environment_variable: the environment has no variable "
       "PILLION_NO_SUCH_VARIABLE\n"},
  };
  for (const Case& c : cases) EXPECT_EQ(Read(c.yaml).messages, c.message);
}

TEST(DataSource, SaysWhichAbsoluteNameWasTriedForARelativeOne) {
  const std::string here = std::filesystem::current_path().string();
  ASSERT_LT(here.size(), 200U);
  EXPECT_EQ(Read("d: { filename: certs/nobody.crt }").messages,
            str("f.yaml:1:16: d.filename: cannot read certs/nobody.crt (", here,
                "/certs/nobody.crt): No such file or directory\n"));
  const Read longest("d: { filename: " + std::string(5000, 'a') + " }");
  EXPECT_LT(longest.messages.size(), 700U);
  EXPECT_EQ(longest.messages.find("aaaa"), std::string::npos);
  EXPECT_EQ(longest.errors.error_count(), 1U);
  EXPECT_TRUE(longest.errors.files().empty()) << "they are named when they cannot be watched";
}

// Somebody pastes a key where the name of a file belongs.
TEST(DataSource, DoesNotShowANameThatLooksLikeASecret) {
  const std::string secret = "MC4CAQAwBQYDK2VwBCIEIHcHbQpzGKV9PBbBclGyZkXfTXkC";
  for (const char* field : {"filename", "environment_variable"}) {
    const Read r(str("d: { ", field, ": \"", secret, "=\" }"));
    EXPECT_EQ(r.errors.error_count(), 1U);
    EXPECT_NE(r.messages.find("not shown"), std::string::npos) << r.messages;
    EXPECT_EQ(r.messages.find("MC4CAQ"), std::string::npos) << r.messages;
    EXPECT_EQ(r.data.source.find("MC4CAQ"), std::string::npos) << field;
    EXPECT_TRUE(r.errors.files().empty());
  }
  // A file that is there has a name.
  const std::string file = str("/tmp/", secret);
  std::ofstream(file) << "text";
  const Read r(str("d: { filename: ", file, " }"));
  std::filesystem::remove(file);
  EXPECT_EQ(r.data.text, "text");
  EXPECT_EQ(r.data.source, file);
  EXPECT_EQ(r.errors.files().count(file), 1U);
}

TEST(DataSource, WantsExactlyOneKind) {
  EXPECT_NE(Read("d: {}").messages, "");
  EXPECT_NE(Read("d: { inline_string: a, filename: b }").messages, "");
  EXPECT_NE(Read("d: { inline_string: a, bogus: b }").messages, "");
  // The directories on the way to a file are watched in any case.
  EXPECT_EQ(Read("d: { filename: /etc/hostname, watched_directory: { path: /etc } }").messages, "");
  EXPECT_NE(Read("d: { filename: /etc/hostname, watched_directory: {} }").messages, "");
  EXPECT_NE(Read("d: { filename: /etc/hostname, watched_directory: { path: /, x: 1 } }").messages,
            "");
}

}  // namespace
}  // namespace pillion::tls
