// Which scope a request belongs to, and what is wrong with scopes that nobody could tell apart.
#include "proxy/route/scopes.h"

#include "tests/unit/route/fixture.h"

namespace pillion::route {
namespace {

// What parse() makes of a text; the test fails if something is wrong with it.
template <typename Parse>
auto parsed(std::string_view yaml, Parse&& parse) {
  config::Errors errors;
  const auto document = config::load_text(yaml, "s", errors);
  auto made = parse(document->root(errors));
  EXPECT_TRUE(errors.ok()) << errors.to_string() << yaml;
  return made;
}
template <typename Parse>
std::string problems(std::string_view yaml, Parse&& parse) {
  config::Errors errors;
  const auto document = config::load_text(yaml, "s", errors);
  (void)parse(document->root(errors));
  return errors.to_string();
}
std::shared_ptr<const ScopeConfig> scope(const config::Node& node) { return parse_scope(node, {}); }

// The fragments, "a|b"; "-" if there is no key.
std::string key_of(const ScopeKeyBuilder& builder, const Request& request) {
  ScopeKey key;
  if (!builder.build(request.head, key)) return "-";
  std::string text;
  for (size_t i = 0; i < key.size; ++i) text += str(i == 0 ? "" : "|", key.fragments[i]);
  return text;
}

TEST(Scopes, BuildKeysFromPartsOfHeaders) {
  struct Case {
    std::string_view extractor;
    Request::Fields headers;
    std::string_view key;
  };
  const Case cases[] = {
      // The whole value.
      {"name: X-Scope, index: 0", {{"x-scope", "a,b"}}, "a,b"},
      {"name: x-scope, index: 0", {{"x-scope", ""}}, ""},
      {"name: x-scope, index: 0", {}, "-"},
      {"name: x-scope, index: 0", {{"x-scope", "first"}, {"x-scope", "second"}}, "first"},
      // An element by its number.
      {"name: x-scope, element_separator: ',', index: 0", {{"x-scope", "a,b"}}, "a"},
      {"name: x-scope, element_separator: ',', index: 1", {{"x-scope", "a,b"}}, "b"},
      {"name: x-scope, element_separator: ',', index: 2", {{"x-scope", "a,b"}}, "-"},
      {"name: x-scope, element_separator: ',', index: 2", {{"x-scope", "a,,"}}, ""},
      {"name: x-scope, element_separator: '--', index: 1", {{"x-scope", "a-b--c--"}}, "c"},
      // An element by its key.
      {"name: x, element_separator: ';', element: { key: vip, separator: '=' }",
       {{"x", "foo=bar;vip=1.2.3.4=5;vip=6"}},
       "1.2.3.4=5"},
      {"name: x, element: { key: vip, separator: '=' }", {{"x", "vip=1"}}, "1"},
      {"name: x, element: { key: vip, separator: '=' }", {{"x", "vip"}}, ""},
      {"name: x, element: { key: vip, separator: '=' }", {{"x", "vipp=1"}}, "-"},
      {"name: x, element: { key: vip, separator: '=' }", {{"x", "VIP=1"}}, "-"},
      // What is no header in the head.
      {"name: ':authority', index: 0", {}, "h"},
      {"name: Host, element_separator: ':', index: 0", {}, "h"},
      {"name: ':path', element_separator: '/', index: 1", {}, "a"},
      {"name: ':method', index: 0", {}, "GET"},
  };
  for (const Case& c : cases) {
    const auto builder = parsed(
        str("fragments: [ { header_value_extractor: { ", c.extractor, " } } ]"), parse_scope_keys);
    EXPECT_EQ(key_of(builder, Request("h/a/b", c.headers)), c.key) << c.extractor;
  }
}

TEST(Scopes, JoinFragmentsInOrder) {
  const auto builder = parsed(R"(fragments:
  - header_value_extractor: { name: a, index: 0 }
  - header_value_extractor: { name: b, index: 0 }
)",
                              parse_scope_keys);
  EXPECT_EQ(key_of(builder, Request("h/", {{"b", "2"}, {"a", "1"}})), "1|2");
  EXPECT_EQ(key_of(builder, Request("h/", {{"a", "1"}})), "-") << "a part of a key is none";
}

TEST(Scopes, AreFoundByAllFragmentsOfTheirKeys) {
  const auto make = [](std::string_view name, std::string_view fragments) {
    return ScopeTable::Scope{
        parsed(str("{ name: ", name, ", route_configuration_name: r, key: { fragments: ", fragments,
                   " } }"),
               scope),
        nullptr};
  };
  const ScopeTable table(
      {make("a", "[ { string_key: x } ]"), make("b", "[ { string_key: x }, { string_key: y } ]"),
       make("c", "[ { string_key: xy } ]"), make("late", "[ { string_key: x } ]")});
  const auto find = [&table](const std::vector<std::string_view>& fragments) -> std::string {
    ScopeKey key;
    for (const std::string_view fragment : fragments) key.fragments[key.size++] = fragment;
    const ScopeTable::Scope* found = table.find(key);
    return found == nullptr ? "-" : found->config->name;
  };
  EXPECT_EQ(find({"x"}), "a") << "the first one counts";
  EXPECT_EQ(find({"x", "y"}), "b");
  EXPECT_EQ(find({"y", "x"}), "-");
  EXPECT_EQ(find({"xy"}), "c");
  EXPECT_EQ(find({"X"}), "-");
  EXPECT_EQ(find({}), "-");
}

TEST(Scopes, HaveAHashThatTablesChange) {
  const auto config = parsed(
      "{ name: a, route_configuration_name: r, key: { fragments: [ { string_key: x } ] } }", scope);
  const Table one("name: r"), other("{ name: r, ignore_port_in_host_matching: true }");
  const auto hash = [&config](const std::shared_ptr<const RouteTable>& table) {
    std::vector<ScopeTable::Scope> scopes;
    scopes.push_back({config, table});
    return ScopeTable(std::move(scopes)).hash();
  };
  EXPECT_NE(hash(nullptr), hash(one.routes));
  EXPECT_NE(hash(one.routes), hash(other.routes));
  EXPECT_EQ(hash(one.routes), hash(one.routes));
}

TEST(Scopes, AreRefusedByName) {
  struct Case {
    std::string_view yaml;
    std::string_view error;
  };
  const Case keys[] = {
      {"{}", "fragments: required field is missing"},
      {"fragments: []", "fragments: expected 1-16 fragments, got 0"},
      {"fragments: [ {} ]", "fragments[0].header_value_extractor: required field is missing"},
      {"fragments: [ { header_value_extractor: { index: 0 } } ]",
       "name: required field is missing"},
      {"fragments: [ { header_value_extractor: { name: x } } ]", "expected one of index, element"},
      {"fragments: [ { header_value_extractor: { name: x, index: 1 } } ]",
       "an index above 0 needs an element_separator"},
      {"fragments: [ { header_value_extractor: { name: x, element: { key: a } } } ]",
       "element.separator: required field is missing"},
      {"fragments: [ { header_value_extractor: { name: x, index: 0, regex: y } } ]", "regex"},
  };
  for (const Case& c : keys)
    EXPECT_NE(problems(c.yaml, parse_scope_keys).find(c.error), std::string::npos)
        << c.yaml << problems(c.yaml, parse_scope_keys);
  const Case scopes[] = {
      {"{ name: a, route_configuration_name: r }", "key: required field is missing"},
      {"{ name: a, route_configuration_name: r, key: { fragments: [] } }",
       "expected 1-16 fragments"},
      {"{ name: a, key: { fragments: [ { string_key: x } ] } }",
       "expected one of route_configuration_name, route_configuration"},
      {"{ name: a, route_configuration_name: r, route_configuration: { name: r }, key: { "
       "fragments: "
       "[ { string_key: x } ] } }",
       "only one of"},
      {"{ name: a, route_configuration_name: 'xdstp://x/r', key: { fragments: [ { string_key: x } "
       "] "
       "} }",
       "route_configuration_name: expected a name that is no xdstp:// URL"},
      {"{ name: a, route_configuration: { name: r, vhds: {} }, key: { fragments: [ { string_key: x "
       "} ] } }",
       "only routes by RDS may have it"},
  };
  for (const Case& c : scopes)
    EXPECT_NE(problems(c.yaml, scope).find(c.error), std::string::npos)
        << c.yaml << problems(c.yaml, scope);
}

// ---- virtual hosts that come alone ----

std::shared_ptr<const VirtualHost> host(std::string_view yaml) {
  return parsed(yaml, [](const config::Node& node) { return parse_virtual_host(node, {}, 4096); });
}

TEST(VirtualHosts, JoinATableAndLeaveItAsItWas) {
  const Table base(R"({ name: r, ignore_port_in_host_matching: true,
    response_headers_to_add: [ { header: { key: x-table, value: t } } ],
    virtual_hosts: [ { name: inline, domains: [ a, '*.b' ], routes: [ { match: { prefix: / },
                       route: { cluster: inline } } ] } ] })");
  const auto joined = base.routes->with_hosts(
      {host("{ name: one, domains: [ a, c ], routes: [ { match: { prefix: / }, route: { cluster: "
            "one "
            "} } ] }"),
       host(
           "{ name: two, domains: [ x.b ], routes: [ { match: { prefix: / }, route: { cluster: two "
           "} } ] }")});
  const auto cluster = [](const RouteTable& table, std::string_view url) {
    const Request request(url);
    const RouteMatch match = table.match(request.head, 0, false);
    return match ? std::string(cluster_name(match, request.head)) : "-";
  };
  EXPECT_EQ(cluster(*joined, "a/"), "inline") << "who had a domain first keeps it";
  EXPECT_EQ(cluster(*joined, "c:80/"), "one");
  EXPECT_EQ(cluster(*joined, "x.b/"), "two") << "an exact name before a wildcard";
  EXPECT_EQ(cluster(*joined, "y.b/"), "inline");
  EXPECT_EQ(cluster(*base.routes, "c/"), "-");
  EXPECT_NE(joined->hash(), base.routes->hash());
  // What the table says holds for all of its hosts.
  Request request("c/");
  const RouteMatch match = joined->match(request.head, 0, false);
  http::ResponseHead response(request.arena);
  finalize_response(match, response, nullptr);
  EXPECT_EQ(Request::values(response.headers, "x-table"), "t");
  EXPECT_EQ(match.host->table, joined.get());
  EXPECT_EQ(base.routes->hosts()[0].table, base.routes.get());
}

TEST(VirtualHosts, AreRefusedByName) {
  const auto parse = [](const config::Node& node) { return parse_virtual_host(node, {}, 4); };
  EXPECT_NE(problems("{ name: a }", parse).find("domains: required field is missing"),
            std::string::npos);
  EXPECT_NE(
      problems("{ name: a, domains: [ b, B ] }", parse).find("is already one of virtual host"),
      std::string::npos);
  EXPECT_NE(
      problems("{ name: a, domains: [ b ], routes: [ { match: { prefix: / }, direct_response: "
               "{ status: 200, body: { inline_string: 12345 } } } ] }",
               parse),
      "")
      << "longer than its table allows";
}

}  // namespace
}  // namespace pillion::route
