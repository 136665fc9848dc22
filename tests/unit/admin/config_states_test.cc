// What the pages about the configuration say of what was refused, ignored, asked for or waited for.
#include "proxy/base/str.h"
#include "tests/unit/admin/config_dump_fixture.h"

namespace pillion::admin {
namespace {

using namespace std::chrono_literals;

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

// { "version_info": "2", "resources": [ a listener, another one in a Resource ] }, as a file has
// it.
Document response_of_a_file() {
  constexpr std::string_view kListener = "type.googleapis.com/envoy.config.listener.v3.Listener";
  config::TreeBuilder b("lds.yaml");
  b.begin_mapping();
  b.key("version_info").string("2");
  b.key("resources").begin_sequence();
  b.begin_mapping();
  b.key("@type").string(kListener);
  b.key("name").string("plain");
  b.end();
  b.begin_mapping();
  b.key("@type").string("type.googleapis.com/envoy.service.discovery.v3.Resource");
  b.key("resource").begin_mapping();
  b.key("@type").string(kListener);
  b.key("name").string("wrapped");
  for (int open = 4; open > 0; --open) b.end();
  return b.finish();
}

TEST_F(ConfigDumpTest, OfAFileTheRefusedResourceIsShownAndNotAllThatTheFileHas) {
  for (const std::string_view name : {"plain", "wrapped"}) {
    server_.resources.clear();
    add(ConfigResource::Kind::kListener, name, true);
    server_.resources[0].error_state =
        ConfigFailure{WallTime(1795530067s), "2", "bad", response_of_a_file()};
    const std::string body = get("/config_dump").body;
    EXPECT_NE(body.find(str(R"(     "error_state": {
      "failed_configuration": {
       "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
       "name": ")",
                            name, R"("
      },)")),
              std::string::npos)
        << body;
  }
}

TEST_F(ConfigDumpTest, TheClientStatusWritesTheTypeOfAFilesResourceOnce) {
  // In JSON that has a name twice each reader takes another one (RFC 8259, 4).
  const Document file = response_of_a_file();
  server_.resources.push_back({ConfigResource::Kind::kListener, true, "plain", "2",
                               WallTime(1795530067s), file,
                               file->root_value().first_child->next->first_child, std::nullopt});
  EXPECT_NE(get("/csds").body.find(R"(     "xds_config": {
      "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
      "name": "plain"
     },)"),
            std::string::npos)
      << get("/csds").body;
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

TEST_F(ConfigDumpTest, ThatNothingIsWaitedForIsNotToSayThatAllIsInForce) {
  // A control plane that was given up, or a listener that was refused, is not waited for.
  server_.server_state = ServerState::kLive;
  EXPECT_EQ(get("/init_dump?format=text").body,
            "state: LIVE\n"
            "nothing is waited for\n"
            "what was refused or given up: /config_dump (error_state, last_failed), /csds\n"
            "whether a control plane answers: /stats?filter=connected_state\n");
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
  server_.server_state = ServerState::kLive;
  EXPECT_NE(get("/init_dump?mask=cluster&format=text").body.find("waited for by: cluster\n"),
            std::string::npos);
  EXPECT_EQ(get("/init_dump?mask=nosuch").status, 400);
  EXPECT_EQ(get("/init_dump?format=xml").status, 400);
}

}  // namespace
}  // namespace pillion::admin
