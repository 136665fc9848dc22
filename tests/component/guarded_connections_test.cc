// Network filters: connections are judged before anybody serves them.
#include "tests/component/tls_yaml.h"
#include "tests/support/tls_peer.h"

namespace pillion::testing {
namespace {

std::string rbac(std::string_view fields) {
  return str("{ name: rbac, typed_config: { ", kExtension,
             "filters.network.rbac.v3.RBAC, stat_prefix: guard., ", fields, " } }, ");
}
std::string policy(std::string_view name, std::string_view principal) {
  return str("policies: { '", name, "': { permissions: [ { any: true } ], principals: [ ",
             principal, " ] } }");
}
constexpr std::string_view kLocal =
    "{ direct_remote_ip: { address_prefix: 127.0.0.0, prefix_len: 8 } }";
constexpr std::string_view kElsewhere =
    "{ direct_remote_ip: { address_prefix: 10.0.0.0, prefix_len: 8 } }";

class GuardedConnections : public WorkerTest {
 protected:
  GuardedConnections() {
    log_format = "%CONNECTION_TERMINATION_DETAILS% %RESPONSE_FLAGS% %RESPONSE_CODE%";
  }
  void begin(std::string guards, ListenerYaml yaml = {}) {
    set_cluster({backend.address});
    yaml.guards = std::move(guards);
    listen(yaml);
  }
  std::unique_ptr<TlsPeer> tls_client(std::string_view uri) {
    tls::ContextConfig config;
    config.role = tls::Role::kClient;
    if (!uri.empty()) config.certificates.push_back(ca.certificate(std::string(uri)));
    config.validation = ca.validation();
    auto context = tls::Context::make(config);
    EXPECT_TRUE(context) << context.error();
    auto peer =
        std::make_unique<TlsPeer>(loop, io::Socket::connect(loop, address, {}, {}), *context);
    peer->start();
    return peer;
  }

