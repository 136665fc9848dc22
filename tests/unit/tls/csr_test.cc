#include "proxy/tls/csr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/tls/pem.h"
#include "proxy/tls/x509_info.h"
#include "tests/support/test_ca.h"

namespace pillion::tls {
namespace {

using ::pillion::testing::now_seconds;
using ::pillion::testing::TestCa;
using ::testing::HasSubstr;

constexpr const char* kUsers = "spiffe://mesh.local/ns/shop/sa/users";

CertificateRequest leaf(std::string uri) {
  CertificateRequest request;
  request.sans.push_back({SanType::kUri, std::move(uri)});
  request.not_before = now_seconds() - 60;
  request.not_after = now_seconds() + 60;
  return request;
}

TEST(SigningRequest, GetsACertificateForItsKeyOfEachKind) {
  const TestCa ca;
  for (const KeyType type :
       {KeyType::kP256, KeyType::kP384, KeyType::kRsa2048, KeyType::kRsa4096, KeyType::kEd25519}) {
    const auto request = make_signing_request(type, {{SanType::kUri, kUsers}});
    ASSERT_TRUE(request) << request.error();
    const auto certificate = sign_request(request->csr_pem, leaf(kUsers), ca.own());
    ASSERT_TRUE(certificate) << certificate.error();
    const auto matches = check_key_matches(*certificate, request->key_pem);
    EXPECT_TRUE(matches) << matches.error();
    const auto info = describe_pem(*certificate);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->front().first(SanType::kUri), kUsers);
    EXPECT_FALSE(info->front().is_ca);
  }
}

TEST(SigningRequest, DoesNotChooseWhatTheCertificateSays) {
  const TestCa ca;
  const auto request = make_signing_request(
      KeyType::kP256,
      {{SanType::kUri, "spiffe://mesh.local/ns/shop/sa/admin"}, {SanType::kDns, "admin.shop"}});
  ASSERT_TRUE(request);
  const auto certificate = sign_request(request->csr_pem, leaf(kUsers), ca.own());
  ASSERT_TRUE(certificate) << certificate.error();
  const auto info = describe_pem(*certificate);
  ASSERT_EQ(info->front().sans.size(), 1U);
  EXPECT_EQ(info->front().sans[0].text, kUsers);
}

TEST(SigningRequest, IsRefusedIfItsSignatureIsNotThatOfItsKey) {
  const TestCa ca;
  auto request = make_signing_request(KeyType::kP256, {{SanType::kUri, kUsers}});
  ASSERT_TRUE(request);
  // Near the end of the base64 text lies the signature.
  std::string& pem = request->csr_pem;
  const size_t at = pem.find("-----END") - 12;
  pem[at] = pem[at] == 'A' ? 'B' : 'A';
  const auto certificate = sign_request(pem, leaf(kUsers), ca.own());
  ASSERT_FALSE(certificate);
}

TEST(SigningRequest, IsRefusedIfItIsNone) {
  const TestCa ca;
  for (const std::string& text :
       {std::string(), std::string("hello"), ca.pem(),
        std::string(
            "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")}) {
    const auto certificate = sign_request(text, leaf(kUsers), ca.own());
    ASSERT_FALSE(certificate);
    EXPECT_THAT(certificate.error(), HasSubstr("no certificate request"));
  }
}

}  // namespace
}  // namespace pillion::tls
