#include <algorithm>
#include <functional>

#include "filters/authz/apply.h"
#include "filters/authz/check.h"
#include "filters/authz/wire.h"
#include "tests/unit/filters/changer.h"

namespace pillion::filters {
namespace {

using authz::Answer;
using authz::decode_check;
using authz::WireReader;
using authz::WireWriter;

constexpr std::string_view kType = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";

// ---- the wire format ----

TEST(AuthzWire, ReadsWhatItWroteAndNothingThatIsCut) {
  std::string text;
  WireWriter wire(text);
  wire.varint(1, 300);
  wire.message(2, [&] {
    wire.text(1, "a\xff");
    wire.fixed64(2, 7);
    wire.bytes(40, std::string(200, 'x'));
  });
  WireReader reader(text);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.number(), 300u);
  ASSERT_TRUE(reader.next());
  WireReader inner(reader.bytes());
  ASSERT_TRUE(inner.next());
  EXPECT_EQ(inner.bytes(), "a!");
  ASSERT_TRUE(inner.next());
  EXPECT_EQ(inner.number(), 7u);
  ASSERT_TRUE(inner.next());
  EXPECT_EQ(inner.field(), 40u);
  EXPECT_EQ(inner.bytes().size(), 200u);
  EXPECT_FALSE(inner.next());
  EXPECT_FALSE(inner.is_broken());
  for (size_t size = 4; size < text.size(); ++size) {
    WireReader cut(std::string_view(text).substr(0, size));
    while (cut.next()) {
    }
    EXPECT_TRUE(cut.is_broken()) << size;
  }
  for (const std::string_view broken :
       {"\x0b", "\x07", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x0a\xff\xff\xff\xff\x0f",
        "\x02\x01"}) {
    WireReader bad(broken);
    EXPECT_FALSE(bad.next());
    EXPECT_TRUE(bad.is_broken());
  }
}

// HeaderValueOption.
void put_option(WireWriter& wire, uint32_t field, std::string_view name, std::string_view value,
                uint64_t action = 0) {
  wire.message(field, [&] {
    wire.message(1, [&] {
      wire.text(1, name);
      wire.bytes(2, value);
    });
    wire.varint(3, action);
  });
}

std::string ok_answer(const std::function<void(WireWriter&)>& fill = {}) {
  std::string text;
  WireWriter wire(text);
  wire.message(1, [] {});
  wire.message(3, [&] {
    if (fill) fill(wire);
  });
  return text;
}
std::string denied_answer(const std::function<void(WireWriter&)>& fill = {}) {
  std::string text;
  WireWriter wire(text);
  wire.message(1, [&] { wire.varint(1, 7); });
  if (fill) wire.message(2, [&] { fill(wire); });
  return text;
}

TEST(AuthzAnswer, ABrokenOneIsAnError) {
  Arena arena;
  const std::string good = ok_answer([](WireWriter& w) { put_option(w, 2, "X-A", "1"); });
  const Answer answer = decode_check(good, arena);
  EXPECT_EQ(answer.verdict, Answer::Verdict::kOk);
  ASSERT_EQ(answer.request_headers.size(), 1u);
  EXPECT_EQ(answer.request_headers[0].name, "x-a");
  for (size_t size = 3; size < good.size(); ++size) {
    const Answer cut = decode_check(std::string_view(good).substr(0, size), arena);
    EXPECT_TRUE(cut.verdict == Answer::Verdict::kError || cut.is_invalid) << size;
  }
  // A status that cannot be read is no OK.
  std::string unread;
  WireWriter(unread).bytes(1, "\x08");
  EXPECT_NE(decode_check(unread, arena).verdict, Answer::Verdict::kOk);
  EXPECT_EQ(decode_check("", arena).verdict, Answer::Verdict::kOk) << "status 0, as in Envoy";
}

TEST(AuthzAnswer, ARefusalMayBringItsReply) {
  Arena arena;
  const Answer plain = decode_check(denied_answer(), arena);
  EXPECT_EQ(plain.verdict, Answer::Verdict::kDenied);
  EXPECT_EQ(plain.status, 0);
  const auto status_of = [&arena](uint64_t status) {
    const Answer answer = decode_check(denied_answer([status](WireWriter& w) {
                                         w.message(1, [&] { w.varint(1, status); });
                                         put_option(w, 2, "X-Why", "limit");
                                         w.text(3, "too much");
                                       }),
                                       arena);
    EXPECT_EQ(answer.verdict, Answer::Verdict::kDenied);
    EXPECT_EQ(answer.body, "too much");
    EXPECT_EQ(answer.reply_headers.size(), 1u);
    return answer.status;
  };
  EXPECT_EQ(status_of(429), 429);
  // What no final response can have is the default.
  for (const uint64_t none : {0u, 100u, 101u, 199u, 600u, 65965u})
    EXPECT_EQ(status_of(none), 0) << none;
}

TEST(AuthzAnswer, MetadataIsBoundedInDepth) {
  Arena arena;
  std::string value;
  WireWriter(value).varint(4, 1);
  for (int i = 0; i < 40; ++i) {
    std::string outer;
    WireWriter wire(outer);
    wire.message(6, [&] { wire.bytes(1, value); });
    value = outer;
  }
  std::string text;
  WireWriter wire(text);
  wire.message(4, [&] {
    wire.message(1, [&] {
      wire.text(1, "deep");
      wire.bytes(2, value);
    });
  });
  EXPECT_EQ(decode_check(text, arena).verdict, Answer::Verdict::kError);
}

// ---- the filter, over a service that the test plays ----

class ExtAuthz : public FilterTest {
 protected:
  ExtAuthz() : FilterTest(kType) {}

