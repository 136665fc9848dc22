#pragma once
// Runs another program to its end: what `pillion capture` needs of nft and iptables.  Blocking, for
// subcommands only; never used by a running proxy.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"

namespace pillion::cli {

struct ProcessOutcome {
  int exit_code = 0;   // 128 + the signal's number when a signal ended it
  std::string output;  // standard output and standard error, in the order written
};

// The path of `name` in PATH, or in the system folders which the PATH of non-root users often
// lacks; empty when it is not installed.
std::string find_program(std::string_view name);

// Runs argv[0] (a path) with `input` on its standard input.  An error means that it could not be
// started; a program that ran and failed is an outcome.
Result<ProcessOutcome> run_program(const std::vector<std::string>& argv, std::string_view input);

}  // namespace pillion::cli
