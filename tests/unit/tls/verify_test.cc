#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/sha2.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tests/support/odd_certificate.h"
#include "tests/unit/tls/verify_fixture.h"

namespace pillion::tls {
namespace {

Sha256 sha256_of(const uint8_t* data, size_t size) {
  Sha256 digest;
  SHA256(data, size, digest.data());
  return digest;
}
Sha256 certificate_hash(const std::string& pem) {
  const auto chain = chain_of(pem);
  const CRYPTO_BUFFER* leaf = sk_CRYPTO_BUFFER_value(chain.get(), 0);
  return sha256_of(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf));
}
Sha256 spki_hash(const std::string& pem) {
  const auto certificates = parse_certificates(pem);
  uint8_t* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY((*certificates)[0].get()), &der);
  const Sha256 hash = sha256_of(der, static_cast<size_t>(size));
  OPENSSL_free(der);
  return hash;
}

TEST(Verifier, AcceptsAGoodChainAndTellsWhatItSays) {
  const TestCa ca;
  const auto v = verifier(ca.validation());
  const Issued leaf = ca.issue({{SanType::kUri, kUsers}, {SanType::kDns, "users"}},
                               [](CertificateRequest& r) { r.common_name = "users"; });
  const auto verdict = judge(*v, leaf.certificate_pem);
  ASSERT_EQ(verdict.outcome, Outcome::kOk) << verdict.reason;
  EXPECT_TRUE(verdict.facts->verified);
  EXPECT_EQ(verdict.facts->certificate->uri_sans.front(), kUsers);
  EXPECT_EQ(verdict.facts->certificate->dns_sans.front(), "users");
  EXPECT_EQ(verdict.facts->certificate->subject, "CN=users");
  EXPECT_EQ(verdict.facts->certificate->sha256.size(), 64u);
}

TEST(Verifier, RefusesAndNamesTheCause) {
  const TestCa ca("Good CA");
  const TestCa other("Other CA");
  const TestCa leaf_as_ca("Good CA");  // the same name, another key
  const int64_t now = now_seconds();
  const auto with = [&](const TestCa::Tweak& tweak) {
    return ca.issue({{SanType::kUri, kUsers}}, tweak).certificate_pem;
  };
  struct Case {
    std::string pem;
    const char* reason;
    int alert;
  };
  const Case cases[] = {
      {other.issue({{SanType::kUri, kUsers}}).certificate_pem,
       "is not trusted: no trusted CA issued it (issuer CN=Other CA, trusted CN=Good CA)",
       SSL_AD_UNKNOWN_CA},
      {other.pem(), "is not trusted: no trusted CA issued it", SSL_AD_UNKNOWN_CA},
      {leaf_as_ca.issue({{SanType::kUri, kUsers}}).certificate_pem,
       "is not trusted: ", SSL_AD_UNKNOWN_CA},
      {with([&](CertificateRequest& r) { r.not_after = now - 10; }),
       "has expired: it was valid until ", SSL_AD_CERTIFICATE_EXPIRED},
      {with([&](CertificateRequest& r) { r.not_before = now + 600; }), "(is a clock wrong?)",
       SSL_AD_CERTIFICATE_EXPIRED},
      {with([](CertificateRequest& r) { r.for_client = false; }),
       "may not be used as a TLS client (key usage or extended key usage)",
       SSL_AD_UNSUPPORTED_CERTIFICATE},
  };
  const auto v = verifier(ca.validation());
  for (const Case& c : cases) {
    const auto verdict = judge(*v, c.pem);
    EXPECT_EQ(verdict.outcome, Outcome::kChain) << c.reason;
    EXPECT_THAT(verdict.reason, HasSubstr(c.reason));
    EXPECT_EQ(verdict.alert, c.alert) << verdict.reason;
    EXPECT_EQ(verdict.facts, nullptr);
  }
}

