// What an update of routes leaves behind: the tables that something running uses, and no others;
// and of the filters that stay what they have counted.

#include <memory>
#include <optional>

#include "proxy/core/listener_routes.h"
#include "proxy/route/parse.h"
#include "tests/component/http2_client_fixture.h"

namespace pillion::testing {
namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr int kUpdates = 40;
constexpr std::string_view kPrincipals =
    "{ name: who, typed_config: { '@type': "
    "type.googleapis.com/pillion.filters.http.principal_stats.v1.PrincipalStats } }, ";

class SupersededChains : public Http2ClientFixture {
 protected:
  // A listener whose table, by RDS, leads to the backend.
  void begin(ListenerYaml yaml = {}) {
    set_cluster({backend.address});
    yaml.source =
        "rds: { route_config_name: r, config_source: { ads: {}, resource_api_version: V3 } }";
    listen(yaml);
    use("route: { cluster: app }");
  }
  // A table with one route, in force as by a push of RDS.
  void use(std::string_view action) {
    const auto table =
        parse(str("{ name: r, virtual_hosts: [ { name: v, domains: [ '*' ], routes: [ { match: { "
                  "prefix: / }, ",
                  action, " } ] } ] }"),
              [](const config::Node& node) { return route::parse_route_table(node, {}); });
    tables_.push_back(table);
    listener->update(core::with_route_tables(listener->config(), {{"r", table}}));
  }
  void answer_with(int status) { use(str("direct_response: { status: ", status, " }")); }
  // Of all tables that ever were in force.
  [[nodiscard]] size_t living_tables() {
    settle();
    std::erase_if(tables_, [](const auto& table) { return table.expired(); });
    return tables_.size();
  }
  void expect_told(Peer& client, std::string_view what) {
    std::string all;
    (void)run_until(loop, [&] { return (all += told(client)).size() >= what.size(); });
    EXPECT_EQ(all, what);
  }
  int ask(Peer& client) {
    client.send(kGet);
    return status_of(client.message());
  }

  Backend backend{loop};

