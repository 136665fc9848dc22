#include "proxy/admin/pages.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/config/document.h"
#include "tests/unit/admin/fake_server.h"

namespace pillion::admin {
namespace {

using namespace std::chrono_literals;

class Contains final : public stats::NameFilter {
 public:
  explicit Contains(std::string_view part) : part_(part) {}
  bool matches(std::string_view name) const override {
    return name.find(part_) != std::string_view::npos;
  }

 private:
  std::string part_;
};

class PagesTest : public testing::Test {
 protected:
  PagesTest() {
    add_pages(router_,
              {server_, server_, registry_, {}, [](std::string_view pattern, std::string& error) {
                 if (pattern == "(") error = "missing )";
                 return error.empty() ? std::make_shared<Contains>(pattern) : nullptr;
               }});
  }
  Response get(std::string_view target, std::string_view method = "GET") {
    Response response;
    router_.handle(Request::parse(method, target), response);
    if (response.stream != nullptr) {
      while (response.stream->next(response.body)) {
      }
    }
    return response;
  }
  Response post(std::string_view target) { return get(target, "POST"); }

  stats::Registry registry_;
  FakeServer server_;
  Router router_;
};

TEST_F(PagesTest, ReadyIsLiveOrTheNameOfTheState) {
  EXPECT_EQ(get("/ready").status, 200);
  EXPECT_EQ(get("/ready").body, "LIVE\n");
  server_.server_state = ServerState::kDraining;
  EXPECT_EQ(get("/ready").status, 503);
  EXPECT_EQ(get("/ready").body, "DRAINING\n");
  server_.server_state = ServerState::kInitializing;
  EXPECT_EQ(get("/ready").body, "INITIALIZING\n");
}

TEST_F(PagesTest, ServerInfoShowsVersionStateAndTheBadReload) {
  EXPECT_EQ(get("/server_info").body,
            "{\n \"version\": \"pillion/1.2.3\",\n \"state\": \"LIVE\",\n"
            " \"uptime_current_epoch\": \"53s\",\n \"uptime_all_epochs\": \"53s\",\n"
            " \"hot_restart_version\": \"disabled\",\n"
            " \"command_line_options\": {\n  \"concurrency\": 2\n },\n"
            " \"node\": {\n  \"id\": \"n\\\"1\"\n }\n}");
  server_.failure = ConfigFailure{WallTime(1795530067s + 957ms), "", "a.yaml:1:2: x: bad"};
  EXPECT_NE(get("/server_info")
                .body.find(" \"last_failed_reload\": {\n"
                           "  \"last_update_attempt\": \"2026-11-24T14:21:07.957Z\",\n"
                           "  \"details\": \"a.yaml:1:2: x: bad\"\n }\n}"),
            std::string::npos)
      << get("/server_info").body;
}

TEST_F(PagesTest, StatsAnswersInEachFormat) {
  const auto stats = registry_.block<stats::TcpStats>(0, "p");
  stats->downstream_cx_total.add(3);
  EXPECT_EQ(get("/stats?usedonly").body, "tcp.p.downstream_cx_total: 3\n");
  EXPECT_EQ(get("/stats?usedonly&format=json").body,
            "{\"stats\":[{\"name\":\"tcp.p.downstream_cx_total\",\"value\":3}]}");
  EXPECT_EQ(get("/stats?usedonly&format=json").content_type, "application/json");
  EXPECT_EQ(get("/stats?filter=tcp.p.idle").body, "tcp.p.idle_timeout: 0\n");
  EXPECT_EQ(get("/stats?usedonly&type=Gauges").body, "");
  const std::string prometheus =
      "# HELP envoy_tcp_downstream_cx_total Connections handled\n"
      "# TYPE envoy_tcp_downstream_cx_total counter\n"
      "envoy_tcp_downstream_cx_total{envoy_tcp_prefix=\"p\"} 3\n";
  EXPECT_EQ(get("/stats?usedonly&format=prometheus").body, prometheus);
  EXPECT_EQ(get("/stats/prometheus?usedonly").body, prometheus);
  EXPECT_EQ(get("/stats/prometheus").content_type, "text/plain; version=0.0.4; charset=utf-8");
}

TEST_F(PagesTest, TextReadoutsComeFirst) {
  const auto stats = registry_.block<stats::TcpStats>(0, "p");
  stats->downstream_cx_total.add(3);
  server_.texts = {{"a.empty", ""}, {"control_plane.identifier", "x\"1\""}};
  EXPECT_EQ(get("/stats?usedonly").body,
            "control_plane.identifier: \"x\\\"1\\\"\"\ntcp.p.downstream_cx_total: 3\n");
  EXPECT_EQ(get("/stats?type=TextReadouts").body,
            "a.empty: \"\"\ncontrol_plane.identifier: \"x\\\"1\\\"\"\n");
  EXPECT_EQ(get("/stats?usedonly&type=TextReadouts&format=json").body,
            "{\"stats\":[{\"name\":\"control_plane.identifier\",\"value\":\"x\\\"1\\\"\"}]}");
  EXPECT_EQ(get("/stats?usedonly&type=Counters").body, "tcp.p.downstream_cx_total: 3\n");
}

TEST_F(PagesTest, StatsRefusesWhatItDoesNotKnow) {
  for (const char* target : {"/stats?filter=(", "/stats?format=html", "/stats?type=Foo",
                             "/stats?histogram_buckets=detailed", "/stats/prometheus?filter=("}) {
    EXPECT_EQ(get(target).status, 400) << target;
  }
  EXPECT_EQ(get("/stats?filter=(").body, "Invalid re2 regex: missing )\n");
}

TEST_F(PagesTest, ResetCountersSetsThemToZero) {
  const auto stats = registry_.block<stats::TcpStats>(0, "p");
  stats->downstream_cx_total.add(3);
  EXPECT_EQ(get("/reset_counters").status, 405);
  EXPECT_EQ(post("/reset_counters").body, "OK\n");
  EXPECT_EQ(get("/stats?usedonly").body, "");
}

ClusterStatus orders() {
  ClusterStatus cluster;
  cluster.name = "orders";
  cluster.observability_name = "orders";
  HostStatus host;
  host.address = io::Address::ipv4(0x0a000007, 8080);
  host.hostname = "orders.shop";
  host.cx_total = 4;
  host.rq_success = 9;
  host.rq_active = 1;
  host.zone = "z1";
  host.failed_outlier_check = true;
  cluster.hosts.push_back(host);
  return cluster;
}

TEST_F(PagesTest, ClustersPrintsEnvoysText) {
  server_.clusters = {orders()};
  EXPECT_EQ(get("/clusters").body,
            "orders::observability_name::orders\n"
            "orders::default_priority::max_connections::1024\n"
            "orders::default_priority::max_pending_requests::1024\n"
            "orders::default_priority::max_requests::1024\n"
            "orders::default_priority::max_retries::3\n"
            "orders::high_priority::max_connections::1024\n"
            "orders::high_priority::max_pending_requests::1024\n"
            "orders::high_priority::max_requests::1024\n"
            "orders::high_priority::max_retries::3\n"
            "orders::added_via_api::false\n"
            "orders::10.0.0.7:8080::cx_active::0\n"
            "orders::10.0.0.7:8080::cx_connect_fail::0\n"
            "orders::10.0.0.7:8080::cx_total::4\n"
            "orders::10.0.0.7:8080::rq_active::1\n"
            "orders::10.0.0.7:8080::rq_error::0\n"
            "orders::10.0.0.7:8080::rq_pending_active::0\n"
            "orders::10.0.0.7:8080::rq_success::9\n"
            "orders::10.0.0.7:8080::rq_timeout::0\n"
            "orders::10.0.0.7:8080::rq_total::0\n"
            "orders::10.0.0.7:8080::hostname::orders.shop\n"
            "orders::10.0.0.7:8080::health_flags::/failed_outlier_check\n"
            "orders::10.0.0.7:8080::weight::1\n"
            "orders::10.0.0.7:8080::region::\n"
            "orders::10.0.0.7:8080::zone::z1\n"
            "orders::10.0.0.7:8080::sub_zone::\n"
            "orders::10.0.0.7:8080::canary::false\n"
            "orders::10.0.0.7:8080::priority::0\n"
            "orders::10.0.0.7:8080::success_rate::-1\n"
            "orders::10.0.0.7:8080::local_origin_success_rate::-1\n");
}

TEST_F(PagesTest, ClustersPrintsEnvoysJson) {
  server_.clusters = {orders()};
  EXPECT_EQ(get("/clusters?format=json").body, R"({
 "cluster_statuses": [
  {
   "name": "orders",
   "host_statuses": [
    {
     "address": {
      "socket_address": {
       "address": "10.0.0.7",
       "port_value": 8080
      }
     },
     "stats": [
      {
       "name": "cx_connect_fail"
      },
      {
       "value": "4",
       "name": "cx_total"
      },
      {
       "name": "rq_error"
      },
      {
       "value": "9",
       "name": "rq_success"
      },
      {
       "name": "rq_timeout"
      },
      {
       "name": "rq_total"
      },
      {
       "type": "GAUGE",
       "name": "cx_active"
      },
      {
       "type": "GAUGE",
       "value": "1",
       "name": "rq_active"
      },
      {
       "type": "GAUGE",
       "name": "rq_pending_active"
      }
     ],
     "health_status": {
      "failed_outlier_check": true,
      "eds_health_status": "HEALTHY"
     },
     "weight": 1,
     "hostname": "orders.shop",
     "locality": {
      "zone": "z1"
     }
    }
   ],
   "circuit_breakers": {
    "thresholds": [
     {
      "max_connections": 1024,
      "max_pending_requests": 1024,
      "max_requests": 1024,
      "max_retries": 3
     },
     {
      "priority": "HIGH",
      "max_connections": 1024,
      "max_pending_requests": 1024,
      "max_requests": 1024,
      "max_retries": 3
     }
    ]
   },
   "observability_name": "orders"
  }
 ]
})");
}

TEST_F(PagesTest, ClustersFiltersByName) {
  server_.clusters = {orders(), orders()};
  server_.clusters[1].name = "users";
  EXPECT_TRUE(get("/clusters?filter=users").body.starts_with("users::"));
  EXPECT_EQ(get("/clusters?filter=users").body.find("orders::default"), std::string::npos);
  EXPECT_EQ(get("/clusters?format=xml").status, 400);
}

TEST_F(PagesTest, ClustersKeepsAHostileNameOnItsLine) {
  ClusterStatus cluster;
  cluster.name = "a\nforged::added_via_api::true";
  server_.clusters = {cluster};
  EXPECT_TRUE(get("/clusters").body.starts_with("a_forged::"));
}

TEST_F(PagesTest, ListenersPrintsTextAndJson) {
  server_.listener_list = {{"inbound", {io::Address::ipv4(0, 15006)}},
                           {"uds", {io::Address::unix_path("/run/p.sock")}}};
  EXPECT_EQ(get("/listeners").body, "inbound::0.0.0.0:15006\nuds::unix:/run/p.sock\n");
  EXPECT_EQ(get("/listeners?format=json").body, R"({
 "listener_statuses": [
  {
   "name": "inbound",
   "local_address": {
    "socket_address": {
     "address": "0.0.0.0",
     "port_value": 15006
    }
   }
  },
  {
   "name": "uds",
   "local_address": {
    "pipe": {
     "path": "/run/p.sock"
    }
   }
  }
 ]
})");
}

