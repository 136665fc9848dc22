#include "proxy/tls/ocsp.h"

#include <ctime>

#include "tests/support/odd_certificate.h"
#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {
namespace {

std::string time_tlv(int64_t seconds) {
  const time_t t = seconds;
  tm parts{};
  gmtime_r(&t, &parts);
  char text[32];
  return tlv(0x18, {text, strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &parts)});
}

struct Response {
  std::string pem;  // of the certificate it is about
  int64_t this_update = now_seconds() - 60;
  int64_t next_update = now_seconds() + 3600;
  uint8_t status_tag = 0x80;
  uint8_t code = 0;
  bool names_issuer = true;
  bool has_next = true;
  int singles = 1;
};

// OCSPResponse, unsigned: a server does not look at the signature.
std::string encode(const Response& r) {
  const auto certificates = parse_certificates(r.pem);
  const X509& leaf = *certificates->front();
  uint8_t hash[32];
  unsigned size = 0;
  X509_NAME_digest(X509_get_issuer_name(&leaf), EVP_sha1(), hash, &size);
  if (!r.names_issuer) hash[0] ^= 1;
  uint8_t* serial = nullptr;
  const int serial_size = i2d_ASN1_INTEGER(X509_get0_serialNumber(&leaf), &serial);
  const std::string sha1 =
      tlv(kSequence, tlv(0x06, "\x2b\x0e\x03\x02\x1a") + std::string("\x05\0", 2));
  const std::string cert_id = tlv(
      kSequence,
      sha1 + tlv(0x04, {reinterpret_cast<char*>(hash), size}) + tlv(0x04, std::string(20, 'k')) +
          std::string(reinterpret_cast<char*>(serial), static_cast<size_t>(serial_size)));
  OPENSSL_free(serial);
  const std::string status =
      r.status_tag == 0xa1 ? tlv(0xa1, time_tlv(r.this_update)) : tlv(r.status_tag, "");
  const std::string single =
      tlv(kSequence, cert_id + status + time_tlv(r.this_update) +
                         (r.has_next ? tlv(0xa0, time_tlv(r.next_update)) : std::string()));
  std::string singles;
  for (int i = 0; i < r.singles; ++i) singles += single;
  const std::string data = tlv(kSequence, tlv(0xa2, tlv(0x04, std::string(20, 'k'))) +
                                              time_tlv(r.this_update) + tlv(kSequence, singles));
  const std::string basic =
      tlv(kSequence, data + tlv(kSequence, tlv(0x06, "\x2a\x86\x48\xce\x3d\x04\x03\x02")) +
                         tlv(0x03, std::string("\0sig", 4)));
  const std::string bytes =
      tlv(kSequence, tlv(0x06, "\x2b\x06\x01\x05\x05\x07\x30\x01\x01") + tlv(0x04, basic));
  return tlv(kSequence, tlv(0x0a, std::string(1, static_cast<char>(r.code))) + tlv(0xa0, bytes));
}

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

CertificateConfig must_staple() {
  const Issued issued = mesh_ca().issue({{SanType::kUri, kUsers}});
  const auto key = parse_private_key(issued.key_pem);
  const auto certificates = parse_certificates(issued.certificate_pem);
  X509& leaf = *certificates->front();
  bssl::UniquePtr<ASN1_OBJECT> id(OBJ_txt2obj("1.3.6.1.5.5.7.1.24", 1));
  add_extension(leaf, id.get(), "\x30\x03\x02\x01\x05", false);
  const auto ca_key = parse_private_key(mesh_ca().own().key_pem);
  must(X509_sign(&leaf, ca_key->get(), EVP_sha256()) != 0);
  return {pem_of(leaf), issued.key_pem, "<test>"};
}

TEST(OcspResponse, IsDemandedByTheTlsFeature) {
  const auto demanding = parse_certificates(must_staple().chain_pem);
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
  const CertificateConfig demanding = must_staple();
  check(OcspPolicy::kLenient, Staple::kGood, true, {true, 1, 0, 0}, demanding);
  check(OcspPolicy::kLenient, Staple::kExpired, true, {false, 0, 0, 1}, demanding);
}

}  // namespace
}  // namespace pillion::tls
