// Sessions that are resumed, and what each side knows of the other then.
#include <thread>

#include "tests/unit/tls/resumption_fixture.h"

namespace pillion::tls {
namespace {

constexpr Version kVersions[] = {Version::kTls12, Version::kTls13};

INSTANTIATE_TEST_SUITE_P(Versions, ResumptionOf, ::testing::ValuesIn(kVersions), version_name);

TEST_P(ResumptionOf, BothSidesKnowTheOtherAsWell) {
  const ContextPtr server_context = server_of(server_with(own_keys()));
  const ContextPtr client_context = client_of();
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(visit(client_context, server_context), i == 0 ? Visit::kFull : Visit::kResumed) << i;
    EXPECT_EQ(caller().uri_san, kCustomer);
    EXPECT_EQ(caller().local_uri_san, kUsers);
    EXPECT_EQ(caller().sha256.size(), 64u);
    EXPECT_TRUE(caller().presented);
    EXPECT_TRUE(caller().verified);
    EXPECT_NE(caller().cipher, "");
    const io::PeerIdentity& at_client = *client().transport->identity();
    EXPECT_EQ(at_client.uri_san, kUsers);
    EXPECT_EQ(at_client.local_uri_san, kCustomer);
    EXPECT_TRUE(at_client.verified);
  }
  EXPECT_EQ(listener_stats.handshake.value(), 4u);
  EXPECT_EQ(listener_stats.session_reused.value(), 3u);
  EXPECT_EQ(listener_stats.no_certificate.value(), 0u);
  EXPECT_EQ(cluster_stats.session_reused.value(), 3u);
}

TEST_P(ResumptionOf, ACallerThatNeedNoCertificateMayResumeWithoutOne) {
  ContextConfig open = server_with(own_keys());
  open.require_client_certificate = false;
  ContextConfig anonymous = client_config();
  anonymous.certificates.clear();
  const ContextPtr server_context = server_of(open);
  const ContextPtr client_context = client_of(anonymous);
  EXPECT_EQ(visit(client_context, server_context), Visit::kFull);
  EXPECT_EQ(visit(client_context, server_context), Visit::kResumed);
  EXPECT_FALSE(caller().presented);
  EXPECT_FALSE(caller().verified);
  EXPECT_EQ(listener_stats.no_certificate.value(), 2u);
}

TEST_P(ResumptionOf, NothingResumesWhereOneSideDoesNotWantIt) {
  ContextConfig none = client_config();
  none.max_session_keys = 0;
  const ContextPtr server_context = server_of(server_with(own_keys()));
  const ContextPtr forgetful = client_of(none);
  EXPECT_EQ(visit(forgetful, server_context), Visit::kFull);
  EXPECT_EQ(visit(forgetful, server_context), Visit::kFull);
  EXPECT_EQ(forgetful->sessions(), nullptr);

  ContextConfig disabled = server_with(own_keys());
  disabled.resumes_sessions = false;
  const ContextPtr client_context = client_of();
  for (const ContextConfig& config : {disabled, server_config()}) {
    EXPECT_EQ(visit(client_context, server_of(config)), Visit::kFull);
    EXPECT_EQ(client_context->sessions()->size(), 0u) << "no ticket was sent, nor a session id";
  }
}

TEST_P(ResumptionOf, ATicketThatDoesNotOpenLeadsToAFullHandshake) {
  const ContextPtr server_context = server_of(server_with(own_keys()));
  const ContextPtr client_context = client_of();
  ASSERT_EQ(visit(client_context, server_context), Visit::kFull);
  for (const bool tamper : {false, true}) {
    const SessionPtr session = take(client_context);
    ASSERT_NE(session, nullptr);
    const uint8_t* ticket = nullptr;
    size_t size = 0;
    SSL_SESSION_get0_ticket(session.get(), &ticket, &size);
    std::string changed(reinterpret_cast<const char*>(ticket), size);
    if (tamper) changed[size / 2] = static_cast<char>(changed[size / 2] ^ 1);
    // A copy, for sessions do not change.
    uint8_t* encoded = nullptr;
    size_t encoded_size = 0;
    ASSERT_TRUE(SSL_SESSION_to_bytes(session.get(), &encoded, &encoded_size));
    SessionPtr copy(SSL_SESSION_from_bytes(encoded, encoded_size, client_context->native()));
    OPENSSL_free(encoded);
    ASSERT_TRUE(SSL_SESSION_set_ticket(copy.get(), reinterpret_cast<uint8_t*>(changed.data()),
                                       changed.size()));
    give(client_context, std::move(copy));
    EXPECT_EQ(visit(client_context, server_context), tamper ? Visit::kFull : Visit::kResumed);
    EXPECT_EQ(caller().uri_san, kCustomer);
  }
  // And the handshake brought a good one.
  EXPECT_EQ(visit(client_context, server_context), Visit::kResumed);
}

TEST_P(ResumptionOf, ATicketIsForTheServerNameThatItWasMadeFor) {
  const ContextPtr server_context = server_of(server_with(own_keys()));
  const ContextPtr client_context = client_of();
  ASSERT_EQ(visit(client_context, server_context, {.sni = "users.shop"}), Visit::kFull);
  // A client that offers what it has from another name.
  give(client_context, take(client_context, "users.shop"), "orders.shop");
  EXPECT_EQ(visit(client_context, server_context, {.sni = "orders.shop"}), Visit::kFull);
  EXPECT_EQ(caller().sni, "orders.shop");
  EXPECT_EQ(visit(client_context, server_context, {.sni = "orders.shop"}), Visit::kResumed);
  EXPECT_EQ(caller().sni, "orders.shop");
}

TEST_P(ResumptionOf, AClientOffersASessionToNobodyElse) {
  const ContextPtr server_context = server_of(server_with(own_keys()));
  const ContextPtr client_context = client_of();
  const TlsTransport::Options here{.sni = "users.shop",
                                   .server = *io::Address::parse_ip("10.0.0.1", 443)};
  ASSERT_EQ(visit(client_context, server_context, here), Visit::kFull);
  TlsTransport::Options other_name = here, other_host = here, other_identity = here;
  other_name.sni = "orders.shop";
  other_host.server = *io::Address::parse_ip("10.0.0.2", 443);
  other_identity.expected_name = kUsers;
  for (const TlsTransport::Options& other : {other_name, other_host, other_identity})
    EXPECT_EQ(visit(client_context, server_context, other), Visit::kFull);
  EXPECT_EQ(visit(client_context, server_context, here), Visit::kResumed) << "it is still there";
}

TEST_P(ResumptionOf, ASessionIsNoWayRoundTheNameThatIsVerified) {
  const ContextPtr server_context = server_of(server_with(own_keys()));
  const ContextPtr client_context = client_of();
  ASSERT_EQ(visit(client_context, server_context), Visit::kFull);
  const std::string_view orders = "spiffe://mesh.local/ns/shop/sa/orders";
  client_context->sessions()->put(SessionStore::key_of({}, {}, orders), take(client_context));
  EXPECT_EQ(visit(client_context, server_context, {.expected_name = orders}), Visit::kFailed);
  EXPECT_THAT(client().reason, HasSubstr("expected"));
  EXPECT_EQ(cluster_stats.fail_verify_san.value(), 1u);
  EXPECT_EQ(cluster_stats.session_reused.value(), 0u);
}

TEST_F(ResumptionTest, WhatHasExpiredSinceIsNotResumed) {
  const int64_t end = now_seconds() + 2;
  const auto brief = [&](const char* uri) {
    return TestCa::as_config(
        mesh_ca().issue({{SanType::kUri, uri}}, [&](CertificateRequest& r) { r.not_after = end; }));
  };
  ContextConfig brief_client = client_config();
  brief_client.certificates = {brief(kCustomer)};
  ContextConfig brief_server = server_with(own_keys());
  brief_server.certificates = {brief(kUsers)};
  struct Ends {
    ContextPtr client, server, expiring_client, expiring_server;
  };
  std::vector<Ends> all;
  const TlsTransport::Options to_brief{.sni = "brief"};
  for (const Version version : kVersions) {
    const Ends& e = all.emplace_back(
        Ends{context(in(version, client_config())), context(in(version, server_with(own_keys()))),
             context(in(version, brief_client)), context(in(version, brief_server))});
    for (const Visit expected : {Visit::kFull, Visit::kResumed}) {
      ASSERT_EQ(visit(e.expiring_client, e.server), expected);
      ASSERT_EQ(visit(e.client, e.expiring_server, to_brief), expected);
    }
  }
  wait_until(end + 1);
  for (const Ends& e : all) {
    EXPECT_EQ(visit(e.expiring_client, e.server), Visit::kFailed);
    EXPECT_THAT(server().reason, HasSubstr("expired"));
    EXPECT_EQ(visit(e.client, e.expiring_server, to_brief), Visit::kFailed);
    EXPECT_THAT(client().reason, HasSubstr("expired"));
  }
}

TEST_F(ResumptionTest, ResumingDoesNotProlongASession) {
  struct Ends {
    ContextPtr client, server;
  };
  std::vector<Ends> all;
  for (const Version version : kVersions) {
    ContextConfig brief = in(version, server_with(own_keys()));
    brief.session_timeout = std::chrono::seconds(3);
    const Ends& e = all.emplace_back(Ends{context(in(version, client_config())), context(brief)});
    ASSERT_EQ(visit(e.client, e.server), Visit::kFull);
  }
  const int64_t start = now_seconds();
  wait_until(start + 1);
  for (const Ends& e : all) EXPECT_EQ(visit(e.client, e.server), Visit::kResumed);
  // In TLS 1.3 with a ticket that is two seconds old; the client has proven its key three ago.
  wait_until(start + 3);
  for (const Ends& e : all) EXPECT_EQ(visit(e.client, e.server), Visit::kFull);
}

TEST_F(ResumptionTest, ASessionIsUsedOnce) {
  const ContextPtr server_context = context(server_with(own_keys()));
  const ContextPtr client_context = context(client_config());
  ASSERT_EQ(visit(client_context, server_context), Visit::kFull);
  EXPECT_EQ(client_context->sessions()->size(), 1u) << "a connection brings one ticket";
  // Its ticket is taken before the handshake, and the next comes with the response.
  TlsPair second(loop, client_context, server_context);
  EXPECT_EQ(client_context->sessions()->size(), 0u);
  EXPECT_EQ(visit(client_context, server_context), Visit::kFull);
}

TEST_F(ResumptionTest, WorkersShareKeysAndSessions) {
  const ContextPtr server_context = context(server_with(own_keys()));
  const ContextPtr client_context = context(client_config());
  ASSERT_EQ(visit(client_context, server_context), Visit::kFull);
  stats::ListenerTlsStats stats;
  std::thread([&] {
    io::Loop other_loop;
    TlsPair other(other_loop, client_context, server_context, {}, {.listener_stats = &stats});
    EXPECT_TRUE(other.shake_hands(other_loop));
    EXPECT_EQ(other.server.transport->identity()->uri_san, kCustomer);
    other.client.destroy();
    other.server.destroy();
    other_loop.run_once(false);
  }).join();
  EXPECT_EQ(stats.session_reused.value(), 1u);
}

TEST_F(ResumptionTest, EarlyDataIsNeverOffered) {
  const ContextPtr client_context = context(client_config());
  ASSERT_EQ(visit(client_context, context(server_with(own_keys()))), Visit::kFull);
  const SessionPtr session = take(client_context);
  ASSERT_NE(session, nullptr);
  EXPECT_FALSE(SSL_SESSION_early_data_capable(session.get()));
}

TEST_F(ResumptionTest, AServerWithoutResumptionIsNotAskedForIt) {
  // A client keeps nothing of it, and connects as ever.
  const ContextPtr client_context = context(client_config());
  const ContextPtr server_context = context(server_config());
  EXPECT_EQ(visit(client_context, server_context), Visit::kFull);
  EXPECT_EQ(client_context->sessions()->size(), 0u);
  EXPECT_EQ(visit(client_context, server_context), Visit::kFull);
}

TEST_F(ResumptionTest, ASessionOfAnotherVersionIsNotResumed) {
  ContextConfig both = server_with(own_keys());
  both.min_version = Version::kTls12;
  const ContextPtr client_context = context(in(Version::kTls12, client_config()));
  ASSERT_EQ(visit(client_context, context(both)), Visit::kFull);
  const ContextPtr newer = context(client_config());
  give(newer, take(client_context));
  EXPECT_EQ(visit(newer, context(both)), Visit::kFull);
  EXPECT_EQ(caller().tls_version, "TLSv1.3");
  EXPECT_EQ(caller().uri_san, kCustomer);
}

}  // namespace
}  // namespace pillion::tls
