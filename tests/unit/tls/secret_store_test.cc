#include "proxy/tls/secret_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/log_capture.h"
#include "tests/support/ocsp_response.h"
#include "tests/support/run_until.h"
#include "tests/support/test_ca.h"

namespace pillion::tls {
namespace {

using pillion::testing::run_until;
using pillion::testing::TestCa;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace std::chrono_literals;

SecretSourcePtr source(std::string key = "sds/a") {
  auto out = std::make_shared<SecretSource>();
  out->key = std::move(key);
  out->how = SecretSource::Ads{};
  return out;
}

SecretRef ref(SecretKind kind, std::string name, Duration timeout = 15s) {
  SecretRef out;
  out.source = source();
  out.kind = kind;
  out.name = std::move(name);
  out.timeout = timeout;
  return out;
}

SecretPtr secret_of(CertificateConfig certificate) {
  return std::make_shared<const Secret>(std::move(certificate));
}
SecretPtr secret_of(ValidationConfig validation) {
  return std::make_shared<const Secret>(std::move(validation));
}

class SecretStoreTest : public ::testing::Test, public SecretFetcher, public SecretStoreObserver {
 protected:
  SecretStoreTest() { store_.set_fetcher(*this); }
  void on_wanted(const SecretRef& ref) override { told_.push_back("+" + ref.name); }
  void on_unwanted(const SecretName& name) override { told_.push_back("-" + name.name); }
  void on_secrets_settled() override { ++settled_; }
  void on_context_changed(const ContextSlot&) override { ++changes_; }

  // A server's slot: certificate "default", CAs "ROOTCA".
  static std::shared_ptr<const ContextSlot> server_slot(Duration timeout = 15s,
                                                        std::string alpn = "h2") {
    ContextConfig config;
    config.alpn = {std::move(alpn)};
    config.require_client_certificate = true;
    SecretRefs refs;
    refs.certificates.push_back(ref(SecretKind::kCertificate, "default", timeout));
    refs.validation = ref(SecretKind::kValidation, "ROOTCA", timeout);
    return *ContextSlot::make(std::move(config), std::move(refs));
  }
  static SecretName certificate() { return ref(SecretKind::kCertificate, "default").key(); }
  static SecretName roots() { return ref(SecretKind::kValidation, "ROOTCA").key(); }
  void turn() { loop_.run_once(false), loop_.run_once(false); }

  io::Loop loop_;
  SecretStore store_{loop_, *this};
  const TestCa ca_;
  std::vector<std::string> told_;
  int settled_ = 0;
  int changes_ = 0;
};

TEST_F(SecretStoreTest, GivesASlotItsContextWhenTheLastSecretHasCome) {
  const auto slot = server_slot();
  EXPECT_EQ(slot->current(), nullptr);
  store_.attach({slot});
  EXPECT_THAT(told_, ElementsAre("+default", "+ROOTCA"));
  EXPECT_FALSE(store_.all_settled());
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/b")), "1"}));
  turn();
  EXPECT_EQ(slot->current(), nullptr) << "without CAs it would let anybody in";
  EXPECT_EQ(settled_, 1) << "one of two";
  EXPECT_TRUE(store_.settled().contains(certificate()));
  EXPECT_FALSE(store_.settled().has(slot->secrets()));
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "1"}));
  ASSERT_NE(slot->current(), nullptr);
  EXPECT_EQ(slot->current()->identities().front().uri_san, "spiffe://a/b");
  turn();
  EXPECT_EQ(settled_, 2);
  EXPECT_TRUE(store_.settled().has(slot->secrets()));
  EXPECT_FALSE(store_.is_making_contexts());
  EXPECT_EQ(changes_, 1);
}

TEST_F(SecretStoreTest, ChangesTheContextAndKeepsTheOneThatConnectionsHave) {
  const auto slot = server_slot();
  store_.attach({slot});
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "1"}));
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/1")), "1"}));
  const std::shared_ptr<const Context> of_connection = slot->current();
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/2")), "2"}));
  ASSERT_NE(slot->current(), of_connection);
  EXPECT_EQ(slot->current()->identities().front().uri_san, "spiffe://a/2");
  EXPECT_EQ(of_connection->identities().front().uri_san, "spiffe://a/1");
  // What was verified under the old bundle is nothing to the new one.
  EXPECT_NE(&slot->current()->verifier(), &of_connection->verifier());
}

