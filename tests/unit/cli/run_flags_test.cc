#include "proxy/cli/run_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace pillion::cli {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

struct FlagCase {
  std::vector<std::string> arguments;
  std::function<bool(const RunFlags&)> took;
};

TEST(RunFlags, EachFlagReachesItsOption) {
  const FlagCase cases[] = {
      {{"-c", "mesh.yaml"}, [](const RunFlags& f) { return f.options.config_path == "mesh.yaml"; }},
      {{"--config-path=mesh.yaml"},
       [](const RunFlags& f) { return f.options.config_path == "mesh.yaml"; }},
      {{"--config-yaml", "{}"}, [](const RunFlags& f) { return f.options.config_yaml == "{}"; }},
      {{"--config-yaml", "[a, b]"},
       [](const RunFlags& f) { return f.options.config_yaml == "[a, b]"; }},
      {{"--config-yaml", "a: 1\nb: {c: \"d\"}"},
       [](const RunFlags& f) { return f.options.config_yaml == "a: 1\nb: {c: \"d\"}"; }},
      {{"--config-yaml", "- a"}, [](const RunFlags& f) { return f.options.config_yaml == "- a"; }},
      {{"--concurrency", "4"}, [](const RunFlags& f) { return f.options.concurrency == 4; }},
      {{"--concurrency", "0"}, [](const RunFlags& f) { return f.options.concurrency == 1; }},
      {{}, [](const RunFlags& f) { return f.options.concurrency == 0; }},
      {{"-l", "debug"}, [](const RunFlags& f) { return f.options.log_level == "debug"; }},
      {{"-ldebug"}, [](const RunFlags& f) { return f.options.log_level == "debug"; }},
      {{"--log-level", "warning"},
       [](const RunFlags& f) { return f.options.log_level == "warning"; }},
      {{"--log-level", "warn"}, [](const RunFlags& f) { return f.options.log_level == "warning"; }},
      {{"--component-log-level", "upstream:debug,pool:trace"},
       [](const RunFlags& f) {
         return f.options.component_log_levels == "upstream:debug,pool:trace";
       }},
      {{"--log-format", "[%T] %v"},
       [](const RunFlags& f) { return f.options.log_format == "[%T] %v"; }},
      {{"--log-path", "/var/log/p"},
       [](const RunFlags& f) { return f.options.log_path == "/var/log/p"; }},
      {{"--drain-time-s", "45"}, [](const RunFlags& f) { return f.options.drain_time == 45s; }},
      {{"--drain-strategy", "immediate"},
       [](const RunFlags& f) {
         return f.options.drain_strategy == Options::DrainStrategy::kImmediate;
       }},
      {{"--drain-strategy", "gradual"},
       [](const RunFlags& f) {
         return f.options.drain_strategy == Options::DrainStrategy::kGradual;
       }},
      {{"--parent-shutdown-time-s", "60"},
       [](const RunFlags& f) { return f.options.parent_shutdown_time == 60s; }},
      {{"--local-address-ip-version", "v6"},
       [](const RunFlags& f) { return f.options.local_address_v6; }},
      {{"--local-address-ip-version", "v4"},
       [](const RunFlags& f) { return !f.options.local_address_v6; }},
      {{"--file-flush-interval-msec", "250"},
       [](const RunFlags& f) { return f.options.file_flush_interval == 250ms; }},
      {{"--file-flush-min-size-kb", "8"},
       [](const RunFlags& f) { return f.options.file_flush_bytes == 8192; }},
      {{"--disable-hot-restart"}, [](const RunFlags&) { return true; }},
      {{"--allow-unknown-static-fields"},
       [](const RunFlags& f) { return f.options.allow_unknown_static_fields; }},
      {{"--reject-unknown-dynamic-fields"},
       [](const RunFlags& f) { return f.options.reject_unknown_dynamic_fields; }},
      {{"--skip-deprecated-logs"}, [](const RunFlags&) { return true; }},
      {{"--enable-core-dump"}, [](const RunFlags& f) { return f.options.enable_core_dump; }},
      {{"--base-id", "7"}, [](const RunFlags& f) { return f.options.base_id == 7; }},
      {{"--service-node", "n"}, [](const RunFlags& f) { return f.options.service_node == "n"; }},
      {{"--service-cluster", "c"},
       [](const RunFlags& f) { return f.options.service_cluster == "c"; }},
      {{"--service-zone", "z"}, [](const RunFlags& f) { return f.options.service_zone == "z"; }},
      {{"--mode", "validate"}, [](const RunFlags& f) { return f.options.validate_only; }},
      {{"--mode", "serve"}, [](const RunFlags& f) { return !f.options.validate_only; }},
      {{"--version"}, [](const RunFlags& f) { return f.wants_version; }},
  };
  for (const FlagCase& each : cases) {
    const std::string shown = testing::PrintToString(each.arguments);
    const auto flags = parse_run_flags(each.arguments);
    ASSERT_TRUE(flags.has_value()) << shown << flags.error();
    EXPECT_TRUE(each.took(*flags)) << shown;
  }
}

