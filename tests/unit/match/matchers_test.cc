#include <gtest/gtest.h>

#include <string>

#include "proxy/config/loader.h"
#include "proxy/http/message.h"
#include "proxy/io/address.h"
#include "proxy/match/cidr.h"
#include "proxy/match/header_value.h"
#include "proxy/match/parameters.h"
#include "proxy/match/regex.h"
#include "proxy/match/string.h"

namespace pillion::match {
namespace {

// What `parse` makes of a YAML text; `messages` gets the errors.
template <typename Parse>
auto parsed(std::string_view yaml, Parse&& parse, std::string* messages = nullptr) {
  config::Errors errors;
  const auto document = config::load_text(yaml, "x", errors);
  auto result = parse(document->root(errors));
  if (messages != nullptr) {
    *messages = errors.to_string();
  } else {
    EXPECT_TRUE(errors.ok()) << errors.to_string();
    EXPECT_TRUE(errors.unfinished().empty()) << yaml;
  }
  return result;
}

template <typename Parse>
std::string messages_of(std::string_view yaml, Parse&& parse) {
  std::string messages;
  (void)parsed(yaml, parse, &messages);
  return messages;
}

TEST(StringMatcher, FollowsTheTable) {
  struct Case {
    std::string_view yaml, text;
    bool expected;
  };
  const Case cases[] = {
      {"{ exact: ab }", "ab", true},
      {"{ exact: ab }", "abc", false},
      {"{ exact: ab }", "AB", false},
      {"{ exact: aB, ignore_case: true }", "Ab", true},
      {"{ exact: '' }", "", true},
      {"{ prefix: ab }", "abc", true},
      {"{ prefix: ab }", "a", false},
      {"{ prefix: AB, ignoreCase: true }", "abc", true},
      {"{ suffix: bc }", "abc", true},
      {"{ suffix: bc }", "abcd", false},
      {"{ suffix: BC, ignore_case: true }", "abc", true},
      {"{ contains: b }", "abc", true},
      {"{ contains: B }", "abc", false},
      {"{ contains: Bc, ignore_case: true }", "ABCD", true},
      {"{ safe_regex: { regex: 'a+' } }", "aaa", true},
      {"{ safe_regex: { regex: 'a+' } }", "aab", false},
      {"{ safeRegex: { google_re2: {}, regex: 'a.' } }", "a\xff", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(parsed(c.yaml, parse_string_matcher).matches(c.text), c.expected)
        << c.yaml << " on " << c.text;
  }
}

TEST(StringMatcher, RefusesWhatItCannotMatch) {
  EXPECT_EQ(messages_of("{}", parse_string_matcher),
            "x:1:1: expected one of exact, prefix, suffix, contains, safe_regex\n");
  EXPECT_EQ(messages_of("{ exact: a, prefix: b }", parse_string_matcher),
            "x:1:21: prefix: only one of exact and prefix may be given\n");
  EXPECT_NE(messages_of("{ custom: {} }", parse_string_matcher), "");
  EXPECT_NE(messages_of("{ exacct: a }", parse_string_matcher), "");
  EXPECT_NE(messages_of("{ prefix: '' }", parse_string_matcher), "");
}

TEST(Regex, RefusesBadAndHugePatterns) {
  EXPECT_FALSE(Regex::compile("a(").has_value());
  EXPECT_FALSE(Regex::compile("(?=a)").has_value());  // no look-ahead in a linear-time engine
  EXPECT_FALSE(Regex::compile(std::string(Regex::kMaxPatternBytes + 1, 'a')).has_value());
  EXPECT_FALSE(Regex::compile("((a{100}){100}){100}").has_value());
}

TEST(Regex, MatchesInLinearTime) {
  const auto regex = Regex::compile("(a*)*b");
  ASSERT_TRUE(regex.has_value());
  EXPECT_FALSE((*regex)->matches(std::string(100'000, 'a')));
}

TEST(Regex, ReplacesEachMatch) {
  struct Case {
    std::string_view pattern, substitution, text, expected;
  };
  const Case cases[] = {
      {"^/service/([^/]+)(/.*)$", "\\2/instance/\\1", "/service/foo/v1/api",
       "/v1/api/instance/foo"},
      {"one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz"},
      {"^(.*?)one(.*)$", "\\1two\\2", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/one/zzz"},
      {"(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"},
      {"x", "y", "abc", "abc"},
      {"b*", "-", "abc", "-a-c-"},
      {"$", "/", "/a", "/a/"},
      {"a", "\\\\", "a", "\\"},
      {"(x)?a", "<\\1>", "a", "<>"},
      {"a", "[\\0\\0]", "ba", "b[aa]"},
      {"a", "", "banana", "bnn"},
      {"^a", "b", "aaa", "baa"},
  };
  for (const Case& c : cases) {
    Arena arena;
    const auto regex = Regex::compile(c.pattern);
    ASSERT_TRUE(regex.has_value()) << c.pattern;
    EXPECT_EQ((*regex)->replace_all(c.text, c.substitution, arena), c.expected) << c.pattern;
  }
}

TEST(Regex, RefusesSubstitutionsOfGroupsThatAreNotThere) {
  const auto bad = "{ pattern: { regex: '(a)' }, substitution: '\\2' }";
  EXPECT_EQ(messages_of(bad, parse_regex_rewrite),
            "x:1:44: substitution: expected a group that the pattern has (up to \\1), "
            "got \"\\2\"\n");
  EXPECT_NE(messages_of("{ pattern: { regex: a }, substitution: '\\x' }", parse_regex_rewrite), "");
  EXPECT_NE(messages_of("{ pattern: { regex: a }, substitution: '\\' }", parse_regex_rewrite), "");
  EXPECT_NE(messages_of("{ substitution: a }", parse_regex_rewrite), "");
}

TEST(Cidr, ContainsItsAddresses) {
  struct Case {
    std::string_view range, address;
    bool expected;
  };
  const Case cases[] = {
      {"10.0.0.0/8", "10.255.0.1", true},
      {"10.0.0.0/8", "11.0.0.1", false},
      {"10.1.2.3/8", "10.9.9.9", true},
      {"10.0.0.0/9", "10.128.0.0", false},
      {"10.0.0.0/9", "10.127.0.0", true},
      {"0.0.0.0/0", "1.2.3.4", true},
      {"0.0.0.0/0", "::1", false},
      {"1.2.3.4", "1.2.3.4", true},
      {"1.2.3.4/32", "1.2.3.5", false},
      {"fd00::/8", "fd12::1", true},
      {"fd00::/8", "fe00::1", false},
      {"::1/128", "::1", true},
      {"::/0", "10.0.0.1", false},
      {"2001:db8::/33", "2001:db8:8000::", false},
      {"2001:db8::/33", "2001:db8:7fff::", true},
  };
  for (const Case& c : cases) {
    const auto range = Cidr::parse(c.range);
    const auto address = io::Address::parse_ip(c.address, 80);
    ASSERT_TRUE(range.has_value() && address.has_value()) << c.range;
    EXPECT_EQ(range->contains(*address), c.expected) << c.range << " " << c.address;
  }
  EXPECT_FALSE(Cidr().contains(*io::Address::parse_ip("1.2.3.4", 1)));
  EXPECT_FALSE(Cidr::parse("0.0.0.0/0")->contains(io::Address::unix_path("/run/x")));
}

TEST(Cidr, ReadsEnvoysForm) {
  const Cidr cidr = parsed("{ address_prefix: 10.1.2.3, prefix_len: 24 }", parse_cidr);
  EXPECT_EQ(cidr.to_string(), "10.1.2.0/24");
  EXPECT_EQ(cidr.length(), 24u);
  EXPECT_EQ(parsed("{ addressPrefix: '::' }", parse_cidr).to_string(), "::/0");
  EXPECT_EQ(messages_of("{ address_prefix: 10.0.0.0, prefix_len: 33 }", parse_cidr),
            "x:1:41: prefix_len: expected a prefix length of 0-32, got 33\n");
  EXPECT_NE(messages_of("{ address_prefix: users.shop }", parse_cidr), "");
  EXPECT_NE(messages_of("{ prefix_len: 8 }", parse_cidr), "");
}

class HeaderMatching : public testing::Test {
 protected:
  HeaderMatching() {
    head_.method_text = "GET";
    head_.path = "/a?b=1";
    head_.authority = "users.shop:80";
    head_.scheme = "https";
    head_.headers.add("x-one", "1");
    head_.headers.add("x-two", "a");
    head_.headers.add("x-two", "b");
    head_.headers.add("x-text", "Hello World");
    head_.headers.add("x-plus", "+5");
    head_.headers.add("x-empty", "");
    head_.headers.add("x-gone", "1");
    head_.headers.remove("x-gone");
    head_.headers.add(http::HeaderId::kCookie, "a=1; b=\"two\"; c; f= 6 ");
    head_.headers.add(http::HeaderId::kCookie, "d=4;a=9");
  }
  bool holds(std::string_view yaml) { return parsed(yaml, parse_header_matcher).matches(head_); }
  Arena arena_;
  http::RequestHead head_{arena_};
};

TEST_F(HeaderMatching, FollowsTheTable) {
  struct Case {
    std::string_view yaml;
    bool expected;
  };
  const Case cases[] = {
      {"{ name: x-one }", true},
      {"{ name: X-One }", true},
      {"{ name: x-none }", false},
      {"{ name: x-gone }", false},
      {"{ name: x-empty }", true},
      {"{ name: x-one, present_match: true }", true},
      {"{ name: x-one, present_match: false }", false},
      {"{ name: x-none, present_match: false }", true},
      {"{ name: x-none, invert_match: true }", true},
      {"{ name: x-one, present_match: true, invert_match: true }", false},
      {"{ name: x-one, string_match: { exact: '1' } }", true},
      {"{ name: x-text, string_match: { prefix: hello, ignore_case: true } }", true},
      {"{ name: x-text, string_match: { safe_regex: { regex: 'H.*d' } } }", true},
      // Deprecated forms.
      {"{ name: x-one, exact_match: '1' }", true},
      {"{ name: x-text, prefix_match: Hel }", true},
      {"{ name: x-text, suffix_match: World }", true},
      {"{ name: x-text, contains_match: 'o W' }", true},
      {"{ name: x-text, safe_regex_match: { regex: 'Hello' } }", false},
      {"{ name: x-one, exactMatch: '1' }", true},
      // Ranges are half open and take whole decimal numbers.
      {"{ name: x-one, range_match: { start: 1, end: 2 } }", true},
      {"{ name: x-one, range_match: { start: 0, end: 1 } }", false},
      {"{ name: x-one, range_match: { start: '-5', end: 10 } }", true},
      {"{ name: x-plus, range_match: { start: 5, end: 6 } }", true},
      {"{ name: x-text, range_match: { start: 0, end: 10 } }", false},
      {"{ name: x-text, range_match: { start: 0, end: 10 }, invert_match: true }", true},
      // Repeated headers, value by value.
      {"{ name: x-two, string_match: { exact: b } }", true},
      {"{ name: x-two, string_match: { exact: 'a,b' } }", false},
      {"{ name: x-two, string_match: { exact: b }, invert_match: true }", false},
      {"{ name: x-two, string_match: { exact: c }, invert_match: true }", true},
      // Missing headers.
      {"{ name: x-none, string_match: { exact: a }, invert_match: true }", false},
      {"{ name: x-none, string_match: { exact: '' } }", false},
      {"{ name: x-none, string_match: { exact: '' }, treat_missing_header_as_empty: true }", true},
      {"{ name: x-none, string_match: { exact: a }, invert_match: true,"
       "  treat_missing_header_as_empty: true }",
       true},
      {"{ name: x-none, range_match: { start: 0, end: 9 }, invert_match: true,"
       "  treat_missing_header_as_empty: true }",
       true},
      // Fields of the head.
      {"{ name: ':method', string_match: { exact: GET } }", true},
      {"{ name: ':path', string_match: { prefix: '/a?' } }", true},
      {"{ name: ':authority', string_match: { exact: 'users.shop:80' } }", true},
      {"{ name: Host, string_match: { prefix: users } }", true},
      {"{ name: ':scheme', string_match: { exact: https } }", true},
      {"{ name: ':status', string_match: { exact: '200' } }", false},
  };
  for (const Case& c : cases) EXPECT_EQ(holds(c.yaml), c.expected) << c.yaml;
}

TEST_F(HeaderMatching, SeesTheStatusOfAResponse) {
  http::ResponseHead response{arena_};
  response.status = 503;
  const auto matcher =
      parsed("{ name: ':status', range_match: { start: 500, end: 600 } }", parse_header_matcher);
  EXPECT_TRUE(matcher.matches(response));
  response.status = 204;
  EXPECT_FALSE(matcher.matches(response));
}

TEST_F(HeaderMatching, SeesWhatTheCodecTookOut) {
  // Content-Length, Upgrade and their like are fields of the head, not headers.
  const std::pair<std::string_view, bool> cases[] = {
      {"{ name: content-length, range_match: { start: 10, end: 13 } }", true},
      {"{ name: Content-Length, string_match: { exact: '12' } }", true},
      {"{ name: transfer-encoding }", false},
      {"{ name: upgrade, string_match: { exact: websocket, ignore_case: true } }", true},
      {"{ name: te, string_match: { exact: trailers } }", true},
      {"{ name: expect, string_match: { exact: 100-continue } }", false},
      {"{ name: expect, present_match: false }", true},
  };
  head_.framing = http::Framing::kLength;
  head_.content_length = 12;
  head_.upgrade = "WebSocket";
  head_.te_trailers = true;
  for (const auto& [yaml, expected] : cases) EXPECT_EQ(holds(yaml), expected) << yaml;
  head_.framing = http::Framing::kChunked;
  EXPECT_TRUE(holds("{ name: transfer-encoding, string_match: { exact: chunked } }"));
  EXPECT_TRUE(holds("{ name: content-length, present_match: false }"));
  http::ResponseHead response{arena_};  // to HEAD: a length without a body
  response.has_content_length = true;
  response.content_length = 7;
  EXPECT_TRUE(
      parsed("{ name: content-length, exact_match: '7' }", parse_header_matcher).matches(response));
}

TEST_F(HeaderMatching, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(messages_of("{ string_match: { exact: a } }", parse_header_matcher),
            "x:1:1: name: required field is missing (expected a string)\n");
  EXPECT_NE(messages_of("{ name: a, regex_match: b }", parse_header_matcher), "");
  EXPECT_NE(messages_of("{ name: ':protocol' }", parse_header_matcher), "");
  EXPECT_EQ(messages_of("{ name: Connection }", parse_header_matcher),
            "x:1:9: name: \"connection\" belongs to the connection and cannot be matched\n");
  EXPECT_NE(messages_of("{ name: a, exact_match: b, prefix_match: c }", parse_header_matcher), "");
}

TEST_F(HeaderMatching, ReadsCookies) {
  struct Case {
    std::string_view yaml;
    bool expected;
  };
  const Case cases[] = {
      {"{ name: a, string_match: { exact: '1' } }", true},
      {"{ name: a, string_match: { exact: '9' } }", false},  // the first one counts
      {"{ name: b, string_match: { exact: two } }", true},
      {"{ name: d, string_match: { exact: '4' } }", true},
      {"{ name: c, string_match: { exact: '' } }", false},
      {"{ name: f, string_match: { exact: ' 6' } }", true},
      {"{ name: e, string_match: { exact: '4' } }", false},
      {"{ name: e, string_match: { exact: '4' }, invert_match: true }", true},
      {"{ name: a, string_match: { exact: '1' }, invert_match: true }", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(parsed(c.yaml, parse_cookie_matcher).matches(head_.headers), c.expected) << c.yaml;
  }
}

TEST(QueryParameters, AreMatchedAsTheyStand) {
  struct Case {
    std::string_view yaml, path;
    bool expected;
  };
  const Case cases[] = {
      {"{ name: a }", "/?a=1", true},
      {"{ name: a }", "/?a", true},
      {"{ name: a }", "/?b=a", false},
      {"{ name: a }", "/a", false},
      {"{ name: a, present_match: false }", "/a", true},
      {"{ name: a, string_match: { exact: '1' } }", "/?b=2&a=1", true},
      {"{ name: a, string_match: { exact: '1' } }", "/?a=2&a=1", false},
      {"{ name: a, string_match: { exact: 'b=c' } }", "/?a=b=c", true},
      {"{ name: a, string_match: { exact: ' ' } }", "/?a=%20", false},
      {"{ name: a, string_match: { exact: '' } }", "/?a", true},
      {"{ name: a, string_match: { exact: '' } }", "/?&&a=", true},
      {"{ name: a, string_match: { safe_regex: { regex: '\\d+' } } }", "/?a=12", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(parsed(c.yaml, parse_query_parameter_matcher).matches(c.path), c.expected)
        << c.yaml << " on " << c.path;
  }
}

}  // namespace
}  // namespace pillion::match
