// One connection to an upstream: what it writes, what it takes for a response, when it is used
// again.
#include "proxy/http/h1_client.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/fake_transport.h"
#include "tests/support/h1_parse.h"

namespace pillion::http {
namespace {

class ClientTest : public ::testing::Test, public ClientConnection::Owner {
 protected:
  struct Sink final : ResponseSink {
    explicit Sink(ClientTest& t) : test(t) {}
    ResponseHead& new_response_head() override { return *arena.create<ResponseHead>(arena); }
    Headers& new_response_trailers() override { return *arena.create<Headers>(arena); }
    void on_informational(ResponseHead& response) override {
      test.log += str("info ", response.status, "; ");
      if (test.reset_on_informational) test.connection->reset();
    }
    void on_response_head(ResponseHead& response, bool end) override {
      test.log += str("head ", response.status, end ? " end; " : "; ");
    }
    void on_response_body(std::string_view data, bool end) override {
      body += data;
      if (end) test.log += str("end ", body, "; ");
    }
    void on_response_trailers(Headers& trailers) override {
      test.log += str("end ", body, " trailers ", testing::describe(trailers), "; ");
    }
    void on_upstream_reset(Failure failure) override {
      test.log += str("reset ", failure.row().name, "; ");
    }
    void on_request_drained() override { test.log += "drained; "; }
    size_t read_limit() const noexcept override { return limit; }
    ClientTest& test;
    Arena arena;
    std::string body;
    size_t limit = 1 << 20;
  };

  void SetUp() override { open(); }
  void open() {
    auto [a, b] = testing::FakeTransport::make_pair(loop);
    own_end = a.get();
    origin = std::move(b);
    connection = std::make_unique<H1ClientConnection>(loop, batch, limits, *this);
    connection->start(std::move(a));
    turn();
  }
  void TearDown() override {
    if (connection != nullptr) connection->close({FailureKind::kNone});
    turn();
    origin.reset();
    turn();
    EXPECT_EQ(Slab::live(), 0);
  }
  void turn(int n = 4) {
    for (int i = 0; i < n; ++i) loop.run_once(false);
  }
  // Begins an exchange with a request of that method without a body.
  void request(std::string_view method = "GET", std::string_view upgrade = {}) {
    sink = std::make_unique<Sink>(*this);
    head = std::make_unique<RequestHead>(sink->arena);
    head->method_text = method;
    head->method = find_method(method);
    head->path = "/";
    head->authority = "h";
    head->upgrade = upgrade;
    upstream = &connection->begin(*sink);
    upstream->send_head(*head, upgrade.empty());
    batch.flush();
    turn();
  }
  void begin_upload(Framing framing, uint64_t length = 0) {
    sink = std::make_unique<Sink>(*this);
    head = std::make_unique<RequestHead>(sink->arena);
    head->method_text = "POST";
    head->method = Method::kPost;
    head->path = "/";
    head->authority = "h";
    head->framing = framing;
    head->content_length = length;
    upstream = &connection->begin(*sink);
    upstream->send_head(*head, false);
    batch.flush();
    turn();
  }
  void respond(std::string_view bytes) {
    own_end->inject(bytes);
    turn();
  }
  std::string noted() { return std::exchange(log, {}); }
  std::string written() {
    std::string out;
    char room[4096];
    while (const size_t n = origin->read(room, sizeof room).bytes) out.append(room, n);
    return out;
  }

  void on_client_connected(ClientConnection&) override { log += "connected; "; }
  void on_client_idle(ClientConnection&) override { log += "idle; "; }
  void on_client_closed(ClientConnection&, Failure failure) override {
    log += str("closed ", failure.row().name, "; ");
    loop.delete_later(std::move(connection));
  }
  void on_client_event(ClientConnection&, ClientConnection::Event event) override {
    constexpr std::string_view kNames[] = {"malformed", "too large", "truncated", "unsolicited",
                                           "interim flood"};
    log += str(kNames[static_cast<size_t>(event)], "; ");
  }
  void on_client_bytes(uint64_t in, uint64_t out) override {
    bytes_in += in;
    bytes_out += out;
  }