  void configure_grpc(std::string_view more = {}) {
    configure(
        str("{ grpc_service: { envoy_grpc: { cluster_name: authz } }, transport_api_version: V3",
            more.empty() ? "" : ", ", more, " }"));
  }
};

TEST_F(ExtAuthz, AServiceThatCannotBeAskedIsARefusal) {
  configure_grpc();
  Exchange& e = exchange();
  EXPECT_FALSE(e.passed);
  EXPECT_EQ(e.status, 0) << "it waits";
  for (int i = 0; i < 10 && e.status == 0; ++i) worker.loop.run_once(false);
  EXPECT_EQ(e.status, 403);
  EXPECT_EQ(e.details, "ext_authz_error");
  EXPECT_EQ(stats<stats::ExtAuthzStats>("web").error.value(), 1u);
}

TEST_F(ExtAuthz, TheStatusOfAnErrorAndItsModeAreConfigurable) {
  configure_grpc("status_on_error: { code: ServiceUnavailable }");
  Exchange& refused = exchange();
  for (int i = 0; i < 10 && refused.status == 0; ++i) worker.loop.run_once(false);
  EXPECT_EQ(refused.status, 503);
  configure_grpc("failure_mode_allow: true, failure_mode_allow_header_add: true");
  Exchange& passed = exchange();
  for (int i = 0; i < 10 && !passed.passed; ++i) worker.loop.run_once(false);
  EXPECT_TRUE(passed.passed);
  EXPECT_EQ(passed.header("x-envoy-auth-failure-mode-allowed"), "true");
  EXPECT_EQ(stats<stats::ExtAuthzStats>("web").failure_mode_allowed.value(), 1u);
}

constexpr std::string_view kOverHttp =
    "http_service: { server_uri: { uri: 'http://a', cluster: authz, timeout: 1s } }";

// A service that takes a CONNECT opens a tunnel, which never ends.
TEST_F(ExtAuthz, NoServiceOfHttpIsAskedByConnect) {
  const Fields fields{{":method", "CONNECT"}};
  auto& counters = stats<stats::ExtAuthzStats>("web");
  for (const std::string_view more : {"", ", failure_mode_allow: true"}) {
    configure(str("{ ", kOverHttp, ", status_on_error: { code: ServiceUnavailable }", more, " }"));
    Exchange& e = exchange(fields, false);
    EXPECT_EQ(e.status, 503) << "at once" << more;
    EXPECT_EQ(e.details, "ext_authz_error");
    EXPECT_FALSE(e.passed);
  }
  EXPECT_EQ(counters.error.value(), 2u);
  EXPECT_EQ(counters.failure_mode_allowed.value(), 0u);
  configure_grpc();
  EXPECT_EQ(exchange(fields, false).status, 0) << "a service of gRPC is asked";
  configure(str("{ ", kOverHttp, " }"));
  EXPECT_EQ(exchange({{":method", "POST"}}).status, 0);
}

// They say what this filter has done.
TEST_F(ExtAuthz, AClientsOwnWordsAboutItsAuthorizationAreDropped) {
  const Fields forged{{"x-envoy-auth-failure-mode-allowed", "true"},
                      {"x-envoy-auth-partial-body", "false"},
                      {"x-envoy-auth-partial-body", "true"},
                      {"x-envoy-auth", "1"}};
  const auto check = [](const Exchange& e) {
    EXPECT_TRUE(e.passed);
    EXPECT_EQ(e.header("x-envoy-auth-failure-mode-allowed"), "");
    EXPECT_EQ(e.header("x-envoy-auth-partial-body"), "");
    EXPECT_EQ(e.header("x-envoy-auth"), "1");
  };
  configure_grpc("failure_mode_allow: true");
  Exchange& failed = exchange(forged);
  for (int i = 0; i < 10 && !failed.passed; ++i) worker.loop.run_once(false);
  check(failed);
  configure_grpc("filter_enabled: { default_value: { numerator: 0 } }");
  check(exchange(forged));
  configure_route("{ disabled: true }");
  check(exchange(forged));
}

TEST_F(ExtAuthz, AStreamThatEndsTakesItsCallWithIt) {
  configure_grpc();
  Exchange& e = exchange();
  e.end();
  for (int i = 0; i < 10; ++i) worker.loop.run_once(false);
  EXPECT_EQ(e.status, 0);
  EXPECT_EQ(stats<stats::ExtAuthzStats>("web").error.value(), 0u);
}

TEST_F(ExtAuthz, ARouteMayDisableIt) {
  configure_grpc();
  configure_route("{ disabled: true }");
  EXPECT_TRUE(exchange().passed);
}

// Nobody can be asked any more when the request has found its last route.
using ExtAuthzOfRoutes = Led<ExtAuthz>;

TEST_F(ExtAuthzOfRoutes, ARouteThatWasReachedUnaskedIsClosed) {
  lead_to("{ check_settings: { context_extensions: { a: b } } }");
  configure_grpc();
  configure_route("{ disabled: true }");
  Exchange& e = ask_and_be_led({});
  EXPECT_EQ(e.status, 403);
  EXPECT_EQ(e.details, "ext_authz_not_asked");
}

TEST_F(ExtAuthzOfRoutes, ARouteThatDoesWithoutNeedsNobody) {
  lead_to("{ disabled: true }");
  configure_grpc();
  configure_route("{ disabled: true }");
  EXPECT_TRUE(ask_and_be_led({}).passed);
}

TEST_F(ExtAuthz, AShareOfRequestsMayBeAskedAbout) {
  auto& counters = stats<stats::ExtAuthzStats>("web");
  configure_grpc("filter_enabled: { default_value: { numerator: 0 } }");
  EXPECT_TRUE(exchange().passed);
  configure_grpc(
      "filter_enabled: { default_value: { numerator: 0 } }, deny_at_disable: { default_value: "
      "true, "
      "runtime_key: k }");
  EXPECT_EQ(exchange().status, 403);
  EXPECT_EQ(counters.disabled.value(), 2u);
}

TEST_F(ExtAuthz, ABodyThatIsTooLongIsRefusedUnlessAPartWillDo) {
  configure_grpc("with_request_body: { max_request_bytes: 10 }");
  Exchange& e = exchange({}, false);
  e.send("0123456789", false);
  EXPECT_EQ(e.status, 0);
  e.send("x", false);
  EXPECT_EQ(e.status, 413);
}

TEST_F(ExtAuthz, WrongConfigurationsAreNamed) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"{}", "expected one of grpc_service, http_service"},
      {"{ grpc_service: { google_grpc: {} } }", "use envoy_grpc"},
      {"{ grpc_service: { envoy_grpc: { cluster_name: a } }, include_peer_certificate: true }",
       "comes with a later version"},
      {"{ grpc_service: { envoy_grpc: { cluster_name: a } }, shadow_mode: true }",
       "comes with a later version"},
      {"{ grpc_service: { envoy_grpc: { cluster_name: a } }, with_request_body: { "
       "max_request_bytes: 0 } }",
       "max_request_bytes"},
      {"{ grpc_service: { envoy_grpc: { cluster_name: a } }, falure_mode_allow: true }",
       "unknown field"},
      {"{ http_service: { server_uri: { uri: 'http://a', cluster: a, timeout: 1s }, path_prefix: a "
       "} }",
       "expected a path that begins with '/'"},
      {"{ grpc_service: { envoy_grpc: { cluster_name: a } }, transport_api_version: V2 }",
       "only V3 is spoken"},
  };
  for (const auto& [config, error] : cases)
    EXPECT_NE(errors_of(config).find(error), std::string::npos) << config << errors_of(config);
}

