// Which requests jwt_authn asks for which tokens: its rules, the route, filter state, and again
// when the request has become another.
#include "tests/unit/filters/changer.h"
#include "tests/unit/filters/jwt_fixture.h"

namespace pillion::filters {
namespace {

TEST_F(JwtAuthn, TheFirstRuleThatMatchesCounts) {
  configure(str("{ providers: { ", provider("p", "ann", ann()),
                " }, requirement_map: { need: { provider_name: p } }, rules: [ { match: { path: "
                "/open } }, { match: { prefix: /a, headers: [ { name: x-need } ] }, "
                "requirement_name: need }, { match: { safe_regex: { regex: '/b/[0-9]+' } }, "
                "requires: { provider_name: p } } ] }"));
  const std::pair<Fields, std::string_view> cases[] = {
      {{{":path", "/open"}}, "ok"},
      {{{":path", "/open?a"}}, "ok"},
      {{{":path", "/a"}}, "ok"},
      {{{":path", "/a"}, {"x-need", "1"}}, "401 Jwt is missing"},
      {{{":path", "/b/12"}}, "401 Jwt is missing"},
      {{{":path", "/b/12?x"}}, "401 Jwt is missing"},
      {{{":path", "/b/x"}}, "ok"},
      {{{":path", ""}}, "ok"},
  };
  for (const auto& [fields, expected] : cases)
    EXPECT_EQ(verdict(fields), expected) << fields[0].second;
}

TEST_F(JwtAuthn, ConnectIsNoWayRoundARuleForAllPaths) {
  configure_ann();
  Exchange& e = exchange({{":path", ""}});  // as of CONNECT
  EXPECT_FALSE(e.passed);
  EXPECT_EQ(e.status, 401);
}

// It reads "/admin" wherever routes do.
TEST_F(JwtAuthn, NoParameterHidesAPathFromItsRule) {
  configure(
      str("{ providers: { ", provider("p", "ann", ann()),
          " }, rules: [ { match: { path: /admin }, requires: { provider_name: p } }, { match: "
          "{ prefix: /a/b }, requires: { provider_name: p } } ] }"));
  for (const char* path : {"/admin;x", "/a;x/b"}) EXPECT_EQ(verdict({{":path", path}}), "ok");
  ignore_path_parameters();
  for (const char* path :
       {"/admin", "/admin;x", "/admin;x?y", "/admin%3Bx", "/a;x/b", "/;x/a/b", "/a/b;c/d"}) {
    EXPECT_EQ(verdict({{":path", path}}), "401 Jwt is missing") << path;
  }
  for (const char* path : {"/admins;x", "/x;/admin", "/a;/c", "/?;/admin"})
    EXPECT_EQ(verdict({{":path", path}}), "ok") << path;
}

// It is no path, and reaches everything.
TEST_F(JwtAuthn, TheServerAsAWholeIsNoWayRoundARuleForAllPaths) {
  const auto verdict_by = [&](std::string_view match) {
    configure(str("{ providers: { ", provider("p", "ann", ann()), " }, rules: [ { match: { ", match,
                  " }, requires: { provider_name: p } } ] }"));
    return verdict({{":path", "*"}, {":method", "OPTIONS"}});
  };
  for (const std::string_view match :
       {"prefix: /", "prefix: ''", "path: '*'", "prefix: '*'", "safe_regex: { regex: '/.*' }",
        "safe_regex: { regex: '.*' }"}) {
    EXPECT_EQ(verdict_by(match), "401 Jwt is missing") << match;
  }
  for (const std::string_view match : {"path: /", "prefix: /a", "path_separated_prefix: /a"})
    EXPECT_EQ(verdict_by(match), "ok") << match;
}

// Nor does a rule for the root alone open either of them.
TEST_F(JwtAuthn, ARuleForTheRootIsNotOneForAll) {
  configure(str("{ providers: { ", provider("p", "ann", ann()),
                " }, rules: [ { match: { path: / } }, { match: { prefix: / }, requires: { "
                "provider_name: p } } ] }"));
  EXPECT_EQ(verdict({{":path", "/"}}), "ok");
  EXPECT_EQ(verdict({{":path", "*"}}), "401 Jwt is missing");
  EXPECT_EQ(verdict({{":path", ""}}), "401 Jwt is missing") << "CONNECT";
}

TEST_F(JwtAuthn, ARouteMayDisableOrReplaceWhatRulesAsk) {
  const std::string config =
      str("{ providers: { ", provider("p", "ann", ann()),
          " }, requirement_map: { need: { provider_name: p }, lax: { allow_missing: {} } }, rules: "
          "[ { match: { prefix: / }, requires: { provider_name: p } } ] }");
  configure(config);
  EXPECT_EQ(verdict({}), "401 Jwt is missing");
  configure_route("{ disabled: true }");
  EXPECT_EQ(verdict({}), "ok");
  configure_route("{ requirement_name: lax }");
  EXPECT_EQ(verdict({}), "ok");
  configure_route("{ requirement_name: need }");
  EXPECT_EQ(verdict({}), "401 Jwt is missing");
  configure_route("{ requirement_name: none }");
  EXPECT_EQ(verdict(bearer(ann_token())),
            "403 Failed JWT authentication: Wrong requirement_name: none. It should be one of "
            "[lax,need]");
}

TEST_F(JwtAuthn, FilterStateMayNameTheRequirement) {
  configure(str("{ providers: { ", provider("p", "ann", ann()),
                " }, filter_state_rules: { name: who, requires: { strict: { provider_name: p } } } "
                "}"));
  const auto status_with = [&](std::string_view who) {
    Exchange e(worker, *chain_, states_, route::RouteMatch{}, connection, {});
    core::FilterState state{"who", who, nullptr};
    e.info().filter_state = &state;
    e.begin();
    return e.passed ? 200 : e.status;
  };
  EXPECT_EQ(status_with("strict"), 401);
  EXPECT_EQ(status_with("other"), 200);
  EXPECT_EQ(verdict({}), "ok");
}

// ---- a verdict is void once the request is another ----

TEST_F(JwtAuthn, APathThatAFilterBehindRewritesIsJudgedAgain) {
  behind = rewriter_to("/secret");
  configure(str("{ providers: { ", provider("p", "ann", ann(), "forward: true"),
                " }, rules: [ { match: { prefix: /secret }, requires: { provider_name: p } } ] }"));
  EXPECT_EQ(verdict({{":path", "/public"}}), "401 Jwt is missing");
  Fields fields = bearer(ann_token());
  fields.emplace_back(":path", "/public");
  EXPECT_EQ(verdict(fields), "ok");
}

TEST_F(JwtAuthn, ARequestThatIsJudgedTwiceCountsOnce) {
  const auto& counters = stats<stats::JwtAuthnStats>("web");
  behind = rewriter_to("/elsewhere");
  configure(str("{ providers: { ", provider("p", "ann", ann()),
                " }, rules: [ { match: { prefix: /secret }, requires: { provider_name: p } } ] }"));
  EXPECT_EQ(verdict({{":path", "/public"}}), "ok");
  EXPECT_EQ(counters.allowed.value(), 1u);
  EXPECT_EQ(counters.denied.value(), 0u);
}

// Or it would be asked for a token that it was not asked for before, or for none.
TEST_F(JwtAuthn, AShareOfRequestsIsDrawnOnce) {
  const auto& counters = stats<stats::JwtAuthnStats>("web");
  behind = rewriter_to("/elsewhere");
  configure(str("{ providers: { ", provider("p", "ann", ann()),
                " }, rules: [ { match: { prefix: /, runtime_fraction: { default_value: { "
                "numerator: 50 } } } }, { match: { prefix: / }, requires: { provider_name: p } } ] "
                "}"));
  int passed = 0;
  for (int i = 0; i < 200; ++i) {
    if (exchange().passed) ++passed;
  }
  // Each is refused at once or passes both times; of two draws a quarter would.
  EXPECT_EQ(counters.allowed.value(), static_cast<uint64_t>(passed));
  EXPECT_GT(passed, 70);
  EXPECT_LT(passed, 130);
}

using JwtOfRoutes = Led<JwtAuthn>;

TEST_F(JwtOfRoutes, AnotherRouteAsksForItsOwnToken) {
  lead_to("{ requirement_name: need }");
  configure(str("{ providers: { ", provider("p", "ann", ann(), "forward: true"),
                " }, requirement_map: { need: { provider_name: p } } }"));
  EXPECT_EQ(ask_and_be_led({}).reply_body, "Jwt is missing");
  EXPECT_TRUE(ask_and_be_led(bearer(ann_token())).passed);
  disable_on_route();
  EXPECT_EQ(ask_and_be_led({}).status, 401) << "the first route has no use for the filter";
  EXPECT_TRUE(ask_and_be_led(bearer(ann_token())).passed);
}

// What was stripped at the first route cannot be shown at the second.
TEST_F(JwtOfRoutes, ATokenThatIsGoneIsMissing) {
  lead_to("{ requirement_name: both }");
  configure(str("{ providers: { ", provider("p", "ann", ann()), ", ", provider("q", "bob", bob()),
                " }, requirement_map: { both: { requires_all: { requirements: [ { provider_name: p "
                "}, { provider_name: q } ] } } }, rules: [ { match: { prefix: / }, requires: { "
                "provider_name: p } } ] }"));
  EXPECT_EQ(ask_and_be_led(bearer(ann_token())).status, 401);
}

}  // namespace
}  // namespace pillion::filters
