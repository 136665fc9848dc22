// Certificates as peers may send them: the input is a TBSCertificate, which the CA of this process
// signs, so that what is behind the signature is reached, too.  The first byte says who judges, and
// whether the signature is damaged:
//   bit 0   we are the client, else the server
//   bit 1   bundles are by trust domain
//   bit 2   the signature is damaged
//   bit 3   the input is the whole certificate, as it is
//
// Whatever comes: nobody crashes, what is not signed by the CA is never accepted, and what is
// accepted is of one spelling.
#include <openssl/asn1.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/io/peer_certificate.h"
#include "proxy/tls/spiffe_id.h"
#include "proxy/tls/verify.h"
#include "tests/support/odd_certificate.h"

using namespace pillion;
using namespace pillion::tls;

namespace {

// The seeds are valid then.
constexpr int64_t kNow = 1'800'000'000;

void require(bool what) {
  if (!what) std::abort();
}

// Without a key id: those of the seeds are of other keys.
struct FuzzCa {
  FuzzCa() {
    const TestCa made("Fuzz CA", nullptr, [](CertificateRequest& r) {
      r.not_before = kNow - 86400;
      r.not_after = kNow + 86400;
    });
    key = std::move(*parse_private_key(made.own().key_pem));
    const auto parsed = parse_certificates(made.pem());
    X509& certificate = *parsed->front();
    remove_extension(certificate, NID_subject_key_identifier);
    remove_extension(certificate, NID_authority_key_identifier);
    X509_sign(&certificate, key.get(), EVP_sha256());
    pem = pem_of(certificate);
  }
  KeyPtr key;
  std::string pem;
};

const FuzzCa& ca() {
  static const FuzzCa it;
  return it;
}

const Verifier& verifier(bool is_client, bool by_domain) {
  static std::unique_ptr<const Verifier> all[4];
  std::unique_ptr<const Verifier>& v = all[(is_client ? 1 : 0) + (by_domain ? 2 : 0)];
  if (v == nullptr) {
    ValidationConfig config;
    if (by_domain) config.trust_domains = {{"mesh.local", ca().pem}};
    if (!by_domain) config.trusted_ca_pem = ca().pem;
    v = std::move(*Verifier::make(config, is_client ? Role::kClient : Role::kServer));
  }
  return *v;
}

std::string signed_by_ca(std::string_view tbs, bool damaged) {
  bssl::ScopedEVP_MD_CTX ctx;
  uint8_t signature[256];
  size_t size = sizeof signature;
  require(EVP_DigestSignInit(ctx.get(), nullptr, EVP_sha256(), nullptr, ca().key.get()) == 1);
  require(EVP_DigestSign(ctx.get(), signature, &size, reinterpret_cast<const uint8_t*>(tbs.data()),
                         tbs.size()) == 1);
  if (damaged) signature[size - 1] ^= 1;
  std::string bits(1, '\0');
  bits.append(reinterpret_cast<const char*>(signature), size);
  constexpr std::string_view kEcdsaSha256("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", 12);
  return tlv(kSequence, std::string(tbs) + std::string(kEcdsaSha256) + tlv(0x03, bits));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 60'000) return 0;
  const unsigned how = data[0];
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  const bool damaged = (how & 4) != 0;
  const bool as_it_is = (how & 8) != 0;
  OddChain chain;
  chain.ders = {as_it_is ? std::string(input) : signed_by_ca(input, damaged)};
  const bool by_domain = (how & 2) != 0;
  const auto verdict = verifier((how & 1) != 0, by_domain).verify(*buffers_of(chain), {}, kNow);
  ERR_clear_error();
  if (verdict.outcome != Verifier::Outcome::kOk) {
    require(!verdict.reason.empty() && verdict.facts == nullptr);
    require(verdict.reason.size() <= 700);
    return 0;
  }
  require(!damaged && !as_it_is);
  const PeerFacts& facts = *verdict.facts;
  require(facts.verified && facts.valid_from <= kNow && facts.valid_until > kNow);
  const io::PeerCertificate& leaf = *facts.certificate;
  std::vector<std::string> names = {leaf.subject, leaf.issuer};
  for (const auto* sans : {&leaf.uri_sans, &leaf.dns_sans, &leaf.email_sans})
    names.insert(names.end(), sans->begin(), sans->end());
  for (const std::string& name : names) {
    for (const char c : name) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
  const std::string uri = leaf.uri_sans.empty() ? "" : leaf.uri_sans.front();
  if (by_domain || claims_to_be_spiffe(uri)) {
    const auto domain = trust_domain_of(uri);
    require(static_cast<bool>(domain) && (!by_domain || *domain == "mesh.local"));
  }
  return 0;
}
