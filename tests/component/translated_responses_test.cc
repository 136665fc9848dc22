// Servers of HTTP/2, frame by frame, behind clients of HTTP/1: what these got, byte for byte.

#include "tests/component/http2_yaml.h"
#include "tests/support/h2_frames.h"

namespace pillion::testing {
namespace {

constexpr std::string_view kProblem = "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain\r\n";

std::string block(std::string_view status = "200", std::string_view more = {}) {
  return str(literal(":status", status), literal("date", "now"), more);
}
// A whole response without a body.
std::string only(std::string_view more) { return headers(1, block("200", more)); }
// One whose body follows.
std::string head(std::string_view more = {}) { return headers(1, block("200", more), false); }
std::string sized(std::string_view length) { return head(literal("content-length", length)); }

std::string http1(std::string_view status, std::string_view fields = {},
                  std::string_view framing = {}) {
  return str("HTTP/1.1 ", status, "\r\ndate: now\r\n", fields, framing, "\r\n");
}
std::string chunked(std::string_view chunks, std::string_view fields = {}) {
  return str(http1("200 OK", fields, "transfer-encoding: chunked\r\n"), chunks);
}

struct Row {
  std::string name;
  std::string frames;
  std::string client;  // all that it gets
  std::string method = "GET";
};

class TranslatedResponses : public WorkerTest {
 protected:
  void SetUp() override {
    set_cluster({backend.address}, http2_cluster());
    listen({.hcm = "codec_type: HTTP1, server_header_transformation: PASS_THROUGH, "
                   "delayed_close_timeout: 0s",
            .router = "suppress_envoy_headers: true"});
    h2 = registry.block<stats::ClusterHttp2Stats>(0, "app");
  }
  // The server's connection, once it has the request.
  Peer asked(std::string& in) {
    Peer server = backend.accept();
    std::string words;
    EXPECT_TRUE(run_until(loop, [&] {
      in += server.received();
      server.discard();
      if (in.starts_with("PRI")) in.erase(0, std::min<size_t>(in.size(), 24));
      words += describe_frames(in);
      return words.starts_with("HEADERS 1");
    }));
    server.send(frame(4, 0, 0, ""));
    return server;
  }
  // What the server is told behind the request.
  std::string told(Peer& server, std::string& in, std::string_view until) {
    std::string words;
    (void)run_until(
        loop,
        [&] {
          in += server.received();
          server.discard();
          words += describe_frames(in);
          return words.size() >= until.size();
        },
        seconds(2));
    return words;
  }
  Peer ask(const Row& row) { return request(str(row.method, " / HTTP/1.1\r\nHost: a\r\n\r\n")); }

