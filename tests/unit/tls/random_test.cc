#include "proxy/tls/random.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <thread>

namespace pillion::tls {
namespace {

using Bytes = std::array<uint8_t, 16>;

TEST(Random, NothingIsHandedOutTwiceOnAnyThread) {
  std::set<Bytes> seen;
  const auto draw = [&seen] {
    for (int i = 0; i < 1000; ++i) {
      Bytes bytes;
      random_bytes(bytes);
      EXPECT_TRUE(seen.insert(bytes).second);
    }
  };
  draw();
  std::thread(draw).join();
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
