// The HTTP filters in a worker, over real sockets: what clients and applications see of them.

#include "tests/component/scripted_types.h"
#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

std::string filter(std::string_view name, std::string_view type, std::string_view fields,
                   std::string_view more = {}) {
  return str("{ name: ", name, ", ", more, "typed_config: { ", kExtension, "filters.http.", type,
             fields.empty() ? "" : ", ", fields, " } }, ");
}
std::string fault(std::string_view fields, std::string_view more = {}) {
  return filter("fault", "fault.v3.HTTPFault", fields, more);
}
std::string set_header(std::string_view list, std::string_view name, std::string_view value) {
  return str(list, ": [ { append: { header: { key: ", name, ", value: '", value, "' } } } ]");
}

class Filters : public WorkerTest {
 protected:
  void begin(std::string filters, ListenerYaml yaml = {}) {
    set_cluster({backend.address});
    yaml.filters = std::move(filters);
    listen(yaml);
  }
  Backend backend{loop};
};

TEST_F(Filters, HeaderMutationChangesBothHeads) {
  begin(filter("m", "header_mutation.v3.HeaderMutation",
               str("mutations: { ", set_header("request_mutations", "x-in", "1"), ", ",
                   set_header("response_mutations", "x-out", "2"), " }")));
  Peer client = request();
  Peer server = backend.accept();
  EXPECT_NE(server.answer().find("x-in: 1\r\n"), std::string::npos);
  const std::string response = client.message();
  EXPECT_EQ(status_of(response), 200);
  EXPECT_NE(response.find("x-out: 2\r\n"), std::string::npos) << response;
}

// 404 is a reply of the proxy; a filter in front sees it, and a filter may come before it.
TEST_F(Filters, RepliesOfTheProxyRunTheResponseHooks) {
  begin(filter("m", "header_mutation.v3.HeaderMutation",
               str("mutations: { ", set_header("response_mutations", "x-out", "2"), " }")),
        {.routes = "{ match: { prefix: /only }, route: { cluster: app } }"});
  const std::string response = request().message();
  EXPECT_EQ(status_of(response), 404);
  EXPECT_NE(response.find("x-out: 2\r\n"), std::string::npos) << response;
  EXPECT_EQ(logged(), "404 NR route_not_found");
}

TEST_F(Filters, AFaultDelaysARequestWithItsBody) {
  begin(fault("delay: { fixed_delay: 3s, percentage: { numerator: 100 } }"));
  Peer client = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  settle();
  EXPECT_FALSE(backend.is_called());
  pass(milliseconds(3020));
  Peer server = backend.accept();
  const std::string got = server.answer();
  EXPECT_TRUE(got.ends_with("\r\n\r\nhello")) << got;
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(logged(), "200 DI via_upstream");
}

// request_timeout counts until the request is complete, not what filters do with it.
TEST_F(Filters, ADelayIsNotTheClientsFault) {
  begin(fault("delay: { fixed_delay: 3s, percentage: { numerator: 100 } }"),
        {.hcm = "request_timeout: 1s"});
  Peer client = request();
  pass(milliseconds(2000));
  pass(milliseconds(1020));
  backend.accept().answer();
  EXPECT_EQ(status_of(client.message()), 200);
}

// Nor does the upstream have less time.
TEST_F(Filters, ADelayIsNotTheUpstreamsFault) {
  begin(fault("delay: { fixed_delay: 20s, percentage: { numerator: 100 } }"));
  Peer client = request();
  pass(milliseconds(20020));
  const std::string got = backend.accept().answer();
  EXPECT_NE(got.find("x-envoy-expected-rq-timeout-ms: 15000\r\n"), std::string::npos) << got;
  EXPECT_EQ(status_of(client.message()), 200);
}

TEST_F(Filters, AClientThatLeavesDuringADelayIsLogged) {
  begin(fault("delay: { fixed_delay: 3s, percentage: { numerator: 100 } }"));
  Peer client = request();
  settle();
  client.abort();
  EXPECT_EQ(logged(), "0 DI,DR downstream_remote_reset");
  pass(seconds(4));
  EXPECT_FALSE(backend.is_called());
}

