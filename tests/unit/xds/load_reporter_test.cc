#include "xds/load_reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "proxy/base/str.h"
#include "proxy/http/grpc_frames.h"
#include "tests/support/fake_cluster_client.h"
#include "tests/support/run_until.h"
#include "xds/reflect.h"
#include "xds/value_json.h"

namespace pillion::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using namespace std::chrono_literals;

upstream::Endpoint host(std::string_view address, std::string_view zone, uint8_t priority = 0) {
  upstream::Endpoint out;
  out.address = *io::Address::parse_ip(address, 80);
  out.locality =
      SharedValue<upstream::Locality>(upstream::Locality{"north", std::string(zone), ""});
  out.priority = priority;
  return out;
}

class LoadReporterTest : public ::testing::Test, protected LoadSource {
 protected:
  LoadReporterTest() {
    config::GrpcService service;
    service.cluster.value = "lrs";
    service.backoff_base = service.backoff_max = 20ms;
    reporter_ = std::make_unique<LoadReporter>(
        LoadReporter::Context{loop_, rng_, client_, *this, registry_}, service, "");
    reporter_->start();
    client_.last().head();
  }

  [[nodiscard]] std::vector<std::string> load_clusters() const override {
    std::vector<std::string> names;
    for (const auto& [name, hosts] : hosts_) names.push_back(name);
    return names;
  }
  bool load_of(std::string_view cluster, Cluster& out) const override {
    const auto it = hosts_.find(std::string(cluster));
    if (it == hosts_.end()) return false;
    out.hosts = it->second;
    out.dropped = dropped_;
    out.service_name = service_name_;
    return true;
  }

  void set_hosts(const std::string& cluster, const upstream::Endpoints& hosts) {
    hosts_[cluster] = upstream::make_host_set(hosts, hosts_[cluster]);
  }
  upstream::HostCounters& count(const std::string& cluster, size_t host) {
    return hosts_[cluster]->hosts[host]->stats->of(0);
  }
  void want(std::string_view fields) {
    const Result<std::string> bytes =
        encode("envoy.service.load_stats.v3.LoadStatsResponse",
               str(R"({"load_reporting_interval":"0.1s",)", fields, "}"));
    ASSERT_TRUE(bytes) << bytes.error();
    client_.last().data(http::grpc_frame(*bytes));
  }
  // The reports that were sent since the last call, as JSON.
  std::vector<std::string> sent() {
    std::vector<std::string> out;
    http::GrpcFrames frames(size_t{1} << 20);
    (void)frames.feed(std::exchange(client_.last().sent, {}), [&out](std::string_view message) {
      config::Errors errors;
      const config::DocumentPtr document =
          reflect("envoy.service.load_stats.v3.LoadStatsRequest", message, "report", errors);
      EXPECT_TRUE(errors.ok()) << errors.to_string();
      append_json(out.emplace_back(), document->root_value());
      return true;
    });
    return out;
  }
  // Without its interval, which is the machine's.
  std::string next_report() {
    EXPECT_TRUE(testing::run_until(loop_, [this] { return !client_.last().sent.empty(); }));
    const std::vector<std::string> all = sent();
    EXPECT_THAT(all, SizeIs(1));
    if (all.empty()) return {};
    static const std::regex kInterval(R"(,"load_report_interval":"[0-9.]+s")");
    return std::regex_replace(all.front(), kInterval, "");
  }

  io::Loop loop_;
  Rng rng_{1};
  stats::Registry registry_;
  testing::FakeClusterClient client_;
  std::map<std::string, upstream::HostSetPtr> hosts_;
  uint64_t dropped_ = 0;
  std::string service_name_;
  std::unique_ptr<LoadReporter> reporter_;
};

TEST_F(LoadReporterTest, SaysWhoItIsAndThatItCanTellOfAllClusters) {
  EXPECT_EQ(client_.last().cluster, "lrs");
  EXPECT_EQ(client_.last().path,
            "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats");
  EXPECT_THAT(
      sent(),
      ElementsAre(R"({"node":{"client_features":["envoy.lrs.supports_send_all_clusters"]}})"));
}

TEST_F(LoadReporterTest, TellsWhatHappenedSinceTheReportBeforeByLocalityAndPriority) {
  set_hosts("a", {host("10.0.0.1", "east"), host("10.0.0.2", "east"), host("10.0.0.3", "west"),
                  host("10.0.0.4", "west", 1)});
  count("a", 0).rq_total.add(100);  // of before: not told
  (void)sent();
  want(R"("clusters":["a"])");
  for (size_t i = 0; i < 3; ++i) {
    count("a", i).rq_total.add(10 * (i + 1));
    count("a", i).rq_success.add(8 * (i + 1));
    count("a", i).rq_error.add(1);
  }
  count("a", 2).rq_active.add(2);
  EXPECT_EQ(
      next_report(),
      R"({"cluster_stats":[{"cluster_name":"a","upstream_locality_stats":[)"
      R"({"locality":{"region":"north","zone":"east"},"total_successful_requests":24,)"
      R"("total_error_requests":2,"total_issued_requests":30},)"
      R"({"locality":{"region":"north","zone":"west"},"total_successful_requests":24,)"
      R"("total_requests_in_progress":2,"total_error_requests":1,"total_issued_requests":30}]}]})");
  count("a", 3).rq_total.inc();
  count("a", 3).cx_connect_fail.inc();
  count("a", 2).rq_active.add(-2);
  EXPECT_EQ(
      next_report(),
      R"({"cluster_stats":[{"cluster_name":"a","upstream_locality_stats":[)"
      R"({"locality":{"region":"north","zone":"west"},"priority":1,"total_issued_requests":1,)"
      R"("total_fail_connections":1}]}]})");
}

