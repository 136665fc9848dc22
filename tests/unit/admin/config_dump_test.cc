#include <gtest/gtest.h>

#include <string>

#include "proxy/admin/config_json.h"
#include "proxy/admin/pages.h"
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

class ConfigDumpTest : public testing::Test {
 protected:
  ConfigDumpTest() {
    add_config_pages(router_, {server_, server_, registry_, {}, [](std::string_view, std::string&) {
                                 return nullptr;
                               }});
  }
  void add(ConfigResource::Kind kind, std::string_view name, bool is_dynamic = false) {
    Document document = named(name);
    const config::Value* root = &document->root_value();
    server_.resources.push_back({kind, is_dynamic, std::string(name), is_dynamic ? "7" : "",
                                 WallTime(1795530067s), std::move(document), root, std::nullopt});
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
  add(ConfigResource::Kind::kEndpoints, "e", true);
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
     "last_updated": "2026-11-24T14:21:07.000Z"
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
     }
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

TEST_F(ConfigDumpTest, IncludesEndpointsWhenAsked) {
  add(ConfigResource::Kind::kEndpoints, "e", true);
  EXPECT_NE(get("/config_dump?include_eds").body.find("\"dynamic_endpoint_configs\": ["),
            std::string::npos);
}

TEST_F(ConfigDumpTest, ShowsARefusedReloadAndToleratedFields) {
  server_.failure = ConfigFailure{WallTime(1795530067s), "", "mesh.yaml:3:1: \"x\""};
  server_.tolerated = {{"foo", 2}};
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

TEST_F(ConfigDumpTest, ShowsWhyAResourceKeptItsPredecessor) {
  add(ConfigResource::Kind::kCluster, "c", true);
  server_.resources[0].error_state = ConfigFailure{WallTime(1795530067s), "8", "bad"};
  EXPECT_NE(get("/config_dump").body.find(R"(     "error_state": {
      "last_update_attempt": "2026-11-24T14:21:07.000Z",
      "details": "bad",
      "version_info": "8"
     })"),
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
  EXPECT_EQ(get("/config_dump?resource=").status, 404);
  EXPECT_EQ(get("/config_dump?mask=a").status, 400);
}

TEST_F(ConfigDumpTest, ComesInPieces) {
  for (int i = 0; i < 3000; ++i) add(ConfigResource::Kind::kCluster, "cluster" + std::to_string(i));
  Response response;
  router_.handle(Request::parse("GET", "/config_dump"), response);
  std::string piece;
  EXPECT_TRUE(response.stream->next(piece));
  EXPECT_LT(piece.size(), 2 * stats::TextSource::kPieceBytes);
}

}  // namespace
}  // namespace pillion::admin