TEST_F(Filters, AnAbortKeepsTheConnectionOfACompleteRequest) {
  begin(
      fault("abort: { http_status: 418, percentage: { numerator: 100 } }, headers: [ { name: "
            "x-coffee, present_match: true } ]"));
  Peer client = request("GET / HTTP/1.1\r\nHost: a\r\nX-Coffee: 1\r\n\r\n");
  const std::string response = client.message();
  EXPECT_EQ(status_of(response), 418);
  EXPECT_TRUE(response.ends_with("fault filter abort")) << response;
  EXPECT_EQ(logged(), "418 FI fault_filter_abort");
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  backend.accept().answer();
  EXPECT_EQ(status_of(client.message()), 200);
}

TEST_F(Filters, ARateLimitAnswersWithItsHeaders) {
  begin(filter("l", "local_ratelimit.v3.LocalRateLimit",
               "stat_prefix: rl, token_bucket: { max_tokens: 1, fill_interval: 1s }, "
               "filter_enabled: 100%, filter_enforced: 100%, enable_x_ratelimit_headers: "
               "DRAFT_VERSION_03"));
  Peer client = request();
  Peer server = backend.accept();
  server.answer();
  const std::string first = client.message();
  EXPECT_EQ(status_of(first), 200);
  EXPECT_NE(first.find("x-ratelimit-remaining: 0\r\n"), std::string::npos) << first;
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string refused = client.message();
  EXPECT_EQ(status_of(refused), 429);
  EXPECT_TRUE(refused.ends_with("local_rate_limited")) << refused;
  EXPECT_EQ(log.back(), "429 RL local_rate_limited");
  pass(milliseconds(1000));
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
}

// As in Envoy a header that the filter adds may say what its text is.
TEST_F(Filters, AFilterMayNameTheTypeOfItsReply) {
  begin(filter("l", "local_ratelimit.v3.LocalRateLimit",
               "stat_prefix: rl, token_bucket: { max_tokens: 1, fill_interval: 1s }, "
               "filter_enabled: 100%, filter_enforced: 100%, response_headers_to_add: [ { header: "
               "{ key: content-type, value: text/html } } ]"));
  Peer client = request();
  backend.accept().answer();
  EXPECT_EQ(status_of(client.message()), 200);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string refused = client.message();
  EXPECT_EQ(status_of(refused), 429);
  EXPECT_NE(refused.find("content-type: text/html\r\n"), std::string::npos) << refused;
  EXPECT_EQ(refused.find("text/plain"), std::string::npos) << refused;
}

