#pragma once
// OCSP responses, and certificates that demand one.  Tests that include it link BoringSSL.

#include <ctime>
#include <string>

#include "proxy/tls/ocsp.h"
#include "tests/support/odd_certificate.h"

namespace pillion::tls::ocsp {

inline std::string time_tlv(int64_t seconds) {
  const time_t t = seconds;
  tm parts{};
  gmtime_r(&t, &parts);
  char text[32];
  return tlv(0x18, {text, strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &parts)});
}

// What it says; an honest one by default.
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

// OCSPResponse in DER, unsigned: a server does not look at the signature.
inline std::string encode(const Response& r) {
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

// A leaf that demands a staple (RFC 7633).
inline CertificateConfig must_staple(const TestCa& ca, const std::string& uri) {
  const Issued issued = ca.issue({{SanType::kUri, uri}});
  const auto key = parse_private_key(issued.key_pem);
  const auto certificates = parse_certificates(issued.certificate_pem);
  X509& leaf = *certificates->front();
  bssl::UniquePtr<ASN1_OBJECT> id(OBJ_txt2obj("1.3.6.1.5.5.7.1.24", 1));
  add_extension(leaf, id.get(), "\x30\x03\x02\x01\x05", false);
  const auto ca_key = parse_private_key(ca.own().key_pem);
  must(X509_sign(&leaf, ca_key->get(), EVP_sha256()) != 0);
  return {pem_of(leaf), issued.key_pem, "<test>"};
}

}  // namespace pillion::tls::ocsp
