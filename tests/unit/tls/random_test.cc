#include "proxy/tls/random.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <thread>

namespace pillion::tls {
namespace {

std::string uuid() {
  std::string text(kUuidBytes, '\0');
  random_uuid(text.data());
  return text;
}

TEST(Random, UuidsAreOfVersion4) {
  constexpr std::string_view kForm = "xxxxxxxx-xxxx-4xxx-vxxx-xxxxxxxxxxxx";
  for (int i = 0; i < 100; ++i) {
    const std::string text = uuid();
    for (size_t k = 0; k < kForm.size(); ++k) {
      const std::string_view allowed = kForm[k] == 'x'   ? "0123456789abcdef"
                                       : kForm[k] == 'v' ? "89ab"
                                                         : kForm.substr(k, 1);
      EXPECT_NE(allowed.find(text[k]), allowed.npos) << text << " at " << k;
    }
  }
}

TEST(Random, NothingIsHandedOutTwiceOnAnyThread) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(uuid()).second);
  std::thread([&seen] {
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(uuid()).second);
  }).join();
}

TEST(Random, FillsAnySize) {
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{127}, size_t{128}, size_t{129}, size_t{5000}}) {
    std::string a(size + 2, 'x');
    std::string b = a;
    random_bytes({reinterpret_cast<uint8_t*>(a.data()) + 1, size});
    random_bytes({reinterpret_cast<uint8_t*>(b.data()) + 1, size});
    EXPECT_EQ(a.front(), 'x');
    EXPECT_EQ(a.back(), 'x');
    if (size >= 16) {
      EXPECT_NE(a, b);
    }
  }
}

}  // namespace
}  // namespace pillion::tls
