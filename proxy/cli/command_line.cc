#include "proxy/cli/command_line.h"

#include <cstdio>

#include "proxy/cli/commands.h"
#include "proxy/cli/parse.h"

namespace pillion::cli {
namespace {

bool is_run_without_its_name(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0].size() < 2 || arguments[0][0] != '-') return false;
  return arguments[0] != "--help" && arguments[0] != "-h";
}

}  // namespace

int run_command_line(const std::vector<std::string>& arguments) {
  CLI::App root("A service-mesh sidecar proxy. Flags without a subcommand mean `run`.", "pillion");
  root.require_subcommand(1);
  root.get_formatter()->column_width(34);
  Command command{arguments, {}};
  add_run(root, command);
  add_check(root, command);
  add_expand(root, command);
  add_explain(root, command);
  add_capture(root, command);
  add_ca(root, command);
  add_inject(root, command);
  add_version(root, command);
  // For --help only: as a flag it belongs to `run`, which is called below.
  root.add_flag("--version")->description("as `pillion version`");

  std::vector<std::string> to_parse = arguments;
  if (is_run_without_its_name(arguments)) to_parse.insert(to_parse.begin(), "run");
  if (const auto ending = parse(root, to_parse)) {
    fputs(ending->text.c_str(), ending->exit_code == 0 ? stdout : stderr);
    return ending->exit_code;
  }
  return command.action();
}

}  // namespace pillion::cli