TEST_F(SecretStoreTest, KeepsWhatIsInForceWhenASecretCannotBeUsed) {
  const auto slot = server_slot();
  store_.attach({slot});
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "1"}));
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/1")), "1"}));
  const auto good = slot->current();
  // A bundle that verifies nothing, a key of another certificate, another kind.
  const auto nothing = store_.put(roots(), {secret_of(ValidationConfig{}), "2"});
  ASSERT_FALSE(nothing);
  EXPECT_THAT(nothing.error(), HasSubstr("let anybody in"));
  CertificateConfig mixed = ca_.certificate("spiffe://a/2");
  mixed.key_pem = ca_.certificate("spiffe://a/3").key_pem;
  const auto other_key = store_.put(certificate(), {secret_of(mixed), "2"});
  ASSERT_FALSE(other_key);
  EXPECT_THAT(other_key.error(), HasSubstr("does not belong to the certificate"));
  const auto kind = store_.put(certificate(), {secret_of(ca_.validation()), "2"});
  ASSERT_FALSE(kind);
  EXPECT_EQ(kind.error(), "expected a tls_certificate, got a validation_context");
  store_.fail(certificate(), "the server is away");
  turn();
  EXPECT_EQ(slot->current(), good);
  EXPECT_EQ(store_.find(certificate())->version, "1");
  EXPECT_EQ(store_.find(certificate())->failure, "the server is away");
}

TEST_F(SecretStoreTest, RefusesHandshakesOnceASecretIsRemoved) {
  const auto slot = server_slot();
  store_.attach({slot});
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "1"}));
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/1")), "1"}));
  store_.remove(roots());
  EXPECT_TRUE(run_until(loop_, [&] { return slot->current() == nullptr; }));
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "2"}));
  EXPECT_NE(slot->current(), nullptr);
}

// A server that waits for the other secret cannot tell by its Context which of them is bad.
TEST_F(SecretStoreTest, RefusesTheOneThatIsBadWhicheverComesFirst) {
  const auto slot = server_slot();
  store_.attach({slot});
  const auto nothing = store_.put(roots(), {secret_of(ValidationConfig{}), "1"});
  ASSERT_FALSE(nothing);
  EXPECT_THAT(nothing.error(), HasSubstr("let anybody in"));
  ValidationConfig rubbish;
  rubbish.trusted_ca_pem = "rubbish";
  EXPECT_FALSE(store_.put(roots(), {secret_of(rubbish), "1"}));
  CertificateConfig mixed = ca_.certificate("spiffe://a/2");
  mixed.key_pem = ca_.certificate("spiffe://a/3").key_pem;
  const auto other_key = store_.put(certificate(), {secret_of(mixed), "1"});
  ASSERT_FALSE(other_key);
  EXPECT_THAT(other_key.error(), HasSubstr("does not belong to the certificate"));
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/1")), "1"}));
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "1"}));
  EXPECT_NE(slot->current(), nullptr);
}

// By SDS a secret is sent once: what is refused is lost.
TEST_F(SecretStoreTest, TakesAGoodSecretWhileTheOtherOneIsBad) {
  ContextConfig config;
  config.role = Role::kServer;
  config.require_client_certificate = true;
  config.validation.emplace();
  config.validation->trust_domains = {{"mesh.local", ca_.pem()}};
  SecretRefs refs;
  refs.certificates.push_back(ref(SecretKind::kCertificate, "default"));
  refs.validation = ref(SecretKind::kValidation, "ROOTCA");
  const auto by_domain = *ContextSlot::make(config, refs);
  auto plain = server_slot();
  store_.attach({plain, by_domain});
  // Good for one of them; the other has a bundle already that would have to be looked at instead.
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "1"}));
  plain.reset();
  store_.prune();
  ASSERT_TRUE(
      store_.put(certificate(), {secret_of(ca_.certificate("spiffe://mesh.local/a")), "1"}));
  turn();
  EXPECT_EQ(by_domain->current(), nullptr);
  const auto unseen = store_.put(roots(), {secret_of(ca_.validation()), "2"});
  ASSERT_FALSE(unseen);
  EXPECT_THAT(unseen.error(),
              HasSubstr("trusted_ca and custom_validator_config exclude each other"));
  ValidationConfig domains;
  domains.trust_domains = {{"mesh.local", ca_.pem()}};
  ASSERT_TRUE(store_.put(roots(), {secret_of(std::move(domains)), "3"}));
  ASSERT_NE(by_domain->current(), nullptr);
  EXPECT_EQ(by_domain->current()->identities().front().uri_san, "spiffe://mesh.local/a");
}

