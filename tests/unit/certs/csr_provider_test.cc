// An identity from a CA: the provider on one side, our own CA's decisions on the other.
#include "certs/csr_provider.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "certs/ca_messages.h"
#include "certs/ca_service.h"
#include "proxy/base/str.h"
#include "proxy/http/grpc_frames.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/x509_info.h"
#include "tests/unit/certs/provider_fixture.h"

namespace pillion::certs {
namespace {

using ::pillion::testing::now_seconds;
using ::pillion::testing::run_until;
using ::pillion::testing::TestCa;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using namespace std::chrono_literals;
using tls::CertificateConfig;
using tls::SecretKind;
using tls::ValidationConfig;

constexpr const char* kUsers = "spiffe://mesh.local/ns/shop/sa/users";

class CsrProviderTest : public ProviderTest {
 protected:
  CsrProviderTest() {
    char name[] = "/tmp/pillion_csr_XXXXXX";
    folder = mkdtemp(name);
    options.cluster.value = "ca";
    options.token_file = folder + "/token";
    options.identity = kUsers;
    options.ttl = 1h;
    write_token(kUsers);
  }
  ~CsrProviderTest() override { std::filesystem::remove_all(folder); }

  void write_token(std::string_view token) { std::ofstream(options.token_file) << token << '\n'; }
  void start() {
    set_source(options);
    want(SecretKind::kCertificate, "default");
    want(SecretKind::kValidation, "ROOTCA");
  }
  // What the CA makes of the last request.
  CaService::Reply reply() { return reply_of(ca_); }
  CaService::Reply reply_of(const TestCa& ca) {
    const CaService service({ca.own(), now_seconds() - 60, now_seconds() + 86400},
                            CaTokens::believe_any("mesh.local"), 1h);
    std::string authorization;
    for (const auto& [field, text] : upstream().fields) {
      if (field == "authorization") authorization = text;
    }
    return service.create_certificate(
        authorization, std::string_view(upstream().sent).substr(http::kGrpcPrefix), now_seconds());
  }
  void answer(const std::string& response) {
    upstream().head();
    upstream().data(http::grpc_frame(response));
    upstream().trailers("0", "");
  }
  std::string uri() {
    const auto* identity = value<CertificateConfig>(SecretKind::kCertificate, "default");
    if (identity == nullptr) return {};
    return std::string(
        tls::describe_pem(identity->chain_pem).value().front().first(tls::SanType::kUri));
  }
  std::string trusted() {
    const auto* trust = value<ValidationConfig>(SecretKind::kValidation, "ROOTCA");
    return trust == nullptr ? "" : trust->trusted_ca_pem;
  }
  const std::string& failure() { return entry(SecretKind::kCertificate, "default").failure; }

