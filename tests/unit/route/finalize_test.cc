// What a route changes in requests and responses, and what it answers itself.
#include "tests/unit/route/fixture.h"

namespace pillion::route {
namespace {

// Finalizes the request by the only route.
void finalize(const Table& table, Request& request, bool envoy_headers = true) {
  const RouteMatch match = table.routes->match(request.head, 0, false);
  ASSERT_TRUE(match) << request.head.path;
  finalize_request(match, request.head, nullptr, envoy_headers);
}

std::string route_with(std::string_view match, std::string_view action) {
  return with_routes(str("[ { match: { ", match, " }, route: { cluster: c, ", action, " } } ]"));
}

TEST(PathRewrite, FollowsTheTable) {
  struct Case {
    std::string_view match, action, before, after;
  };
  const Case cases[] = {
      {"prefix: /api", "prefix_rewrite: /v2", "/api/x?y", "/v2/x?y"},
      {"prefix: /api/", "prefix_rewrite: /", "/api/x", "/x"},
      {"prefix: /api", "prefix_rewrite: /", "/api/x", "//x"},  // as in Envoy
      {"prefix: /API, case_sensitive: false", "prefix_rewrite: /v2", "/api/x", "/v2/x"},
      {"path: /api", "prefix_rewrite: /v2", "/api?y", "/v2?y"},
      {"path_separated_prefix: /api", "prefix_rewrite: /v2", "/api/x", "/v2/x"},
      {"safe_regex: { regex: '/a.*' }", "prefix_rewrite: /v2", "/abc?y", "/v2?y"},
      {"prefix: /a/", "prefix_rewrite: v", "/a/x", "/vx"},  // never without a slash
      {"prefix: /",
       "regex_rewrite: { pattern: { regex: '^/s/([^/]+)(/.*)$' },"
       " substitution: '\\2/i/\\1' }",
       "/s/foo/v1?q=/s/x", "/v1/i/foo?q=/s/x"},
      {"prefix: /", "regex_rewrite: { pattern: { regex: '/x' }, substitution: '' }", "/x", "/"},
      {"prefix: /", "prefix_rewrite: ''", "/x", "/x"},
  };
  for (const Case& c : cases) {
    const Table table(route_with(c.match, c.action));
    Request request("h");
    request.head.path = c.before;
    finalize(table, request);
    EXPECT_EQ(request.head.path, c.after) << c.match << " " << c.action;
    EXPECT_EQ(request.header("x-envoy-original-path"),
              c.action == "prefix_rewrite: ''" ? "-" : c.before);
  }
}

TEST(PathRewrite, TellsTheOldPathOnlyIfAsked) {
  const Table table(route_with("prefix: /a", "prefix_rewrite: /b"));
  Request request("h/a");
  finalize(table, request, false);
  EXPECT_EQ(request.header("x-envoy-original-path"), "-");
}

TEST(PathRewrite, TakesParametersWithTheirSegment) {
  const Table table("ignore_path_parameters_in_path_matching: true\n" +
                    route_with("prefix: /a/b", "prefix_rewrite: /v"));
  Request request("h/a;x=1/b;y/c;z?q");
  finalize(table, request);
  EXPECT_EQ(request.head.path, "/v/c;z?q");
}

TEST(HostRewrite, FollowsTheTable) {
  struct Case {
    std::string_view action, authority, forwarded_host;
  };
  const Case cases[] = {
      {"host_rewrite_literal: new", "new", "-"},
      {"host_rewrite_literal: new, append_x_forwarded_host: true", "new", "old:80"},
      {"host_rewrite_header: X-Host", "from-header", "-"},
      {"host_rewrite_header: x-none", "old:80", "-"},
      {"host_rewrite_path_regex: { pattern: { regex: '^/([^/]+)/.*' }, substitution: '\\1.shop' }",
       "users.shop", "-"},
      {"auto_host_rewrite: true", "old:80", "-"},
      {"prefix_rewrite: /x, host_rewrite_literal: new", "new", "-"},
  };
  for (const Case& c : cases) {
    const Table table(route_with("prefix: /", c.action));
    Request request("old:80/users/7", {{"x-host", "from-header"}});
    finalize(table, request);
    EXPECT_EQ(request.head.authority, c.authority) << c.action;
    EXPECT_EQ(request.header("x-forwarded-host"), c.forwarded_host) << c.action;
  }
}

TEST(HostRewrite, TellsTheOldHost) {
  const Table table(route_with("prefix: /", "host_rewrite_literal: new"));
  Request told("old:80/", {{"x-envoy-original-host", "forged"}});
  finalize(table, told);
  EXPECT_EQ(told.header("x-envoy-original-host"), "old:80");
  Request untold("old:80/");
  finalize(table, untold, false);
  EXPECT_EQ(untold.header("x-envoy-original-host"), "-");
  const Table plain(route_with("prefix: /", "prefix_rewrite: /x"));
  Request kept("old:80/");
  finalize(plain, kept);
  EXPECT_EQ(kept.header("x-envoy-original-host"), "-");
}

TEST(HostRewrite, AppendsToTheForwardedHosts) {
  const Table table(
      route_with("prefix: /", "host_rewrite_literal: new, append_x_forwarded_host: true"));
  Request appended("old/", {{"x-forwarded-host", "first"}});
  finalize(table, appended);
  EXPECT_EQ(appended.header("x-forwarded-host"), "first,old");
  Request same("old/", {{"x-forwarded-host", "first, old"}});
  finalize(table, same);
  EXPECT_EQ(same.header("x-forwarded-host"), "first, old");
  Request repeated("old/", {{"x-forwarded-host", "first"}, {"x-forwarded-host", "second"}});
  finalize(table, repeated);
  EXPECT_EQ(repeated.header("x-forwarded-host"), "first,second,old");
}

TEST(HostRewrite, OfAWeightedClusterGivesWayToTheRoutes) {
  const auto routes = [](std::string_view more) {
    return with_routes(str("[ { match: { prefix: / }, route: { weighted_clusters: { clusters: [",
                           " { name: a, weight: 1, host_rewrite_literal: share } ] }, ",
                           "append_x_forwarded_host: true, ", more, " } } ]"));
  };
  const Table plain(routes("timeout: 1s"));
  Request share("old/");
  finalize(plain, share);
  EXPECT_EQ(share.head.authority, "share");
  EXPECT_EQ(share.header("x-forwarded-host"), "-");  // as in Envoy
  const Table table(routes("host_rewrite_literal: new"));
  Request route("old/");
  finalize(table, route);
  EXPECT_EQ(route.head.authority, "new");
  EXPECT_EQ(route.header("x-forwarded-host"), "old");
}

TEST(HostRewrite, TakesTheUpstreamsNameOnDemand) {
  const Table table(
      route_with("prefix: /", "auto_host_rewrite: true, append_x_forwarded_host: true"));
  Request request("old/");
  const RouteMatch match = table.routes->match(request.head, 0, false);
  finalize_request(match, request.head, nullptr);
  rewrite_host(match, request.head, "", true);
  EXPECT_EQ(request.head.authority, "old");
  rewrite_host(match, request.head, "up1.example", true);
  rewrite_host(match, request.head, "up2.example", false);
  EXPECT_EQ(request.head.authority, "up2.example");
  EXPECT_EQ(request.header("x-forwarded-host"), "old");
  EXPECT_EQ(request.header("x-envoy-original-host"), "old");
  const Table plain(route_with("prefix: /", "timeout: 1s"));
  Request untouched("old/");
  rewrite_host(plain.routes->match(untouched.head, 0, false), untouched.head, "up.example", true);
  EXPECT_EQ(untouched.head.authority, "old");
}

TEST(HeaderMutations, FollowTheTable) {
  struct Case {
    std::string_view fields, header, expected;
  };
  const Case cases[] = {
      {"request_headers_to_add: [ { header: { key: A, value: '2' } } ]", "a", "1|2"},
      {"request_headers_to_add: [ { header: { key: n, value: '2' } } ]", "n", "2"},
      {"request_headers_to_add: [ { header: { key: a, value: '2' }, append_action:"
       " ADD_IF_ABSENT } ]",
       "a", "1"},
      {"request_headers_to_add: [ { header: { key: n, value: '2' }, append_action:"
       " ADD_IF_ABSENT } ]",
       "n", "2"},
      {"request_headers_to_add: [ { header: { key: a, value: '2' }, append_action:"
       " OVERWRITE_IF_EXISTS_OR_ADD } ]",
       "a", "2"},
      {"request_headers_to_add: [ { header: { key: a, value: '2' }, append: false } ]", "a", "2"},
      {"request_headers_to_add: [ { header: { key: a, value: '2' }, append: true } ]", "a", "1|2"},
      {"request_headers_to_add: [ { header: { key: n, value: '2' }, append_action:"
       " OVERWRITE_IF_EXISTS } ]",
       "n", "-"},
      {"request_headers_to_add: [ { header: { key: a, value: '2' }, append_action:"
       " OVERWRITE_IF_EXISTS } ]",
       "a", "2"},
      {"request_headers_to_remove: [ A ]", "a", "-"},
      {"request_headers_to_remove: [ a ], request_headers_to_add: [ { header: { key: a,"
       " value: '2' } } ]",
       "a", "2"},
      {"request_headers_to_add: [ { header: { key: n, value: '50%%' } } ]", "n", "50%"},
      {"request_headers_to_add: [ { header: { key: n, value: '%OP%' } } ]", "n", "<OP>"},
      {"request_headers_to_add: [ { header: { key: n, value: '%EMPTY%' } } ]", "n", "-"},
      {"request_headers_to_add: [ { header: { key: n, value: '' } } ]", "n", "-"},
      {"request_headers_to_add: [ { header: { key: n, value: '%EMPTY%' },"
       " keep_empty_value: true } ]",
       "n", ""},
      {"request_headers_to_add: [ { header: { key: a, value: x } }, { header: { key: a, value: y },"
       " append_action: OVERWRITE_IF_EXISTS_OR_ADD } ]",
       "a", "y|x"},
      {"request_headers_to_remove: [ x-request-id ]", "x-request-id", "-"},
  };
  for (const Case& c : cases) {
    const Table table(
        with_routes(str("[ { match: { prefix: / }, route: { cluster: c }, ", c.fields, " } ]")));
    Request request("h/", {{"a", "1"}, {"x-request-id", "7"}});
    finalize(table, request);
    EXPECT_EQ(request.header(c.header), c.expected) << c.fields;
  }
}

std::string four_levels(std::string_view first_line) {
  const auto add = [](std::string_view level) {
    return str("request_headers_to_add: [ { header: { key: all, value: ", level, " } },",
               " { header: { key: last, value: ", level, " }, append: false } ],",
               " response_headers_to_add: [ { header: { key: seen, value: ", level, " } } ]");
  };
  return str(first_line, "{ name: r, ", add("table"),
             ", virtual_hosts: [ { name: v, domains: [ '*' ], ", add("host"),
             ", routes: [ { match: { prefix: / }, ", add("route"),
             ", route: { weighted_clusters: { clusters: [ { name: a, weight: 1, ", add("share"),
             ", host_rewrite_literal: share.example } ] } } } ] } ]");
}

TEST(HeaderMutations, RunFromTheMostSpecificLevelOn) {
  const Table table(four_levels("") + " }");
  Request request("h/");
  const RouteMatch match = table.routes->match(request.head, 0, false);
  finalize_request(match, request.head, nullptr);
  EXPECT_EQ(request.header("all"), "share|route|host|table");
  EXPECT_EQ(request.header("last"), "table");
  EXPECT_EQ(request.head.authority, "share.example");
  http::ResponseHead response(request.arena);
  finalize_response(match, response, nullptr);
  EXPECT_EQ(Request::values(response.headers, "seen"), "share|route|host|table");
}

TEST(HeaderMutations, CanLetTheRouteWin) {
  const Table table(four_levels("") + ", most_specific_header_mutations_wins: true }");
  Request request("h/");
  finalize(table, request);
  EXPECT_EQ(request.header("all"), "share|table|host|route");  // as in Envoy
  EXPECT_EQ(request.header("last"), "route");
}

TEST(Redirect, FollowsTheTable) {
  struct Case {
    std::string_view match, redirect, scheme, url, location;
  };
  const Case cases[] = {
      {"prefix: /", "https_redirect: true", "http", "a/x?y", "https://a/x?y"},
      {"prefix: /", "https_redirect: true", "http", "a:80/x", "https://a/x"},
      {"prefix: /", "https_redirect: true", "http", "a:8080/x", "https://a:8080/x"},
      {"prefix: /", "https_redirect: true, port_redirect: 8443", "http", "a:8080/x",
       "https://a:8443/x"},
      {"prefix: /", "scheme_redirect: HTTP", "https", "a:443/x", "http://a/x"},
      {"prefix: /", "https_redirect: true", "https", "a:443/x", "https://a:443/x"},
      {"prefix: /", "https_redirect: true", "http", "[::1]:80/x", "https://[::1]/x"},
      {"prefix: /", "host_redirect: b", "http", "a:80/x?y", "http://b/x?y"},
      {"prefix: /", "host_redirect: 'b:81'", "http", "a/x", "http://b:81/x"},
      {"prefix: /", "path_redirect: /n", "http", "a/x?y", "http://a/n?y"},
      {"prefix: /", "path_redirect: '/n?z'", "http", "a/x?y", "http://a/n?z"},
      {"prefix: /", "path_redirect: '/n?z', strip_query: true", "http", "a/x?y", "http://a/n?z"},
      {"prefix: /", "path_redirect: /n, strip_query: true", "http", "a/x?y", "http://a/n"},
      {"prefix: /", "host_redirect: b, strip_query: true", "http", "a/x?y", "http://b/x"},
      {"prefix: /old", "prefix_rewrite: /new", "http", "a/old/x?y", "http://a/new/x?y"},
      {"prefix: /", "regex_rewrite: { pattern: { regex: '^/(.*)$' }, substitution: '/n/\\1' }",
       "http", "a/x?y", "http://a/n/x?y"},
      {"prefix: /", "https_redirect: true", "http", "/x", "/x"},
  };
  for (const Case& c : cases) {
    const Table table(
        with_routes(str("[ { match: { ", c.match, " }, redirect: { ", c.redirect, " } } ]")));
    Request request(c.url);
    request.head.scheme = c.scheme;
    const RouteMatch match = table.routes->match(request.head, 0, false);
    ASSERT_TRUE(match);
    ASSERT_EQ(match.route->kind, Route::Kind::kRedirect);
    Arena arena;
    EXPECT_EQ(redirect_location(match, request.head, arena), c.location) << c.redirect;
  }
}

TEST(Redirect, HasTheStatusAskedFor) {
  const std::pair<std::string_view, int> cases[] = {{"MOVED_PERMANENTLY", 301},
                                                    {"FOUND", 302},
                                                    {"SEE_OTHER", 303},
                                                    {"3", 307},
                                                    {"PERMANENT_REDIRECT", 308}};
  for (const auto& [code, status] : cases) {
    const Table table(with_routes(str("[ { match: { prefix: / }, redirect: { host_redirect: b,",
                                      " response_code: ", code, " } } ]")));
    EXPECT_EQ(table.routes->hosts()[0].routes[0].redirect->status, status) << code;
  }
}

TEST(DirectResponse, HasStatusBodyAndHeaders) {
  const Table table(with_routes(
      "[ { match: { prefix: / }, direct_response: { status: 418, body: { inline_string: tea } },"
      "    response_headers_to_add: [ { header: { key: pot, value: 'yes' } } ] } ]"));
  const Request request("h/");
  const RouteMatch match = table.routes->match(request.head, 0, false);
  ASSERT_TRUE(match);
  EXPECT_EQ(match.route->direct_response->status, 418);
  EXPECT_EQ(match.route->direct_response->body, "tea");
  Arena arena;
  http::ResponseHead response(arena);
  finalize_response(match, response, nullptr);
  EXPECT_EQ(Request::values(response.headers, "pot"), "yes");
}

TEST(ForwardAction, HasEnvoysDefaults) {
  const Table table(with_routes("[ { match: { prefix: / }, route: { cluster: c } } ]"));
  const ForwardAction& action = *table.routes->hosts()[0].routes[0].forward;
  EXPECT_EQ(action.timeout, std::chrono::seconds(15));
  EXPECT_FALSE(action.idle_timeout);
  EXPECT_FALSE(action.max_stream_duration);
  EXPECT_EQ(action.retry, nullptr);
  EXPECT_EQ(action.body_limit, 1024u * 1024u);
  EXPECT_EQ(action.cluster_not_found_status, 503);
  EXPECT_EQ(action.rewrite, nullptr);
  EXPECT_LE(sizeof(Route), 240u);  // a mesh has thousands
}

TEST(ForwardAction, ReadsTimesRetriesAndUpgrades) {
  const Table table(
      with_routes("[ { match: { prefix: / }, route: { cluster: c, timeout: 0s, idle_timeout: 3s,"
                  "    max_stream_duration: { max_stream_duration: 4s },"
                  "    cluster_not_found_response_code: NOT_FOUND,"
                  "    upgrade_configs: [ { upgrade_type: WebSocket },"
                  "      { upgrade_type: other, enabled: false },"
                  "      { upgrade_type: CONNECT, connect_config: {} } ],"
                  "    retry_policy: { retry_on: ' connect-failure , reset', num_retries: 3,"
                  "      retry_back_off: { base_interval: 10ms } } } },"
                  "  { match: { prefix: / }, route: { cluster: d } } ]",
                  "retry_policy: { retry_on: reset }"));
  const auto& routes = table.routes->hosts()[0].routes;
  const ForwardAction& action = *routes[0].forward;
  EXPECT_EQ(action.timeout, Duration{});
  EXPECT_EQ(action.idle_timeout, std::chrono::seconds(3));
  EXPECT_EQ(action.max_stream_duration, std::chrono::seconds(4));
  EXPECT_EQ(action.cluster_not_found_status, 404);
  EXPECT_TRUE(action.retry->has(RetryOn::kConnectFailure));
  EXPECT_TRUE(action.retry->has(RetryOn::kReset));
  EXPECT_EQ(action.retry->num_retries, 3u);
  EXPECT_EQ(action.retry->base_interval, std::chrono::milliseconds(10));
  EXPECT_EQ(action.retry->max_interval, std::chrono::milliseconds(100));
  const RouteMatch match{&table.routes->hosts()[0], &routes[0]};
  EXPECT_EQ(find_upgrade(match, "websocket"), UpgradeVerdict::kAllowed);
  EXPECT_EQ(find_upgrade(match, "WebSocket"), UpgradeVerdict::kAllowed);
  EXPECT_EQ(find_upgrade(match, "other"), UpgradeVerdict::kForbidden);
  EXPECT_EQ(find_upgrade(match, "connect"), UpgradeVerdict::kAllowed);
  EXPECT_TRUE(terminates_connect(match));
  const RouteMatch second{&table.routes->hosts()[0], &routes[1]};
  EXPECT_EQ(find_upgrade(second, "connect"), UpgradeVerdict::kUnsaid);
  EXPECT_FALSE(terminates_connect(second));
  // Without a policy of its own a route has its virtual host's.
  EXPECT_FALSE(routes[1].forward->retry->has(RetryOn::kConnectFailure));
  EXPECT_TRUE(routes[1].forward->retry->has(RetryOn::kReset));
}

TEST(ForwardAction, HasTheBodyLimitOfTheRouteOrTheVirtualHost) {
  const Table table(with_routes(
      "[ { match: { prefix: / }, route: { cluster: c } },"
      "  { match: { prefix: / }, per_request_buffer_limit_bytes: 7, route: { cluster: c } },"
      "  { match: { prefix: / }, per_request_buffer_limit_bytes: 4000000, route: { cluster: c } },"
      "  { match: { prefix: / }, request_body_buffer_limit: 4000000, route: { cluster: c } } ]",
      "per_request_buffer_limit_bytes: 99, include_request_attempt_count: true,"
      "include_attempt_count_in_response: true, include_is_timeout_retry_header: true"));
  const VirtualHost& host = table.routes->hosts()[0];
  constexpr uint32_t kLimits[] = {99, 7, 1024 * 1024, 4000000};
  for (size_t i = 0; i < std::size(kLimits); ++i) {
    EXPECT_EQ(host.routes[i].forward->body_limit, kLimits[i]) << i;
  }
  EXPECT_TRUE(host.count_attempts_in_request && host.count_attempts_in_response &&
              host.marks_timeout_retries);
}

}  // namespace
}  // namespace pillion::route