TEST(Verifier, AClientWantsACertificateForServers) {
  const TestCa ca;
  const auto v = verifier(ca.validation(), Role::kClient);
  const auto pem = ca.issue({{SanType::kDns, "a"}}, [](CertificateRequest& r) {
                       r.for_server = false;
                     }).certificate_pem;
  EXPECT_THAT(judge(*v, pem).reason, HasSubstr("may not be used as a TLS server"));
  EXPECT_EQ(judge(*v, ca.issue({{SanType::kDns, "a"}}).certificate_pem).outcome, Outcome::kOk);
}

TEST(Verifier, AnyPurposeWillDoWithoutExtendedKeyUsage) {
  const TestCa ca;
  const auto pem = ca.issue({{SanType::kDns, "a"}}, [](CertificateRequest& r) {
                       r.for_server = r.for_client = false;
                     }).certificate_pem;
  EXPECT_EQ(judge(*verifier(ca.validation()), pem).outcome, Outcome::kOk);
}

TEST(Verifier, HonoursThePathLengthOfAuthorities) {
  // Of those between leaf and anchor: an anchor is trusted as it is (RFC 5280, 6.1.1).
  const TestCa root("Root");
  const TestCa first("First", &root, [](CertificateRequest& r) { r.path_length = 0; });
  const TestCa second("Second", &first);
  const auto v = verifier(root.validation());
  EXPECT_EQ(judge(*v, first.issue({{SanType::kDns, "a"}}).certificate_pem).outcome, Outcome::kOk);
  const auto verdict = judge(*v, second.issue({{SanType::kDns, "a"}}).certificate_pem);
  EXPECT_EQ(verdict.outcome, Outcome::kChain);
  EXPECT_THAT(verdict.reason, HasSubstr("path length"));
}

// A leaf must not sign certificates (CVE-2002-0862).
TEST(Verifier, ALeafIsNoAuthority) {
  const TestCa root("Root");
  const TestCa leaf("Leaf", &root, [](CertificateRequest& r) { r.is_ca = false; });
  const auto verdict =
      judge(*verifier(root.validation()), leaf.issue({{SanType::kDns, "a"}}).certificate_pem);
  EXPECT_EQ(verdict.outcome, Outcome::kChain);
  EXPECT_THAT(verdict.reason, HasSubstr("is not trusted: no trusted CA issued it (issuer CN=Leaf"));
}

TEST(Verifier, LimitsTheDepth) {
  const TestCa root("Root");
  const TestCa first("First", &root);
  const TestCa second("Second", &first);
  const std::string pem = second.issue({{SanType::kDns, "a"}}).certificate_pem;
  ValidationConfig config = root.validation();
  EXPECT_EQ(judge(*verifier(config), pem).outcome, Outcome::kOk);
  config.max_verify_depth = 1;
  EXPECT_EQ(judge(*verifier(config), pem).outcome, Outcome::kChain);
}

TEST(Verifier, AnIntermediateCaCanBeTheAnchor) {
  const TestCa root("Root");
  const TestCa middle("Middle", &root);
  EXPECT_EQ(
      judge(*verifier(middle.validation()), middle.issue({{SanType::kDns, "a"}}).certificate_pem)
          .outcome,
      Outcome::kOk);
}

TEST(Verifier, WantsTheNamesThatAreConfigured) {
  const TestCa ca;
  ValidationConfig config = ca.validation();
  config.sans = {uri_prefix("spiffe://mesh.local/ns/shop/"),
                 uri_prefix("spiffe://mesh.local/ns/web/")};
  const auto v = verifier(config);
  EXPECT_EQ(judge(*v, ca.issue({{SanType::kUri, kUsers}}).certificate_pem).outcome, Outcome::kOk);
  auto verdict =
      judge(*v, ca.issue({{SanType::kUri, "spiffe://mesh.local/ns/bank"}}).certificate_pem);
  EXPECT_EQ(verdict.outcome, Outcome::kSan);
  EXPECT_EQ(verdict.reason,
            "peer certificate has URI SAN spiffe://mesh.local/ns/bank, expected one of: URI SAN "
            "with prefix "
            "spiffe://mesh.local/ns/shop/, URI SAN with prefix spiffe://mesh.local/ns/web/");
  verdict = judge(
      *v, ca.issue({}, [](CertificateRequest& r) { r.common_name = kUsers; }).certificate_pem);
  EXPECT_EQ(verdict.outcome, Outcome::kSan) << "a common name is no SAN";
  EXPECT_THAT(verdict.reason, HasSubstr("peer certificate has no SAN, expected "));
}