// ---- what an answer may do ----

class AuthzApply : public ::testing::Test {
 protected:
  // A request "GET /a?b=1&c=2" with x-old: 1.
  AuthzApply() {
    head_.path = "/a?b=1&c=2";
    head_.authority = "a";
    head_.headers.add("x-old", "1");
  }
  static authz::HeaderChange set(std::string_view name, std::string_view value) {
    return {name, value, authz::HeaderAction::kOverwriteOrAdd};
  }
  bool is_legal(const authz::HeaderChange& change) {
    Answer answer;
    answer.request_headers.push_back(change);
    return authz::is_legal(answer, nullptr);
  }
  std::string field(std::string_view name) {
    std::string text;
    head_.headers.for_each_of(name, [&](const http::Field& f) {
      text += text.empty() ? "" : ",";
      text += f.value;
    });
    return text;
  }
  Arena arena_;
  http::RequestHead head_{arena_};
};

TEST_F(AuthzApply, NothingOfAnAnswerBreaksOutOfAMessage) {
  EXPECT_TRUE(is_legal(set("x-a", "1")));
  EXPECT_TRUE(is_legal(set(":path", "/b?c")));
  EXPECT_TRUE(is_legal(set("host", "b.example:80")));
  const std::pair<std::string_view, std::string_view> bad[] = {
      {"", "1"},
      {"x a", "1"},
      {"x:a", "1"},
      {"X-A", "1"},
      {"x\r\na", "1"},
      {"x-a", "1\r\nb: 2"},
      {"x-a", std::string_view("\0", 1)},
      {"x-a", " 1"},
      {":path", "b"},
      {":path", "/a b"},
      {":path", "/a#b"},
      {":path", ""},
      {":method", "GET"},
      {":scheme", "https"},
      {":status", "200"},
      {"host", ""},
      {"host", "a/b"},
      {":authority", "u@a"},
      {":protocol", "x"},
  };
  for (const auto& [name, value] : bad) EXPECT_FALSE(is_legal(set(name, value))) << name << value;
  Answer query;
  query.query_set = {{"a", "1&b=2"}};
  EXPECT_FALSE(authz::is_legal(query, nullptr));
  query.query_set = {{"a=b", "1"}};
  EXPECT_FALSE(authz::is_legal(query, nullptr));
  query.query_set = {{"a", "1 2"}};
  EXPECT_FALSE(authz::is_legal(query, nullptr));
}

