#include "proxy/cli/check.h"

#include <cstdio>
#include <memory>

#include "proxy/builder/builder.h"
#include "proxy/cli/commands.h"
#include "proxy/cli/parse.h"

namespace pillion::cli {
namespace {

std::string count(size_t n, const char* what) { return str(n, ' ', what, n == 1 ? "" : "s"); }

struct CheckFlags {
  std::vector<std::string> files;
  Options options;
};

int run_check(const CheckFlags& flags) {
  std::vector<CheckReport> reports;
  for (const std::string& file : flags.files) {
    Options options = flags.options;
    options.config_path = file;
    reports.push_back(check(options));
  }
  return print_check(reports);
}

}  // namespace

CheckReport check(const Options& options) {
  using config::Severity;
  config::Errors errors(options.unknown_fields());
  const auto snapshot = build_snapshot(options, {}, errors);
  CheckReport report;
  report.is_good = snapshot != nullptr && errors.ok();
  report.problems = errors.to_string(Severity::kError) + errors.to_string(Severity::kWarning);
  if (report.is_good) {
    const std::string& name = options.config_path.empty() ? "--config-yaml" : options.config_path;
    report.summary = str(name, ": OK (", count(snapshot->listeners.size(), "listener"), ", ",
                         count(snapshot->clusters.size(), "cluster"), ")\n");
  }
  return report;
}

int print_check(const std::vector<CheckReport>& reports) {
  bool all_good = true;
  for (const CheckReport& report : reports) {
    fputs(report.problems.c_str(), stderr);
    fputs(report.summary.c_str(), stdout);
    all_good = all_good && report.is_good;
  }
  return all_good ? 0 : 1;
}

void add_check(CLI::App& root, Command& command) {
  CLI::App* app = root.add_subcommand(
      "check", "Says all that is wrong with configuration files; exits 1 if anything is.");
  auto flags = std::make_shared<CheckFlags>();
  app->add_option("FILE", flags->files, "short mesh YAML, or Envoy's YAML or JSON")
      ->type_name("")
      ->required();
  app->add_flag("--allow-unknown-static-fields", flags->options.allow_unknown_static_fields,
                "unknown fields are warnings, not errors");
  app->callback([&command, flags] { command.action = [flags] { return run_check(*flags); }; });
}

}  // namespace pillion::cli
