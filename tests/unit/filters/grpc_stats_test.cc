#include "filters/http/grpc_stats_table.h"
#include "proxy/http/grpc_messages.h"
#include "proxy/upstream/parse.h"
#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

std::string messages(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    char prefix[http::kGrpcPrefix];
    http::write_grpc_prefix(prefix, 0, 2);
    out.append(prefix, sizeof prefix).append("ab");
  }
  return out;
}

TEST(GrpcMethod, IsReadFromThePath) {
  struct Case {
    std::string_view path, service, method;
    bool is_plain;
  };
  const Case cases[] = {
      {"/a.b.C/Do", "a.b.C", "Do", true},
      {"/C/Do?x=/y", "C", "Do", true},
      {"/a-b_C1/Do-2", "a-b_C1", "Do-2", true},
      {"/C/D.o", "C", "D.o", false},  // its row would look like another's
      {"/.C/Do", ".C", "Do", false},
      {"/C./Do", "C.", "Do", false},
      {"/C/D%20o", "C", "D%20o", false},
      {"/C/D\xff", "C", "D\xff", false},
      {"/C", "", "", false},
      {"/C/", "", "", false},
      {"//Do", "", "", false},
      {"/C/Do/It", "", "", false},
      {"C/Do", "", "", false},
      {"", "", "", false},
      {"*", "", "", false},
  };
  for (const auto& [path, service, method, plain] : cases) {
    const GrpcMethod found = grpc_method(path);
    EXPECT_EQ(found.service, service) << path;
    EXPECT_EQ(found.method, method) << path;
    EXPECT_EQ(is_plain(found), plain) << path;
  }
  const std::string at_most(128, 'x');
  const std::string longer(129, 'x');
  EXPECT_TRUE(is_plain({at_most, at_most}));
  EXPECT_FALSE(is_plain({longer, "x"}));
  EXPECT_FALSE(is_plain({"x", longer}));
}

class GrpcStats : public FilterTest {
 protected:
  GrpcStats() : FilterTest("envoy.extensions.filters.http.grpc_stats.v3.FilterConfig") {
    route_to("app");
    add_cluster("app");
  }
  void add_cluster(std::string_view name) {
    config::Errors errors;
    const auto document = config::load_text(
        str("{ name: ", name, ", type: STATIC, load_assignment: { cluster_name: ", name,
            ", endpoints: [] } }"),
        "f", errors);
    const auto config = upstream::parse_cluster(document->root(errors));
    EXPECT_TRUE(errors.ok()) << errors.to_string();
    worker.clusters.set({config, upstream::make_host_set({}, nullptr)});
  }
  Exchange& call(std::string_view path = "/a.B/C") {
    return exchange({{"content-type", "application/grpc"}, {":path", std::string(path)}}, false);
  }
  // The upstream's answer: its head, `count` messages, trailers with the status.
  static void answer(Exchange& e, std::string_view status, int count = 1) {
    e.info_.response_details = "via_upstream";
    e.response.status = 200;
    e.response.headers.set("content-type", "application/grpc");
    e.respond_head();
    if (count != 0) e.respond_body(messages(count));
    e.response_trailers.add("grpc-status", status);
    e.respond_trailers();
    e.end();
  }
  static void answer_without_body(Exchange& e, std::string_view status,
                                  std::string_view details = "via_upstream") {
    e.info_.response_details = details;
    e.response.status = 200;
    e.response.headers.set("grpc-status", status);
    e.respond_head(true);
    e.end();
  }
  stats::GrpcStats& row(std::string_view method = {}) {
    auto block = worker.registry.block<stats::GrpcStats>(0, "app", method);
    stats::GrpcStats& counters = *block;
    holds.push_back(std::move(block));
    return counters;
  }
  // Rows that there are: "cluster.app.grpc.a.B.C.".
  std::vector<std::string> rows() {
    holds.clear();
    std::vector<std::string> names;
    for (const auto& scope : worker.registry.scopes(stats::Kind::kGrpcStats))
      names.emplace_back(scope->raw());
    return names;
  }
  std::vector<stats::BlockRef<stats::GrpcStats>> holds;
};

