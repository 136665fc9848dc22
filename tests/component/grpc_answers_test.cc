// Answers to calls of gRPC that are unlike most: nothing but trailers, none of gRPC, too long.

#include "tests/component/grpc_fixture.h"
#include "tests/component/http2_yaml.h"

namespace pillion::testing::grpc {
namespace {

// ---- nothing but trailers ----

struct Client {
  std::string_view type;  // of its request
  bool is_http2;
  std::string_view answer_type;
  bool is_bridged;  // HTTP/1.1: what is not OK is 503
};
constexpr Client kClients[] = {
    {"application/grpc", true, "application/grpc", false},
    {"application/grpc+proto", true, "application/grpc", false},
    {"application/grpc-web", true, "application/grpc-web+proto", false},
    {"application/grpc-web-text", true, "application/grpc-web+proto", false},
    {"application/grpc", false, "application/grpc", true},
    {"application/x-protobuf", false, "application/x-protobuf", true},
    {"application/grpc-web", false, "application/grpc-web+proto", true},
    {"application/grpc-web-text", false, "application/grpc-web+proto", true},
};

class GrpcTrailersOnly : public Grpc {
 protected:
  // The head of what the client gets, as lines of "name: value".
  std::string call(const Client& client, std::string_view status) {
    const bool is_text = client.type.ends_with("-text");
    const bool has_frames = client.type != "application/x-protobuf";
    const std::string framed = has_frames ? message("q") : "q";
    const std::string body = is_text ? base64(framed) : framed;
    set_cluster({backend.address}, kH2Cluster);
    std::string head;
    if (client.is_http2) {
      const auto peer = http2_client(loop, batch, address);
      auto& e = peer->request("POST", "/a.B/C", false,
                              {{"content-type", client.type}, {"te", "trailers"}});
      peer->send_body(e, body, true);
      answer(status);
      EXPECT_TRUE(run_until(loop, [&] { return e.ended; }));
      EXPECT_EQ(e.body + e.trailers, "");
      head = e.head;
    } else {
      Peer peer = request(str("POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: ", client.type,
                              "\r\nContent-Length: ", body.size(), "\r\n\r\n", body));
      answer(status);
      head = peer.message();
      EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
      EXPECT_EQ(head.find("chunked"), head.npos) << head;
    }
    set_cluster({}, kH2Cluster);
    settle();
    return head;
  }

