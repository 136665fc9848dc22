#include "proxy/base/hex.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "proxy/base/rng.h"

namespace pillion {
namespace {

TEST(Hex, WritesWhatPrintfWrites) {
  Rng rng(1);
  uint64_t value = 0;
  for (int i = 0; i < 10'000; ++i) {
    char ours[kHex64Text];
    write_hex64(ours, value);
    char theirs[kHex64Text + 1];
    std::snprintf(theirs, sizeof theirs, "%016llx", static_cast<unsigned long long>(value));
    ASSERT_EQ(std::string(ours, kHex64Text), theirs);
    value = i < 64 ? uint64_t{1} << i : rng.next();
  }
  char all[kHex64Text];
  write_hex64(all, 0x0123'4567'89ab'cdef);
  EXPECT_EQ(std::string(all, kHex64Text), "0123456789abcdef");
}

}  // namespace
}  // namespace pillion
