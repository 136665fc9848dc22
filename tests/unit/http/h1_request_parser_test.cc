// Requests as raw bytes, each parsed whole, byte by byte and in random pieces: the meaning must not
// depend on how the network cut them.
#include <gtest/gtest.h>

#include <random>

#include "proxy/http/authority.h"
#include "tests/support/h1_parse.h"

namespace pillion::http {
namespace {

using testing::one_byte;
using testing::parse_request;
using testing::Parsed;
using testing::whole;

Parsed parse_all_ways(const std::string& bytes, const H1Limits& limits = {}) {
  const Parsed at_once = parse_request(bytes, limits, whole);
  EXPECT_EQ(at_once, parse_request(bytes, limits, one_byte)) << bytes;
  std::minstd_rand random(bytes.size());
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(at_once, parse_request(bytes, limits, [&](size_t) { return random() % 17; }))
        << bytes;
  }
  return at_once;
}

struct Accepted {
  std::string bytes;
  std::string meaning;
};

TEST(H1Request, UnderstandsWhatIsAllowed) {
  const Accepted cases[] = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 at a, no body, keep-alive\n"},
      {"GET /a?b=c%20&d HTTP/1.1\r\nHost: a:8080\r\nX-One:1\r\nx-two: \t two words "
       "\t\r\nX-Empty:\r\n\r\n",
       "GET /a?b=c%20&d HTTP/1.1 at a:8080, no body, keep-alive\nx-one: 1\nx-two: two "
       "words\nx-empty: \n"},
      // Connection's options, and what it names, are of this hop only.
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Gone\r\nX-Gone: 1\r\nX-Stays: 2\r\n\r\n",
       "GET / HTTP/1.1 at a, no body, close\nx-stays: 2\n"},
      {"GET / HTTP/1.1\r\nX-Gone: 1\r\nHost: a\r\nConnection: ,keep-alive ,, x-gone\r\nKeep-Alive: "
       "5\r\n\r\n",
       "GET / HTTP/1.1 at a, no body, keep-alive\n"},
      {"GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n",
       "GET / HTTP/1.1 at a, no body, close\n"},
      // A long name is named like a short one.
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: " + std::string(80, 'n') + "\r\n" +
           std::string(80, 'N') + ": 1\r\n\r\n",
       "GET / HTTP/1.1 at a, no body, keep-alive\n"},
      // What a message stands on cannot be named away.
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: host, "
       "content-length\r\n\r\n",
       "POST / HTTP/1.1 at a, length 5, keep-alive\n"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: "
       "transfer-encoding\r\n\r\n",
       "POST / HTTP/1.1 at a, chunked, keep-alive\n"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
       "POST / HTTP/1.1 at a, chunked, keep-alive\n"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
       "POST / HTTP/1.1 at a, length 0, keep-alive\n"},
      {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\nExpect: 100-Continue\r\n\r\n",
       "PUT / HTTP/1.1 at a, length 7, keep-alive, expects 100\n"},
      {"GET / HTTP/1.1\r\nHost: a\r\nTE: deflate;q=0.5, Trailers\r\nTrailer: X-Sum\r\n\r\n",
       "GET / HTTP/1.1 at a, no body, keep-alive, te\ntrailer: X-Sum\n"},
      {"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
       "GET / HTTP/1.1 at a, no body, keep-alive\n"},
      // HTTP/1.0: no host needed, closes unless told otherwise, knows no upgrade and no 100.
      {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0 at , no body, close\n"},
      {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n",
       "GET / HTTP/1.0 at a, no body, keep-alive\n"},
      {"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
       "POST / HTTP/1.0 at a, length 3, close\n"},
      {"GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
       "GET / HTTP/1.0 at a, no body, close\n"},
      // The other forms of a target.
      {"GET http://a.example/x?y HTTP/1.1\r\nHost: A.example\r\n\r\n",
       "GET /x?y HTTP/1.1 at a.example, no body, keep-alive\n"},
      {"GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 at a, no body, keep-alive\n"},
      {"GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET /?q HTTP/1.1 at a, no body, keep-alive\n"},
      {"GET http://a/x HTTP/1.0\r\n\r\n", "GET /x HTTP/1.0 at a, no body, close\n"},
      {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1 at a, no body, keep-alive\n"},
      {"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
       "OPTIONS * HTTP/1.1 at a, no body, keep-alive\n"},
      {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
       "CONNECT  HTTP/1.1 at a:443, no body, keep-alive\n"},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
       "GET / HTTP/1.1 at a, no body, keep-alive, upgrade websocket\n"},
      {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
       "GET / HTTP/1.1 at a, no body, keep-alive\n"},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "
       "h2c\r\nHTTP2-Settings: AA\r\n\r\n",
       "GET / HTTP/1.1 at a, no body, keep-alive\n"},
      {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
       "GET / HTTP/1.1 at [::1]:80, no body, keep-alive\n"},
      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1 at , no body, keep-alive\n"},
      {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 at a, no body, keep-alive\n"},
      {"M-SEARCH / HTTP/1.1\r\nHost: a\r\nX: \x80\xff\r\n\r\n",
       "M-SEARCH / HTTP/1.1 at a, no body, keep-alive\nx: \x80\xff\n"},
  };
  for (const Accepted& c : cases) {
    const Parsed p = parse_all_ways(c.bytes);
    EXPECT_EQ(p.status, ParseStatus::kDone) << c.bytes << failure_row(p.failure).name;
    EXPECT_EQ(p.text, c.meaning) << c.bytes;
    EXPECT_EQ(p.head_bytes, c.bytes.size()) << c.bytes;
    // Bytes behind the head change nothing.
    const Parsed followed = parse_all_ways(c.bytes + "GET /next HTTP/1.1\r\n\n\r");
    EXPECT_EQ(followed, p) << c.bytes;
  }
}

