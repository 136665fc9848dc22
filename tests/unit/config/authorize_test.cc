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

// `field: [ 'text' ]` of a rule that denies, as its RBAC filter has it.
Node written(Expanded& e) {
  const Node manager = e.first_filter(e.nth(e.listener(0)["filter_chains"], 0));
  const Node rule = rules_of(e.nth(manager["http_filters"], 0))["rule-1"];
  const Node parts = e.nth(rule["permissions"], 0)["and_rules"]["rules"];
  return e.nth(e.nth(parts, 0)["or_rules"]["rules"], 0);
}
Expanded deny(std::string_view field, std::string_view text, std::string_view more = {}) {
  return expand_inbound(
      str("mtls: off, authorize: [ { deny: { ", field, ": [ '", text, "' ] } } ]", more));
}

TEST(Authorize, SpellsPathsAsRequestsHaveThem) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"/caf%c3%a9", "/caf%C3%A9"},
      {"/%41dmin%2d%7E", "/Admin-~"},
      {"/a%2a/%3f", "/a%2A/%3F"},
      {"/a%20b", "/a%20b"},
  };
  for (const auto& [text, path] : cases) {
    Expanded e = deny("paths", text);
    EXPECT_TRUE(e.errors.ok()) << e.errors.to_string();
    EXPECT_EQ(written(e)["url_path"]["path"]["exact"].raw(), path) << text;
  }
  Expanded below = deny("paths", "/caf%c3%a9/*");
  EXPECT_EQ(written(below)["url_path"]["path"]["prefix"].raw(), "/caf%C3%A9/");
}

TEST(Authorize, PathsMayHaveEscapedSlashesWhereRequestsKeepThem) {
  Expanded e = deny("paths", "/a%2fb%5c%c0%af", ", escaped_slashes: keep");
  EXPECT_TRUE(e.errors.ok()) << e.errors.to_string();
  EXPECT_EQ(written(e)["url_path"]["path"]["exact"].raw(), "/a%2Fb%5C%C0%AF");
}

TEST(Authorize, SpellsHostsAsRequestsHaveThem) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"users.shop.", "(?i)users\\.shop\\.?(:[0-9]+)?"},
      {"*.shop.", "(?i)[^:]+\\.shop\\.?(:[0-9]+)?"},
      {"10.0.0.1", "(?i)10\\.0\\.0\\.1\\.?(:[0-9]+)?"},
      {"2001:DB8:0:0:0:0:0:1", "(?i)\\[2001:db8::1\\](:[0-9]+)?"},
      {"::ffff:a00:1", "(?i)\\[::ffff:10\\.0\\.0\\.1\\](:[0-9]+)?"},
  };
  for (const auto& [text, regex] : cases) {
    Expanded e = deny("hosts", text);
    EXPECT_TRUE(e.errors.ok()) << e.errors.to_string();
    EXPECT_EQ(written(e)["header"]["string_match"]["safe_regex"]["regex"].raw(), regex) << text;
  }
}

// Where plain text comes in, callers have no name to be denied by, but an allow rule may keep them
// out.
TEST(Authorize, ANameIsDeniedOnlyWhereCallersHaveOne) {
  constexpr std::string_view kDenied = "{ deny: { from: [ 'spiffe://mesh.local/a' ]";
  constexpr std::string_view kNamed = "{ allow: { from: [ 'spiffe://mesh.local/*' ] } }";
  const auto verdict = [&](std::string_view ports, std::string_view rule, std::string_view more) {
    const Expanded e =
        expand_inbound(str(ports, ", authorize: [ ", kDenied, rule, " } }, ", more, " ]"));
    const std::string text = e.errors.to_string();
    constexpr std::string_view kBefore = "which has no name, and ";
    const size_t at = text.find(kBefore);
    if (at == text.npos) return text;
    const std::string from = text.substr(at + kBefore.size());
    return from.substr(0, from.find(')') + 1);
  };
  EXPECT_EQ(verdict("mtls: strict", "", ""), "");
  EXPECT_EQ(verdict("mtls: strict, ports: { 9090: { mtls: off } }", "", ""),
            "port 9090 takes it (mtls: off)");
  EXPECT_EQ(verdict("mtls: strict, ports: { 9090: { mtls: off } }", ", paths: [ /x ]", ""),
            "port 9090 takes it (mtls: off)");
  EXPECT_EQ(verdict("mtls: strict, ports: { 9090: { mtls: off } }", ", ports: [ 8080 ]", ""), "");
  EXPECT_EQ(verdict("mtls: permissive", "", ""), "port 8080 takes it (mtls: permissive)");
  EXPECT_EQ(verdict("mtls: permissive, ports: { 8080: { mtls: strict } }", "", ""),
            "each port that inbound.ports does not name takes it (mtls: permissive)");
  EXPECT_EQ(verdict("mtls: permissive, capture: off", "", ""),
            "inbound.listen takes it (mtls: permissive)");
  EXPECT_EQ(verdict("mtls: permissive", "", kNamed), "");
  EXPECT_EQ(verdict("mtls: permissive", "", "{ allow: { ports: [ 9090 ] } }"),
            "each port that inbound.ports does not name takes it (mtls: permissive)");
  EXPECT_EQ(verdict("mtls: permissive, ports: { 9090: { mtls: strict } }", "",
                    "{ allow: { ports: [ 9090 ] } }"),
            "");
  // Probes may be for all.
  EXPECT_EQ(verdict("mtls: permissive", ", paths: [ '/admin/*' ]",
                    "{ allow: { paths: [ /health ], methods: [ GET ] } }"),
            "");
  EXPECT_EQ(verdict("mtls: permissive", ", paths: [ '/admin/*' ]",
                    "{ allow: { paths: [ /admin/health ] } }"),
            "port 8080 takes it (mtls: permissive)");
}

}  // namespace
}  // namespace pillion::config