  Backend backend{loop};
  TestCa ca{"mesh.local"};
  stats::BlockRef<stats::RbacNetworkStats> counters =
      registry.block<stats::RbacNetworkStats>(0, "guard.");
};

TEST_F(GuardedConnections, WhoIsAllowedIsServed) {
  begin(rbac(str("rules: { ", policy("p", kLocal), " }")));
  Peer client = request();
  backend.accept().answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(counters->allowed.value(), 1u);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  backend.accept().answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(counters->allowed.value(), 1u) << "once for each connection";
}

TEST_F(GuardedConnections, WhoIsDeniedIsClosedBeforeAnUpstreamIsAsked) {
  begin(rbac(str("rules: { ", policy("p", kElsewhere), " }")), {.tcp = "idle_timeout: 1s"});
  Peer client = connect();
  EXPECT_TRUE(client.waits_for_the_end());
  EXPECT_EQ(logged(), "rbac_access_denied_matched_policy[none] - 0");
  EXPECT_EQ(counters->denied.value(), 1u);
  EXPECT_FALSE(backend.is_called());
  EXPECT_EQ(tcp->downstream_cx_total.value(), 0u);
}

TEST_F(GuardedConnections, ADenyPolicyIsNamed) {
  begin(rbac(str("rules: { action: DENY, ", policy("no locals", kLocal), " }")),
        {.tcp = "idle_timeout: 1s"});
  EXPECT_TRUE(connect().waits_for_the_end());
  EXPECT_EQ(logged(), "rbac_access_denied_matched_policy[no_locals] - 0");
}

TEST_F(GuardedConnections, TheFirstFilterThatDeniesDecides) {
  begin(rbac(str("rules: { ", policy("p", kLocal), " }")) +
        rbac(str("rules: { action: DENY, ", policy("p", kLocal), " }")));
  EXPECT_TRUE(request().waits_for_the_end());
  EXPECT_EQ(counters->allowed.value(), 1u);
  EXPECT_EQ(counters->denied.value(), 1u);
  EXPECT_EQ(http->downstream_cx_total.value(), 0u);
}

TEST_F(GuardedConnections, ADenialCanTakeItsTime) {
  begin(rbac("rules: {}, delay_deny: 2s"), {.tcp = "idle_timeout: 1s"});
  Peer client = connect();
  client.send("hello");
  pass(milliseconds(1900));
  EXPECT_FALSE(client.is_over());
  pass(milliseconds(200));
  EXPECT_TRUE(client.waits_for_the_end());
  EXPECT_EQ(logged(), "rbac_access_denied_matched_policy[none] - 0");
}

TEST_F(GuardedConnections, AClientThatLeavesDuringTheDelayHasBeenDenied) {
  begin(rbac("rules: {}, delay_deny: 2s"), {.tcp = "idle_timeout: 1s"});
  Peer client = connect();
  settle();
  client.abort();
  pass(seconds(3));
  EXPECT_EQ(logged(), "rbac_access_denied_matched_policy[none] - 0");
  EXPECT_EQ(counters->denied.value(), 1u);
}

TEST_F(GuardedConnections, ShadowRulesOnlyCount) {
  begin(rbac("shadow_rules: {}, shadow_rules_stat_prefix: dry_"));
  Peer client = request();
  backend.accept().answer();
  EXPECT_EQ(status_of(client.message()), 200);
  EXPECT_EQ(
      registry.block<stats::RbacNetworkShadowStats>(0, "guard.", "dry_")->shadow_denied.value(),
      1u);
}

// The reason is the filter's own text, and is told when the delay is over.
TEST_F(GuardedConnections, ADenialOutlivesTheFilterThatWasReplacedMeanwhile) {
  const std::string guards =
      rbac(str("rules: { action: DENY, ", policy("no locals", kLocal), " }, delay_deny: 2s"));
  begin(guards, {.tcp = "idle_timeout: 1s"});
  Peer client = connect();
  settle();
  for (int i = 2; i < 5; ++i) update({.tcp = str("idle_timeout: ", i, "s"), .guards = guards});
  pass(milliseconds(2100));
  EXPECT_TRUE(client.waits_for_the_end());
  EXPECT_EQ(logged(), "rbac_access_denied_matched_policy[no_locals] - 0");
}

class GuardedTls : public GuardedConnections {
 protected:
  void begin_tls(ListenerYaml yaml) {
    yaml.chain = server_tls(ca);
    begin(rbac(str("rules: { ",
                   policy("customer",
                          "{ authenticated: { principal_name: { exact: "
                          "'spiffe://mesh.local/ns/shop/sa/customer' } } }"),
                   " }")),
          std::move(yaml));
  }
};

TEST_F(GuardedTls, APeerIsJudgedByItsCertificate) {
  begin_tls({});
  auto customer = tls_client("spiffe://mesh.local/ns/shop/sa/customer");
  ASSERT_TRUE(run_until(loop, [&] { return customer->connected != 0; }));
  customer->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  backend.accept().answer();
  EXPECT_TRUE(run_until(loop, [&] { return customer->received.ends_with("ok"); }))
      << customer->received;
  auto intruder = tls_client("spiffe://mesh.local/ns/shop/sa/intruder");
  EXPECT_TRUE(run_until(loop, [&] { return intruder->is_over(); }));
  EXPECT_EQ(intruder->received, "");
  EXPECT_EQ(counters->allowed.value(), 1u);
  EXPECT_EQ(counters->denied.value(), 1u);
}

TEST_F(GuardedTls, BytesThatCameWithTheHandshakeAreNotLost) {
  begin_tls({.tcp = "idle_timeout: 10s"});
  auto customer = tls_client("spiffe://mesh.local/ns/shop/sa/customer");
  customer->send("first bytes");
  ASSERT_TRUE(run_until(loop, [&] { return customer->connected != 0; }));
  Peer server = backend.accept();
  EXPECT_TRUE(server.waits_for("first bytes"));
  server.send("answer");
  EXPECT_TRUE(run_until(loop, [&] { return customer->received == "answer"; }));
}

TEST_F(GuardedTls, AHandshakeThatDoesNotComeEnds) {
  begin_tls({});
  Peer client = connect();
  pass(seconds(11));
  EXPECT_TRUE(client.waits_for_the_end());
  EXPECT_EQ(counters->denied.value() + counters->allowed.value(), 0u);
}

TEST_F(GuardedTls, AHandshakeThatFailsIsNotJudged) {
  begin_tls({.tcp = "idle_timeout: 1s"});
  auto nobody = tls_client("");
  EXPECT_TRUE(run_until(loop, [&] { return nobody->is_over(); }));
  (void)logged();
  EXPECT_EQ(counters->denied.value() + counters->allowed.value(), 0u);
}

// A policy that changes ends what was allowed before: the chain is another one.
TEST_F(GuardedConnections, AnotherPolicyDrainsTheConnectionsOfTheOldOne) {
  begin(rbac(str("rules: { ", policy("p", kLocal), " }")), {.tcp = "idle_timeout: 1h"});
  Peer client = connect();
  Peer server = backend.accept();
  worker.drain_time = seconds(5);
  update({.tcp = "idle_timeout: 1h", .guards = rbac("rules: {}")});
  settle();
  EXPECT_FALSE(client.is_over());
  pass(seconds(6));
  EXPECT_TRUE(client.waits_for_the_end());
}

}  // namespace
}  // namespace pillion::testing