TEST_F(LoadReporterTest, TellsOfEndpointsIfItIsAsked) {
  set_hosts("a", {host("10.0.0.1", "east"), host("10.0.0.2", "east")});
  (void)sent();
  want(R"("clusters":["a"],"report_endpoint_granularity":true)");
  count("a", 1).rq_total.inc();
  count("a", 1).rq_success.inc();
  EXPECT_THAT(next_report(),
              HasSubstr(R"("upstream_endpoint_stats":[{"address":{"socket_address":{)"
                        R"("address":"10.0.0.2","port_value":80}},"total_successful_requests":1,)"
                        R"("total_issued_requests":1}])"));
}

TEST_F(LoadReporterTest, AHostThatGoesHasItsLastRequestsTold) {
  set_hosts("a", {host("10.0.0.1", "east"), host("10.0.0.2", "east")});
  (void)sent();
  want(R"("clusters":["a"])");
  count("a", 1).rq_total.add(7);
  set_hosts("a", {host("10.0.0.1", "east")});
  EXPECT_THAT(next_report(), HasSubstr(R"("total_issued_requests":7)"));
  EXPECT_THAT(next_report(), Not(HasSubstr("total_issued_requests")));
}

TEST_F(LoadReporterTest, HostsKeepTheirCountsWhileOthersComeAndGoAroundThem) {
  const auto a = host("10.0.0.1", "east"), b = host("10.0.0.2", "east"),
             c = host("10.0.0.3", "east"), d = host("10.0.0.4", "east");
  set_hosts("a", {a, b, c});
  (void)sent();
  want(R"("clusters":["a"],"report_endpoint_granularity":true)");
  for (size_t i = 0; i < 3; ++i) count("a", i).rq_total.add(10);
  EXPECT_THAT(next_report(), HasSubstr(R"("total_issued_requests":30)"));
  count("a", 1).rq_total.add(5);  // and goes
  set_hosts("a", {a, d, c});
  count("a", 1).rq_total.add(2);
  count("a", 2).rq_total.add(1);
  const std::string report = next_report();
  EXPECT_THAT(report, HasSubstr(R"("total_issued_requests":8)"));
  for (const char* told : {R"("10.0.0.2","port_value":80}},"total_issued_requests":5)",
                           R"("10.0.0.4","port_value":80}},"total_issued_requests":2)",
                           R"("10.0.0.3","port_value":80}},"total_issued_requests":1)"})
    EXPECT_THAT(report, HasSubstr(told));
  EXPECT_THAT(report, Not(HasSubstr("10.0.0.1")));
  set_hosts("a", {c, a});  // other places
  EXPECT_THAT(next_report(), Not(HasSubstr("total_issued_requests")));
  set_hosts("a", {});
  EXPECT_THAT(next_report(), Not(HasSubstr("total_issued_requests")));
}

TEST_F(LoadReporterTest, AClusterThatIsNamedIsToldOfThoughNothingHappened) {
  set_hosts("a", {host("10.0.0.1", "east")});
  dropped_ = 5;
  (void)sent();
  want(R"("clusters":["a","none"])");
  dropped_ = 8;
  service_name_ = "a.shop";
  EXPECT_EQ(next_report(), R"({"cluster_stats":[{"cluster_name":"a","total_dropped_requests":3,)"
                           R"("cluster_service_name":"a.shop"}]})");
}

TEST_F(LoadReporterTest, OfAllClustersOnlyThoseWithLoadAreToldOfAndNewOnesAreSeen) {
  set_hosts("a", {host("10.0.0.1", "east")});
  set_hosts("b", {host("10.0.0.1", "east")});
  (void)sent();
  want(R"("send_all_clusters":true)");
  EXPECT_EQ(next_report(), "{}");
  set_hosts("c", {host("10.0.0.1", "east")});
  count("c", 0).rq_total.add(3);
  const std::string report = next_report();
  EXPECT_THAT(report, HasSubstr(R"("cluster_name":"c")"));
  EXPECT_THAT(report, HasSubstr(R"("total_issued_requests":3)"));
  EXPECT_THAT(report, Not(HasSubstr(R"("cluster_name":"a")")));
}

TEST_F(LoadReporterTest, AStreamThatEndsIsOpenedAgainAndForgetsNothing) {
  set_hosts("a", {host("10.0.0.1", "east")});
  (void)sent();
  want(R"("clusters":["a"])");
  count("a", 0).rq_total.add(4);
  client_.last().trailers("14", "away");
  EXPECT_TRUE(testing::run_until(loop_, [this] { return client_.calls.size() == 2; }));
  EXPECT_THAT(sent(), ElementsAre(HasSubstr("node")));
  client_.last().head();
  count("a", 0).rq_total.add(5);
  want(R"("clusters":["a"])");
  EXPECT_THAT(next_report(), HasSubstr(R"("total_issued_requests":9)"));
  EXPECT_EQ(registry_.total<stats::LoadReporterStats>("", "errors"), 1u);
  EXPECT_EQ(registry_.total<stats::LoadReporterStats>("", "retries"), 1u);
}

TEST_F(LoadReporterTest, WhatIsNotUnderstoodChangesNothing) {
  set_hosts("a", {host("10.0.0.1", "east")});
  (void)sent();
  want(R"("clusters":["a"])");
  client_.last().data(http::grpc_frame("\x0a\xff"));
  EXPECT_THAT(next_report(), HasSubstr(R"("cluster_name":"a")"));
  EXPECT_EQ(registry_.total<stats::LoadReporterStats>("", "errors"), 1u);
}

}  // namespace
}  // namespace pillion::xds
