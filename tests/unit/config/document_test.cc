#include "proxy/config/document.h"

#include <gtest/gtest.h>

#include "proxy/config/loader.h"
#include "proxy/config/node.h"

namespace pillion::config {
namespace {

TEST(TreeBuilder, BuildsWhatItIsTold) {
  TreeBuilder out("lds/inbound");
  out.begin_mapping();
  out.key("name").string("x");
  out.key("ports").begin_sequence();
  out.number(80);
  out.number(443);
  out.end();
  out.key("on").boolean(true);
  out.end();
  auto document = out.finish();
  Errors errors;
  Node root = document->root(errors);
  EXPECT_EQ(root["name"].as_string(), "x");
  EXPECT_TRUE(root["on"].as_bool());
  EXPECT_EQ(root["ports"].size(), 2U);
  EXPECT_EQ(document->value_count(), 6U);
  for (Node port : root["ports"].items()) (void)port.as_u32(1, 79);
  EXPECT_EQ(errors.to_string(),
            "lds/inbound: ports[0]: expected 1-79, got 80\n"
            "lds/inbound: ports[1]: expected 1-79, got 443\n");
}

TEST(TreeBuilder, LetsDerivedValuesPointToTheirOrigin) {
  Errors errors;
  auto origin = load_text("app:\n  port: 70000\n", "mesh.yaml", errors);
  TreeBuilder out("expanded");
  out.keep_alive(origin);
  out.from(origin->root(errors)["app"]["port"].value());
  out.begin_mapping();
  out.key("port_value").number(70000);
  out.end();
  auto document = out.finish();
  origin.reset();
  (void)document->root(errors)["port_value"].as_u32(1, 65535);
  EXPECT_EQ(errors.to_string(), "mesh.yaml:2:9: app.port: expected 1-65535, got 70000\n");
}

TEST(Document, IsSmallWhenItHoldsLittle) {
  Errors errors;
  auto document = load_text("a: 1\n", "f", errors);
  EXPECT_LE(document->bytes(), 4096U);
}

}  // namespace
}  // namespace pillion::config
