#include "certs/spiffe_provider.h"

#include <map>

#include "proxy/base/protobuf_wire.h"
#include "proxy/base/str.h"
#include "proxy/http/grpc_frames.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/x509_info.h"
#include "tests/support/der.h"
#include "tests/support/log_capture.h"
#include "tests/unit/certs/provider_fixture.h"

namespace pillion::certs {
namespace {

using ::pillion::testing::der_of;
using ::pillion::testing::TestCa;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using namespace std::chrono_literals;
using tls::CertificateConfig;
using tls::GenericSecret;
using tls::SecretKind;
using tls::ValidationConfig;

constexpr const char* kUsers = "spiffe://mesh.local/ns/shop/sa/users";
constexpr const char* kOther = "spiffe://other.local";

std::string entry_of(std::string_view name, std::string_view value) {
  std::string out;
  wire::write_bytes(out, 1, name);
  wire::write_bytes(out, 2, value);
  return out;
}

class SpiffeProviderTest : public ProviderTest {
 protected:
  SpiffeProviderTest() { options.cluster.value = "agent"; }
  void start() { set_source(options); }

  // An X509SVID; `says` instead of the id in its certificate, if not empty.
  std::string svid(const std::string& id, std::string_view hint = {}, std::string_view says = {},
                   std::string_view bundle = {}) {
    const auto leaf = ca_.issue({{tls::SanType::kUri, id}});
    keys[id] = leaf.key_pem;
    std::string out;
    wire::write_bytes(out, 1, says.empty() ? id : says);
    wire::write_bytes(out, 2, der_of(leaf.certificate_pem));
    wire::write_bytes(out, 3, der_of(leaf.key_pem));
    wire::write_bytes(out, 4, bundle.empty() ? der_of(ca_.pem()) : bundle);
    wire::write_bytes(out, 5, hint);
    return out;
  }
  static std::string answer(const std::vector<std::string>& svids,
                            const std::map<std::string, std::string>& federated = {}) {
    std::string out;
    for (const std::string& each : svids) wire::write_item(out, 1, each);
    for (const auto& [name, der] : federated) wire::write_item(out, 3, entry_of(name, der));
    return out;
  }
  void receive(std::string_view message) {
    upstream().head();
    upstream().data(http::grpc_frame(message));
  }
  std::string uri(std::string_view name = "default") {
    const auto* identity = value<CertificateConfig>(SecretKind::kCertificate, name);
    if (identity == nullptr) return {};
    EXPECT_TRUE(tls::check_key_matches(identity->chain_pem, identity->key_pem));
    return std::string(
        tls::describe_pem(identity->chain_pem).value().front().first(tls::SanType::kUri));
  }
  std::vector<std::string> domains(std::string_view name) {
    std::vector<std::string> out;
    const auto* trust = value<ValidationConfig>(SecretKind::kValidation, name);
    if (trust == nullptr) return out;
    for (const tls::TrustDomain& domain : trust->trust_domains) {
      EXPECT_EQ(domain.pem, domain.name == "mesh.local" ? ca_.pem() : other.pem());
      out.push_back(domain.name);
    }
    return out;
  }
  const std::string& failure(std::string_view name = "default") {
    return entry(SecretKind::kCertificate, name).failure;
  }

