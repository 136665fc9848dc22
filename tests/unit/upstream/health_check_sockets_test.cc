// Active health checks over TCP, and over the transport socket of the host.
#include "tests/unit/upstream/health_check_fixture.h"

namespace pillion::upstream {
namespace {

// Two sockets: hosts with `tls: true` have TLS, others not.
std::vector<TransportMatch> tls_by_label() {
  constexpr std::string_view kType =
      "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
  return cluster_of(str("{ name: a, transport_socket_matches: [ { name: tls, match: { tls: true }, "
                        "transport_socket: { name: t, typed_config: { '@type': ",
                        kType, ", common_tls_context: {} } } } ] }"))
      ->pool->transport_matches;
}
constexpr char kHandshake = 0x16;  // the first byte of TLS

TEST_F(HealthCheckTest, AsksOverTheTransportSocketOfTheHost) {
  Backend backend;
  config->pool->transport_matches = tls_by_label();
  labels = make_transport_labels({{"tls", "true"}}, {});
  start({backend.address});
  EXPECT_EQ(take(backend).read_byte(), kHandshake);
}

TEST_F(HealthCheckTest, AsksOverTheTransportSocketOfItsCriteria) {
  Backend backend;
  config->pool->transport_matches = tls_by_label();
  labels = make_transport_labels({{"tls", "true"}}, {});
  options.transport_criteria = LabelSet{{"tls", "false"}};
  start({backend.address});
  EXPECT_EQ(take(backend).read_byte(), 'G') << "plain HTTP, though traffic is TLS";
}

TEST_F(HealthCheckTest, AsksTheLocalityWhereItsCriteriaFindNothing) {
  Backend backend;
  config->pool->transport_matches = tls_by_label();
  labels = make_transport_labels({{"tls", "false"}}, {{"tls", "true"}});
  options.transport_criteria = LabelSet{};
  start({backend.address});
  EXPECT_EQ(take(backend).read_byte(), kHandshake);
}

TEST_F(HealthCheckTest, ConnectingIsEnoughForTcp) {
  Backend backend;
  Backend silent(-1);  // bound, but nobody listens
  options.kind = HealthCheckOptions::Kind::kTcp;
  start({backend.address, silent.address});
  ASSERT_TRUE(run_until(loop, [&] { return results() == 2; }));
  EXPECT_TRUE(is_healthy(0));
  EXPECT_FALSE(is_healthy(1));
  EXPECT_EQ(checks->network_failure.value(), 1u);
}

TEST_F(HealthCheckTest, ComparesWhatAHostSaysOverTcp) {
  const struct {
    std::vector<std::string_view> pieces;
    bool is_healthy;
  } rows[] = {
      {{"PONG"}, true},
      {{"xxPO", "yyNG"}, true},
      {{"P", "ON", "G"}, true},
      {{"NGPO"}, false},  // in this order
  };
  for (const auto& row : rows) {
    Backend backend;
    options.kind = HealthCheckOptions::Kind::kTcp;
    options.tcp.send = "PING";
    options.tcp.receive = {"PO", "NG"};
    options.unhealthy_threshold = 1;
    start({backend.address});
    Conn conn = take(backend);
    for (const std::string_view piece : row.pieces) {
      conn.send(piece);
      turn();
    }
    if (!row.is_healthy) conn.close();
    EXPECT_TRUE(run_until(loop, [&] { return (flags() & kPendingActive) == 0; }));
    EXPECT_EQ(is_healthy(), row.is_healthy) << row.pieces[0];
    checker.reset();
    turn();
  }
}

}  // namespace
}  // namespace pillion::upstream
