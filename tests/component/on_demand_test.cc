// Requests that wait for a virtual host or a route table; the test plays control, who brings it.

#include <optional>

#include "proxy/core/listener_routes.h"
#include "proxy/route/parse.h"
#include "tests/component/worker_fixture.h"

namespace pillion::testing {
namespace {

constexpr std::string_view kRds =
    "rds: { route_config_name: r, config_source: { ads: {}, resource_api_version: V3 } }";

class OnDemandRoutes : public WorkerTest, protected core::RouteAsker {
 protected:
  OnDemandRoutes() { worker.route_demands.set_asker(this); }
  void ask_for_route(const core::RouteName& name) override { asked.push_back(name.name); }

  void begin(std::string_view source = kRds, std::string_view more_filters = {}) {
    set_cluster({backend.address});
    listen({.filters = str("{ name: od, typed_config: { ", kExtension,
                           "filters.http.on_demand.v3.OnDemand } }, ", more_filters),
            .source = std::string(source)});
    use(table({}));
  }
  std::shared_ptr<const route::RouteTable> table(
      const std::vector<std::shared_ptr<const route::VirtualHost>>& hosts,
      std::string_view fields = {}) {
    const auto base =
        parse(str("{ name: r, vhds: { config_source: { ads: {} } }, ", fields, " }"),
              [](const config::Node& node) {
                return route::parse_route_table(node, {nullptr, nullptr, true, nullptr, true});
              });
    return base->with_hosts(hosts);
  }
  std::shared_ptr<const route::VirtualHost> host(std::string_view domain,
                                                 std::string_view fields = {}) {
    return parse(str("{ name: ", domain, ", domains: [ '", domain, "' ], ", fields,
                     " routes: [ { match: { prefix: / }, route: { cluster: app } } ] }"),
                 [this](const config::Node& node) {
                   const auto filters = core::make_override_parser(parse_services());
                   return route::parse_virtual_host(
                       node, {nullptr, nullptr, true, filters.get(), false}, 4096);
                 });
  }
  // The configuration changes, as Worker::apply() does it.
  void use(const std::shared_ptr<const route::RouteTable>& routes) {
    listener->update(core::with_route_tables(listener->config(), {{"r", routes}}));
    worker.route_demands.wake();
  }
  void answer(std::string_view name) {
    worker.route_demands.answer({{core::RouteKind::kVirtualHost, std::string(name)}}, loop.now());
  }
  Peer ask(std::string_view name) {
    return request(str("GET / HTTP/1.1\r\nHost: ", name, "\r\n\r\n"));
  }
  void wait_for_asked(size_t count) {
    ASSERT_TRUE(run_until(loop, [&] { return asked.size() == count; })) << asked.size();
  }

