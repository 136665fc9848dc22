// transport_socket_matches: what is parsed, which one a host gets, and what its connections are.
#include <gtest/gtest.h>

#include "proxy/upstream/cluster.h"
#include "tests/unit/upstream/fixture.h"
#include "tests/unit/upstream/pool_fixture.h"

namespace pillion::upstream {
namespace {

constexpr std::string_view kTls =
    "transport_socket: { name: tls, typed_config: { '@type': "
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: a, "
    "common_tls_context: {} } }";
constexpr std::string_view kRaw =
    "transport_socket: { name: raw, typed_config: { '@type': "
    "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer } }";

std::string match(std::string_view name, std::string_view labels, std::string_view socket) {
  return str("{ name: ", name, ", match: ", labels, ", ", socket, " }");
}
std::string matches(std::initializer_list<std::string> all, std::string_view fields = "name: a") {
  std::string list;
  for (const std::string& one : all) list += (list.empty() ? "" : ", ") + one;
  return str("{ ", fields, ", transport_socket_matches: [ ", list, " ] }");
}
// As istiod has it in each cluster of the mesh.
std::string istio() {
  return matches(
      {match("tlsMode-istio", "{ tlsMode: istio }", kTls), match("tlsMode-disabled", "{}", kRaw)});
}

// The name of what hosts get.
std::string chosen(const ClusterConfig& config, const LabelSet& own,
                   const LabelSet& locality = {}) {
  const TransportMatch* match = config.pool->match_for(own, locality);
  return match == nullptr ? "" : match->name;
}

constexpr char kHandshake = 0x16;  // the first byte of TLS
const LabelSet kIstio = {{"tlsMode", "\"istio\""}};

TEST(TransportMatches, AreAsIstioSendsThem) {
  const auto c = cluster_of(istio());
  ASSERT_EQ(c->pool->transport_matches.size(), 2u);
  EXPECT_EQ(c->pool->transport_matches[0].name, "tlsMode-istio");
  EXPECT_EQ(c->pool->transport_matches[0].labels, kIstio);
  ASSERT_NE(c->pool->transport_matches[0].tls, nullptr);
  EXPECT_EQ(c->pool->transport_matches[0].tls->current()->sni(), "a");
  EXPECT_EQ(c->pool->transport_matches[1].tls, nullptr);
  EXPECT_EQ(c->pool->tls, nullptr);
  EXPECT_TRUE(c->pool->may_use_tls());
  EXPECT_FALSE(cluster_of("name: a")->pool->may_use_tls());
}

TEST(TransportMatches, TheFirstOneCountsWhoseLabelsTheHostHas) {
  const auto c = cluster_of(istio());
  EXPECT_EQ(chosen(*c, kIstio), "tlsMode-istio");
  EXPECT_EQ(chosen(*c, {{"tlsMode", "\"disabled\""}}), "tlsMode-disabled");
  EXPECT_EQ(chosen(*c, {}), "tlsMode-disabled");
  const auto many = cluster_of(matches({match("ab", "{ a: 1, b: 1 }", kRaw),
                                        match("a", "{ a: 1 }", kTls), match("b", "{ b: 1 }", kTls)},
                                       str("name: a, ", kTls)));
  EXPECT_EQ(chosen(*many, {{"a", "1"}, {"b", "1"}, {"c", "1"}}), "ab");
  EXPECT_EQ(chosen(*many, {{"b", "1"}}), "b");
  EXPECT_EQ(chosen(*many, {{"c", "1"}}), "") << "the cluster's own";
  EXPECT_EQ(many->pool->tls_of(nullptr), many->pool->tls.get());
  EXPECT_EQ(many->pool->tls_for(nullptr), many->pool->tls.get());
}

TEST(TransportMatches, TheLocalityIsAskedOnlyWhereTheHostSaysNothing) {
  const auto c = cluster_of(matches({match("a", "{ a: 1 }", kTls), match("b", "{ b: 1 }", kTls)}));
  EXPECT_EQ(chosen(*c, {}, {{"a", "1"}}), "a");
  EXPECT_EQ(chosen(*c, {{"b", "1"}}, {{"a", "1"}}), "b") << "though it is the later one";
  const auto both = cluster_of(matches({match("ab", "{ a: 1, b: 1 }", kTls)}));
  EXPECT_EQ(chosen(*both, {{"a", "1"}}, {{"b", "1"}}), "") << "they are not put together";
  EXPECT_EQ(chosen(*cluster_of(istio()), {}, kIstio), "tlsMode-disabled")
      << "an empty match is for hosts without labels, whatever their locality says";
}

TEST(TransportMatches, AreOfWhatConnectionsDependOn) {
  const auto a = cluster_of(istio());
  EXPECT_EQ(a->connection_hash, cluster_of(istio())->connection_hash);
  const auto other = cluster_of(matches(
      {match("tlsMode-istio", "{ tlsMode: mesh }", kTls), match("tlsMode-disabled", "{}", kRaw)}));
  EXPECT_NE(a->connection_hash, other->connection_hash);
  EXPECT_NE(a->hash, other->hash);
  EXPECT_NE(a->connection_hash, cluster_of("name: a")->connection_hash);
}

TEST(TransportMatches, HaveTheirErrorsAtTheirPlaces) {
  const std::string text = messages_of(str(
      "{ name: a, transport_socket_matches: [ { match: [ 1 ], transport_socket: { typed_config: "
      "{ '@type': type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.Q } } }, ",
      "{ name: b, macth: {}, transport_socket: {} }, { name: c } ] }"));
  const auto has = [&text](std::string_view what) {
    EXPECT_NE(text.find(what), std::string::npos) << what << "\n" << text;
  };
  has("transport_socket_matches[0].name: required field is missing");
  has("transport_socket_matches[0].match: expected a mapping, got a list");
  has("transport_socket_matches[0].transport_socket.typed_config: transport socket");
  has("transport_socket_matches[1].macth: unknown field (did you mean \"match\"?)");
  has("transport_socket_matches[1].transport_socket.typed_config: required field is missing");
  has("transport_socket_matches[2].transport_socket: required field is missing");
}

TEST(TransportMatches, AllNeedTlsWhereAlpnChoosesTheProtocol) {
  const std::string auto_config =
      "name: a, typed_extension_protocol_options: { o: { '@type': "
      "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, "
      "auto_config: { http2_protocol_options: {} } } }";
  EXPECT_EQ(messages_of(matches({match("x", "{ a: 1 }", kTls)}, auto_config + ", " + kTls.data())),
            "");
  const std::string text =
      messages_of(matches({match("x", "{ a: 1 }", kRaw)}, auto_config + ", " + kTls.data()));
  EXPECT_NE(text.find("transport_socket_matches[0].transport_socket: auto_config needs TLS"),
            std::string::npos)
      << text;
  EXPECT_NE(messages_of(matches({match("x", "{ a: 1 }", kTls)}, auto_config)), "")
      << "a host may have no such label";
}

using TransportPoolTest = UpstreamTest;

TEST_F(TransportPoolTest, HostsOfOneClusterConnectEachInItsWay) {
  Backend secret;
  Backend plain;
  config->pool->transport_matches = cluster_of(istio())->pool->transport_matches;
  Endpoints infos(2);
  infos[0].address = secret.address;
  infos[0].transport = make_transport_labels(kIstio, {});
  infos[1].address = plain.address;
  const HostSetPtr first = make_host_set(infos, nullptr);
  Cluster& cluster = set(first);
  Pool& to_secret = use(cluster).pool();
  Pool& to_plain = use(cluster, 1).pool();
  EXPECT_TRUE(to_secret.has_tls());
  EXPECT_FALSE(to_plain.has_tls());
  Conn conn = warm_up(plain, to_plain);
  {
    Request request;
    request.start(to_secret);
    ASSERT_TRUE(run_until(loop, [&] { return secret.has_waiting(); }));
    Conn hello = secret.accept();
    run_for(loop, std::chrono::milliseconds(2));
    EXPECT_EQ(hello.read_byte(), kHandshake);
    EXPECT_FALSE(request.is_ready());
    to_secret.cancel(request);
  }
  // The labels change: what is idle goes, and the next connection is made as they say.
  infos[0].transport = nullptr;
  infos[1].transport = make_transport_labels(kIstio, {});
  cluster.update_hosts(make_host_set(infos, first));
  EXPECT_TRUE(conn.is_closed());
  EXPECT_FALSE(use(cluster).pool().has_tls());
  EXPECT_TRUE(use(cluster, 1).pool().has_tls());
  warm_up(secret, use(cluster).pool());
}

TEST_F(TransportPoolTest, AHostWhoseLabelsStayKeepsItsConnections) {
  Backend backend;
  config->pool->transport_matches = cluster_of(istio())->pool->transport_matches;
  Endpoints infos(1);
  infos[0].address = backend.address;
  infos[0].transport = make_transport_labels({{"tlsMode", "\"disabled\""}}, {});
  const HostSetPtr first = make_host_set(infos, nullptr);
  Cluster& cluster = set(first);
  Conn conn = warm_up(backend, use(cluster).pool());
  infos[0].weight = 7;
  cluster.update_hosts(make_host_set(infos, first));
  // A policy that changes nothing of connections, too.
  config->pool->connect_timeout = std::chrono::seconds(1);
  EXPECT_EQ(&set(make_host_set(infos, first)), &cluster);
  EXPECT_FALSE(use(cluster).pool().has_tls());
  EXPECT_TRUE(conn.is_open());
}

}  // namespace
}  // namespace pillion::upstream
