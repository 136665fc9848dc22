// Handshakes of two TlsTransports over memory: who is let in, what each side learns and counts.
#include "proxy/base/ascii.h"
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
  for (const auto* stats : {&listener_stats.handshake, &cluster_stats.handshake})
    EXPECT_EQ(stats->value(), 1u);
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
  EXPECT_EQ(names(listener_stats.curves), "X25519MLKEM768=1");
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
      {"first.shop", "first"}, {"second.shop", "second"}, {"SECOND.shop", "second"},
      {"a.wild.shop", "wild"}, {"unknown.shop", "first"}, {"", "first"},
      {"10.0.0.1", "first"},
  };
  for (const auto& [sni, name] : cases) {
    connect(client_config(), server, {.sni = sni});
    EXPECT_EQ(client().transport->identity()->uri_san, std::string("spiffe://mesh.local/") + name)
        << sni;
    EXPECT_EQ(this->server().transport->identity()->local_uri_san,
              std::string("spiffe://mesh.local/") + name);
    const bool sent = *sni != '\0' && std::string_view(sni) != "10.0.0.1";
    // Names of hosts have no case, and policies compare texts.
    EXPECT_EQ(this->server().transport->identity()->sni, sent ? lowered(sni) : "");
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
  pair->server_end->inject(std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10) +
                           pattern(200));
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
      if (at >= seen && at < seen + bytes.size())
        bytes[at - seen] = static_cast<char>(bytes[at - seen] ^ 0x20);
      seen += bytes.size();
    };
    pair->start();
    settle();
    EXPECT_FALSE(client().connected && server().connected && !client().is_over() &&
                 !server().is_over())
        << at;
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
