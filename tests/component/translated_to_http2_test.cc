// Clients and servers of HTTP/1 opposite to ones of HTTP/2: what these got of their messages.

#include "proxy/http/h2_preface.h"
#include "tests/component/http2_yaml.h"
#include "tests/support/h2_frames.h"

namespace pillion::testing {
namespace {

// ---- requests ----

constexpr std::string_view kPseudo = ":method: GET\n:scheme: http\n:path: /a\n:authority: h\n";
constexpr std::string_view kProto = "x-forwarded-proto: http\n";

class RequestsToHttp2 : public WorkerTest {
 protected:
  void SetUp() override {
    set_cluster({backend.address}, http2_cluster());
    listen({.hcm = "codec_type: HTTP1, generate_request_id: false, http_protocol_options: { "
                   "accept_http_10: true, default_host_for_http_10: old }",
            .routes = "{ match: { prefix: / }, route: { cluster: app, timeout: 0s } }, "
                      "{ match: { prefix: '*' }, route: { cluster: app, timeout: 0s } }",
            .router = "suppress_envoy_headers: true"});
  }
  // The stream of a request, once it has come whole or ended otherwise.
  H2Peer::Stream& take(std::string_view bytes, std::string_view rest = {}) {
    client = std::make_unique<Peer>(request(bytes));
    if (server == nullptr)
      server = std::make_unique<H2Peer>(loop, batch, backend.accept_transport());
    const size_t index = served++;
    const auto has_come = [&] { return server->streams.size() > index; };
    EXPECT_TRUE(run_until(loop, has_come));
    client->send(rest);
    H2Peer::Stream& stream = server->stream(index);
    EXPECT_TRUE(run_until(loop, [&] { return stream.ended || stream.closed; }));
    return stream;
  }
  void TearDown() override {
    client.reset();
    server.reset();
    WorkerTest::TearDown();
  }

