// Which virtual host and which route a request takes.
#include <algorithm>
#include <map>
#include <optional>

#include "proxy/base/rng.h"
#include "tests/unit/route/fixture.h"

namespace pillion::route {
namespace {

// The cluster of the match; "none", "redirect" or "direct".
std::string outcome(const RouteTable& table, const Request& request, uint64_t random = 0,
                    bool tls = false) {
  const RouteMatch match = table.match(request.head, random, tls);
  if (!match) return "none";
  switch (match.route->kind) {
    case Route::Kind::kForward:
      return std::string(cluster_name(match, request.head));
    case Route::Kind::kRedirect:
      return "redirect";
    case Route::Kind::kDirectResponse:
      return "direct";
  }
  return {};
}

TEST(VirtualHosts, AreFoundInEnvoysOrder) {
  const Table table(
      "virtual_hosts:\n"
      "- { name: exact, domains: [ users.shop, 'Cap.Shop', '[::1]:80' ] }\n"
      "- { name: suffix, domains: [ '*.shop' ] }\n"
      "- { name: long-suffix, domains: [ '*.eu.shop', '*-bar.example' ] }\n"
      "- { name: prefix, domains: [ 'users.*' ] }\n"
      "- { name: long-prefix, domains: [ 'users.eu.*' ] }\n"
      "- { name: any, domains: [ '*' ] }\n");
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"users.shop", "exact"},
      {"USERS.shop", "exact"},
      {"cap.shop", "exact"},
      {"[::1]:80", "exact"},
      {"users.shop:80", "prefix"},
      {"orders.shop", "suffix"},
      {"a.b.shop", "suffix"},
      {"a.EU.shop", "long-suffix"},
      {".shop", "any"},
      {"foo-bar.example", "long-suffix"},
      {"-bar.example", "any"},
      {"users.eu.shop", "long-suffix"},
      {"users.eu.com", "long-prefix"},
      {"users.eu.", "prefix"},
      {"users.", "any"},
      {"shop", "any"},
      {"", "any"},
  };
  for (const auto& [authority, expected] : cases) {
    const VirtualHost* host = table.routes->find_host(authority);
    ASSERT_NE(host, nullptr) << authority;
    EXPECT_EQ(host->name, expected) << authority;
  }
}

TEST(VirtualHosts, AreThoseOfALinearSearch) {
  Rng rng(11);
  const auto text = [&rng](uint64_t longest) {
    std::string t;
    for (uint64_t n = rng.below(longest + 1); n > 0; --n) t += "ab.C"[rng.below(4)];
    return t;
  };
  const auto lowered = [](std::string t) {
    for (char& c : t) c = to_lower(c);
    return t;
  };
  for (int round = 0; round < 200; ++round) {
    DomainTable table;
    std::vector<std::string> domains;
    for (int i = 0; i < 12; ++i) {
      const uint64_t form = rng.below(3);
      std::string domain = str(form == 0 ? "*" : "", lowered(text(4)), form == 1 ? "*" : "");
      if (domain.empty()) continue;
      const bool is_new = std::ranges::find(domains, domain) == domains.end();
      ASSERT_EQ(table.add(domain, static_cast<uint32_t>(domains.size())), is_new) << domain;
      if (is_new) domains.push_back(domain);
    }
    for (int i = 0; i < 100; ++i) {
      const std::string host = text(7);
      // Envoy's rule, word by word: each domain has a rank, and the best that fits is taken.
      std::optional<uint32_t> expected;
      size_t best = 0;
      for (uint32_t d = 0; d < domains.size(); ++d) {
        const std::string_view domain = domains[d];
        const std::string name = lowered(host);
        size_t rank = 0;
        if (domain == "*") {
          rank = 1;
        } else if (domain.starts_with('*')) {
          const std::string_view end = domain.substr(1);
          if (name.ends_with(end) && name.size() > end.size()) rank = 1000 + end.size();
        } else if (domain.ends_with('*')) {
          const std::string_view start = domain.substr(0, domain.size() - 1);
          if (name.starts_with(start) && name.size() > start.size()) rank = 100 + start.size();
        } else if (domain == name) {
          rank = 10000;
        }
        if (rank > best) {
          best = rank;
          expected = d;
        }
      }
      EXPECT_EQ(table.find(host), expected) << host;
    }
  }
}

TEST(VirtualHosts, MayAllMissARequest) {
  const Table table("virtual_hosts: [ { name: a, domains: [ a ] } ]");
  EXPECT_EQ(outcome(*table.routes, Request("b/")), "none");
  EXPECT_EQ(outcome(*table.routes, Request("a:80/")), "none");
  EXPECT_EQ(outcome(*table.routes, Request("/")), "none");
}

