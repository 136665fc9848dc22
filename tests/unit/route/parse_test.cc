// What the parser refuses, as files.
#include <gtest/gtest.h>

#include "tests/unit/config/cases.h"
#include "tests/unit/route/fixture.h"

namespace pillion::route {
namespace {

// All route configurations of a bootstrap file.
void parse_routes(const std::string& path, config::Errors& errors) {
  const auto document = config::load_file(path, errors);
  if (document == nullptr) return;
  const config::Node resources = document->root(errors)["static_resources"];
  for (const config::Node listener : resources["listeners"].items()) {
    for (const config::Node chain : listener["filter_chains"].items()) {
      for (const config::Node filter : chain["filters"].items()) {
        (void)parse_route_table(filter["typed_config"]["route_config"], {});
      }
    }
  }
}

TEST(RouteParsing, GivesTheExpectedMessagesForEachBadFile) {
  size_t checked = 0;
  for (const config::Case& c : config::read_cases(config::case_folder() / "bad/envoy")) {
    if (!c.path.filename().string().starts_with("route_")) continue;
    ++checked;
    EXPECT_NE(c.expected, "") << c.path;
    EXPECT_EQ(config::messages_of(c, parse_routes), c.expected) << c.path;
  }
  EXPECT_NE(checked, 0u);
}

TEST(RouteParsing, NeedsFormatsForOperators) {
  EXPECT_EQ(messages_of("request_headers_to_add: [ { header: { key: a, value: '%OP%' } } ]"),
            "rc:1:54: request_headers_to_add[0].header.value: expected a literal value, got "
            "\"%OP%\" (%% is a percent sign)\n");
}

TEST(RouteParsing, WarnsOfPathsThatMatchNothing) {
  EXPECT_EQ(messages_of(with_routes("[ { match: { prefix: api }, route: { cluster: c } } ]")),
            "rc:1:78: virtual_hosts[0].routes[0].match.prefix: warning: matches no request, "
            "because a path begins with '/'\n");
  EXPECT_EQ(messages_of(with_routes("[ { match: { path: '/a?b' }, route: { cluster: c } } ]")),
            "rc:1:76: virtual_hosts[0].routes[0].match.path: warning: matches no request, because "
            "paths are compared without their query\n");
  EXPECT_EQ(messages_of(with_routes("[ { match: { prefix: '' }, route: { cluster: c } } ]")), "");
}

TEST(RouteParsing, AcceptsAnEmptyTable) {
  const Table table("name: empty");
  EXPECT_EQ(table.routes->name(), "empty");
  EXPECT_FALSE(table.routes->match(Request("h/").head, 0, false));
}

}  // namespace
}  // namespace pillion::route
