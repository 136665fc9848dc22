// Who is not let in: what each side says, and which counter counts it.
#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {
namespace {

struct Refusal {
  const char* name;
  ContextConfig client = client_config();
  ContextConfig server = server_config();
  std::string expected_name{};
  std::string server_reason{};
  std::string client_reason{};
  stats::Counter stats::ListenerTlsStats::* server_counter = nullptr;
  stats::Counter stats::ClusterTlsStats::* client_counter = nullptr;
};

std::vector<Refusal> server_refusals() {
  std::vector<Refusal> all;
  {
    Refusal r{.name = "no certificate"};
    r.client.certificates.clear();
    r.server_reason = "the client sent no certificate, and one is required";
    r.client_reason = "alert \"certificate required\"";
    r.server_counter = &stats::ListenerTlsStats::fail_verify_no_cert;
    all.push_back(r);
  }
  {
    Refusal r{.name = "of another CA"};
    r.client.certificates = {other_ca().certificate(kCustomer)};
    r.server_reason =
        "is not trusted: no trusted CA issued it (issuer CN=Other CA, trusted CN=Mesh CA)";
    r.client_reason = "alert \"unknown CA\"";
    r.server_counter = &stats::ListenerTlsStats::fail_verify_error;
    all.push_back(r);
  }
  {
    Refusal r{.name = "with another name"};
    r.server.validation->sans = {
        {SanType::kUri, SanMatcher::Kind::kExact, false, "spiffe://mesh.local/admin"}};
    r.server_reason = std::string("peer certificate has URI SAN ") + kCustomer +
                      ", expected URI SAN spiffe://mesh.local/admin";
    r.client_reason = "alert \"certificate unknown\"";
    r.server_counter = &stats::ListenerTlsStats::fail_verify_san;
    all.push_back(r);
  }
  {
    Refusal r{.name = "not pinned"};
    r.server.validation->certificate_hashes = {Sha256{}};
    r.server_reason = "is not one of the pinned ones";
    r.client_reason = "alert \"certificate unknown\"";
    r.server_counter = &stats::ListenerTlsStats::fail_verify_cert_hash;
    all.push_back(r);
  }
  return all;
}

uint64_t all_failures(const stats::ListenerTlsStats& s) {
  return s.connection_error.value() + s.fail_verify_no_cert.value() + s.fail_verify_error.value() +
         s.fail_verify_san.value() + s.fail_verify_cert_hash.value();
}

class Refuses : public TransportTest {
 protected:
  // The server fails once, by on_closed, before it has read anything.
  void check(const Refusal& r) {
    SCOPED_TRACE(r.name);
    make(r.client, r.server);
    client().when_connected = [this] { client().send("GET / HTTP/1.1\r\n\r\n"); };
    server().when_closed = [this] { server().destroy(); };
    pair->start();
    ASSERT_TRUE(until([&] { return server().closed != 0 && client().is_over(); }));
    settle();
    EXPECT_EQ(server().closed, 1);
    EXPECT_EQ(server().connected, 0);
    EXPECT_EQ(server().received, "");
    EXPECT_EQ(server().failure.kind, FailureKind::kHandshakeFailed);
    EXPECT_THAT(server().reason, HasSubstr(r.server_reason));
    EXPECT_THAT(client().reason, HasSubstr(r.client_reason));
    EXPECT_EQ(client().failure.kind, FailureKind::kTlsFailed);
    EXPECT_EQ((listener_stats.*r.server_counter).value(), 1u);
    EXPECT_EQ(all_failures(listener_stats), 1u);
    EXPECT_EQ(listener_stats.handshake.value(), 0u);
  }
};

TEST_F(Refuses, AClientWithoutACertificate) { check(server_refusals()[0]); }
TEST_F(Refuses, AClientOfAnotherCa) { check(server_refusals()[1]); }
TEST_F(Refuses, AClientWithAnotherName) { check(server_refusals()[2]); }
TEST_F(Refuses, AClientThatIsNotPinned) { check(server_refusals()[3]); }

TEST_F(Refuses, TheSameInTls12) {
  for (Refusal r : server_refusals()) {
    listener_stats.~ListenerTlsStats();
    new (&listener_stats) stats::ListenerTlsStats();
    r.server.min_version = r.client.min_version = r.client.max_version = Version::kTls12;
    // TLS 1.2 has no alert "certificate required".
    if (r.client.certificates.empty()) r.client_reason = "alert \"handshake failure\"";
    check(r);
  }
}

TEST_F(TransportTest, AClientRefusesAServerAndSaysWhy) {
  std::vector<Refusal> all;
  {
    Refusal r{.name = "of another CA"};
    r.server.certificates = {other_ca().certificate(kUsers)};
    r.client_reason = "is not trusted: no trusted CA issued it";
    r.client_counter = &stats::ClusterTlsStats::fail_verify_error;
    all.push_back(r);
  }
  {
    Refusal r{.name = "with another name"};
    r.expected_name = "spiffe://mesh.local/ns/shop/sa/orders";
    r.client_reason = "expected URI SAN spiffe://mesh.local/ns/shop/sa/orders";
    r.client_counter = &stats::ClusterTlsStats::fail_verify_san;
    all.push_back(r);
  }
  {
    Refusal r{.name = "without the name of the SNI"};
    r.client.sni = "orders.shop";
    r.client.auto_sni_san_validation = true;
    r.client_reason = "expected DNS SAN orders.shop";
    r.client_counter = &stats::ClusterTlsStats::fail_verify_san;
    all.push_back(r);
  }
  for (const Refusal& r : all) {
    SCOPED_TRACE(r.name);
    const uint64_t before = (cluster_stats.*r.client_counter).value();
    make(r.client, r.server, {.expected_name = r.expected_name});
    pair->start();
    ASSERT_TRUE(until([&] { return client().closed != 0 && server().is_over(); }));
    settle();
    EXPECT_EQ(client().closed, 1);
    EXPECT_EQ(client().connected, 0);
    EXPECT_EQ(client().failure.kind, FailureKind::kTlsFailed);
    EXPECT_THAT(client().reason, HasSubstr(r.client_reason));
    EXPECT_THAT(server().reason, HasSubstr("the peer sent the alert \""));
    EXPECT_EQ((cluster_stats.*r.client_counter).value(), before + 1);
    EXPECT_EQ(client().transport->identity(), nullptr);
  }
}

}  // namespace
}  // namespace pillion::tls
