#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "certs/ca_messages.h"
#include "certs/workload_messages.h"
#include "proxy/base/protobuf_wire.h"

namespace pillion::certs {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using namespace std::string_view_literals;

TEST(CaMessages, ReadWhatTheyWrote) {
  const std::string request = encode_certificate_request({"csr", 86400});
  const auto read = decode_certificate_request(request);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->csr_pem, "csr");
  EXPECT_EQ(read->validity_s, 86400);
  // By hand: 1 "csr", 3 varint 86400 (security/v1alpha1/ca.proto).
  EXPECT_EQ(request,
            "\x0a\x03"
            "csr"
            "\x18\x80\xa3\x05"sv);
  const std::string response = encode_certificate_response({"leaf", "", "root"});
  const auto chain = decode_certificate_response(response);
  ASSERT_TRUE(chain);
  EXPECT_THAT(*chain, ElementsAre("leaf", "", "root"));
  EXPECT_FALSE(decode_certificate_response("\x0a\x09x"));
  std::string many;
  for (int i = 0; i < 65; ++i) wire::write_item(many, 1, "c");
  EXPECT_FALSE(decode_certificate_response(many)) << "no chain has so many";
}

TEST(WorkloadMessages, AreReadByTheStandardsNumbers) {
  std::string svid;
  const std::string_view parts[] = {"spiffe://a.test/w", "CHAIN", "KEY", "BUNDLE", "internal"};
  for (uint32_t i = 0; i < 5; ++i) wire::write_bytes(svid, i + 1, parts[i]);
  std::string entry;
  wire::write_bytes(entry, 1, "spiffe://b.test");
  wire::write_bytes(entry, 2, "OTHER");
  std::string answer;
  wire::write_item(answer, 1, svid);
  wire::write_item(answer, 2, "CRL");
  wire::write_item(answer, 3, entry);
  wire::write_item(answer, 9, "of a later version");
  const auto read = decode_x509_svids(answer);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->svids.size(), 1U);
  EXPECT_EQ(read->svids[0].spiffe_id, "spiffe://a.test/w");
  EXPECT_EQ(read->svids[0].chain_der, "CHAIN");
  EXPECT_EQ(read->svids[0].key_der, "KEY");
  EXPECT_EQ(read->svids[0].bundle_der, "BUNDLE");
  EXPECT_EQ(read->svids[0].hint, "internal");
  EXPECT_THAT(read->crls_der, ElementsAre("CRL"));
  EXPECT_THAT(read->federated_bundles, ElementsAre(Pair("spiffe://b.test", "OTHER")));

  std::string bundles;
  wire::write_item(bundles, 1, "CRL");
  wire::write_item(bundles, 2, entry);
  const auto x509 = decode_x509_bundles(bundles);
  ASSERT_TRUE(x509);
  EXPECT_THAT(x509->bundles, ElementsAre(Pair("spiffe://b.test", "OTHER")));
  EXPECT_THAT(x509->crls_der, ElementsAre("CRL"));
  std::string jwt;
  wire::write_item(jwt, 1, entry);
  const auto jwks = decode_jwt_bundles(jwt);
  ASSERT_TRUE(jwks);
  EXPECT_THAT(jwks->bundles, ElementsAre(Pair("spiffe://b.test", "OTHER")));
}

TEST(WorkloadMessages, AreRefusedIfTheyAreBrokenOrTooMuch) {
  EXPECT_FALSE(decode_x509_svids("\x0a\x09x"));
  EXPECT_FALSE(decode_x509_svids("\x0a\x02\x0a\x09")) << "broken inside";
  EXPECT_FALSE(decode_x509_bundles("\x12\x02\x0a\x09"));
  EXPECT_FALSE(decode_jwt_bundles("\x0a\x02\x0a\x09"));
  std::string many;
  for (size_t i = 0; i <= kMaxWorkloadItems; ++i) wire::write_item(many, 1, "");
  EXPECT_FALSE(decode_x509_svids(many));
  EXPECT_FALSE(decode_jwt_bundles(many));
}

}  // namespace
}  // namespace pillion::certs
