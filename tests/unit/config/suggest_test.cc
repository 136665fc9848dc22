#include "proxy/config/suggest.h"

#include <gtest/gtest.h>

#include <array>

namespace pillion::config {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"listen", "capture", "mtls", "idle_timeout"};

TEST(Suggest, FindsWhatASlipWouldHaveBeen) {
  EXPECT_EQ(closest("lisen", kNames), "listen");
  EXPECT_EQ(closest("catpure", kNames), "capture") << "two letters swapped";
  EXPECT_EQ(closest("idle-timeout", kNames), "idle_timeout");
  EXPECT_EQ(closest("MTLS", kNames), "mtls");
}

TEST(Suggest, KeepsSilentWhenNothingIsNear) {
  EXPECT_EQ(closest("frobnicate", kNames), "");
  EXPECT_EQ(closest("", kNames), "");
  EXPECT_EQ(closest(std::string(1000, 'a'), kNames), "");
  EXPECT_EQ(did_you_mean("q", kNames), "");
}

TEST(Suggest, CutsTextBetweenCharacters) {
  const std::string umlauts = std::string(59, 'a') + "\xc3\xa4\xc3\xa4";
  EXPECT_EQ(printable(umlauts), std::string(59, 'a') + "\xc3\xa4...");
}

TEST(Suggest, KnowsProto3CamelCase) {
  EXPECT_TRUE(is_camel_case_of("connectTimeout", "connect_timeout"));
  EXPECT_TRUE(is_camel_case_of("acceptHttp10", "accept_http_10"));
  EXPECT_TRUE(is_camel_case_of("http2ProtocolOptions", "http2_protocol_options"));
  EXPECT_FALSE(is_camel_case_of("connecttimeout", "connect_timeout"));
  EXPECT_FALSE(is_camel_case_of("connectTimeoutX", "connect_timeout"));
}

}  // namespace
}  // namespace pillion::config
