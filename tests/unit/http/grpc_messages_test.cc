#include "proxy/http/grpc_messages.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::http {
namespace {

std::string message(std::string_view content, uint8_t flags = 0) {
  char prefix[kGrpcPrefix];
  write_grpc_prefix(prefix, flags, static_cast<uint32_t>(content.size()));
  return std::string(prefix, sizeof prefix) + std::string(content);
}

TEST(GrpcMessages, PrefixesAreOneByteOfFlagsAndFourOfLength) {
  char prefix[kGrpcPrefix];
  write_grpc_prefix(prefix, 0x81, 0x12345678);
  EXPECT_EQ(std::string_view(prefix, 5), "\x81\x12\x34\x56\x78");
}

TEST(GrpcMessages, AreCountedWhereverTheBodyIsCut) {
  const std::string body = message("hello") + message("") + message(std::string(300, 'x'), 1) +
                           message("") + message("z");
  for (size_t size = 1; size <= body.size(); ++size) {
    GrpcMessages messages;
    uint32_t begun = 0;
    for (size_t at = 0; at < body.size(); at += size)
      begun += messages.take(std::string_view(body).substr(at, size));
    EXPECT_EQ(begun, 5u) << size;
    EXPECT_EQ(messages.count(), 5u) << size;
  }
}

TEST(GrpcMessages, AMessageCountsWhenItBegins) {
  GrpcMessages messages;
  EXPECT_EQ(messages.take(std::string_view("\0", 1)), 1u);
  EXPECT_EQ(messages.take(std::string_view("\0\0\0\2a", 5)), 0u);
  EXPECT_EQ(messages.take(""), 0u);
  EXPECT_EQ(messages.take("b"), 0u);
  EXPECT_EQ(messages.take(std::string_view("\0\xff\xff\xff\xff", 5)), 1u);
  EXPECT_EQ(messages.take(std::string(100'000, 'x')), 0u) << "the longest that there can be";
}

}  // namespace
}  // namespace pillion::http
