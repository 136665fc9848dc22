#include "proxy/base/uuid.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

namespace pillion {
namespace {

std::string uuid(Rng& rng) {
  std::string text(kUuidBytes + 1, '!');
  write_uuid(text.data(), rng);
  EXPECT_EQ(text.back(), '!') << "wrote too much";
  text.pop_back();
  return text;
}

TEST(Uuid, IsOfVersion4) {
  constexpr std::string_view kForm = "xxxxxxxx-xxxx-4xxx-vxxx-xxxxxxxxxxxx";
  Rng rng(1);
  for (int i = 0; i < 100; ++i) {
    const std::string text = uuid(rng);
    for (size_t k = 0; k < kForm.size(); ++k) {
      const std::string_view allowed = kForm[k] == 'x'   ? "0123456789abcdef"
                                       : kForm[k] == 'v' ? "89ab"
                                                         : kForm.substr(k, 1);
      EXPECT_NE(allowed.find(text[k]), allowed.npos) << text << " at " << k;
    }
  }
}

TEST(Uuid, ComesOnlyOnce) {
  Rng rng(2);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(uuid(rng)).second);
}

}  // namespace
}  // namespace pillion
