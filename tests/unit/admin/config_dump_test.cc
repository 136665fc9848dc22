// /config_dump: what it lists, filters, masks, and that it comes in pieces.
#include "proxy/base/json.h"
#include "proxy/base/str.h"
#include "tests/unit/admin/config_dump_fixture.h"

namespace pillion::admin {
namespace {

using namespace std::chrono_literals;

TEST_F(ConfigDumpTest, IsEnvoysDump) {
  add(ConfigResource::Kind::kListener, "in");
  add(ConfigResource::Kind::kListener, "dyn", true);
  add(ConfigResource::Kind::kCluster, "c2", true);
  add(ConfigResource::Kind::kCluster, "c1");
  add(ConfigResource::Kind::kBootstrap, "");
  server_.clusters_version = "9";
  EXPECT_EQ(get("/config_dump").body, R"({
 "configs": [
  {
   "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
   "bootstrap": {
    "name": ""
   },
   "last_updated": "2026-11-24T14:21:07.000Z"
  },
  {
   "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
   "version_info": "9",
   "static_clusters": [
    {
     "cluster": {
      "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
      "name": "c1"
     },
     "last_updated": "2026-11-24T14:21:07.000Z"
    }
   ],
   "dynamic_active_clusters": [
    {
     "version_info": "7",
     "cluster": {
      "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
      "name": "c2"
     },
     "last_updated": "2026-11-24T14:21:07.000Z",
     "client_status": "ACKED"
    }
   ]
  },
  {
   "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
   "static_listeners": [
    {
     "listener": {
      "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
      "name": "in"
     },
     "last_updated": "2026-11-24T14:21:07.000Z"
    }
   ],
   "dynamic_listeners": [
    {
     "name": "dyn",
     "active_state": {
      "version_info": "7",
      "listener": {
       "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
       "name": "dyn"
      },
      "last_updated": "2026-11-24T14:21:07.000Z"
     },
     "client_status": "ACKED"
    }
   ]
  },
  {
   "@type": "type.googleapis.com/envoy.admin.v3.ScopedRoutesConfigDump"
  },
  {
   "@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump"
  },
  {
   "@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump"
  }
 ]
})");
}

TEST_F(ConfigDumpTest, AListenerShowsWhatWaitsBesideWhatIsInForce) {
  add(ConfigResource::Kind::kListener, "dyn", true);
  add(ConfigResource::Kind::kListener, "dyn", true);
  server_.resources[1].is_warming = true;
  server_.resources[1].version = "8";
  add(ConfigResource::Kind::kListener, "gone", true);
  server_.resources[2].is_draining = true;
  server_.resources[2].value = nullptr;
  const std::string body = get("/config_dump?resource=dynamic_listeners&mask=name,active_state."
                               "version_info,warming_state.version_info,draining_state")
                               .body;
  EXPECT_EQ(body, R"({
 "configs": [
  {
   "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump.DynamicListener",
   "name": "dyn",
   "active_state": {
    "version_info": "7"
   },
   "warming_state": {
    "version_info": "8"
   }
  },
  {
   "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump.DynamicListener",
   "name": "gone",
   "draining_state": {
    "version_info": "7",
    "last_updated": "2026-11-24T14:21:07.000Z"
   }
  }
 ]
})");
}

TEST_F(ConfigDumpTest, ClustersAndSecretsThatWaitHaveListsOfTheirOwn) {
  add(ConfigResource::Kind::kCluster, "c", true);
  add(ConfigResource::Kind::kSecret, "s", true);
  for (ConfigResource& one : server_.resources) one.is_warming = true;
  const std::string body = get("/config_dump").body;
  EXPECT_NE(body.find("\"dynamic_warming_clusters\""), std::string::npos);
  EXPECT_NE(body.find("\"dynamic_warming_secrets\""), std::string::npos);
  EXPECT_EQ(body.find("active"), std::string::npos);
}