  Backend backend{loop};
  std::vector<std::string> asked;
};

TEST_F(OnDemandRoutes, ARequestWaitsForItsHostAndGoesOn) {
  begin();
  Peer client = ask("Shop.Example:8080");
  wait_for_asked(1);
  EXPECT_EQ(asked[0], "r/shop.example:8080") << "in lower case, with the port";
  settle();
  EXPECT_FALSE(backend.is_called());
  use(table({host("shop.example:8080")}));
  Peer server = backend.accept();
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  // From now on nobody has to ask.
  client.send("GET / HTTP/1.1\r\nHost: shop.example:8080\r\n\r\n");
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(asked.size(), 1u);
}

TEST_F(OnDemandRoutes, ThePortIsLeftOutWhereTheTableIgnoresIt) {
  begin();
  use(table({}, "ignore_port_in_host_matching: true"));
  Peer client = ask("shop.example:8080");
  wait_for_asked(1);
  EXPECT_EQ(asked[0], "r/shop.example");
}

TEST_F(OnDemandRoutes, ABodyWaitsWithItsRequest) {
  begin();
  Peer client = request("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nbo");
  wait_for_asked(1);
  client.send("dy");
  settle();
  use(table({host("shop")}));
  Peer server = backend.accept();
  const std::string got = server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_TRUE(got.ends_with("\r\n\r\nbody")) << got;
}

TEST_F(OnDemandRoutes, ManyRequestsForOneHostAskOnce) {
  begin();
  std::vector<Peer> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(ask("shop"));
  ASSERT_TRUE(run_until(loop, [&] { return worker.route_demands.waiting() == 5; }));
  EXPECT_EQ(asked, std::vector<std::string>{"r/shop"});
  use(table({host("other")}));
  settle();
  EXPECT_EQ(worker.route_demands.waiting(), 5u) << "that was not what they wait for";
  EXPECT_EQ(asked.size(), 1u);
  answer("r/shop");
  for (Peer& client : clients) EXPECT_EQ(status_of(client.message()), 404);
  EXPECT_EQ(logged(), "404 NR route_not_found");
}

TEST_F(OnDemandRoutes, AHostThatIsNotThereIsNotAskedForAgainAtOnce) {
  begin();
  Peer client = ask("shop");
  wait_for_asked(1);
  answer("r/shop");
  EXPECT_EQ(status_of(client.message()), 404);
  client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 404);
  EXPECT_EQ(asked.size(), 1u);
  pass(core::RouteDemands::kInVainTime);
  client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
  wait_for_asked(2);
}

TEST_F(OnDemandRoutes, NobodyWaitsForEver) {
  begin();
  Peer client = ask("shop");
  wait_for_asked(1);
  pass(seconds(4));
  EXPECT_EQ(client.received(), "");
  pass(seconds(2));
  EXPECT_EQ(status_of(client.message()), 404);
  EXPECT_EQ(worker.route_demands.waiting(), 0u);
}

TEST_F(OnDemandRoutes, AClientMayLeaveWhileItsRequestWaits) {
  begin();
  {
    Peer client = ask("shop");
    wait_for_asked(1);
  }
  ASSERT_TRUE(run_until(loop, [&] { return worker.route_demands.waiting() == 0; }));
  use(table({host("shop")}));
  settle();
  EXPECT_FALSE(backend.is_called());
}

TEST_F(OnDemandRoutes, WhatIsNoHostIsNotAskedFor) {
  begin();
  Peer client = ask("a!b");
  EXPECT_EQ(status_of(client.message()), 404);
  EXPECT_TRUE(asked.empty());
}

TEST_F(OnDemandRoutes, ATableWithoutVhdsIsNotWaitedFor) {
  begin();
  use(parse("{ name: r, ignore_port_in_host_matching: true }",
            [](const config::Node& node) { return route::parse_route_table(node, {}); }));
  Peer client = ask("shop");
  EXPECT_EQ(status_of(client.message()), 404);
  EXPECT_TRUE(asked.empty());
}

TEST_F(OnDemandRoutes, TheRouteThatCameDecidesAboutTheFiltersBehind) {
  const std::string fault = str(
      "{ name: fault, typed_config: { ", kExtension,
      "filters.http.fault.v3.HTTPFault, abort: { http_status: 418, percentage: { numerator: 100 } "
      "} } }, ");
  begin(kRds, fault);
  Peer client = ask("shop");
  wait_for_asked(1);
  use(table({host("shop",
                  "typed_per_filter_config: { fault: { '@type': "
                  "type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true } },")}));
  Peer server = backend.accept();
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200) << "its host disables the fault";
  client.send("GET / HTTP/1.1\r\nHost: other\r\n\r\n");
  wait_for_asked(2);
  use(table({host("shop"), host("other")}));
  EXPECT_EQ(status_of(client.message()), 418);
}

// ---- scopes ----

TEST_F(OnDemandRoutes, ATableOfAScopeIsFetchedWhenARequestNeedsIt) {
  set_cluster({backend.address});
  listen({.filters = str("{ name: od, typed_config: { ", kExtension,
                         "filters.http.on_demand.v3.OnDemand } }, "),
          .source =
              "scoped_routes: { name: s, rds_config_source: { ads: {} }, scope_key_builder: { "
              "fragments: [ { header_value_extractor: { name: x-scope, index: 0 } } ] }, "
              "scoped_route_configurations_list: { scoped_route_configurations: [ { name: one, "
              "on_demand: true, route_configuration_name: r, key: { fragments: [ { string_key: "
              "'1' } ] } } ] } }"});
  Peer client = request("GET / HTTP/1.1\r\nHost: shop\r\nx-scope: 2\r\n\r\n");
  EXPECT_EQ(status_of(client.message()), 404) << "a scope that nobody knows";
  EXPECT_EQ(logged(), "404 NR route_not_found");
  client.send("GET / HTTP/1.1\r\nHost: shop\r\nx-scope: 1\r\n\r\n");
  wait_for_asked(1);
  EXPECT_EQ(asked[0], "r");
  // It has VHDS itself.
  use(table({}));
  wait_for_asked(2);
  EXPECT_EQ(asked[1], "r/shop");
  use(table({host("shop")}));
  Peer server = backend.accept();
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
}

}  // namespace
}  // namespace pillion::testing
