// What a person sees who types `pillion ...`.
#include "proxy/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "proxy/config/errors.h"
#include "proxy/config/expand.h"
#include "proxy/config/yaml_print.h"

namespace pillion::cli {
namespace {

using ::testing::HasSubstr;

const std::string kGood = PILLION_SOURCE_DIR "/tests/data/config/good/explicit_proxy.yaml";
const std::string kBad = PILLION_SOURCE_DIR "/tests/data/config/bad/text/tab_indent.yaml";

struct Outcome {
  int exit_code = 0;
  std::string out;
  std::string err;
};

Outcome pillion(const std::vector<std::string>& arguments) {
  Outcome outcome;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  outcome.exit_code = run_command_line(arguments);
  fflush(stdout);
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

TEST(CommandLine, WhatItDoesNotKnowIsOneLineThatHelps) {
  struct Case {
    std::vector<std::string> arguments;
    const char* says;
  };
  const Case cases[] = {
      {{}, "A subcommand is required"},
      {{"chekc", "x"},
       "pillion: unknown subcommand \"chekc\" (did you mean \"check\"?); see pillion --help"},
      {{"capture"}, "pillion capture: "},
      {{"capture", "aply"},
       "pillion capture: unknown subcommand \"aply\" (did you mean \"apply\"?)"},
      {{"capture", "print", "--uidd", "1"},
       "pillion capture print: unknown flag \"--uidd\" (did you mean \"--uid\"?)"},
      {{"capture", "print", "--inbound-port", "0"},
       "expected a whole number from 1 to 65535, got \"0\""},
      {{"capture", "print", "--own-ports", "1,x"},
       "expected ports from 1 to 65535 with commas between, got \"1,x\""},
      {{"check"}, "FILE is required"},
      {{"check", "--allow", "x"}, "pillion check: unknown flag \"--allow\""},
      {{"expand", "a", "b"}, "pillion expand: unexpected argument \"b\""},
      {{"--concurency", "2"},
       "pillion run: unknown flag \"--concurency\" (did you mean \"--concurrency\"?)"},
      {{"run"}, "no configuration"},
      {{"ca", "init", "--dir", "x"}, "--trust-domain is required"},
      {{"explain", "x"}, "REQUEST"},
  };
  for (const Case& each : cases) {
    const std::string shown = testing::PrintToString(each.arguments);
    const Outcome outcome = pillion(each.arguments);
    EXPECT_EQ(outcome.exit_code, 2) << shown;
    EXPECT_THAT(outcome.err, HasSubstr(each.says)) << shown;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.out, "") << shown;
  }
}

TEST(CommandLine, HelpGoesToStandardOutputAndNamesTheWholeCommand) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--help"}, "Usage: pillion [OPTIONS] SUBCOMMAND"},
      {{"-h"}, "Usage: pillion [OPTIONS] SUBCOMMAND"},
      {{"--help"}, "--version"},
      {{"run", "--help"}, "Usage: pillion run [OPTIONS]"},
      {{"run", "--help"}, "the CPU limit of the cgroup rounded up, else 2"},
      {{"capture", "apply", "--help"}, "Usage: pillion capture apply [OPTIONS]"},
      {{"explain", "-h"}, "Usage: pillion explain [OPTIONS] FILE REQUEST"},
  };
  for (const auto& [arguments, says] : cases) {
    const Outcome outcome = pillion(arguments);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.out, HasSubstr(says));
    EXPECT_EQ(outcome.err, "");
  }
}

TEST(CommandLine, VersionNamesEveryLibrary) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"version"}, {"--version"}, {"run", "--version"}}) {
    const Outcome outcome = pillion(arguments);
    EXPECT_EQ(outcome.exit_code, 0);
    for (const char* name :
         {"pillion 0.", "libuv ", "c-ares ", "BoringSSL ", "yaml-cpp ", "RE2 ", "nghttp2 ",
          "protobuf ", "prometheus-cpp ", "spdlog ", "nlohmann-json ", "CLI11 "}) {
      EXPECT_THAT(outcome.out, HasSubstr(name));
    }
  }
}

TEST(CommandLine, CheckReportsEveryFile) {
  const Outcome outcome = pillion({"check", kGood, kBad, "does-not-exist.yaml"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, kGood + ": OK (2 listeners, 3 clusters)\n");
  EXPECT_THAT(outcome.err, HasSubstr(kBad + ":"));
  EXPECT_THAT(outcome.err, HasSubstr("does-not-exist.yaml: "));
}

TEST(CommandLine, CheckOfGoodFilesSucceeds) {
  const Outcome outcome = pillion({"check", kGood, kGood});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
}

TEST(CommandLine, AFlagOverTheNodeOfTheFileLeavesNothingUnknownInIt) {
  const Outcome outcome = pillion({"--mode", "validate", "-c", kGood, "--service-node", "n",
                                   "--service-cluster", "c", "--service-zone", "z"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

TEST(CommandLine, ModeValidateIsACheck) {
  EXPECT_EQ(pillion({"--mode", "validate", "-c", kGood}).exit_code, 0);
  EXPECT_EQ(pillion({"--mode", "validate", "-c", kBad}).exit_code, 1);
  const Outcome outcome =
      pillion({"--mode", "validate", "--config-yaml", "{ admin: { listen: 127.0.0.1:1 } }"});
  EXPECT_THAT(outcome.out + outcome.err, HasSubstr("--config-yaml"));
}

TEST(CommandLine, ExpandPrintsWhatTheShortFileStandsFor) {
  const Outcome outcome = pillion({"expand", kGood});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  config::Errors errors;
  EXPECT_EQ(outcome.out, config::print_yaml(*config::load_bootstrap(kGood, {}, errors)));
  EXPECT_THAT(outcome.out, HasSubstr("static_resources:"));
  EXPECT_EQ(pillion({"expand", kBad}).exit_code, 1);
}

TEST(CommandLine, CapturePrintTakesItsFlags) {
  const Outcome outcome = pillion({"capture", "print", "--uid", "2102", "--inbound-port", "4143",
                                   "--outbound-port", "4140", "--own-ports", "4143,4140,9990"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* text :
       {"skuid 2102", "redirect to :4143", "redirect to :4140", "{ 4143, 4140, 9990 }"}) {
    EXPECT_THAT(outcome.out, HasSubstr(text));
  }
  EXPECT_THAT(pillion({"capture", "print", "--tool", "iptables"}).out,
              HasSubstr("# ip6tables-restore"));
}

TEST(CommandLine, ExplainAcceptsMethodAndUrlAsOneWordOrTwo) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"explain", kGood, "GET http://orders/x"},
        {"explain", kGood, "GET", "http://orders/x"},
        {"explain", kGood, "http://orders/x"},
        {"explain", kGood, "-H", "x-a: b", "-H", "x-c: d", "GET http://orders/x"}}) {
    const Outcome outcome = pillion(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("cluster: orders")) << testing::PrintToString(arguments);
  }
  EXPECT_EQ(pillion({"explain", kGood, "orders"}).exit_code, 1);
  EXPECT_EQ(pillion({"explain", kBad, "http://orders/"}).exit_code, 1);
}

}  // namespace
}  // namespace pillion::cli