TEST(VirtualHosts, CanIgnoreThePort) {
  const Table table(
      "ignore_port_in_host_matching: true\n"
      "virtual_hosts: [ { name: a, domains: [ a, '[::1]' ], routes: [\n"
      "  { match: { prefix: / }, route: { cluster: c } } ] } ]");
  EXPECT_EQ(outcome(*table.routes, Request("a:8080/")), "c");
  EXPECT_EQ(outcome(*table.routes, Request("[::1]:80/")), "c");
  EXPECT_EQ(outcome(*table.routes, Request("[::1]/")), "c");
}

TEST(VirtualHosts, CanRequireTls) {
  const Table table(
      "virtual_hosts: [ { name: a, domains: [ '*' ], require_tls: ALL, routes: [\n"
      "  { match: { prefix: / }, route: { cluster: c } } ] } ]");
  const Request request("a:80/x?y");
  EXPECT_EQ(outcome(*table.routes, request, 0, true), "c");
  const RouteMatch match = table.routes->match(request.head, 0, false);
  ASSERT_EQ(outcome(*table.routes, request, 0, false), "redirect");
  Arena arena;
  EXPECT_EQ(redirect_location(match, request.head, arena), "https://a/x?y");
  EXPECT_EQ(match.route->redirect->status, 301);
}

struct PathCase {
  std::string_view match, path;
  bool expected;
};

TEST(RoutePaths, FollowTheTable) {
  const PathCase cases[] = {
      {"prefix: /", "/", true},
      {"prefix: ''", "/a", true},
      {"prefix: /api", "/api", true},
      {"prefix: /api", "/apix?y", true},
      {"prefix: /api", "/ap", false},
      {"prefix: /api", "/API", false},
      {"prefix: /api, case_sensitive: false", "/API/x", true},
      {"path: /api", "/api", true},
      {"path: /api", "/api?x", true},
      {"path: /api", "/api/", false},
      {"path: /api, case_sensitive: false", "/aPi", true},
      {"path_separated_prefix: /api", "/api", true},
      {"path_separated_prefix: /api", "/api/x", true},
      {"path_separated_prefix: /api", "/api?x", true},
      {"path_separated_prefix: /api", "/apix", false},
      {"pathSeparatedPrefix: /api, caseSensitive: false", "/API/x", true},
      {"safe_regex: { regex: '/u/\\d+' }", "/u/12", true},
      {"safe_regex: { regex: '/u/\\d+' }", "/u/12?x", true},
      {"safe_regex: { regex: '/u/\\d+' }", "/u/12/x", false},
      {"safe_regex: { regex: '/u/.*' }", "/u/\xff\xfe", true},
      {"prefix: '*'", "*", true},
      {"prefix: /", "*", false},
      {"connect_matcher: {}", "/", false},
  };
  for (const PathCase& c : cases) {
    const Table table(with_routes(str("[ { match: { ", c.match, " }, route: { cluster: c } } ]")));
    Request request("h");
    request.head.path = c.path;
    EXPECT_EQ(outcome(*table.routes, request), c.expected ? "c" : "none")
        << c.match << " on " << c.path;
  }
}

TEST(RoutePaths, LeaveConnectToTheConnectMatcher) {
  const Table table(
      with_routes("[ { match: { prefix: '' }, route: { cluster: a } },"
                  "  { match: { connect_matcher: {} }, route: { cluster: b } } ]"));
  EXPECT_EQ(outcome(*table.routes, Request("db:5432", {}, "CONNECT")), "b");
}

TEST(RoutePaths, CanIgnorePathParameters) {
  const Table table("ignore_path_parameters_in_path_matching: true\n" +
                    with_routes("[ { match: { path: /a/b }, route: { cluster: c } } ]"));
  EXPECT_EQ(outcome(*table.routes, Request("h/a;v=1/b;w?x")), "c");
  EXPECT_EQ(outcome(*table.routes, Request("h/a;v=1/c")), "none");
}

TEST(Routes, AreTriedInOrder) {
  const Table table(
      with_routes("[ { match: { prefix: /a, headers: [ { name: v, exact_match: '2' } ] },"
                  "    route: { cluster: two } },"
                  "  { match: { prefix: /a }, route: { cluster: a } },"
                  "  { match: { path: /a/b }, route: { cluster: never } },"
                  "  { match: { prefix: /r }, redirect: { host_redirect: x } },"
                  "  { match: { prefix: /d }, direct_response: { status: 204 } } ]"));
  EXPECT_EQ(outcome(*table.routes, Request("h/a/b")), "a");
  EXPECT_EQ(outcome(*table.routes, Request("h/a", {{"v", "2"}})), "two");
  EXPECT_EQ(outcome(*table.routes, Request("h/r")), "redirect");
  EXPECT_EQ(outcome(*table.routes, Request("h/d")), "direct");
  EXPECT_EQ(outcome(*table.routes, Request("h/x")), "none");
}

