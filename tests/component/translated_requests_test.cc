// What HTTP/2 can carry and HTTP/1 cannot: raw header blocks and DATA of a client, and what a
// server of HTTP/1 saw of them, byte for byte, or that it saw nothing.

#include "proxy/http/h2_preface.h"
#include "tests/component/worker_fixture.h"
#include "tests/support/h2_frames.h"

namespace pillion::testing {
namespace {

constexpr std::string_view kRefused = "RST_STREAM 1 error 1; ";
constexpr std::string_view kServed = "HEADERS 1; DATA 1 2 end; ";
constexpr uint8_t kPadded = 8;
constexpr std::string_view kSchemeField = "x-forwarded-proto: http\r\n";

std::string zero(std::string_view text) {  // '0' is NUL in what may have it
  std::string out(text);
  for (char& c : out) {
    if (c == '0') c = '\0';
  }
  return out;
}

// A request's head, with fields behind the pseudo-fields.
std::string get(std::string_view more = {}, std::string_view path = "/a") {
  return headers(1, str(request_block("GET", path), more));
}
std::string field(std::string_view name, std::string_view value) {
  return get(literal(name, value));
}
std::string pseudo(std::string_view method, std::string_view scheme, std::string_view path,
                   std::string_view authority, std::string_view more = {}) {
  return headers(1, str(literal(":method", method), literal(":scheme", scheme),
                        literal(":path", path), literal(":authority", authority), more));
}
// The head of a POST whose body follows.
std::string post(std::string_view more = {}) {
  return headers(1, str(request_block("POST"), more), false);
}
std::string sized(std::string_view length) { return post(literal("content-length", length)); }
// Each field as a client of HTTP/1 would write it.
std::string http1(std::string_view line, std::string_view fields = {},
                  std::string_view framing = {}, std::string_view host = "h") {
  return str(line, " HTTP/1.1\r\nhost: ", host, "\r\n", fields, kSchemeField, framing, "\r\n");
}
std::string chunked(std::string_view chunks, std::string_view fields = {}) {
  return str(http1("POST /a", fields, "transfer-encoding: chunked\r\n"), chunks);
}

struct Row {
  std::string name;
  std::string frames;
  std::string upstream;  // all that the server got; empty: nobody connected
  std::string told = std::string(kServed);
  std::string rest = {};  // frames that follow once the server has the head
};

// Malformed as a whole: reset, and nothing of it goes on.
Row plain(std::string name, std::string frames) {
  return {std::move(name), std::move(frames), "", std::string(kRefused)};
}

class TranslatedRequests : public WorkerTest {
 protected:
  void SetUp() override {
    set_cluster({backend.address});
    listen({.hcm = "codec_type: HTTP2, generate_request_id: false, delayed_close_timeout: 0s, "
                   "max_request_headers_kb: 8",
            .routes = "{ match: { prefix: / }, route: { cluster: app, timeout: 0s } }, "
                      "{ match: { prefix: '*' }, route: { cluster: app, timeout: 0s } }",
            .router = "suppress_envoy_headers: true"});
    h2 = registry.block<stats::Http2Stats>(0);
  }
  // What the client was told, once it is as long as what it should be.
  std::string told(Peer& client, size_t size) {
    std::string words;
    const auto look = [&] {
      in += client.received();
      client.discard();
      words += describe_frames(in);
      return words.size() >= size;
    };
    (void)run_until(loop, look, seconds(2));
    settle();
    look();
    return words;
  }
  // One by one, so that each has gone on before the next comes.
  void send_frames(Peer& client, std::string_view frames) {
    while (!frames.empty()) {
      const auto byte = [&](size_t i) { return static_cast<uint8_t>(frames[i]); };
      const size_t size = 9 + (size_t{byte(1)} << 8) + byte(2);
      const uint64_t read = http->downstream_cx_rx_bytes_total.value();
      client.send(frames.substr(0, size));
      EXPECT_TRUE(run_until(
          loop, [&] { return http->downstream_cx_rx_bytes_total.value() == read + size; }));
      frames.remove_prefix(size);
    }
  }
  // The request of the row, and then another one on the same connection, which must find its way.
  void check(const Row& row) {
    SCOPED_TRACE(row.name);
    in.clear();
    Peer client = request(str(http::kH2Preface, frame(4, 0, 0, ""), row.frames));
    std::string got;
    if (!row.upstream.empty()) {
      Peer server = backend.accept();
      EXPECT_TRUE(server.waits_for("\r\n\r\n"));
      send_frames(client, row.rest);
      if (row.told.ends_with(kServed)) {
        EXPECT_TRUE(server.waits_for(row.upstream));
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
      }
      EXPECT_TRUE(server.waits_for_the_end());
      got = server.received();
    }
    EXPECT_EQ(told(client, row.told.size()), row.told);
    EXPECT_EQ(got, row.upstream);
    EXPECT_FALSE(backend.is_called());
    client.send(headers(3, request_block("GET", "/next")));
    Peer server = backend.accept();
    EXPECT_EQ(server.message(), http1("GET /next"));
    server.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(told(client, 15), "HEADERS 3 end; ");
  }

