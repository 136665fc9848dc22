#include <gtest/gtest.h>

#include <chrono>

#include "tests/unit/core/parse_fixture.h"

namespace pillion::core {
namespace {

using namespace std::chrono_literals;
using L = ListenerConfig;
using M = FilterChainMatch;

constexpr std::string_view kInspectors =
    "[ { name: o, typed_config: { '@type': "
    "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3."
    "OriginalDst } }, { name: t, typed_config: { '@type': "
    "type.googleapis.com/envoy.extensions.filters.listener."
    "tls_inspector.v3.TlsInspector, initial_read_buffer_size: 512, enable_ja3_fingerprinting: "
    "false } }, { name: h, "
    "typed_config: { '@type': "
    "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector } } ]";

const FieldCase<L> kFields[] = {
    {"name: in", [](const L& l) { return l.name == "in"; }},
    {"stat_prefix: 'a:b'", [](const L& l) { return l.stat_name == "a_b"; }},
    {"use_original_dst: true", [](const L& l) { return l.use_original_dst; }},
    {"bind_to_port: false", [](const L& l) { return !l.bind_to_port; }},
    {"listener_filters_timeout: 0s", [](const L& l) { return l.listener_filters_timeout == 0s; }},
    {"continue_on_listener_filters_timeout: true",
     [](const L& l) { return l.continue_on_listener_filters_timeout; }},
    {"per_connection_buffer_limit_bytes: 32768",
     [](const L& l) { return l.per_connection_buffer_limit == 32768; }},
    {"max_connections_to_accept_per_socket_event: 1",
     [](const L& l) { return l.max_accepts_per_event == 1; }},
    {"ignore_global_conn_limit: true", [](const L& l) { return l.ignore_global_conn_limit; }},
    {"traffic_direction: INBOUND",
     [](const L& l) { return l.direction == L::Direction::kInbound; }},
    {"traffic_direction: OUTBOUND",
     [](const L& l) { return l.direction == L::Direction::kOutbound; }},
    {"access_log: [ {} ]", [](const L& l) { return l.access_logs.size() == 1; }},
    {"tcp_backlog_size: 4096", [](const L& l) { return l.options.backlog == 4096; }},
    {"transparent: true", [](const L& l) { return l.options.transparent; }},
    {"freebind: true", [](const L& l) { return l.options.freebind; }},
    {"reuse_port: false", [](const L& l) { return !l.options.reuse_port; }},
    {"enable_reuse_port: false", [](const L& l) { return !l.options.reuse_port; }},
    {"reuse_port: true, enable_reuse_port: false",
     [](const L& l) { return !l.options.reuse_port; }},
};

TEST(ListenerParsing, BringsEachFieldToItsPlace) {
  const ParsedListener plain(listener());
  for (const FieldCase<L>& field : kFields) {
    const ParsedListener config(listener(field.yaml));
    EXPECT_EQ(config.messages, "") << field.yaml;
    EXPECT_TRUE(field.arrived(*config)) << field.yaml;
    EXPECT_FALSE(field.arrived(*plain)) << field.yaml;
    EXPECT_NE(config->hash, plain->hash) << field.yaml;
  }
}

TEST(ListenerParsing, HasEnvoysDefaults) {
  const ParsedListener config(listener());
  EXPECT_EQ(config.messages, "");
  EXPECT_EQ(config->name, "127.0.0.1:80");
  EXPECT_EQ(config->stat_name, "127.0.0.1_80");
  EXPECT_EQ(config->address.to_string(), "127.0.0.1:80");
  EXPECT_TRUE(config->bind_to_port);
  EXPECT_TRUE(config->options.reuse_port);
  EXPECT_EQ(config->options.backlog, 0);
  EXPECT_EQ(config->listener_filters_timeout, 15s);
  EXPECT_EQ(config->per_connection_buffer_limit, 1024u * 1024);
  EXPECT_EQ(config->default_chain, nullptr);
  ASSERT_EQ(config->chains.size(), 1u);
  const FilterChain& only = *config->chains[0];
  EXPECT_TRUE(only.match.matches_everything);
  EXPECT_EQ(only.tls, nullptr);
  EXPECT_EQ(only.transport_socket_connect_timeout, 0s);
  EXPECT_TRUE(std::holds_alternative<std::shared_ptr<const HcmConfig>>(only.terminal));
}

TEST(ListenerParsing, TakesUnixSocketsWithTheirMode) {
  const ParsedListener config(str(
      "{ address: { pipe: { path: /run/p.sock, mode: 432 } }, filter_chains: [ ", chain(), " ] }"));
  EXPECT_EQ(config.messages, "");
  EXPECT_EQ(config->address.path(), "/run/p.sock");
  EXPECT_EQ(config->options.unix_mode, 0660u);
  EXPECT_EQ(config->stat_name, "/run/p.sock");
}

TEST(ListenerParsing, TakesListenerFilters) {
  const ParsedListener plain(listener());
  EXPECT_FALSE(plain->original_dst_filter || plain->tls_inspector || plain->http_inspector);
  const ParsedListener config(listener(str("listener_filters: ", kInspectors)));
  EXPECT_EQ(config.messages, "");
  EXPECT_TRUE(config->original_dst_filter && config->tls_inspector && config->http_inspector);
}

// As Envoy does; otherwise the chain would never be chosen.
TEST(ListenerParsing, AddsTheTlsInspectorThatAChainNeeds) {
  const std::pair<std::string_view, bool> cases[] = {
      {"transport_protocol: tls", true},
      {"server_names: [ a ]", true},
      {"application_protocols: [ h2 ]", true},
      {"transport_protocol: raw_buffer", false},
      {"destination_port: 80", false},
      {"transport_protocol: raw_buffer, application_protocols: [ h2c ]", false},
  };
  for (const auto& [match, needs] : cases) {
    const ParsedListener config(listener("", chain(str("filter_chain_match: { ", match, " }"))));
    EXPECT_EQ(config.messages, "") << match;
    EXPECT_EQ(config->tls_inspector, needs) << match;
  }
}

const FieldCase<M> kMatches[] = {
    {"destination_port: 443", [](const M& m) { return m.destination_port == 443; }},
    {"prefix_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ]",
     [](const M& m) {
       return m.destination.size() == 1 && m.destination[0].to_string() == "10.0.0.0/8";
     }},
    {"server_names: [ A.example, '*.Example' ]",
     [](const M& m) {
       return m.server_names == std::vector<std::string>{"a.example", "*.example"};
     }},
    {"transport_protocol: tls", [](const M& m) { return m.transport_protocol == "tls"; }},
    {"transport_protocol: raw_buffer",
     [](const M& m) { return m.transport_protocol == "raw_buffer"; }},
    {"application_protocols: [ h2, http/1.1 ]",
     [](const M& m) { return m.application_protocols.size() == 2; }},
    {"direct_source_prefix_ranges: [ { address_prefix: '::1', prefix_len: 128 } ]",
     [](const M& m) { return m.direct_source.size() == 1 && m.source.empty(); }},
    {"source_type: SAME_IP_OR_LOOPBACK",
     [](const M& m) { return m.source_type == M::SourceType::kSameIpOrLoopback; }},
    {"source_type: EXTERNAL", [](const M& m) { return m.source_type == M::SourceType::kExternal; }},
    {"source_prefix_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ]",
     [](const M& m) { return m.source.size() == 1 && m.direct_source.empty(); }},
    {"source_ports: [ 1, 65535 ]",
     [](const M& m) { return m.source_ports == std::vector<uint16_t>{1, 65535}; }},
};

TEST(FilterChainParsing, BringsEachMatcherToItsPlace) {
  const FilterChainMatch plain;
  for (const FieldCase<M>& field : kMatches) {
    const ParsedListener config(
        listener("", chain(str("filter_chain_match: { ", field.yaml, " }"))));
    EXPECT_EQ(config.messages, "") << field.yaml;
    const FilterChainMatch& match = config->chains[0]->match;
    EXPECT_TRUE(field.arrived(match)) << field.yaml;
    EXPECT_FALSE(field.arrived(plain)) << field.yaml;
    EXPECT_FALSE(match.matches_everything) << field.yaml;
  }
}

// Envoy refuses these too: which of the two would get the connection?
TEST(FilterChainParsing, RefusesTwoChainsForTheSameConnections) {
  struct Pair {
    std::string_view first, second;
    bool is_refused;
  };
  const Pair pairs[] = {
      {"", "", true},
      {"destination_port: 80", "destination_port: 80", true},
      {"destination_port: 80", "destination_port: 81", false},
      {"destination_port: 80", "", false},  // the second is the rest
      {"server_names: [ a, b ]", "server_names: [ b, c ]", true},
      {"server_names: [ a, b ]", "server_names: [ c ]", false},
      {"server_names: [ '*.a' ]", "server_names: [ b.a ]", false},
      {"server_names: [ a ], source_ports: [ 1 ]", "server_names: [ a ], source_ports: [ 2 ]",
       false},
      {"prefix_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ]",
       "prefix_ranges: [ { address_prefix: 10.1.0.0, prefix_len: 8 } ]", true},
      {"prefix_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ]",
       "prefix_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 16 } ]", false},
      {"source_type: EXTERNAL", "source_type: EXTERNAL", true},
      {"source_type: EXTERNAL", "source_type: ANY", false},
  };
  for (const Pair& pair : pairs) {
    const auto matching = [](std::string_view match) {
      return chain(str("filter_chain_match: { ", match, " }"));
    };
    const ParsedListener config(
        listener("", str(matching(pair.first), ", ", matching(pair.second))));
    const bool is_refused =
        config.messages.find("matches the same connections as filter_chains[0]") !=
        std::string::npos;
    EXPECT_EQ(is_refused, pair.is_refused) << pair.first << " | " << pair.second << "\n"
                                           << config.messages;
    EXPECT_EQ(config.messages.empty(), !pair.is_refused) << config.messages;
  }
}

TEST(FilterChainParsing, TakesTheDefaultChainWithoutLookingAtItsMatch) {
  const ParsedListener config(
      listener(str("default_filter_chain: ",
                   chain("name: rest, filter_chain_match: {}, transport_socket_connect_timeout: 3s",
                         filter(kTcpProxyType, tcp_proxy())))));
  EXPECT_EQ(config.messages, "");
  ASSERT_NE(config->default_chain, nullptr);
  EXPECT_EQ(config->default_chain->name, "rest");
  EXPECT_EQ(config->default_chain->transport_socket_connect_timeout, 3s);
  EXPECT_TRUE(std::holds_alternative<std::shared_ptr<const TcpProxyConfig>>(
      config->default_chain->terminal));
  EXPECT_EQ(config.clusters.size(), 1u);
}

TEST(FilterChainParsing, KnowsPlainTextByName) {
  const ParsedListener config(
      listener("", chain("transport_socket: { name: raw, typed_config: { '@type': "
                         "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3."
                         "RawBuffer } }")));
  EXPECT_EQ(config.messages, "");
  EXPECT_EQ(config->chains[0]->tls, nullptr);
}

// --- Hashes ------------------------------------------------------------------------------------

TEST(ListenerHashes, TellWhatAReloadHasChanged) {
  const ParsedListener before(listener());
  struct Change {
    std::string yaml;
    bool socket, connection, chain;
  };
  const auto http = [](std::string_view more) {
    return listener("", chain("", filter(kManagerType, manager(more))));
  };
  const Change changes[] = {
      {listener(), false, false, false},
      {listener("listener_filters_timeout: 1s"), false, false, false},
      {listener("tcp_backlog_size: 5"), true, false, false},
      {listener("enable_reuse_port: false"), true, false, false},
      {listener("transparent: true"), true, false, false},
      {listener("freebind: true"), true, false, false},
      {listener("bind_to_port: false"), true, false, false},
      // New routes, times and limits take effect on connections that live ...
      {http("request_timeout: 1s"), false, false, true},
      {http("max_request_headers_kb: 9"), false, false, true},
      // ... another codec, other counters and other terminals do not.
      {http("codec_type: HTTP1"), false, true, true},
      {listener("", chain("", filter(kTcpProxyType, tcp_proxy()))), false, true, true},
      {listener("", chain("filter_chain_match: { destination_port: 9 }")), false, true, true},
      {listener("", chain("name: other")), false, false, true},
  };
  for (const Change& change : changes) {
    const ParsedListener after(change.yaml);
    EXPECT_EQ(after.messages, "") << change.yaml;
    EXPECT_EQ(after->socket_hash != before->socket_hash, change.socket) << change.yaml;
    EXPECT_EQ(after->chains[0]->connection_hash != before->chains[0]->connection_hash,
              change.connection)
        << change.yaml;
    EXPECT_EQ(after->chains[0]->hash != before->chains[0]->hash, change.chain) << change.yaml;
    EXPECT_EQ(after->hash == before->hash, change.yaml == listener()) << change.yaml;
  }
}

// --- TCP proxy ---------------------------------------------------------------------------------

using T = TcpProxyConfig;

constexpr FieldCase<T> kTcpFields[] = {
    {"idle_timeout: 0s", [](const T& t) { return t.idle_timeout == 0s; }},
    {"max_downstream_connection_duration: 5s",
     [](const T& t) { return t.max_connection_duration == 5s; }},
    {"max_connect_attempts: 3", [](const T& t) { return t.max_connect_attempts == 3; }},
    {"access_log: [ {} ]", [](const T& t) { return t.access_logs.size() == 1; }},
};

TEST(TcpProxyParsing, BringsEachFieldToItsPlace) {
  const ParsedTcpProxy plain(tcp_proxy("access_log_options: {}, upstream_connect_mode: IMMEDIATE"));
  EXPECT_EQ(plain.messages, "");
  EXPECT_EQ(plain->stat_prefix, "db");
  EXPECT_EQ(plain->idle_timeout, 1h);
  EXPECT_EQ(plain->max_connect_attempts, 1u);
  ASSERT_EQ(plain->targets.size(), 1u);
  EXPECT_EQ(plain->targets[0].cluster, "db");
  EXPECT_EQ(plain->total_weight, 1u);
  for (const FieldCase<T>& field : kTcpFields) {
    const ParsedTcpProxy config(tcp_proxy(field.yaml));
    EXPECT_EQ(config.messages, "") << field.yaml;
    EXPECT_TRUE(field.arrived(*config)) << field.yaml;
    EXPECT_FALSE(field.arrived(*plain)) << field.yaml;
    EXPECT_NE(config->hash, plain->hash) << field.yaml;
  }
}

TEST(TcpProxyParsing, TakesWeightedClusters) {
  const ParsedTcpProxy config(
      "{ stat_prefix: a, weightedClusters: { clusters: [ { name: x, weight: 1 }, { name: y, "
      "weight: 99 } ] } }");
  EXPECT_EQ(config.messages, "");
  EXPECT_EQ(config->total_weight, 100u);
  ASSERT_EQ(config->targets.size(), 2u);
  EXPECT_EQ(config->targets[1].cluster, "y");
  EXPECT_EQ(config->targets[1].weight, 99u);
  ASSERT_EQ(config.clusters.size(), 2u);
  EXPECT_EQ(config.clusters[1].where.path, "weightedClusters.clusters[1].name");
}

// Pairs of chains times pairs of names took 12 s for 350 chains of 350 names.
TEST(FilterChainParsing, ComparesManyChainsAndNamesInTime) {
  std::string chains;
  for (int chain = 0; chain < 200; ++chain) {
    std::string names;
    for (int i = 0; i < 200; ++i) names += str(i == 0 ? "" : ", ", "a", chain, ".b", i);
    chains +=
        str(chain == 0 ? "" : ", ", "{ filter_chain_match: { server_names: [ ", names, " ] } }");
  }
  const auto begin = std::chrono::steady_clock::now();
  const ParsedListener config(
      str("{ name: l, address: { socket_address: { address: 127.0.0.1, "
          "port_value: 1 } }, filter_chains: [ ",
          chains, " ] }"));
  EXPECT_EQ(config.messages, "");
  EXPECT_EQ(config->chains.size(), 200u);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s) << "of which most is YAML's";
}

TEST(FilterChainParsing, RefusesMoreCombinationsThanItsMapMayHold) {
  std::string ports, names;
  for (int i = 1; i <= 1001; ++i) {
    ports += str(i == 1 ? "" : ", ", i);
    names += str(i == 1 ? "" : ", ", "a", i);
  }
  const ParsedListener config(
      str("{ name: l, address: { socket_address: { address: 127.0.0.1, "
          "port_value: 1 } }, filter_chains: [ { filter_chain_match: { "
          "server_names: [ ",
          names, " ], source_ports: [ ", ports, " ] } } ] }"));
  EXPECT_NE(config.messages.find("more than 1000000 combinations"), std::string::npos)
      << config.messages;
}

TEST(FilterChainParsing, TakesAChainWithoutFiltersWhoseConnectionsAreClosed) {
  const ParsedListener config(
      "{ name: l, address: { socket_address: { address: 127.0.0.1, port_value: 1 } }, "
      "filter_chains: [ { filters: [] } ] }");
  EXPECT_EQ(config.messages, "");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(config->chains[0]->terminal));
}

}  // namespace
}  // namespace pillion::core
