// What an exchange costs on the wire, as the access log tells: every byte of both sides, heads and
// chunk framing included.

#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

// Of WorkerTest::request().
constexpr size_t kRequestBytes = 27;

class WireBytes : public WorkerTest {
 protected:
  void begin(std::string_view policy = "") {
    log_format =
        "%DOWNSTREAM_WIRE_BYTES_RECEIVED% %UPSTREAM_WIRE_BYTES_SENT% "
        "%UPSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT%";
    set_cluster({backend.address});
    listen({.routes =
                str("{ match: { prefix: / }, route: { cluster: app, timeout: 0s", policy, " } }")});
  }
  Backend backend{loop};
};

struct Exchange {
  std::string_view request, response;
};
constexpr Exchange kExchanges[] = {
    {"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
    {"GET / HTTP/1.1\r\nHost: a\r\nX-Long: 12345678901234567890\r\n\r\n",
     "HTTP/1.1 204 No Content\r\n\r\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n"
     "0\r\nx-end: 1\r\n\r\n",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n"},
};

TEST_F(WireBytes, AreTheBytesThatBothPeersSawOfEachExchangeOfAConnection) {
  begin();
  Peer client = connect();
  std::optional<Peer> server;
  for (const Exchange& exchange : kExchanges) {
    client.send(exchange.request);
    if (!server) server = backend.accept();
    const std::string request = server->answer(exchange.response);
    const std::string response = client.message();
    ASSERT_NE(status_of(response), 0) << exchange.request;
    EXPECT_EQ(logged(), str(exchange.request.size(), ' ', request.size(), ' ',
                            exchange.response.size(), ' ', response.size()))
        << exchange.request;
    log.clear();
  }
}

TEST_F(WireBytes, CountInterimResponses) {
  begin();
  Peer client = request();
  Peer server = backend.accept();
  const std::string request = server.message();
  constexpr std::string_view kAnswer =
      "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  server.send(kAnswer);
  const std::string interim = client.message(true);
  const std::string response = client.message();
  EXPECT_EQ(status_of(response), 200);
  EXPECT_EQ(logged(), str(kRequestBytes, ' ', request.size(), ' ', kAnswer.size(), ' ',
                          interim.size() + response.size()));
}

TEST_F(WireBytes, OfTheUpstreamAreTheLastAttempts) {
  begin(", retry_policy: { retry_on: reset, num_retries: 1 }");
  Peer client = request();
  backend.accept().message();  // the attempt that is broken off
  settle();
  pass(milliseconds(300));
  Peer server = backend.accept();
  const std::string request = server.answer();
  const std::string response = client.message();
  EXPECT_EQ(status_of(response), 200);
  EXPECT_EQ(logged(), str(kRequestBytes, ' ', request.size(), ' ', 40, ' ', response.size()));
}

TEST_F(WireBytes, OfAnUnfinishedResponseAreThoseThatCame) {
  begin();
  Peer client = request();
  Peer server = backend.accept();
  const std::string request = server.message();
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234");
  ASSERT_TRUE(client.waits_for("1234"));
  const size_t sent = client.received().size();
  server.close();
  EXPECT_EQ(logged(), str(kRequestBytes, ' ', request.size(), ' ', 42, ' ', sent));
}

}  // namespace
}  // namespace pillion::testing