  const TestCa other;
  std::map<std::string, std::string> keys;
  tls::SecretSource::Spiffe options;
};

TEST_F(SpiffeProviderTest, AsksWithTheHeaderThatTheStandardDemands) {
  start();
  want(SecretKind::kCertificate, "default");
  want(SecretKind::kValidation, "ALL");
  ASSERT_EQ(clusters_.calls.size(), 1U) << "one stream has both";
  EXPECT_EQ(upstream().path, "/SpiffeWorkloadAPI/FetchX509SVID");
  EXPECT_EQ(upstream().cluster, "agent");
  EXPECT_THAT(upstream().fields, Contains(Pair("workload.spiffe.io", "true")));
  EXPECT_EQ(upstream().sent, http::grpc_frame("")) << "the request is an empty message";
  EXPECT_TRUE(upstream().has_ended);
}

TEST_F(SpiffeProviderTest, GivesTheFirstIdentityOneByHintOneByIdAndBundlesByTrustDomain) {
  start();
  for (const char* name : {"default", "internal", "spiffe://mesh.local/b", "nobody"})
    want(SecretKind::kCertificate, name);
  for (const char* name : {"ROOTCA", "ALL", kOther, "spiffe://third.local"})
    want(SecretKind::kValidation, name);
  receive(answer({svid(kUsers), svid("spiffe://mesh.local/b", "internal"),
                  svid("spiffe://mesh.local/c", "internal")},
                 {{kOther, der_of(other.pem())}}));
  EXPECT_EQ(uri(), kUsers);
  EXPECT_EQ(uri("internal"), "spiffe://mesh.local/b") << "of those with one hint the first counts";
  EXPECT_EQ(uri("spiffe://mesh.local/b"), "spiffe://mesh.local/b");
  EXPECT_EQ(uri("nobody"), "");
  EXPECT_THAT(failure("nobody"), HasSubstr("has none of this name"));
  EXPECT_THAT(domains("ROOTCA"), ElementsAre("mesh.local"));
  EXPECT_THAT(domains("ALL"), ElementsAre("mesh.local", "other.local"));
  EXPECT_THAT(domains(kOther), ElementsAre("other.local"));
  EXPECT_THAT(domains("spiffe://third.local"), IsEmpty());
  // The next answer says all anew: who is federated no more is not trusted any more.
  receive(answer({svid("spiffe://mesh.local/d")}));
  EXPECT_EQ(uri(), "spiffe://mesh.local/d");
  EXPECT_THAT(domains("ALL"), ElementsAre("mesh.local"));
  EXPECT_THAT(domains("ROOTCA"), ElementsAre("mesh.local"));
  EXPECT_THAT(domains(kOther), IsEmpty()) << "under its own name neither";
  EXPECT_EQ(entry(SecretKind::kValidation, kOther).secret, nullptr);
  EXPECT_THAT(entry(SecretKind::kValidation, kOther).failure, HasSubstr("has none of this name"));
  receive(answer({svid("spiffe://mesh.local/d")}, {{kOther, der_of(other.pem())}}));
  EXPECT_THAT(domains(kOther), ElementsAre("other.local"));
  EXPECT_EQ(entry(SecretKind::kValidation, kOther).failure, "");
}

// What a foreign trust domain publishes is not ours to mend, and must not stop our renewal.
TEST_F(SpiffeProviderTest, LeavesOutForeignBundlesAndFurtherIdentitiesThatAreUnsound) {
  ::pillion::testing::LogCapture log;
  start();
  for (const char* name : {"default", "extra"}) want(SecretKind::kCertificate, name);
  for (const char* name : {"ALL", kOther}) want(SecretKind::kValidation, name);
  const std::map<std::string, std::string> good = {{kOther, der_of(other.pem())}};
  receive(answer({svid(kUsers), svid("spiffe://mesh.local/e", "extra")}, good));
  EXPECT_THAT(domains("ALL"), ElementsAre("mesh.local", "other.local"));
  EXPECT_EQ(uri("extra"), "spiffe://mesh.local/e");
  const std::string leaf = der_of(other.issue({{tls::SanType::kUri, kUsers}}).certificate_pem);
  const std::pair<std::map<std::string, std::string>, const char*> cases[] = {
      {{{"no domain!", der_of(other.pem())}}, "no domain!"},
      {{{kOther, "rubbish"}}, "bundle of other.local: no certificates"},
      {{{kOther, leaf}}, "no CA's certificate"},
  };
  int number = 0;
  for (const auto& [federated, reason] : cases) {
    SCOPED_TRACE(reason);
    const std::string id = str("spiffe://mesh.local/", ++number);
    for (int i = 0; i < 2; ++i) receive(answer({svid(id)}, federated));
    EXPECT_EQ(uri(), id);
    EXPECT_EQ(failure(), "");
    EXPECT_THAT(domains("ALL"), ElementsAre("mesh.local"));
    EXPECT_THAT(domains(kOther), IsEmpty());
    EXPECT_EQ(log.count(reason), 1U) << log.text();
  }
  receive(answer({svid(kUsers), svid("spiffe://mesh.local/e", "extra", "spiffe://mesh.local/f")},
                 good));
  EXPECT_EQ(uri(), kUsers);
  EXPECT_THAT(failure("extra"), HasSubstr("has none of this name"));
  EXPECT_THAT(domains("ALL"), ElementsAre("mesh.local", "other.local"));
}

TEST_F(SpiffeProviderTest, WaitsForAnIdentityAndKeepsItWhileTheAgentIsAway) {
  start();
  want(SecretKind::kCertificate, "default");
  upstream().head();
  upstream().trailers("7", "no identity issued");
  EXPECT_THAT(failure(), HasSubstr("no identity issued"));
  ASSERT_TRUE(calls_reach(2));
  receive(answer({svid(kUsers)}));
  EXPECT_EQ(uri(), kUsers);
  EXPECT_EQ(failure(), "");
  upstream().fail("Connection refused");
  EXPECT_EQ(uri(), kUsers);
  EXPECT_THAT(failure(), HasSubstr("Connection refused"));
  ASSERT_TRUE(calls_reach(3));
  upstream().trailers("14", "");
  ASSERT_TRUE(calls_reach(4));
  receive(answer({svid("spiffe://mesh.local/b")}));
  EXPECT_EQ(uri(), "spiffe://mesh.local/b");
}

TEST_F(SpiffeProviderTest, RefusesAnswersThatAreUnsoundAndStaysOnTheStream) {
  options.trust_domain = "mesh.local";
  start();
  want(SecretKind::kCertificate, "default");
  receive(answer({svid(kUsers)}));
  std::string no_key;
  wire::write_bytes(no_key, 1, kUsers);
  wire::write_bytes(no_key, 2, der_of(ca_.pem()));
  struct Case {
    std::string message;
    const char* reason;
  };
  const Case cases[] = {
      {"\xff", "no X509SVIDResponse"},
      {answer({}), "no SVID"},
      {answer({no_key}), "no key"},
      {answer({svid(kUsers, {}, "spiffe://mesh.local/b")}), "its certificate is for"},
      {answer({svid("spiffe://other.local/b")}), "of the trust domain other.local, not mesh.local"},
      {answer({svid(kUsers, {}, {}, "rubbish")}), "bundle of mesh.local: no certificates"},
      {answer({svid(kUsers, {}, "spiffe://mesh.local/b"), svid(kUsers)}), "certificate is for"},
  };
  for (const Case& c : cases) {
    upstream().data(http::grpc_frame(c.message));
    EXPECT_THAT(failure(), HasSubstr(c.reason));
    EXPECT_EQ(uri(), kUsers);
  }
  EXPECT_EQ(clusters_.calls.size(), 1U);
  upstream().data(http::grpc_frame(answer({svid("spiffe://mesh.local/good")})));
  EXPECT_EQ(uri(), "spiffe://mesh.local/good");
}

TEST_F(SpiffeProviderTest, AsksForBundlesAloneWhereNoIdentityIsWanted) {
  start();
  want(SecretKind::kValidation, "ALL");
  EXPECT_EQ(upstream().path, "/SpiffeWorkloadAPI/FetchX509Bundles");
  std::string bundles;
  wire::write_item(bundles, 2, entry_of("spiffe://mesh.local", der_of(ca_.pem())));
  wire::write_item(bundles, 2, entry_of(kOther, der_of(other.pem())));
  receive(bundles);
  EXPECT_THAT(domains("ALL"), ElementsAre("mesh.local", "other.local"));
  // Another that is bad is left out; if all are, it is the answer that is.
  bundles.clear();
  wire::write_item(bundles, 2, entry_of(kOther, "rubbish"));
  receive(bundles);
  EXPECT_THAT(domains("ALL"), ElementsAre("mesh.local", "other.local"));
  wire::write_item(bundles, 2, entry_of("spiffe://mesh.local", der_of(ca_.pem())));
  receive(bundles);
  EXPECT_THAT(domains("ALL"), ElementsAre("mesh.local"));
  // An identity brings its bundles with it.
  FakeCall& first = upstream();
  want(SecretKind::kCertificate, "default");
  EXPECT_FALSE(first.is_open);
  EXPECT_EQ(upstream().path, "/SpiffeWorkloadAPI/FetchX509SVID");
  EXPECT_THAT(domains("ALL"), ElementsAre("mesh.local"));
  receive(answer({svid(kUsers)}, {{kOther, der_of(other.pem())}}));
  EXPECT_THAT(domains("ALL"), ElementsAre("mesh.local", "other.local"));
}

TEST_F(SpiffeProviderTest, KeepsJwtBundlesAsTheyAreByTrustDomain) {
  start();
  want(SecretKind::kGeneric, "jwt:mesh.local");
  want(SecretKind::kGeneric, "jwt:other.local");
  EXPECT_EQ(upstream().path, "/SpiffeWorkloadAPI/FetchJWTBundles");
  std::string bundles;
  wire::write_item(bundles, 1, entry_of("spiffe://mesh.local", R"({"keys":[{"kid":"a"}]})"));
  receive(bundles);
  const auto* jwks = value<GenericSecret>(SecretKind::kGeneric, "jwt:mesh.local");
  ASSERT_NE(jwks, nullptr);
  EXPECT_EQ(jwks->texts.at(""), R"({"keys":[{"kid":"a"}]})");
  EXPECT_THAT(entry(SecretKind::kGeneric, "jwt:other.local").failure, HasSubstr("has none"));
  std::string both = bundles;
  wire::write_item(both, 1, entry_of(kOther, R"({"keys":[]})"));
  receive(both);
  EXPECT_NE(value<GenericSecret>(SecretKind::kGeneric, "jwt:other.local"), nullptr);
  receive(bundles);
  EXPECT_EQ(value<GenericSecret>(SecretKind::kGeneric, "jwt:other.local"), nullptr);
  std::string broken;
  wire::write_item(broken, 1, entry_of("spiffe://mesh.local", "no json"));
  receive(broken);
  EXPECT_THAT(entry(SecretKind::kGeneric, "jwt:mesh.local").failure, HasSubstr("no JWKS"));
  EXPECT_NE(value<GenericSecret>(SecretKind::kGeneric, "jwt:mesh.local"), nullptr);
  // Not in the answer, or not readable in it: no token of that domain is believed any more.
  wire::write_item(broken, 1, entry_of(kOther, R"({"keys":[]})"));
  receive(broken);
  EXPECT_EQ(value<GenericSecret>(SecretKind::kGeneric, "jwt:mesh.local"), nullptr);
  EXPECT_NE(value<GenericSecret>(SecretKind::kGeneric, "jwt:other.local"), nullptr);
  receive(bundles);
  EXPECT_NE(value<GenericSecret>(SecretKind::kGeneric, "jwt:mesh.local"), nullptr);
  EXPECT_EQ(value<GenericSecret>(SecretKind::kGeneric, "jwt:other.local"), nullptr);
}

TEST_F(SpiffeProviderTest, BeginsNothingAfterItsEnd) {
  start();
  want(SecretKind::kCertificate, "default");
  want(SecretKind::kValidation, "ALL");
  providers_.stop();
  unwant(SecretKind::kCertificate, "default");
  EXPECT_EQ(clusters_.calls.size(), 1U) << "ALL alone would be asked for by another method";
}

TEST_F(SpiffeProviderTest, EndsItsStreamsWhenNobodyWantsThem) {
  start();
  want(SecretKind::kCertificate, "default");
  upstream().fail("Connection refused");
  unwant(SecretKind::kCertificate, "default");
  loop_.skip(10min);
  EXPECT_EQ(clusters_.calls.size(), 1U);
  want(SecretKind::kTicketKeys, "keys");
  EXPECT_EQ(clusters_.calls.size(), 1U);
  EXPECT_THAT(entry(SecretKind::kTicketKeys, "keys").failure, HasSubstr("session_ticket_keys"));
  EXPECT_TRUE(entry(SecretKind::kTicketKeys, "keys").is_settled) << "nothing to wait for";
}

}  // namespace
}  // namespace pillion::certs
