// Secrets of static_resources: what is not there is told and not waited for, and may come with the
// next configuration.
#include "certs/providers.h"

#include "tests/unit/certs/certs_fixture.h"

namespace pillion::certs {
namespace {

class StaticSecrets : public CertsTest {
 protected:
  static tls::SecretRef ref(const std::string& name,
                            tls::SecretKind kind = tls::SecretKind::kCertificate) {
    auto source = std::make_shared<tls::SecretSource>();
    source->key = "static";
    source->how = tls::SecretSource::Static{};
    tls::SecretRef out;
    out.source = source;
    out.kind = kind;
    out.name = name;
    out.timeout = std::chrono::hours(1);  // nobody waits that long
    return out;
  }
  tls::SecretPtr certificate(const std::string& identity) const {
    return std::make_shared<const tls::Secret>(ca_.certificate(identity));
  }
  void set(const std::string& name, const tls::SecretPtr& secret) {
    providers_.set_static({{name, secret}});
  }
  static std::string chain_of(const tls::SecretPtr& secret) {
    return std::get<tls::CertificateConfig>(secret->value).chain_pem;
  }
  using CertsTest::chain_of;
};

TEST_F(StaticSecrets, AreThereAtOnce) {
  const tls::SecretPtr secret = certificate("spiffe://a/1");
  set("mine", secret);
  want(ref("mine"));
  EXPECT_EQ(chain_of(ref("mine")), chain_of(secret));
  EXPECT_EQ(failure_of(ref("mine")), "");
  EXPECT_TRUE(store_.all_settled());
}

TEST_F(StaticSecrets, OneThatIsMissingIsToldAndNotWaitedFor) {
  set("other", certificate("spiffe://a/1"));
  want(ref("mine"));
  EXPECT_EQ(failure_of(ref("mine")), "static_resources.secrets has no tls_certificate \"mine\"");
  EXPECT_TRUE(store_.all_settled()) << "no time would bring it";
  EXPECT_EQ(chain_of(ref("mine")), "");
}

TEST_F(StaticSecrets, OneOfAnotherKindIsMissing) {
  set("mine", certificate("spiffe://a/1"));
  const tls::SecretRef roots = ref("mine", tls::SecretKind::kValidation);
  want(roots);
  EXPECT_EQ(failure_of(roots), "static_resources.secrets has no validation_context \"mine\"");
  EXPECT_TRUE(store_.all_settled());
}

TEST_F(StaticSecrets, OneThatWasMissingComesWithTheNextConfiguration) {
  want(ref("mine"));
  EXPECT_NE(failure_of(ref("mine")), "");
  const tls::SecretPtr secret = certificate("spiffe://a/1");
  set("mine", secret);
  EXPECT_EQ(chain_of(ref("mine")), chain_of(secret));
  EXPECT_EQ(failure_of(ref("mine")), "");
}

TEST_F(StaticSecrets, OneThatTheNextConfigurationLacksStaysInForce) {
  const tls::SecretPtr secret = certificate("spiffe://a/1");
  set("mine", secret);
  want(ref("mine"));
  providers_.set_static({});
  EXPECT_NE(failure_of(ref("mine")), "");
  EXPECT_EQ(chain_of(ref("mine")), chain_of(secret));
}

}  // namespace
}  // namespace pillion::certs