TEST_F(GrpcStats, WithoutMethodsAllCallsCountInTheClustersRow) {
  configure("{}");
  Exchange& e = call();
  e.send(messages(2), false);
  EXPECT_EQ(row().request_message_count.value(), 2u) << "while they pass";
  e.send(messages(1), true);
  answer(e, "0", 3);
  answer_without_body(call("/x.Y/Z"), "14");
  EXPECT_EQ(row().total.value(), 2u);
  EXPECT_EQ(row().success.value(), 1u);
  EXPECT_EQ(row().failure.value(), 1u);
  EXPECT_EQ(row().code_0.value(), 1u);
  EXPECT_EQ(row().code_14.value(), 1u);
  EXPECT_EQ(row().request_message_count.value(), 3u);
  EXPECT_EQ(row().response_message_count.value(), 3u);
  EXPECT_EQ(rows(), std::vector<std::string>{"cluster.app.grpc."});
}

TEST_F(GrpcStats, MethodsOfTheListHaveRowsOfTheirOwn) {
  configure(
      "{ individual_method_stats_allowlist: { services: [ { name: a.B, method_names: [ C, D ] } ] "
      "} }");
  answer(call("/a.B/C"), "0");
  answer(call("/a.B/D"), "3");
  answer(call("/a.B/E"), "0");
  answer(call("/x/C"), "0");
  EXPECT_EQ(row(".a.B.C").success.value(), 1u);
  EXPECT_EQ(row(".a.B.D").code_3.value(), 1u);
  EXPECT_EQ(row().total.value(), 2u);
  EXPECT_EQ(rows(), (std::vector<std::string>{"cluster.app.grpc.", "cluster.app.grpc.a.B.C.",
                                              "cluster.app.grpc.a.B.D."}));
}

// However many there are, and whatever else is called: clients cannot take their place.
TEST_F(GrpcStats, MethodsOfTheListAlwaysHaveTheirRows) {
  std::string methods;
  for (int i = 0; i < 600; ++i) methods += str(i == 0 ? "" : ", ", "M", i);
  configure(str("{ individual_method_stats_allowlist: { services: [ { name: s.S, method_names: [ ",
                methods, " ] } ] } }"));
  for (int i = 0; i < 2000; ++i) answer(call(str("/x.X/Unknown", i)), "0");
  EXPECT_EQ(rows(), std::vector<std::string>{"cluster.app.grpc."});
  for (int i = 0; i < 600; ++i) answer(call(str("/s.S/M", i)), "0");
  EXPECT_EQ(rows().size(), 601u);
  for (int i = 0; i < 600; ++i) EXPECT_EQ(row(str(".s.S.M", i)).success.value(), 1u) << i;
  EXPECT_EQ(row().total.value(), 2000u);
  EXPECT_EQ(row().method_overflow.value(), 0u);
}

// Two managers, one of which counts what anybody calls: the list of the other is not concerned.
TEST_F(GrpcStats, AFullTableOfOneFilterLeavesTheOthersAlone) {
  configure("{ stats_for_all_methods: true }");
  for (int i = 0; i < 520; ++i) answer(call(str("/s.S/M", i)), "0");
  const auto full = row().method_overflow.value();
  EXPECT_EQ(full, 8u);
  // The same worker, cluster and registry.
  auto of_all = std::move(states_);
  configure(
      "{ individual_method_stats_allowlist: { services: [ { name: a.B, method_names: [ C ] } ] } "
      "}");
  answer(call("/a.B/C"), "0");
  EXPECT_EQ(row(".a.B.C").success.value(), 1u);
}

// Clusters that come and go with one call each.
TEST_F(GrpcStats, RowsOfClustersThatAreGoneAreBounded) {
  for (const std::string_view yaml :
       {"{}", "{ stats_for_all_methods: true }",
        "{ individual_method_stats_allowlist: { services: [ { name: a.B, method_names: [ C ] } ] } "
        "}"}) {
    SCOPED_TRACE(yaml);
    configure(yaml);
    const auto comes_and_goes = [&](int i) {
      const std::string name = str("c", i);
      add_cluster(name);
      route_to(name);
      answer(call("/a.B/C"), "0");
      worker.clusters.remove(name);
    };
    size_t most = 0;
    for (int i = 0; i < 500; ++i) {
      comes_and_goes(i);
      most = std::max(most, rows().size());
    }
    EXPECT_LE(most, 64u + 1);
    // The rows of one that is there stay.
    route_to("app");
    answer(call("/a.B/C"), "0");
    for (int i = 500; i < 700; ++i) comes_and_goes(i);
    EXPECT_EQ(row(yaml == "{}" ? "" : ".a.B.C").total.value(), 1u);
  }
}

