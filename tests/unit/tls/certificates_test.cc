// Making and reading certificates: issue, pem, x509_info.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/tls/issue.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/x509_info.h"
#include "tests/support/test_ca.h"

namespace pillion::tls {
namespace {

using pillion::testing::now_seconds;
using pillion::testing::TestCa;
using ::testing::HasSubstr;

CertificateInfo info_of(const Issued& issued) {
  return describe_pem(issued.certificate_pem).value().front();
}

TEST(Issue, MakesWhatItWasAskedFor) {
  const TestCa ca("Root");
  for (const KeyType key : {KeyType::kP256, KeyType::kRsa2048, KeyType::kEd25519}) {
    const Issued leaf = ca.issue({{SanType::kUri, "spiffe://a/b"},
                                  {SanType::kDns, "*.shop"},
                                  {SanType::kEmail, "a@b.org"},
                                  {SanType::kIp, "10.1.2.3"},
                                  {SanType::kIp, "fe80::1"}},
                                 [key](CertificateRequest& r) {
                                   r.key = key;
                                   r.common_name = "leaf, \"quoted\"";
                                   r.not_before = 1'700'000'000;
                                   r.not_after = 1'800'000'000;
                                 });
    const CertificateInfo info = info_of(leaf);
    EXPECT_EQ(info.subject, "CN=leaf\\, \\\"quoted\\\"");
    EXPECT_EQ(info.issuer, "CN=Root");
    EXPECT_EQ(info.not_before, 1'700'000'000);
    EXPECT_EQ(info.not_after, 1'800'000'000);
    EXPECT_FALSE(info.is_ca);
    EXPECT_EQ(info.serial.size(), 32u);
    EXPECT_EQ(info.sha256.size(), 64u);
    ASSERT_EQ(info.sans.size(), 5u);
    EXPECT_EQ(info.first(SanType::kUri), "spiffe://a/b");
    EXPECT_EQ(info.first(SanType::kDns), "*.shop");
    EXPECT_EQ(info.first(SanType::kEmail), "a@b.org");
    EXPECT_EQ(info.first(SanType::kIp), "10.1.2.3");
    EXPECT_EQ(info.sans[4].text, "fe80::1");
    EXPECT_TRUE(check_key_matches(leaf.certificate_pem, leaf.key_pem));
  }
}

TEST(Issue, NeverRepeatsASerialOrAKey) {
  const TestCa ca;
  const Issued a = ca.issue({{SanType::kDns, "a"}});
  const Issued b = ca.issue({{SanType::kDns, "a"}});
  EXPECT_NE(info_of(a).serial, info_of(b).serial);
  EXPECT_NE(a.key_pem, b.key_pem);
}

TEST(Issue, RefusesANameThatIsNoAddress) {
  CertificateRequest request;
  request.sans = {{SanType::kIp, "10.0.0"}};
  const auto made = issue(request, nullptr);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error(), "not a name of type IP: 10.0.0");
}

TEST(Issue, NamesWhatIsWrongWithTheIssuer) {
  const Issued nothing;
  const auto made = issue({}, &nothing);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error(), HasSubstr("the CA's certificate: no certificate in it"));
}

TEST(Issue, AnAuthoritySaysSo) { EXPECT_TRUE(info_of(TestCa("X").own()).is_ca); }

// A name with a NUL looks like another one to readers of C strings (CVE-2009-2408).
TEST(X509Info, DropsNamesWithControlBytes) {
  const TestCa ca;
  const Issued leaf = ca.issue({{SanType::kDns, std::string("good.shop\0.evil", 15)},
                                {SanType::kUri, "spiffe://a/\nb"},
                                {SanType::kDns, "honest"}});
  const CertificateInfo info = info_of(leaf);
  ASSERT_EQ(info.sans.size(), 1u);
  EXPECT_EQ(info.sans[0].text, "honest");
}

TEST(X509Info, WritesTimesInUtc) {
  EXPECT_EQ(utc_text(1'795'528'926), "2026-11-24T14:02:06Z");
  EXPECT_EQ(utc_text(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(hex(std::string_view("\x00\x7f\xff", 3)), "007fff");
}

TEST(Pem, ReadsAChainInOrderAndIgnoresTextAround) {
  const TestCa root("Root");
  const TestCa middle("Middle", &root);
  const Issued leaf = middle.issue({{SanType::kDns, "a"}});
  const auto infos = describe_pem("comment\n" + leaf.key_pem + leaf.certificate_pem + "between\n" +
                                  root.pem() + "after\n");
  ASSERT_TRUE(infos) << infos.error();
  ASSERT_EQ(infos->size(), 3u);
  EXPECT_EQ((*infos)[0].issuer, "CN=Middle");
  EXPECT_EQ((*infos)[1].subject, "CN=Middle");
  EXPECT_EQ((*infos)[2].subject, "CN=Root");
}

TEST(Pem, NamesWhatIsWrongWithCertificates) {
  const std::string good = TestCa().pem();
  std::string damaged = good;
  damaged[damaged.size() / 2] = damaged[damaged.size() / 2] == '!' ? '?' : '!';
  struct Case {
    std::string text;
    const char* message;
  };
  const Case cases[] = {
      {"", "no certificate in it (expected -----BEGIN CERTIFICATE-----)"},
      {"not PEM at all", "no certificate in it"},
      {damaged, "certificate 1 cannot be read: "},
      {good + damaged, "certificate 2 cannot be read: "},
      {good.substr(0, good.size() / 2), "certificate 1 cannot be read: "},
      {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
       "certificate 1 cannot be read: "},
  };
  for (const Case& c : cases) {
    const auto parsed = parse_certificates(c.text);
    ASSERT_FALSE(parsed) << c.text;
    EXPECT_THAT(parsed.error(), HasSubstr(c.message));
  }
}

TEST(Pem, NamesWhatIsWrongWithKeys) {
  const Issued a = TestCa().issue({{SanType::kDns, "a"}});
  const Issued b = TestCa().issue({{SanType::kDns, "b"}});
  EXPECT_THAT(parse_private_key("").error(), HasSubstr("no private key in it"));
  EXPECT_THAT(parse_private_key(a.certificate_pem).error(), HasSubstr("no private key in it"));
  EXPECT_THAT(parse_private_key("-----BEGIN ENCRYPTED PRIVATE KEY-----\n").error(),
              HasSubstr("encrypted, which is not supported"));
  EXPECT_THAT(
      parse_private_key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").error(),
      HasSubstr("cannot be read: "));
  EXPECT_THAT(check_key_matches(a.certificate_pem, b.key_pem).error(),
              HasSubstr("the private key does not belong to the certificate"));
  EXPECT_TRUE(check_key_matches(a.certificate_pem, a.key_pem));
}

// 1024 bits, made by `openssl genrsa 1024`; broken within reach of states.
constexpr const char* kWeakKey = R"(-----BEGIN PRIVATE KEY-----
MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAMVZy+2Kg4iyM97M
AsCH9mSFOOY6Kpdqgyc5PnOiifW6wOonZku6KY2utItnOZPQ/5wWSeE0kuE8bpbP
DV/i31ah8ScyGq3o+8FIpz6udgPl9uWDNNndW0SCPB+1naklp+XAq2MTK+QT1DWq
dR4JFDwpt4fapzRmYW/44V4PrBnNAgMBAAECgYBrvalipsNGpptA4DoEaHXwzPaS
YmEMRx8RE+RvduZAnFNjwlzLrPewnRd+H73EYE6cJWLyKyShCMALX0Ca/54TlUxJ
tVkl1pBGb81GO8J92vT+ttwcXS7VCQbRSfGnhniqXokhcSmV7Kn4zwx7510+myyn
URjT6i1tr+KgefjKlQJBAOfrCQr4BIwBrXk4R1z0I3Gj/9Q67NnkBq2XecxZHIl/
Q/9DlAfW99v/vsnyzRSCVm8nn+ah2qOKr9BvAJZDzW8CQQDZ19/vbzns8x2TjEIw
PQbRBLPBt3CMsq1FdShp4UM79Tlcsd7l0VOimvLlIuH5hSeLgGlyYot9EVKctrxu
fKaDAkEAmtAGhU/ymRM1ncm3uZEvZ9i2GhILsZfJ7W9EWujRZ+eQmIGf+2vAoRcj
YOO3io1G7YRh9S7uKGWX32d52NUB+QJBAMw2LlrKLccOcN9sUG/gBY/TlJ84U23R
4dSG64e1/80pKMjYhVdzT6/TCXf7p1K9nECN9EuiTZjEsGjwdNwuRfkCQHiXEAB4
jCiHVuZZ42R9gVN0xQoXhu+RdqgXdaXrCLXTJQ3KQXjoEby5LF8gGqr5YjM/G15L
AkvnrkY8/UIaAys=
-----END PRIVATE KEY-----)";

TEST(Pem, RefusesWeakRsaKeys) {
  EXPECT_EQ(parse_private_key(kWeakKey).error(),
            "an RSA key of 1024 bits, at least 2048 are needed");
}

}  // namespace
}  // namespace pillion::tls
