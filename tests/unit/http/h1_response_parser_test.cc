// Responses and trailers as raw bytes, each parsed whole, byte by byte and in random pieces.
#include <gtest/gtest.h>

#include <random>

#include "tests/support/h1_parse.h"

namespace pillion::http {
namespace {

using testing::one_byte;
using testing::Parsed;
using testing::whole;

Parsed parse_all_ways(const std::string& bytes, Method method = Method::kGet,
                      const H1Limits& limits = {}) {
  const Parsed at_once = testing::parse_response(bytes, limits, method, whole);
  EXPECT_EQ(at_once, testing::parse_response(bytes, limits, method, one_byte)) << bytes;
  std::minstd_rand random(bytes.size());
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(at_once,
              testing::parse_response(bytes, limits, method, [&](size_t) { return random() % 17; }))
        << bytes;
  }
  return at_once;
}

TEST(H1Response, UnderstandsWhatIsAllowed) {
  struct Case {
    std::string bytes;
    Method method;
    std::string meaning;
  };
  const Method get = Method::kGet;
  const Case cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\n", get,
       "200 OK HTTP/1.1, length 5, says 5, keep-alive\nx-a: b\n"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", get,
       "200 OK HTTP/1.1, no body, says 0, keep-alive\n"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", get,
       "200 OK HTTP/1.1, chunked, keep-alive\n"},
      {"HTTP/1.1 200 OK\r\n\r\n", get, "200 OK HTTP/1.1, until close, close\n"},
      {"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n", get,
       "200  HTTP/1.1, length 1, says 1, keep-alive\n"},
      {"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\n", get,
       "200  HTTP/1.1, length 1, says 1, keep-alive\n"},
      {"HTTP/1.1 404 N\xc3\xb6 \tway\r\nContent-Length: 1\r\nConnection: close, X-A\r\nX-A: "
       "1\r\nKeep-Alive: 1\r\nTE: gzip\r\n\r\n",
       get, "404 N\xc3\xb6 \tway HTTP/1.1, length 1, says 1, close\n"},
      // HTTP/1.0 servers close unless they say otherwise.
      {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", get,
       "200 OK HTTP/1.0, length 1, says 1, close\n"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", get,
       "200 OK HTTP/1.0, length 1, says 1, keep-alive\n"},
      {"HTTP/1.0 200 OK\r\n\r\n", get, "200 OK HTTP/1.0, until close, close\n"},
      // No body whatever the fields say (RFC 9112, 6.3).
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::kHead,
       "200 OK HTTP/1.1, no body, says 5, keep-alive\n"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Method::kHead,
       "200 OK HTTP/1.1, no body, keep-alive\n"},
      {"HTTP/1.1 200 OK\r\n\r\n", Method::kHead, "200 OK HTTP/1.1, no body, keep-alive\n"},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", get,
       "304 Not Modified HTTP/1.1, no body, says 5, keep-alive\n"},
      {"HTTP/1.1 204 No Content\r\n\r\n", get, "204 No Content HTTP/1.1, no body, keep-alive\n"},
      {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", get,
       "204 No Content HTTP/1.1, no body, keep-alive\n"},
      {"HTTP/1.1 205 Reset Content\r\n\r\n", get, "205 Reset Content HTTP/1.1, no body, close\n"},
      {"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", get,
       "205 Reset Content HTTP/1.1, no body, says 0, keep-alive\n"},
      {"HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n", get,
       "205 Reset Content HTTP/1.1, chunked, keep-alive\n"},
      {"HTTP/1.1 100 Continue\r\n\r\n", get, "100 Continue HTTP/1.1, no body, keep-alive\n"},
      {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", get,
       "103 Early Hints HTTP/1.1, no body, keep-alive\nlink: </a>\n"},
      {"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", get,
       "101 Switching HTTP/1.1, no body, keep-alive, upgrade websocket\n"},
      {"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2\r\nContent-Length: 1\r\n\r\n", get,
       "200 OK HTTP/1.1, length 1, says 1, keep-alive\n"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", Method::kConnect,
       "200 OK HTTP/1.1, no body, says 7, keep-alive\n"},
      {"HTTP/1.1 503 No\r\nContent-Length: 7\r\n\r\n", Method::kConnect,
       "503 No HTTP/1.1, length 7, says 7, keep-alive\n"},
  };
  for (const Case& c : cases) {
    const Parsed p = parse_all_ways(c.bytes, c.method);
    EXPECT_EQ(p.status, ParseStatus::kDone) << c.bytes;
    EXPECT_EQ(p.text, c.meaning) << c.bytes;
    EXPECT_EQ(p.head_bytes, c.bytes.size()) << c.bytes;
    EXPECT_EQ(parse_all_ways(c.bytes + "\r\n\n\x01more", c.method), p) << c.bytes;
  }
}