  // Rows that are reset, and of which nothing went on.
  void check_refused(const std::vector<Row>& rows) {
    for (const Row& row : rows) check(row);
    EXPECT_EQ(h2->rx_messaging_error.value(), rows.size());
    EXPECT_EQ(http->downstream_rq_tx_reset.value(), rows.size());
    EXPECT_EQ(h2->protocol_error.value(), 0);
  }

  Backend backend{loop};
  stats::BlockRef<stats::Http2Stats> h2;
  std::string in;
};

TEST_F(TranslatedRequests, ArriveAsHttp1WouldHaveSaidThem) {
  const std::string long_method(32, 'M');
  const std::string tokens = "!#$%&'*+-.^_`|~09az";
  const Row rows[] = {
      {"a GET", get(), http1("GET /a")},
      {"a query", get({}, "/a?b=c&d=%20"), http1("GET /a?b=c&d=%20")},
      {"two slashes are no authority", get({}, "//other/a"), http1("GET //other/a")},
      {"escaped line breaks", get({}, "/%0d%0aHost:%20b%00"), http1("GET /%0d%0aHost:%20b%00")},
      {"an asterisk", pseudo("OPTIONS", "http", "*", "h"), http1("OPTIONS *")},
      {"an extension method", pseudo("M-SEARCH", "http", "/", "h"), http1("M-SEARCH /")},
      {"the longest method", pseudo(long_method, "http", "/", "h"), http1(long_method + " /")},
      {"a scheme in capitals", pseudo("GET", "HTTP", "/a", "h"), http1("GET /a")},
      {"another scheme", pseudo("GET", "https", "/a", "h"), http1("GET /a")},
      {"an authority with a port", pseudo("GET", "http", "/a", "h:65535"),
       http1("GET /a", {}, {}, "h:65535")},
      {"an authority in brackets", pseudo("GET", "http", "/a", "[::1]:80"),
       http1("GET /a", {}, {}, "[::1]:80")},
      {"an authority in capitals", pseudo("GET", "http", "/a", "H.Example"),
       http1("GET /a", {}, {}, "h.example")},
      {"pseudo-fields in another order",
       headers(1, str(literal(":authority", "h"), literal(":path", "/a"),
                      literal(":scheme", "http"), literal(":method", "GET"))),
       http1("GET /a")},
      {"Host instead of :authority",
       headers(1, str(literal(":method", "GET"), literal(":scheme", "http"), literal(":path", "/a"),
                      literal("host", "h"))),
       http1("GET /a")},
      {"Host that says the same", field("host", "h"), http1("GET /a")},
      {"Host that says it in capitals", field("host", "H"), http1("GET /a")},
      {"an empty Host",
       headers(1, str(literal(":method", "GET"), literal(":scheme", "http"), literal(":path", "/a"),
                      literal("host", ""))),
       http1("GET /a", {}, {}, "")},
      {"fields", get(str(literal("x-a", "1"), literal("accept", "*/*"), literal("x-a", "2"))),
       http1("GET /a", "x-a: 1\r\naccept: */*\r\nx-a: 2\r\n")},
      {"any token as a name", field(tokens, "1"), http1("GET /a", tokens + ": 1\r\n")},
      {"a name with an underscore", field("transfer_encoding", "chunked"),
       http1("GET /a", "transfer_encoding: chunked\r\n")},
      {"an empty value", field("x", ""), http1("GET /a", "x: \r\n")},
      {"colons and spaces within a value", field("x", "a: b  c"),
       http1("GET /a", "x: a: b  c\r\n")},
      {"a tab within a value", field("x", "a\tb"), http1("GET /a", "x: a\tb\r\n")},
      {"8-bit bytes in a value", field("x", "\x80\xc3\xa9\xff"),
       http1("GET /a", "x: \x80\xc3\xa9\xff\r\n")},
      {"a value that looks like a request", field("x", "GET /b HTTP/1.1"),
       http1("GET /a", "x: GET /b HTTP/1.1\r\n")},
      {"a never-indexed field", get("\x10\x01x\x01y"), http1("GET /a", "x: y\r\n")},
      {"an indexed field", get("\x40\x01x\x01y"), http1("GET /a", "x: y\r\n")},
      {"cookies in pieces",
       get(str(literal("cookie", "a=1"), literal("x", "y"), literal("cookie", "b=2"),
               literal("cookie", "c"))),
       http1("GET /a", "cookie: a=1; b=2; c\r\nx: y\r\n")},
      {"an empty cookie at either end",
       get(str(literal("cookie", ""), literal("cookie", "a"), literal("cookie", ""))),
       http1("GET /a", "cookie: a\r\n")},
      {"empty cookies", get(str(literal("cookie", ""), literal("cookie", ""))),
       http1("GET /a", "cookie: \r\n")},
      {"te: trailers", field("te", "trailers"),
       http1("GET /a", {}, "te: trailers\r\nconnection: te\r\n")},
      {"te in capitals", field("te", "Trailers"),
       http1("GET /a", {}, "te: trailers\r\nconnection: te\r\n")},
  };
  for (const Row& row : rows) check(row);
  EXPECT_EQ(h2->rx_messaging_error.value(), 0);
  EXPECT_EQ(h2->protocol_error.value(), 0);
}

TEST_F(TranslatedRequests, BringTheirBodiesAsHttp1WouldHaveFramedThem) {
  const std::string served(kServed);
  const std::string measured = http1("POST /a", {}, "content-length: 5\r\n");
  const Row rows[] = {
      {"trailer fields announced", post(literal("trailer", "x-t")),
       chunked("3\r\nabc\r\n0\r\n\r\n", "trailer: x-t\r\n"), served, data(1, "abc", true)},
      {"a POST without a body", headers(1, request_block("POST")),
       http1("POST /a", {}, "content-length: 0\r\n")},
      {"a body of unknown length", post(), chunked("3\r\nabc\r\n0\r\n\r\n"), served,
       data(1, "abc", true)},
      {"a body in two frames", post(),
       chunked("12\r\nGET / HTTP/1.1\r\n\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n"), served,
       str(data(1, "GET / HTTP/1.1\r\n\r\n"), data(1, "0\r\n\r\n", true))},
      {"an empty body", post(), chunked("0\r\n\r\n"), served, data(1, "", true)},
      {"padding is no body", post(), chunked("3\r\nabc\r\n0\r\n\r\n"), served,
       frame(0, kEndStream | kPadded, 1, zero("\3abc000"))},
      {"a GET with a body", headers(1, request_block(), false),
       str(http1("GET /a", {}, "transfer-encoding: chunked\r\n"), "3\r\nabc\r\n0\r\n\r\n"), served,
       data(1, "abc", true)},
      {"trailers", post(), chunked("3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n"), served,
       str(data(1, "abc"), headers(1, literal("x-sum", "3")))},
      {"trailers without a body", post(), chunked("0\r\nx-sum: 0\r\n\r\n"), served,
       headers(1, literal("x-sum", "0"))},
      {"trailers without fields", post(), chunked("3\r\nabc\r\n0\r\n\r\n"), served,
       str(data(1, "abc"), headers(1, ""))},
      {"a length", sized("5"), measured + "hello", served, data(1, "hello", true)},
      {"a length with zeros before it", sized("005"), measured + "hello", served,
       data(1, "hello", true)},
      {"a length and an empty last frame", sized("5"), measured + "hello", served,
       str(data(1, "hello"), data(1, "", true))},
      {"a length and trailers", sized("5"), measured + "hello", served,
       str(data(1, "hello"), headers(1, literal("x", "1")))},
      {"a length of nothing",
       headers(1, str(request_block("POST"), literal("content-length", "0"))),
       http1("POST /a", {}, "content-length: 0\r\n")},
      {"a length of nothing, and an empty frame", sized("0"),
       http1("POST /a", {}, "content-length: 0\r\n"), served, data(1, "", true)},
      {"an expectation", post(literal("expect", "100-Continue")), chunked("3\r\nabc\r\n0\r\n\r\n"),
       "HEADERS 1; " + served, data(1, "abc", true)},
      {"an expectation without a body", field("expect", "100-continue"), http1("GET /a")},
      {"a head in three frames",
       str(frame(1, kEndStream, 1, request_block().substr(0, 7)),
           frame(9, 0, 1, request_block().substr(7, 20)),
           frame(9, kEndHeaders, 1, str(request_block().substr(27), literal("x", "y")))),
       http1("GET /a", "x: y\r\n")},
  };
  for (const Row& row : rows) check(row);
  EXPECT_EQ(h2->rx_messaging_error.value(), 0);
  EXPECT_EQ(h2->protocol_error.value(), 0);
}

// RFC 9113, 8.1.1: the stream is reset; nothing of it may reach anybody.
TEST_F(TranslatedRequests, AreResetWhereTheyCouldMeanSomethingElseInHttp1) {
  const std::string good = request_block();
  std::vector<Row> rows = {
      plain("no field at all", headers(1, "")),
      plain("only a method", headers(1, literal(":method", "GET"))),
      plain("no method", headers(1, str(literal(":scheme", "http"), literal(":path", "/"),
                                        literal(":authority", "h")))),
      plain("no scheme", headers(1, str(literal(":method", "GET"), literal(":path", "/"),
                                        literal(":authority", "h")))),
      plain("no path", headers(1, str(literal(":method", "GET"), literal(":scheme", "http"),
                                      literal(":authority", "h")))),
      plain("two methods", headers(1, str(literal(":method", "GET"), good))),
      plain("two schemes", headers(1, str(literal(":scheme", "http"), good))),
      plain("two paths", headers(1, str(literal(":path", "/b"), good))),
      plain("two authorities", headers(1, str(literal(":authority", "h"), good))),
      plain("an unknown pseudo-field", get(literal(":x", "1"))),
      plain("a pseudo-field without a name", get(literal(":", "1"))),
      plain("a status", get(literal(":status", "200"))),
      plain("a protocol without CONNECT", get(literal(":protocol", "websocket"))),
      plain("a pseudo-field in capitals", get(literal(":Path", "/b"))),
      plain("a pseudo-field behind others", headers(1, str(literal("x", "1"), good))),
      plain("a pseudo-field between others",
            headers(1, str(literal(":method", "GET"), literal("x", "1"), literal(":scheme", "http"),
                           literal(":path", "/"), literal(":authority", "h")))),
      plain("a method in lower case", pseudo("get", "http", "/", "h")),
      plain("a method with a letter in lower case", pseudo("M-SEARCh", "http", "/", "h")),
      plain("CONNECT with a path", pseudo("CONNECT", "http", "/", "h:1")),
      plain("CONNECT without a port",
            headers(1, str(literal(":method", "CONNECT"), literal(":authority", "h")), false)),
      plain("CONNECT with an empty port",
            headers(1, str(literal(":method", "CONNECT"), literal(":authority", "h:")), false)),
      plain("CONNECT with a length",
            headers(1,
                    str(literal(":method", "CONNECT"), literal(":authority", "h:1"),
                        literal("content-length", "5")),
                    false)),
      plain("a length that no body follows", get(literal("content-length", "5"))),
      plain("a line break in Huffman's code",
            get(str(zero("0"), "\x01x\x88\xff\xff\xff\xfb\xff\xff\xff\xcf"))),
  };
  check_refused(rows);
}

TEST_F(TranslatedRequests, AreResetWhereTheirTargetIsNone) {
  std::vector<Row> rows;
  for (const char* method : {"", " ", "G T", "GET ", " GET", "G\tT", "GET\r\nx: y", "G(T", "G\xc9T",
                             "GET:", "\"GET\"", "MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM"}) {
    rows.push_back(plain(str("method ", method), pseudo(method, "http", "/", "h")));
  }
  for (const char* path : {"",
                           "a",
                           "a/b",
                           "*",
                           "http://h/a",
                           "h:80",
                           "?a",
                           "#a",
                           "\\a",
                           "/a b",
                           " /a",
                           "/a ",
                           "/a\tb",
                           "/a\rb",
                           "/a\nb",
                           "/a\r\nx: y",
                           "/a HTTP/1.1\r\nHost: b\r\n\r\nGET /b",
                           "/\x7f",
                           "/\x01",
                           "/\xc3\xa9",
                           "/\xff"}) {
    rows.push_back(plain(str("path ", path), get({}, path)));
  }
  rows.push_back(plain("path with NUL", get({}, zero("/a0b"))));
  for (const char* scheme : {"", "ftp", "http ", "http:", "http://x", "h\r\nx: y", "ws"}) {
    rows.push_back(plain(str("scheme ", scheme), pseudo("GET", scheme, "/", "h")));
  }
  for (const char* authority :
       {"",     " ",         "u@h", "u:p@h",  "h/a",   "h?a",       "h#a",     "h\\a",  "h a",
        "h\tb", "h\r\nx: y", ":80", "h:x",    "h:-1",  "h:65536",   "h:80:80", "h:80 ", "[::1",
        "::1",  "[]",        "[g]", "[::1]x", "h\x7f", "h\xc3\xa9", "h\"",     "<h>"}) {
    rows.push_back(plain(str("authority ", authority), pseudo("GET", "http", "/", authority)));
    if (*authority != '\0') {
      rows.push_back(plain(str("host ", authority), field("host", authority)));
    }
  }
  for (const char* host : {"", "other", "h:80", "h.", "h, h"}) {
    rows.push_back(plain(str("another host ", host), field("host", host)));
  }
  rows.push_back(plain("two hosts", get(str(literal("host", "h"), literal("host", "h")))));
  check_refused(rows);
}

TEST_F(TranslatedRequests, AreResetWhereTheirFieldsAreNone) {
  std::vector<Row> rows;
  for (const char* name :
       {"",    " ",   "X",      "x-Y",   "Content-Length", "x y", " x", "x ",  "x:",  "x: y", "x\t",
        "x\r", "x\n", "x\r\ny", "x\x7f", "x\xe9",          "x(",  "x@", "x\"", "x,y", "x/y",  "x;",
        "x=",  "x[",  "x\\",    "x{"}) {
    rows.push_back(plain(str("name ", name), field(name, "1")));
  }
  rows.push_back(plain("name with NUL", field(zero("x0"), "1")));
  for (const char* value : {"a\rb", "a\nb", "a\r\nb: c", "a\r\n b", "\r", "\n", " a", "a ", "\ta",
                            "a\t", " ", "\t", "a\x01", "a\x0b", "a\x1f", "a\x7f"}) {
    rows.push_back(plain(str("value ", value), field("x", value)));
    rows.push_back(plain(str("cookie ", value), field("cookie", value)));
  }
  rows.push_back(plain("value with NUL", field("x", zero("a0b"))));
  for (const char* name :
       {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}) {
    for (const char* value : {"", "close", "chunked", "x"}) {
      rows.push_back(plain(str(name, " ", value), field(name, value)));
    }
  }
  for (const char* te : {"gzip", "trailers, gzip", "trailers;q=1", "chunked", "trailers trailers"})
    rows.push_back(plain(str("te ", te), field("te", te)));
  check_refused(rows);
}

TEST_F(TranslatedRequests, AreResetWhereTheirLengthIsNone) {
  const std::string hello = data(1, "hello", true);
  std::vector<Row> rows;
  for (const char* length :
       {"", "5, 5", "5,5", "+5", "-5", "-0", "5 ", " 5", "0x5", "5.0", "5e0", "five", "5\t", "5;",
        "18446744073709551616", "18446744073709551621", "9999999999999999999", "\xd9\xa5"}) {
    rows.push_back(plain(str("length ", length), sized(length) + hello));
  }
  for (const char* second : {"5", "6", "0", ""}) {
    rows.push_back(plain(
        str("two lengths, ", second),
        post(str(literal("content-length", "5"), literal("content-length", second))) + hello));
  }
  check_refused(rows);
}

// The head was fine and has gone: what follows must not look like the end of its body.
TEST_F(TranslatedRequests, BreakOffWhereTheirBodyIsWrong) {
  const std::string started = chunked("3\r\nabc\r\n");
  const std::string measured = http1("POST /a", {}, "content-length: 5\r\n");
  const std::string refused(kRefused);
  std::vector<Row> rows = {
      {"a body that is too short", sized("5"), measured, refused, data(1, "abc", true)},
      {"a body that is too long", sized("5"), measured, refused, data(1, "abcdef", true)},
      {"one that becomes too long", sized("5"), measured + "abc", refused,
       str(data(1, "abc"), data(1, "def", true))},
      {"one that becomes too short", sized("5"), measured + "abc", refused,
       str(data(1, "abc"), data(1, "d", true))},
      {"one that ends with trailers", sized("5"), measured + "abc", refused,
       str(data(1, "abc"), headers(1, literal("x", "1")))},
      {"a body where none was said", sized("0"), http1("POST /a", {}, "content-length: 0\r\n"),
       refused, data(1, "a", true)},
      {"trailers that are not the end", post(), started, refused,
       str(data(1, "abc"), headers(1, literal("x", "1"), false))},
  };
  const auto add_trailer = [&](std::string_view name, std::string_view value) {
    rows.push_back({str("trailer ", name, ": ", value), post(), started, refused,
                    str(data(1, "abc"), headers(1, literal(name, value)))});
  };
  for (const char* name : {"", "X", "x y", "x:", "x\r\ny", ":path", ":x", ":"})
    add_trailer(name, "/b");
  for (const char* value : {"a\r\n\r\nGET / HTTP/1.1", " a", "a\n"}) add_trailer("x", value);
  for (const char* name :
       {"authorization", "connection", "content-encoding", "content-length", "content-type",
        "cookie", "expect", "host", "keep-alive", "proxy-authorization", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade", "x-forwarded-client-cert", "x-forwarded-for"}) {
    add_trailer(name, "trailers");
  }
  for (const Row& row : rows) check(row);
  EXPECT_EQ(h2->rx_messaging_error.value(), rows.size());
  EXPECT_EQ(app->upstream_rq_tx_reset.value(), rows.size());
}

// What is no malformed message is answered, and goes no further either.
TEST_F(TranslatedRequests, AreAnsweredWhereTheyAreUnderstoodAndRefused) {
  struct Answered {
    std::string frames;
    std::string logged;
  };
  const Answered rows[] = {
      {headers(1,
               str(literal(":method", "GET"), literal(":scheme", "http"), literal(":path", "/"))),
       "400 - missing_host_header"},
      {get({}, "/a#b"), "400 - path_normalization_failed"},
      {get({}, "/a?b#c"), "400 - path_normalization_failed"},
      {get(literal("expect", "tea")), "417 DPE http1.expectation_failed"},
      {get(literal("x", std::string(9000, 'x'))), "431 DPE http2.headers_too_large"},
      {headers(1, str(literal(":method", "CONNECT"), literal(":authority", "h:1")), false),
       "404 NR route_not_found"},
  };
  for (const Answered& row : rows) {
    SCOPED_TRACE(row.logged);
    in.clear();
    log.clear();
    Peer client = request(str(http::kH2Preface, frame(4, 0, 0, ""), row.frames));
    EXPECT_EQ(logged(), row.logged);
    EXPECT_TRUE(told(client, 10).starts_with("HEADERS 1"));
    EXPECT_FALSE(backend.is_called());
  }
  EXPECT_EQ(h2->header_overflow.value(), 1);
  EXPECT_EQ(h2->rx_messaging_error.value(), 2);
}

}  // namespace
}  // namespace pillion::testing
