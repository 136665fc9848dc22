#include <algorithm>
#include <vector>

#include "proxy/base/rng.h"
#include "tests/unit/filters/rbac_fixture.h"

namespace pillion::filters::rbac {
namespace {

struct Row {
  std::string_view yaml;
  bool expected;            // with all facts
  bool if_missing;          // with none
  bool negated_too = true;  // not_rule and not_id turn both around, in ALLOW policies too
};

constexpr Row kPermissions[] = {
    {"{ any: true }", true, true},
    {"{ header: { name: ':method', string_match: { exact: GET } } }", true, true},
    {"{ header: { name: ':method', string_match: { exact: get } } }", false, false},
    {"{ header: { name: ':path', string_match: { prefix: /users } } }", true, false},
    {"{ header: { name: ':authority', string_match: { exact: 'shop.local:80' } } }", true, false},
    {"{ header: { name: host, string_match: { exact: 'shop.local:80' } } }", true, false},
    {"{ header: { name: x-a, string_match: { exact: '1' } } }", true, false},
    {"{ header: { name: x-a, string_match: { exact: '2' } } }", true, false},
    {"{ header: { name: x-a, string_match: { exact: '1,2' } } }", false, false},
    {"{ header: { name: X-A, string_match: { exact: '2' } } }", true, false},
    {"{ header: { name: x-a, string_match: { exact: '2' }, invert_match: true } }", false, false},
    {"{ header: { name: x-a, string_match: { exact: '3' }, invert_match: true } }", true, false},
    {"{ header: { name: x-a, present_match: true } }", true, false},
    {"{ header: { name: x-a, present_match: false } }", false, true},
    {"{ header: { name: x-empty, present_match: true } }", true, false},
    {"{ header: { name: x-empty, string_match: { exact: '' } } }", true, false},
    {"{ header: { name: x-none, string_match: { exact: '' } } }", false, false},
    {"{ header: { name: x-none, string_match: { exact: '' }, treat_missing_header_as_empty: true } "
     "}",
     true, true},
    {"{ header: { name: x-n, range_match: { start: 42, end: 43 } } }", true, false},
    {"{ header: { name: x-n, range_match: { start: 41, end: 42 } } }", false, false},
    {"{ url_path: { path: { exact: /users/7 } } }", true, false},
    {"{ url_path: { path: { prefix: /users/ } } }", true, false},
    {"{ url_path: { path: { contains: admin } } }", false, false},
    {"{ url_path: { path: { safe_regex: { regex: '/users/[0-9]+' } } } }", true, false},
    {"{ destination_ip: { address_prefix: 10.0.0.0, prefix_len: 24 } }", true, true},
    {"{ destination_ip: { address_prefix: 10.0.1.0, prefix_len: 24 } }", false, false},
    {"{ destination_port: 8080 }", true, true},
    {"{ destination_port: 80 }", false, false},
    {"{ destination_port_range: { start: 8080, end: 8081 } }", true, true},
    {"{ destination_port_range: { start: 8000, end: 8080 } }", false, false},
    {"{ requested_server_name: { suffix: .mesh } }", true, false},
    {"{ requested_server_name: { exact: other.mesh } }", false, false},
    {"{ metadata: { filter: jwt, path: [ { key: payload }, { key: sub } ], value: { string_match: "
     "{ "
     "exact: ann } } } }",
     true, false},
    {"{ metadata: { filter: jwt, path: [ { key: payload }, { key: sub } ], value: { string_match: "
     "{ "
     "exact: bob } }, invert: true } }",
     true, true},
    {"{ sourced_metadata: { metadata_source: DYNAMIC, metadata_matcher: { filter: jwt, path: [ { "
     "key: payload } ], value: { present_match: true } } } }",
     true, false},
    {"{ and_rules: { rules: [ { any: true }, { destination_port: 8080 } ] } }", true, true},
    {"{ and_rules: { rules: [ { any: true }, { destination_port: 1 } ] } }", false, false},
    {"{ or_rules: { rules: [ { destination_port: 1 }, { destination_port: 8080 } ] } }", true,
     true},
    {"{ or_rules: { rules: [ { destination_port: 1 }, { destination_port: 2 } ] } }", false, false},
};

constexpr Row kPrincipals[] = {
    {"{ any: true }", true, true},
    {"{ authenticated: {} }", true, false},
    {"{ authenticated: { principal_name: { exact: 'spiffe://mesh.local/ns/shop/sa/customer' } } }",
     true, false, false},
    {"{ authenticated: { principal_name: { exact: 'spiffe://mesh.local/ns/shop/sa/intruder' } } }",
     false, false, false},
    {"{ authenticated: { principal_name: { prefix: 'spiffe://mesh.local/' } } }", true, false,
     false},
    {"{ authenticated: { principal_name: { safe_regex: { regex: '.+' } } } }", true, false},
    {"{ authenticated: { principal_name: { safe_regex: { regex: '.*customer' } } } }", true, false,
     false},
    {"{ authenticated: { principal_name: { exact: a.example } } }", true, false, false},
    {"{ authenticated: { principal_name: { exact: c.example } } }", true, false, false},
    {"{ authenticated: { principal_name: { exact: d.example } } }", false, false, false},
    {"{ authenticated: { principal_name: { exact: 'CN=customer,O=shop' } } }", true, false, false},
    {"{ source_ip: { address_prefix: 192.168.0.0, prefix_len: 16 } }", true, false},
    {"{ direct_remote_ip: { address_prefix: 192.168.0.9, prefix_len: 32 } }", true, false},
    {"{ direct_remote_ip: { address_prefix: 10.1.2.3, prefix_len: 32 } }", false, true},
    {"{ remote_ip: { address_prefix: 10.1.0.0, prefix_len: 16 } }", true, true},
    {"{ remote_ip: { address_prefix: 192.168.0.0, prefix_len: 16 } }", false, false},
    {"{ remote_ip: { address_prefix: '::', prefix_len: 0 } }", false, false},
    {"{ header: { name: x-n, string_match: { exact: '42' } } }", true, false},
    {"{ url_path: { path: { exact: /users/7 } } }", true, false},
    {"{ metadata: { filter: jwt, path: [ { key: payload }, { key: sub } ], value: { string_match: "
     "{ "
     "exact: ann } } } }",
     true, false},
    {"{ filter_state: { key: state, string_match: { exact: value } } }", true, false},
    {"{ filter_state: { key: other, string_match: { exact: value } } }", false, false},
    {"{ and_ids: { ids: [ { any: true }, { authenticated: {} } ] } }", true, false},
    {"{ or_ids: { ids: [ { authenticated: {} }, { filter_state: { key: state, string_match: { "
     "exact: value } } } ] } }",
     true, false},
    {"{ custom: { name: m, typed_config: { '@type': "
     "type.googleapis.com/envoy.extensions.rbac.principals.mtls_authenticated.v3.Config, "
     "any_validated_client_certificate: true } } }",
     true, false},
    {"{ custom: { name: m, typed_config: { '@type': "
     "type.googleapis.com/envoy.extensions.rbac.principals.mtls_authenticated.v3.Config, "
     "san_matcher: { san_type: DNS, matcher: { exact: b.example } } } } }",
     true, false, false},
    {"{ custom: { name: m, typed_config: { '@type': "
     "type.googleapis.com/envoy.extensions.rbac.principals.mtls_authenticated.v3.Config, "
     "san_matcher: { san_type: URI, matcher: { exact: b.example } } } } }",
     false, false, false},
};

TEST_F(RbacTest, EachPermissionMatchesWhatItSaysAndNothingThatIsMissing) {
  for (const Row& row : kPermissions) EXPECT_EQ(permits(row.yaml), row.expected) << row.yaml;
  strip();
  for (const Row& row : kPermissions) EXPECT_EQ(permits(row.yaml), row.if_missing) << row.yaml;
}

TEST_F(RbacTest, EachPrincipalMatchesWhatItSaysAndNobodyWhoIsMissing) {
  for (const Row& row : kPrincipals) EXPECT_EQ(admits(row.yaml), row.expected) << row.yaml;
  strip();
  for (const Row& row : kPrincipals) EXPECT_EQ(admits(row.yaml), row.if_missing) << row.yaml;
}

TEST_F(RbacTest, NegationsTurnThemAround) {
  const auto check = [this](bool with_facts) {
    for (const Row& row : kPermissions) {
      const bool holds = with_facts ? row.expected : row.if_missing;
      EXPECT_EQ(permits(str("{ not_rule: ", row.yaml, " }")), !holds) << row.yaml;
      EXPECT_EQ(permits(str("{ not_rule: { not_rule: ", row.yaml, " } }")), holds) << row.yaml;
    }
    for (const Row& row : kPrincipals) {
      const bool holds = with_facts ? row.expected : row.if_missing;
      const std::string once = str("{ not_id: ", row.yaml, " }");
      // Who has no name is not "somebody else" in an ALLOW policy.
      EXPECT_EQ(admits(once), !holds && (with_facts || row.negated_too)) << row.yaml;
      EXPECT_EQ(admits(once, "DENY"), !holds) << row.yaml;
      EXPECT_EQ(admits(once, "LOG"), !holds) << row.yaml;
      EXPECT_EQ(admits(str("{ not_id: ", once, " }")), holds) << row.yaml;
    }
  };
  check(true);
  strip();
  check(false);
}

// "verified" is what counts: not that a certificate was shown.
TEST_F(RbacTest, ACertificateThatNobodyVerifiedNamesNobody) {
  peer.verified = false;
  for (const Row& row : kPrincipals) {
    if (row.yaml.find("authenticated") == std::string_view::npos) continue;
    if (row.yaml.find("or_ids") != std::string_view::npos) continue;
    EXPECT_FALSE(admits(row.yaml)) << row.yaml;
    if (row.negated_too) continue;
    EXPECT_FALSE(admits(str("{ not_id: ", row.yaml, " }"))) << row.yaml;
  }
  EXPECT_TRUE(admits("{ not_id: { authenticated: { principal_name: { exact: x } } } }", "DENY"))
      << "all but x are denied, the nameless too";
}

// Deep under other conditions the direction of a negation still counts.
TEST_F(RbacTest, ANegatedNameBelowAndsAndOrsDoesNotAdmitTheNameless) {
  constexpr std::string_view kName = "{ authenticated: { principal_name: { exact: x } } }";
  const std::string either = str("{ not_id: { or_ids: { ids: [ ", kName,
                                 ", { header: { name: x-none, present_match: true } "
                                 "} ] } } }");
  const std::string both = str("{ and_ids: { ids: [ { any: true }, { not_id: ", kName, " } ] } }");
  EXPECT_TRUE(admits(either));
  EXPECT_TRUE(admits(both));
  connection.identity = nullptr;
  EXPECT_FALSE(admits(either));
  EXPECT_FALSE(admits(both));
  EXPECT_TRUE(admits(either, "DENY"));
  EXPECT_TRUE(admits(both, "DENY"));
}

TEST_F(RbacTest, ActionsSayWhatAMatchMeans) {
  struct ActionRow {
    std::string_view action;
    bool if_matched, if_not;
  };
  for (const ActionRow& row : {ActionRow{"ALLOW", true, false}, ActionRow{"DENY", false, true},
                               ActionRow{"LOG", true, true}}) {
    const Verdict matched =
        engine(rules(row.action, "{ any: true }", "{ any: true }"))->judge(facts());
    const Verdict not_matched =
        engine(rules(row.action, "{ destination_port: 1 }", "{ any: true }"))->judge(facts());
    EXPECT_EQ(matched.allowed, row.if_matched) << row.action;
    EXPECT_EQ(not_matched.allowed, row.if_not) << row.action;
    const bool is_log = row.action == "LOG";
    EXPECT_EQ(matched.log_hint, is_log ? std::optional(true) : std::nullopt);
    EXPECT_EQ(not_matched.log_hint, is_log ? std::optional(false) : std::nullopt);
  }
  EXPECT_FALSE(engine("{}")->judge(facts()).allowed) << "no policy allows anything";
  EXPECT_TRUE(engine("{ action: DENY }")->judge(facts()).allowed);
}

TEST_F(RbacTest, PoliciesAreTriedInTheOrderOfTheirNames) {
  const auto both = engine(
      "{ policies: { b: { permissions: [ { any: true } ], principals: [ { any: true } ] }, "
      "'a b\tc': { permissions: [ { any: true } ], principals: [ { any: true } ] } } }");
  const Verdict verdict = both->judge(facts());
  EXPECT_EQ(both->policy_name(verdict.policy), "a b\tc");
  EXPECT_EQ(both->denial_details(verdict.policy), "rbac_access_denied_matched_policy[a_b_c]");
  EXPECT_EQ(both->denial_details(kNoPolicy), "rbac_access_denied_matched_policy[none]");
  EXPECT_EQ(both->policy_name(kNoPolicy), "");
}

// One permission and one principal of a policy have to match, whichever they are.
TEST_F(RbacTest, APolicyNeedsOneOfEach) {
  EXPECT_TRUE(engine(rules("ALLOW", "{ destination_port: 1 }, { any: true }",
                           "{ authenticated: { principal_name: { exact: x } } }, { any: true }"))
                  ->judge(facts())
                  .allowed);
  EXPECT_FALSE(
      engine(rules("ALLOW", "{ any: true }", "{ authenticated: { principal_name: { exact: x } } }"))
          ->judge(facts())
          .allowed);
}

// "OPTIONS *" reaches everything: what holds for all that is below "/" holds for it.
TEST_F(RbacTest, TheServerAsAWholeIsBelowTheRoot) {
  head.method_text = "OPTIONS";
  head.path = "*";
  const auto matches = [&](std::string_view path) {
    return permits(str("{ url_path: { path: { ", path, " } } }"));
  };
  for (const std::string_view path :
       {"prefix: /", "safe_regex: { regex: '/.*' }", "exact: '*'", "prefix: '*'",
        "safe_regex: { regex: '.*' }", "prefix: /, ignore_case: true"}) {
    EXPECT_TRUE(matches(path)) << path;
  }
  for (const std::string_view path :
       {"exact: /", "exact: /, ignore_case: true", "suffix: /", "prefix: /a", "exact: '/*'"}) {
    EXPECT_FALSE(matches(path)) << path;
  }
  const auto denies =
      engine(rules("DENY", "{ url_path: { path: { prefix: / } } }", "{ any: true }"));
  EXPECT_FALSE(denies->judge(facts()).allowed);
}

// With many policies most are found by hash; the verdict and the name are those of a search from
// the first to the last.
TEST_F(RbacTest, TheIndexFindsWhatASearchFinds) {
  Rng rng(20261126);
  const std::vector<std::string> permissions = {
      "{ url_path: { path: { exact: /p0 } } }",
      "{ url_path: { path: { exact: /p1 } } }",
      "{ url_path: { path: { prefix: /p } } }",
      "{ any: true }",
      "{ or_rules: { rules: [ { url_path: { path: { exact: /p1 } } }, { url_path: { path: { exact: "
      "/p2 } } } ] } }",
      "{ and_rules: { rules: [ { destination_port: 8080 }, { url_path: { path: { exact: /p3 } } } "
      "] "
      "} }",
      "{ not_rule: { url_path: { path: { exact: /p1 } } } }"};
  const std::vector<std::string> principals = {
      "{ any: true }",
      "{ authenticated: { principal_name: { exact: s0 } } }",
      "{ authenticated: { principal_name: { exact: s1 } } }",
      "{ authenticated: { principal_name: { exact: d1 } } }",
      "{ not_id: { authenticated: { principal_name: { exact: s1 } } } }",
      "{ and_ids: { ids: [ { any: true }, { authenticated: { principal_name: { exact: s2 } } } ] } "
      "}"};
  const auto pick = [&rng](const std::vector<std::string>& of) { return of[rng.below(of.size())]; };
  for (int round = 0; round < 20; ++round) {
    std::string all = "{ policies: {";
    std::vector<std::unique_ptr<const Engine>> each;
    for (int i = 0; i < 30; ++i) {
      // Mostly narrow ones, or the first would match all.
      const std::string permission = i == 29 ? pick(permissions)
                                             : permissions[rng.below(6) % 5 == 3 ? 0
                                                           : rng.below(6) == 2   ? 1
                                                                                 : 5];
      const std::string principal = pick(principals);
      const std::string policy =
          str("{ permissions: [ ", permission, " ], principals: [ ", principal, " ] }");
      all += str(i == 0 ? " p" : ", p", 100 + i, ": ", policy);
      each.push_back(engine(str("{ policies: { p: ", policy, " } }")));
    }
    const auto indexed = engine(all + " } }");
    for (const std::string_view path : {"/p0", "/p1", "/p2", "/p3", "/other", "*", ""}) {
      for (const std::string_view name : {"s0", "s1", "s2", "other", ""}) {
        head.path = path;
        certificate.uri_sans = {std::string(name)};
        certificate.dns_sans = {rng.below(2) == 0 ? "d1" : "d2"};
        connection.identity = name.empty() ? nullptr : &peer;
        const auto expected = std::ranges::find_if(
            each, [&](const auto& one) { return one->judge(facts()).policy != kNoPolicy; });
        const uint32_t index =
            expected == each.end() ? kNoPolicy : static_cast<uint32_t>(expected - each.begin());
        EXPECT_EQ(indexed->judge(facts()).policy, index) << path << ' ' << name << ' ' << all;
      }
    }
  }
}

// A certificate with more names than the index has room for.
TEST_F(RbacTest, ManyNamesOfAPeerAreAllLookedAt) {
  std::string all = "{ policies: {";
  for (int i = 0; i < 40; ++i) {
    all +=
        str(i == 0 ? " p" : ", p", 100 + i, ": { permissions: [ { any: true } ], principals: [ { ",
            "authenticated: { principal_name: { exact: n", i, " } } } ] }");
    if (i >= 20) certificate.dns_sans.push_back(str('n', i));
  }
  const auto indexed = engine(all + " } }");
  EXPECT_EQ(indexed->policy_name(indexed->judge(facts()).policy), "p120");
}

std::string template_of(std::string_view text) {
  return str(
      "{ uri_template: { name: t, typed_config: { '@type': "
      "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig, "
      "path_template: '",
      text, "' } } }");
}

TEST_F(RbacTest, APathTemplateMatchesThePathWithoutItsQuery) {
  EXPECT_TRUE(permits(template_of("/users/*")));
  EXPECT_TRUE(permits(template_of("/**")));
  EXPECT_FALSE(permits(template_of("/users/*/orders")));
  EXPECT_TRUE(permits(str("{ not_rule: ", template_of("/admin/**"), " }")));
}

TEST_F(RbacTest, WhatIsNotThereYetOrUnknownIsRefusedByName) {
  constexpr std::string_view kAny = "permissions: [ { any: true } ], principals: [ { any: true } ]";
  const std::string condition = str("{ policies: { p: { ", kAny, ", condition: {} } } }");
  const std::string audit =
      "{ audit_logging_options: { audit_condition: ON_DENY, logger_configs: [] } }";
  const std::string unknown = str("{ policies: { p: { ", kAny, ", when: {} } } }");
  const std::string action = "{ action: MAYBE }";
  const std::string empty = "{ policies: { p: { permissions: [], principals: [] } } }";
  const std::string missing = "{ policies: { p: {} } }";
  const std::vector<std::pair<std::string, std::string>> rows = {
      {condition, "condition: known to Envoy v3 but not supported by Pillion yet (CEL"},
      {audit, "audit_condition: ON_DENY is known to Envoy v3 but not supported"},
      {unknown, "when: unknown field"},
      {action, "expected"},
      {empty, "permissions: expected at least one permission"},
      {empty, "principals: expected at least one principal"},
      {missing, "permissions: required field is missing"},
      {rules("ALLOW", "{ any: false }", "{ any: true }"), "any: expected true, got false"},
      {rules("ALLOW", "{}", "{ any: true }"), "expected one of and_rules, or_rules"},
      {rules("ALLOW", "{ any: true, destination_port: 1 }", "{ any: true }"), "only one of any"},
      {rules("ALLOW", "{ matcher: { name: a } }", "{ any: true }"), "matcher: known to Envoy v3"},
      {rules("ALLOW", template_of("users"), "{ any: true }"),
       "expected a template that begins with"},
      {rules("ALLOW",
             "{ uri_template: { name: t, typed_config: { '@type': type.googleapis.com/acme.T } } }",
             "{ any: true }"),
       "expected envoy.extensions.path.match.uri_template"},
      {rules("ALLOW", "{ magic: 1 }", "{ any: true }"), "magic: unknown field"},
      {rules("ALLOW", "{ destination_port_range: { start: 5, end: 5 } }", "{ any: true }"),
       "expected a start below the end"},
      {rules("ALLOW", "{ any: true }", "{ authenticated: { name: a } }"), "name: unknown field"},
      {rules("ALLOW", "{ any: true }", "{ filter_state: { key: a, address_match: {} } }"),
       "address_match: known to Envoy v3"},
      {rules("ALLOW",
             "{ sourced_metadata: { metadata_source: ROUTE, metadata_matcher: { filter: a, "
             "path: [ { key: b } ], value: { present_match: true } } } }",
             "{ any: true }"),
       "ROUTE is known to Envoy v3 but not supported"},
      {rules("ALLOW", "{ any: true }",
             "{ custom: { name: m, typed_config: { '@type': type.googleapis.com/acme.Who } } }"),
       "expected envoy.extensions.rbac.principals.mtls_authenticated.v3.Config"},
      {rules("ALLOW", "{ any: true }",
             "{ custom: { name: m, typed_config: { '@type': "
             "type.googleapis.com/envoy.extensions.rbac.principals.mtls_authenticated.v3.Config } "
             "} }"),
       "expected san_matcher or any_validated_client_certificate: true"},
      {rules("ALLOW", "{ header: { name: x, string_match: { custom: { name: a } } } }",
             "{ any: true }"),
       "custom: known to Envoy v3"},
  };
  for (const auto& [yaml, error] : rows)
    EXPECT_NE(errors_of(yaml).find(error), std::string::npos) << yaml << '\n' << errors_of(yaml);
}

TEST_F(RbacTest, ConnectionsHaveNoPathsAndHeaders) {
  for (const std::string_view permission :
       {"{ header: { name: x, present_match: true } }", "{ url_path: { path: { exact: / } } }"}) {
    EXPECT_NE(errors_of(rules("ALLOW", permission, "{ any: true }"), "rules", Scope::kConnection)
                  .find("is known of HTTP requests only"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace pillion::filters::rbac