struct Refused {
  std::string bytes;
  FailureKind kind;
  int status;
};

std::string post(const std::string& fields) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

std::vector<Refused> refused_requests() {
  using K = FailureKind;
  const std::string nul(1, '\0');
  return {
      // Two opinions on where the body ends.
      {post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), K::kLengthAndChunked, 400},
      {post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), K::kLengthAndChunked, 400},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", K::kLengthAndChunked, 400},
      {post("Transfer-Encoding: gzip\r\n"), K::kBadTransferEncoding, 501},
      {post("Transfer-Encoding: gzip, chunked\r\n"), K::kBadTransferEncoding, 501},
      {post("Transfer-Encoding: chunked, chunked\r\n"), K::kBadTransferEncoding, 501},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
       K::kBadTransferEncoding, 501},
      {post("Transfer-Encoding: xchunked\r\n"), K::kBadTransferEncoding, 501},
      {post("Transfer-Encoding: chunked;q=1\r\n"), K::kBadTransferEncoding, 501},
      {post("Transfer-Encoding: \x0b"
            "chunked\r\n"),
       K::kBadFieldValue, 400},
      {post("Transfer-Encoding:\r\n"), K::kBadTransferEncoding, 501},
      {post("Content-Length: 3\r\nContent-Length: 4\r\n"), K::kBadContentLength, 400},
      {post("Content-Length: 3\r\nContent-Length: 3\r\n"), K::kBadContentLength, 400},
      {post("Content-Length: 3, 3\r\n"), K::kBadContentLength, 400},
      {post("Content-Length: +3\r\n"), K::kBadContentLength, 400},
      {post("Content-Length: -1\r\n"), K::kBadContentLength, 400},
      {post("Content-Length: 0x3\r\n"), K::kBadContentLength, 400},
      {post("Content-Length: 3 3\r\n"), K::kBadContentLength, 400},
      {post("Content-Length:\r\n"), K::kBadContentLength, 400},
      {post("Content-Length: 9999999999999999999\r\n"), K::kBadContentLength, 400},
      // Line ends.
      {"GET / HTTP/1.1\nHost: a\r\n\r\n", K::kBareCrOrLf, 400},
      {"GET / HTTP/1.1\r\nHost: a\n\r\n", K::kBareCrOrLf, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", K::kBareCrOrLf, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n\rX\n", K::kBareCrOrLf, 400},
      {"GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", K::kBareCrOrLf, 400},
      {"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", K::kBareCrOrLf, 400},
      {"GET / HTTP/1.1\r\nHo\rst: a\r\n\r\n", K::kBareCrOrLf, 400},
      {"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", K::kBareCrOrLf, 400},
      {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", K::kBareCrOrLf, 400},
      {"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", K::kBareCrOrLf, 400},
      {"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", K::kTooManyBlankLines, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", K::kObsoleteFolding, 400},
      {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", K::kObsoleteFolding, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n\tX: b\r\n\r\n", K::kObsoleteFolding, 400},
      // Fields.
      {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", K::kBadFieldName, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX\t: a\r\n\r\n", K::kBadFieldName, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n", K::kBadFieldName, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX(: a\r\n\r\n", K::kBadFieldName, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX\xff: a\r\n\r\n", K::kBadFieldName, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX" + nul + ": a\r\n\r\n", K::kBadFieldName, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", K::kBadFieldName, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a" + nul + "b\r\n\r\n", K::kBadFieldValue, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7f\r\n\r\n", K::kBadFieldValue, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01\r\n\r\n", K::kBadFieldValue, 400},
      {post("Expect: 200-ok\r\n"), K::kBadExpect, 417},
      // Who the client is was said by a proxy before us; it cannot be named away.
      {post("Connection: X-Forwarded-For\r\n"), K::kBadFieldValue, 400},
      {post("Connection: a\r\nConnection: b\r\nConnection: c\r\n"), K::kTooManyFields, 431},
      {post("Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,a,b,c,d,e,f,g\r\n"),
       K::kTooManyFields, 431},
      // The request line.
      {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadMethod, 400},
      {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadMethod, 400},
      {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadMethod, 400},
      {"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadMethod, 400},
      {"get / HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadMethod, 400},
      {"GEt / HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadMethod, 400},
      {"propfind / HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadMethod, 400},
      {std::string(33, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadMethod, 400},
      {"\x16\x03\x01\x02", K::kBadMethod, 400},
      {"(\ra / HTTP/1.1\r\n\r\n", K::kBadMethod, 400},
      {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadUrl, 400},
      {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadRequestLine, 400},
      {"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadUrl, 400},
      {"GET /" + nul + " HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadUrl, 400},
      {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadUrl, 400},
      {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadUrl, 400},
      {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadUrl, 400},
      {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadUrl, 400},
      {"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadUrl, 400},
      {"GET http://a#x HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadUrl, 400},
      {"GET /\r\n\r\n", K::kBadRequestLine, 400},
      {"GET / \r\n\r\n", K::kBadRequestLine, 400},
      {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", K::kBadRequestLine, 400},
      {"GET / http/1.1\r\nHost: a\r\n\r\n", K::kBadRequestLine, 400},
      {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", K::kBadRequestLine, 400},
      {"GET / HTTP/1.x\r\nHost: a\r\n\r\n", K::kBadRequestLine, 400},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", K::kBadVersion, 505},
      {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", K::kBadVersion, 505},
      {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", K::kBadVersion, 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", K::kBadVersion, 505},
      // Host.
      {"GET / HTTP/1.1\r\n\r\n", K::kBadHost, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", K::kBadHost, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", K::kBadHost, 400},
      {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", K::kBadHost, 400},
      {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", K::kBadHost, 400},
      {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", K::kBadHost, 400},
      {"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", K::kBadHost, 400},
      {"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", K::kBadHost, 400},
      {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", K::kBadHost, 400},
      {"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", K::kBadHost, 400},
      {"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", K::kHostMismatch, 400},
      {"GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n", K::kHostMismatch, 400},
      {"GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", K::kHostMismatch, 400},
      {"GET http://a/ HTTP/1.1\r\n\r\n", K::kBadHost, 400},
      {"CONNECT a:1 HTTP/1.1\r\nHost: b:1\r\n\r\n", K::kHostMismatch, 400},
      {"CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadUrl, 400},
      {"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", K::kBadUrl, 400},
      {"CONNECT a: HTTP/1.1\r\nHost: a:\r\n\r\n", K::kBadUrl, 400},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\n", K::kBadContentLength, 400},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n",
       K::kBadTransferEncoding, 501},
  };
}

TEST(H1Request, RefusesWhatIsNotAllowedWithTheRightStatus) {
  for (const Refused& c : refused_requests()) {
    const Parsed p = parse_all_ways(c.bytes);
    EXPECT_EQ(p.status, ParseStatus::kFailed) << c.bytes;
    EXPECT_EQ(failure_row(p.failure).name, failure_row(c.kind).name) << c.bytes;
    EXPECT_EQ(failure_row(p.failure).status, c.status) << c.bytes;
  }
}

TEST(H1Request, HoldsEachLimitToTheByte) {
  const std::string head = "GET /0123456789 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
  H1Limits limits;
  limits.max_bytes = static_cast<uint32_t>(head.size());
  EXPECT_EQ(parse_all_ways(head, limits).status, ParseStatus::kDone);
  EXPECT_EQ(parse_all_ways(head + "more", limits).status, ParseStatus::kDone);
  --limits.max_bytes;
  EXPECT_EQ(parse_all_ways(head, limits).failure, FailureKind::kHeadTooLarge);
  limits.max_bytes = 36;  // the end of a line
  EXPECT_EQ(parse_all_ways(head + "more", limits).failure, FailureKind::kHeadTooLarge);
  limits.max_bytes = 10;
  EXPECT_EQ(parse_all_ways(head, limits).failure, FailureKind::kLineTooLong);

  limits = {};
  limits.max_line = 24;
  EXPECT_EQ(parse_all_ways(head, limits).status, ParseStatus::kDone);
  limits.max_line = 23;
  EXPECT_EQ(parse_all_ways(head, limits).failure, FailureKind::kLineTooLong);
  EXPECT_EQ(failure_row(FailureKind::kLineTooLong).status, 414);

  limits = {};
  limits.max_fields = 2;
  EXPECT_EQ(parse_all_ways(head, limits).status, ParseStatus::kDone);
  limits.max_fields = 1;
  EXPECT_EQ(parse_all_ways(head, limits).failure, FailureKind::kTooManyFields);
  EXPECT_EQ(failure_row(FailureKind::kTooManyFields).status, 431);
  EXPECT_EQ(failure_row(FailureKind::kHeadTooLarge).status, 431);

  // An endless line is given up at the limit, not collected.
  const std::string endless = "GET /" + std::string(100'000, 'a');
  EXPECT_EQ(parse_all_ways(endless).failure, FailureKind::kLineTooLong);
  EXPECT_EQ(parse_all_ways("GET / HTTP/1.1\r\nX: " + std::string(100'000, 'a')).failure,
            FailureKind::kHeadTooLarge);
}

TEST(H1Request, RefusesHttp10AndAbsoluteTargetsWhereConfigured) {
  H1Limits limits;
  limits.accept_http10 = false;
  const Parsed old = parse_all_ways("GET / HTTP/1.0\r\n\r\n", limits);
  EXPECT_EQ(old.failure, FailureKind::kHttp10Refused);
  EXPECT_EQ(failure_row(old.failure).status, 426);
  limits.allow_absolute_url = false;
  EXPECT_EQ(parse_all_ways("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", limits).failure,
            FailureKind::kBadUrl);
}

TEST(H1Request, TellsWhereTheViewsOfAFailedHeadEnd) {
  // The access log shows what was understood: the connection copies that much of the head.
  Arena arena;
  RequestHead head(arena);
  H1RequestParser parser;
  parser.begin();
  std::string bytes = "GET /path HTTP/3.0\r\nrest";
  EXPECT_EQ(parser.parse(bytes.data(), bytes.size(), {}, head), ParseStatus::kFailed);
  EXPECT_EQ(head.path, "/path");
  EXPECT_EQ(parser.touched_bytes(), 19u);
}

TEST(H1Request, AuthorityIsHostWithOptionalPort) {
  for (std::string_view good :
       {"a", "a.b-c_d", "a:", "a:1", "a:65535", "1.2.3.4:80", "[::1]", "[::ffff:1.2.3.4]:9"}) {
    EXPECT_TRUE(is_valid_authority(good)) << good;
  }
  for (std::string_view bad :
       {"",   ":80", "a:65536", "a:99999", "a:123456", "a:-1", "a:1:2", "a b", "a/b",   "u@h",
        "[]", "[:]", "[::1",    "[::1]80", "[g::1]",   "a\\b", "a\"",   "<a>", "a\x80", "%61"}) {
    EXPECT_FALSE(is_valid_authority(bad)) << bad;
  }
  EXPECT_FALSE(is_valid_authority(std::string(513, 'a')));
}

TEST(H1Request, AnAuthorityHasOneSpelling) {
  struct Row {
    std::string_view text, canonical;
  };
  const Row rows[] = {{"", ""},
                      {"a", "a"},
                      {"A.Example", "a.example"},
                      {"a:", "a"},
                      {"a:80", "a:80"},
                      {"A:080", "a:80"},
                      {"a:00080", "a:80"},
                      {"a:0", "a:0"},
                      {"a:00", "a:0"},
                      {"a.:80", "a.:80"},
                      {"127.0.0.1:8080", "127.0.0.1:8080"},
                      {"[::1]", "[::1]"},
                      {"[0:0:0:0:0:0:0:1]:080", "[::1]:80"},
                      {"[2001:DB8::0]:", "[2001:db8::]"},
                      {"[::ffff:7f00:1]:1", "[::ffff:127.0.0.1]:1"},
                      {"[:::]:1", "[:::]:1"}};
  Arena arena;
  for (const Row& row : rows) {
    const std::string_view once = canonical_authority(row.text, arena);
    EXPECT_EQ(once, row.canonical) << row.text;
    EXPECT_EQ(canonical_authority(once, arena), once) << row.text;
  }
}

}  // namespace
}  // namespace pillion::http