  std::string folder;
  tls::SecretSource::Authority options;
};

TEST_F(CsrProviderTest, AsksWithItsTokenAndUsesChainKeyAndRoot) {
  start();
  EXPECT_EQ(upstream().path, "/istio.v1.auth.IstioCertificateService/CreateCertificate");
  EXPECT_THAT(upstream().fields, Contains(Pair("authorization", str("Bearer ", kUsers))));
  EXPECT_TRUE(upstream().has_ended);
  const auto asked =
      decode_certificate_request(std::string_view(upstream().sent).substr(http::kGrpcPrefix));
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->validity_s, 3600);
  answer(reply().response);
  EXPECT_EQ(uri(), kUsers);
  const auto* identity = value<CertificateConfig>(SecretKind::kCertificate, "default");
  ASSERT_NE(identity, nullptr);
  EXPECT_TRUE(tls::check_key_matches(identity->chain_pem, identity->key_pem));
  EXPECT_EQ(tls::describe_pem(identity->chain_pem)->size(), 1U) << "peers have the root";
  const auto* trust = value<ValidationConfig>(SecretKind::kValidation, "ROOTCA");
  ASSERT_NE(trust, nullptr);
  EXPECT_EQ(trust->trusted_ca_pem, ca_.pem());
}

TEST_F(CsrProviderTest, RenewsAtHalfOfTheLifeWithAnotherKeyAndTheTokenOfThatTime) {
  start();
  answer(reply().response);
  const std::string first = value<CertificateConfig>(SecretKind::kCertificate, "default")->key_pem;
  loop_.skip(20min);
  EXPECT_EQ(clusters_.calls.size(), 1U);
  write_token("spiffe://mesh.local/ns/shop/sa/users2");
  loop_.skip(11min);
  ASSERT_EQ(clusters_.calls.size(), 2U);
  answer(reply().response);
  EXPECT_EQ(uri(), "spiffe://mesh.local/ns/shop/sa/users2");
  EXPECT_NE(value<CertificateConfig>(SecretKind::kCertificate, "default")->key_pem, first);
}

TEST_F(CsrProviderTest, KeepsWhatItHasWhileTheCaFailsAndAsksAgainLaterAndLater) {
  start();
  answer(reply().response);
  loop_.skip(31min);
  ASSERT_EQ(clusters_.calls.size(), 2U);
  upstream().fail("Connection refused");
  EXPECT_THAT(failure(), HasSubstr("Connection refused"));
  EXPECT_EQ(uri(), kUsers);
  ASSERT_TRUE(calls_reach(3));
  upstream().head();
  upstream().trailers("16", "the token is for no workload");
  EXPECT_THAT(failure(), HasSubstr("the token is for no workload"));
  EXPECT_EQ(uri(), kUsers);
  ASSERT_TRUE(calls_reach(4));
  answer(reply().response);
  EXPECT_EQ(failure(), "");
}

TEST_F(CsrProviderTest, DoesNotAskWithoutAToken) {
  std::filesystem::remove(options.token_file);
  start();
  EXPECT_EQ(clusters_.calls.size(), 0U);
  EXPECT_THAT(failure(), AllOf(HasSubstr("cannot read the token"), HasSubstr(options.token_file)));
  write_token("two words");
  loop_.skip(1s);
  EXPECT_THAT(failure(), AllOf(HasSubstr("no token"), Not(HasSubstr("two words"))));
  write_token("spiffe://mesh.local/ns/shop/sa/users");
  ASSERT_TRUE(calls_reach(1));
  answer(reply().response);
  EXPECT_EQ(uri(), kUsers);
}

TEST_F(CsrProviderTest, RefusesAnswersThatAreNotItsIdentity) {
  options.trust_domain = "mesh.local";
  start();
  const auto refuses = [&](const std::string& response, const char* reason) {
    const size_t before = clusters_.calls.size();
    answer(response);
    EXPECT_THAT(failure(), HasSubstr(reason));
    EXPECT_EQ(uri(), "");
    EXPECT_TRUE(calls_reach(before + 1));
  };
  const auto for_another_key = ca_.issue({{tls::SanType::kUri, kUsers}});
  refuses(encode_certificate_response({}), "no certificate");
  refuses("\xff", "no certificate");
  refuses(encode_certificate_response({for_another_key.certificate_pem, ca_.pem()}),
          "does not belong");
  const std::string whole = reply().response;
  const auto alone = decode_certificate_response(whole);
  refuses(encode_certificate_response({std::string(alone->front())}), "has no root");
}

TEST_F(CsrProviderTest, TrustsAFileInsteadOfTheAnswersRoot) {
  const TestCa other;
  options.ca_file = folder + "/ca.crt";
  std::ofstream(options.ca_file) << other.pem();
  start();
  answer(reply().response);
  const auto* trust = value<ValidationConfig>(SecretKind::kValidation, "ROOTCA");
  ASSERT_NE(trust, nullptr);
  EXPECT_EQ(trust->trusted_ca_pem, other.pem());
  std::ofstream(options.ca_file) << "rubbish";
  loop_.skip(31min);
  answer(reply().response);
  EXPECT_THAT(failure(), HasSubstr(options.ca_file));
}

TEST_F(CsrProviderTest, MakesTheKindOfKeyThatItsConfigurationNames) {
  options.key = tls::KeyType::kRsa2048;
  start();
  EXPECT_EQ(clusters_.calls.size(), 0U) << "made on the loop";
  ASSERT_TRUE(testing::run_until(loop_, [&] { return clusters_.calls.size() == 1; }));
  answer(reply().response);
  EXPECT_EQ(uri(), kUsers);
  const auto* identity = value<CertificateConfig>(SecretKind::kCertificate, "default");
  ASSERT_NE(identity, nullptr);
  EXPECT_TRUE(tls::check_key_matches(identity->chain_pem, identity->key_pem));
  EXPECT_GT(identity->key_pem.size(), 1600U) << "a key of an elliptic curve";
  // Nobody wants it while the next one is being made.
  loop_.skip(31min);
  unwant(SecretKind::kCertificate, "default");
  unwant(SecretKind::kValidation, "ROOTCA");
  loop_.run_once(false);
  EXPECT_EQ(clusters_.calls.size(), 1U);
}

TEST_F(CsrProviderTest, KeepsAnIdentityThatHasExpiredAndGoesOnAsking) {
  options.ttl = 2s;
  start();
  answer(reply().response);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(calls_reach(static_cast<size_t>(i) + 2));
    upstream().fail("Connection refused");
  }
  EXPECT_EQ(uri(), kUsers);
}

