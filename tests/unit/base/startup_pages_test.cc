#include "proxy/base/startup_pages.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

namespace pillion {
namespace {

// KiB of this program's code that are mapped.
int64_t mapped_code() {
  std::ifstream smaps("/proc/self/smaps");
  const std::string program = std::string(testing::internal::GetArgvs()[0]);
  const std::string name = program.substr(program.rfind('/') + 1);
  bool is_code = false;
  int64_t sum = 0;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words(line);
    std::string first, second;
    words >> first >> second;
    if (first.find('-') != first.npos) is_code = second == "r-xp" && line.ends_with(name);
    if (is_code && first == "Rss:") sum += std::stoll(second);
  }
  return sum;
}

TEST(StartupPages, AreUnmappedAndTheProgramGoesOn) {
  const int64_t before = mapped_code();
  ASSERT_GT(before, 0);
  forget_startup_pages();
  EXPECT_LT(mapped_code(), before);
}

}  // namespace
}  // namespace pillion
