// What routing costs: the virtual host, the route, the canonical path, the changes to the head.

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/match/canonical_path.h"
#include "proxy/route/parse.h"

namespace pillion::route {
namespace {

std::shared_ptr<const RouteTable> table_of(std::string_view yaml) {
  config::Errors errors;
  const auto document = config::load_text(yaml, "bench", errors);
  return parse_route_table(document->root(errors), {});
}

std::string one_host(std::string_view routes) {
  return str("virtual_hosts: [ { name: all, domains: [ '*' ], routes: [ ", routes, " ] } ]");
}

struct Request {
  Request(std::string_view authority, std::string_view path) : head(arena) {
    head.method_text = "GET";
    head.authority = authority;
    head.path = path;
    head.scheme = "http";
    head.headers.add("user-agent", "bench/1.0");
    head.headers.add("accept", "*/*");
    head.headers.add("x-version", "2");
  }
  Arena arena;
  http::RequestHead head;
};

void match_in(benchmark::State& state, const RouteTable& table, std::string_view authority,
              std::string_view path) {
  const Request request(authority, path);
  for (auto _ : state) benchmark::DoNotOptimize(table.match(request.head, 7, false));
}

void RouteOneHostOneRoute(benchmark::State& state) {
  const auto table = table_of(one_host("{ match: { prefix: / }, route: { cluster: c } }"));
  match_in(state, *table, "users.shop.svc.cluster.local:8080", "/users/7?x=1");
}
BENCHMARK(RouteOneHostOneRoute);

// The outbound side of a mesh: as many virtual hosts as services, each with two names.
void RouteManyHosts(benchmark::State& state) {
  std::string yaml = "virtual_hosts:\n";
  for (int64_t i = 0; i < state.range(0); ++i) {
    const std::string name = str("s", i, ".shop.svc.cluster.local");
    yaml += str("- { name: s", i, ", domains: [ ", name, ", '", name, ":8080' ], ",
                "routes: [ { match: { prefix: / }, route: { cluster: c } } ] }\n");
  }
  const auto table = table_of(yaml);
  match_in(state, *table, str("s", state.range(0) / 2, ".shop.svc.cluster.local:8080"), "/");
}
BENCHMARK(RouteManyHosts)->Arg(10)->Arg(200)->Arg(2000);

// The last of that many routes of one host; below RouteIndex::kMinRoutes they are scanned.
void RouteManyRoutes(benchmark::State& state) {
  std::string routes;
  for (int64_t i = 0; i < state.range(0); ++i) {
    routes += str("{ match: { prefix: /api/v1/thing", i, "/ }, route: { cluster: c } }, ");
  }
  routes += "{ match: { prefix: / }, route: { cluster: c } }";
  const auto table = table_of(one_host(routes));
  match_in(state, *table, "h", "/other/thing/7?x=1");
}
BENCHMARK(RouteManyRoutes)->Arg(10)->Arg(50)->Arg(100)->Arg(1000);

void RouteByHeader(benchmark::State& state) {
  const auto table = table_of(one_host(
      "{ match: { prefix: /, headers: [ { name: x-version, string_match: { exact: '1' } } ] },"
      "  route: { cluster: a } }, { match: { prefix: / }, route: { cluster: b } }"));
  match_in(state, *table, "h", "/");
}
BENCHMARK(RouteByHeader);

void RouteByRegex(benchmark::State& state) {
  const auto table = table_of(one_host(
      "{ match: { safe_regex: { regex: '/users/[0-9]+(/.*)?' } }, route: { cluster: a } }"));
  match_in(state, *table, "h", "/users/1234567/orders");
}
BENCHMARK(RouteByRegex);

void canonicalize_in(benchmark::State& state, match::PathOptions options, std::string_view path) {
  for (auto _ : state) {
    Arena arena;
    benchmark::DoNotOptimize(match::canonicalize(path, options, arena));
  }
}
constexpr match::PathOptions kNormalize{true, true, match::EscapedSlashes::kKeep};

void CanonicalPathOff(benchmark::State& state) {
  canonicalize_in(state, {}, "/api/v1/users/1234567/orders?limit=10&offset=20");
}
BENCHMARK(CanonicalPathOff);
void CanonicalPathUnchanged(benchmark::State& state) {
  canonicalize_in(state, kNormalize, "/api/v1/users/1234567/orders?limit=10&offset=20");
}
BENCHMARK(CanonicalPathUnchanged);
void CanonicalPathChanged(benchmark::State& state) {
  canonicalize_in(state, kNormalize, "/api/./v1//users/%31234567/x/../orders?limit=10&offset=20");
}
BENCHMARK(CanonicalPathChanged);

// From a canonical head to what the upstream gets; the request is made anew each time.
void finalize_in(benchmark::State& state, std::string_view route) {
  const auto table = table_of(one_host(route));
  for (auto _ : state) {
    Request request("h", "/api/users/7");
    const RouteMatch match = table->match(request.head, 7, false);
    finalize_request(match, request.head, nullptr);
    benchmark::DoNotOptimize(request.head.path);
  }
}
void FinalizeNothing(benchmark::State& state) {
  finalize_in(state, "{ match: { prefix: / }, route: { cluster: c } }");
}
BENCHMARK(FinalizeNothing);
void FinalizeRewriteAndHeaders(benchmark::State& state) {
  finalize_in(state,
              "{ match: { prefix: /api }, route: { cluster: c, prefix_rewrite: /v2,"
              "  host_rewrite_literal: users }, request_headers_to_remove: [ x-version ],"
              "  request_headers_to_add: [ { header: { key: a, value: b } } ] }");
}
BENCHMARK(FinalizeRewriteAndHeaders);

}  // namespace
}  // namespace pillion::route
