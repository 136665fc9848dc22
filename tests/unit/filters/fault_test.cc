#include "proxy/base/response_flags.h"
#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

class Fault : public FilterTest {
 protected:
  Fault() : FilterTest("envoy.extensions.filters.http.fault.v3.HTTPFault") {}
  stats::FaultStats& counters() { return stats<stats::FaultStats>("web"); }
};

constexpr std::string_view kAlways = "percentage: { numerator: 100 }";

TEST_F(Fault, DelaysByTheClockAndThenLetsTheRequestGo) {
  configure(str("{ delay: { fixed_delay: 2s, ", kAlways, " } }"));
  Exchange& e = exchange();
  EXPECT_FALSE(e.passed);
  worker.loop.skip(milliseconds(1990));
  EXPECT_FALSE(e.passed);
  EXPECT_EQ(counters().active_faults.value(), 1);
  worker.loop.skip(milliseconds(30));
  EXPECT_TRUE(e.passed);
  EXPECT_EQ(e.info_.flags, flag_bit(ResponseFlag::kDelayInjected));
  e.end();
  EXPECT_EQ(counters().delays_injected.value(), 1u);
  EXPECT_EQ(counters().active_faults.value(), 0);
}

TEST_F(Fault, AClientThatLeavesDuringTheDelayIsNoActiveFault) {
  configure(str("{ delay: { fixed_delay: 2s, ", kAlways, " } }"));
  Exchange& e = exchange();
  e.end();
  worker.loop.skip(seconds(5));
  EXPECT_FALSE(e.passed);
  EXPECT_EQ(counters().active_faults.value(), 0);
}

TEST_F(Fault, AbortsAtOnce) {
  configure(str("{ abort: { http_status: 418, ", kAlways, " } }"));
  Exchange& e = exchange();
  EXPECT_FALSE(e.passed);
  EXPECT_EQ(e.status, 418);
  EXPECT_EQ(e.reply_body, "fault filter abort");
  EXPECT_EQ(e.details, "fault_filter_abort");
  EXPECT_EQ(e.info_.flags, flag_bit(ResponseFlag::kFaultInjected));
  EXPECT_EQ(counters().aborts_injected.value(), 1u);
  EXPECT_EQ(counters().active_faults.value(), 0) << "the reply has ended it";
}

TEST_F(Fault, AbortsAfterTheDelayIfBothAreDrawn) {
  configure(str("{ delay: { fixed_delay: 1s, ", kAlways, " }, abort: { http_status: 503, ", kAlways,
                " } }"));
  Exchange& e = exchange();
  EXPECT_EQ(e.status, 0);
  worker.loop.skip(milliseconds(1020));
  EXPECT_EQ(e.status, 503);
  EXPECT_EQ(e.info_.flags,
            flag_bit(ResponseFlag::kFaultInjected) | flag_bit(ResponseFlag::kDelayInjected));
}

TEST_F(Fault, WithoutAPercentageNothingHappens) {
  configure("{ delay: { fixed_delay: 1s }, abort: { http_status: 503 } }");
  EXPECT_TRUE(exchange().passed);
}

TEST_F(Fault, ThePercentageIsTheShareOfRequests) {
  configure(
      "{ abort: { http_status: 503, percentage: { numerator: 2500, denominator: "
      "TEN_THOUSAND } } }");
  int aborted = 0;
  for (int i = 0; i < 4000; ++i) aborted += exchange().status == 503 ? 1 : 0;
  EXPECT_NEAR(aborted, 1000, 120);
}

struct GrpcCase {
  uint32_t grpc;
  uint16_t http;
};
class FaultGrpc : public Fault, public ::testing::WithParamInterface<GrpcCase> {};

TEST_P(FaultGrpc, AbortsWithAGrpcStatusAndTheHttpStatusForIt) {
  configure(str("{ abort: { grpc_status: ", GetParam().grpc, ", ", kAlways, " } }"));
  Exchange& e = exchange();
  EXPECT_EQ(e.grpc_status, GetParam().grpc);
  EXPECT_EQ(e.status, GetParam().http);
}
INSTANTIATE_TEST_SUITE_P(Statuses, FaultGrpc,
                         ::testing::Values(GrpcCase{0, 200}, GrpcCase{5, 404}, GrpcCase{8, 429},
                                           GrpcCase{14, 503}, GrpcCase{16, 401}, GrpcCase{17, 500},
                                           GrpcCase{4'000'000, 500}));

// ---- headers that say what ----

struct HeaderCase {
  const char* name;
  Fields fields;
  uint16_t status = 0;
  std::optional<uint32_t> grpc = {};
};
class FaultHeaders : public Fault, public ::testing::WithParamInterface<HeaderCase> {};