TEST(RunFlags, IstiosCommandLineIsUnderstood) {
  const auto flags = parse_run_flags(
      {"-c", "etc/istio/proxy/envoy-rev.json", "--drain-time-s", "45", "--drain-strategy",
       "immediate", "--local-address-ip-version", "v4", "--file-flush-interval-msec", "1000",
       "--disable-hot-restart", "--allow-unknown-static-fields", "-l", "warning",
       "--component-log-level", "misc:error", "--concurrency", "2"});
  ASSERT_TRUE(flags.has_value()) << flags.error();
  EXPECT_EQ(flags->options.concurrency, 2u);
  EXPECT_EQ(flags->options.component_log_levels, "misc:error");
}

struct BadCase {
  std::vector<std::string> arguments;
  const char* says;
};

TEST(RunFlags, WhatIsWrongIsSaidInOneLine) {
  const BadCase cases[] = {
      {{"--concurency", "4"}, "unknown flag \"--concurency\" (did you mean \"--concurrency\"?)"},
      {{"--drain-times=4"}, "unknown flag \"--drain-times\" (did you mean \"--drain-time-s\"?)"},
      {{"--concurrency", "many"},
       "--concurrency: expected a whole number from 0 to 1024, got \"many\""},
      {{"--concurrency", "-1"},
       "--concurrency: expected a whole number from 0 to 1024, got \"-1\""},
      {{"--concurrency", "010"},
       "--concurrency: expected a whole number from 0 to 1024, got \"010\""},
      {{"--concurrency", "5000"},
       "--concurrency: expected a whole number from 0 to 1024, got \"5000\""},
      {{"--drain-time-s", "4s"}, "--drain-time-s: expected a whole number, got \"4s\""},
      {{"--base-id", "4294967296"}, "--base-id: expected a whole number"},
      {{"-l", "loud"},
       "--log-level: expected trace, debug, info, warning, error, critical or off, got \"loud\""},
      {{"--component-log-level", "upstreem:debug"}, "unknown log component \"upstreem\""},
      {{"--component-log-level", "debug"}, "--component-log-level: expected NAME:LEVEL"},
      {{"--drain-strategy", "slow"}, "expected gradual or immediate, got \"slow\""},
      {{"--local-address-ip-version", "4"}, "expected v4 or v6, got \"4\""},
      {{"--mode", "init_only"}, "expected serve or validate, got \"init_only\""},
      {{"--config-path"}, "--config-path"},
      {{"mesh.yaml"}, "unexpected argument \"mesh.yaml\""},
      {{"-c", "a", "-c", "b"}, "--config-path"},
  };
  for (const BadCase& each : cases) {
    const std::string shown = testing::PrintToString(each.arguments);
    const auto flags = parse_run_flags(each.arguments);
    ASSERT_FALSE(flags.has_value()) << shown;
    EXPECT_THAT(flags.error(), HasSubstr(each.says)) << shown;
    EXPECT_EQ(std::count(flags.error().begin(), flags.error().end(), '\n'), 1)
        << shown << flags.error();
    EXPECT_EQ(flags.error().back(), '\n') << shown;
  }
}

}  // namespace
}  // namespace pillion::cli