  Backend backend{loop};
  stats::BlockRef<stats::ClusterHttp2Stats> h2;
};

TEST_F(TranslatedResponses, ArriveAsHttp1WouldHaveSaidThem) {
  const std::string nothing = "content-length: 0\r\n";
  const Row rows[] = {
      {"no body", only(""), http1("200 OK", {}, nothing)},
      {"a status without a phrase", headers(1, block("299")), http1("299 Unknown", {}, nothing)},
      {"the highest status", headers(1, block("599")), http1("599 Unknown", {}, nothing)},
      {"a body of unknown length", str(head(), data(1, "abc", true)),
       chunked("3\r\nabc\r\n0\r\n\r\n")},
      {"a body in two frames", str(head(), data(1, "abc"), data(1, "0\r\n\r\n", true)),
       chunked("3\r\nabc\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n")},
      {"an empty body", str(head(), data(1, "", true)), chunked("0\r\n\r\n")},
      {"trailers", str(head(), data(1, "abc"), headers(1, literal("x-sum", "3"))),
       chunked("3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n")},
      {"trailers without a body", str(head(), headers(1, literal("grpc-status", "0"))),
       chunked("0\r\ngrpc-status: 0\r\n\r\n")},
      {"trailers without fields", str(head(), data(1, "abc"), headers(1, "")),
       chunked("3\r\nabc\r\n0\r\n\r\n")},
      {"a length", str(sized("3"), data(1, "abc", true)),
       http1("200 OK", {}, "content-length: 3\r\n") + "abc"},
      {"a length with zeros before it", str(sized("003"), data(1, "abc", true)),
       http1("200 OK", {}, "content-length: 3\r\n") + "abc"},
      {"a length and trailers", str(sized("3"), data(1, "abc"), headers(1, literal("x", "1"))),
       http1("200 OK", {}, "content-length: 3\r\n") + "abc"},
      {"a length of nothing", only(literal("content-length", "0")), http1("200 OK", {}, nothing)},
      {"HEAD", only(literal("content-length", "5")), http1("200 OK", {}, "content-length: 5\r\n"),
       "HEAD"},
      {"HEAD without a length", only(""), http1("200 OK"), "HEAD"},
      {"204", headers(1, block("204")), http1("204 No Content")},
      {"204 with a length of nothing", headers(1, block("204", literal("content-length", "0"))),
       http1("204 No Content")},
      {"304", headers(1, block("304", literal("content-length", "5"))),
       http1("304 Not Modified", {}, "content-length: 5\r\n")},
      {"205", headers(1, block("205")), http1("205 Reset Content", {}, nothing)},
      {"early hints",
       str(headers(1, str(literal(":status", "103"), literal("link", "</a>")), false), only("")),
       str("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", http1("200 OK", {}, nothing))},
      {"a 100 that nobody waits for", str(headers(1, literal(":status", "100"), false), only("")),
       http1("200 OK", {}, nothing)},
      {"fields",
       only(str(literal("set-cookie", "a"), literal("x", "y"), literal("set-cookie", "b"))),
       http1("200 OK", "set-cookie: a\r\nx: y\r\nset-cookie: b\r\n", nothing)},
      {"any token as a name", only(literal("!#$%&'*+-.^_`|~09az", "1")),
       http1("200 OK", "!#$%&'*+-.^_`|~09az: 1\r\n", nothing)},
      {"values of every kind",
       only(str(literal("a", ""), literal("b", "c: d"), literal("e", "\xff\t\x80"))),
       http1("200 OK", "a: \r\nb: c: d\r\ne: \xff\t\x80\r\n", nothing)},
      {"via, date and server are the server's",
       only(str(literal("server", "other"), literal("via", "2 other"))),
       http1("200 OK", "server: other\r\nvia: 2 other\r\n", nothing)},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    std::string in;
    Peer client = ask(row);
    Peer server = asked(in);
    server.send(row.frames);
    EXPECT_TRUE(client.waits_for(row.client)) << client.received();
    settle();
    EXPECT_EQ(client.received(), row.client);
    EXPECT_FALSE(client.is_over());
    server.close();
    settle();
  }
  EXPECT_EQ(h2->rx_messaging_error.value(), 0);
}

// RFC 9113, 8.1.1: a stream error, and to the client a bad gateway.
TEST_F(TranslatedResponses, AreRefusedWhereTheyCouldMeanSomethingElseInHttp1) {
  std::vector<Row> rows = {
      {"no status", headers(1, literal("x", "1")), ""},
      {"no field at all", headers(1, ""), ""},
      {"two statuses", headers(1, str(literal(":status", "200"), block())), ""},
      {"a status behind others", headers(1, str(literal("x", "1"), literal(":status", "200"))), ""},
      {"a pseudo-field of requests", only(literal(":path", "/")), ""},
      {"a pseudo-field without a name", only(literal(":", "/")), ""},
      {"an interim response that ends", headers(1, literal(":status", "103")), ""},
      {"101", headers(1, block("101"), false), ""},
      {"204 with a length", headers(1, block("204", literal("content-length", "5"))), ""},
      {"103 with a length",
       headers(1, str(literal(":status", "103"), literal("content-length", "5")), false), ""},
      {"a length that no body follows", only(literal("content-length", "5")), ""},
      {"two lengths", head(str(literal("content-length", "3"), literal("content-length", "3"))),
       ""},
      {"te", only(literal("te", "trailers")), ""},
  };
  std::string many;
  for (int i = 0; i < 110; ++i) many += literal("x", "1");
  rows.push_back({"too many fields", only(many), ""});
  for (const char* status :
       {"", "20", "2000", "099", "600", "000", "+20", " 20", "2 0", "abc", "200 OK", "20\r\n"}) {
    rows.push_back({str("status ", status), headers(1, block(status)), ""});
  }
  for (const char* name : {"", "X", "x y", "x:", "x\r\ny", "x\x7f", "x\xe9", "x("})
    rows.push_back({str("name ", name), only(literal(name, "1")), ""});
  for (const char* value :
       {"a\rb", "a\nb", "a\r\n\r\n<html>", " a", "a ", "\ta", "\t", "a\x01", "a\x7f"}) {
    rows.push_back({str("value ", value), only(literal("x", value)), ""});
  }
  rows.push_back({"value with NUL", only(literal("x", std::string_view("a\0b", 3))), ""});
  for (const char* name :
       {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}) {
    rows.push_back({name, only(literal(name, "chunked")), ""});
  }
  for (const char* length : {"", "3, 3", "+3", "-3", "3 ", "0x3", "three", "18446744073709551619"})
    rows.push_back({str("length ", length), str(sized(length), data(1, "abc", true)), ""});
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    std::string in;
    Peer client = ask(row);
    Peer server = asked(in);
    server.send(row.frames);
    EXPECT_TRUE(client.message().starts_with(kProblem));
    EXPECT_EQ(told(server, in, "RST_STREAM 1 error 1; "), "RST_STREAM 1 error 1; ");
    EXPECT_EQ(log.back(), "502 UPE upstream_reset_before_response_started{protocol_error}");
    server.close();
    settle();
  }
  EXPECT_EQ(h2->rx_messaging_error.value() + h2->header_overflow.value(), rows.size());
  EXPECT_EQ(h2->header_overflow.value(), 1);
}

// What the client has of it must not look whole: no last chunk, less than its length.
TEST_F(TranslatedResponses, BreakOffWhereTheirBodyIsWrong) {
  const std::string started = chunked("3\r\nabc\r\n");
  const std::string measured = http1("200 OK", {}, "content-length: 5\r\n");
  std::vector<Row> rows = {
      {"a body that is too short", str(sized("5"), data(1, "abc", true)), measured},
      {"a body that is too long", str(sized("5"), data(1, "abcdef", true)), measured},
      {"one that becomes too long", str(sized("5"), data(1, "abc"), data(1, "def", true)),
       measured + "abc"},
      {"one that ends with trailers",
       str(sized("5"), data(1, "abc"), headers(1, literal("x", "1"))), measured + "abc"},
      {"a reset", str(head(), data(1, "abc"), frame(3, 0, 1, be32(2))), started},
      {"a reset without an error", str(head(), data(1, "abc"), frame(3, 0, 1, be32(0))), started},
      {"trailers that are not the end",
       str(head(), data(1, "abc"), headers(1, literal("x", "1"), false)), started},
  };
  for (const char* name : {"", "X", "x y", ":status", ":x", "content-length", "transfer-encoding",
                           "host", "connection"})
    rows.push_back({str("trailer ", name),
                    str(head(), data(1, "abc"), headers(1, literal(name, "200"))), started});
  for (const char* value : {"a\r\n\r\nHTTP/1.1 200 OK", " a", "a\n"})
    rows.push_back({str("trailer of ", value),
                    str(head(), data(1, "abc"), headers(1, literal("x", value))), started});
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    std::string in;
    Peer client = ask(row);
    Peer server = asked(in);
    for (std::string_view left = row.frames; !left.empty();) {  // each goes on before the next
      const size_t size =
          9 + (size_t{static_cast<uint8_t>(left[1])} << 8) + static_cast<uint8_t>(left[2]);
      server.send(left.substr(0, size));
      settle();
      left.remove_prefix(size);
    }
    EXPECT_TRUE(client.waits_for_the_end());
    EXPECT_EQ(client.received(), row.client);
    server.close();
    settle();
  }
}

// A connection that ends within a response ends it for the client too.
TEST_F(TranslatedResponses, BreakOffWithTheirConnection) {
  for (const bool says_goodbye : {false, true}) {
    std::string in;
    Peer client = ask({});
    Peer server = asked(in);
    server.send(str(head(), data(1, "abc")));
    EXPECT_TRUE(client.waits_for("abc"));
    if (says_goodbye) server.send(frame(7, 0, 0, str(be32(1), be32(0))));
    server.close();
    EXPECT_TRUE(client.waits_for_the_end());
    EXPECT_EQ(client.received(), chunked("3\r\nabc\r\n"));
    settle();
  }
}

}  // namespace
}  // namespace pillion::testing