TEST(Routes, AskForAllConditions) {
  const Table table(with_routes(
      "[ { match: { prefix: /, headers: [ { name: a, exact_match: '1' }, { name: ':method',"
      "    exact_match: GET } ], query_parameters: [ { name: q } ],"
      "    cookies: [ { name: c, string_match: { exact: x } } ] }, route: { cluster: yes } } ]"));
  EXPECT_EQ(outcome(*table.routes, Request("h/?q", {{"a", "1"}, {"cookie", "c=x"}})), "yes");
  EXPECT_EQ(outcome(*table.routes, Request("h/", {{"a", "1"}, {"cookie", "c=x"}})), "none");
  EXPECT_EQ(outcome(*table.routes, Request("h/?q", {{"a", "2"}, {"cookie", "c=x"}})), "none");
  EXPECT_EQ(outcome(*table.routes, Request("h/?q", {{"a", "1"}, {"cookie", "c=y"}})), "none");
  EXPECT_EQ(outcome(*table.routes, Request("h/?q", {{"a", "1"}, {"cookie", "c=x"}}, "PUT")),
            "none");
}

TEST(Routes, CanAskForGrpc) {
  const Table table(with_routes("[ { match: { prefix: /, grpc: {} }, route: { cluster: g } } ]"));
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"application/grpc", "g"},
      {"application/grpc+proto", "g"},
      {"application/grpc-web", "none"},
      {"text/plain", "none"},
  };
  for (const auto& [type, expected] : cases) {
    const Request request("h/", {{"content-type", std::string(type)}});
    EXPECT_EQ(outcome(*table.routes, request), expected) << type;
  }
  EXPECT_EQ(outcome(*table.routes, Request("h/")), "none");
}

TEST(Routes, TakeAFractionOfTheRequests) {
  const Table table(
      with_routes("[ { match: { prefix: /, runtime_fraction: { runtime_key: k, default_value: {"
                  "    numerator: 30, denominator: HUNDRED } } }, route: { cluster: some } },"
                  "  { match: { prefix: / }, route: { cluster: rest } } ]"));
  const Request request("h/");
  int taken = 0;
  for (uint64_t random = 0; random < 1000; ++random) {
    taken += outcome(*table.routes, request, random) == "some";
  }
  EXPECT_EQ(taken, 300);
}

TEST(Routes, NameTheirClusterByAHeader) {
  const Table table(with_routes("[ { match: { prefix: / }, route: { cluster_header: X-To } } ]"));
  EXPECT_EQ(outcome(*table.routes, Request("h/", {{"x-to", "orders"}})), "orders");
  EXPECT_EQ(outcome(*table.routes, Request("h/")), "");
  EXPECT_TRUE(table.clusters.empty());
}

TEST(WeightedClusters, AreDrawnByWeight) {
  const Table table(
      with_routes("[ { match: { prefix: / }, route: { weighted_clusters: { clusters: ["
                  "    { name: a, weight: 1 }, { name: never, weight: 0 }, { name: b, weight: 2 },"
                  "    { cluster_header: x-to, weight: 1 } ] } } } ]"));
  const Request request("h/", {{"x-to", "c"}});
  std::map<std::string, int> drawn;
  for (uint64_t i = 0; i < 400; ++i) {
    const uint64_t random = (i << 32) / 400 << 32;  // evenly over the upper half
    ++drawn[outcome(*table.routes, request, random)];
  }
  EXPECT_EQ(drawn, (std::map<std::string, int>{{"a", 100}, {"b", 200}, {"c", 100}}));
  EXPECT_EQ(outcome(*table.routes, request, UINT64_MAX), "c");
  ASSERT_EQ(table.clusters.size(), 3u);
  EXPECT_EQ(table.clusters[2].value, "b");
}

TEST(WeightedClusters, CanBeDrawnByAHeader) {
  const Table table(with_routes(
      "[ { match: { prefix: / }, route: { weighted_clusters: { header_name: X-Rand, clusters: ["
      "    { name: a, weight: 50 }, { name: b, weight: 50 } ] } } } ]"));
  EXPECT_EQ(outcome(*table.routes, Request("h/", {{"x-rand", "49"}})), "a");
  EXPECT_EQ(outcome(*table.routes, Request("h/", {{"x-rand", "150"}})), "b");
  EXPECT_EQ(outcome(*table.routes, Request("h/", {{"x-rand", "x"}})), "a");
  EXPECT_EQ(outcome(*table.routes, Request("h/"), UINT64_MAX), "b");
}

