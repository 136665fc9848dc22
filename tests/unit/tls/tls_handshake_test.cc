// Handshakes of two TlsTransports over memory: who is let in, what each side learns and counts.
#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {
namespace {

using HandshakeTest = TransportTest;

TEST_F(HandshakeTest, BothSidesLearnWhoTheOtherIs) {
  connect();
  const io::PeerIdentity& at_server = *server().transport->identity();
  EXPECT_EQ(at_server.uri_san, kCustomer);
  EXPECT_EQ(at_server.local_uri_san, kUsers);
  EXPECT_TRUE(at_server.presented);
  EXPECT_TRUE(at_server.verified);
  EXPECT_EQ(at_server.tls_version, "TLSv1.3");
  EXPECT_NE(at_server.cipher, "");
  EXPECT_EQ(at_server.sha256.size(), 64u);
  const io::PeerIdentity& at_client = *client().transport->identity();
  EXPECT_EQ(at_client.uri_san, kUsers);
  EXPECT_EQ(at_client.dns_san, "users.shop");
  EXPECT_EQ(at_client.local_uri_san, kCustomer);
  EXPECT_TRUE(at_client.verified);
  for (const auto* stats : {&listener_stats.handshake, &cluster_stats.handshake}) EXPECT_EQ(stats->value(), 1u);
  EXPECT_EQ(listener_stats.no_certificate.value(), 0u);
  EXPECT_EQ(listener_stats.connection_error.value(), 0u);
}

TEST_F(HandshakeTest, SpeaksTls12WhereItIsConfigured) {
  ContextConfig server_both = server_config();
  server_both.min_version = Version::kTls12;
  ContextConfig client_12 = client_config();
  client_12.min_version = client_12.max_version = Version::kTls12;
  connect(client_12, server_both);
  EXPECT_EQ(server().transport->identity()->tls_version, "TLSv1.2");
  EXPECT_EQ(server().transport->identity()->uri_san, kCustomer);
  client().send("hello");
  EXPECT_TRUE(until([&] { return server().received == "hello"; }));
}

TEST_F(HandshakeTest, CountsVersionCipherCurveAndSignature) {
  connect();
  const auto names = [](const stats::NamedCounters& counters) {
    std::string all;
    counters.for_each([&](const char* name, uint64_t n) {
      all += std::string(name == nullptr ? "unknown" : name) + "=" + std::to_string(n);
    });
    return all;
  };
  EXPECT_EQ(names(listener_stats.versions), "TLSv1.3=1");
  EXPECT_EQ(names(listener_stats.curves), "X25519=1");
  EXPECT_EQ(names(listener_stats.sigalgs), "ecdsa_secp256r1_sha256=1");
  EXPECT_EQ(names(cluster_stats.versions), "TLSv1.3=1");
}

TEST_F(HandshakeTest, ACallerWithoutACertificateIsWelcomeWhereNoneIsRequired) {
  ContextConfig open = server_config();
  open.require_client_certificate = false;
  ContextConfig anonymous = client_config();
  anonymous.certificates.clear();
  connect(anonymous, open);
  EXPECT_FALSE(server().transport->identity()->presented);
  EXPECT_FALSE(server().transport->identity()->verified);
  EXPECT_EQ(listener_stats.no_certificate.value(), 1u);
  uint64_t signatures = 0;
  listener_stats.sigalgs.for_each([&](const char*, uint64_t n) { signatures += n; });
  EXPECT_EQ(signatures, 0u);
}

struct Refusal {
  const char* name;
  ContextConfig client = client_config();
  ContextConfig server = server_config();
  std::string expected_name{};
  std::string server_reason{};
  std::string client_reason{};
  stats::Counter stats::ListenerTlsStats::*server_counter = nullptr;
  stats::Counter stats::ClusterTlsStats::*client_counter = nullptr;
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
    r.server_reason = "is not trusted: no trusted CA issued it (issuer CN=Other CA, trusted CN=Mesh CA)";
    r.client_reason = "alert \"unknown CA\"";
    r.server_counter = &stats::ListenerTlsStats::fail_verify_error;
    all.push_back(r);
  }
  {
    Refusal r{.name = "with another name"};
    r.server.validation->sans = {{SanType::kUri, SanMatcher::Kind::kExact, false, "spiffe://mesh.local/admin"}};
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

class Refuses : public HandshakeTest {
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

TEST_F(HandshakeTest, AClientRefusesAServerAndSaysWhy) {
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

TEST_F(HandshakeTest, VersionsThatDoNotMeetAreAnError) {
  ContextConfig old = client_config();
  old.min_version = old.max_version = Version::kTls12;
  make(old, server_config());
  pair->start();
  ASSERT_TRUE(until([&] { return client().is_over() && server().is_over(); }));
  EXPECT_THAT(server().reason, HasSubstr("no TLS version that is enabled here"));
  EXPECT_THAT(client().reason, HasSubstr("alert \"protocol version\""));
  EXPECT_EQ(listener_stats.connection_error.value(), 1u);
}

TEST_F(HandshakeTest, AlpnFollowsTheServersPreference) {
  struct Case {
    std::vector<std::string> client;
    std::vector<std::string> server;
    const char* chosen;
  };
  const Case cases[] = {
      {{"http/1.1", "h2"}, {"h2", "http/1.1"}, "h2"},
      {{"http/1.1"}, {"h2", "http/1.1"}, "http/1.1"},
      {{"foo"}, {"h2"}, ""},
      {{}, {"h2"}, ""},
      {{"h2"}, {}, ""},
  };
  for (const Case& c : cases) {
    ContextConfig client = client_config();
    ContextConfig server = server_config();
    client.alpn = c.client;
    server.alpn = c.server;
    connect(client, server);
    EXPECT_EQ(this->client().transport->identity()->alpn, c.chosen);
    EXPECT_EQ(this->server().transport->identity()->alpn, c.chosen);
  }
}

TEST_F(HandshakeTest, AConnectionMayOfferItsOwnAlpn) {
  ContextConfig client = client_config();
  client.alpn = {"h2"};
  ContextConfig server = server_config();
  server.alpn = {"h2", "http/1.1"};
  const std::string wire = Context::to_alpn_wire({"http/1.1"});
  connect(client, server, {.alpn_wire = wire});
  EXPECT_EQ(this->server().transport->identity()->alpn, "http/1.1");
}

TEST_F(HandshakeTest, SniChoosesTheCertificate) {
  ContextConfig server = server_config();
  server.certificates = {mesh_ca().certificate("spiffe://mesh.local/first", "first.shop"),
                         mesh_ca().certificate("spiffe://mesh.local/second", "second.shop"),
                         mesh_ca().certificate("spiffe://mesh.local/wild", "*.wild.shop")};
  const std::pair<const char*, const char*> cases[] = {
      {"first.shop", "first"}, {"second.shop", "second"}, {"SECOND.shop", "second"}, {"a.wild.shop", "wild"},
      {"unknown.shop", "first"}, {"", "first"}, {"10.0.0.1", "first"},
  };
  for (const auto& [sni, name] : cases) {
    connect(client_config(), server, {.sni = sni});
    EXPECT_EQ(client().transport->identity()->uri_san, std::string("spiffe://mesh.local/") + name) << sni;
    EXPECT_EQ(this->server().transport->identity()->local_uri_san, std::string("spiffe://mesh.local/") + name);
    const bool sent = *sni != '\0' && std::string_view(sni) != "10.0.0.1";
    EXPECT_EQ(this->server().transport->identity()->sni, sent ? sni : "");
  }
}

TEST_F(HandshakeTest, SniCanBeRequired) {
  ContextConfig strict = server_config();
  strict.require_sni = true;
  make(client_config(), strict);
  pair->start();
  ASSERT_TRUE(until([&] { return client().is_over() && server().is_over(); }));
  EXPECT_EQ(server().reason, "the client sent no server name (SNI), and one is required");
  connect(client_config(), strict, {.sni = "users.shop"});
}

TEST_F(HandshakeTest, PlainHttpOnATlsPortIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "the client speaks plain HTTP on a TLS port"},
      {"CONNECT a:443 HTTP/1.1\r\n\r\n", "the client sent a proxy's CONNECT on a TLS port"},
      {"SSH-2.0-OpenSSH_9.2\r\n", "the client does not speak TLS"},
  };
  for (const auto& [bytes, reason] : cases) {
    make();
    server().start();
    pair->server_end->inject(bytes);
    ASSERT_TRUE(until([&] { return server().closed != 0; }));
    EXPECT_EQ(server().reason, reason);
    EXPECT_EQ(server().failure.kind, FailureKind::kHandshakeFailed);
  }
  EXPECT_EQ(listener_stats.connection_error.value(), 3u);
}

TEST_F(HandshakeTest, APlainServerIsNamed) {
  make();
  client().start();
  pair->client_end->inject("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(until([&] { return client().closed != 0; }));
  EXPECT_EQ(client().reason, "the server does not speak TLS (is the port plain text?)");
}

TEST_F(HandshakeTest, GarbageEndsItWithAnAlert) {
  make();
  server().start();
  pair->server_end->inject(std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10) + pattern(200));
  ASSERT_TRUE(until([&] { return server().closed != 0; }));
  EXPECT_NE(server().reason, "");
  EXPECT_EQ(pair->client_end->unread().substr(0, 1), "\x15") << "an alert record";
  EXPECT_TRUE(pair->client_end->peer_sent_fin()) << "and an end, so that the peer need not wait";
}

TEST_F(HandshakeTest, AnEarlyEndIsNamed) {
  make();
  server().start();
  pair->server_end->inject_fin();
  ASSERT_TRUE(until([&] { return server().closed != 0; }));
  EXPECT_EQ(server().reason, "the peer closed the connection during the TLS handshake");
  make();
  client().start();
  pair->client_end->inject_fin();
  ASSERT_TRUE(until([&] { return client().closed != 0; }));
  EXPECT_EQ(client().reason, "the peer closed the connection during the TLS handshake");
  EXPECT_EQ(client().failure.kind, FailureKind::kTlsFailed);
}

TEST_F(HandshakeTest, AResetIsNamed) {
  make();
  server().start();
  pair->server_end->inject_reset();
  ASSERT_TRUE(until([&] { return server().closed != 0; }));
  EXPECT_EQ(server().closed, 1);
  EXPECT_EQ(server().reason, "the connection broke during the TLS handshake");
  EXPECT_EQ(server().failure.detail, 104);
}

TEST_F(HandshakeTest, WorksByteByByte) {
  for (const Version version : {Version::kTls13, Version::kTls12}) {
    ContextConfig client = client_config();
    ContextConfig server = server_config();
    client.min_version = client.max_version = server.min_version = server.max_version = version;
    make(client, server);
    pair->client_end->max_read = pair->server_end->max_read = 1;
    pair->start();
    ASSERT_TRUE(until([&] { return this->client().connected && this->server().connected; }));
    this->client().send("ping");
    ASSERT_TRUE(until([&] { return this->server().received == "ping"; }));
    this->server().send("pong");
    ASSERT_TRUE(until([&] { return this->client().received == "pong"; }));
  }
}

TEST_F(HandshakeTest, WorksThroughATinyWindow) {
  make();
  pair->client_end->window = pair->server_end->window = 7;
  pair->start();
  ASSERT_TRUE(until([&] { return client().connected && server().connected; }));
}

TEST_F(HandshakeTest, DamageOnTheWayIsNoticed) {
  for (size_t at = 0; at < 400; at += 13) {
    make();
    size_t seen = 0;
    pair->server_end->on_write = [&](std::string& bytes) {
      if (at >= seen && at < seen + bytes.size()) bytes[at - seen] = static_cast<char>(bytes[at - seen] ^ 0x20);
      seen += bytes.size();
    };
    pair->start();
    settle();
    EXPECT_FALSE(client().connected && server().connected && !client().is_over() && !server().is_over()) << at;
    EXPECT_LE(client().closed, 1);
    EXPECT_LE(server().closed, 1);
  }
}

TEST_F(HandshakeTest, APauseDuringTheHandshakeHoldsBackOnlyData) {
  make();
  server().transport->pause(io::PauseReason::kFilter);
  server().transport->pause(io::PauseReason::kLimit);
  client().when_connected = [this] { client().send("early"); };
  ASSERT_TRUE(pair->shake_hands(loop));
  settle();
  EXPECT_EQ(server().connected, 1);
  EXPECT_EQ(server().received, "");
  server().transport->resume(io::PauseReason::kFilter);
  settle();
  EXPECT_EQ(server().received, "") << "one reason is left";
  server().transport->resume(io::PauseReason::kLimit);
  EXPECT_TRUE(until([&] { return server().received == "early"; }));
}

TEST_F(HandshakeTest, WhatIsAskedTooEarlyIsDoneAfterwards) {
  make();
  pair->start();
  client().send("early");
  client().transport->shutdown_write();
  client().transport->read_again();
  EXPECT_EQ(client().unsent(), 5u);
  EXPECT_TRUE(until([&] { return server().eof; }));
  EXPECT_EQ(server().received, "early") << "told by on_writable after the handshake";
}

TEST_F(HandshakeTest, FirstBytesRightBehindTheHandshakeAreTold) {
  make();
  client().when_connected = [this] { client().send("GET / HTTP/1.1\r\n\r\n"); };
  // All that the client sends arrives in one piece.
  ASSERT_TRUE(pair->shake_hands(loop));
  EXPECT_TRUE(until([&] { return server().received == "GET / HTTP/1.1\r\n\r\n"; }));
}

}  // namespace
}  // namespace pillion::tls
