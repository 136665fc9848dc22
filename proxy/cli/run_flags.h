#pragma once
// The flags of `pillion run`: Envoy's own names and defaults, read into Options.

#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/builder/options.h"

namespace CLI {
class App;
}

namespace pillion::cli {

struct RunFlags {
  Options options;
  bool wants_version = false;
};

// `flags` outlives the parsing.
void add_run_flags(CLI::App& app, RunFlags& flags);

// For tests: the flags alone; the error is the line that a user would see.
Result<RunFlags> parse_run_flags(const std::vector<std::string>& arguments);

}  // namespace pillion::cli