  Backend backend{loop};
  std::unique_ptr<Peer> client;
  std::unique_ptr<H2Peer> server;
  size_t served = 0;
};

TEST_F(RequestsToHttp2, AreWhatHttp2CanSay) {
  struct Row {
    std::string head;  // without the last empty line
    std::string rest;
    std::string fields;
    std::string body = {};
    std::string trailers = {};
  };
  const std::string pseudo(kPseudo);
  const std::string proto(kProto);
  const std::string post = ":method: POST\n:scheme: http\n:path: /a\n:authority: h\n";
  const std::string start = "GET /a HTTP/1.1\r\nHost: h\r\n";
  const std::string post_start = "POST /a HTTP/1.1\r\nHost: h\r\n";
  const std::string chunks = "Transfer-Encoding: chunked\r\n";
  const Row rows[] = {
      {start, "", pseudo + proto},
      {start + "X-Case: Kept\r\nX-Case: 2\r\n", "", pseudo + "x-case: Kept\nx-case: 2\n" + proto},
      {start + "Cookie: a=1; b=2\r\n", "", pseudo + "cookie: a=1; b=2\n" + proto},
      {start + "Connection: X-Gone, keep-alive\r\nX-Gone: 1\r\nKeep-Alive: 5\r\nX-Stays: 2\r\n", "",
       pseudo + "x-stays: 2\n" + proto},
      {start + "Proxy-Connection: x-gone\r\nX-Gone: 1\r\n", "", pseudo + proto},
      {start + "Connection: close\r\n", "", pseudo + proto},
      {start + "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n", "",
       pseudo + proto},
      {start + "Upgrade: websocket\r\n", "", pseudo + proto},  // not named: no wish
      {start + "TE: deflate, trailers\r\n", "", pseudo + "te: trailers\n" + proto},
      {start + "TE: gzip\r\n", "", pseudo + proto},
      {start + "Expect: 100-continue\r\n", "", pseudo + proto},
      {"GET http://h/a HTTP/1.1\r\nHost: h\r\n", "", pseudo + proto},
      {"GET http://h/a HTTP/1.1\r\nHost: H\r\n", "", pseudo + proto},
      {"GET https://h/a HTTP/1.0\r\n", "", pseudo + proto},
      {"GET /a HTTP/1.0\r\n", "",
       ":method: GET\n:scheme: http\n:path: /a\n:authority: old\n" + proto},
      {"OPTIONS * HTTP/1.1\r\nHost: h\r\n", "",
       ":method: OPTIONS\n:scheme: http\n:path: *\n:authority: h\n" + proto},
      {post_start + "Content-Length: 3\r\n", "abc", post + "content-length: 3\n" + proto, "abc"},
      {post_start + "Content-Length: 0\r\n", "", post + "content-length: 0\n" + proto},
      {post_start, "", post + proto},
      {post_start + chunks, "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", post + proto, "abcde"},
      {post_start + chunks + "Trailer: x-sum\r\n", "3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n",
       post + "trailer: x-sum\n" + proto, "abc", "x-sum: 3\n"},
      {post_start + chunks + "Expect: 100-continue\r\n", "3\r\nabc\r\n0\r\n\r\n", post + proto,
       "abc"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.head);
    H2Peer::Stream& stream = take(row.head + "\r\n", row.rest);
    std::string fields = stream.fields;
    if (const size_t te = fields.find("te: trailers\n"); te != std::string::npos) {
      // Where it stands is the codec's choice.
      fields.erase(te, 13);
      fields.insert(kPseudo.size(), "te: trailers\n");
    }
    EXPECT_EQ(fields, row.fields);
    EXPECT_EQ(stream.body, row.body);
    EXPECT_EQ(stream.trailers, row.trailers);
    EXPECT_TRUE(stream.ended);
    server->respond(served - 1, "ok");
    EXPECT_TRUE(client->waits_for("ok"));
  }
  EXPECT_EQ(app->upstream_cx_total.value(), 1);
}

// A client that leaves in the middle of its request: the server must not take it for whole.
TEST_F(RequestsToHttp2, AreCancelledWhenTheirClientGivesUp) {
  const std::string start = "POST /a HTTP/1.1\r\nHost: h\r\n";
  const std::string rows[] = {
      start + "Content-Length: 5\r\n\r\nabc",
      start + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
      start + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n"};
  for (const std::string& row : rows) {
    for (const bool aborts : {false, true}) {
      SCOPED_TRACE(row);
      Peer peer = request(row);
      if (server == nullptr)
        server = std::make_unique<H2Peer>(loop, batch, backend.accept_transport());
      const size_t index = served++;
      EXPECT_TRUE(run_until(loop, [&] {
        return server->streams.size() > index && server->stream(index).body == "abc";
      }));
      aborts ? peer.abort() : peer.end();
      H2Peer::Stream& stream = server->stream(index);
      EXPECT_TRUE(run_until(loop, [&] { return stream.closed; }));
      EXPECT_FALSE(stream.ended);
      EXPECT_EQ(stream.error, http::H2Error::kCancel);
    }
  }
  EXPECT_EQ(app->upstream_cx_total.value(), 1);
}

// What is no HTTP/1 behind its head is answered, and the stream behind us cancelled.
TEST_F(RequestsToHttp2, AreCancelledWhenTheirBodyIsMalformed) {
  H2Peer::Stream& stream = take(
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "x\r\n");
  EXPECT_FALSE(stream.ended);
  EXPECT_EQ(stream.error, http::H2Error::kCancel);
  EXPECT_EQ(status_of(client->message()), 400);
}

// ---- responses ----

class ResponsesToHttp2 : public WorkerTest {
 protected:
  void SetUp() override {
    set_cluster({backend.address});
    listen({.hcm = "codec_type: HTTP2, server_header_transformation: PASS_THROUGH",
            .router = "suppress_envoy_headers: true"});
    client = http2_client(loop, batch, address);
  }
  void TearDown() override {
    client.reset();
    WorkerTest::TearDown();
  }
  H2TestClient::Exchange& ask(std::string_view method = "GET") {
    H2TestClient::Exchange& e = client->request(method, "/a");
    return e;
  }

  Backend backend{loop};
  std::unique_ptr<H2TestClient> client;
};

TEST_F(ResponsesToHttp2, AreWhatHttp2CanSay) {
  struct Row {
    std::string bytes;
    std::string head;  // with the interim ones
    std::string body = {};
    std::string trailers = {};
    std::string_view method = "GET";
  };
  const std::string ok = "HTTP/1.1 200 OK\r\nDate: now\r\n";
  const std::string close = "Connection: close\r\n";
  const std::string chunks = "Transfer-Encoding: chunked\r\n\r\n";
  const std::string h2 = ":status: 200\n";
  const Row rows[] = {
      {ok + close + "Content-Length: 2\r\n\r\nok", h2 + "content-length: 2\ndate: now\n", "ok"},
      {ok + close + "Content-Length: 0\r\n\r\n", h2 + "content-length: 0\ndate: now\n"},
      {ok + close + chunks + "3\r\nabc\r\n0\r\n\r\n", h2 + "date: now\n", "abc"},
      {ok + close + chunks + "3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n", h2 + "date: now\n", "abc",
       "x-sum: 3\n"},
      {ok + "\r\nuntil the end", h2 + "date: now\n", "until the end"},
      {"HTTP/1.0 200 Fine\r\nDate: now\r\n\r\nold", h2 + "date: now\n", "old"},
      {"HTTP/1.1 299 A phrase of its own\r\nDate: now\r\nContent-Length: 0\r\nConnection: "
       "close\r\n\r\n",
       ":status: 299\ncontent-length: 0\ndate: now\n"},
      {ok + "Connection: close, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n"
            "Upgrade: x\r\nTE: gzip\r\nX-Stays: Here\r\nContent-Length: 0\r\n\r\n",
       h2 + "content-length: 0\ndate: now\nx-stays: Here\n"},
      {ok + close + "Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
       h2 + "content-length: 0\ndate: now\nset-cookie: a\nset-cookie: b\n"},
      {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + close + "Content-Length: 0\r\n\r\n",
       ":status: 103\nlink: </a>\n" + h2 + "content-length: 0\ndate: now\n"},
      {"HTTP/1.1 100 Continue\r\n\r\n" + ok + close + "Content-Length: 0\r\n\r\n",
       h2 + "content-length: 0\ndate: now\n"},
      {"HTTP/1.1 204 No Content\r\nDate: now\r\nConnection: close\r\n\r\n",
       ":status: 204\ndate: now\n"},
      {"HTTP/1.1 304 Not Modified\r\nDate: now\r\nContent-Length: 7\r\nConnection: close\r\n\r\n",
       ":status: 304\ncontent-length: 7\ndate: now\n"},
      {ok + close + "Content-Length: 7\r\n\r\n", h2 + "content-length: 7\ndate: now\n", "", "",
       "HEAD"},
      {ok + close + chunks, h2 + "date: now\n", "", "", "HEAD"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.bytes);
    H2TestClient::Exchange& e = ask(row.method);
    Peer server = backend.accept();
    (void)server.message();
    server.send(row.bytes);
    server.close();
    EXPECT_TRUE(run_until(loop, [&] { return e.closed; }));
    EXPECT_EQ(e.head, row.head);
    EXPECT_EQ(e.body, row.body);
    EXPECT_EQ(e.trailers, row.trailers);
    EXPECT_TRUE(e.ended);
    EXPECT_EQ(e.error, http::H2Error::kNone);
  }
}

// RST_STREAM and not END_STREAM: what came must not be taken for all of it.
TEST_F(ResponsesToHttp2, AreResetWhenTheirServerGivesUp) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
  const std::string rows[] = {ok + "Content-Length: 5\r\n\r\nabc",
                              chunked,
                              chunked + "5\r\nde",
                              chunked + "0\r\n",
                              chunked + "0\r\nX: 1\r\n",
                              chunked + "zz\r\n",
                              chunked + "0\r\nContent-Length: 3\r\n\r\n"};
  for (const std::string& row : rows) {
    for (const bool aborts : {false, true}) {
      SCOPED_TRACE(row);
      H2TestClient::Exchange& e = ask();
      Peer server = backend.accept();
      (void)server.message();
      server.send(row);
      EXPECT_TRUE(run_until(loop, [&] { return e.closed || e.body.starts_with("abc"); }));
      aborts ? server.abort() : server.close();
      EXPECT_TRUE(run_until(loop, [&] { return e.closed; }));
      EXPECT_FALSE(e.ended);
      EXPECT_EQ(e.error, http::H2Error::kInternal);
    }
  }
  EXPECT_EQ(http->downstream_cx_total.value(), 1);
}

// The other way round: the server's connection is of use to nobody once its client is gone.
TEST_F(ResponsesToHttp2, EndTheirServersConnectionWhenTheClientResets) {
  for (const bool has_begun : {false, true}) {
    H2TestClient::Exchange& e = ask();
    Peer server = backend.accept();
    (void)server.message();
    if (has_begun) {
      server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
      EXPECT_TRUE(run_until(loop, [&] { return e.body == "abc"; }));
    }
    client->session.reset(e, http::H2Error::kCancel);
    client->flush();
    EXPECT_TRUE(server.waits_for_the_end());
    EXPECT_EQ(logged(),
              has_begun ? "200 DR downstream_remote_reset" : "0 DR downstream_remote_reset");
    log.clear();
  }
}

// 413 while the upload goes on: the client has the answer, and is told that the rest is not wanted.
TEST_F(ResponsesToHttp2, MayComeBeforeTheEndOfTheirRequest) {
  H2TestClient::Exchange& e = client->request("POST", "/a", false);
  client->send_body(e, std::string(1000, 'x'), false);
  Peer server = backend.accept();
  EXPECT_TRUE(server.waits_for("xxx"));
  server.send("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
  EXPECT_TRUE(run_until(loop, [&] { return e.ended; }));
  EXPECT_EQ(e.body, "no");
  EXPECT_FALSE(e.closed);
  EXPECT_TRUE(server.waits_for_the_end());  // what it has of the request is not all of it
  EXPECT_EQ(server.received().find("\r\n0\r\n\r\n"), std::string::npos);
  for (int i = 0; i < 100 && !e.closed; ++i) {
    client->send_body(e, std::string(1000, 'x'), false);
    settle();
  }
  EXPECT_TRUE(e.closed);
  EXPECT_EQ(e.error, http::H2Error::kNone);
}

// ---- both ----

// RFC 7541, 6.2.3: what must never be indexed stays so.
TEST_F(ResponsesToHttp2, KeepSecretsOutOfTheTablesOnBothSides) {
  set_cluster({backend.address}, http2_cluster());
  const std::string secret = "\x10\x01x\x01y";
  std::string path = literal(":path", "/a");
  path[0] = 0x10;
  const std::string first =
      str(literal(":method", "POST"), literal(":scheme", "http"), path, literal(":authority", "h"));
  Peer raw = request(str(http::kH2Preface, frame(4, 0, 0, ""),
                         headers(1, str(first, secret, literal("z", "1")), false),
                         headers(1, str(secret, literal("t", "1")))));
  {
    H2Peer server(loop, batch, backend.accept_transport());
    EXPECT_TRUE(run_until(loop, [&] { return !server.streams.empty() && server.stream(0).ended; }));
    // In the request with our id, which is new in each; in its trailers.
    EXPECT_EQ(server.stream(0).sensitive, ":path;x;x-request-id;x;");
    EXPECT_EQ(server.stream(0).trailers, "x: y\nt: 1\n");
    server.respond(0);
    settle();
  }
  H2TestClient::Exchange& e = ask();
  Peer server = backend.accept();
  EXPECT_TRUE(server.waits_for("PRI"));
  server.send(frame(4, 0, 0, ""));
  settle();
  server.send(headers(1, str(literal(":status", "200"), secret, literal("z", "1"))));
  EXPECT_TRUE(run_until(loop, [&] { return e.ended; }));
  EXPECT_EQ(e.sensitive, "x;");
}

}  // namespace
}  // namespace pillion::testing
