#include "proxy/tls/peer_certificate.h"

#include <openssl/digest.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

namespace pillion::tls {
namespace {

struct HeldCertificate : io::PeerCertificate {
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> buffers;  // of `chain`
};

std::vector<std::string>* names_of(io::PeerCertificate& certificate, SanType type) noexcept {
  switch (type) {
    case SanType::kUri:
      return &certificate.uri_sans;
    case SanType::kDns:
      return &certificate.dns_sans;
    case SanType::kIp:
      return &certificate.ip_sans;
    case SanType::kEmail:
      return &certificate.email_sans;
  }
  return nullptr;
}

std::string sha1_of(const x509_st& certificate) {
  uint8_t digest[SHA_DIGEST_LENGTH];
  unsigned size = sizeof digest;
  if (!X509_digest(&certificate, EVP_sha1(), digest, &size)) return {};
  return hex({reinterpret_cast<const char*>(digest), size});
}

}  // namespace

std::shared_ptr<const io::PeerCertificate> make_peer_certificate(
    const CertificateInfo& info, const x509_st& leaf, const stack_st_CRYPTO_BUFFER* chain) {
  auto out = std::make_shared<HeldCertificate>();
  for (const San& san : info.sans) {
    if (auto* names = names_of(*out, san.type)) names->push_back(san.text);
  }
  out->subject = info.subject;
  out->issuer = info.issuer;
  out->serial = info.serial;
  out->sha256 = info.sha256;
  out->sha1 = sha1_of(leaf);
  out->not_before = info.not_before;
  out->not_after = info.not_after;
  if (chain == nullptr) return out;
  for (CRYPTO_BUFFER* buffer : chain) {
    out->buffers.push_back(bssl::UpRef(buffer));
    out->chain.emplace_back(reinterpret_cast<const char*>(CRYPTO_BUFFER_data(buffer)),
                            CRYPTO_BUFFER_len(buffer));
  }
  return out;
}

}  // namespace pillion::tls