TEST(Verifier, TheExpectedNameReplacesTheConfiguredOnes) {
  const TestCa ca;
  ValidationConfig config = ca.validation();
  config.sans = {uri_prefix("spiffe://mesh.local/")};
  const auto v = verifier(config, Role::kClient);
  const std::string pem =
      ca.issue(
            {{SanType::kUri, kUsers}, {SanType::kDns, "*.users.shop"}, {SanType::kIp, "10.0.0.1"}})
          .certificate_pem;
  for (const char* name : {kUsers, "a.users.shop", "10.0.0.1", ""}) {
    EXPECT_EQ(judge(*v, pem, name).outcome, Outcome::kOk) << name;
  }
  for (const char* name :
       {"spiffe://mesh.local/ns/shop/sa/user", "users.shop", "a.b.users.shop", "10.0.0.2"}) {
    const auto verdict = judge(*v, pem, name);
    EXPECT_EQ(verdict.outcome, Outcome::kSan) << name;
    EXPECT_THAT(verdict.reason, HasSubstr(name));
  }
}

TEST(Verifier, ACertificateWithANulInANameIsNoCertificate) {
  const TestCa ca;
  const std::string pem =
      ca.issue({{SanType::kDns, std::string("good.shop\0.evil", 15)}}).certificate_pem;
  const auto verdict = judge(*verifier(ca.validation(), Role::kClient), pem, "good.shop");
  EXPECT_EQ(verdict.outcome, Outcome::kChain);
  EXPECT_EQ(judge(*verifier(std::nullopt, Role::kClient), pem, "good.shop").outcome, Outcome::kSan)
      << "nor is the name one where nobody judges the chain";
}

TEST(Verifier, LongReasonsAreCut) {
  const TestCa ca;
  std::vector<San> sans;
  for (int i = 0; i < 100; ++i) sans.push_back({SanType::kDns, "name-" + std::to_string(i)});
  const auto verdict =
      judge(*verifier(ca.validation(), Role::kClient), ca.issue(sans).certificate_pem, "x");
  EXPECT_LE(verdict.reason.size(), 603u);
}

TEST(Verifier, RefusesWhatIsRevoked) {
  const TestCa ca;
  const Issued bad = ca.issue({{SanType::kDns, "bad"}});
  const Issued good = ca.issue({{SanType::kDns, "good"}});
  ValidationConfig config = ca.validation();
  config.crl_pem = crl_pem(ca, {bad.certificate_pem}, now_seconds() + 86400);
  const auto v = verifier(config);
  EXPECT_EQ(judge(*v, good.certificate_pem).outcome, Outcome::kOk);
  const auto verdict = judge(*v, bad.certificate_pem);
  EXPECT_EQ(verdict.outcome, Outcome::kChain);
  EXPECT_EQ(verdict.alert, SSL_AD_CERTIFICATE_REVOKED);
  EXPECT_THAT(verdict.reason, HasSubstr("revoked"));
}

TEST(Verifier, AnOldRevocationListAcceptsNobodyAnyMore) {
  const TestCa ca;
  ValidationConfig config = ca.validation();
  const int64_t end = now_seconds() + 600;
  config.crl_pem = crl_pem(ca, {}, end);
  const auto v = verifier(config);
  const std::string pem = ca.issue({{SanType::kDns, "a"}}).certificate_pem;
  EXPECT_EQ(judge(*v, pem).outcome, Outcome::kOk);
  EXPECT_EQ(judge(*v, pem, {}, end + 5).outcome, Outcome::kChain) << "not from the cache either";
}

