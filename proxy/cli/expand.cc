// `pillion expand`: the Envoy v3 configuration that a short file stands for.
#include "proxy/config/expand.h"

#include <cstdio>
#include <memory>

#include "proxy/cli/commands.h"
#include "proxy/cli/parse.h"
#include "proxy/config/yaml_print.h"

namespace pillion::cli {
namespace {

int run_expand(const std::string& file) {
  using config::Severity;
  config::Errors errors;
  const config::DocumentPtr document = config::load_bootstrap(file, {}, errors);
  fputs(errors.to_string(Severity::kError).c_str(), stderr);
  fputs(errors.to_string(Severity::kWarning).c_str(), stderr);
  if (document == nullptr || !errors.ok()) return 1;
  fputs(config::print_yaml(*document).c_str(), stdout);
  return 0;
}

}  // namespace

void add_expand(CLI::App& root, Command& command) {
  CLI::App* app = root.add_subcommand(
      "expand", "Prints the Envoy v3 configuration that a short file stands for.");
  auto file = std::make_shared<std::string>();
  app->add_option("FILE", *file, "short mesh YAML")->type_name("")->required();
  app->callback([&command, file] { command.action = [file] { return run_expand(*file); }; });
}

}  // namespace pillion::cli
