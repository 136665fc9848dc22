// Chains that passed are remembered, and never longer or further than they may.
#include <thread>

#include "tests/unit/tls/verify_fixture.h"

namespace pillion::tls {
namespace {

TEST(VerifyCache, AChainThatPassedIsNotVerifiedAgain) {
  const TestCa ca;
  const auto v = verifier(ca.validation());
  const std::string pem = ca.issue({{SanType::kUri, kUsers}}).certificate_pem;
  const uint64_t before = Verifier::hits();
  EXPECT_EQ(judge(*v, pem).outcome, Outcome::kOk);
  EXPECT_EQ(Verifier::hits(), before);
  const auto verdict = judge(*v, pem);
  EXPECT_EQ(Verifier::hits(), before + 1);
  EXPECT_EQ(verdict.facts->certificate->uri_sans.front(), kUsers);
  EXPECT_TRUE(verdict.facts->verified);
}

TEST(VerifyCache, ARefusalIsNotRemembered) {
  const TestCa ca;
  const auto v = verifier(ca.validation());
  const std::string pem = TestCa("Other").issue({{SanType::kUri, kUsers}}).certificate_pem;
  const size_t before = Verifier::remembered();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(judge(*v, pem).outcome, Outcome::kChain);
  EXPECT_EQ(Verifier::remembered(), before);
}

TEST(VerifyCache, AnEntryEndsWithTheFirstExpiryOfItsChain) {
  const int64_t now = now_seconds();
  const TestCa root("Root");
  const TestCa brief("Brief", &root, [&](CertificateRequest& r) { r.not_after = now + 100; });
  const auto v = verifier(root.validation());
  const std::string pem = brief.issue({{SanType::kDns, "a"}}).certificate_pem;
  EXPECT_EQ(judge(*v, pem, {}, now).outcome, Outcome::kOk);
  const uint64_t before = Verifier::hits();
  EXPECT_EQ(judge(*v, pem, {}, now + 50).outcome, Outcome::kOk);
  EXPECT_EQ(Verifier::hits(), before + 1);
  EXPECT_EQ(judge(*v, pem, {}, now + 101).outcome, Outcome::kChain);
  EXPECT_EQ(judge(*v, pem, {}, now - 7200).outcome, Outcome::kChain) << "a clock that was set back";
}

TEST(VerifyCache, IsNeverSharedBetweenVerifiers) {
  const TestCa ca;
  const std::string pem = ca.issue({{SanType::kUri, kUsers}}).certificate_pem;
  const auto trusting = verifier(ca.validation());
  EXPECT_EQ(judge(*trusting, pem).outcome, Outcome::kOk);
  const auto strict = verifier(TestCa("Other").validation());
  EXPECT_EQ(judge(*strict, pem).outcome, Outcome::kChain);
  ValidationConfig named = ca.validation();
  named.sans = {uri_prefix("spiffe://elsewhere/")};
  EXPECT_EQ(judge(*verifier(named), pem).outcome, Outcome::kSan);
  EXPECT_EQ(judge(*trusting, pem, "spiffe://elsewhere/a").outcome, Outcome::kSan);
}

// A new Verifier at the address of an old one is another one: after a reload the policy is new.
TEST(VerifyCache, DiesWithItsVerifier) {
  const TestCa ca;
  const std::string pem = ca.issue({{SanType::kUri, kUsers}}).certificate_pem;
  for (int i = 0; i < 3; ++i) {
    const uint64_t before = Verifier::hits();
    const auto v = verifier(ca.validation());
    EXPECT_EQ(judge(*v, pem).outcome, Outcome::kOk);
    EXPECT_EQ(Verifier::hits(), before);
  }
}

TEST(VerifyCache, ALeafWithOtherIntermediatesIsAnotherChain) {
  const TestCa root("Root");
  const TestCa middle("Middle", &root);
  const Issued leaf = middle.issue({{SanType::kDns, "a"}});
  const auto v = verifier(root.validation());
  EXPECT_EQ(judge(*v, leaf.certificate_pem).outcome, Outcome::kOk);
  const std::string alone =
      leaf.certificate_pem.substr(0, leaf.certificate_pem.find("-----BEGIN", 10));
  EXPECT_EQ(judge(*v, alone).outcome, Outcome::kChain);
}

// Anybody may come with these, as large as they may be.
TEST(VerifyCache, DoesNotKeepLargeChainsThatNobodyVouchesFor) {
  const auto large_chain = [](const TestCa& ca) {
    std::vector<San> sans;
    for (int i = 0; i < 100; ++i)
      sans.push_back({SanType::kDns, std::string(190, 'a') + std::to_string(i)});
    return ca.issue(sans).certificate_pem;
  };
  const TestCa ca;
  const std::string large = large_chain(ca);
  const std::string small = ca.issue({{SanType::kDns, "a"}}).certificate_pem;
  const auto judged = [](const Verifier& v, const std::string& pem) {
    const uint64_t before = Verifier::hits();
    for (int i = 0; i < 2; ++i) {
      const auto verdict = judge(v, pem);
      EXPECT_EQ(verdict.outcome, Outcome::kOk) << verdict.reason;
      EXPECT_NE(verdict.facts->certificate, nullptr);
    }
    return Verifier::hits() - before;
  };
  const auto anybody = verifier(std::nullopt);
  EXPECT_EQ(judged(*anybody, large), 0u);
  EXPECT_EQ(judged(*anybody, small), 1u);
  EXPECT_EQ(judged(*verifier(ca.validation()), large), 1u) << "a CA vouches for it";
}

TEST(VerifyCache, IsBounded) {
  std::thread([] {  // a cache of its own
    const TestCa ca;
    const auto v = verifier(ca.validation());
    const std::string pem = ca.issue({{SanType::kDns, "*.shop.org"}}).certificate_pem;
    for (int i = 0; i < 600; ++i) {
      EXPECT_EQ(judge(*v, pem, "host" + std::to_string(i) + ".shop.org").outcome, Outcome::kOk);
    }
    EXPECT_LE(Verifier::remembered(), 256u);
    EXPECT_GE(Verifier::remembered(), 128u);
  })
      .join();
}

}  // namespace
}  // namespace pillion::tls
