// `pillion run`: the proxy itself.
#include <cstdio>
#include <memory>

#include "proxy/cli/check.h"
#include "proxy/cli/commands.h"
#include "proxy/cli/parse.h"
#include "proxy/cli/run_flags.h"
#include "proxy/cli/version.h"
#include "proxy/server.h"

namespace pillion::cli {
namespace {

int run(const RunFlags& flags) {
  if (flags.wants_version) return fputs(version_text().c_str(), stdout), 0;
  const Options& options = flags.options;
  if (options.config_path.empty() && options.config_yaml.empty()) {
    fputs(
        "pillion run: no configuration: give a file with -c, or text with --config-yaml; see "
        "pillion run --help\n",
        stderr);
    return 2;
  }
  return options.validate_only ? print_check({check(options)}) : run_server(options);
}

}  // namespace

void add_run(CLI::App& root, Command& command) {
  CLI::App* app = root.add_subcommand("run", "Runs the proxy.");
  auto flags = std::make_shared<RunFlags>();
  flags->options.arguments = command.arguments;
  add_run_flags(*app, *flags);
  app->callback([&command, flags] { command.action = [flags] { return run(*flags); }; });
}

}  // namespace pillion::cli