TEST_F(Filters, ABufferedChunkedRequestHasALength) {
  begin(filter("b", "buffer.v3.Buffer", "max_request_bytes: 200000"));
  Peer client =
      request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
  settle();
  EXPECT_FALSE(backend.is_called());
  std::string body(150'000, 'x');
  client.send(str("249f0\r\n", body, "\r\n0\r\n\r\n"));
  Peer server = backend.accept();
  const std::string got = server.answer();
  EXPECT_NE(got.find("content-length: 150003\r\n"), std::string::npos) << got.substr(0, 300);
  EXPECT_TRUE(got.ends_with(body));
  EXPECT_EQ(status_of(client.message()), 200);
}

// The client would wait for a 100 that only an attempt brings.
TEST_F(Filters, ABufferInvitesABodyThatIsHeldBack) {
  begin(filter("b", "buffer.v3.Buffer", "max_request_bytes: 100"));
  Peer client =
      request("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_TRUE(client.waits_for("HTTP/1.1 100 Continue\r\n\r\n"));
  EXPECT_FALSE(backend.is_called());
  client.send("one");
  EXPECT_TRUE(backend.accept().answer().ends_with("one"));
  EXPECT_TRUE(client.waits_for("HTTP/1.1 200 OK"));
  EXPECT_EQ(client.received().find("100 Continue", 30), std::string::npos) << "once";
}

TEST_F(Filters, ABufferRefusesWhatIsTooLong) {
  begin(filter("b", "buffer.v3.Buffer", "max_request_bytes: 4"));
  Peer client = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 413);
  EXPECT_EQ(logged(), "413 - request_payload_too_large");
  EXPECT_EQ(http->downstream_rq_too_large.value(), 1);
  EXPECT_FALSE(backend.is_called());
}

// Its limit is what a retry may need: more than is kept without the filter (as in Envoy).
TEST_F(Filters, WhatABufferHoldsCanBeSentAgain) {
  begin(filter("b", "buffer.v3.Buffer", "max_request_bytes: 4000000"),
        {.routes = "{ match: { prefix: / }, route: { cluster: app, retry_policy: { retry_on: 5xx, "
                   "num_retries: 1 } } }"});
  Peer client = connect();
  const std::string body(2'000'000, 'x');
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
  for (size_t sent = 0; sent < body.size();) {
    const ssize_t n = client.try_send(std::string_view(body).substr(sent, 64 * 1024));
    if (n > 0) sent += static_cast<size_t>(n);
    settle();
  }
  Peer server = backend.accept();
  EXPECT_TRUE(server.answer("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").ends_with(body));
  pass(milliseconds(100));
  EXPECT_TRUE(server.answer().ends_with(body)) << "all of it again";
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(app->retry_or_shadow_abandoned.value(), 0u);
}

TEST_F(Filters, AHealthCheckIsAnsweredWithoutARoute) {
  begin(filter("h", "health_check.v3.HealthCheck",
               "pass_through_mode: false, headers: [ { name: ':path', string_match: { exact: "
               "/healthz } } ]"),
        {.routes = "{ match: { prefix: /app }, route: { cluster: app } }"});
  Peer client = request("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(logged(), "200 - health_check_ok");
  worker.fails_health_checks = true;
  client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 503);
  EXPECT_EQ(log.back(), "503 LH health_check_failed");
}

TEST_F(Filters, FilterStateReachesTheAccessLog) {
  log_format = "%FILTER_STATE(user:PLAIN)% %FILTER_STATE(none)%";
  begin(filter("s", "set_filter_state.v3.Config",
               "on_request_headers: [ { object_key: user, factory_key: envoy.string, "
               "format_string: { text_format_source: { inline_string: '%REQ(X-USER)%' } } } ]"));
  Peer client = request("GET / HTTP/1.1\r\nHost: a\r\nX-User: ann\r\n\r\n");
  backend.accept().answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(logged(), "ann -");
}

// ---- routes ----

constexpr std::string_view kOff =
    "typed_per_filter_config: { fault: { '@type': "
    "type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true } }, ";
std::string own_fault(int status) {
  return str("typed_per_filter_config: { fault: { ", kExtension,
             "filters.http.fault.v3.HTTPFault, abort: { http_status: ", status,
             ", percentage: { numerator: 100 } } } }, ");
}

TEST_F(Filters, RoutesDisableAndReplaceAFilter) {
  const std::string to = "route: { cluster: app } }";
  begin(fault("abort: { http_status: 418, percentage: { numerator: 100 } }"),
        {.routes = str("{ match: { path: /off }, ", kOff, to, ", { match: { path: /own }, ",
                       own_fault(429), to, ", { match: { prefix: / }, ", to),
         .host = own_fault(503)});
  Peer client = request("GET /own HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 429);
  client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 503) << "the virtual host's";
  client.send("GET /off HTTP/1.1\r\nHost: a\r\n\r\n");
  backend.accept().answer();
  EXPECT_EQ(status_of(client.message()), 200);
}

TEST_F(Filters, AFilterThatIsDisabledIsEnabledByARoute) {
  begin(fault("abort: { http_status: 418, percentage: { numerator: 100 } }", "disabled: true, "),
        {.routes = str("{ match: { path: /on }, ", own_fault(429), "route: { cluster: app } }, ",
                       "{ match: { prefix: / }, route: { cluster: app } }")});
  Peer client = request("GET /on HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 429);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  backend.accept().answer();
  EXPECT_EQ(status_of(client.message()), 200);
}

// ---- scripted filters: what none of the real ones does yet ----

class ScriptedStream : public Filters, protected ScriptedTypes {
 protected:
  void begin(ListenerYaml yaml = {}) {
    http_filters = scripted_types();
    Filters::begin(std::string(kScriptedFilters), std::move(yaml));
  }
  void resume(const std::string& hook) {
    ScriptedTypes::resume(hook);
    settle();
  }
};

constexpr std::string_view kPost = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

class StopsAt : public ScriptedStream, public ::testing::WithParamInterface<std::string> {};

TEST_P(StopsAt, AnExchangeIsWholeWhereverItWasHeldUp) {
  begin();
  stops(GetParam());
  Peer client = request(kPost);
  settle();
  const bool in_request = GetParam().find("request") != std::string::npos;
  if (in_request) {
    ASSERT_TRUE(stopped.contains(GetParam()));
    resume(GetParam());
  }
  Peer server = backend.accept();
  EXPECT_TRUE(server
                  .answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "6\r\nanswer\r\n0\r\n\r\n")
                  .ends_with("\r\n\r\nhello"));
  if (!in_request) {
    EXPECT_TRUE(run_until(loop, [&] { return stopped.contains(GetParam()); }));
    resume(GetParam());
  }
  const std::string response = client.message();
  EXPECT_EQ(status_of(response), 200);
  EXPECT_NE(response.find("6\r\nanswer\r\n"), std::string::npos) << response;
  EXPECT_TRUE(response.ends_with("\r\n0\r\n\r\n"));
}
INSTANTIATE_TEST_SUITE_P(Hooks, StopsAt,
                         ::testing::Values("a.request_head", "b.request_head", "a.request_body",
                                           "b.request_body", "a.response_head", "b.response_head",
                                           "a.response_body", "b.response_body"));

class LeavesAt : public ScriptedStream, public ::testing::WithParamInterface<std::string> {};

TEST_P(LeavesAt, AClientThatLeavesWhileItIsHeldUpIsTheEnd) {
  begin();
  stops(GetParam());
  Peer client = request(kPost);
  settle();
  std::optional<Peer> server;
  if (!stopped.contains(GetParam())) {
    server.emplace(backend.accept());
    server->answer();
    EXPECT_TRUE(run_until(loop, [&] { return stopped.contains(GetParam()); }));
  }
  client.abort();
  EXPECT_TRUE(run_until(loop, [&] { return !log.empty(); }));
  EXPECT_EQ(calls.back(), "b.complete");
  EXPECT_EQ(calls[calls.size() - 2], "a.complete");
}
INSTANTIATE_TEST_SUITE_P(Hooks, LeavesAt,
                         ::testing::Values("a.request_head", "b.request_body", "b.response_head",
                                           "a.response_body"));

TEST_F(ScriptedStream, AReplyInTheResponsesPlaceIsWhatTheClientGets) {
  begin();
  script["b.response_head"] = [](FilterContext& context) {
    context.local_reply({.status = 502, .body = "replaced", .details = "scripted"});
    return FilterVerdict::kStop;
  };
  Peer client = request();
  backend.accept().answer();
  const std::string response = client.message();
  EXPECT_EQ(status_of(response), 502);
  EXPECT_TRUE(response.ends_with("replaced")) << response;
  EXPECT_EQ(logged(), "502 - scripted");
}

TEST_F(ScriptedStream, AfterAReplyNothingIsTriedAgain) {
  begin({.routes = "{ match: { prefix: / }, route: { cluster: app, retry_policy: { retry_on: 5xx, "
                   "retry_back_off: { base_interval: 60s, max_interval: 60s } } } }"});
  Peer client = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
  Peer server = backend.accept();
  EXPECT_TRUE(server.waits_for("\r\n\r\n"));
  server.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(run_until(loop, [&] { return app->upstream_rq_retry.value() == 1; }));
  script["a.request_body"] = [](FilterContext& context) {
    context.local_reply({.status = 418, .body = "no", .details = "scripted"});
    return FilterVerdict::kStop;
  };
  stops("b.response_head");
  client.send("x");
  EXPECT_TRUE(run_until(loop, [&] { return stopped.contains("b.response_head"); }));
  pass(seconds(61));
  EXPECT_FALSE(backend.is_called());
  resume("b.response_head");
  EXPECT_EQ(status_of(client.message()), 418);
  EXPECT_EQ(logged(), "418 - scripted");
}

TEST_F(ScriptedStream, AReplyBehindTheHeadBreaksTheResponseOff) {
  begin();
  script["b.response_body"] = [](FilterContext& context) {
    context.local_reply({.status = 502, .details = "too late"});
    return FilterVerdict::kStop;
  };
  Peer client = request();
  backend.accept().answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
  EXPECT_TRUE(client.waits_for_the_end());
  EXPECT_EQ(client.received().find("body"), std::string::npos);
}

// The attempt that was about to begin is not wanted any more, however long the reply waits.
TEST_F(ScriptedStream, AReplyThatWaitsEndsTheRetriesOfTheRequest) {
  begin({.routes = "{ match: { prefix: / }, route: { cluster: app, retry_policy: { retry_on: 5xx, "
                   "num_retries: 3, retry_back_off: { base_interval: 10s } } } }"});
  int pieces = 0;
  script["b.request_body"] = [&](FilterContext& context) {
    if (++pieces == 1) return FilterVerdict::kContinue;
    context.local_reply({.status = 418, .details = "scripted"});
    return FilterVerdict::kStop;
  };
  Peer client = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
  Peer server = backend.accept();
  EXPECT_TRUE(server.waits_for("hello"));
  server.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(run_until(loop, [&] { return app->upstream_rq_retry.value() == 1; }));
  stops("b.response_head");
  client.send("world");
  EXPECT_TRUE(run_until(loop, [&] { return stopped.contains("b.response_head"); }));
  pass(seconds(11));
  EXPECT_FALSE(backend.is_called()) << "a retry";
  resume("b.response_head");
  EXPECT_EQ(status_of(client.message()), 418);
  EXPECT_EQ(logged(), "418 - scripted");
}

TEST_F(ScriptedStream, AHeldUploadPausesTheClient) {
  begin();
  stops("b.request_head");
  Peer client = connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000000\r\n\r\n");
  // As much as the kernel takes; the proxy must not take it all.
  const std::string piece(64 * 1024, 'x');
  size_t sent = 0;
  for (int idle = 0; idle < 50 && sent < 40'000'000;) {
    const ssize_t n = client.try_send(piece);
    if (n > 0) sent += static_cast<size_t>(n);
    idle = n > 0 ? 0 : idle + 1;
    settle();
  }
  EXPECT_LT(sent, 20'000'000u);
  resume("b.request_head");
  Peer server = backend.accept();
  size_t got = 0;
  while (sent < 40'000'000 || got < 40'000'000) {
    if (sent < 40'000'000) {
      const ssize_t n = client.try_send(
          std::string_view(piece).substr(0, std::min<size_t>(piece.size(), 40'000'000 - sent)));
      if (n > 0) sent += static_cast<size_t>(n);
    }
    settle();
    got += server.discard();
    if (server.is_over()) break;
  }
  EXPECT_GE(got, 40'000'000u);
  server.send(kOk);
  EXPECT_EQ(status_of(client.message()), 200);
}

TEST_F(ScriptedStream, TheRouteIsChosenAgainAfterWhatItDependsOnChanged) {
  begin({.routes = "{ match: { prefix: /, headers: [ { name: x-v, string_match: { exact: '2' } } ] "
                   "}, name: second, route: { cluster: app } }, { match: { prefix: / }, name: "
                   "first, direct_response: { status: 204 } }"});
  script["a.request_head"] = [](FilterContext& context) {
    context.request().headers.set("x-v", "2");
    context.clear_route_cache();
    return FilterVerdict::kContinue;
  };
  Peer client = request();
  backend.accept().answer();
  EXPECT_EQ(status_of(client.message()), 200);
}

}  // namespace
}  // namespace pillion::testing
