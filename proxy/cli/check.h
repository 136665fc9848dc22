#pragma once
// `pillion check`: is a configuration good?  Reads, expands, parses and compiles it, and listens
// nowhere.

#include <string>
#include <vector>

#include "proxy/builder/options.h"

namespace pillion::cli {

struct CheckReport {
  bool is_good = false;
  std::string summary;  // for stdout: "mesh.yaml: OK (2 listeners, 3 clusters)"; empty if it is not
  std::string problems;  // for stderr: errors, then warnings, one a line
};

// What options.config_path and options.config_yaml stand for.
CheckReport check(const Options& options);

// Prints all reports; returns the exit code.
int print_check(const std::vector<CheckReport>& reports);

}  // namespace pillion::cli
