#include "proxy/tls/ocsp.h"

#include "tests/support/ocsp_response.h"
#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {
namespace {

using ocsp::encode;
using ocsp::must_staple;
using ocsp::Response;

const CertificateConfig& users() {
  static const CertificateConfig it = mesh_ca().certificate(kUsers, "users.shop");
  return it;
}
Result<OcspStaple> parse(const std::string& der) {
  const auto certificates = parse_certificates(users().chain_pem);
  return parse_ocsp_response(der, *certificates->front());
}

TEST(OcspResponse, TellsItsTimes) {
  const Response response{users().chain_pem};
  const auto staple = parse(encode(response));
  ASSERT_TRUE(staple) << staple.error();
  EXPECT_EQ(staple->this_update, response.this_update);
  EXPECT_EQ(staple->next_update, response.next_update);
  EXPECT_TRUE(staple->is_good(response.this_update));
  EXPECT_TRUE(staple->is_good(response.next_update - 1));
  EXPECT_FALSE(staple->is_good(response.this_update - 1));
  EXPECT_FALSE(staple->is_good(response.next_update));
}

TEST(OcspResponse, OfNoUseIsAnError) {
  const auto with = [](const std::function<void(Response&)>& change) {
    Response response{users().chain_pem};
    change(response);
    return encode(response);
  };
  const std::string good = encode(Response{users().chain_pem});
  const std::pair<std::string, const char*> cases[] = {
      {"", "no OCSP response in DER"},
      {"junk", "no OCSP response in DER"},
      {good + "x", "no OCSP response in DER"},
      {with([](Response& r) { r.code = 6; }), "the OCSP responder did not answer (status 6)"},
      {with([](Response& r) { r.pem = mesh_ca().certificate(kUsers).chain_pem; }),
       "about another certificate"},
      {with([](Response& r) { r.names_issuer = false; }), "about another certificate"},
      {with([](Response& r) { r.singles = 2; }), "more than one certificate"},
      {with([](Response& r) { r.singles = 0; }), "no OCSP response in DER"},
      {with([](Response& r) { r.status_tag = 0xa1; }), "says that the certificate was revoked"},
      {with([](Response& r) { r.status_tag = 0x82; }), "says that the certificate is unknown"},
      {with([](Response& r) { r.has_next = false; }), "does not say how long it is good"},
  };
  for (const auto& [der, why] : cases) {
    const auto staple = parse(der);
    ASSERT_FALSE(staple) << why;
    EXPECT_THAT(staple.error(), HasSubstr(why));
  }
  for (size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(parse(good.substr(0, n))) << n;
}

TEST(OcspResponse, IsDemandedByTheTlsFeature) {
  const auto demanding = parse_certificates(must_staple(mesh_ca(), kUsers).chain_pem);
  EXPECT_TRUE(must_be_stapled(*demanding->front()));
  const auto plain = parse_certificates(users().chain_pem);
  EXPECT_FALSE(must_be_stapled(*plain->front()));
}

// Envoy's table (ocsp_staple_policy).
class Stapling : public TransportTest {
 protected:
  enum class Staple : uint8_t { kNone, kGood, kExpired };
  struct Outcome {
    bool connects;
    uint64_t responses, omitted, failed;
  };
  void check(OcspPolicy policy, Staple staple, bool asks, const Outcome& wanted,
             const CertificateConfig& certificate = users()) {
    SCOPED_TRACE(::testing::Message() << "policy " << static_cast<int>(policy) << ", staple "
                                      << static_cast<int>(staple) << ", asks " << asks);
    ContextConfig server_side = server_config();
    server_side.certificates = {certificate};
    server_side.ocsp_policy = policy;
    Response response{certificate.chain_pem};
    if (staple == Staple::kExpired) response.next_update = now_seconds() - 1;
    if (staple != Staple::kNone) server_side.certificates[0].ocsp_staple = encode(response);
    ContextConfig client_side = client_config();
    client_side.sni = "n" + std::to_string(++number_) + ".shop";
    const auto client_context = context(client_side);
    if (asks) SSL_CTX_enable_ocsp_stapling(client_context->native());
    stats::ListenerTlsStats stats;
    TlsPair two(loop, client_context, context(server_side), {},
                TlsTransport::Options{.listener_stats = &stats});
    ASSERT_TRUE(two.shake_hands(loop));
    EXPECT_EQ(two.server.connected != 0, wanted.connects) << two.server.reason;
    EXPECT_EQ(stats.ocsp_staple_requests.value(), asks ? 1u : 0u);
    EXPECT_EQ(stats.ocsp_staple_responses.value(), wanted.responses);
    EXPECT_EQ(stats.ocsp_staple_omitted.value(), wanted.omitted);
    EXPECT_EQ(stats.ocsp_staple_failed.value(), wanted.failed);
    if (!wanted.connects) {
      EXPECT_THAT(two.server.reason, HasSubstr("valid OCSP response"));
    }
  }
  int number_ = 0;
};

TEST_F(Stapling, FollowsThePolicy) {
  const Outcome sent{true, 1, 0, 0};
  const Outcome omitted{true, 0, 1, 0};
  const Outcome failed{false, 0, 0, 1};
  using enum OcspPolicy;
  check(kLenient, Staple::kNone, true, omitted);
  check(kLenient, Staple::kGood, true, sent);
  check(kLenient, Staple::kExpired, true, omitted);
  check(kStrict, Staple::kNone, true, omitted);
  check(kStrict, Staple::kGood, true, sent);
  check(kStrict, Staple::kExpired, true, failed);
  check(kMust, Staple::kNone, true, failed);
  check(kMust, Staple::kGood, true, sent);
  check(kMust, Staple::kExpired, true, failed);
}

TEST_F(Stapling, ConcernsOnlyClientsThatAsk) {
  const Outcome plain{true, 0, 0, 0};
  check(OcspPolicy::kLenient, Staple::kGood, false, plain);
  check(OcspPolicy::kStrict, Staple::kExpired, false, plain);
  check(OcspPolicy::kMust, Staple::kNone, false, plain);
}

TEST_F(Stapling, ACertificateMayDemandIt) {
  const CertificateConfig demanding = must_staple(mesh_ca(), kUsers);
  check(OcspPolicy::kLenient, Staple::kGood, true, {true, 1, 0, 0}, demanding);
  check(OcspPolicy::kLenient, Staple::kExpired, true, {false, 0, 0, 1}, demanding);
}

}  // namespace
}  // namespace pillion::tls
