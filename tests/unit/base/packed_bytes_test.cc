#include "proxy/base/packed_bytes.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/base/rng.h"
#include "proxy/base/str.h"

namespace pillion {
namespace {

TEST(PackedBytes, GiveBackWhatTheyWereMadeOf) {
  for (const std::string& bytes :
       {std::string(), std::string("a"), std::string("abc"), std::string("abcabcabcabcabc"),
        std::string(1000, 'x'), std::string("\0\1\0\1\0\1\0\1", 8)})
    for (const std::string& like : {std::string(), std::string("abc"), std::string(70, 'x')})
      EXPECT_EQ(PackedBytes(bytes, like).unpack(like), bytes);
}

TEST(PackedBytes, GiveBackAnyBytes) {
  Rng rng(3);
  for (int round = 0; round < 3000; ++round) {
    // Few different ones, so that much is repeated, and over itself.
    const uint64_t different = 1 + rng.below(round % 7 == 0 ? 256 : 3);
    const auto any = [&](size_t size) {
      std::string out;
      while (out.size() < size) out += static_cast<char>(rng.below(different));
      return out;
    };
    const std::string like = any(rng.below(40));
    const std::string bytes = any(rng.below(round % 100 == 0 ? 100'000 : 400));
    ASSERT_EQ(PackedBytes(bytes, like).unpack(like), bytes);
  }
}

TEST(PackedBytes, OfEndpointsTakeAThird) {
  const std::string name = "outbound|8080||service-1234.namespace.svc.cluster.local";
  std::string bytes = str("\x0a", static_cast<char>(name.size()), name);
  for (int i = 0; i < 10; ++i)
    bytes += str("\x12\x1b\x0a\x15\x0a\x13\x0a\x11\x12\x0a", "10.4.23.", i + 1,
                 "\x18\x90\x3f\x22\x02\x08\x01");
  const PackedBytes packed(bytes, name);
  EXPECT_EQ(packed.unpack(name), bytes);
  EXPECT_LE(packed.packed_size(), bytes.size() / 3) << bytes.size();
}

}  // namespace
}  // namespace pillion
