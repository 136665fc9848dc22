// Sessions resume only where a full handshake would have ended in the same way: under the same
// validation context and certificates.
#include <openssl/err.h>

#include "proxy/tls/context_slot.h"
#include "tests/unit/tls/resumption_fixture.h"

namespace pillion::tls {
namespace {

class SessionContext : public ResumptionOf {};

INSTANTIATE_TEST_SUITE_P(Versions, SessionContext,
                         ::testing::Values(Version::kTls12, Version::kTls13), version_name);

struct Change {
  const char* name;
  void (*apply)(ContextConfig& config);
};

SanMatcher uri(SanMatcher::Kind kind, const char* text) {
  return {SanType::kUri, kind, false, text};
}

const Change kChanges[] = {
    {"a bundle that has another CA too",
     [](ContextConfig& c) { c.validation->trusted_ca_pem += other_ca().pem(); }},
    {"names",
     [](ContextConfig& c) { c.validation->sans = {uri(SanMatcher::Kind::kExact, kCustomer)}; }},
    {"names of another kind",
     [](ContextConfig& c) { c.validation->sans = {uri(SanMatcher::Kind::kPrefix, "spiffe://")}; }},
    {"an empty revocation list",
     [](ContextConfig& c) {
       c.validation->crl_pem = crl_pem(mesh_ca(), {}, now_seconds() + 3600);
     }},
    {"a trust domain",
     [](ContextConfig& c) {
       c.validation->trust_domains = {{"mesh.local", c.validation->trusted_ca_pem}};
       c.validation->trusted_ca_pem.clear();
     }},
    {"depth", [](ContextConfig& c) { c.validation->max_verify_depth = 7; }},
    {"expired ones let in", [](ContextConfig& c) { c.validation->allow_expired = true; }},
    {"untrusted ones let in", [](ContextConfig& c) { c.validation->accept_untrusted = true; }},
    {"certificates not demanded", [](ContextConfig& c) { c.require_client_certificate = false; }},
    {"another identity of the server",
     [](ContextConfig& c) {
       c.certificates = {mesh_ca().certificate("spiffe://mesh.local/orders", "users.shop")};
     }},
    {"another name of the server",
     [](ContextConfig& c) { c.certificates = {mesh_ca().certificate(kUsers, "orders.shop")}; }},
};

TEST_P(SessionContext, NotUnderAnotherValidationContext) {
  // All of these servers can open the ticket.
  const auto keys = given_keys("k");
  const ContextPtr client_context = client_of();
  const ContextPtr original = server_of(server_with(keys));
  ASSERT_EQ(visit(client_context, original), Visit::kFull);
  for (const Change& change : kChanges) {
    SCOPED_TRACE(change.name);
    ContextConfig config = server_with(keys);
    change.apply(config);
    EXPECT_EQ(visit(client_context, server_of(config)), Visit::kFull);
    EXPECT_EQ(caller().uri_san, kCustomer);
    EXPECT_EQ(visit(client_context, original), Visit::kFull) << "nor the other way";
    // What does not belong to it changes nothing.
    ContextConfig same = server_with(keys);
    same.alpn = {"h2"};
    same.session_timeout = std::chrono::minutes(5);
    EXPECT_EQ(visit(client_context, server_of(same)), Visit::kResumed);
    EXPECT_EQ(visit(client_context, original), Visit::kResumed);
  }
}

TEST_P(SessionContext, WhoWouldNotBeLetInIsNot) {
  const auto keys = given_keys("k");
  ContextConfig stricter = server_with(keys);
  ContextConfig other_bundle = server_with(keys);
  ContextConfig revoking = server_with(keys);
  stricter.validation->sans = {uri(SanMatcher::Kind::kExact, "spiffe://mesh.local/else")};
  other_bundle.validation = other_ca().validation();
  revoking.validation->crl_pem =
      crl_pem(mesh_ca(), {client_config().certificates[0].chain_pem}, now_seconds() + 3600);
  const std::pair<ContextConfig, const char*> cases[] = {
      {stricter, "expected"}, {other_bundle, "no trusted CA"}, {revoking, "was revoked"}};
  const ContextPtr original = server_of(server_with(keys));
  const ContextPtr client_context = client_of();
  for (const auto& [config, reason] : cases) {
    ASSERT_NE(visit(client_context, original), Visit::kFailed);
    EXPECT_EQ(visit(client_context, server_of(config)), Visit::kFailed) << reason;
    EXPECT_THAT(server().reason, HasSubstr(reason));
  }
}

TEST_P(SessionContext, ATicketThatIsNotResumedLendsNobodyAnIdentity) {
  // The ticket opens, and its certificate is good; the context differs.
  const auto keys = given_keys("k");
  ContextConfig open = server_with(keys);
  open.require_client_certificate = false;
  ContextConfig anonymous = client_config();
  anonymous.certificates.clear();
  const ContextPtr customer = client_of();
  const ContextPtr nobody = client_of(anonymous);
  ASSERT_EQ(visit(customer, server_of(server_with(keys))), Visit::kFull);
  give(nobody, take(customer));
  EXPECT_EQ(visit(nobody, server_of(open)), Visit::kFull);
  EXPECT_FALSE(caller().presented);
  EXPECT_FALSE(caller().verified);
  EXPECT_EQ(caller().uri_san, "");
}

TEST_P(SessionContext, ARotatedCertificateIsShownAtOnceUnlessKeysAreShared) {
  const ContextPtr client_context = client_of();
  // The same names by the same CA, another certificate.
  ContextConfig renewed = server_config();
  renewed.certificates = {mesh_ca().certificate(kUsers, "users.shop")};
  for (const bool shared : {false, true}) {
    const auto keys = shared ? given_keys("k") : own_keys();
    renewed.ticket_keyring = keys;
    ASSERT_EQ(visit(client_context, server_of(server_with(keys))), Visit::kFull);
    EXPECT_EQ(visit(client_context, server_of(renewed)), shared ? Visit::kResumed : Visit::kFull);
  }
}

TEST_P(SessionContext, AClientWithAnotherCertificateProvesIt) {
  const ContextPtr server_context = server_of(server_with(own_keys()));
  ASSERT_EQ(visit(client_of(), server_context), Visit::kFull);
  ContextConfig renewed = client_config();
  renewed.certificates = {mesh_ca().certificate("spiffe://mesh.local/renewed")};
  const ContextPtr rotated = client_of(renewed);
  EXPECT_EQ(visit(rotated, server_context), Visit::kFull);
  EXPECT_EQ(caller().uri_san, "spiffe://mesh.local/renewed");
  EXPECT_EQ(visit(rotated, server_context), Visit::kResumed);
  EXPECT_EQ(caller().uri_san, "spiffe://mesh.local/renewed");
}

// ---- ContextSlot: whose keys they are ----

class SlotTickets : public ResumptionTest, private ContextSlot::Lookup {
 protected:
  static std::shared_ptr<const ContextSlot> slot(ContextConfig config, SecretRefs secrets = {}) {
    auto made = ContextSlot::make(std::move(config), std::move(secrets));
    EXPECT_TRUE(made) << made.error();
    return *made;
  }
  static SecretRef ref(SecretKind kind, const char* name) {
    auto source = std::make_shared<SecretSource>();
    source->key = "sds/a";
    source->how = SecretSource::Ads{};
    SecretRef out;
    out.source = std::move(source);
    out.kind = kind;
    out.name = name;
    return out;
  }
  // What a SecretStore does.
  void refresh(const ContextSlot& slot) {
    auto made = slot.resolve(*this);
    ASSERT_TRUE(made) << made.error();
    slot.set(std::move(*made));
  }
  void put(const char* name, SecretPtr secret) { secrets_[name] = std::move(secret); }
  void put_keys(const std::string& letters) {
    TicketKeys keys;
    for (const char c : letters) keys.keys.emplace_back().fill(static_cast<uint8_t>(c));
    put("keys", std::make_shared<const Secret>(std::move(keys)));
  }