TEST(Verifier, AllAuthoritiesNeedListsUnlessOnlyLeavesAreChecked) {
  const TestCa root("Root");
  const TestCa middle("Middle", &root);
  const std::string pem = middle.issue({{SanType::kDns, "a"}}).certificate_pem;
  ValidationConfig config = root.validation();
  config.crl_pem = crl_pem(middle, {}, now_seconds() + 86400);
  EXPECT_EQ(judge(*verifier(config), pem).outcome, Outcome::kChain);
  config.crl_leaf_only = true;
  EXPECT_EQ(judge(*verifier(config), pem).outcome, Outcome::kOk);
}

// One list for all trust domains (as the Workload API gives it) is about those whose CAs signed it.
TEST(Verifier, ARevocationListOfOneTrustDomainLeavesTheOthersAlone) {
  const TestCa ours("Ours");
  const TestCa theirs("Theirs");
  const Issued bad = ours.issue({{SanType::kUri, "spiffe://mesh.local/bad"}});
  const std::string good = ours.issue({{SanType::kUri, kUsers}}).certificate_pem;
  const std::string other =
      theirs.issue({{SanType::kUri, "spiffe://other.local/a"}}).certificate_pem;
  ValidationConfig config;
  config.trust_domains = {{"mesh.local", ours.pem()}, {"other.local", theirs.pem()}};
  config.crl_pem = crl_pem(ours, {bad.certificate_pem}, now_seconds() + 86400);
  auto v = verifier(config);
  EXPECT_EQ(judge(*v, good).outcome, Outcome::kOk);
  EXPECT_EQ(judge(*v, bad.certificate_pem).alert, SSL_AD_CERTIFICATE_REVOKED);
  EXPECT_EQ(judge(*v, other).outcome, Outcome::kOk) << judge(*v, other).reason;
  // Of an issuer that is in no bundle: it may be about anybody.
  const TestCa middle("Middle", &ours);
  config.crl_pem = crl_pem(middle, {}, now_seconds() + 86400);
  v = verifier(config);
  EXPECT_EQ(judge(*v, good).outcome, Outcome::kChain);
  EXPECT_EQ(judge(*v, other).outcome, Outcome::kChain);
}

TEST(Verifier, ExpiredCertificatesCanBeAllowed) {
  const TestCa ca;
  ValidationConfig config = ca.validation();
  config.allow_expired = true;
  const auto v = verifier(config);
  const auto expired = ca.issue({{SanType::kDns, "a"}}, [](CertificateRequest& r) {
    r.not_before = now_seconds() - 7200;
    r.not_after = now_seconds() - 3600;
  });
  EXPECT_EQ(judge(*v, expired.certificate_pem).outcome, Outcome::kOk);
  EXPECT_EQ(judge(*v, TestCa("Other").issue({{SanType::kDns, "a"}}).certificate_pem).outcome,
            Outcome::kChain);
}

TEST(Verifier, UntrustedOnesCanBeAcceptedAndAreToldApart) {
  const TestCa ca;
  ValidationConfig config = ca.validation();
  config.accept_untrusted = true;
  const auto v = verifier(config);
  auto verdict = judge(*v, TestCa("Other").issue({{SanType::kUri, kUsers}}).certificate_pem);
  ASSERT_EQ(verdict.outcome, Outcome::kOk);
  EXPECT_FALSE(verdict.facts->verified);
  verdict = judge(*v, ca.issue({{SanType::kUri, kUsers}}).certificate_pem);
  EXPECT_TRUE(verdict.facts->verified);
  const auto anybody = verifier(std::nullopt);
  verdict = judge(*anybody, ca.issue({{SanType::kUri, kUsers}}).certificate_pem);
  ASSERT_EQ(verdict.outcome, Outcome::kOk);
  EXPECT_FALSE(verdict.facts->verified);
}

