#include <functional>

#include "tests/unit/filters/changer.h"

namespace pillion::filters {
namespace {

constexpr std::string_view kAnybody = "principals: [ { any: true } ]";

std::string path_policy(std::string_view name, std::string_view path) {
  return str("'", name, "': { permissions: [ { url_path: { path: { exact: '", path, "' } } } ], ",
             kAnybody, " }");
}
std::string rules(std::string_view action, std::string_view policies) {
  return str("{ action: ", action, ", policies: { ", policies, " } }");
}

class Rbac : public FilterTest {
 protected:
  Rbac() : FilterTest("envoy.extensions.filters.http.rbac.v3.RBAC") {}

  Exchange& ask(std::string_view path) { return exchange({{":path", std::string(path)}}); }
  static std::string metadata(const Exchange& e, std::string_view space, std::string key) {
    const core::MetadataValue* value =
        e.info_.metadata.find(space, std::vector<std::string>{std::move(key)});
    std::string text;
    if (value != nullptr) core::append_text(text, *value);
    return text;
  }
  static std::string told(const Exchange& e, std::string key) {
    return metadata(e, "envoy.filters.http.rbac", std::move(key));
  }
};

TEST_F(Rbac, WhoIsNotAllowedGets403WithTheNameOfThePolicy) {
  configure(str("{ rules: ", rules("ALLOW", path_policy("readers of a", "/a")), " }"));
  EXPECT_TRUE(ask("/a?b").passed);
  Exchange& refused = ask("/b");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.reply_body, "RBAC: access denied");
  EXPECT_EQ(refused.details, "rbac_access_denied_matched_policy[none]");
  EXPECT_EQ(refused.info_.flags, 0u);
  EXPECT_EQ(told(refused, "enforced_engine_result"), "denied");
  configure(str("{ rules: ", rules("DENY", path_policy("no a", "/a")), " }"));
  EXPECT_EQ(ask("/a").details, "rbac_access_denied_matched_policy[no_a]");
  EXPECT_EQ(told(ask("/a"), "enforced_effective_policy_id"), "no a");
  EXPECT_TRUE(ask("/b").passed);
}

TEST_F(Rbac, VerdictsAreCounted) {
  configure(str("{ rules: ", rules("ALLOW", path_policy("p", "/a")), ", shadow_rules: ",
                rules("DENY", path_policy("q", "/a")), ", track_per_rule_stats: true }"));
  (void)ask("/a");
  (void)ask("/b");
  (void)ask("/b");
  EXPECT_EQ(stats<stats::RbacStats>("web").allowed.value(), 1u);
  EXPECT_EQ(stats<stats::RbacStats>("web").denied.value(), 2u);
  EXPECT_EQ(stats<stats::RbacShadowStats>("web").shadow_allowed.value(), 2u);
  EXPECT_EQ(stats<stats::RbacShadowStats>("web").shadow_denied.value(), 1u);
  auto p = worker.registry.block<stats::RbacPolicyStats>(0, "web", "p");
  auto q = worker.registry.block<stats::RbacPolicyStats>(0, "web", "q");
  EXPECT_EQ(p->allowed.value(), 1u);
  EXPECT_EQ(p->shadow_denied.value(), 0u);
  EXPECT_EQ(q->shadow_denied.value(), 1u);
}

TEST_F(Rbac, ShadowRulesAreTold) {
  configure(str("{ shadow_rules: ", rules("ALLOW", path_policy("p", "/a")),
                ", shadow_rules_stat_prefix: dry_ }"));
  Exchange& allowed = ask("/a");
  EXPECT_TRUE(allowed.passed);
  EXPECT_EQ(told(allowed, "dry_shadow_engine_result"), "allowed");
  EXPECT_EQ(told(allowed, "dry_shadow_effective_policy_id"), "p");
  Exchange& denied = ask("/b");
  EXPECT_TRUE(denied.passed) << "nobody is refused by shadow rules";
  EXPECT_EQ(told(denied, "dry_shadow_engine_result"), "denied");
  EXPECT_EQ(told(denied, "dry_shadow_effective_policy_id"), "");
  auto block = worker.registry.block<stats::RbacShadowStats>(0, "web", "dry_");
  EXPECT_EQ(block->shadow_denied.value(), 1u);
}

TEST_F(Rbac, LogRulesLeaveAHintForTheAccessLog) {
  configure(str("{ rules: ", rules("LOG", path_policy("p", "/a")), " }"));
  EXPECT_EQ(metadata(ask("/a"), "envoy.common", "access_log_hint"), "true");
  EXPECT_EQ(metadata(ask("/b"), "envoy.common", "access_log_hint"), "false");
  EXPECT_TRUE(ask("/b").passed);
  EXPECT_EQ(stats<stats::RbacStats>("web").allowed.value(), 3u);
}

TEST_F(Rbac, WithoutRulesAllIsAllowedAndWithEmptyOnesNothing) {
  configure("{}");
  EXPECT_TRUE(ask("/a").passed);
  configure("{ rules: {} }");
  EXPECT_EQ(ask("/a").status, 403);
  configure("{ matcher: {} }");
  EXPECT_EQ(ask("/a").status, 403);
}

TEST_F(Rbac, ARouteHasPoliciesOfItsOwn) {
  configure("{ rules: {} }");
  configure_route(str("{ rbac: { rules: ", rules("ALLOW", path_policy("p", "/a")), " } }"));
  EXPECT_TRUE(ask("/a").passed);
  EXPECT_EQ(ask("/b").status, 403);
  configure_route("{}");
  EXPECT_TRUE(ask("/b").passed) << "nobody judges there";
  configure_route("{ rbac: {} }");
  EXPECT_TRUE(ask("/b").passed) << "without rules";
}

// As in Envoy.
TEST_F(Rbac, ThePrefixesOfARouteNameItsMetadataAndNotItsCounters) {
  configure("{ rules: {}, rules_stat_prefix: own_ }");
  configure_route(str("{ rbac: { rules: ", rules("ALLOW", path_policy("p", "/a")),
                      ", shadow_rules: {}, rules_stat_prefix: there_, "
                      "shadow_rules_stat_prefix: dry_ } }"));
  Exchange& allowed = ask("/a");
  EXPECT_EQ(told(allowed, "there_enforced_engine_result"), "allowed");
  EXPECT_EQ(told(allowed, "dry_shadow_engine_result"), "denied");
  EXPECT_EQ(ask("/b").status, 403);
  auto own = worker.registry.block<stats::RbacStats>(0, "web", "own_");
  EXPECT_EQ(own->allowed.value(), 1u);
  EXPECT_EQ(own->denied.value(), 1u);
  EXPECT_EQ(stats<stats::RbacShadowStats>("web").shadow_denied.value(), 2u);
}

TEST_F(Rbac, ParametersHideAPathOnlyWhereRoutesHeedThem) {
  configure(str("{ rules: ", rules("DENY", path_policy("p", "/a")), " }"));
  EXPECT_TRUE(ask("/a;x").passed);
  ignore_path_parameters();
  EXPECT_EQ(ask("/a;x").status, 403);
}

TEST_F(Rbac, ThePeerIsKnownByItsVerifiedCertificate) {
  configure(
      "{ rules: { policies: { p: { permissions: [ { any: true } ], principals: [ { authenticated: "
      "{ "
      "principal_name: { exact: 'spiffe://mesh.local/a' } } } ] } } } }");
  io::PeerCertificate certificate;
  certificate.uri_sans = {"spiffe://mesh.local/a"};
  io::PeerIdentity peer;
  peer.certificate = &certificate;
  EXPECT_EQ(ask("/").status, 403);
  connection.identity = &peer;
  EXPECT_EQ(ask("/").status, 403) << "not verified";
  peer.verified = true;
  EXPECT_TRUE(ask("/").passed);
}

// ---- a verdict is void once the request is another ----

TEST_F(Rbac, APathThatAFilterBehindRewritesIsJudgedAgain) {
  const auto& counters = stats<stats::RbacStats>("web");
  behind = rewriter_to("/secret");
  configure(str("{ rules: ", rules("DENY", path_policy("secret", "/secret")), " }"));
  Exchange& e = ask("/public");
  EXPECT_EQ(e.details, "rbac_access_denied_matched_policy[secret]");
  EXPECT_FALSE(e.passed);
  configure(str("{ rules: ", rules("DENY", path_policy("other", "/other")), " }"));
  EXPECT_TRUE(ask("/public").passed);
  EXPECT_EQ(counters.allowed.value(), 2u) << "once a request, though judged twice";
  EXPECT_EQ(counters.denied.value(), 1u);
}

TEST_F(Rbac, ARequestThatIsJudgedTwiceCountsOnceInEachPlace) {
  behind = rewriter_to("/b");
  configure(str(
      "{ rules: ", rules("ALLOW", str("p: { permissions: [ { any: true } ], ", kAnybody, " }")),
      ", shadow_rules: ", rules("DENY", path_policy("q", "/b")), ", track_per_rule_stats: true }"));
  EXPECT_TRUE(ask("/a").passed);
  EXPECT_TRUE(ask("/b").passed);
  EXPECT_EQ(stats<stats::RbacStats>("web").allowed.value(), 2u);
  const auto& shadow = stats<stats::RbacShadowStats>("web");
  EXPECT_EQ(shadow.shadow_allowed.value(), 1u) << "as /a";
  EXPECT_EQ(shadow.shadow_denied.value(), 2u) << "as /b";
  EXPECT_EQ(worker.registry.block<stats::RbacPolicyStats>(0, "web", "p")->allowed.value(), 2u);
}

TEST_F(Rbac, ARequestThatStaysAsItWasIsJudgedOnce) {
  behind = std::make_shared<ChangerFactory>(
      [](core::FilterContext& context) { context.clear_route_cache(); });
  configure(str("{ rules: ", rules("DENY", path_policy("p", "/secret")), " }"));
  EXPECT_TRUE(ask("/public").passed);
  EXPECT_EQ(stats<stats::RbacStats>("web").allowed.value(), 1u);
}

using RbacOfRoutes = Led<Rbac>;

TEST_F(RbacOfRoutes, AnotherRouteJudgesByItsOwnPolicies) {
  lead_to("{ rbac: { rules: {} } }");
  configure("{}");
  Exchange& e = ask_and_be_led({{":path", "/a"}});
  EXPECT_EQ(e.status, 403);
  EXPECT_FALSE(e.passed);
}

// Or a route would be reached past its guard by way of one that has none.
TEST_F(RbacOfRoutes, AGuardThatTheFirstRouteDisabledComesBack) {
  lead_to("{ rbac: { rules: {} } }");
  configure("{}");
  disable_on_route();
  Exchange& e = ask_and_be_led({{":path", "/a"}});
  EXPECT_EQ(e.status, 403);
  EXPECT_FALSE(e.passed);
}

TEST_F(Rbac, WrongConfigurationsAreNamed) {
  EXPECT_EQ(errors_of("{ rules: {}, matcher: {} }"),
            "f:1:23: matcher: only one of rules and matcher may be given\n");
  EXPECT_NE(errors_of("{ ruls: {} }").find("ruls: unknown field"), std::string::npos);
  EXPECT_NE(errors_of("{ rules: { polices: {} } }").find("rules.polices: unknown field"),
            std::string::npos);
  EXPECT_NE(errors_of_route("{ rules: {} }").find("rules: unknown field"), std::string::npos);
  EXPECT_NE(errors_of_route("{ rbac: { rules: { action: NO } } }"), "");
}

}  // namespace
}  // namespace pillion::filters
