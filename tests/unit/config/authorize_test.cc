// inbound.authorize: what its rules become.  What is wrong with them: tests/data/config/bad/short/.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/unit/config/expanded.h"

namespace pillion::config {
namespace {

constexpr std::string_view kGuarded =
    "workload:\n"
    "  trust_domain: mesh.local\n"
    "  certificates: { files: { cert: u.crt, key: u.key, ca: ca.crt } }\n"
    "inbound:\n"
    "  app: 127.0.0.1:8080\n"
    "  authorize:\n"
    "    - allow: { from: [ \"spiffe://mesh.local/a\", \"spiffe://mesh.local/ns/*\" ],\n"
    "               methods: [ GET ], paths: [ /users, \"/users/*\" ] }\n"
    "    - deny: { ports: [ 22, 23 ] }\n"
    "    - allow: { from: [ \"spiffe://mesh.local/b\" ] }\n"
    "    - deny: { hosts: [ \"*.a.b\" ] }\n";

TEST(Authorize, DeniesFirstAndThenAllowsWhatRulesName) {
  Expanded e(kGuarded);
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  const Node app = e.nth(e.listener(0)["filter_chains"], 0);
  const Node filters = e.first_filter(app)["http_filters"];
  ASSERT_EQ(filters.size(), 3u);
  const Node deny = e.nth(filters, 0), allow = e.nth(filters, 1);
  EXPECT_EQ(deny["name"].raw(), "authorize-deny");
  EXPECT_EQ(allow["name"].raw(), "authorize-allow");
  const Node denied = deny["typed_config"]["rules"], allowed = allow["typed_config"]["rules"];
  EXPECT_EQ(denied["action"].raw(), "DENY");
  EXPECT_EQ(allowed["action"].raw(), "ALLOW");
  EXPECT_EQ(denied["policies"].size(), 2u);
  EXPECT_EQ(allowed["policies"].size(), 2u);
  const Node rule = allowed["policies"]["rule-1"];
  EXPECT_EQ(e.nth(rule["principals"], 0)["authenticated"]["principal_name"]["exact"].raw(),
            "spiffe://mesh.local/a");
  EXPECT_EQ(e.nth(rule["principals"], 1)["authenticated"]["principal_name"]["prefix"].raw(),
            "spiffe://mesh.local/ns/");
  const Node parts = e.nth(rule["permissions"], 0)["and_rules"]["rules"];
  ASSERT_EQ(parts.size(), 2u);
  const Node paths = e.nth(parts, 1)["or_rules"]["rules"];
  EXPECT_EQ(e.nth(paths, 0)["url_path"]["path"]["exact"].raw(), "/users");
  EXPECT_EQ(e.nth(paths, 1)["url_path"]["path"]["prefix"].raw(), "/users/");
  EXPECT_TRUE(e.nth(denied["policies"]["rule-2"]["principals"], 0)["any"].as_bool());
}

// Of bytes on other ports nothing is known but who sends them, and where to.
TEST(Authorize, JudgesConnectionsByTheRulesThatConcernThem) {
  Expanded e(kGuarded);
  const Node other = e.nth(e.listener(0)["filter_chains"], 1);
  ASSERT_EQ(other["filters"].size(), 3u);
  const Node deny = e.nth(other["filters"], 0)["typed_config"];
  const Node allow = e.nth(other["filters"], 1)["typed_config"];
  EXPECT_EQ(deny["stat_prefix"].raw(), "inbound_tcp.");
  ASSERT_EQ(deny["rules"]["policies"].size(), 1u);
  EXPECT_TRUE(deny["rules"]["policies"].has("rule-2"));
  ASSERT_EQ(allow["rules"]["policies"].size(), 1u);
  EXPECT_TRUE(allow["rules"]["policies"].has("rule-3"));
}

Node rules_of(const Node& filter) { return filter["typed_config"]["rules"]["policies"]; }

// Bytes may be the requests that are denied: whose they would be, or where, is known.
TEST(Authorize, DeniesConnectionsThatMayBeADeniedRequest) {
  Expanded e = expand_inbound(
      "authorize: [ { deny: { from: [ 'spiffe://mesh.local/a' ], paths: [ /admin ] } },"
      "             { deny: { ports: [ 8080, 9090 ], methods: [ POST ] } },"
      "             { deny: { from: [ 'spiffe://mesh.local/a' ], ports: [ 8080 ], hosts: [ x ] } },"
      "             { deny: { paths: [ /x ] } } ]");
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  const Node chains = e.listener(0)["filter_chains"];
  EXPECT_EQ(rules_of(e.nth(e.first_filter(e.nth(chains, 0))["http_filters"], 0)).size(), 4u);
  const Node filters = e.nth(chains, 1)["filters"];
  ASSERT_EQ(filters.size(), 2u);
  const Node rules = rules_of(e.nth(filters, 0));
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_TRUE(e.nth(rules["rule-1"]["permissions"], 0)["any"].as_bool());
  EXPECT_EQ(
      e.nth(rules["rule-1"]["principals"], 0)["authenticated"]["principal_name"]["exact"].raw(),
      "spiffe://mesh.local/a");
  const Node parts = e.nth(rules["rule-2"]["permissions"], 0)["and_rules"]["rules"];
  ASSERT_EQ(parts.size(), 1u) << "ports, and nothing of requests";
  EXPECT_EQ(e.nth(e.nth(parts, 0)["or_rules"]["rules"], 1)["destination_port"].as_u32(), 9090u);
  EXPECT_TRUE(e.nth(rules["rule-2"]["principals"], 0)["any"].as_bool());
}

TEST(Authorize, WhatIsDeniedToAllOfTheAppShutsNoOtherPort) {
  Expanded e = expand_inbound("authorize: [ { deny: { paths: [ /admin ] } } ]");
  ASSERT_TRUE(e.errors.ok()) << e.errors.to_string();
  EXPECT_EQ(e.nth(e.listener(0)["filter_chains"], 1)["filters"].size(), 1u);
}

}  // namespace
}  // namespace pillion::config
