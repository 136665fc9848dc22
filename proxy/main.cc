#include <malloc.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "proxy/base/crash.h"
#include "proxy/cli/command_line.h"

int main(int argc, char** argv) {
  pillion::crash::install("pillion " PILLION_VERSION);
  // A block of this size (io's slabs are 17 KiB) is mapped on its own, so that it goes back to the
  // system when it is freed, wherever it lies: what slow clients cost must not stay.
  mallopt(M_MMAP_THRESHOLD, 16 * 1024);
  try {
    return pillion::cli::run_command_line(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    fprintf(stderr, "pillion: %s\n", error.what());
    return 1;
  }
}
