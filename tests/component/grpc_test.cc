// Calls of gRPC in a worker, over real sockets: messages pass one by one, with the filters of gRPC
// in the way too; what hosts count; replies of the proxy; clients of grpc-web and of HTTP/1.1.

#include "tests/component/grpc_fixture.h"

namespace pillion::testing::grpc {
namespace {

// Each message must be at the other end before the next one is sent.
TEST_F(Grpc, MessagesPassOneByOneWithAllFiltersInTheWay) {
  for (const bool has_filters : {false, true}) {
    SCOPED_TRACE(has_filters);
    if (listener) {
      listener->close_connections();
      loop.delete_later(std::move(listener));
    }
    begin(has_filters ? kWeb + kBridge + kStats : std::string());
    Frames client = h2_client(headers(1, call_block(), false));
    Frames server = h2_server();
    EXPECT_TRUE(hears(server, "HEADERS 1; "));
    client.send(data(1, message("first")));
    EXPECT_TRUE(hears(server, "DATA 1 10; ")) << "before there is an answer";
    server.send(headers(1, answer_block(), false));
    EXPECT_TRUE(hears(client, "HEADERS 1; ")) << "before there is a message";
    for (int i = 0; i < 20; ++i) {
      client.send(data(1, message("question")));
      EXPECT_TRUE(hears(server, "DATA 1 13; "));
      server.send(data(1, message("answer")));
      EXPECT_TRUE(hears(client, "DATA 1 11; "));
    }
    // A message may come in parts, none of which waits either.
    const std::string parts = message("parts");
    client.send(data(1, parts.substr(0, 3)));
    EXPECT_TRUE(hears(server, "DATA 1 3; "));
    client.send(data(1, parts.substr(3), true));
    EXPECT_TRUE(hears(server, "DATA 1 7 end; "));
    server.send(headers(1, status_block("0")));
    EXPECT_TRUE(hears(client, "HEADERS 1 end; "));
  }
  auto row = registry.block<stats::GrpcStats>(0, "app", ".a.B.C");
  EXPECT_EQ(row->request_message_count.value(), 22u);
  EXPECT_EQ(row->response_message_count.value(), 20u);
  EXPECT_EQ(row->code_0.value(), 1u);
}

TEST_F(Grpc, HostsCountCallsByTheirStatus) {
  struct Case {
    std::string_view head, body, trailers;  // frames of the answer; empty: none
    bool is_success;
  };
  const std::string head = headers(1, answer_block(), false);
  const std::string body = data(1, message("x"));
  const std::string last = data(1, message("x"), true);
  const std::string ok = headers(1, status_block("0"));
  const std::string not_found = headers(1, status_block("5"));  // 404: not the host's fault
  const std::string unavailable = headers(1, status_block("14"));
  const std::string odd = headers(1, status_block("x"));
  const std::string none = headers(1, literal("x", "y"));
  const std::string only_ok = headers(1, answer_block() + status_block("0"));
  const std::string only_internal = headers(1, answer_block() + status_block("13"));
  const std::string only_head = headers(1, answer_block());
  const std::string cut = frame(3, 0, 1, be32(8));
  const Case cases[] = {
      {head, body, ok, true},   {head, body, not_found, true},  {head, body, unavailable, false},
      {head, body, odd, false}, {head, body, none, false},      {head, last, "", false},
      {only_ok, "", "", true},  {only_internal, "", "", false}, {only_head, "", "", false},
      {head, body, cut, false},
  };
  begin({});
  for (const Case& c : cases) {
    SCOPED_TRACE(&c - cases);
    const auto before = clusters.find("app")->hosts()[0]->info().stats->sum();
    Frames client = h2_client(headers(1, call_block()));
    Frames server = h2_server();
    EXPECT_TRUE(hears(server, "HEADERS 1 end; "));
    server.send(str(c.head, c.body));
    settle();
    if (!c.trailers.empty()) {
      EXPECT_EQ(host().rq_success + host().rq_error, before.rq_success + before.rq_error)
          << "the status is to come";
      server.send(c.trailers);
      settle();
    }
    EXPECT_EQ(host().rq_success - before.rq_success, c.is_success ? 1u : 0u);
    EXPECT_EQ(host().rq_error - before.rq_error, c.is_success ? 0u : 1u);
    // The next case has a connection of its own.
    set_cluster({}, kH2Cluster);
    settle();
    set_cluster({backend.address}, kH2Cluster);
  }
  EXPECT_EQ(app->upstream_rq_2xx.value(), std::size(cases)) << "the cluster counts as Envoy's";
}

TEST_F(Grpc, RepliesOfTheProxyAreCallsThatFailed) {
  log_format = "%RESPONSE_CODE% %RESPONSE_FLAGS% %GRPC_STATUS% %GRPC_STATUS_NUMBER%";
  begin({}, {.routes = "{ match: { prefix: /only }, direct_response: { status: 429, body: { "
                       "inline_string: '50% \xc3\xa4' } } }"});
  for (const std::string_view path : {"/none", "/only"}) {
    const bool is_direct = path == "/only";
    log.clear();
    Peer client = request(str("POST ", path,
                              " HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc+proto\r\n"
                              "Content-Length: 0\r\n\r\n"));
    const std::string reply = client.message();
    EXPECT_EQ(status_of(reply), 200);
    const auto has = [&reply](std::string_view field) { return reply.find(field) != reply.npos; };
    EXPECT_TRUE(has("\r\ncontent-type: application/grpc\r\n")) << reply;
    EXPECT_TRUE(has(is_direct ? "\r\ngrpc-status: 14\r\n" : "\r\ngrpc-status: 12\r\n")) << reply;
    EXPECT_EQ(has("\r\ngrpc-message: 50%25 %C3%A4\r\n"), is_direct) << reply;
    EXPECT_TRUE(has("\r\ncontent-length: 0\r\n")) << "HTTP/1.1 needs one";
    EXPECT_EQ(logged(), is_direct ? "200 - Unavailable 14" : "200 NR Unimplemented 12");
  }
}

TEST_F(Grpc, AHeadRequestOfGrpcIsAnsweredWithoutALength) {
  begin({}, {.routes = "{ match: { prefix: /only }, route: { cluster: app } }"});
  Peer client = request("HEAD /none HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n\r\n");
  const std::string reply = client.message(true);
  EXPECT_EQ(status_of(reply), 200);
  EXPECT_NE(reply.find("grpc-status: 12\r\n"), reply.npos) << reply;
  EXPECT_EQ(reply.find("content-length"), reply.npos) << reply;
}

TEST_F(Grpc, TheDeadlineThatIsLeftGoesUpstream) {
  struct Case {
    std::string_view route, sent, arrives;
  };
  const Case cases[] = {
      {"timeout: 5s", "9S", "9S"},  // the client's business
      {"max_grpc_timeout: 5s", "900m", "900m"},
      {"max_grpc_timeout: 5s", "9S", "5000m"},
      {"max_grpc_timeout: 5s", "", "5000m"},
      {"max_grpc_timeout: 5s", "nonsense", "5000m"},
      {"max_grpc_timeout: 5s, grpc_timeout_offset: 0.1s", "1S", "900m"},
      {"max_grpc_timeout: 5s, retry_policy: { retry_on: 5xx, per_try_timeout: 2s }", "4S", "2000m"},
      {"max_grpc_timeout: 0s", "99999999H", "31536000S"},
      {"max_stream_duration: { grpc_timeout_header_max: 5s }", "9S", "5000m"},
      {"max_stream_duration: { grpc_timeout_header_max: 5s }", "", ""},
  };
  for (const auto& [route, sent, arrives] : cases) {
    SCOPED_TRACE(str(route, " ", sent));
    if (listener) {
      listener->close_connections();
      loop.delete_later(std::move(listener));
    }
    set_cluster({backend.address});
    listen({.routes = str("{ match: { prefix: / }, route: { cluster: app, ", route, " } }")});
    Peer client =
        request(str("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n",
                    sent.empty() ? "" : "grpc-timeout: ", sent, sent.empty() ? "" : "\r\n",
                    "Content-Length: 0\r\nConnection: close\r\n\r\n"));
    Peer server = backend.accept();
    const std::string got = server.answer(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
        "Connection: close\r\n\r\n");
    if (arrives.empty()) {
      EXPECT_EQ(got.find("grpc-timeout"), got.npos) << got;
    } else {
      EXPECT_NE(got.find(str("grpc-timeout: ", arrives, "\r\n")), got.npos) << got;
    }
    EXPECT_EQ(status_of(client.message()), 200);
  }
}

// ---- grpc-web ----

TEST_F(Grpc, ABrowserSpeaksBinaryOrText) {
  for (const bool is_text : {false, true}) {
    SCOPED_TRACE(is_text);
    if (listener) {
      listener->close_connections();
      loop.delete_later(std::move(listener));
    }
    log.clear();
    log_format = "%RESPONSE_CODE% %GRPC_STATUS% %BYTES_RECEIVED% %BYTES_SENT%";
    begin(kWeb + kStats);
    const std::string_view type = is_text ? "application/grpc-web-text" : "application/grpc-web";
    const auto text = [is_text](std::string_view b) {
      return is_text ? base64(b) : std::string(b);
    };
    Peer client = request(str("POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: ", type,
                              "\r\nAccept: ", type, "\r\nTransfer-Encoding: chunked\r\n\r\n"));
    Frames server = h2_server();
    EXPECT_TRUE(hears(server, "HEADERS 1; "));
    client.send(chunk(text(message("one"))));
    EXPECT_TRUE(hears(server, "DATA 1 8; "));
    client.send(str(chunk(text(message(""))), "0\r\n\r\n"));
    EXPECT_TRUE(hears(server, "DATA 1 5 end; "));
    server.send(str(headers(1, answer_block(), false), data(1, message("a"))));
    EXPECT_TRUE(client.waits_for(chunk(text(message("a"))))) << "it does not wait for trailers";
    server.send(str(data(1, message("b")), headers(1, status_block("5"))));
    const std::string reply = client.message();
    EXPECT_EQ(status_of(reply), 200);
    EXPECT_NE(reply.find(str("content-type: ", type, "+proto\r\n")), reply.npos) << reply;
    EXPECT_TRUE(reply.ends_with(
        str(chunk(text(message("b"))),
            chunk(text(message("grpc-status:5\r\ngrpc-message:so it is\r\n", 0x80))), "0\r\n\r\n")))
        << reply;
    EXPECT_EQ(logged(), is_text ? "200 NotFound 20 76" : "200 NotFound 13 55");
  }
}

TEST_F(Grpc, ABrowserIsToldOfErrorsItsWay) {
  begin(kWeb);
  const auto call = [this](std::string_view body) {
    return request(
        str("POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web-text"
            "\r\nContent-Length: ",
            body.size(), "\r\n\r\n", body));
  };
  const auto expect = [](Peer& client, int status, std::string_view field) {
    const std::string reply = client.message();
    EXPECT_EQ(status_of(reply), status);
    EXPECT_NE(reply.find("content-type: application/grpc-web+proto\r\n"), reply.npos) << reply;
    EXPECT_NE(reply.find(field), reply.npos) << reply;
    EXPECT_TRUE(reply.ends_with("\r\n\r\n")) << reply;
  };
  Peer odd = call("A!AA");
  expect(odd, 200, "grpc-status: 13\r\n");
  // The application is none of gRPC.
  Peer client = call("AAAA");
  Frames server = h2_server();
  server.send(str(headers(1, answer_block("503", "text/plain"), false), data(1, "busy", true)));
  expect(client, 503, "grpc-status: 14\r\n");
  backend.stop();
  set_cluster({}, kH2Cluster);
  Peer nobody = call("AAAA");
  expect(nobody, 200, "grpc-message: no healthy upstream\r\n");
}

// ---- clients of HTTP/1.1 ----

TEST_F(Grpc, AClientOfHttp1FindsTheStatusInTheHead) {
  begin(kBridge);
  Peer client =
      request(str("POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: "
                  "application/grpc\r\nContent-Length: 6\r\n\r\n",
                  message("q")));
  Frames server = h2_server();
  EXPECT_TRUE(hears(server, "HEADERS 1; DATA 1 6 end; "));
  server.send(str(headers(1, answer_block(), false), data(1, message("answer"))));
  settle();
  EXPECT_EQ(client.received(), "") << "it waits for the trailers";
  server.send(headers(1, status_block("7")));
  const std::string reply = client.message();
  EXPECT_EQ(status_of(reply), 503);
  EXPECT_NE(reply.find("content-length: 11\r\n"), reply.npos) << reply;
  EXPECT_NE(reply.find("grpc-status: 7\r\n"), reply.npos) << reply;
  EXPECT_NE(reply.find("grpc-message: so it is\r\n"), reply.npos) << reply;
  EXPECT_TRUE(reply.ends_with(message("answer"))) << reply;
}

TEST_F(Grpc, AClientOfHttp1NeedNotKnowFrames) {
  begin(kBridge);
  for (const std::string_view body : {"question", ""}) {
    for (const bool is_chunked : {false, true}) {
      if (is_chunked && body.empty()) continue;
      SCOPED_TRACE(str(body, " ", is_chunked));
      set_cluster({backend.address}, kH2Cluster);
      const std::string framed =
          is_chunked ? str("Transfer-Encoding: chunked\r\n\r\n", chunk(body), "0\r\n\r\n")
                     : str("Content-Length: ", body.size(), "\r\n\r\n", body);
      Peer client = request(str(
          "POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\n", framed));
      Frames server = h2_server();
      EXPECT_TRUE(hears(server, str("HEADERS 1; DATA 1 ", 5 + body.size(), " end; ")));
      server.send(str(headers(1, answer_block(), false), data(1, message("answer")),
                      headers(1, status_block("0"))));
      const std::string reply = client.message();
      EXPECT_EQ(status_of(reply), 200);
      EXPECT_NE(reply.find("content-type: application/x-protobuf\r\n"), reply.npos) << reply;
      EXPECT_TRUE(reply.ends_with("\r\n\r\nanswer")) << reply;
      set_cluster({}, kH2Cluster);
      settle();
    }
  }
}

TEST_F(Grpc, AnAnswerThatIsTooLongForABridgeIsRefused) {
  begin(kBridge);
  Peer client = request(
      "POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: "
      "0\r\n\r\n");
  Frames server = h2_server();
  server.send(headers(1, answer_block(), false));
  const std::string piece(16 * 1024, 'x');
  for (int i = 0; i < 65; ++i) {
    server.send(data(1, piece));
    settle();
  }
  const std::string reply = client.message();
  EXPECT_EQ(status_of(reply), 503);
  EXPECT_NE(reply.find("grpc-status: 2\r\n"), reply.npos) << reply;
  EXPECT_EQ(http->rs_too_large.value(), 1u);
  EXPECT_EQ(logged(), "503 - response_payload_too_large");
}

TEST_F(Grpc, AServerThatBreaksOffBehindABridgeIsAnError) {
  begin(kBridge);
  for (const std::string_view type : {"application/grpc", "application/x-protobuf"}) {
    set_cluster({backend.address}, kH2Cluster);
    Peer client = request(str("POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: ", type,
                              "\r\nContent-Length: 0\r\n\r\n"));
    Frames server = h2_server();
    server.send(
        str(headers(1, answer_block(), false), data(1, message("x")), frame(3, 0, 1, be32(2))));
    const std::string reply = client.message();
    EXPECT_EQ(status_of(reply), 503);
    EXPECT_NE(reply.find("grpc-status: 14\r\n"), reply.npos) << reply;
    EXPECT_NE(reply.find(str("content-type: ", type, "\r\n")), reply.npos) << reply;
    EXPECT_TRUE(reply.ends_with("\r\n\r\n")) << reply;
    set_cluster({}, kH2Cluster);
    settle();
  }
}

// gRPC has no trailers of requests, and the prefix of a message goes with its first byte.
TEST_F(Grpc, AnEmptyMessageWithTrailersIsRefused) {
  begin(kBridge);
  Peer client = request(
      "POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\n"
      "Transfer-Encoding: chunked\r\n\r\n0\r\nx-a: 1\r\n\r\n");
  const std::string reply = client.message();
  EXPECT_EQ(status_of(reply), 503);
  EXPECT_NE(reply.find("grpc-status: 13\r\n"), reply.npos) << reply;
}

}  // namespace
}  // namespace pillion::testing::grpc
