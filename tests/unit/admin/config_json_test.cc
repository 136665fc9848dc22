// Values of a configuration as JSON: the types of scalars, and what is redacted.
#include "proxy/admin/config_json.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "proxy/base/json.h"

namespace pillion::admin {
namespace {

using Document = std::shared_ptr<const config::Document>;

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

}  // namespace
}  // namespace pillion::admin
