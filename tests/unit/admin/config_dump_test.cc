#include <gtest/gtest.h>

#include <string>

#include "proxy/admin/config_json.h"
#include "proxy/admin/pages.h"
#include "proxy/base/json.h"
#include "proxy/base/str.h"
#include "tests/unit/admin/fake_server.h"

namespace pillion::admin {
namespace {

using namespace std::chrono_literals;
using Document = std::shared_ptr<const config::Document>;

// { name: NAME, FIELD: { FIELD2: VALUE } }
Document named(std::string_view name) {
  config::TreeBuilder b("test");
  b.begin_mapping();
  b.key("name").string(name);
  b.end();
  return b.finish();
}

std::string redacted(const Document& document) {
  std::string out;
  JsonWriter json(out, JsonWriter::Style::kCompact);
  write_redacted(json, document->root_value());
  return out;
}

TEST(ConfigJson, KeepsTheTypesOfScalars) {
  config::TreeBuilder b("test");
  b.begin_sequence();
  for (const char* text : {"1", "-2.5e3", "true", "1.5s", "0x10", "007", "yes", "-", "1.", "nan"}) {
    b.plain(text);
  }
  b.string("8080");
  b.null();
  b.end();
  EXPECT_EQ(redacted(b.finish()),
            "[1,-2.5e3,true,\"1.5s\",\"0x10\",\"007\",\"yes\",\"-\",\"1.\",\"nan\",\"8080\",null]");
}

TEST(ConfigJson, RedactsSecretsInEitherSpellingAndKeepsTheirPlaces) {
  config::TreeBuilder b("test");
  b.begin_mapping();
  for (const char* key : {"private_key", "privateKey"}) {
    b.key(key).begin_mapping();
    b.key("inline_string").string("-----BEGIN");
    b.key("filename").string("/k.pem");
    b.end();
  }
  b.key("session_ticket_keys").begin_mapping();
  b.key("keys").begin_sequence();
  b.begin_mapping();
  b.key("inline_bytes").plain("c2VjcmV0");
  b.end();
  b.end();
  b.end();
  b.key("password").plain("12345");
  b.key("private_key_size").plain("256");
  b.end();
  EXPECT_EQ(redacted(b.finish()),
            "{\"private_key\":{\"inline_string\":\"[redacted]\",\"filename\":\"/k.pem\"},"
            "\"privateKey\":{\"inline_string\":\"[redacted]\",\"filename\":\"/k.pem\"},"
            "\"session_ticket_keys\":{\"keys\":[{\"inline_bytes\":\"[redacted]\"}]},"
            "\"password\":\"[redacted]\",\"private_key_size\":256}");
}

struct NoName final : stats::NameFilter {
  bool matches(std::string_view) const override { return false; }
};

class ConfigDumpTest : public testing::Test {
 protected:
  ConfigDumpTest() {
    const PageContext context{
        server_,
        server_,
        registry_,
        {},
        [this](std::string_view, std::string&) { return filter_; },
        [](std::string_view, std::string_view path) { return path == "name"; }};
    add_config_pages(router_, context);
    add_wait_pages(router_, context);
  }
  void add(ConfigResource::Kind kind, std::string_view name, bool is_dynamic = false) {
    Document document = named(name);
    const config::Value* root = &document->root_value();
    server_.resources.push_back({kind, is_dynamic, std::string(name), is_dynamic ? "7" : "",
                                 WallTime(1795530067s), std::move(document), root, std::nullopt});
    if (is_dynamic) server_.resources.back().client_status = ClientStatus::kAcked;
  }
  Response get(std::string_view target) {
    Response response;
    router_.handle(Request::parse("GET", target), response);
    if (response.stream != nullptr) {
      while (response.stream->next(response.body)) {
      }
    }
    return response;
  }
  std::shared_ptr<const stats::NameFilter> filter_;
  stats::Registry registry_;
  FakeServer server_;
  Router router_;
};

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

TEST_F(ConfigDumpTest, NamesOfIgnoredFieldsAreAPageOfTheirOwn) {
  server_.tolerated["foo"] = {2, "cds/c"};
  EXPECT_EQ(get("/config_dump?unsupported").body, R"({
 "unsupported": [
  {
   "field": "foo",
   "count": 2,
   "example": "cds/c"
  }
 ]
})");
}

TEST_F(ConfigDumpTest, ShowsARefusedReloadAndToleratedFields) {
  server_.failure = ConfigFailure{WallTime(1795530067s), "", "mesh.yaml:3:1: \"x\""};
  server_.tolerated = {{"foo", {2, "mesh.yaml:4:1: foo"}}};
  EXPECT_TRUE(get("/config_dump").body.ends_with(R"( ],
 "last_failed": {
  "last_update_attempt": "2026-11-24T14:21:07.000Z",
  "details": "mesh.yaml:3:1: \"x\""
 },
 "unknown_fields": {
  "foo": 2
 }
})")) << get("/config_dump").body;
}

TEST_F(ConfigDumpTest, ListsFieldsThatHaveNoEffect) {
  server_.tolerated = {
      {"envoy.config.cluster.v3.Cluster.lrs_server", {7, "cds/users: lrs_server"}}};
  EXPECT_EQ(get("/config_dump?unsupported").body, R"({
 "unsupported": [
  {
   "field": "envoy.config.cluster.v3.Cluster.lrs_server",
   "count": 7,
   "example": "cds/users: lrs_server"
  }
 ]
})");
}