 private:
  [[nodiscard]] SecretPtr find(const SecretRef& ref) const override {
    const auto found = secrets_.find(ref.name);
    return found == secrets_.end() ? nullptr : found->second;
  }
  std::map<std::string, SecretPtr> secrets_;
};

TEST_F(SlotTickets, EachListenersTlsHasKeysOfItsOwn) {
  ContextConfig other = server_config();
  other.alpn = {"h2"};
  const auto one = slot(server_config());
  const auto two = slot(other);
  const ContextPtr client_context = context(client_config());
  EXPECT_EQ(visit(client_context, one->current()), Visit::kFull);
  EXPECT_EQ(visit(client_context, one->current()), Visit::kResumed);
  EXPECT_EQ(visit(client_context, two->current()), Visit::kFull);
  EXPECT_EQ(visit(client_context, one->current()), Visit::kFull);
  EXPECT_EQ(slot(server_config()), one) << "equal ones are one";
}

TEST_F(SlotTickets, WithoutResumptionThereAreNone) {
  ContextConfig disabled = server_config();
  disabled.resumes_sessions = false;
  EXPECT_EQ(slot(disabled)->current()->tickets(), nullptr);
  EXPECT_EQ(slot(client_config())->current()->tickets(), nullptr);
}

TEST_F(SlotTickets, OwnKeysOutliveARotationAndItsBundleDoesNot) {
  ContextConfig config = server_config();
  config.validation.reset();
  SecretRefs refs;
  refs.validation = ref(SecretKind::kValidation, "roots");
  const auto rotating = slot(config, refs);
  ValidationConfig bundle = mesh_ca().validation();
  put("roots", std::make_shared<const Secret>(ValidationConfig(bundle)));
  refresh(*rotating);
  const ContextPtr client_context = context(client_config());
  const ContextPtr first = rotating->current();
  ASSERT_EQ(visit(client_context, first), Visit::kFull);
  put("roots", std::make_shared<const Secret>(ValidationConfig(bundle)));
  refresh(*rotating);
  EXPECT_EQ(rotating->current(), first) << "the same again";
  EXPECT_EQ(visit(client_context, rotating->current()), Visit::kResumed);
  bundle.trusted_ca_pem += other_ca().pem();
  put("roots", std::make_shared<const Secret>(ValidationConfig(bundle)));
  refresh(*rotating);
  EXPECT_EQ(rotating->current()->tickets(), first->tickets());
  EXPECT_EQ(visit(client_context, rotating->current()), Visit::kFull);
  EXPECT_EQ(visit(client_context, rotating->current()), Visit::kResumed);
}

TEST_F(SlotTickets, GivenKeysComeBySecretAndTakeEffectAtOnce) {
  SecretRefs refs;
  refs.ticket_keys = ref(SecretKind::kTicketKeys, "keys");
  const auto one = slot(server_config(), refs);
  EXPECT_EQ(one->current(), nullptr) << "as Envoy: a server without its secrets serves nobody";
  // Another listener, whose validation is the same.
  ContextConfig other = server_config();
  other.alpn = {"h2"};
  const auto two = slot(other, refs);
  put_keys("a");
  refresh(*one);
  refresh(*two);
  const ContextPtr client_context = context(client_config());
  ASSERT_EQ(visit(client_context, one->current()), Visit::kFull);
  EXPECT_EQ(visit(client_context, two->current()), Visit::kResumed);
  put_keys("ba");
  refresh(*one);
  EXPECT_EQ(visit(client_context, one->current()), Visit::kResumed) << "by the older key";
  EXPECT_EQ(visit(client_context, two->current()), Visit::kFull) << "b is not known here yet";
  put_keys("b");
  refresh(*one);
  EXPECT_EQ(visit(client_context, one->current()), Visit::kFull) << "a is known no more";
  refresh(*two);
  EXPECT_EQ(visit(client_context, two->current()), Visit::kResumed);
}

}  // namespace
}  // namespace pillion::tls
