#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "proxy/base/crash.h"
#include "proxy/cli/command_line.h"

int main(int argc, char** argv) {
  pillion::crash::install("pillion " PILLION_VERSION);
  try {
    return pillion::cli::run_command_line(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    fprintf(stderr, "pillion: %s\n", error.what());
    return 1;
  }
}