 private:
  std::vector<std::weak_ptr<const route::RouteTable>> tables_;
};

TEST_F(SupersededChains, AnOpenStreamOfHttp2PinsTheTableThatItBeganWithAndNoLaterOne) {
  begin({.hcm = "codec_type: HTTP2"});
  Peer peer = client(headers(1, request_block()));
  Peer server = backend.accept();
  EXPECT_NE(server.message(), "");
  for (int i = 1; i <= kUpdates; ++i) {
    answer_with(200 + i);
    const int stream = 1 + 2 * i;
    peer.send(headers(static_cast<uint32_t>(stream), request_block()));
    expect_told(peer, str("HEADERS ", stream, " end; "));
  }
  EXPECT_EQ(living_tables(), 2u) << "the stream's and the one in force";
  server.send(kOk);
  expect_told(peer, "HEADERS 1; DATA 1 2 end; ");
  EXPECT_EQ(living_tables(), 1u);
}

TEST_F(SupersededChains, IdleConnectionsPinNoTables) {
  begin();
  std::vector<Peer> clients;
  for (int i = 0; i < 60; ++i) {
    answer_with(201 + i);
    clients.push_back(connect());
    EXPECT_EQ(ask(clients.back()), 201 + i);
  }
  EXPECT_EQ(living_tables(), 1u);
  for (Peer& client : clients) EXPECT_EQ(ask(client), 260);
  EXPECT_EQ(http->downstream_cx_total.value(), 60u);
}

TEST_F(SupersededChains, IdleConnectionsOfHttp2PinNoTables) {
  begin({.hcm = "codec_type: HTTP2"});
  std::vector<Peer> clients;
  for (int i = 0; i < kUpdates; ++i) {
    answer_with(201 + i);
    clients.push_back(client(headers(1, request_block())));
    expect_told(clients.back(), "HEADERS 1 end; ");
  }
  EXPECT_EQ(living_tables(), 1u);
}

TEST_F(SupersededChains, ARunningRequestPinsItsTableUntilItHasItsAnswer) {
  begin();
  Peer client = request();
  Peer server = backend.accept();
  for (int i = 1; i <= kUpdates; ++i) answer_with(200 + i);
  EXPECT_EQ(living_tables(), 2u);
  server.answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(living_tables(), 1u) << "without another request";
  EXPECT_EQ(ask(client), 200 + kUpdates);
}

TEST_F(SupersededChains, WhatIsDrainedPinsItsLastTableUntilItEnds) {
  worker.drain_time = seconds(10);
  begin();
  Peer client = connect();
  settle();
  for (int i = 1; i <= kUpdates; ++i) answer_with(200 + i);
  update({.tcp = "max_connect_attempts: 1"});  // HTTP no more
  EXPECT_EQ(living_tables(), 1u);
  pass(seconds(11));
  EXPECT_TRUE(client.is_over());
  EXPECT_EQ(living_tables(), 0u);
}

// What a filter counts by names that it learns dies with its state of the worker.
TEST_F(SupersededChains, WhatAFilterHasCountedGoesOnOverAPushOfRoutes) {
  begin({.filters = std::string(kPrincipals)});
  for (int i = 1; i <= 5; ++i) {
    answer_with(200 + i);
    Peer client = connect();
    EXPECT_EQ(ask(client), 200 + i);
    client.close();
    settle();
  }
  const auto unknown = registry.block<stats::PrincipalStats>(0, "web", "unknown");
  EXPECT_EQ(unknown->rq_total.value(), 5u);
}

TEST_F(SupersededChains, ANetworkFilterThatStaysKeepsItsState) {
  const auto before = parse_listener(
      {.guards = str("{ name: rbac, typed_config: { ", kExtension,
                     "filters.network.rbac.v3.RBAC, stat_prefix: guard., rules: {} } }, "),
       .source =
           "rds: { route_config_name: r, config_source: { ads: {}, resource_api_version: V3 } }"});
  const auto table = parse(
      "{ name: r }", [](const config::Node& node) { return route::parse_route_table(node, {}); });
  const auto after = core::with_route_tables(*before, {{"r", table}});
  const core::ChainState first(worker, before->chains.front(), nullptr);
  const core::ChainState second(worker, after->chains.front(), &first);
  ASSERT_EQ(second.network_filters.size(), 1u);
  EXPECT_NE(second.network_filters.front().get(), nullptr);
  EXPECT_EQ(second.network_filters.front(), first.network_filters.front());
  const core::ChainState apart(worker, after->chains.front(), nullptr);
  EXPECT_NE(apart.network_filters.front(), first.network_filters.front());
}

// Only the default chain may look like another one: connections that have gone over to it, and
// those of the other, follow the one that new connections take.
TEST_F(SupersededChains, ConnectionsOfTwoChainsThatBecomeOneAllFollowIt) {
  worker.drain_time = seconds(10);
  set_cluster({backend.address});
  const auto reply = [](int status) {
    return str("{ match: { prefix: / }, direct_response: { status: ", status, " } }");
  };
  const auto with_default = [&](int status) {
    const ListenerYaml same{.routes = reply(status)};
    const std::string text = same.text();
    const size_t begin = text.find("filters: [ ");
    return str("default_filter_chain: { ", text.substr(begin, text.rfind(" } ] }") - begin), " }");
  };
  listen({.routes = reply(201)});
  Peer first = request();
  EXPECT_EQ(status_of(first.message()), 201);
  update({.routes = reply(202),
          .chain = "filter_chain_match: { destination_port: 1 }",
          .listener = with_default(203)});
  EXPECT_EQ(ask(first), 203);
  update({.routes = reply(204), .listener = with_default(205)});
  EXPECT_EQ(ask(first), 204);
  Peer second = request();
  EXPECT_EQ(status_of(second.message()), 204);
  for (int status = 206; status < 210; ++status) {
    update({.routes = reply(100 + status), .listener = with_default(status)});
    EXPECT_EQ(ask(first), 100 + status);
    EXPECT_EQ(ask(second), 100 + status);
  }
  update({.tcp = "max_connect_attempts: 1"});
  pass(seconds(11));
  EXPECT_TRUE(first.is_over());
  EXPECT_TRUE(second.is_over());
}

}  // namespace
}  // namespace pillion::testing