TEST_F(AuthzApply, ChangesHeadersAsTheirActionsSay) {
  using authz::HeaderAction;
  Answer answer;
  answer.request_headers = {
      {"x-old", "2", HeaderAction::kAppend},
      {"x-absent", "1", HeaderAction::kAddIfAbsent},
      {"x-absent", "2", HeaderAction::kAddIfAbsent},
      {"x-if", "1", HeaderAction::kOverwriteIfExists},
      {"x-set", "1", HeaderAction::kOverwriteOrAdd},
      {"x-set", "2", HeaderAction::kOverwriteOrAdd},
      {"content-length", "5", HeaderAction::kOverwriteOrAdd},
      {"transfer-encoding", "chunked", HeaderAction::kAppend},
      {"connection", "x-old", HeaderAction::kAppend},
      {":authority", "b", HeaderAction::kOverwriteOrAdd},
  };
  EXPECT_TRUE(authz::apply_to_request(answer, nullptr, head_, arena_));
  EXPECT_EQ(field("x-old"), "1,2");
  EXPECT_EQ(field("x-absent"), "1");
  EXPECT_EQ(field("x-if"), "");
  EXPECT_EQ(field("x-set"), "2");
  EXPECT_EQ(head_.authority, "b");
  for (const char* name : {"content-length", "transfer-encoding", "connection", ":authority"})
    EXPECT_EQ(field(name), "") << name;
}

