#pragma once
// The subcommands, one file each.  add_x() declares the flags of one on a CLI::App; when it was
// chosen, Command::action is what to do, and its result the exit code.

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace pillion::cli {

struct Command {
  std::vector<std::string> arguments;  // as typed, without the program's name
  std::function<int()> action;         // owns the flags that it read
};

// Both outlive the parsing of the command line.
void add_run(CLI::App& root, Command& command);
void add_check(CLI::App& root, Command& command);
void add_expand(CLI::App& root, Command& command);
void add_explain(CLI::App& root, Command& command);
void add_capture(CLI::App& root, Command& command);
void add_ca(CLI::App& root, Command& command);
void add_inject(CLI::App& root, Command& command);
void add_version(CLI::App& root, Command& command);

}  // namespace pillion::cli