 private:
  void answer(std::string_view status) {
    Frames server = h2_server();
    EXPECT_TRUE(hears(server, "HEADERS 1; DATA 1 6 end; "));
    server.send(headers(1, answer_block() + status_block(status)));
    settle();
  }
};

TEST_F(GrpcTrailersOnly, ReachEachKindOfClientThroughAllFilters) {
  begin(kWeb + kBridge + kStats);
  for (const std::string_view status : {"0", "5"}) {
    for (const Client& client : kClients) {
      SCOPED_TRACE(str(client.type, client.is_http2 ? " h2 " : " h1 ", status));
      const std::string head = call(client, status);
      const auto has = [&head](std::string_view line) { return head.find(line) != head.npos; };
      const bool is_refused = client.is_bridged && status != "0";
      EXPECT_TRUE(has(client.is_http2 ? ":status: 200\n"
                      : is_refused    ? "HTTP/1.1 503 "
                                      : "HTTP/1.1 200 "))
          << head;
      EXPECT_TRUE(has(str("grpc-status: ", status))) << head;
      EXPECT_TRUE(has("grpc-message: so it is")) << head;
      EXPECT_TRUE(has(str("content-type: ", client.answer_type, client.is_http2 ? "\n" : "\r\n")))
          << head;
    }
  }
  auto row = registry.block<stats::GrpcStats>(0, "app", ".a.B.C");
  EXPECT_EQ(row->code_0.value(), std::size(kClients));
  EXPECT_EQ(row->code_5.value(), std::size(kClients));
  EXPECT_EQ(row->request_message_count.value(), 2 * std::size(kClients));
  EXPECT_EQ(row->response_message_count.value(), 0u);
}

// ---- none of gRPC, to a browser ----

constexpr std::string_view kCall =
    "POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web\r\n"
    "Content-Length: 0\r\n\r\n";

TEST_F(Grpc, OfAnEndlessPageABrowserGetsTheBeginningAndNobodyReadsTheRest) {
  begin(kWeb + kStats);
  Peer client = request(kCall);
  Frames server = h2_server();
  EXPECT_TRUE(hears(server, "HEADERS 1 end; "));
  server.send(headers(1, answer_block("500", "text/html"), false));
  server.send(data(1, std::string(16 * 1024 - 1, 'x')));
  settle();
  EXPECT_EQ(client.received(), "");
  EXPECT_TRUE(log.empty());
  server.send(data(1, "x"));
  const std::string reply = client.message();
  EXPECT_EQ(status_of(reply), 500);
  EXPECT_NE(reply.find("content-type: application/grpc-web+proto\r\n"), reply.npos);
  EXPECT_NE(reply.find("content-length: 0\r\n"), reply.npos);
  EXPECT_NE(reply.find("grpc-status: 2\r\n"), reply.npos);
  EXPECT_NE(reply.find(str("grpc-message: ", std::string(16 * 1024, 'x'), "\r\n")), reply.npos);
  EXPECT_TRUE(hears(server, "RST_STREAM 1 error 8; "));
  EXPECT_EQ(logged(), "500 - via_upstream");
  EXPECT_EQ(host().rq_error, 1u);
  EXPECT_EQ(app->upstream_rq_active.value(), 0);
  // The client's connection is as good as before.
  log.clear();
  client.send(kCall);
  EXPECT_TRUE(hears(server, "HEADERS 3 end; "));
  server.send(headers(3, answer_block() + status_block("0")));
  EXPECT_EQ(status_of(client.message()), 200);
}

TEST_F(Grpc, AnEndlessPageOfAServerOfHttp1IsCutToo) {
  begin(kWeb);
  set_cluster({backend.address});
  Peer client = request(kCall);
  Peer server = backend.accept();
  EXPECT_TRUE(server.waits_for("\r\n\r\n"));
  server.send(
      str("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n",
          chunk(std::string(20'000, 'x'))));
  const std::string reply = client.message();
  EXPECT_EQ(status_of(reply), 200);
  EXPECT_NE(reply.find(str("grpc-message: ", std::string(16 * 1024, 'x'), "\r\n")), reply.npos);
  EXPECT_TRUE(server.waits_for_the_end());
  EXPECT_EQ(logged(), "200 - via_upstream");
}

// One that comes slowly has the time that any answer has.
TEST_F(Grpc, APageThatTricklesEndsWithTheTimeOfItsRoute) {
  begin(kWeb, {.routes = "{ match: { prefix: / }, route: { cluster: app, timeout: 5s } }"});
  Peer client = request(kCall);
  Frames server = h2_server();
  EXPECT_TRUE(hears(server, "HEADERS 1 end; "));
  server.send(headers(1, answer_block("200", "text/html"), false));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.received(), "");
    server.send(data(1, "x"));
    pass(seconds(2));
  }
  const std::string reply = client.message();
  EXPECT_EQ(status_of(reply), 200);
  EXPECT_NE(reply.find("content-type: application/grpc-web+proto\r\n"), reply.npos) << reply;
  EXPECT_NE(reply.find("grpc-status: "), reply.npos) << reply;
  EXPECT_NE(reply.find("grpc-message: upstream request timeout\r\n"), reply.npos) << reply;
  EXPECT_TRUE(hears(server, "RST_STREAM 1 error 8; "));
}

// ---- what a bridge may hold ----

TEST_F(Grpc, TheListenerSaysHowMuchOfAnAnswerABridgeHolds) {
  struct Case {
    std::string_view limit;
    size_t size;
    bool fits;
  };
  constexpr Case kCases[] = {{"32768", 32768, true},
                             {"32768", 32769, false},
                             {"1048576", 1 << 20, true},
                             {"1048576", (1 << 20) + 1, false},
                             {"2000000", 1'500'000, true}};
  for (const auto& [limit, size, fits] : kCases) {
    SCOPED_TRACE(str(limit, " ", size));
    log.clear();
    if (listener) {
      listener->close_connections();
      loop.delete_later(std::move(listener));
    }
    begin(kBridge, {.listener = str("per_connection_buffer_limit_bytes: ", limit)});
    Peer client = request(
        "POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: "
        "0\r\n\r\n");
    Frames server = h2_server();
    server.send(headers(1, answer_block(), false));
    for (size_t left = size; left != 0;) {
      const size_t n = std::min<size_t>(left, 16 * 1024);
      server.send(data(1, std::string(n, 'x')));
      settle();
      left -= n;
    }
    server.send(headers(1, status_block("0")));
    const std::string reply = client.message();
    EXPECT_EQ(status_of(reply), fits ? 200 : 503);
    EXPECT_EQ(logged(), fits ? "200 - via_upstream" : "503 - response_payload_too_large");
    set_cluster({}, kH2Cluster);
    settle();
  }
}

TEST_F(Grpc, TheListenerSaysHowMuchOfARequestABridgeHolds) {
  for (const bool fits : {true, false}) {
    SCOPED_TRACE(fits);
    log.clear();
    if (listener) {
      listener->close_connections();
      loop.delete_later(std::move(listener));
    }
    begin(kBridge, {.listener = "per_connection_buffer_limit_bytes: 32768"});
    Peer client =
        request(str("POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: "
                    "application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n",
                    chunk(std::string(fits ? 32768 : 32769, 'x')), "0\r\n\r\n"));
    if (fits) {
      Frames server = h2_server();
      std::string words;
      EXPECT_TRUE(run_until(loop, [&] { return (words += server.told()).ends_with(" end; "); }));
      server.send(headers(1, answer_block() + status_block("0")));
    }
    EXPECT_EQ(status_of(client.message()), fits ? 200 : 503);
    EXPECT_EQ(logged(), fits ? "200 - via_upstream" : "503 - request_payload_too_large");
    EXPECT_FALSE(backend.is_called());
    set_cluster({}, kH2Cluster);
    settle();
  }
}

}  // namespace
}  // namespace pillion::testing::grpc