TEST_F(ConfigDumpTest, EndpointsAreThoseOfTheClustersWithTheirHealth) {
  add(ConfigResource::Kind::kCluster, "c", true);
  ClusterStatus cluster;
  cluster.name = "c";
  cluster.eds_service_name = "c-eds";
  cluster.hosts.resize(3);
  for (HostStatus& host : cluster.hosts) host.address = *io::Address::parse_ip("10.0.0.1", 80);
  cluster.hosts[0].zone = "b";
  cluster.hosts[1].zone = "a";
  cluster.hosts[1].failed_outlier_check = true;
  cluster.hosts[2].zone = "b";
  cluster.hosts[2].weight = 7;
  server_.clusters.push_back(cluster);
  EXPECT_EQ(get("/config_dump").body.find("EndpointsConfigDump"), std::string::npos);
  const std::string body = get("/config_dump?include_eds&resource=dynamic_endpoint_configs").body;
  const auto document = JsonDocument::parse(body);
  ASSERT_TRUE(document) << body;
  const Json assignment = document->root()["configs"].items()[0]["endpoint_config"];
  EXPECT_EQ(assignment["cluster_name"].as_string(), "c-eds");
  const auto groups = assignment["endpoints"].items();
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0]["locality"]["zone"].as_string(), "a");
  EXPECT_EQ(groups[0]["lb_endpoints"].items()[0]["health_status"].as_string(), "UNHEALTHY");
  EXPECT_EQ(groups[1]["lb_endpoints"].size(), 2U);
  EXPECT_EQ(groups[1]["lb_endpoints"].items()[1]["load_balancing_weight"].as_int(), 7);
  EXPECT_EQ(get("/config_dump?resource=dynamic_endpoint_configs").status, 404);
}

TEST_F(ConfigDumpTest, EndpointsThatWereRefusedSaySoAtTheirCluster) {
  for (const char* name : {"c", "d"}) {
    add(ConfigResource::Kind::kCluster, name, true);
    ClusterStatus cluster;
    cluster.name = name;
    cluster.eds_service_name = str(name, "-eds");
    server_.clusters.push_back(cluster);
    add(ConfigResource::Kind::kEndpoints, cluster.eds_service_name, true);
  }
  ConfigResource& refused = server_.resources.back();
  refused.error_state = ConfigFailure{WallTime(std::chrono::seconds(1795530068)), "8", "bad"};
  refused.client_status = ClientStatus::kNacked;
  const std::string body = get("/config_dump?include_eds&resource=dynamic_endpoint_configs").body;
  const auto document = JsonDocument::parse(body);
  ASSERT_TRUE(document) << body;
  const auto entries = document->root()["configs"].items();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_TRUE(entries[0]["error_state"].is_missing());
  EXPECT_EQ(entries[1]["endpoint_config"]["cluster_name"].as_string(), "d-eds");
  EXPECT_EQ(entries[1]["error_state"]["details"].as_string(), "bad");
  EXPECT_EQ(entries[1]["error_state"]["version_info"].as_string(), "8");
  EXPECT_EQ(entries[1]["client_status"].as_string(), "NACKED");
}

TEST_F(ConfigDumpTest, RoutesThatListenersHoldAreStatic) {
  config::TreeBuilder b("test");
  b.begin_mapping();
  b.key("name").string("in");
  b.key("filter_chains").begin_sequence();
  b.begin_mapping();
  b.key("filters").begin_sequence();
  b.begin_mapping();
  b.key("typed_config").begin_mapping();
  b.key("route_config").begin_mapping();
  b.key("name").string("local");
  for (int open = 7; open > 0; --open) b.end();
  const Document document = b.finish();
  server_.resources.push_back({ConfigResource::Kind::kListener, false, "in", "", WallTime(1s),
                               document, &document->root_value(), std::nullopt});
  add(ConfigResource::Kind::kRoute, "rds", true);
  const auto dump = JsonDocument::parse(get("/config_dump?mask=static_route_configs").body);
  ASSERT_TRUE(dump);
  const Json routes = dump->root()["configs"].items()[0];
  EXPECT_EQ(routes["static_route_configs"].items()[0]["route_config"]["name"].as_string(), "local");
  EXPECT_TRUE(routes["dynamic_route_configs"].is_missing());
}

