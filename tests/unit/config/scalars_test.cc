#include "proxy/config/scalars.h"

#include <gtest/gtest.h>

namespace pillion::config {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

TEST(Duration, TakesEveryUnit) {
  const std::pair<const char*, nanoseconds> kCases[] = {{"0", 0ns},
                                                        {"0s", 0ns},
                                                        {"1.5s", 1500ms},
                                                        {"250ms", 250ms},
                                                        {"3us", 3us},
                                                        {"7ns", 7ns},
                                                        {"2m", 2min},
                                                        {"1h", 1h},
                                                        {".5s", 500ms},
                                                        {"1.000000001s", 1s + 1ns},
                                                        {"0.5h", 30min},
                                                        {"0.1ns", 0ns},
                                                        {"9223372036s", 9223372036s}};
  for (const auto& [text, expected] : kCases) {
    auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error();
    EXPECT_EQ(*parsed, expected) << text;
  }
}

TEST(Duration, RefusesWhatIsNone) {
  for (const char* text : {"", "s", "5", "5 s", "-1s", "1.5.5s", "1e3s", "5parsecs", "9223372037s",
                           "99999999999999999999s", "0.0000000001s", "1s ", " 1s", "3000000h"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Duration, IsWrittenAsProto3JsonDoes) {
  EXPECT_EQ(format_duration(0s), "0s");
  EXPECT_EQ(format_duration(1500ms), "1.5s");
  EXPECT_EQ(format_duration(1ns), "0.000000001s");
  EXPECT_EQ(format_duration(90s), "90s");
}

TEST(Size, TakesPowersOf1024And1000) {
  EXPECT_EQ(*parse_size("65536"), 65536U);
  EXPECT_EQ(*parse_size("64KiB"), 65536U);
  EXPECT_EQ(*parse_size("1.5MiB"), 1572864U);
  EXPECT_EQ(*parse_size("1MB"), 1000000U);
  EXPECT_EQ(*parse_size("2GiB"), uint64_t{2} << 30);
  for (const char* text : {"", "KiB", "1K", "-1", "99999999999GiB"})
    EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Percent, LiesBetween0And100) {
  EXPECT_DOUBLE_EQ(*parse_percent("20%"), 20);
  EXPECT_DOUBLE_EQ(*parse_percent("0.01"), 0.01);
  for (const char* text : {"", "%", "101%", "-1%", "x", "nan"})
    EXPECT_FALSE(parse_percent(text)) << text;
}

TEST(Fraction, IsTheCoarsestExactOne) {
  EXPECT_EQ(*parse_fraction("1%"), (Fraction{1, 100}));
  EXPECT_EQ(*parse_fraction("0.1%"), (Fraction{10, 10'000}));
  EXPECT_EQ(*parse_fraction("0.0001%"), (Fraction{1, 1'000'000}));
  EXPECT_FALSE(parse_fraction("0.00001%"));
}

TEST(Numbers, AreDecimalAndExact) {
  EXPECT_EQ(*parse_unsigned("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(*parse_unsigned("0"), 0U);
  EXPECT_EQ(*parse_signed("-5"), -5);
  EXPECT_EQ(*parse_unsigned("1e3"), 1000U);
  for (const char* text : {"", "-1", "010", "0x10", "1.5", "1e300", "5x", " 5", "+5", "1_000"}) {
    EXPECT_FALSE(parse_unsigned(text)) << text;
  }
  for (const char* text : {"", "nan", "inf", "1,5", "0x1p3"})
    EXPECT_FALSE(parse_double(text)) << text;
}

TEST(Address, ReadsIpNameAndUnixAndWritesThemBack) {
  using enum AddressText::Kind;
  const std::tuple<const char*, AddressText::Kind, const char*, int> kCases[] = {
      {"127.0.0.1:8080", kIp, "127.0.0.1", 8080},
      {"0.0.0.0:0", kIp, "0.0.0.0", 0},
      {"[::1]:80", kIp, "::1", 80},
      {"orders.shop:8080", kName, "orders.shop", 8080},
      {"localhost:1", kName, "localhost", 1},
      {"unix:/run/a.sock", kUnix, "/run/a.sock", 0},
      {"unix:@a", kUnix, "@a", 0}};
  for (const auto& [text, kind, host, port] : kCases) {
    auto parsed = parse_address(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error();
    EXPECT_EQ(parsed->kind, kind) << text;
    EXPECT_EQ(parsed->host, host) << text;
    EXPECT_EQ(parsed->port, port) << text;
    EXPECT_EQ(parsed->to_string(), text);
  }
}

TEST(Address, RefusesWhatCannotBeOne) {
  for (const char* text : {"",
                           ":",
                           "8080",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.0.0.1:65536",
                           "127.0.0.1:080",
                           "::1:80",
                           "[::1]",
                           "[127.0.0.1]:80",
                           "[a]:80",
                           "1.2.3:80",
                           "1.2.3.4.5:80",
                           "a b:80",
                           "a..b:80",
                           "unix:",
                           "unix:rel",
                           "127.0.0.1:-1",
                           "[]:80",
                           ":80"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
}

TEST(Address, SaysHowToWriteABareIpv6Address) {
  EXPECT_EQ(parse_address("2001:db8::1").error(),
            "an address with a port, such as [2001:db8::1]:8080");
}

TEST(Address, KnowsLoopback) {
  EXPECT_TRUE(parse_address("127.0.0.9:1")->is_loopback());
  EXPECT_TRUE(parse_address("[::1]:1")->is_loopback());
  EXPECT_TRUE(parse_address("unix:/x")->is_loopback());
  EXPECT_FALSE(parse_address("0.0.0.0:1")->is_loopback());
}

}  // namespace
}  // namespace pillion::config