TEST_F(ConfigDumpTest, ShowsWhyAResourceKeptItsPredecessor) {
  add(ConfigResource::Kind::kCluster, "c", true);
  server_.resources[0].error_state =
      ConfigFailure{WallTime(1795530067s), "8", "bad", named("refused")};
  EXPECT_NE(get("/config_dump").body.find(R"(     "error_state": {
      "failed_configuration": {
       "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
       "name": "refused"
      },
      "last_update_attempt": "2026-11-24T14:21:07.000Z",
      "details": "bad",
      "version_info": "8"
     },
     "client_status": "ACKED")"),
            std::string::npos)
      << get("/config_dump").body;
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

TEST_F(ConfigDumpTest, TheClientStatusTellsWhatWasAskedForAndWhatCame) {
  add(ConfigResource::Kind::kCluster, "static");
  add(ConfigResource::Kind::kCluster, "c", true);
  server_.resources.back().error_state = ConfigFailure{WallTime(1795530067s), "8", "bad"};
  server_.resources.back().client_status = ClientStatus::kNacked;
  ConfigResource missing;
  missing.kind = ConfigResource::Kind::kRoute;
  missing.is_dynamic = true;
  missing.name = "r";
  missing.client_status = ClientStatus::kRequested;
  server_.missing_resources.push_back(missing);
  EXPECT_EQ(get("/csds?exclude_resource_contents").body, R"({
 "config": [
  {
   "node": {
    "id": "n\"1"
   },
   "generic_xds_configs": [
    {
     "type_url": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
     "name": "r",
     "config_status": "NOT_SENT",
     "client_status": "REQUESTED"
    },
    {
     "type_url": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
     "name": "c",
     "version_info": "7",
     "last_updated": "2026-11-24T14:21:07.000Z",
     "config_status": "ERROR",
     "client_status": "NACKED",
     "error_state": {
      "last_update_attempt": "2026-11-24T14:21:07.000Z",
      "details": "bad",
      "version_info": "8"
     }
    }
   ]
  }
 ]
})");
}

TEST_F(ConfigDumpTest, WhatIsWaitedForIsToldToToolsAndToPeople) {
  EXPECT_EQ(get("/init_dump").body, "{}");
  server_.wait_list = {
      {Wait::Kind::kServer, "", {"target LDS"}, {"the listeners"}},
      {Wait::Kind::kRuntime, "", {"target RTDS l"}, {"the layer \"l\""}},
      {Wait::Kind::kListener, "in", {"shared target RDS init r"}, {"the routes \"r\""}}};
  server_.server_state = ServerState::kInitializing;
  EXPECT_EQ(get("/init_dump?mask=listener").body, R"({
 "unready_targets_dumps": [
  {
   "name": "init manager Listener-local-init-manager in",
   "target_names": [
    "shared target RDS init r"
   ]
  }
 ]
})");
  EXPECT_EQ(get("/init_dump?format=text").body,
            "state: INITIALIZING\n"
            "the process waits for:\n"
            "  - the listeners\n"
            "the runtime waits for:\n"
            "  - the layer \"l\"\n"
            "listener \"in\" waits for:\n"
            "  - the routes \"r\"\n");
  EXPECT_EQ(get("/init_dump?mask=nosuch").status, 400);
  EXPECT_EQ(get("/init_dump?format=xml").status, 400);
}

}  // namespace
}  // namespace pillion::admin