TEST_F(PagesTest, CertsPrintsChainsAndDays) {
  CertificateStatus leaf{"certs/users.crt",
                         "65c9",
                         {{"uri", "spiffe://mesh.local/ns/shop/sa/users"}},
                         WallTime(1795530067s),
                         wall_now() + 49h};
  server_.certificate_list = {{{}, {leaf}}};
  const std::string body = get("/certs").body;
  EXPECT_TRUE(body.starts_with(R"({
 "certificates": [
  {
   "ca_cert": [],
   "cert_chain": [
    {
     "path": "certs/users.crt",
     "serial_number": "65c9",
     "subject_alt_names": [
      {
       "uri": "spiffe://mesh.local/ns/shop/sa/users"
      }
     ],
     "days_until_expiration": "2",
     "valid_from": "2026-11-24T14:21:07.000Z",
)")) << body;
}

TEST_F(PagesTest, MemoryShowsWhatTheProcessUses) {
  const std::string body = get("/memory").body;
  EXPECT_NE(body.find("\"total_physical_bytes\": \""), std::string::npos);
  EXPECT_EQ(body.find("\"total_physical_bytes\": \"0\""), std::string::npos);
  EXPECT_NE(body.find("\"allocated\": \""), std::string::npos);  // 0 under sanitizers
}

TEST_F(PagesTest, RuntimePrintsLayers) {
  EXPECT_EQ(get("/runtime").body, "{\n \"layers\": [],\n \"entries\": {}\n}");
  server_.runtime_status = {{"static"}, {{"a.b", {"5", {"5"}}}}};
  EXPECT_EQ(get("/runtime").body,
            "{\n \"layers\": [\n  \"static\"\n ],\n \"entries\": {\n  \"a.b\": {\n"
            "   \"final_value\": \"5\",\n   \"layer_values\": [\n    \"5\"\n   ]\n  }\n }\n}");
}

TEST_F(PagesTest, RuntimeModifySetsKeysOrSaysWhyNot) {
  EXPECT_EQ(post("/runtime_modify?a=b").status, 503);
  EXPECT_EQ(post("/runtime_modify?a=b").body, "No admin layer specified\n");
  server_.has_admin_layer = true;
  EXPECT_EQ(post("/runtime_modify").status, 400);
  EXPECT_EQ(get("/runtime_modify?a=b").status, 405);
  EXPECT_TRUE(server_.modified.empty());
  EXPECT_EQ(post("/runtime_modify?a=b&c=").body, "OK\n");
  EXPECT_EQ(server_.modified, (Pairs{{"a", "b"}, {"c", ""}}));
}

TEST_F(PagesTest, ActionsWantPostAndSayOk) {
  for (const char* path : {"/healthcheck/fail", "/healthcheck/ok", "/reopen_logs",
                           "/drain_listeners?graceful&inboundonly", "/quitquitquit"}) {
    EXPECT_EQ(get(path).status, 405) << path;
    EXPECT_TRUE(server_.done.empty() || server_.done.back() != path);
  }
  EXPECT_TRUE(server_.done.empty());
  EXPECT_EQ(post("/healthcheck/fail").body, "OK\n");
  post("/healthcheck/ok");
  post("/reopen_logs");
  post("/drain_listeners");
  post("/drain_listeners?graceful&inboundonly");
  post("/drain_listeners?skip_exit");
  post("/quitquitquit");
  EXPECT_EQ(server_.done,
            (std::vector<std::string>{"fail", "ok", "reopen", "drain", "drain inbound graceful",
                                      "drain skip_exit", "quit"}));
}

TEST_F(PagesTest, LoggingListsAndChangesLevels) {
  EXPECT_EQ(post("/logging").body, "active loggers:\n  config: info\n  main: info\n\n");
  EXPECT_EQ(post("/logging?level=debug").body,
            "active loggers:\n  config: debug\n  main: debug\n\n");
  EXPECT_EQ(post("/logging?main=warn").body,
            "active loggers:\n  config: debug\n  main: warning\n\n");
  EXPECT_EQ(post("/logging?paths=main:error,config:off").body,
            "active loggers:\n  config: off\n  main: error\n\n");
}

TEST_F(PagesTest, LoggingChangesNothingWhenAnythingIsUnknown) {
  for (const char* target : {"/logging?level=loud", "/logging?nosuch=info", "/logging?=info",
                             "/logging?paths=main:debug,nosuch:debug", "/logging?paths=main"}) {
    EXPECT_EQ(post(target).status, 400) << target;
    EXPECT_EQ(server_.logger_levels[1].second, "info") << target;
  }
}

TEST_F(PagesTest, HelpAndHomeListEveryPage) {
  const std::string help = get("/help").body;
  const std::string home = get("/").body;
  for (const Page& page : router_.pages()) {
    EXPECT_NE(help.find(page.path + (page.changes_state ? " (POST): " : ": ")), std::string::npos);
    if (page.path != "/") {
      EXPECT_NE(home.find("\"" + page.path + "\""), std::string::npos) << page.path;
    }
  }
  EXPECT_EQ(get("/").content_type, "text/html; charset=UTF-8");
}

}  // namespace
}  // namespace pillion::admin