  io::Loop loop;
  io::WriteBatch batch{loop};
  H1Limits limits;
  std::string log;
  testing::FakeTransport* own_end = nullptr;
  std::unique_ptr<testing::FakeTransport> origin;
  std::unique_ptr<H1ClientConnection> connection;
  std::unique_ptr<Sink> sink;
  std::unique_ptr<RequestHead> head;
  UpstreamStream* upstream = nullptr;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  bool reset_on_informational = false;
};

TEST_F(ClientTest, ResponsesMeanTheSameHoweverTheyAreCut) {
  struct Case {
    std::string method;
    std::string bytes;
    std::string expected;  // after "connected; "
  };
  const Case cases[] = {
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "head 200; idle; end hello; "},
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "idle; head 200 end; "},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
       "head 200; idle; end abc; "},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: 1\r\n\r\n",
       "head 200; idle; end ab trailers x: 1\n; "},
      {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "idle; head 200 end; "},
      {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "idle; head 204 end; "},
      {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "idle; head 304 end; "},
      {"GET", "HTTP/1.1 205 R\r\n\r\n", "closed kNone; head 205 end; "},
      {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", "head 200; closed kNone; end ab; "},
      {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
       "head 200; closed kNone; end ab; "},
      {"GET",
       "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
       "0\r\n\r\n",
       "info 100; info 103; idle; head 200 end; "},
      {"GET", "HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n",
       "malformed; closed kUpstreamProtocol; reset kUpstreamProtocol; "},
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
       "malformed; closed kUpstreamProtocol; reset kUpstreamProtocol; "},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
       "head 200; malformed; closed kUpstreamProtocol; reset kUpstreamProtocol; "},
      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: a\r\n\r\n",
       "head 200; malformed; closed kUpstreamProtocol; reset kUpstreamProtocol; "},
  };
  for (const Case& c : cases) {
    for (size_t cut : {size_t{1000}, size_t{1}, size_t{3}, size_t{7}}) {
      if (connection == nullptr) open();
      noted();
      request(c.method);
      for (size_t i = 0; i < c.bytes.size() && connection != nullptr; i += cut) {
        respond(std::string_view(c.bytes).substr(i, cut));
      }
      EXPECT_EQ(noted(), c.expected) << c.bytes << " by " << cut;
    }
  }
}

TEST_F(ClientTest, ATruncatedResponseNeverLooksComplete) {
  const std::string cases[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1",
      "HTTP/1.1 200 OK\r\nContent-Le",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2",
  };
  for (const std::string& bytes : cases) {
    if (connection == nullptr) open();
    request();
    respond(bytes);
    own_end->inject_fin();
    turn();
    const std::string got = noted();
    EXPECT_NE(got.find("truncated; closed kUpstreamTruncated; reset kUpstreamTruncated; "),
              std::string::npos)
        << got;
    EXPECT_EQ(got.find("end"), std::string::npos) << got;
  }
  open();
  noted();
  request();
  respond("HTTP/1.1 200 OK\r\n\r\npart");
  own_end->inject_reset();
  turn();
  EXPECT_EQ(noted(), "head 200; closed kUpstreamReset; reset kUpstreamReset; ");
}

TEST_F(ClientTest, AnEndBeforeAnyByteMayBeTriedAgain) {
  request();
  own_end->inject_fin();
  turn();
  EXPECT_EQ(noted(), "connected; closed kUpstreamClosed; reset kUpstreamClosed; ");
  open();
  request();
  own_end->inject_reset();
  turn();
  EXPECT_EQ(noted(), "connected; closed kUpstreamReset; reset kUpstreamReset; ");
}

TEST_F(ClientTest, TheEndOfTheConnectionEndsABodyWithoutLength) {
  request();
  respond("HTTP/1.1 200 OK\r\n\r\nall");
  own_end->inject_fin();
  turn();
  EXPECT_EQ(noted(), "connected; head 200; closed kNone; end all; ");
}

