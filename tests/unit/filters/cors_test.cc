#include "tests/unit/filters/filter_fixture.h"

namespace pillion::filters {
namespace {

class Cors : public FilterTest {
 protected:
  Cors() : FilterTest("envoy.extensions.filters.http.cors.v3.Cors") { configure("{}"); }

  Exchange& call(const std::string& origin) {
    Exchange& e = exchange({{"origin", origin}});
    e.respond(200);
    return e;
  }
  Exchange& preflight(const std::string& origin, const Fields& more = {}) {
    Fields fields{{":method", "OPTIONS"},
                  {"origin", origin},
                  {"access-control-request-method", "PUT"},
                  {"access-control-request-headers", "x-a"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return exchange(fields);
  }
};

TEST_F(Cors, AResponseNamesTheOriginThatIsAllowed) {
  configure_route(
      "{ allow_origin_string_match: [ { exact: 'https://a' }, { suffix: .b } ], allow_credentials: "
      "true, expose_headers: x-e, allow_methods: PUT }");
  Exchange& allowed = call("https://x.b");
  EXPECT_TRUE(allowed.passed);
  EXPECT_EQ(allowed.response_header("access-control-allow-origin"), "https://x.b");
  EXPECT_EQ(allowed.response_header("access-control-allow-credentials"), "true");
  EXPECT_EQ(allowed.response_header("access-control-expose-headers"), "x-e");
  EXPECT_EQ(allowed.response_header("access-control-allow-methods"), "") << "of preflights only";
  Exchange& refused = call("https://c");
  EXPECT_TRUE(refused.passed) << "it is the browser that refuses";
  EXPECT_EQ(refused.response_header("access-control-allow-origin"), "");
  EXPECT_EQ(refused.response_header("access-control-allow-credentials"), "");
  EXPECT_EQ(stats<stats::CorsStats>("web").origin_valid.value(), 1u);
  EXPECT_EQ(stats<stats::CorsStats>("web").origin_invalid.value(), 1u);
}

TEST_F(Cors, WhatTheUpstreamSaysOfTheOriginIsReplaced) {
  configure_route("{ allow_origin_string_match: [ { exact: 'https://a' } ] }");
  Exchange& e = exchange({{"origin", "https://a"}});
  e.response.headers.add("access-control-allow-origin", "*");
  e.respond(200);
  EXPECT_EQ(e.response_header("access-control-allow-origin"), "https://a");
}

TEST_F(Cors, APreflightIsAnswered) {
  configure_route(
      "{ allow_origin_string_match: [ { exact: 'https://a' } ], allow_methods: 'GET,PUT', "
      "allow_headers: x-a, max_age: '100', allow_credentials: true }");
  Exchange& e = preflight("https://a");
  EXPECT_FALSE(e.passed);
  EXPECT_EQ(e.status, 200);
  EXPECT_EQ(e.details, "cors_response");
  EXPECT_EQ(e.response_header("access-control-allow-origin"), "https://a");
  EXPECT_EQ(e.response_header("access-control-allow-methods"), "GET,PUT");
  EXPECT_EQ(e.response_header("access-control-allow-headers"), "x-a");
  EXPECT_EQ(e.response_header("access-control-max-age"), "100");
  EXPECT_EQ(e.response_header("access-control-allow-credentials"), "true");
}

TEST_F(Cors, AStarGivesBackWhatWasAskedFor) {
  configure_route(
      "{ allow_origin_string_match: [ { exact: '*' } ], allow_methods: '*', allow_headers: '*', "
      "allow_private_network_access: true }");
  Exchange& e = preflight("https://any", {{"access-control-request-private-network", "true"}});
  EXPECT_EQ(e.response_header("access-control-allow-origin"), "https://any");
  EXPECT_EQ(e.response_header("access-control-allow-methods"), "PUT");
  EXPECT_EQ(e.response_header("access-control-allow-headers"), "x-a");
  EXPECT_EQ(e.response_header("access-control-allow-private-network"), "true");
}

TEST_F(Cors, APreflightOfAnotherOriginGoesOnUnlessToldOtherwise) {
  const std::string allowed = "allow_origin_string_match: [ { exact: 'https://a' } ]";
  configure_route(str("{ ", allowed, " }"));
  EXPECT_TRUE(preflight("https://b").passed);
  configure_route(str("{ ", allowed, ", forward_not_matching_preflights: false }"));
  Exchange& e = preflight("https://b");
  EXPECT_EQ(e.status, 200);
  EXPECT_EQ(e.response_header("access-control-allow-origin"), "");
}

TEST_F(Cors, WhatIsNoPreflightPasses) {
  configure_route("{ allow_origin_string_match: [ { exact: '*' } ] }");
  EXPECT_TRUE(exchange({{":method", "OPTIONS"}, {"origin", "https://a"}}).passed);
  EXPECT_TRUE(exchange({{":method", "OPTIONS"}, {"access-control-request-method", "PUT"}}).passed);
  EXPECT_TRUE(exchange({{"origin", "https://a"}, {"access-control-request-method", "PUT"}}).passed);
  Exchange& twice = exchange({{"origin", "https://a"}, {"origin", "https://b"}});
  twice.respond(200);
  EXPECT_EQ(twice.response_header("access-control-allow-origin"), "");
}

TEST_F(Cors, FieldsThatTheRouteDoesNotSetAreTheHosts) {
  configure_host(
      "{ allow_origin_string_match: [ { exact: 'https://host' } ], max_age: '1', allow_methods: "
      "GET, allow_credentials: true }");
  configure_route("{ max_age: '2', allow_credentials: false }");
  Exchange& e = preflight("https://host");
  EXPECT_EQ(e.response_header("access-control-max-age"), "2");
  EXPECT_EQ(e.response_header("access-control-allow-methods"), "GET");
  EXPECT_EQ(e.response_header("access-control-allow-credentials"), "");
  EXPECT_EQ(e.response_header("access-control-allow-origin"), "https://host");
}

TEST_F(Cors, ItIsOffWithoutAPolicyOrBelowItsShare) {
  EXPECT_TRUE(preflight("https://a").passed);
  configure_route("{ allow_origin_string_match: [ { exact: '*' } ], filter_enabled: 0% }");
  EXPECT_TRUE(preflight("https://a").passed);
  EXPECT_EQ(stats<stats::CorsStats>("web").origin_valid.value(), 0u);
  configure_route(
      "{ allow_origin_string_match: [ { exact: '*' } ], filter_enabled: { default_value: { "
      "numerator: 0 } }, shadow_enabled: { default_value: { numerator: 100 } } }");
  Exchange& shadow = call("https://a");
  EXPECT_EQ(shadow.response_header("access-control-allow-origin"), "");
  EXPECT_TRUE(preflight("https://a").passed);
  EXPECT_EQ(stats<stats::CorsStats>("web").origin_valid.value(), 2u);
}

TEST_F(Cors, WrongConfigurationsAreNamed) {
  EXPECT_EQ(errors_of("{ a: 1 }"), "f:1:3: a: unknown field\n");
  EXPECT_NE(errors_of_route("{ allow_origin: [ 'a' ] }").find("allow_origin: unknown field"),
            std::string::npos);
  EXPECT_NE(errors_of_route("{ max_age: \"1\\r\\nx: y\" }").find("without control characters"),
            std::string::npos);
}

}  // namespace
}  // namespace pillion::filters
