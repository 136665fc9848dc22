#include "proxy/tls/san_matcher.h"

#include <gtest/gtest.h>

namespace pillion::tls {
namespace {

using Kind = SanMatcher::Kind;

TEST(DnsNameCovers, FollowsTheRulesOfWildcards) {
  struct Case {
    const char* pattern;
    const char* host;
    bool covers;
  };
  // RFC 6125, 6.4.3: one whole left-most label, and never a public suffix.
  const Case cases[] = {
      {"users.shop", "users.shop", true},
      {"users.shop", "USERS.Shop", true},
      {"users.shop", "orders.shop", false},
      {"*.example.com", "a.example.com", true},
      {"*.Example.com", "A.eXample.com", true},
      {"*.example.com", "example.com", false},
      {"*.example.com", "a.b.example.com", false},  // CVE-2020-15104
      {"*.example.com", ".example.com", false},
      {"*.example.com", "*.example.com", true},
      {"*.a.example.com", "*.example.com", false},
      {"*.com", "example.com", false},
      {"*", "example", false},
      {"*", "", false},
      {"*.", "a.", false},
      {"a*.example.com", "ab.example.com", false},
      {"a.*.com", "a.b.com", false},
      {"*.example.com", "a.example.org", false},
      {"", "a", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(dns_name_covers(c.pattern, c.host), c.covers) << c.pattern << " for " << c.host;
  }
}

TEST(SanMatcher, MatchesByKind) {
  struct Case {
    SanType type;
    Kind kind;
    bool ignore_case;
    const char* text;
    San san;
    bool matches;
  };
  constexpr SanType kUri = SanType::kUri;
  const San users{kUri, "spiffe://mesh.local/ns/shop/sa/users"};
  const Case cases[] = {
      {kUri, Kind::kExact, false, "spiffe://mesh.local/ns/shop/sa/users", users, true},
      {kUri, Kind::kExact, false, "spiffe://mesh.local/ns/shop/sa/user", users, false},
      {kUri, Kind::kExact, false, "spiffe://MESH.local/ns/shop/sa/users", users, false},
      {kUri, Kind::kExact, true, "spiffe://MESH.local/ns/shop/sa/users", users, true},
      {kUri, Kind::kPrefix, false, "spiffe://mesh.local/ns/shop/", users, true},
      {kUri, Kind::kPrefix, false, "SPIFFE://mesh.local/", users, false},
      {kUri, Kind::kPrefix, true, "SPIFFE://mesh.local/", users, true},
      {kUri, Kind::kPrefix, false, "spiffe://mesh.local/ns/shop/sa/users/more", users, false},
      {kUri, Kind::kSuffix, false, "/sa/users", users, true},
      {kUri, Kind::kSuffix, false, "/sa/Users", users, false},
      {kUri, Kind::kSuffix, true, "/sa/Users", users, true},
      {kUri, Kind::kContains, false, "/ns/shop/", users, true},
      {kUri, Kind::kContains, false, "/ns/SHOP/", users, false},
      {kUri, Kind::kContains, true, "/ns/SHOP/", users, true},
      {kUri, Kind::kContains, true, "/ns/bank/", users, false},
      // A wildcard stands for a label in an exact DNS matcher only.
      {SanType::kDns, Kind::kExact, false, "a.example.com", {SanType::kDns, "*.example.com"}, true},
      {kUri, Kind::kExact, false, "a.example.com", {kUri, "*.example.com"}, false},
      {SanType::kDns, Kind::kPrefix, false, "a.", {SanType::kDns, "*.example.com"}, false},
      // CVE-2022-21656: the same text as a name of another type.
      {kUri, Kind::kExact, false, "mesh", {SanType::kDns, "mesh"}, false},
      {SanType::kDns, Kind::kExact, false, "mesh", {kUri, "mesh"}, false},
      {SanType::kIp, Kind::kExact, false, "10.0.0.1", {SanType::kDns, "10.0.0.1"}, false},
      {SanType::kIp, Kind::kExact, false, "10.0.0.1", {SanType::kIp, "10.0.0.1"}, true},
      {SanType::kEmail, Kind::kSuffix, false, "@a.org", {SanType::kEmail, "b@a.org"}, true},
  };
  for (const Case& c : cases) {
    const SanMatcher m{c.type, c.kind, c.ignore_case, c.text};
    EXPECT_EQ(m.matches(c.san), c.matches) << m.describe() << " on " << c.san.text;
  }
}

TEST(SanMatcher, AnExpressionIsForTheWholeName) {
  SanMatcher m{SanType::kUri, Kind::kRegex, false, ""};
  EXPECT_FALSE(m.matches({SanType::kUri, ""})) << "without an expression";
  m.regex = *match::Regex::compile("spiffe://mesh\\.local/ns/[a-z]+");
  EXPECT_TRUE(m.matches({SanType::kUri, "spiffe://mesh.local/ns/shop"}));
  EXPECT_FALSE(m.matches({SanType::kDns, "spiffe://mesh.local/ns/shop"}));
  EXPECT_FALSE(m.matches({SanType::kUri, "spiffe://mesh.local/ns/shop/sa"}));
  EXPECT_FALSE(m.matches({SanType::kUri, "x spiffe://mesh.local/ns/shop"}));
  EXPECT_FALSE(m.matches({SanType::kUri, "spiffe://mesh-local/ns/shop"}));
  EXPECT_EQ(m.describe(), "URI SAN that matches spiffe://mesh\\.local/ns/[a-z]+");
}

TEST(SanMatcher, DescribesItself) {
  EXPECT_EQ((SanMatcher{SanType::kUri, Kind::kExact, false, "a"}).describe(), "URI SAN a");
  EXPECT_EQ((SanMatcher{SanType::kDns, Kind::kPrefix, false, "a"}).describe(),
            "DNS SAN with prefix a");
  EXPECT_EQ((SanMatcher{SanType::kIp, Kind::kSuffix, false, "a"}).describe(),
            "IP SAN with suffix a");
  EXPECT_EQ((SanMatcher{SanType::kEmail, Kind::kContains, false, "a"}).describe(),
            "EMAIL SAN that contains a");
}

TEST(SanMatcher, ANameTellsItsType) {
  const auto check = [](const char* name, SanType type, const char* text) {
    const SanMatcher m = matcher_for_name(name);
    EXPECT_EQ(m.type, type) << name;
    EXPECT_EQ(m.text, text);
    EXPECT_EQ(m.kind, Kind::kExact);
  };
  check("spiffe://mesh.local/a", SanType::kUri, "spiffe://mesh.local/a");
  check("users.shop", SanType::kDns, "users.shop");
  check("10.0.0.1", SanType::kIp, "10.0.0.1");
  check("0:0:0:0:0:0:0:1", SanType::kIp, "::1");
  check("999.0.0.1", SanType::kDns, "999.0.0.1");
}

TEST(CanonicalIp, RefusesWhatIsNoAddress) {
  for (const char* bad : {"", "10.0.0", "10.0.0.1.", "10.0.0.256", "g::1", "[::1]", "1::2::3"}) {
    EXPECT_EQ(canonical_ip(bad), "") << bad;
  }
  EXPECT_EQ(canonical_ip(std::string_view("10.0.0.1\0x", 10)), "") << "no tail behind a NUL";
  EXPECT_EQ(canonical_ip("FE80::0001"), "fe80::1");
}

}  // namespace
}  // namespace pillion::tls
