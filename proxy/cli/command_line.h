#pragma once
// The command line of `pillion`: finds the subcommand, reads its flags, runs it.
//
// Called with flags and no subcommand (`pillion -c x.yaml`) it is `run`, so that the binary can
// stand in for Envoy's.  Exit codes: 0 done; 1 the configuration, or what was asked for, failed; 2
// the command line itself is wrong, which is said in one line.

#include <string>
#include <vector>

namespace pillion::cli {

// `arguments` without the program's name.
int run_command_line(const std::vector<std::string>& arguments);

}  // namespace pillion::cli