TEST_F(SecretStoreTest, SharesOneSecretBetweenManySlots) {
  std::vector<std::shared_ptr<const ContextSlot>> slots;
  for (int i = 0; i < 20; ++i) slots.push_back(server_slot(15s, "p" + std::to_string(i)));
  store_.attach(slots);
  EXPECT_THAT(told_, ElementsAre("+default", "+ROOTCA"));
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "1"}));
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/1")), "1"}));
  EXPECT_TRUE(run_until(loop_, [&] { return store_.all_settled(); }));
  for (const auto& slot : slots) EXPECT_NE(slot->current(), nullptr);
  EXPECT_EQ(changes_, 20);
}

TEST_F(SecretStoreTest, IsTheSameSlotForTheSameConfiguration) {
  const auto slot = server_slot();
  EXPECT_EQ(server_slot(), slot);
  EXPECT_NE(server_slot(15s, "other"), slot);
  store_.attach({slot});
  store_.attach({slot});
  EXPECT_EQ(store_.find(roots())->slots, 1u);
}

TEST_F(SecretStoreTest, ForgetsASecretWhenTheLastWhoNeedsItIsGone) {
  auto one = server_slot();
  auto two = server_slot(15s, "other");
  store_.attach({one, two});
  store_.want(ref(SecretKind::kCertificate, "default"));
  told_.clear();
  one.reset();
  store_.prune();
  EXPECT_THAT(told_, IsEmpty());
  two.reset();
  store_.prune();
  EXPECT_THAT(told_, ElementsAre("-ROOTCA"));
  store_.unwant(certificate());
  EXPECT_THAT(told_, ElementsAre("-ROOTCA", "-default"));
  EXPECT_TRUE(store_.entries().empty());
  EXPECT_FALSE(store_.settled().contains(certificate())) << "the next who needs it waits";
  turn();
  EXPECT_TRUE(store_.all_settled());
}

TEST_F(SecretStoreTest, WaitsNoLongerThanItsTime) {
  const auto slot = server_slot(2s);
  store_.attach({slot});
  loop_.skip(1s);
  turn();
  EXPECT_FALSE(store_.all_settled());
  loop_.skip(1100ms);
  EXPECT_TRUE(run_until(loop_, [&] { return settled_ == 1; }));
  EXPECT_EQ(slot->current(), nullptr) << "served, and refused";
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "1"}));
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/1")), "1"}));
  EXPECT_NE(slot->current(), nullptr);
}

// Or a configuration that takes the need away would never be read.
TEST_F(SecretStoreTest, IsNotWaitedForForEver) {
  const auto slot = server_slot(Duration{});
  store_.attach({slot});
  loop_.skip(14s);
  turn();
  EXPECT_FALSE(store_.all_settled());
  loop_.skip(1100ms);
  EXPECT_TRUE(run_until(loop_, [&] { return settled_ == 1; }));
  EXPECT_TRUE(store_.lacks_essential());
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "1"}));
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/1")), "1"}));
  EXPECT_FALSE(store_.lacks_essential());
}

TEST_F(SecretStoreTest, IsNotWaitedForWhenItsSourceGivesUp) {
  const auto slot = server_slot(Duration{});
  store_.attach({slot});
  store_.fail(roots(), "no such file");
  store_.give_up(roots());
  store_.give_up(certificate());
  EXPECT_TRUE(run_until(loop_, [&] { return settled_ == 1; }));
}

