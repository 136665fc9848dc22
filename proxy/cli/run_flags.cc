#include "proxy/cli/run_flags.h"

#include <algorithm>

#include "proxy/base/log.h"
#include "proxy/cli/parse.h"

namespace pillion::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Result<std::string> parse_log_level(std::string_view text) {
  const auto level = log::parse_level(text);
  if (!level) return Error{"trace, debug, info, warning, error, critical or off"};
  return std::string(log::level_name(*level));
}

// One of two words; true for the second.
auto choice(const char* first, const char* second) {
  return [first, second](std::string_view text) -> Result<bool> {
    if (text == first || text == second) return text == second;
    return Error{str(first, " or ", second)};
  };
}

template <typename Unit>
CLI::Option* add_time(CLI::App& app, const char* name, Duration& target, const char* help) {
  auto read = [](std::string_view text) -> Result<Duration> {
    const auto number = parse_number(text, 0, UINT32_MAX);
    if (!number) return Error{number.error()};
    return Duration(Unit(*number));
  };
  return add_parsed(app, name, target, help, read)->type_name("N");
}

void add_configuration(CLI::App& app, Options& options) {
  app.add_option("-c,--config-path", options.config_path,
                 "the configuration: short mesh YAML, or Envoy's YAML or JSON")
      ->type_name("FILE");
  app.add_option("--config-yaml", options.config_yaml, "more of it, as text, merged over the file")
      ->type_name("YAML");
  auto workers = [](std::string_view text) -> Result<uint32_t> {
    const auto number = parse_number(text, 0, 1024);
    if (!number) return Error{number.error()};
    return static_cast<uint32_t>(std::max<uint64_t>(*number, 1));  // as Envoy: 0 is 1
  };
  add_parsed(app, "--concurrency", options.concurrency,
             "worker threads (default: the CPU limit of the cgroup rounded up, else 2)", workers)
      ->type_name("N");
  add_parsed(app, "--mode", options.validate_only,
             "serve, or validate: check the configuration and exit", choice("serve", "validate"))
      ->type_name("serve|validate");
  app.add_option(
         "--last-good-cache", options.last_good_cache,
         "keep what the control plane (ADS) said last in FILE, without keys, and begin from "
         "it when nobody answers")
      ->type_name("FILE");
  app.add_flag("--allow-unknown-static-fields", options.allow_unknown_static_fields,
               "unknown fields of the configuration are warnings, not errors");
}

void add_logging(CLI::App& app, Options& options) {
  add_parsed(app, "-l,--log-level", options.log_level,
             "trace debug info warning error critical off (default: info)", parse_log_level)
      ->type_name("LEVEL")
      ->group("Log");
  auto components = [](std::string_view text) -> Result<std::string> {
    if (auto checked = log::check_levels(text); !checked)
      return Error{str("NAME:LEVEL,... (", checked.error(), ")")};
    return std::string(text);
  };
  add_parsed(app, "--component-log-level", options.component_log_levels,
             "of single components: upstream:debug,pool:trace", components)
      ->type_name("LIST")
      ->group("Log");
  app.add_option("--log-format", options.log_format, "spdlog's pattern")
      ->type_name("PATTERN")
      ->group("Log");
  app.add_option("--log-path", options.log_path, "a file instead of stderr; SIGUSR1 opens it anew")
      ->type_name("FILE")
      ->group("Log");
  add_time<milliseconds>(app, "--file-flush-interval-msec", options.file_flush_interval,
                         "how long access log lines may wait (default: 10000)")
      ->group("Log");
  auto kilobytes = [](std::string_view text) -> Result<uint64_t> {
    const auto number = parse_number(text, 0, UINT32_MAX);
    if (!number) return Error{number.error()};
    return *number * 1024;
  };
  add_parsed(app, "--file-flush-min-size-kb", options.file_flush_bytes,
             "how much of them may wait (default: 64)", kilobytes)
      ->type_name("N")
      ->group("Log");
}

void add_ending(CLI::App& app, Options& options) {
  add_time<seconds>(app, "--drain-time-s", options.drain_time,
                    "how long a drain may take (default: 5)")
      ->group("Drain");
  auto strategy = [](std::string_view text) -> Result<Options::DrainStrategy> {
    if (text == "gradual") return Options::DrainStrategy::kGradual;
    if (text == "immediate") return Options::DrainStrategy::kImmediate;
    return Error{"gradual or immediate"};
  };
  add_parsed(app, "--drain-strategy", options.drain_strategy,
             "tell a growing share of connections to end, or all at once (default)", strategy)
      ->type_name("gradual|immediate")
      ->group("Drain");
}

void add_identity(CLI::App& app, Options& options) {
  app.add_option("--service-node", options.service_node, "node.id, over the configuration's")
      ->type_name("ID")
      ->group("Node");
  app.add_option("--service-cluster", options.service_cluster, "node.cluster")
      ->type_name("NAME")
      ->group("Node");
  app.add_option("--service-zone", options.service_zone, "node.locality.zone")
      ->type_name("ZONE")
      ->group("Node");
}

// Envoy's flags that change nothing here, so that its command lines work.
void add_tolerated(CLI::App& app, Options& options) {
  constexpr const char* kGroup = "For Envoy's sake";
  add_number(app, "--base-id", options.base_id, "no effect: nothing is shared between processes")
      ->group(kGroup);
  add_time<seconds>(app, "--parent-shutdown-time-s", options.parent_shutdown_time,
                    "shown in /server_info")
      ->group(kGroup);
  add_parsed(app, "--local-address-ip-version", options.local_address_v6, "no effect",
             choice("v4", "v6"))
      ->type_name("v4|v6")
      ->group(kGroup);
  app.add_flag("--reject-unknown-dynamic-fields", options.reject_unknown_dynamic_fields,
               "refuse resources of a control plane with fields that have no effect here")
      ->group(kGroup);
  app.add_flag("--disable-hot-restart")
      ->description("there is none: files are reloaded in place")
      ->group(kGroup);
  app.add_flag("--skip-deprecated-logs")->description("no effect")->group(kGroup);
  app.add_flag("--enable-core-dump", options.enable_core_dump,
               "core dumps even if the process changed its user")
      ->group(kGroup);
}

}  // namespace

void add_run_flags(CLI::App& app, RunFlags& flags) {
  app.get_formatter()->column_width(42);
  add_configuration(app, flags.options);
  add_logging(app, flags.options);
  add_ending(app, flags.options);
  add_identity(app, flags.options);
  add_tolerated(app, flags.options);
  app.add_flag("--version", flags.wants_version, "as `pillion version`");
}

Result<RunFlags> parse_run_flags(const std::vector<std::string>& arguments) {
  CLI::App app("", "pillion run");
  RunFlags flags;
  add_run_flags(app, flags);
  if (const auto ending = parse(app, arguments)) return Error{ending->text};
  return flags;
}

}  // namespace pillion::cli
