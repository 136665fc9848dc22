// Routing a request costs no heap allocation (design, section 14): counted in operator new.
#include <cstdlib>
#include <new>

#include "proxy/match/canonical_path.h"
#include "proxy/route/timeouts.h"
#include "tests/unit/route/fixture.h"

namespace {
thread_local size_t allocations = 0;
}

// Not inlined: GCC would take free() for a mismatch with new.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  std::abort();
}
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return operator new(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace pillion::route {
namespace {

constexpr std::string_view kRoutes =
    "{ match: { prefix: /, headers: [ { name: v, exact_match: '2' } ],"
    "    query_parameters: [ { name: q, string_match: { prefix: x } } ],"
    "    cookies: [ { name: c, string_match: { exact: y } } ] },"
    "  route: { weighted_clusters: { clusters: [ { name: a, weight: 1 } ] },"
    "    regex_rewrite: { pattern: { regex: '^/([a-z]+)/.*$' }, substitution: '/n/\\1' },"
    "    host_rewrite_literal: other, append_x_forwarded_host: true },"
    "  request_headers_to_remove: [ v ],"
    "  request_headers_to_add: [ { header: { key: d, value: '%OP%' } } ],"
    "  response_headers_to_add: [ { header: { key: b, value: y } } ] },"
    "{ match: { safe_regex: { regex: '/r/[^/]+/p.*' } }, redirect: { https_redirect: true } }";

// As many routes that do not match as an index needs.
std::string many_others() {
  std::string text;
  for (size_t i = 0; i < RouteIndex::kMinRoutes; ++i) {
    text += str("{ match: { prefix: /other", i, " }, route: { cluster: c } }, ");
  }
  return text;
}

TEST(Routing, AllocatesNothingOnTheHeap) {
  for (const std::string& others : {std::string(), many_others()}) {
    const Table table(
        "most_specific_header_mutations_wins: true\n"
        "ignore_path_parameters_in_path_matching: true\n"
        "request_headers_to_add: [ { header: { key: a, value: x } } ]\n" +
        with_routes(str("[ ", others, kRoutes, " ]")));
    constexpr match::PathOptions kOptions{true, true, match::EscapedSlashes::kKeep};
    // RE2 builds its automata while it matches for the first times.
    size_t counted = 1;
    for (int round = 0; round < 4; ++round) {
      Request forwarded("h/./abc;p/x|y?q=xx", {{"v", "2"}, {"cookie", "c=y"}});
      Request redirected("h/r/some/path");
      http::ResponseHead response(forwarded.arena);
      const size_t before = allocations;
      forwarded.head.path =
          match::canonicalize(forwarded.head.path, kOptions, forwarded.arena).path;
      const RouteMatch match = table.routes->match(forwarded.head, 0, false);
      const std::string_view cluster = cluster_name(match, forwarded.head);
      const TimeoutPlan plan =
          finalize_timeouts(*match.route->forward, forwarded.head.headers, {true, true});
      remove_control_headers(forwarded.head.headers);
      finalize_request(match, forwarded.head, nullptr);
      finalize_response(match, response, nullptr);
      const RouteMatch redirect = table.routes->match(redirected.head, 0, false);
      const std::string_view location =
          redirect_location(redirect, redirected.head, redirected.arena);
      counted = allocations - before;
      EXPECT_EQ(cluster, "a");
      EXPECT_EQ(plan.global, std::chrono::seconds(15));
      EXPECT_EQ(forwarded.head.path, "/abc;p/x%7Cy?q=xx");
      EXPECT_EQ(forwarded.header("d"), "<OP>");
      EXPECT_EQ(location, "https://h/r/some/path");
    }
    EXPECT_EQ(counted, 0u) << (others.empty() ? "a scan" : "an index");
  }
}

}  // namespace
}  // namespace pillion::route