TEST_F(ClientTest, BytesThatNobodyAskedForCloseTheConnection) {
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(noted(), "connected; unsolicited; closed kUpstreamProtocol; ");
  open();
  request();
  respond("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n");
  EXPECT_EQ(noted(), "connected; head 200; unsolicited; closed kNone; end a; ");
  open();
  request("HEAD");  // an origin that sends the body nevertheless
  respond("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
  EXPECT_EQ(noted(), "connected; unsolicited; closed kNone; head 200 end; ");
}

TEST_F(ClientTest, AnIdleConnectionThatEndsIsClosed) {
  own_end->inject_fin();
  turn();
  EXPECT_EQ(noted(), "connected; closed kUpstreamClosed; ");
}

TEST_F(ClientTest, CapsInterimResponsesAndHeads) {
  request();
  std::string flood;
  for (int i = 0; i < 17; ++i) flood += "HTTP/1.1 102 P\r\n\r\n";
  respond(flood);
  EXPECT_NE(
      noted().find("info 102; interim flood; closed kUpstreamProtocol; reset kUpstreamProtocol; "),
      std::string::npos);
  open();
  noted();
  request();
  respond("HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x'));
  EXPECT_EQ(noted(), "too large; closed kUpstreamProtocol; reset kUpstreamProtocol; ");
  open();
  noted();
  H1Limits strict;
  strict.max_fields = 1;
  connection->set_limits(strict);
  request();
  respond("HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n");
  EXPECT_EQ(noted(), "too large; closed kUpstreamProtocol; reset kUpstreamProtocol; ");
}

TEST_F(ClientTest, ASinkMayGiveUpInsideACallback) {
  reset_on_informational = true;
  request();
  respond("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(noted(), "connected; info 100; closed kLocalReset; ");
}

TEST_F(ClientTest, WritesRequestsAndTheirBodies) {
  request();
  EXPECT_EQ(written(), "GET / HTTP/1.1\r\nhost: h\r\n\r\n");
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(bytes_out, 0u + std::string_view("GET / HTTP/1.1\r\nhost: h\r\n\r\n").size());
  request("POST");
  EXPECT_EQ(written(), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");

  begin_upload(Framing::kChunked);
  upstream->send_body("hello", false);
  upstream->send_body("", false);
  upstream->send_body("0123456789abcdef0", true);
  batch.flush();
  EXPECT_EQ(written(),
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
            "11\r\n0123456789abcdef0\r\n0\r\n\r\n");
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  begin_upload(Framing::kChunked);
  Headers trailers(sink->arena);
  trailers.add("x-t", "1");
  upstream->send_body("a", false);
  upstream->send_trailers(trailers);
  batch.flush();
  EXPECT_NE(written().find("1\r\na\r\n0\r\nx-t: 1\r\n\r\n"), std::string::npos);
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  begin_upload(Framing::kLength, 3);
  upstream->send_body("abc", true);
  batch.flush();
  EXPECT_EQ(written(), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc");
  noted();
  respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(noted(), "idle; head 200 end; ");
  EXPECT_EQ(connection->exchanges(), 5u);
}

TEST_F(ClientTest, AnEarlyResponseIsPassedOnAndTheConnectionNotUsedAgain) {
  begin_upload(Framing::kLength, 1000);
  upstream->send_body("some", false);
  batch.flush();
  respond("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(noted(), "connected; head 413; closed kNone; end no; ");
}

TEST_F(ClientTest, AResponseIsReadEvenIfWritingTheRequestFailed) {
  begin_upload(Framing::kLength, 1000);
  own_end->inject("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
  own_end->inject_reset();
  upstream->send_body("some", false);
  batch.flush();
  upstream->send_body("more", false);  // goes nowhere
  turn();
  EXPECT_EQ(noted(), "connected; head 413; closed kNone; end no; ");
}

TEST_F(ClientTest, BackPressureWorksBothWays) {
  origin->window = 100;
  begin_upload(Framing::kLength, 5000);
  const std::string large(5000, 'x');
  upstream->send_body(large, true);
  batch.flush();
  EXPECT_TRUE(upstream->is_backed_up());
  size_t got = 0;
  for (int i = 0; i < 200; ++i) {
    got += written().size();
    turn(1);
  }
  EXPECT_GT(got, 5000u);
  EXPECT_EQ(noted(), "connected; drained; ");
  sink->limit = 10;
  upstream->pause_response();
  respond("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(noted(), "");
  upstream->resume_response();
  turn(20);
  EXPECT_EQ(noted(), "head 200; idle; end hello; ");
}

TEST_F(ClientTest, TunnelsPassBytesAndEndWithTheServer) {
  request("GET", "x");
  EXPECT_EQ(written(), "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
  respond("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nfirst");
  EXPECT_EQ(sink->body, "first");
  upstream->send_body("up", false);
  batch.flush();
  EXPECT_EQ(written(), "up");
  upstream->send_body("end", true);
  batch.flush();
  turn();
  EXPECT_EQ(written(), "end");
  EXPECT_TRUE(origin->peer_sent_fin());
  respond(" still");
  own_end->inject_fin();
  turn();
  EXPECT_EQ(noted(), "connected; head 101; closed kNone; end first still; ");

  open();
  noted();
  request("CONNECT");
  respond("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nraw bytes");
  EXPECT_EQ(sink->body, "raw bytes");
  upstream->reset();
  EXPECT_EQ(noted(), "head 200; closed kLocalReset; ");
}

TEST_F(ClientTest, AnUpgradeInTheMiddleOfABodyIsRefused) {
  begin_upload(Framing::kLength, 10);
  connection->reset();
  open();
  noted();
  sink = std::make_unique<Sink>(*this);
  head->upgrade = "x";
  upstream = &connection->begin(*sink);
  upstream->send_head(*head, false);
  upstream->send_body("half", false);
  batch.flush();
  respond("HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n");
  EXPECT_EQ(noted(), "malformed; closed kUpstreamProtocol; reset kUpstreamProtocol; ");
}

TEST_F(ClientTest, NothingHappensAfterTheEnd) {
  request();
  upstream->reset();
  H1ClientConnection* dead = static_cast<H1ClientConnection*>(upstream);  // until the turn ends
  dead->send_head(*head, true);
  dead->send_body("x", true);
  dead->send_trailers(head->headers);
  dead->pause_response();
  dead->resume_response();
  dead->close({FailureKind::kNone});
  EXPECT_EQ(noted(), "connected; closed kLocalReset; ");
}

}  // namespace
}  // namespace pillion::http