TEST(Routes, TellWhichClustersTheyName) {
  const std::string routes = with_routes("[ { match: { prefix: / }, route: { cluster: users } } ]");
  const Table checked(routes);
  ASSERT_EQ(checked.clusters.size(), 1u);
  EXPECT_EQ(checked.clusters[0].value, "users");
  EXPECT_EQ(checked.clusters[0].where.path, "virtual_hosts[0].routes[0].route.cluster");
  EXPECT_TRUE(Table("validate_clusters: false\n" + routes).clusters.empty());
}

TEST(RouteIndex, FindsWhatAScanFinds) {
  Rng rng(7);
  const auto text = [&rng](uint64_t longest) {
    std::string t = "/";
    for (uint64_t n = rng.below(longest); n > 0; --n) t += "ab/A"[rng.below(4)];
    return t;
  };
  const std::string_view kinds[] = {"prefix", "path", "path_separated_prefix"};
  for (int round = 0; round < 20; ++round) {
    std::string routes = "[";
    for (int i = 0; i < 200; ++i) {
      const std::string_view kind = kinds[rng.below(3)];
      // Some lengths occur once only, more of them than the index has room for.
      std::string t = i % 4 == 0 ? text(3) + std::string(static_cast<size_t>(i), 'b') : text(6);
      while (kind == kinds[2] && t.ends_with('/')) t += 'a';
      const bool is_regex = rng.below(20) == 0;
      routes += str("{ match: { ", is_regex ? "safe_regex: { regex: '" : str(kind, ": '"), t,
                    is_regex ? ".b' }" : "'", rng.below(10) == 0 ? ", case_sensitive: false" : "",
                    rng.below(4) == 0 ? ", headers: [ { name: no } ]" : "",
                    " }, route: { cluster: c } },");
    }
    const Table table(with_routes(routes + "]"));
    const VirtualHost& host = table.routes->hosts()[0];
    ASSERT_NE(host.list->index, nullptr);
    for (int i = 0; i < 500; ++i) {
      Request request("h");
      const std::string path = text(9) + std::string(i % 3 == 0 ? static_cast<size_t>(i) : 0, 'b');
      request.head.path = path;
      const Route* expected = nullptr;
      for (const Route& route : host.routes) {
        if (!route.path.matches(path)) continue;
        if (route.conditions && !route.conditions->hold(request.head, 0)) continue;
        expected = &route;
        break;
      }
      EXPECT_EQ(table.routes->match(request.head, 0, false).route, expected) << path;
    }
  }
}

TEST(Routes, MatchWithoutTakingMemory) {
  const Table table(with_routes(
      "[ { match: { prefix: /, headers: [ { name: v, safe_regex_match: { regex: 'a+' } } ] },"
      "    route: { cluster: a } } ]"));
  Request request("users.shop/x", {{"v", "aaa"}});
  const size_t before = request.arena.bytes_reserved();
  ASSERT_TRUE(table.routes->match(request.head, 0, false));
  EXPECT_EQ(request.arena.bytes_reserved(), before);
}

TEST(Explain, TellsWhyThisRoute) {
  const Table table(
      "name: main\n"
      "virtual_hosts:\n"
      "- { name: users, domains: [ '*.shop' ], routes: [\n"
      "    { match: { path: /a }, route: { cluster: a } },\n"
      "    { name: two, match: { prefix: /, headers: [ { name: v, exact_match: '2' } ] },\n"
      "      route: { cluster: b } },\n"
      "    { match: { prefix: / }, route: { cluster: c, retry_policy: {\n"
      "        retry_on: 'connect-failure,reset', num_retries: 2 } } } ] }\n");
  const Request request("users.shop/b");
  EXPECT_EQ(table.routes->explain(request.head, 0, false),
            (std::vector<std::string>{
                "virtual host: users, because its domain \"*.shop\" fits \"users.shop\"",
                "route 0: not taken, it wants path \"/a\"",
                "route 1 (two): not taken, it wants header v exact \"2\"",
                "route 2: taken, because the path fits prefix \"/\"",
                "action: forwards to cluster c",
                "timeout: 15s",
                "retries: 2 on connect-failure reset",
            }));
  EXPECT_EQ(table.routes->explain(Request("x/").head, 0, false).front(),
            "virtual host: none has a domain for \"x\"; the answer is 404");
}

}  // namespace
}  // namespace pillion::route