TEST_F(SecretStoreTest, MergesTheBundleOverTheDefaultContext) {
  ContextConfig config;
  config.role = Role::kClient;
  config.validation.emplace();
  config.validation->sans.push_back({SanType::kUri, SanMatcher::Kind::kExact, false, "spiffe://a"});
  SecretRefs refs;
  refs.validation = ref(SecretKind::kValidation, "ROOTCA");
  const auto slot = *ContextSlot::make(config, refs);
  store_.attach({slot});
  ValidationConfig more = ca_.validation();
  more.trusted_ca_source = "<inline>";
  ASSERT_TRUE(store_.put(roots(), {secret_of(std::move(more)), "1"}));
  ASSERT_NE(slot->current(), nullptr);
  EXPECT_EQ(slot->current()->verifier().requirement(),
            "a certificate of sds/ROOTCA, with URI SAN spiffe://a");
}

TEST_F(SecretStoreTest, SaysOnceThatASecretHasChangedHoweverManySlotsHaveIt) {
  std::vector<std::shared_ptr<const ContextSlot>> slots;
  for (int i = 0; i < 5; ++i) slots.push_back(server_slot(15s, "p" + std::to_string(i)));
  store_.attach(slots);
  pillion::testing::LogCapture log;
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "1"}));
  const CertificateConfig first = ca_.certificate("spiffe://a/1");
  ASSERT_TRUE(store_.put(certificate(), {secret_of(first), "1"}));
  EXPECT_TRUE(run_until(loop_, [&] { return store_.all_settled(); }));
  EXPECT_EQ(log.count("secret taken: secret=default"), 1u) << log.text();
  EXPECT_EQ(log.count("secret taken: secret=ROOTCA"), 1u);
  // The same again, with and without another version: no news.
  for (const char* version : {"1", "2", "3", ""})
    ASSERT_TRUE(store_.put(certificate(), {secret_of(first), version}));
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "2"}));
  EXPECT_EQ(log.count("secret taken"), 2u) << log.text();
  // Sources without versions tell of their changes too.
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/2")), ""}));
  EXPECT_EQ(log.count("identity=spiffe://a/2"), 1u) << log.text();
  for (int i = 0; i < 3; ++i) store_.fail(certificate(), "the server is away");
  EXPECT_EQ(log.count("the server is away"), 1u);
  EXPECT_THAT(log.text(), Not(HasSubstr("PRIVATE KEY")));
}

TEST_F(SecretStoreTest, DoesNotFillTheLogWithASourceThatComesAndGoes) {
  const auto slot = server_slot();
  store_.attach({slot});
  const CertificateConfig leaf = ca_.certificate("spiffe://a/1");
  ASSERT_TRUE(store_.put(certificate(), {secret_of(leaf), ""}));
  pillion::testing::LogCapture log;
  for (int i = 0; i < 100; ++i) {
    store_.fail(certificate(), "the stream ended");
    ASSERT_TRUE(store_.put(certificate(), {secret_of(leaf), ""}));
  }
  EXPECT_EQ(log.count("the stream ended"), 10u) << log.text();
  EXPECT_EQ(log.count("secret taken"), 10u);
  // What lasts is told in any case.
  store_.fail(certificate(), "the stream ended");
  EXPECT_EQ(log.count("the stream ended"), 10u);
  loop_.skip(11s);
  store_.fail(certificate(), "the stream ended");
  store_.fail(certificate(), "the stream ended");
  EXPECT_EQ(log.count("the stream ended"), 11u);
}

// ---- OCSP (ocsp_staple_policy) ----

class StaplePolicy : public SecretStoreTest {
 protected:
  static std::shared_ptr<const ContextSlot> slot_of(OcspPolicy policy, Role role = Role::kServer) {
    ContextConfig config;
    config.role = role;
    config.ocsp_policy = policy;
    SecretRefs refs;
    refs.certificates.push_back(ref(SecretKind::kCertificate, "default"));
    return *ContextSlot::make(std::move(config), std::move(refs));
  }
  static SecretPtr stapled(CertificateConfig leaf) {
    leaf.ocsp_staple = ocsp::encode({leaf.chain_pem});
    return secret_of(std::move(leaf));
  }
};

