#include "proxy/stats/exposition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "proxy/stats/quantile.h"

namespace pillion::stats {
namespace {

using namespace std::chrono_literals;

std::string all(std::unique_ptr<TextSource> source) {
  std::string out;
  while (source->next(out)) {
  }
  return out;
}
std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}
bool has_line(const std::string& text, const std::string& line) {
  const auto have = lines(text);
  return std::find(have.begin(), have.end(), line) != have.end();
}

class Contains final : public NameFilter {
 public:
  explicit Contains(std::string part) : part_(std::move(part)) {}
  bool matches(std::string_view name) const override {
    return name.find(part_) != std::string_view::npos;
  }

 private:
  std::string part_;
};

ExpositionOptions used_only() {
  ExpositionOptions options;
  options.used_only = true;
  return options;
}

// A small proxy after some traffic.
class ExpositionTest : public testing::Test {
 protected:
  ExpositionTest() {
    orders_->upstream_rq_total.add(12);
    orders_->upstream_cx_active.inc();
    for (int i = 0; i < 10; ++i) count_upstream_response(*orders_, 200);
    count_upstream_response(*orders_, 503);
    for (int i = 0; i < 4; ++i) orders_->upstream_rq_time.record(20ms);
    tls_->handshake.add(2);
    tls_->versions.inc("TLSv1.3");
    tls_->ciphers.inc("TLS_AES_128_GCM_SHA256");
    listener_http_->downstream_rq_completed.inc();
    count_downstream_class(*listener_http_, 404);
    server_->live.set(1);
  }
  Registry registry_;
  BlockRef<ClusterStats> orders_ = registry_.block<ClusterStats>(0, "orders");
  BlockRef<ListenerTlsStats> tls_ = registry_.block<ListenerTlsStats>(0, "0.0.0.0:15006");
  BlockRef<ListenerHttpStats> listener_http_ =
      registry_.block<ListenerHttpStats>(0, "0.0.0.0:15006", "inbound");
  BlockRef<ServerStats> server_ = registry_.block<ServerStats>(kControl);
};

TEST_F(ExpositionTest, PrintsUsedMetricsAsEnvoysText) {
  EXPECT_EQ(all(make_stats_text(registry_, used_only(), StatsFormat::kText)),
            "cluster.orders.upstream_cx_active: 1\n"
            "cluster.orders.upstream_rq_200: 10\n"
            "cluster.orders.upstream_rq_2xx: 10\n"
            "cluster.orders.upstream_rq_503: 1\n"
            "cluster.orders.upstream_rq_5xx: 1\n"
            "cluster.orders.upstream_rq_completed: 11\n"
            "cluster.orders.upstream_rq_total: 12\n"
            "listener.0.0.0.0_15006.http.inbound.downstream_rq_4xx: 1\n"
            "listener.0.0.0.0_15006.http.inbound.downstream_rq_completed: 1\n"
            "listener.0.0.0.0_15006.ssl.ciphers.TLS_AES_128_GCM_SHA256: 1\n"
            "listener.0.0.0.0_15006.ssl.handshake: 2\n"
            "listener.0.0.0.0_15006.ssl.versions.TLSv1.3: 1\n"
            "server.live: 1\n"
            "cluster.orders.upstream_rq_time: P0(nan,10) P25(nan,13.75) P50(nan,17.5) "
            "P75(nan,21.25) P90(nan,23.5) P95(nan,24.25) P99(nan,24.85) P99.5(nan,24.925) "
            "P99.9(nan,24.985) P100(nan,25)\n");
}

TEST_F(ExpositionTest, PrintsUnusedMetricsUnlessToldOtherwise) {
  const std::string text = all(make_stats_text(registry_, {}, StatsFormat::kText));
  EXPECT_TRUE(has_line(text, "cluster.orders.upstream_rq_timeout: 0"));
  EXPECT_TRUE(has_line(text, "cluster.orders.upstream_cx_length_ms: No recorded values"));
}

// As grpc_stats counts: rows that show once they are used, of a method and of all others.
TEST_F(ExpositionTest, PrintsWhatCallsOfGrpcDid) {
  const auto method = registry_.block<GrpcStats>(0, "orders", ".shop.v1.Orders.Get");
  const auto others = registry_.block<GrpcStats>(0, "orders");
  method->total.add(3);
  method->code_0.add(3);
  others->total.inc();
  ExpositionOptions options;
  options.filter = std::make_shared<Contains>(".grpc.");
  EXPECT_EQ(all(make_stats_text(registry_, options, StatsFormat::kText)),
            "cluster.orders.grpc.shop.v1.Orders.Get.0: 3\n"
            "cluster.orders.grpc.shop.v1.Orders.Get.total: 3\n"
            "cluster.orders.grpc.total: 1\n");
  EXPECT_EQ(all(make_prometheus(registry_, options)),
            "# HELP envoy_cluster_grpc_total Calls that ended with a status\n"
            "# TYPE envoy_cluster_grpc_total counter\n"
            "envoy_cluster_grpc_total{envoy_cluster_name=\"orders\"} 1\n"
            "envoy_cluster_grpc_total{envoy_grpc_bridge_service=\"shop.v1.Orders\","
            "envoy_grpc_bridge_method=\"Get\",envoy_cluster_name=\"orders\"} 3\n"
            "# HELP envoy_cluster_grpc_0 Calls that ended with OK\n"
            "# TYPE envoy_cluster_grpc_0 counter\n"
            "envoy_cluster_grpc_0{envoy_grpc_bridge_service=\"shop.v1.Orders\","
            "envoy_grpc_bridge_method=\"Get\",envoy_cluster_name=\"orders\"} 3\n");
}

TEST_F(ExpositionTest, PrintsJsonInEnvoysShape) {
  ExpositionOptions options = used_only();
  options.filter = std::make_shared<Contains>("cluster.orders.upstream_rq_t");
  const std::string values =
      "[{\"cumulative\":10,\"interval\":null},{\"cumulative\":13.75,\"interval\":null},"
      "{\"cumulative\":17.5,\"interval\":null},{\"cumulative\":21.25,\"interval\":null},"
      "{\"cumulative\":23.5,\"interval\":null},{\"cumulative\":24.25,\"interval\":null},"
      "{\"cumulative\":24.85,\"interval\":null},{\"cumulative\":24.925,\"interval\":null},"
      "{\"cumulative\":24.985,\"interval\":null},{\"cumulative\":25,\"interval\":null}]";
  EXPECT_EQ(all(make_stats_text(registry_, options, StatsFormat::kJson)),
            "{\"stats\":[{\"name\":\"cluster.orders.upstream_rq_total\",\"value\":12},"
            "{\"histograms\":{\"supported_quantiles\":[0,25,50,75,90,95,99,99.5,99.9,100],"
            "\"computed_quantiles\":[{\"name\":\"cluster.orders.upstream_rq_time\",\"values\":" +
                values + "}]}}]}");
}

TEST_F(ExpositionTest, PrintsJsonWithoutHistograms) {
  ExpositionOptions options = used_only();
  options.filter = std::make_shared<Contains>("server.");
  EXPECT_EQ(all(make_stats_text(registry_, options, StatsFormat::kJson)),
            "{\"stats\":[{\"name\":\"server.live\",\"value\":1}]}");
  options.filter = std::make_shared<Contains>("nothing");
  EXPECT_EQ(all(make_stats_text(registry_, options, StatsFormat::kJson)), "{\"stats\":[]}");
}

TEST_F(ExpositionTest, ShowsOneTypeWhenAsked) {
  ExpositionOptions options = used_only();
  options.type = ExpositionOptions::Type::kGauges;
  EXPECT_EQ(all(make_stats_text(registry_, options, StatsFormat::kText)),
            "cluster.orders.upstream_cx_active: 1\nserver.live: 1\n");
  options.type = ExpositionOptions::Type::kHistograms;
  EXPECT_EQ(lines(all(make_stats_text(registry_, options, StatsFormat::kText))).size(), 1u);
}

TEST_F(ExpositionTest, AppliesTheConfiguredMatcherBesideTheFilterOfTheRequest) {
  ExpositionOptions options = used_only();
  options.matcher = std::make_shared<Contains>("orders");
  options.filter = std::make_shared<Contains>("503");
  EXPECT_EQ(all(make_stats_text(registry_, options, StatsFormat::kText)),
            "cluster.orders.upstream_rq_503: 1\n");
  EXPECT_EQ(
      all(make_prometheus(registry_, options)),
      "# HELP envoy_cluster_upstream_rq Responses by status\n"
      "# TYPE envoy_cluster_upstream_rq counter\n"
      "envoy_cluster_upstream_rq{envoy_response_code=\"503\",envoy_cluster_name=\"orders\"} 1\n");
}

TEST_F(ExpositionTest, SortsNamesOfNestedScopes) {
  // "cluster.a.b." lies between names of "cluster.a.".
  const auto a = registry_.block<ClusterStats>(0, "a");
  const auto ab = registry_.block<ClusterStats>(0, "a.ssl.b");
  const auto tls = registry_.block<ClusterTlsStats>(0, "a");
  const std::string text = all(make_stats_text(registry_, {}, StatsFormat::kText));
  auto have = lines(text);
  std::erase_if(have, [](const std::string& line) {
    return line.ends_with("No recorded values") || line.find("(nan") != std::string::npos;
  });
  for (std::string& line : have) line.resize(line.find(": "));
  EXPECT_TRUE(std::is_sorted(have.begin(), have.end()));
  EXPECT_EQ(std::set<std::string>(have.begin(), have.end()).size(), have.size());
}

TEST_F(ExpositionTest, PrintsEnvoysNamesAndLabelsForPrometheus) {
  const std::string text = all(make_prometheus(registry_, used_only()));
  for (const char* line : {
           "envoy_cluster_upstream_rq{envoy_response_code=\"503\",envoy_cluster_name=\"orders\"} 1",
           "envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"5\","
           "envoy_cluster_name=\"orders\"} 1",
           "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"orders\"} 12",
           "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"orders\",le=\"10\"} 0",
           "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"orders\",le=\"25\"} 4",
           "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"orders\",le=\"3600000\"} 4",
           "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"orders\",le=\"+Inf\"} 4",
           "envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"orders\"} 80",
           "envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"orders\"} 4",
           "envoy_listener_http_downstream_rq_xx{envoy_response_code_class=\"4\","
           "envoy_http_conn_manager_prefix=\"inbound\",envoy_listener_address=\"0.0.0.0_15006\"} 1",
           "envoy_listener_ssl_versions{envoy_ssl_version=\"TLSv1.3\","
           "envoy_listener_address=\"0.0.0.0_15006\"} 1",
           "envoy_listener_ssl_ciphers{envoy_ssl_cipher=\"TLS_AES_128_GCM_SHA256\","
           "envoy_listener_address=\"0.0.0.0_15006\"} 1",
           "envoy_server_live 1",
           "# TYPE envoy_server_live gauge",
           "# TYPE envoy_cluster_upstream_rq counter",
           "# TYPE envoy_cluster_upstream_rq_time histogram",
       }) {
    EXPECT_TRUE(has_line(text, line)) << line << "\n" << text;
  }
}

TEST_F(ExpositionTest, KeepsAFamilyInOnePieceWithOneTypeLine) {
  // More scopes than a batch of the serializer, and more text than a piece.
  std::vector<BlockRef<ClusterStats>> clusters;
  for (int i = 0; i < 300; ++i) {
    clusters.push_back(registry_.block<ClusterStats>(0, "c" + std::to_string(i)));
    clusters.back()->upstream_rq_total.add(static_cast<uint64_t>(i));
  }
  std::string text;
  auto source = make_prometheus(registry_, {});
  for (bool more = true; more;) {
    std::string piece;
    more = source->next(piece);
    EXPECT_LT(piece.size(), 1024u * 1024) << "a piece is bounded";
    text += piece;
  }
  std::set<std::string> closed;
  std::string family;
  for (const std::string& line : lines(text)) {
    if (line.starts_with("# HELP ")) {
      closed.insert(family);
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_FALSE(closed.contains(family)) << family;
    } else {
      EXPECT_TRUE(line.starts_with(family) || line.starts_with("# TYPE " + family)) << line;
    }
  }
  EXPECT_TRUE(has_line(text, "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"c299\"} 299"));
}

TEST_F(ExpositionTest, EscapesNamesInLabels) {
  const auto odd = registry_.block<TcpStats>(0, "a\"b\\c\nd\xff");
  odd->downstream_cx_total.inc();
  ExpositionOptions options = used_only();
  options.filter = std::make_shared<Contains>("tcp.");
  EXPECT_TRUE(has_line(all(make_prometheus(registry_, options)),
                       "envoy_tcp_downstream_cx_total{envoy_tcp_prefix=\"a\\\"b\\\\c_d_\"} 1"));
  EXPECT_EQ(all(make_stats_text(registry_, options, StatsFormat::kJson)),
            "{\"stats\":[{\"name\":\"tcp.a\\\"b\\\\c_d_.downstream_cx_total\",\"value\":1}]}");
}

TEST_F(ExpositionTest, PutsFixedTagsOnEverySeries) {
  ExpositionOptions options = used_only();
  options.fixed_tags = {{"mesh.zone-1", "eu"}};
  options.filter = std::make_shared<Contains>("server.live");
  EXPECT_TRUE(has_line(all(make_prometheus(registry_, options)),
                       "envoy_server_live{mesh_zone_1=\"eu\"} 1"));
}

TEST_F(ExpositionTest, SkipsScopesThatDieWhileItIsSent) {
  std::vector<BlockRef<ClusterStats>> clusters;
  for (int i = 0; i < 300; ++i) {
    clusters.push_back(registry_.block<ClusterStats>(0, "c" + std::to_string(i)));
  }
  auto text = make_stats_text(registry_, {}, StatsFormat::kText);
  auto prometheus = make_prometheus(registry_, {});
  std::string out;
  EXPECT_TRUE(text->next(out));
  EXPECT_TRUE(prometheus->next(out));
  clusters.clear();
  out.clear();
  while (text->next(out)) {
  }
  EXPECT_FALSE(has_line(out, "cluster.c99.upstream_rq_total: 0"));
  EXPECT_TRUE(has_line(out, "server.live: 1"));
  while (prometheus->next(out)) {
  }
}

TEST_F(ExpositionTest, RefreshesGaugesBeforeAScrape) {
  registry_.on_scrape([this] { server_->uptime.set(77); });
  EXPECT_TRUE(
      has_line(all(make_stats_text(registry_, {}, StatsFormat::kText)), "server.uptime: 77"));
  EXPECT_TRUE(has_line(all(make_prometheus(registry_, {})), "envoy_server_uptime 77"));
}

TEST(Quantile, InterpolatesWithinBuckets) {
  HistogramTotals h;
  EXPECT_EQ(quantile_micros(h, 0.5), 0u);
  h.buckets[0] = 1;  // <= 0.5 ms
  EXPECT_EQ(quantile_micros(h, 0), 0u);
  EXPECT_EQ(quantile_micros(h, 1), 500u);
  h.buckets[3] = 1;  // 5 to 10 ms
  EXPECT_EQ(quantile_micros(h, 0.5), 500u);
  EXPECT_EQ(quantile_micros(h, 0.75), 7500u);
  EXPECT_EQ(quantile_micros(h, 1), 10'000u);
}

TEST(Quantile, EndsTheLastBucketAtItsLowerBound) {
  HistogramTotals h;
  h.buckets[Histogram::kBuckets - 1] = 5;
  EXPECT_EQ(quantile_micros(h, 0.99), Histogram::kBoundsMicros.back());
}

TEST(Quantile, PrintsMillisecondsWithoutUselessZeros) {
  EXPECT_EQ(millis_text(0), "0");
  EXPECT_EQ(millis_text(1500), "1.5");
  EXPECT_EQ(millis_text(7), "0.007");
  EXPECT_EQ(millis_text(120), "0.12");
  EXPECT_EQ(millis_text(3'600'000'000), "3600000");
}

}  // namespace
}  // namespace pillion::stats
