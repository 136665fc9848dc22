#include "proxy/io/address.h"

#include <gtest/gtest.h>

#include <set>

#include "proxy/io/original_dst.h"
#include "tests/support/sockets.h"

namespace pillion::io {
namespace {

Address ip(std::string_view text, uint16_t port = 80) {
  auto parsed = Address::parse_ip(text, port);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(Address());
}

TEST(Address, ParsesAndFormatsIpAddresses) {
  const struct {
    const char* text;
    const char* formatted;
    const char* ip_only;
  } rows[] = {
      {"10.0.0.1", "10.0.0.1:80", "10.0.0.1"},
      {"255.255.255.255", "255.255.255.255:80", "255.255.255.255"},
      {"::1", "[::1]:80", "::1"},
      {"2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:80", "2001:db8::1"},
      {"fe80::1%2", "[fe80::1%2]:80", "fe80::1%2"},
      {"fe80::1%4294967295", "[fe80::1%4294967295]:80", "fe80::1%4294967295"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80",
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (const auto& row : rows) {
    const Address address = ip(row.text);
    EXPECT_EQ(address.to_string(), row.formatted);
    EXPECT_EQ(address.ip_string(), row.ip_only);
    EXPECT_TRUE(address.is_ip());
    EXPECT_EQ(address.port(), 80);
  }
}

TEST(Address, RefusesWhatIsNoIpAddress) {
  using std::string_view_literals::operator""sv;
  const std::string_view rows[] = {
      "",           "10.0.0",         "10.0.0.256",   "010.0.0.1 ", "localhost",
      "[::1]",      "::1%",           "::1%eth0",     "::1%1x",     "10.0.0.1%0",
      "1.2.3.4:80", "::1%4294967296", "1.2.3.4\0x"sv, "::1\0"sv};
  for (const std::string_view row : rows) EXPECT_FALSE(Address::parse_ip(row, 1)) << row;
}

TEST(Address, SurvivesTheWayThroughASockaddr) {
  for (const char* text : {"10.1.2.3", "::1", "fe80::1%2", "0.0.0.0", "::"}) {
    const Address address = ip(text, 65535);
    sockaddr_storage sa{};
    const socklen_t n = address.to_sockaddr(sa);
    ASSERT_GT(n, 0U);
    const Address back = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&sa), n);
    EXPECT_EQ(back, address) << text;
    EXPECT_EQ(back.hash(), address.hash());
  }
  // A v4 client of a v6 socket is a v4 client.
  sockaddr_storage sa{};
  const socklen_t n = ip("::ffff:10.1.2.3").to_sockaddr(sa);
  EXPECT_EQ(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&sa), n), ip("10.1.2.3"));
}

TEST(Address, ComparesAllThatMatters) {
  const Address addresses[] = {Address(),
                               ip("10.0.0.1"),
                               ip("10.0.0.2"),
                               ip("10.0.0.1", 81),
                               ip("::1"),
                               ip("::1%1"),
                               Address::unix_path("/a"),
                               Address::unix_path("/b"),
                               Address::internal("/a")};
  std::set<uint64_t> hashes;
  for (const Address& a : addresses) {
    for (const Address& b : addresses)
      EXPECT_EQ(a == b, &a == &b) << a.to_string() << b.to_string();
    hashes.insert(a.hash());
  }
  EXPECT_EQ(hashes.size(), std::size(addresses));
  EXPECT_EQ(Address::unix_path("/a"), Address::unix_path("/a"));
  EXPECT_EQ(Address::unix_path("/a").hash(), Address::unix_path("/a").hash());
}

TEST(Address, SpreadsItsHashOverPorts) {
  std::set<uint64_t> low_bits;
  for (uint16_t port = 0; port < 256; ++port) low_bits.insert(ip("10.0.0.1", port).hash() % 256);
  EXPECT_GT(low_bits.size(), 100U) << "a table of 256 buckets";
}

TEST(Address, KnowsAnyAndLoopback) {
  EXPECT_TRUE(ip("0.0.0.0").is_any());
  EXPECT_TRUE(ip("::").is_any());
  EXPECT_FALSE(ip("::1").is_any());
  EXPECT_FALSE(Address().is_any());
  EXPECT_FALSE(Address::unix_path("/a").is_any());
  EXPECT_TRUE(ip("127.0.0.1").is_loopback());
  EXPECT_TRUE(ip("127.255.0.1").is_loopback());
  EXPECT_TRUE(ip("::1").is_loopback());
  EXPECT_FALSE(ip("::2").is_loopback());
  EXPECT_FALSE(ip("128.0.0.1").is_loopback());
}

TEST(Address, NamesUnixPathsAndInternalListeners) {
  EXPECT_EQ(Address::unix_path("/run/a.sock").to_string(), "unix:/run/a.sock");
  EXPECT_EQ(Address::internal("tunnel").to_string(), "internal:tunnel");
  EXPECT_EQ(Address().to_string(), "");
  EXPECT_EQ(Address::unix_path("/run/a.sock").path(), "/run/a.sock");
  sockaddr_storage sa{};
  EXPECT_EQ(Address::unix_path(std::string(108, 'x')).to_sockaddr(sa), 0U) << "too long";
  EXPECT_GT(Address::unix_path(std::string(107, 'x')).to_sockaddr(sa), 0U);
  EXPECT_EQ(Address::internal("tunnel").to_sockaddr(sa), 0U);
  // A text of any length fits where kMaxText bytes are.
  EXPECT_LE(Address::internal(std::string(1000, 'x')).to_string().size(), Address::kMaxText);
}

TEST(OriginalDestination, IsNoneWithoutARedirection) {
  testing::TcpPair pair;
  EXPECT_EQ(original_destination(pair.ours.get()).kind(), Address::Kind::kNone);
  EXPECT_EQ(original_destination(-1).kind(), Address::Kind::kNone);
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  testing::Fd a(ends[0]), b(ends[1]);
  EXPECT_EQ(original_destination(a.get()).kind(), Address::Kind::kNone);
}

}  // namespace
}  // namespace pillion::io