TEST(Verifier, PinnedCertificatesAndKeys) {
  const TestCa ca;
  const std::string pinned = ca.issue({{SanType::kDns, "a"}}).certificate_pem;
  const std::string other = ca.issue({{SanType::kDns, "a"}}).certificate_pem;
  for (const bool by_key : {false, true}) {
    for (const bool with_ca : {false, true}) {
      ValidationConfig config = with_ca ? ca.validation() : ValidationConfig();
      if (by_key) {
        config.spki_hashes = {spki_hash(pinned)};
      } else {
        config.certificate_hashes = {certificate_hash(pinned)};
      }
      const auto v = verifier(config);
      auto verdict = judge(*v, pinned);
      ASSERT_EQ(verdict.outcome, Outcome::kOk) << verdict.reason;
      EXPECT_EQ(verdict.facts->verified, with_ca || !by_key);
      verdict = judge(*v, other);
      EXPECT_EQ(verdict.outcome, Outcome::kHash);
      EXPECT_THAT(verdict.reason, HasSubstr("is not one of the pinned ones (sha256 "));
    }
  }
}

// Who owns a pinned key may sign himself any name.
TEST(Verifier, APinnedKeyDoesNotVouchForNames) {
  const TestCa self("Self", nullptr, [](CertificateRequest& r) {
    r.sans = {{SanType::kUri, "spiffe://mesh.local/ns/shop/sa/admin"}};
  });
  const std::string pem = self.pem();
  ValidationConfig config;
  config.spki_hashes = {spki_hash(pem)};
  auto verdict = judge(*verifier(config), pem);
  ASSERT_EQ(verdict.outcome, Outcome::kOk) << verdict.reason;
  EXPECT_FALSE(verdict.facts->verified);
  config = TestCa().validation();
  config.accept_untrusted = true;
  config.spki_hashes = {spki_hash(pem)};
  verdict = judge(*verifier(config), pem);
  ASSERT_EQ(verdict.outcome, Outcome::kOk) << verdict.reason;
  EXPECT_FALSE(verdict.facts->verified) << "the chain said no";
  config.certificate_hashes = {certificate_hash(pem)};
  EXPECT_TRUE(judge(*verifier(config), pem).facts->verified) << "this very certificate is meant";
}

TEST(Verifier, MalformedCertificatesAreNamed) {
  const TestCa ca;
  auto chain = chain_of(ca.issue({{SanType::kDns, "a"}}).certificate_pem);
  const uint8_t junk[] = {0x30, 0x03, 0x01, 0x01, 0xff};
  bssl::PushToStack(chain.get(),
                    bssl::UniquePtr<CRYPTO_BUFFER>(CRYPTO_BUFFER_new(junk, sizeof junk, nullptr)));
  const auto verdict = verifier(ca.validation())->verify(*chain, {}, now_seconds());
  EXPECT_EQ(verdict.outcome, Outcome::kChain);
  EXPECT_EQ(verdict.reason, "certificate 2 of the peer's chain is malformed");
}

TEST(Verifier, BadAuthoritiesAreAnError) {
  ValidationConfig config;
  config.trusted_ca_pem = "nothing";
  EXPECT_FALSE(Verifier::make(config, Role::kServer));
  config = TestCa().validation();
  config.crl_pem = "nothing";
  EXPECT_THAT(Verifier::make(config, Role::kServer).error(), HasSubstr("no revocation list in it"));
}

TEST(Verifier, NamesOfAuthoritiesCanBeKeptFromClients) {
  ValidationConfig config = TestCa().validation();
  EXPECT_EQ(verifier(config)->ca_names().size(), 1u);
  config.suppress_client_ca_list = true;
  EXPECT_TRUE(verifier(config)->ca_names().empty());
  EXPECT_EQ(verifier(config)->trusted().size(), 1u);
}

}  // namespace
}  // namespace pillion::tls