TEST_F(AuthzApply, OfAReplyRepeatedFieldsAreAllThere) {
  using authz::HeaderAction;
  head_.headers.add("set-cookie", "old");
  head_.headers.add("set-cookie", "older");
  authz::apply_to_headers({set("set-cookie", "a=1"),
                           set("x-new", "1"),
                           set("set-cookie", "b=2"),
                           set("content-length", "5"),
                           {"x-old", "2", HeaderAction::kAppend},
                           {"x-old", "3", HeaderAction::kAddIfAbsent}},
                          head_.headers);
  EXPECT_EQ(field("set-cookie"), "a=1,b=2");
  EXPECT_EQ(field("x-new"), "1");
  EXPECT_EQ(field("x-old"), "1,2");
  EXPECT_EQ(field("content-length"), "");
}

TEST_F(AuthzApply, ChangesTheQueryAndLeavesTheRest) {
  Answer answer;
  answer.query_set = {{"b", "x"}, {"d", ""}};
  answer.query_removed = {"c"};
  EXPECT_TRUE(authz::apply_to_request(answer, nullptr, head_, arena_));
  EXPECT_EQ(head_.path, "/a?b=x&d=");
  Answer all;
  all.query_removed = {"b", "d"};
  EXPECT_TRUE(authz::apply_to_request(all, nullptr, head_, arena_));
  EXPECT_EQ(head_.path, "/a");
}

TEST_F(AuthzApply, RemovesNoPseudoHeaderAndNoHost) {
  Answer answer;
  answer.removed = {"x-old", "host", ":path", ":authority", "content-length"};
  EXPECT_TRUE(authz::apply_to_request(answer, nullptr, head_, arena_));
  EXPECT_EQ(field("x-old"), "");
  EXPECT_EQ(head_.path, "/a?b=1&c=2");
  EXPECT_EQ(head_.authority, "a");
}

TEST_F(AuthzApply, RulesSayWhichHeadersMayChange) {
  authz::MutationRules rules;
  const auto changes = [&](std::string_view name) {
    Answer answer;
    answer.request_headers.push_back(set(name, name == ":path" ? "/z" : "z"));
    return authz::apply_to_request(answer, &rules, head_, arena_);
  };
  EXPECT_TRUE(changes("x-a"));
  EXPECT_FALSE(changes("x-envoy-a"));
  EXPECT_FALSE(changes(":path"));
  EXPECT_FALSE(changes("host"));
  rules.allow_envoy = rules.allow_all_routing = true;
  EXPECT_TRUE(changes("x-envoy-a"));
  EXPECT_TRUE(changes("host"));
  rules.disallow_system = true;
  EXPECT_FALSE(changes(":path"));
  rules.disallow_all = true;
  EXPECT_FALSE(changes("x-a"));
  Answer answer;
  answer.request_headers.push_back(set("x-a", "1"));
  EXPECT_TRUE(authz::is_legal(answer, &rules));
  rules.disallow_is_error = true;
  EXPECT_FALSE(authz::is_legal(answer, &rules));
}

}  // namespace
}  // namespace pillion::filters
