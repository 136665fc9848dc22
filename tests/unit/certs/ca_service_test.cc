#include "certs/ca_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "certs/ca_messages.h"
#include "proxy/base/str.h"
#include "proxy/tls/csr.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/x509_info.h"
#include "proxy/upstream/grpc_call.h"
#include "tests/support/test_ca.h"

namespace pillion::certs {
namespace {

using ::pillion::testing::now_seconds;
using ::pillion::testing::TestCa;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;
using tls::SanType;

constexpr std::string_view kUsers = "spiffe://mesh.local/ns/shop/sa/users";

CaTokens tokens() {
  auto parsed = CaTokens::parse(str(kUsers, " s3cret\n# nobody\n\nspiffe://mesh.local/b\ttwo\r\n"),
                                "mesh.local");
  EXPECT_TRUE(parsed) << parsed.error();
  return *parsed;
}

TEST(CaTokens, AreForOneIdentityEach) {
  const CaTokens book = tokens();
  EXPECT_EQ(book.size(), 2U);
  EXPECT_EQ(book.identity_of("s3cret"), kUsers);
  EXPECT_EQ(book.identity_of("two"), "spiffe://mesh.local/b");
  for (const std::string_view token : {"", "s3cre", "s3cret ", "S3CRET", "nobody"})
    EXPECT_FALSE(book.identity_of(token)) << token;
}

TEST(CaTokens, ThatAreWrittenWrongAreToldByLineWithoutTheirText) {
  struct Case {
    std::string_view text, reason;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"", "no token in it"},
           {"# only\n", "no token in it"},
           {"\ns3cret spiffe://mesh.local/a\n", "line 2: expected SPIFFE-ID TOKEN"},
           {"spiffe://mesh.local/a\n", "line 1: no token"},
           {"spiffe://other.local/a s3cret\n", "line 1: spiffe://other.local/a is of another"},
           {"spiffe://mesh.local/a s3cret more\n", "line 1: expected two words"},
           {"spiffe://mesh.local/a s3cret\nspiffe://mesh.local/b s3cret\n", "line 2: its token"}}) {
    const auto parsed = CaTokens::parse(c.text, "mesh.local");
    ASSERT_FALSE(parsed) << c.text;
    EXPECT_THAT(parsed.error(), HasSubstr(std::string(c.reason)));
    EXPECT_THAT(parsed.error(), Not(HasSubstr("s3cret")));
  }
}

TEST(CaTokens, OfTestsAreBelievedIfTheyNameAWorkloadOfTheTrustDomain) {
  const CaTokens any = CaTokens::believe_any("mesh.local");
  EXPECT_EQ(any.identity_of(kUsers), kUsers);
  // {"sub":"system:serviceaccount:shop:users"}
  EXPECT_EQ(any.identity_of("e30.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6c2hvcDp1c2VycyJ9.x"),
            kUsers);
  for (const std::string_view token :
       {"", "s3cret", "spiffe://other.local/a", "spiffe://mesh.local", "a.b.c", "e30.e30.x",
        // {"sub":"system:serviceaccount:shop:../x"}, {"sub":"system:serviceaccount:shop"}
        "e30.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6c2hvcDouLi94In0.x",
        "e30.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6c2hvcCJ9.x"})
    EXPECT_FALSE(any.identity_of(token)) << token;
}

class CaServiceTest : public ::testing::Test {
 protected:
  CaService::Reply ask(std::string_view authorization, int64_t validity_s = 0) {
    auto made = tls::make_signing_request(
        tls::KeyType::kP256, {{SanType::kUri, "spiffe://mesh.local/ns/shop/sa/admin"}});
    EXPECT_TRUE(made);
    request = *made;
    return service.create_certificate(
        authorization, encode_certificate_request({request.csr_pem, validity_s}), now);
  }
  tls::CertificateInfo leaf(const CaService::Reply& reply) {
    const auto chain = decode_certificate_response(reply.response);
    EXPECT_TRUE(chain && chain->size() == 2U);
    EXPECT_EQ(chain->back(), ca.pem()) << "the root comes last";
    EXPECT_TRUE(tls::check_key_matches(chain->front(), request.key_pem));
    return tls::describe_pem(chain->front()).value().front();
  }

  TestCa ca;
  int64_t now = now_seconds();
  CaService service{{ca.own(), now - 3600, now + 7200}, tokens(), 1h};
  tls::SigningRequest request;
};

TEST_F(CaServiceTest, SignsForTheIdentityOfTheTokenAndForNothingThatIsAskedFor) {
  const auto reply = ask("Bearer s3cret");
  ASSERT_EQ(reply.status, upstream::kGrpcOk) << reply.message;
  EXPECT_EQ(reply.identity, kUsers);
  const tls::CertificateInfo info = leaf(reply);
  ASSERT_EQ(info.sans.size(), 1U);
  EXPECT_EQ(info.sans[0].text, kUsers);
  EXPECT_FALSE(info.is_ca);
  EXPECT_EQ(info.not_after, now + 3600);
  EXPECT_EQ(info.not_before, now - 300);
}

TEST_F(CaServiceTest, GivesAShorterLifeIfItIsAskedForAndNeverALongerOne) {
  EXPECT_EQ(leaf(ask("bearer s3cret", 6)).not_after, now + 6);
  EXPECT_EQ(leaf(ask("Bearer s3cret", 6)).not_before, now);
  EXPECT_EQ(leaf(ask("Bearer s3cret", 1'000'000)).not_after, now + 3600);
  EXPECT_EQ(leaf(ask("Bearer s3cret", -1)).not_after, now + 3600);
  now += 7000;  // the CA itself ends in 200 s
  EXPECT_EQ(ask("Bearer s3cret").life_s, 200);
  now += 200;
  EXPECT_EQ(ask("Bearer s3cret").status, upstream::kGrpcUnavailable);
}

TEST_F(CaServiceTest, RefusesWhoHasNoTokenAndWhatIsNoRequest) {
  for (const std::string_view authorization :
       {"", "Bearer", "Bearer ", "Basic s3cret", "s3cret", "Bearer wrong"}) {
    const auto reply = ask(authorization);
    EXPECT_EQ(reply.status, upstream::kGrpcUnauthenticated) << authorization;
    EXPECT_EQ(reply.response, "");
    EXPECT_EQ(reply.identity, "");
  }
  for (const std::string& bytes :
       {std::string(), std::string("\xff"), encode_certificate_request({"no csr", 0})}) {
    const auto reply = service.create_certificate("Bearer s3cret", bytes, now);
    EXPECT_EQ(reply.status, upstream::kGrpcInvalidArgument);
    EXPECT_EQ(reply.response, "");
  }
}

}  // namespace
}  // namespace pillion::certs