class AllMethods : public GrpcStats {
 protected:
  AllMethods() { configure("{ stats_for_all_methods: true }"); }
};

TEST_F(AllMethods, AMethodGetsItsRowWithTheFirstAnswer) {
  Exchange& first = call();
  first.send(messages(2), true);
  EXPECT_EQ(rows(), std::vector<std::string>{});
  answer(first, "0", 3);
  EXPECT_EQ(row(".a.B.C").request_message_count.value(), 2u) << "what came before counts too";
  EXPECT_EQ(row(".a.B.C").response_message_count.value(), 3u);
  Exchange& second = call();
  second.send(messages(1), false);
  EXPECT_EQ(row(".a.B.C").request_message_count.value(), 3u) << "while they pass";
  answer_without_body(second, "5");
  EXPECT_EQ(row(".a.B.C").total.value(), 2u);
  EXPECT_EQ(row(".a.B.C").code_5.value(), 1u);
  EXPECT_EQ(rows(), std::vector<std::string>{"cluster.app.grpc.a.B.C."});
}

TEST_F(AllMethods, WhatNoServerHasGetsNone) {
  answer_without_body(call("/no.Such/A"), "12");
  answer_without_body(call("/no.Such/B"), "14", "no_healthy_upstream");
  answer(call("/odd%00/C"), "0");
  Exchange& page = call("/no.Such/D");
  page.send(messages(1), true);
  page.respond(404);
  page.end();
  EXPECT_EQ(row().total.value(), 3u) << "a page has no status";
  EXPECT_EQ(row().request_message_count.value(), 1u);
  EXPECT_EQ(rows(), std::vector<std::string>{"cluster.app.grpc."});
}

TEST_F(AllMethods, ThereAreAtMostSoMany) {
  for (int i = 0; i < 520; ++i) answer(call(str("/s.S/M", i)), "0");
  EXPECT_EQ(rows().size(), 512u + 1);
  EXPECT_EQ(row().total.value(), 8u);
  EXPECT_EQ(row().method_overflow.value(), 8u);
  answer(call("/s.S/M3"), "0");
  EXPECT_EQ(row(".s.S.M3").total.value(), 2u) << "those that are there go on";
}

TEST_F(AllMethods, RowsGoWithTheirCluster) {
  add_cluster("old");
  route_to("old");
  Exchange& running = call("/s.S/Running");
  running.send(messages(1), true);
  answer(call("/s.S/Over"), "0");
  answer(call("/s.S/Running"), "0");
  Exchange& open = call("/s.S/Running");  // holds its row
  worker.clusters.remove("old");
  route_to("app");
  for (int i = 0; i < 64; ++i) answer(call(str("/s.S/M", i)), "0");
  const auto has = [this](std::string_view name) { return std::ranges::count(rows(), name) != 0; };
  EXPECT_FALSE(has("cluster.old.grpc.s.S.Over."));
  EXPECT_TRUE(has("cluster.old.grpc.s.S.Running."));
  answer(open, "0");
}

TEST_F(AllMethods, ATableThatWasFullTakesMethodsAgainWhenTheClusterOfItsRowsIsGone) {
  add_cluster("old");
  route_to("old");
  for (int i = 0; i < 512; ++i) answer(call(str("/s.S/M", i)), "0");
  worker.clusters.remove("old");
  route_to("app");
  for (int i = 0; i < 64; ++i) answer(call("/s.S/New"), "0");
  EXPECT_GT(row(".s.S.New").total.value(), 0u);
  EXPECT_EQ(row(".s.S.New").total.value() + row().method_overflow.value(), 64u);
  EXPECT_EQ(
      std::ranges::count_if(rows(), [](const auto& r) { return r.starts_with("cluster.old."); }),
      0);
}