TEST(H1Response, RefusesWhatIsNotAllowed) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string cases[] = {
      ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
      ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
      ok + "Content-Length: 1, 1\r\n\r\n",
      ok + "Content-Length: x\r\n\r\n",
      ok + "Transfer-Encoding: gzip, chunked\r\n\r\n",
      ok + "Transfer-Encoding: identity\r\n\r\n",
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\n",
      "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 100 No\r\nContent-Length: 1\r\n\r\n",
      "HTTP/1.1 101 Switching\r\n\r\n",
      "HTTP/1.0 101 Switching\r\nUpgrade: websocket\r\n\r\n",
      ok + "X : a\r\n\r\n",
      ok + " X: a\r\n\r\n",
      ok + "X: a\r\n b\r\n\r\n",
      ok + "X: a\n\r\n",
      ok + "X: a\rb\r\n\r\n",
      ok + "X: a\x01\r\n\r\n",
      ok + "\n",
      ok + std::string("X: \0\r\n\r\n", 8),
      ok + "Connection: a\r\nConnection: b\r\nConnection: c\r\n\r\n",
      "\r\nHTTP/1.1 200 OK\r\n\r\n",
      "HTTP/1.1 200 OK\n\r\n",
      "HTTP/1.1 200 O\rK\r\n\r\n",
      "HTTP/1.1 200 O\x01K\r\n\r\n",
      "HTTP/1.1 99 OK\r\n\r\n",
      "HTTP/1.1 600 OK\r\n\r\n",
      "HTTP/1.1 099 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 20x OK\r\n\r\n",
      "HTTP/1.1  200 OK\r\n\r\n",
      "HTTP/2.0 200 OK\r\n\r\n",
      "HTTP/1.2 200 OK\r\n\r\n",
      "http/1.1 200 OK\r\n\r\n",
      "ICY 200 OK\r\n\r\n",
      "HTTP/1.1\t200 OK\r\n\r\n",
      "HTTP/1.1 200OK\r\n\r\n",
      "<html>",
      "HTTP/1.1\r\n\r\n",
  };
  for (const std::string& bytes : cases) {
    const Parsed p = parse_all_ways(bytes);
    EXPECT_EQ(p.status, ParseStatus::kFailed) << bytes;
    EXPECT_EQ(p.failure, FailureKind::kUpstreamProtocol) << bytes;
  }
}

TEST(H1Response, HoldsEachLimitToTheByte) {
  const std::string head = "HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n";
  H1Limits limits;
  limits.max_bytes = static_cast<uint32_t>(head.size());
  EXPECT_EQ(parse_all_ways(head, Method::kGet, limits).status, ParseStatus::kDone);
  --limits.max_bytes;
  EXPECT_EQ(parse_all_ways(head, Method::kGet, limits).failure, FailureKind::kHeadTooLarge);
  limits.max_bytes = 9;
  EXPECT_EQ(parse_all_ways(head, Method::kGet, limits).failure, FailureKind::kHeadTooLarge);
  limits = {};
  limits.max_fields = 1;
  EXPECT_EQ(parse_all_ways(head, Method::kGet, limits).failure, FailureKind::kTooManyFields);
}

Parsed trailers_all_ways(const std::string& bytes, const H1Limits& limits = {}) {
  const Parsed at_once = testing::parse_trailers(bytes, limits, whole);
  EXPECT_EQ(at_once, testing::parse_trailers(bytes, limits, one_byte)) << bytes;
  return at_once;
}

TEST(H1Trailers, PassesFieldsAndRefusesWhatWouldFrameOrRoute) {
  const Parsed p = trailers_all_ways("X-Sum: 1\r\nGrpc-Status: 0\r\n\r\nGET /");
  EXPECT_EQ(p.text, "x-sum: 1\ngrpc-status: 0\n");
  EXPECT_EQ(p.head_bytes, 28u);
  EXPECT_EQ(trailers_all_ways("\r\n").status, ParseStatus::kDone);
  for (const char* name :
       {"Content-Length", "Transfer-Encoding", "Host", "Connection", "Trailer", "TE", "Upgrade",
        "Expect", "Authorization", "X-Forwarded-For", "X-Forwarded-Client-Cert", "Content-Type"}) {
    EXPECT_EQ(trailers_all_ways(str(name, ": 1\r\n\r\n")).failure, FailureKind::kBadTrailer)
        << name;
  }
  for (const char* bytes : {"X : 1\r\n\r\n", "X: 1\n\r\n", " X: 1\r\n\r\n", "\n", "X: \x01\r\n\r\n",
                            "X\r\n\r\n", "\rX\n"}) {
    EXPECT_EQ(trailers_all_ways(bytes).failure, FailureKind::kBadTrailer) << bytes;
  }
}

TEST(H1Trailers, AreCapped) {
  const std::string line = "X: " + std::string(1000, 'y') + "\r\n";
  std::string many;
  for (int i = 0; i < 17; ++i) many += line;
  EXPECT_EQ(trailers_all_ways(many + "\r\n").failure, FailureKind::kHeadTooLarge);
  EXPECT_EQ(trailers_all_ways("X: " + std::string(20'000, 'y')).failure,
            FailureKind::kHeadTooLarge);
  H1Limits limits;
  limits.max_fields = 3;
  EXPECT_EQ(trailers_all_ways("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n", limits).failure,
            FailureKind::kTooManyFields);
  // A head limit below the cap of trailers holds for these too, at once.
  limits = {};
  limits.max_bytes = 1024;
  EXPECT_EQ(trailers_all_ways("X: " + std::string(2000, 'y') + "\r\n\r\n", limits).failure,
            FailureKind::kHeadTooLarge);
}

}  // namespace
}  // namespace pillion::http
