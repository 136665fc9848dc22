// Certificates that nobody may get in with: each is refused for its own reason, by a server and,
// where it says something there, by a client; with the alert, the counter and the words that name
// the cause.
#include <openssl/err.h>

#include "proxy/base/str.h"
#include "tests/support/odd_certificate.h"
#include "tests/unit/tls/transport_fixture.h"

namespace pillion::tls {
namespace {

using Outcome = Verifier::Outcome;

constexpr const char* kId = "spiffe://mesh.local/ns/shop/sa/users";

enum class Ends : uint8_t { kServerOnly, kBoth };

struct Bad {
  std::string name;
  OddChain chain;
  std::string reason;
  uint8_t alert = SSL_AD_BAD_CERTIFICATE;
  Ends ends = Ends::kBoth;
  Outcome outcome = Outcome::kChain;
  // Instead of `mesh()`.
  std::optional<ValidationConfig> validation{};
  // The library sees it before the verifier is asked, at this end or at the one that shows it.
  bool is_library_s = false;
};

const TestCa& ca() {
  static const TestCa it("Mesh CA");
  return it;
}
const TestCa& stranger() {
  static const TestCa it("Stranger");
  return it;
}
const TestCa& rsa_ca() {
  static const TestCa it("RSA CA", nullptr,
                         [](CertificateRequest& r) { r.key = KeyType::kRsa2048; });
  return it;
}

ValidationConfig mesh() {
  ValidationConfig v = ca().validation();
  v.trusted_ca_pem += rsa_ca().pem();
  return v;
}
ValidationConfig by_trust_domain() {
  ValidationConfig v;
  v.trust_domains = {{"mesh.local", ca().pem()}, {"other.local", stranger().pem()}};
  return v;
}
ValidationConfig with(const std::function<void(ValidationConfig&)>& change) {
  ValidationConfig v = mesh();
  change(v);
  return v;
}

Issued leaf(std::vector<San> sans = {{SanType::kUri, kId}}, const TestCa::Tweak& tweak = {},
            const TestCa& by = ca()) {
  return by.issue(std::move(sans), tweak);
}
OddChain leaf_with(const Change& change) { return changed(ca(), leaf(), change); }
OddChain with_uri(std::string uri) { return odd_chain(leaf({{SanType::kUri, std::move(uri)}})); }

// An intermediate authority under ca(), changed and signed again, and a leaf that it issued.
OddChain under_odd_authority(const Change& change, const EVP_MD* digest = EVP_sha256()) {
  const TestCa middle("Middle", &ca());
  OddChain chain = odd_chain(leaf({{SanType::kUri, kId}}, {}, middle));
  chain.ders[1] = changed(ca(), middle.own(), change, digest).ders[0];
  return chain;
}

constexpr std::string_view kRsaSha256 = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
constexpr std::string_view kRsaMd5 = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04";

void add_authorities(std::vector<Bad>& all) {
  all.push_back({"of an unknown CA", odd_chain(leaf({{SanType::kUri, kId}}, {}, stranger())),
                 "no trusted CA issued it (issuer CN=Stranger, trusted CN=Mesh CA)",
                 SSL_AD_UNKNOWN_CA});
  static const TestCa impostor("Mesh CA");
  all.push_back({"of a CA with the name of ours",
                 odd_chain(leaf({{SanType::kUri, kId}}, {}, impostor)), "no trusted CA issued it",
                 SSL_AD_UNKNOWN_CA});
  all.push_back({"signed by itself",
                 odd_chain(TestCa("Self", nullptr,
                                  [](CertificateRequest& r) {
                                    r.is_ca = false;
                                    r.sans = {{SanType::kUri, kId}};
                                  })
                               .own()),
                 "no trusted CA issued it", SSL_AD_UNKNOWN_CA});
  const TestCa middle("Middle", &ca());
  OddChain alone = odd_chain(leaf({{SanType::kUri, kId}}, {}, middle));
  alone.ders.pop_back();
  all.push_back(
      {"without its intermediate", std::move(alone), "no trusted CA issued it", SSL_AD_UNKNOWN_CA});
  const TestCa worker("Worker", &ca(), [](CertificateRequest& r) { r.is_ca = false; });
  all.push_back({"issued by a leaf", odd_chain(leaf({{SanType::kUri, kId}}, {}, worker)),
                 "no trusted CA issued it", SSL_AD_UNKNOWN_CA});
  all.push_back(
      {"of an authority without the CA flag",
       under_odd_authority(with_extension(NID_basic_constraints, tlv(kSequence, ""), true)),
       "its issuer CN=Middle is not trusted: it is no authority", SSL_AD_UNKNOWN_CA});
  all.push_back({"of an authority without basic constraints",
                 under_odd_authority([](X509& c) { remove_extension(c, NID_basic_constraints); }),
                 "its issuer CN=Middle is not trusted: it is no authority", SSL_AD_UNKNOWN_CA});
  all.push_back({"of an authority that may not sign",
                 under_odd_authority(with_key_usage("\x80", 7)), "no trusted CA issued it",
                 SSL_AD_UNKNOWN_CA});
  all.push_back({"of an authority that has expired", under_odd_authority([](X509& c) {
                   ASN1_TIME_set_posix(X509_getm_notAfter(&c), now_seconds() - 60);
                 }),
                 "its issuer CN=Middle has expired", SSL_AD_CERTIFICATE_EXPIRED});
  all.push_back({"of an authority signed with SHA-1", under_odd_authority({}, EVP_sha1()),
                 "its issuer CN=Middle is signed with an algorithm that is not accepted "
                 "(ecdsa-with-SHA1)",
                 SSL_AD_UNSUPPORTED_CERTIFICATE});
  all.push_back({"of an authority for code",
                 under_odd_authority(with_extended_key_usage(NID_code_sign)),
                 "its issuer CN=Middle may not be used as a TLS ", SSL_AD_UNSUPPORTED_CERTIFICATE});
  const TestCa short_one("Short", &ca(), [](CertificateRequest& r) { r.path_length = 0; });
  const TestCa below("Below", &short_one);
  all.push_back({"beyond the path length", odd_chain(leaf({{SanType::kUri, kId}}, {}, below)),
                 "path length", SSL_AD_UNKNOWN_CA});
  all.push_back({"with a chain longer than max_verify_depth",
                 odd_chain(leaf({{SanType::kUri, kId}}, {}, middle)),
                 "its chain is longer than max_verify_depth (0)", SSL_AD_UNKNOWN_CA, Ends::kBoth,
                 Outcome::kChain, with([](ValidationConfig& v) { v.max_verify_depth = 0; })});
  OddChain many = odd_chain(leaf());
  while (many.ders.size() <= Verifier::kMaxPresented) many.ders.push_back(many.ders.front());
  all.push_back({"among too many", std::move(many), "the peer sent 33 certificates, at most 32"});
  const auto constrained = [](std::string_view tree) {
    // NameConstraints: permittedSubtrees [0] or excludedSubtrees [1].
    return under_odd_authority(with_extension(NID_name_constraints, tlv(kSequence, tree), true));
  };
  all.push_back({"outside of the permitted names",
                 constrained(tlv(0xa0, tlv(kSequence, uri_name("elsewhere.local")))),
                 "its CA may not vouch for that name", SSL_AD_CERTIFICATE_UNKNOWN});
  all.push_back({"among the excluded names",
                 constrained(tlv(0xa1, tlv(kSequence, uri_name("mesh.local")))),
                 "its CA may not vouch for that name", SSL_AD_CERTIFICATE_UNKNOWN});
}

void add_times_and_revocation(std::vector<Bad>& all) {
  const int64_t now = now_seconds();
  all.push_back({"expired",
                 odd_chain(leaf({{SanType::kUri, kId}},
                                [&](CertificateRequest& r) { r.not_after = now - 10; })),
                 "has expired: it was valid until ", SSL_AD_CERTIFICATE_EXPIRED});
  all.push_back({"not valid yet",
                 odd_chain(leaf({{SanType::kUri, kId}},
                                [&](CertificateRequest& r) { r.not_before = now + 600; })),
                 "(is a clock wrong?)", SSL_AD_CERTIFICATE_EXPIRED});
  all.push_back({"ended before it began",
                 odd_chain(leaf({{SanType::kUri, kId}},
                                [&](CertificateRequest& r) {
                                  r.not_before = now + 600;
                                  r.not_after = now - 600;
                                })),
                 "is not valid before ", SSL_AD_CERTIFICATE_EXPIRED});
  all.push_back({"dated in another zone", leaf_with([](X509& c) {
                   ASN1_STRING_set(X509_getm_notBefore(&c), "200101000000+0100", 17);
                 }),
                 "has a date that is not in UTC"});
  const Issued revoked = leaf();
  all.push_back({"revoked", odd_chain(revoked), "was revoked", SSL_AD_CERTIFICATE_REVOKED,
                 Ends::kBoth, Outcome::kChain, with([&](ValidationConfig& v) {
                   v.crl_pem = crl_pem(ca(), {revoked.certificate_pem}, now + 3600);
                 })});
  all.push_back({"when the revocation list has expired", odd_chain(leaf()),
                 "the revocation list of its issuer has expired", SSL_AD_CERTIFICATE_EXPIRED,
                 Ends::kBoth, Outcome::kChain,
                 with([&](ValidationConfig& v) { v.crl_pem = crl_pem(ca(), {}, now - 60); })});
  const TestCa middle("Middle", &ca());
  all.push_back({"when an authority has no revocation list",
                 odd_chain(leaf({{SanType::kUri, kId}}, {}, middle)),
                 "there is no revocation list of its issuer", SSL_AD_UNKNOWN_CA, Ends::kBoth,
                 Outcome::kChain,
                 with([&](ValidationConfig& v) { v.crl_pem = crl_pem(ca(), {}, now + 3600); })});
  all.push_back(
      {"of an authority that was revoked", odd_chain(leaf({{SanType::kUri, kId}}, {}, middle)),
       "its issuer CN=Middle was revoked", SSL_AD_CERTIFICATE_REVOKED, Ends::kBoth, Outcome::kChain,
       with([&](ValidationConfig& v) {
         v.crl_pem = crl_pem(ca(), {middle.pem()}, now + 3600) + crl_pem(middle, {}, now + 3600);
       })});
}

void add_uses_and_keys(std::vector<Bad>& all) {
  all.push_back(
      {"for servers only",
       odd_chain(leaf({{SanType::kUri, kId}}, [](CertificateRequest& r) { r.for_client = false; })),
       "may not be used as a TLS client (key usage or extended key usage)",
       SSL_AD_UNSUPPORTED_CERTIFICATE, Ends::kServerOnly});
  for (const auto& [what, nid] : {std::pair{"for code", NID_code_sign},
                                  std::pair{"for any use, by name", NID_anyExtendedKeyUsage}}) {
    all.push_back({what, leaf_with(with_extended_key_usage(nid)), "may not be used as a TLS ",
                   SSL_AD_UNSUPPORTED_CERTIFICATE});
  }
  Bad no_signature{"that may not sign",
                   with_key(ca(), leaf(), rsa_key(2048), with_key_usage("\x08", 3)),
                   "may not sign (key usage without digitalSignature)",
                   SSL_AD_UNSUPPORTED_CERTIFICATE, Ends::kServerOnly};
  no_signature.is_library_s = true;
  all.push_back(std::move(no_signature));
  all.push_back({"that may sign certificates", leaf_with(with_key_usage("\x84", 2)),
                 "has a key usage of a CA", SSL_AD_UNSUPPORTED_CERTIFICATE});
  all.push_back({"of an authority", leaf_with([](X509& c) {
                   with_extension(NID_basic_constraints, tlv(kSequence, "\x01\x01\xff"), true)(c);
                 }),
                 "is of a CA, and not one of the trusted certificates",
                 SSL_AD_UNSUPPORTED_CERTIFICATE});
  Bad root{"that is the CA's own", odd_chain(ca().own()), "may not be used as a TLS client",
           SSL_AD_UNSUPPORTED_CERTIFICATE, Ends::kServerOnly};
  root.is_library_s = true;
  all.push_back(std::move(root));
  all.push_back({"with an RSA key of 1024 bits", with_key(ca(), leaf(), rsa_key(1024)),
                 "has an RSA key of 1024 bits, expected 2048 to 8192",
                 SSL_AD_UNSUPPORTED_CERTIFICATE});
  Bad small_curve{"with a key on P-224", with_key(ca(), leaf(), ec_key(NID_secp224r1)),
                  "has a key on the curve secp224r1, expected P-256",
                  SSL_AD_UNSUPPORTED_CERTIFICATE};
  small_curve.is_library_s = true;
  all.push_back(std::move(small_curve));
  all.push_back({"signed with SHA-1", changed(ca(), leaf(), {}, EVP_sha1()),
                 "is signed with an algorithm that is not accepted (ecdsa-with-SHA1)",
                 SSL_AD_UNSUPPORTED_CERTIFICATE});
  all.push_back({"signed with SHA-1 and RSA",
                 changed(rsa_ca(), leaf({{SanType::kUri, kId}}, {}, rsa_ca()), {}, EVP_sha1()),
                 "is signed with an algorithm that is not accepted (RSA-SHA1)",
                 SSL_AD_UNSUPPORTED_CERTIFICATE});
  all.push_back(
      {"signed with MD5",
       patched(odd_chain(leaf({{SanType::kUri, kId}}, {}, rsa_ca())), kRsaSha256, kRsaMd5, 2),
       "is signed with an algorithm that is not accepted (RSA-MD5)",
       SSL_AD_UNSUPPORTED_CERTIFICATE});
  OddChain damaged = odd_chain(leaf());
  damaged.ders.front().back() ^= 1;
  all.push_back({"with a damaged signature", std::move(damaged), "its signature is wrong",
                 SSL_AD_DECRYPT_ERROR});
  all.push_back(
      {"with a changed name",
       patched(with_uri("spiffe://mesh.local/ns/a"), "mesh.local/ns/a", "mesh.local/ns/b", 1),
       "its signature is wrong", SSL_AD_DECRYPT_ERROR});
}

void add_forms(std::vector<Bad>& all) {
  all.push_back({"with an unknown critical extension",
                 leaf_with(with_private_extension("1.3.6.1.4.1.99999.1", true)),
                 "has a critical extension that is not understood (1.3.6.1.4.1.99999.1)",
                 SSL_AD_UNSUPPORTED_CERTIFICATE});
  all.push_back({"with an unknown extension twice",
                 leaf_with(with_private_extension("1.3.6.1.4.1.99999.1", false, 2)),
                 "has the extension 1.3.6.1.4.1.99999.1 twice"});
  all.push_back({"with more extensions than anybody needs", leaf_with([](X509& c) {
                   // Were each compared with all others, a handshake would take seconds.
                   for (int i = 0; i < 2000; ++i)
                     with_private_extension(str("1.3.6.1.4.1.99999.", i), false)(c);
                 }),
                 " extensions, at most 64 are looked at"});
  all.push_back({"with its names twice", leaf_with([](X509& c) {
                   add_extension(c, NID_subject_alt_name, tlv(kSequence, uri_name(kId)));
                 }),
                 "has the extension X509v3 Subject Alternative Name twice"});
  all.push_back({"with garbage for names",
                 leaf_with(with_extension(NID_subject_alt_name, "\x30\x05\x86\x7fspif", true)),
                 "has a malformed extension"});
  all.push_back({"with garbage for a key usage",
                 leaf_with(with_extension(NID_key_usage, "\x04\x01\x80", true)),
                 "has a malformed extension"});
  all.back().is_library_s = true;
  all.push_back({"with a negative serial number", leaf_with(with_serial("\x05", true)),
                 "has a negative serial number"});
  all.push_back({"with a long serial number", leaf_with(with_serial(std::string(21, '\x11'))),
                 "has a serial number of more than 20 bytes"});
  all.push_back({"of version 1", leaf_with([](X509& c) {
                   while (X509_get_ext_count(&c) > 0) X509_EXTENSION_free(X509_delete_ext(&c, 0));
                   X509_set_version(&c, X509_VERSION_1);
                 }),
                 "is of X.509 version 1, expected 3"});
  all.push_back({"of version 2, with extensions",
                 leaf_with([](X509& c) { X509_set_version(&c, X509_VERSION_2); }), "is malformed"});
  all.push_back({"of version 4",
                 patched(odd_chain(leaf()), std::string_view("\xa0\x03\x02\x01\x02", 5),
                         std::string_view("\xa0\x03\x02\x01\x03", 5), 1),
                 "is malformed"});
  OddChain tail = odd_chain(leaf());
  tail.ders.front() += "x";
  all.push_back({"with a tail", std::move(tail), "is malformed"});
  all.back().is_library_s = true;
  OddChain cut = odd_chain(leaf());
  cut.ders.front().pop_back();
  all.push_back({"cut short", std::move(cut), "is malformed"});
  all.back().is_library_s = true;
}

void add_names(std::vector<Bad>& all) {
  using namespace std::string_literals;
  all.push_back({"with NUL in a DNS name",
                 odd_chain(leaf({{SanType::kUri, kId}, {SanType::kDns, "good.shop\0.evil"s}})),
                 "has NUL or another control byte in a SAN"});
  all.push_back({"with NUL in a URI", with_uri("spiffe://mesh.local/ns/shop\0/evil"s),
                 "has NUL or another control byte in a SAN"});
  all.push_back({"with a line feed in an e-mail address",
                 odd_chain(leaf({{SanType::kUri, kId}, {SanType::kEmail, "a\n@b.org"}})),
                 "has NUL or another control byte in a SAN"});
  all.push_back({"with NUL in its common name", leaf_with(with_common_name("users\0.evil"s)),
                 "has NUL or another control byte in its subject"});
  all.push_back({"with an empty list of names", leaf_with(with_sans("")),
                 "has an empty list of subject alternative names"});
  all.push_back({"with an empty name", leaf_with(with_sans(uri_name(kId) + dns_name(""))),
                 "has an empty SAN"});
  all.push_back({"with an address of five bytes",
                 leaf_with(with_sans(uri_name(kId) + ip_name("\x0a\x01\x01\x01\x01"))),
                 "has an IP SAN of 5 bytes"});
  all.push_back(
      {"with two SPIFFE ids",
       odd_chain(leaf({{SanType::kUri, kId}, {SanType::kUri, "spiffe://mesh.local/root"}})),
       "has 2 URI SANs, a SPIFFE id must be the only one"});
  all.push_back({"with a SPIFFE id behind another URI",
                 odd_chain(leaf({{SanType::kUri, "https://a.b/"}, {SanType::kUri, kId}})),
                 "has 2 URI SANs, a SPIFFE id must be the only one"});
  const std::pair<std::string, const char*> ids[] = {
      {"SPIFFE://mesh.local/ns/a", "expected spiffe://TRUST_DOMAIN/PATH"},
      {"spiffe:mesh.local/ns/a", "expected spiffe://TRUST_DOMAIN/PATH"},
      {"spiffe://mesh.local", "no path"},
      {"spiffe:///ns/a", "trust domain: expected a name"},
      {"spiffe://MESH.local/ns/a", "trust domain: expected lower-case"},
      {"spiffe://root@mesh.local/ns/a", "trust domain: expected lower-case"},
      {"spiffe://mesh.local:443/ns/a", "trust domain: expected lower-case"},
      {"spiffe://mesh.local/ns/a?x=1", "the path may have letters"},
      {"spiffe://mesh.local/ns/a#x", "the path may have letters"},
      {"spiffe://mesh.local/ns/%61", "the path may have letters"},
      {"spiffe://mesh.local/ns/\xc3\xa4", "the path may have letters"},
      {"spiffe://mesh.local/ns/../root", "a segment that is empty, '.' or '..'"},
      {"spiffe://mesh.local/./ns", "a segment that is empty, '.' or '..'"},
      {"spiffe://mesh.local//ns", "a segment that is empty, '.' or '..'"},
      {"spiffe://mesh.local/ns/", "a segment that is empty, '.' or '..'"},
      {"spiffe://mesh.local/" + std::string(2048, 'a'), "longer than 2048 bytes"},
      {"spiffe://" + std::string(256, 'a') + "/a", "a name of 1 to 255 characters"},
  };
  for (const auto& [uri, why] : ids)
    all.push_back({"with the id " + uri.substr(0, 60), with_uri(uri), why});
}

void add_trust_domains(std::vector<Bad>& all) {
  const auto in_domains = [&all](std::string name, OddChain chain, std::string reason,
                                 uint8_t alert) {
    all.push_back({std::move(name), std::move(chain), std::move(reason), alert, Ends::kBoth,
                   Outcome::kChain, by_trust_domain()});
  };
  in_domains("of a trust domain that is not trusted", with_uri("spiffe://elsewhere.local/ns/a"),
             "is of the trust domain elsewhere.local, which is not trusted here",
             SSL_AD_UNKNOWN_CA);
  in_domains("of a trust domain, by the CA of another",
             odd_chain(leaf({{SanType::kUri, kId}}, {}, stranger())),
             "no trusted CA issued it (issuer CN=Stranger, trusted CN=Mesh CA)", SSL_AD_UNKNOWN_CA);
  in_domains("without an id", odd_chain(leaf({{SanType::kDns, "users.shop"}})),
             "has no SPIFFE id (no URI SAN)", SSL_AD_BAD_CERTIFICATE);
  in_domains("with a URI that is no id", with_uri("https://mesh.local/ns/a"),
             "has no valid SPIFFE id: expected spiffe://", SSL_AD_BAD_CERTIFICATE);
  in_domains("of an authority of its domain", leaf_with([](X509& c) {
               with_extension(NID_basic_constraints, tlv(kSequence, "\x01\x01\xff"), true)(c);
             }),
             "is of a CA", SSL_AD_UNSUPPORTED_CERTIFICATE);
}

void add_policies(std::vector<Bad>& all) {
  const auto wants = [&all](std::string name, OddChain chain, SanMatcher matcher,
                            std::string reason) {
    all.push_back({std::move(name), std::move(chain), std::move(reason), SSL_AD_CERTIFICATE_UNKNOWN,
                   Ends::kBoth, Outcome::kSan,
                   with([&](ValidationConfig& v) { v.sans = {std::move(matcher)}; })});
  };
  using Kind = SanMatcher::Kind;
  const SanMatcher mesh_only{SanType::kUri, Kind::kPrefix, false, "spiffe://mesh.local/"};
  wants("of another trust domain", with_uri("spiffe://other.local/ns/a"), mesh_only,
        "has URI SAN spiffe://other.local/ns/a, expected URI SAN with prefix");
  wants("whose trust domain only begins like ours", with_uri("spiffe://mesh.local.evil/ns/a"),
        mesh_only, "expected URI SAN with prefix");
  wants("without a name", odd_chain(leaf({})), mesh_only, "peer certificate has no SAN");
  wants("with its id in the common name only", changed(ca(), leaf({}), with_common_name(kId)),
        mesh_only, "peer certificate has no SAN");
  wants("with its id as a DNS name", odd_chain(leaf({{SanType::kDns, kId}})), mesh_only,
        "has DNS SAN spiffe://");
  wants("with its id as an e-mail address", odd_chain(leaf({{SanType::kEmail, kId}})), mesh_only,
        "has EMAIL SAN spiffe://");
  const SanMatcher host{SanType::kDns, Kind::kExact, false, "a.b.shop"};
  wants("with a wildcard for two labels", odd_chain(leaf({{SanType::kDns, "*.shop"}})), host,
        "has DNS SAN *.shop, expected DNS SAN a.b.shop");
  wants("with a wildcard within a label", odd_chain(leaf({{SanType::kDns, "a*.b.shop"}})), host,
        "has DNS SAN a*.b.shop");
  wants("with a name as an address", odd_chain(leaf({{SanType::kDns, "10.0.0.1"}})),
        {SanType::kIp, Kind::kExact, false, "10.0.0.1"}, "has DNS SAN 10.0.0.1");
  all.push_back({"that is not pinned", odd_chain(leaf()), "is not one of the pinned ones",
                 SSL_AD_CERTIFICATE_UNKNOWN, Ends::kBoth, Outcome::kHash,
                 with([](ValidationConfig& v) { v.certificate_hashes = {Sha256{}}; })});
}

std::vector<Bad> bad_certificates() {
  std::vector<Bad> all;
  add_authorities(all);
  add_times_and_revocation(all);
  add_uses_and_keys(all);
  add_forms(all);
  add_names(all);
  add_trust_domains(all);
  add_policies(all);
  return all;
}

std::unique_ptr<const Verifier> verifier(const ValidationConfig& config,
                                         Role role = Role::kServer) {
  auto made = Verifier::make(config, role);
  EXPECT_TRUE(made) << made.error();
  return std::move(*made);
}

TEST(BadCertificates, AreRefusedForTheirOwnReason) {
  const std::vector<Bad> all = bad_certificates();
  EXPECT_GE(all.size(), 80u);
  for (const Bad& bad : all) {
    SCOPED_TRACE("a certificate " + bad.name);
    for (const Role ours : {Role::kServer, Role::kClient}) {
      if (ours == Role::kClient && bad.ends == Ends::kServerOnly) continue;
      const auto v = verifier(bad.validation ? *bad.validation : mesh(), ours);
      const auto verdict = v->verify(*buffers_of(bad.chain), {}, now_seconds());
      EXPECT_EQ(verdict.outcome, bad.outcome);
      EXPECT_THAT(verdict.reason, HasSubstr(bad.reason));
      EXPECT_EQ(verdict.alert, bad.alert) << verdict.reason;
      EXPECT_EQ(verdict.facts, nullptr);
    }
  }
}

// What is next to the bad ones must pass, or the table would show nothing.
TEST(BadCertificates, TheirGoodNeighboursAreAccepted) {
  const TestCa middle("Middle", &ca());
  struct Good {
    const char* name;
    OddChain chain;
    bool is_of_domain = true;
  };
  const Good all[] = {
      {"plain", odd_chain(leaf())},
      {"signed again", leaf_with({})},
      {"under an authority", odd_chain(leaf({{SanType::kUri, kId}}, {}, middle))},
      {"under an authority that was signed again", under_odd_authority({})},
      {"of an RSA authority", odd_chain(leaf({{SanType::kUri, kId}}, {}, rsa_ca())), false},
      {"signed with SHA-512", changed(ca(), leaf(), {}, EVP_sha512())},
      {"with a larger RSA key", with_key(ca(), leaf(), rsa_key(3072))},
      {"with a key on P-384", with_key(ca(), leaf(), ec_key(NID_secp384r1))},
      {"with a private extension", leaf_with(with_private_extension("1.3.6.1.4.1.99999.1", false))},
      {"with sixty extensions", leaf_with([](X509& c) {
         for (int i = X509_get_ext_count(&c); i < 64; ++i)
           with_private_extension(str("1.3.6.1.4.1.99999.", i), false)(c);
       })},
      {"with a serial number of 20 bytes", leaf_with(with_serial(std::string(20, '\x11')))},
      {"with other names beside its id",
       odd_chain(
           leaf({{SanType::kUri, kId}, {SanType::kDns, "users.shop"}, {SanType::kIp, "::1"}}))},
      {"of the longest id", with_uri("spiffe://mesh.local/" + std::string(2028, 'a'))},
      {"without an id", odd_chain(leaf({{SanType::kDns, "users.shop"}})), false},
      {"with two URIs that are no ids",
       odd_chain(leaf({{SanType::kUri, "https://a/"}, {SanType::kUri, "https://b/"}})), false},
      {"with permitted names",
       under_odd_authority(with_extension(
           NID_name_constraints, tlv(kSequence, tlv(0xa0, tlv(kSequence, uri_name("mesh.local")))),
           true))},
  };
  for (const Good& good : all) {
    SCOPED_TRACE(good.name);
    for (const Role ours : {Role::kServer, Role::kClient}) {
      const auto judged = [&](const ValidationConfig& config) {
        const auto v = verifier(config, ours);
        const auto verdict = v->verify(*buffers_of(good.chain), {}, now_seconds());
        EXPECT_EQ(verdict.outcome, Outcome::kOk) << verdict.reason;
        EXPECT_TRUE(verdict.facts == nullptr || verdict.facts->verified);
      };
      judged(mesh());
      if (good.is_of_domain) judged(by_trust_domain());
    }
  }
}

// Self-signed, as `openssl req -x509` makes it: an authority of its own, and trusted by its owner.
TEST(BadCertificates, ASelfSignedCertificateMayBeTrustedItself) {
  const TestCa self("Self", nullptr,
                    [](CertificateRequest& r) { r.sans = {{SanType::kDns, "users.shop"}}; });
  OddChain chain = changed(self, self.own(), [](X509& c) { remove_extension(c, NID_key_usage); });
  const auto parsed = bssl::UniquePtr<X509>([&] {
    const auto* at = reinterpret_cast<const uint8_t*>(chain.ders[0].data());
    return d2i_X509(nullptr, &at, static_cast<long>(chain.ders[0].size()));
  }());
  ValidationConfig config;
  config.trusted_ca_pem = pem_of(*parsed);
  const auto verdict = verifier(config)->verify(*buffers_of(chain), {}, now_seconds());
  EXPECT_EQ(verdict.outcome, Outcome::kOk) << verdict.reason;
}

// ---- in a handshake ----

// A context of `role` that shows `chain` without judging it, as other programs would.
std::shared_ptr<const Context> careless(Role role, const OddChain& chain) {
  static int number = 0;
  ContextConfig config;
  config.role = role;
  config.validation = ValidationConfig{};
  config.lacks_certificate = role == Role::kServer;
  config.sni = "n" + std::to_string(++number) + ".shop";  // no other context is the same
  const auto made = context(config);
  bssl::UniquePtr<SSL_CREDENTIAL> credential(SSL_CREDENTIAL_new_x509());
  const auto buffers = buffers_of(chain);
  std::vector<CRYPTO_BUFFER*> raw;
  for (CRYPTO_BUFFER* buffer : buffers.get()) raw.push_back(buffer);
  const bool usable = SSL_CREDENTIAL_set1_cert_chain(credential.get(), raw.data(), raw.size()) &&
                      SSL_CREDENTIAL_set1_private_key(credential.get(), chain.key.get()) &&
                      SSL_CTX_add1_credential(made->native(), credential.get());
  ERR_clear_error();
  return usable ? made : nullptr;
}

class BadHandshake : public TransportTest {
 protected:
  void run(const Bad& bad, Role ours) {
    const auto peer = careless(ours == Role::kServer ? Role::kClient : Role::kServer, bad.chain);
    ASSERT_NE(peer, nullptr);
    ContextConfig config = ours == Role::kServer ? server_config() : client_config();
    config.validation = bad.validation ? *bad.validation : mesh();
    const auto own = context(config);
    listener_stats.~ListenerTlsStats();
    new (&listener_stats) stats::ListenerTlsStats();
    cluster_stats.~ClusterTlsStats();
    new (&cluster_stats) stats::ClusterTlsStats();
    const bool is_server = ours == Role::kServer;
    pair = std::make_unique<TlsPair>(loop, is_server ? peer : own, is_server ? own : peer,
                                     TlsTransport::Options{.cluster_stats = &cluster_stats},
                                     TlsTransport::Options{.listener_stats = &listener_stats});
    TlsPeer& judge_end = is_server ? server() : client();
    TlsPeer& other_end = is_server ? client() : server();
    pair->start();
    ASSERT_TRUE(until([&] { return judge_end.closed != 0 && other_end.is_over(); }));
    EXPECT_EQ(judge_end.connected, 0);
    EXPECT_THAT(judge_end.reason, HasSubstr(bad.reason));
    EXPECT_THAT(other_end.reason, HasSubstr(str("the peer sent the alert \"",
                                                SSL_alert_desc_string_long(bad.alert))));
    if (is_server) check_counters(listener_stats, bad.outcome);
    if (!is_server) check_counters(cluster_stats, bad.outcome);
  }
  [[nodiscard]] uint64_t failures() const {
    return listener_stats.fail_verify_error.value() + listener_stats.connection_error.value();
  }
  template <typename Stats>
  static void check_counters(const Stats& s, Outcome outcome) {
    EXPECT_EQ(s.fail_verify_error.value(), outcome == Outcome::kChain ? 1u : 0u);
    EXPECT_EQ(s.fail_verify_san.value(), outcome == Outcome::kSan ? 1u : 0u);
    EXPECT_EQ(s.fail_verify_cert_hash.value(), outcome == Outcome::kHash ? 1u : 0u);
    EXPECT_EQ(s.connection_error.value(), 0u);
    EXPECT_EQ(s.handshake.value(), 0u);
  }
};

TEST_F(BadHandshake, EndsWithTheAlertAndTheCounterAtBothEnds) {
  size_t tried = 0;
  for (const Bad& bad : bad_certificates()) {
    if (bad.is_library_s) continue;  // the next test
    for (const Role ours : {Role::kServer, Role::kClient}) {
      if (ours == Role::kClient && bad.ends == Ends::kServerOnly) continue;
      SCOPED_TRACE("a certificate " + bad.name +
                   (ours == Role::kServer ? ", to a server" : ", to a client"));
      run(bad, ours);
      ++tried;
    }
  }
  EXPECT_GE(tried, 120u);
}

// A message is held until it is whole: 32 certificates of ordinary size, and no more.
TEST_F(BadHandshake, OfAChainAtMostSixtyFourKilobytesAreRead) {
  const auto chain_of_size = [](size_t padding) {
    OddChain chain = odd_chain(leaf());
    const TestCa middle("Middle", &ca());
    const OddChain filler = changed(ca(), middle.own(), [padding](X509& c) {
      add_extension(c, NID_netscape_comment, tlv(0x16, std::string(padding, 'a')));
    });
    while (chain.ders.size() < Verifier::kMaxPresented) chain.ders.push_back(filler.ders[0]);
    return chain;
  };
  for (const bool is_too_large : {false, true}) {
    SCOPED_TRACE(is_too_large);
    const OddChain chain = chain_of_size(is_too_large ? 1800 : 1500);
    ContextConfig config = server_config();
    config.validation = mesh();
    pair = std::make_unique<TlsPair>(loop, careless(Role::kClient, chain), context(config),
                                     TlsTransport::Options{}, TlsTransport::Options{});
    ASSERT_TRUE(pair->shake_hands(loop));
    EXPECT_EQ(server().connected, is_too_large ? 0 : 1) << server().reason;
    EXPECT_EQ(server().reason.find("handshake message is too large") != std::string::npos,
              is_too_large);
  }
}

// What the library keeps from the verifier, or cannot even show, gets in no more than the others.
TEST_F(BadHandshake, OfWhatTheLibrarySeesItselfNothingGetsIn) {
  size_t sent = 0;
  for (const Bad& bad : bad_certificates()) {
    if (!bad.is_library_s) continue;
    SCOPED_TRACE("a certificate " + bad.name);
    const auto peer = careless(Role::kClient, bad.chain);
    if (peer == nullptr) continue;  // the table above judges it
    ++sent;
    ContextConfig config = server_config();
    config.validation = mesh();
    const uint64_t before = failures();
    pair = std::make_unique<TlsPair>(loop, peer, context(config), TlsTransport::Options{},
                                     TlsTransport::Options{.listener_stats = &listener_stats});
    pair->start();
    ASSERT_TRUE(until([&] { return server().is_over() && client().is_over(); }));
    EXPECT_EQ(server().connected, 0);
    EXPECT_EQ(failures(), before + 1);
  }
  EXPECT_GE(sent, 1u);
}

}  // namespace
}  // namespace pillion::tls