TEST_F(AllMethods, DotsOfServicesAreReplacedOnDemand) {
  configure("{ stats_for_all_methods: true, replace_dots_in_grpc_service_name: true }");
  answer(call(), "0");
  EXPECT_EQ(rows(), std::vector<std::string>{"cluster.app.grpc.a_B.C."});
}

TEST_F(AllMethods, StatusesThatThereAreNotCountTogether) {
  for (const std::string_view status : {"17", "4294967295", "4294967296", "x", "-1", ""})
    answer(call(), status);
  EXPECT_EQ(row(".a.B.C").code_other.value(), 6u);
  EXPECT_EQ(row(".a.B.C").failure.value(), 6u);
}

TEST_F(GrpcStats, OnlyCallsToClustersCount) {
  configure("{}");
  Exchange& json = exchange({{"content-type", "application/json"}, {":path", "/a/b"}}, false);
  json.send(messages(1), true);
  answer(json, "0");
  answer(call("/no-method"), "0");
  route_to("none");
  answer(call(), "0");
  route_to("");
  answer(call(), "0");
  EXPECT_EQ(rows(), std::vector<std::string>{});
}

TEST_F(GrpcStats, TimesTheUpstreamOnDemand) {
  for (const bool wanted : {false, true}) {
    configure(str("{ enable_upstream_stats: ", wanted ? "true" : "false", " }"));
    Exchange& e = call();
    e.info_.times.us_tx_end = Instant(seconds(1));
    e.info_.times.us_rx_end = Instant(seconds(3));
    answer(e, "0");
    EXPECT_EQ(row().upstream_rq_time.sum_micros(), wanted ? 2'000'000u : 0u);
  }
}

// The server has answered before it had all of the request.
TEST_F(GrpcStats, AnAnswerBeforeTheRequestsEndHasNoTime) {
  configure("{ enable_upstream_stats: true }");
  Exchange& e = call();
  e.info_.times.us_tx_end = Instant(seconds(3));
  e.info_.times.us_rx_end = Instant(seconds(1));
  answer(e, "0");
  EXPECT_EQ(row().total.value(), 1u);
  for (size_t i = 0; i < stats::Histogram::kBuckets; ++i)
    EXPECT_EQ(row().upstream_rq_time.bucket(i), 0u);
}

TEST_F(GrpcStats, LeavesTheNumbersOfMessagesToAccessLogsOnDemand) {
  configure("{}");
  Exchange& silent = call();
  silent.send(messages(1), true);
  answer(silent, "0");
  EXPECT_EQ(silent.info_.filter_state, nullptr);
  configure("{ emit_filter_state: true }");
  Exchange& e = call("/no-method");
  e.send(messages(12), true);
  answer(e, "0", 3);
  ASSERT_NE(e.info_.filter_state, nullptr);
  EXPECT_EQ(e.info_.filter_state->key, "envoy.filters.http.grpc_stats");
  EXPECT_EQ(e.info_.filter_state->value,
            "{\"request_message_count\":\"12\",\"response_message_count\":\"3\"}");
}

TEST_F(GrpcStats, WrongConfigurationsAreNamed) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"{ stats_for_all_methods: true, individual_method_stats_allowlist: {} }", "only one of"},
      {"{ individual_method_stats_allowlist: { services: [ { method_names: [ A ] } ] } }",
       "services[0].name: required field is missing"},
      {"{ individual_method_stats_allowlist: { services: [ { name: a } ] } }",
       "services[0].method_names: required field is missing"},
      {"{ individual_method_stats_allowlist: { services: [ { name: a, method_names: [] } ] } }",
       "expected at least one method"},
      {"{ individual_method_stats_allowlist: { services: [ { name: a, method_names: [ b.c ] } ] } "
       "}",
       "expected the name of a method"},
      {"{ stats_for_all_methods: {} }", "stats_for_all_methods: expected true or false"},
      {"{ emit_stats: true }", "emit_stats: unknown field"},
  };
  for (const auto& [yaml, expected] : cases) {
    const std::string errors = errors_of(yaml);
    EXPECT_NE(errors.find(expected), errors.npos) << yaml << "\n" << errors;
  }
}

}  // namespace
}  // namespace pillion::filters
