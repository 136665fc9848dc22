// Messages that end early, late or wrongly, with filters in their way that watch or hold them.

#include "tests/component/http2_yaml.h"
#include "tests/component/scripted_types.h"
#include "tests/support/h2_frames.h"

namespace pillion::testing {
namespace {

class FilteredMessages : public WorkerTest, protected ScriptedTypes {
 protected:
  void begin(std::string_view cluster = {}, std::string_view routes = {}) {
    if (listener) {
      listener->close_connections();
      loop.delete_later(std::move(listener));
    }
    log.clear();
    script.clear();
    calls.clear();
    stopped.clear();
    http_filters = scripted_types();
    set_cluster({backend.address}, cluster);
    ListenerYaml yaml{.hcm = "codec_type: AUTO", .filters = std::string(kScriptedFilters)};
    if (!routes.empty()) yaml.routes = routes;
    listen(yaml);
  }
  std::unique_ptr<H2TestClient> h2_client() { return http2_client(loop, batch, address); }
  std::unique_ptr<H2Peer> h2_server() {
    auto server = std::make_unique<H2Peer>(loop, batch, backend.accept_transport());
    EXPECT_TRUE(run_until(loop, [&] { return !server->streams.empty(); }));
    return server;
  }
  // A server that answers 413 when it has seen the begin of a body, and takes no more of it.
  std::unique_ptr<H2Peer> refuse_early() {
    auto server = h2_server();
    EXPECT_TRUE(run_until(loop, [&] { return server->stream(0).body == "begin"; }));
    server->head(0, {{":status", "413"}, {"content-length", "2"}});
    server->data(0, "no", true);
    server->reset(0, http::H2Error::kNone);
    return server;
  }
  bool waits_for_stop(const std::string& hook) {
    return run_until(loop, [&] { return is_stopped(hook); });
  }
  [[nodiscard]] ptrdiff_t count(std::string_view call) const {
    return std::ranges::count_if(calls,
                                 [call](const std::string& c) { return c.starts_with(call); });
  }
  Backend backend{loop};
};

// ---- answers that come before the end of their request ----

// As RFC 9113, 8.1 has it: all of the answer, then RST_STREAM with NO_ERROR.
TEST_F(FilteredMessages, AnAnswerBeforeTheEndOfItsRequestIsWholeForClientsOfHttp1) {
  for (const std::string hook : {"", "b.response_head", "a.response_body"}) {
    SCOPED_TRACE(hook);
    begin(http2_cluster());
    if (!hook.empty()) stops(hook);
    Peer client = request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nbegin");
    auto server = refuse_early();
    if (!hook.empty()) {
      EXPECT_TRUE(waits_for_stop(hook));
      client.send("more that nobody wants");
      settle();
      EXPECT_TRUE(log.empty());
      resume(hook);
    }
    const std::string reply = client.message();
    EXPECT_EQ(status_of(reply), 413);
    EXPECT_TRUE(reply.ends_with("\r\n\r\nno")) << reply;
    EXPECT_EQ(logged(), "413 - via_upstream");
    server.reset();
  }
}

TEST_F(FilteredMessages, AnAnswerBeforeTheEndOfItsRequestIsWholeForClientsOfHttp2) {
  for (const std::string hook : {"", "b.response_head", "a.response_body"}) {
    SCOPED_TRACE(hook);
    begin(http2_cluster());
    if (!hook.empty()) stops(hook);
    auto client = h2_client();
    auto& e = client->request("POST", "/a", false);
    client->send_body(e, "begin", false);
    auto server = refuse_early();
    if (!hook.empty()) {
      EXPECT_TRUE(waits_for_stop(hook));
      // Far more than may wait: the client's window holds it back.
      client->send_body(e, std::string(4 << 20, 'x'), false);
      for (int i = 0; i < 50; ++i) settle();
      EXPECT_GE(e.held(), 2u << 20);
      EXPECT_TRUE(log.empty());
      resume(hook);
    }
    EXPECT_TRUE(run_until(loop, [&] { return e.ended; }));
    EXPECT_NE(e.head.find(":status: 413\n"), std::string::npos);
    EXPECT_EQ(e.body, "no");
    EXPECT_EQ(logged(), "413 - via_upstream");
    pass(seconds(2));  // the rest of the request is waited for so long
    EXPECT_TRUE(run_until(loop, [&] { return e.closed; }));
    EXPECT_EQ(e.error, http::H2Error::kNone);
    EXPECT_EQ(http->downstream_cx_active.value(), 1) << "the connection goes on";
    server.reset();
    client.reset();
    settle();
  }
}

// ---- interim answers and expectations ----

TEST_F(FilteredMessages, InterimAnswersPassAndFiltersSeeTheLastOne) {
  begin(http2_cluster());
  auto client = h2_client();
  auto& e = client->request("GET", "/a");
  auto server = h2_server();
  server->informational(0, {{":status", "103"}, {"link", "</a>"}});
  EXPECT_TRUE(run_until(loop, [&] { return !e.head.empty(); }));
  EXPECT_EQ(e.head, ":status: 103\nlink: </a>\n");
  EXPECT_EQ(count("b.response_head"), 0);
  stops("b.response_head");
  server->respond(0, "ok");
  EXPECT_TRUE(waits_for_stop("b.response_head"));
  resume("b.response_head");
  EXPECT_TRUE(run_until(loop, [&] { return e.ended; }));
  EXPECT_EQ(e.body, "ok");
  EXPECT_EQ(count("b.response_head"), 1);
}

// Nobody is asked for a body that a filter may still refuse.
TEST_F(FilteredMessages, AnExpectationWaitsForTheFilters) {
  for (const bool is_refused : {false, true}) {
    SCOPED_TRACE(is_refused);
    begin(http2_cluster());
    stops("b.request_head");
    auto client = h2_client();
    auto& e =
        client->request("POST", "/a", false, {{"expect", "100-continue"}, {"content-length", "5"}});
    EXPECT_TRUE(waits_for_stop("b.request_head"));
    settle();
    EXPECT_EQ(e.head, "");
    if (is_refused) {
      stopped.at("b.request_head")->local_reply({.status = 403, .details = "scripted"});
      EXPECT_TRUE(run_until(loop, [&] { return e.ended; }));
      EXPECT_TRUE(e.head.starts_with(":status: 403\n")) << e.head;
      EXPECT_EQ(logged(), "403 - scripted");
      EXPECT_FALSE(backend.is_called());
      client.reset();
      settle();
      continue;
    }
    resume("b.request_head");
    auto server = h2_server();
    EXPECT_EQ(server->stream(0).fields.find("\nexpect:"), std::string::npos);
    EXPECT_TRUE(run_until(loop, [&] { return !e.head.empty(); }));
    EXPECT_EQ(e.head, ":status: 100\n");
    server->informational(0, {{":status", "100"}});  // once is enough
    client->send_body(e, "hello", true);
    EXPECT_TRUE(run_until(loop, [&] { return server->stream(0).ended; }));
    EXPECT_EQ(server->stream(0).body, "hello");
    server->respond(0, "ok");
    EXPECT_TRUE(run_until(loop, [&] { return e.ended; }));
    EXPECT_EQ(e.head.find(":status: 100", 1), std::string::npos) << e.head;
    EXPECT_EQ(e.body, "ok");
    client.reset();
    server.reset();
    settle();
  }
}

// ---- lengths that are not true ----

// What a filter has kept back of a response is answered for by the proxy.
TEST_F(FilteredMessages, AResponseOfAnotherLengthIsRefusedWhileItsHeadIsHeld) {
  for (const std::string_view body : {"abc", "abcdefgh"}) {
    begin(http2_cluster());
    stops("b.response_head");
    Peer client = request("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    auto server = h2_server();
    server->head(0, {{":status", "200"}, {"content-length", "5"}});
    EXPECT_TRUE(waits_for_stop("b.response_head"));
    server->data(0, body, true);
    const std::string reply = client.message();
    EXPECT_EQ(status_of(reply), 502) << reply;
    EXPECT_EQ(logged(), "502 UPE upstream_reset_before_response_started{protocol_error}");
    server.reset();
  }
}

TEST_F(FilteredMessages, AResponseOfAnotherLengthBreaksOffBehindItsHead) {
  begin(http2_cluster());
  stops("a.response_body");
  Peer client = request("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  auto server = h2_server();
  server->head(0, {{":status", "200"}, {"content-length", "5"}});
  server->data(0, "abc", false);
  EXPECT_TRUE(waits_for_stop("a.response_body"));
  server->data(0, "", true);
  EXPECT_TRUE(client.waits_for_the_end());
  EXPECT_EQ(client.received().find("abc"), std::string::npos);
  EXPECT_EQ(logged(), "200 UPE upstream_reset_after_response_started{protocol_error}");
}

// A request whose filters hold it is not begun upstream, or not ended there.
TEST_F(FilteredMessages, ARequestOfAnotherLengthNeverLooksWhole) {
  for (const std::string hook : {"b.request_head", "a.request_body", ""}) {
    for (const std::string_view rest : {"", "lo and more"}) {
      SCOPED_TRACE(str(hook, " ", rest));
      begin();
      if (!hook.empty()) stops(hook);
      auto client = h2_client();
      auto& e = client->request("POST", "/a", false, {{"content-length", "5"}});
      client->send_body(e, "hel", false);
      EXPECT_TRUE(hook.empty() || waits_for_stop(hook));
      std::optional<Peer> server;
      if (hook != "b.request_head") {
        server.emplace(backend.accept());
        EXPECT_TRUE(server->waits_for(hook.empty() ? "hel" : "\r\n\r\n"));
      }
      client->send_body(e, rest, true);
      EXPECT_TRUE(run_until(loop, [&] { return e.closed; }));
      EXPECT_EQ(e.error, http::H2Error::kProtocol);
      EXPECT_EQ(calls.back(), "b.complete");
      if (server) {
        EXPECT_TRUE(server->waits_for_the_end());
        EXPECT_EQ(server->received().find("lo"), std::string::npos);
      } else {
        settle();
        EXPECT_FALSE(backend.is_called());
      }
      EXPECT_TRUE(log.back().starts_with("0 ")) << log.back();
      client.reset();
      settle();
    }
  }
}

// ---- answers that have no body ----

struct Bodiless {
  std::string_view method, status;
};
constexpr Bodiless kBodiless[] = {{"HEAD", "200"}, {"GET", "204"}, {"GET", "304"}};

// RFC 9110, 6.4.1: the client has its answer; what the server sends behind it is the server's
// fault.
TEST_F(FilteredMessages, ABodyBehindAnAnswerThatHasNoneIsNeverTheClients) {
  for (const auto& [method, status] : kBodiless) {
    for (const bool is_http2 : {false, true}) {
      SCOPED_TRACE(str(method, " ", status, is_http2 ? " h2" : " h1"));
      begin(http2_cluster());
      auto h2 = registry.block<stats::ClusterHttp2Stats>(0, "app");
      const auto errors = h2->rx_messaging_error.value();
      std::unique_ptr<H2TestClient> client2;
      std::optional<Peer> client1;
      H2TestClient::Exchange* e = nullptr;
      if (is_http2) {
        client2 = h2_client();
        e = &client2->request(method, "/a");
      } else {
        client1.emplace(request(str(method, " / HTTP/1.1\r\nHost: h\r\n\r\n")));
      }
      auto server = h2_server();
      server->head(0, {{":status", std::string(status)}});
      server->data(0, "smuggled", false);
      if (is_http2) {
        EXPECT_TRUE(run_until(loop, [&] { return e->ended; }));
        settle();
        EXPECT_EQ(e->body, "");
        EXPECT_EQ(e->error, http::H2Error::kNone);
      } else {
        const std::string reply = client1->message(true);
        EXPECT_TRUE(reply.ends_with("\r\n\r\n")) << reply;
        settle();
        EXPECT_EQ(client1->received(), "");
        EXPECT_FALSE(client1->is_over());
      }
      EXPECT_EQ(logged(), str(status, " - via_upstream"));
      EXPECT_TRUE(run_until(loop, [&] { return server->stream(0).closed; }));
      EXPECT_EQ(server->stream(0).error, http::H2Error::kProtocol);
      EXPECT_EQ(h2->rx_messaging_error.value(), errors + 1);
      EXPECT_EQ(count("b.response_body"), 0);
      client2.reset();
      server.reset();
      settle();
    }
  }
}

}  // namespace
}  // namespace pillion::testing