TEST_F(StaplePolicy, RefusesASecretThatMissesItsStapleAndKeepsTheOldOne) {
  // The slot that needs a staple is not the first one, which is tried.
  const auto lenient = slot_of(OcspPolicy::kLenient);
  const auto must = slot_of(OcspPolicy::kMust);
  const auto strict = slot_of(OcspPolicy::kStrict);
  store_.attach({lenient, must, strict});
  ASSERT_TRUE(store_.put(certificate(), {stapled(ca_.certificate("spiffe://a/1")), "1"}));
  EXPECT_TRUE(run_until(loop_, [&] { return must->current() != nullptr; }));
  const auto good = must->current();
  const auto taken = store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/2")), "2"});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error(), "<test> has no ocsp_staple, and ocsp_staple_policy is MUST_STAPLE");
  turn();
  EXPECT_EQ(must->current(), good);
  EXPECT_EQ(lenient->current()->identities().front().uri_san, "spiffe://a/1");
  EXPECT_EQ(store_.find(certificate())->rejected, 1u);
  ASSERT_TRUE(store_.put(certificate(), {stapled(ca_.certificate("spiffe://a/3")), "3"}));
  EXPECT_TRUE(run_until(loop_, [&] { return must->current() != good; }));
}

TEST_F(StaplePolicy, RefusesASecretWhoseCertificateDemandsAStaple) {
  const auto lenient = slot_of(OcspPolicy::kLenient);
  store_.attach({lenient});
  const CertificateConfig demanding = ocsp::must_staple(ca_, "spiffe://a/1");
  const auto taken = store_.put(certificate(), {secret_of(demanding), "1"});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error(), "<test> demands an ocsp_staple (TLS feature), and has none");
  EXPECT_EQ(lenient->current(), nullptr);
  ASSERT_TRUE(store_.put(certificate(), {stapled(demanding), "2"}));
  EXPECT_NE(lenient->current(), nullptr);
}

TEST_F(StaplePolicy, DoesNotConcernClientsOrServersThatDoWithout) {
  const auto client = slot_of(OcspPolicy::kLenient, Role::kClient);
  const auto strict = slot_of(OcspPolicy::kStrict);
  store_.attach({client});
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ocsp::must_staple(ca_, "spiffe://a/1")), "1"}));
  EXPECT_NE(client->current(), nullptr);
  store_.attach({strict});
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/2")), "2"}));
  EXPECT_TRUE(run_until(loop_, [&] { return strict->current() != nullptr; }));
}

TEST_F(StaplePolicy, LeavesANewSlotNotReadyIfWhatIsInForceDoesNotSuitIt) {
  const auto lenient = slot_of(OcspPolicy::kLenient);
  const auto must = slot_of(OcspPolicy::kMust);
  store_.attach({lenient});
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/1")), "1"}));
  pillion::testing::LogCapture log;
  store_.attach({must});
  EXPECT_TRUE(run_until(loop_, [&] { return store_.all_settled(); }));
  EXPECT_EQ(must->current(), nullptr);
  EXPECT_THAT(log.text(), HasSubstr("ocsp_staple_policy is MUST_STAPLE"));
  // Nor does it stop the other's renewal.
  ASSERT_TRUE(store_.put(certificate(), {secret_of(ca_.certificate("spiffe://a/2")), "2"}));
  EXPECT_EQ(lenient->current()->identities().front().uri_san, "spiffe://a/2");
}

// Workers take Contexts while control puts others in.
TEST_F(SecretStoreTest, HandsContextsToOtherThreadsWhileTheyChange) {
  const auto slot = server_slot();
  store_.attach({slot});
  ASSERT_TRUE(store_.put(roots(), {secret_of(ca_.validation()), "1"}));
  const CertificateConfig certificates[] = {ca_.certificate("spiffe://a/1"),
                                            ca_.certificate("spiffe://a/2")};
  ASSERT_TRUE(store_.put(certificate(), {secret_of(certificates[0]), "0"}));
  std::atomic<bool> done = false;
  size_t bad = 0;
  std::thread worker([&] {
    while (!done) {
      const auto context = slot->current();
      if (context == nullptr || context->identities().size() != 1) ++bad;
    }
  });
  for (size_t i = 0; i < 50; ++i)
    EXPECT_TRUE(store_.put(certificate(), {secret_of(certificates[i % 2]), std::to_string(i)}));
  done = true;
  worker.join();
  EXPECT_EQ(bad, 0u);
}

}  // namespace
}  // namespace pillion::tls