TEST_P(FaultHeaders, ChooseTheAbort) {
  configure(str("{ abort: { header_abort: {}, ", kAlways, " } }"));
  Exchange& e = exchange(GetParam().fields);
  EXPECT_EQ(e.status, GetParam().status);
  EXPECT_EQ(e.grpc_status, GetParam().grpc);
  EXPECT_EQ(e.passed, GetParam().status == 0);
}
INSTANTIATE_TEST_SUITE_P(
    Cases, FaultHeaders,
    ::testing::Values(HeaderCase{"none", {}},
                      HeaderCase{"status", {{"x-envoy-fault-abort-request", "429"}}, 429},
                      HeaderCase{"no_number", {{"x-envoy-fault-abort-request", "x429"}}},
                      HeaderCase{"no_status", {{"x-envoy-fault-abort-request", "600"}}},
                      HeaderCase{"too_large",
                                 {{"x-envoy-fault-abort-request", "99999999999999999999999"}}},
                      HeaderCase{"grpc", {{"x-envoy-fault-abort-grpc-request", "14"}}, 503, 14},
                      HeaderCase{"zero_percent",
                                 {{"x-envoy-fault-abort-request", "429"},
                                  {"x-envoy-fault-abort-request-percentage", "0"}}},
                      HeaderCase{"more_than_allowed",
                                 {{"x-envoy-fault-abort-request", "429"},
                                  {"x-envoy-fault-abort-request-percentage", "4000000000000"}},
                                 429}),
    [](const auto& test) { return test.param.name; });

TEST_F(Fault, AHeaderChoosesTheDelayInMilliseconds) {
  configure(str("{ delay: { header_delay: {}, ", kAlways, " } }"));
  EXPECT_TRUE(exchange().passed);
  EXPECT_TRUE(exchange({{"x-envoy-fault-delay-request", "0"}}).passed);
  Exchange& e = exchange({{"x-envoy-fault-delay-request", "300"}});
  worker.loop.skip(milliseconds(290));
  EXPECT_FALSE(e.passed);
  worker.loop.skip(milliseconds(30));
  EXPECT_TRUE(e.passed);
  EXPECT_TRUE(exchange({{"x-envoy-fault-delay-request", "300"},
                        {"x-envoy-fault-delay-request-percentage", "0"}})
                  .passed);
}

// ---- whom it concerns ----

TEST_F(Fault, ConcernsTheClusterNodesAndHeadersThatItNames) {
  configure(str("{ abort: { http_status: 503, ", kAlways, " }, upstream_cluster: app, ",
                "downstream_nodes: [ n1, n2 ], headers: [ { name: x-user, string_match: ",
                "{ exact: ann } } ] }"));
  const Fields all{{"x-user", "ann"}, {"x-envoy-downstream-service-node", "n2"}};
  EXPECT_EQ(exchange(all).status, 0) << "another cluster";
  route_to("app");
  EXPECT_EQ(exchange(all).status, 503);
  EXPECT_EQ(exchange({all[0]}).status, 0) << "no node";
  EXPECT_EQ(exchange({all[1]}).status, 0) << "no user";
  EXPECT_EQ(exchange({all[0], {"x-envoy-downstream-service-node", "n3"}}).status, 0);
}

TEST_F(Fault, NoMoreThanSoManyAreActiveAtATime) {
  configure(str("{ delay: { fixed_delay: 1s, ", kAlways, " }, max_active_faults: 2 }"));
  Exchange& a = exchange();
  Exchange& b = exchange();
  EXPECT_FALSE(a.passed || b.passed);
  EXPECT_TRUE(exchange().passed);
  EXPECT_EQ(counters().faults_overflow.value(), 1u);
  a.end();
  EXPECT_FALSE(exchange().passed) << "there is room again";
}

TEST_F(Fault, ARouteHasFaultsOfItsOwn) {
  configure("{}");
  EXPECT_TRUE(exchange().passed);
  configure_route(str("{ abort: { http_status: 418, ", kAlways, " } }"));
  EXPECT_EQ(exchange().status, 418);
}

TEST_F(Fault, WrongConfigurationsAreNamed) {
  const auto e = errors_of(
      "{ delay: { fixed_delay: 0s }, abort: { http_status: 99 }, response_rate_limit: {}, "
      "upstream_clustr: x }");
  EXPECT_NE(e.find("delay.fixed_delay: expected a duration above zero"), e.npos) << e;
  EXPECT_NE(e.find("abort.http_status: expected"), e.npos) << e;
  EXPECT_NE(e.find("response_rate_limit: known to Envoy v3 but not supported"), e.npos) << e;
  EXPECT_NE(e.find("upstream_clustr: unknown field (did you mean \"upstream_cluster\"?)"), e.npos)
      << e;
}

}  // namespace
}  // namespace pillion::filters