TEST_F(CsrProviderTest, FollowsTheFile) {
  const TestCa one, two;
  options.ca_file = folder + "/ca.crt";
  std::ofstream(options.ca_file) << one.pem();
  start();
  answer(reply().response);
  ASSERT_EQ(trusted(), one.pem());
  std::ofstream(options.ca_file) << two.pem() << one.pem();
  EXPECT_TRUE(run_until(loop_, [&] { return trusted() == two.pem() + one.pem(); }));
  std::ofstream(options.ca_file) << "rubbish";
  const auto& failure = entry(SecretKind::kValidation, "ROOTCA").failure;
  EXPECT_TRUE(run_until(loop_, [&] { return !failure.empty(); }));
  EXPECT_THAT(failure, HasSubstr(options.ca_file));
  EXPECT_EQ(trusted(), two.pem() + one.pem());
  EXPECT_EQ(clusters_.calls.size(), 1U) << "the identity is as good as before";
}

// Peers have identities of the former root until they ask again themselves.
TEST_F(CsrProviderTest, TrustsTheFormerRootUntilTheFormerIdentityExpires) {
  const TestCa next;
  options.ttl = 3s;
  start();
  answer(reply().response);
  ASSERT_EQ(trusted(), ca_.pem());
  ASSERT_TRUE(calls_reach(2));
  answer(reply_of(next).response);
  EXPECT_EQ(trusted(), next.pem() + "\n" + ca_.pem());
  ASSERT_TRUE(calls_reach(3));
  answer(reply_of(next).response);
  EXPECT_EQ(trusted(), next.pem() + "\n" + ca_.pem()) << "the same root again";
  EXPECT_TRUE(run_until(loop_, [&] { return trusted() == next.pem(); }));
  EXPECT_EQ(failure(), "");
}

TEST_F(CsrProviderTest, TakesNoIntermediateAuthorityForTheRoot) {
  const TestCa middle("Middle", &ca_);
  start();
  answer(reply_of(middle).response);
  EXPECT_THAT(failure(), HasSubstr("has no root"));
  EXPECT_EQ(uri(), "");
  unwant(SecretKind::kCertificate, "default");
  unwant(SecretKind::kValidation, "ROOTCA");
  options.ca_file = folder + "/ca.crt";
  std::ofstream(options.ca_file) << ca_.pem();
  const size_t before = clusters_.calls.size();
  start();
  ASSERT_EQ(clusters_.calls.size(), before + 1);
  answer(reply_of(middle).response);
  EXPECT_EQ(failure(), "");
  const auto* identity = value<CertificateConfig>(SecretKind::kCertificate, "default");
  ASSERT_NE(identity, nullptr);
  EXPECT_EQ(tls::describe_pem(identity->chain_pem)->size(), 2U) << "peers do not have it";
}

TEST_F(CsrProviderTest, StopsWhenNobodyWantsItAndBeginsAgain) {
  start();
  unwant(SecretKind::kCertificate, "default");
  EXPECT_TRUE(upstream().is_open);
  unwant(SecretKind::kValidation, "ROOTCA");
  EXPECT_FALSE(upstream().is_open);
  loop_.skip(24h);
  EXPECT_EQ(clusters_.calls.size(), 1U);
  want(SecretKind::kCertificate, "default");
  EXPECT_EQ(clusters_.calls.size(), 2U);
  want(SecretKind::kTicketKeys, "keys");
  EXPECT_THAT(entry(SecretKind::kTicketKeys, "keys").failure, HasSubstr("session_ticket_keys"));
  EXPECT_TRUE(entry(SecretKind::kTicketKeys, "keys").is_settled) << "nothing to wait for";
}

}  // namespace
}  // namespace pillion::certs
