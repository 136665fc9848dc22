#include "proxy/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace pillion {

void assert_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
  std::fflush(stderr);
  std::abort();
}

}  // namespace pillion