TEST_F(ConfigDumpTest, AMaskChoosesFieldsByTheRulesOfEnvoy) {
  add(ConfigResource::Kind::kBootstrap, "");
  add(ConfigResource::Kind::kCluster, "c", true);
  const std::string_view list = "/config_dump?resource=dynamic_active_clusters";
  EXPECT_EQ(get(str(list, "&mask=cluster.name,client_status")).body, R"({
 "configs": [
  {
   "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.DynamicCluster",
   "cluster": {
    "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "name": "c"
   },
   "client_status": "ACKED"
  }
 ]
})");
  EXPECT_EQ(get("/config_dump?mask=bootstrap.name").body, R"({
 "configs": [
  {
   "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
   "bootstrap": {
    "name": ""
   }
  }
 ]
})");
  EXPECT_EQ(get("/config_dump?mask=").status, 200);
  for (const std::string_view mask :
       {"nosuch", "bootstrap,nosuch", "static_clusters.cluster", "dynamicActiveClusters"})
    EXPECT_EQ(get(str("/config_dump?mask=", mask)).status, 400) << mask;
  for (const std::string_view mask :
       {"cluster", "nosuch", "bootstrap", "cluster.unknown", "name", "last_updated.x"})
    EXPECT_EQ(get(str(list, "&mask=", mask)).status, 400) << mask;
  for (const std::string_view mask : {"active_state.listener.name", "last_updated"})
    EXPECT_EQ(get(str("/config_dump?resource=dynamic_listeners&mask=", mask)).status, 400) << mask;
}

TEST_F(ConfigDumpTest, AFilterLeavesTheBootstrapAlone) {
  add(ConfigResource::Kind::kBootstrap, "");
  add(ConfigResource::Kind::kCluster, "c", true);
  filter_ = std::make_shared<NoName>();
  const std::string body = get("/config_dump?name_regex=x").body;
  EXPECT_NE(body.find("\"bootstrap\": {"), std::string::npos);
  EXPECT_EQ(body.find("\"c\""), std::string::npos);
  EXPECT_EQ(get("/config_dump?resource=dynamic_active_clusters&name_regex=x").body, "{}");
}

TEST_F(ConfigDumpTest, AResourceThatIsMadeWhenShownIsShown) {
  add(ConfigResource::Kind::kCluster, "c", true);
  server_.resources[0].value = nullptr;
  server_.resources[0].document = nullptr;
  server_.resources[0].make_document = [] { return named("made"); };
  EXPECT_NE(get("/config_dump").body.find("\"made\""), std::string::npos);
  EXPECT_NE(get("/csds").body.find("\"made\""), std::string::npos);
}

TEST_F(ConfigDumpTest, DumpsOneListWhenAsked) {
  add(ConfigResource::Kind::kCluster, "c1");
  add(ConfigResource::Kind::kCluster, "c2", true);
  const std::string body = get("/config_dump?resource=static_clusters").body;
  EXPECT_NE(body.find("\"c1\""), std::string::npos);
  EXPECT_EQ(body.find("\"c2\""), std::string::npos);
  EXPECT_EQ(get("/config_dump?resource=nosuch").status, 404);
  EXPECT_EQ(get("/config_dump?resource=").status, 200);
  const Response single = get("/config_dump?resource=bootstrap");
  EXPECT_EQ(single.status, 400);
  EXPECT_EQ(single.body,
            "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field\n");
}

TEST_F(ConfigDumpTest, ComesInPieces) {
  for (int i = 0; i < 3000; ++i) add(ConfigResource::Kind::kCluster, "cluster" + std::to_string(i));
  Response response;
  router_.handle(Request::parse("GET", "/config_dump"), response);
  std::string piece;
  EXPECT_TRUE(response.stream->next(piece));
  EXPECT_LT(piece.size(), 2 * stats::TextSource::kPieceBytes);
}

TEST_F(ConfigDumpTest, OneHugeResourceComesInPiecesToo) {
  config::TreeBuilder b("test");
  b.begin_mapping();
  b.key("virtual_hosts").begin_sequence();
  for (int i = 0; i < 100'000; ++i) b.number(7);
  b.end();
  b.end();
  const Document document = b.finish();
  for (const bool is_dynamic : {false, true})
    server_.resources.push_back({ConfigResource::Kind::kCluster, is_dynamic, "c", "", WallTime(1s),
                                 document, &document->root_value(), std::nullopt});
  for (const std::string_view path : {"/config_dump", "/csds"}) {
    Response response;
    router_.handle(Request::parse("GET", path), response);
    std::string all, piece;
    bool has_more = true;
    while (has_more) {
      piece.clear();
      has_more = response.stream->next(piece);
      EXPECT_LT(piece.size(), 2 * stats::TextSource::kPieceBytes);
      all += piece;
    }
    EXPECT_GT(all.size(), 1'000'000U);
    EXPECT_TRUE(JsonDocument::parse(all)) << path;
  }
}

}  // namespace
}  // namespace pillion::admin
