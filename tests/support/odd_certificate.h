#pragma once
// Certificates that no honest authority issues: good ones, changed and signed again.

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/tls/pem.h"
#include "tests/support/test_ca.h"

namespace pillion::tls {

using pillion::testing::now_seconds;
using pillion::testing::TestCa;

inline std::string pem_of(X509& certificate) {
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), &certificate);
  const uint8_t* data = nullptr;
  size_t size = 0;
  BIO_mem_contents(out.get(), &data, &size);
  return {reinterpret_cast<const char*>(data), size};
}

inline void must(bool holds) {
  if (!holds) throw std::runtime_error("the odd certificate cannot be made");
}

// As a peer sends it, leaf first, with the leaf's key.
struct OddChain {
  std::vector<std::string> ders;
  KeyPtr key;
};

inline std::string der_of(const X509& certificate) {
  uint8_t* der = nullptr;
  const int size = i2d_X509(&certificate, &der);
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

inline OddChain odd_chain(const Issued& issued) {
  OddChain chain;
  const auto certificates = parse_certificates(issued.certificate_pem);
  for (const X509Ptr& c : *certificates) chain.ders.push_back(der_of(*c));
  chain.key = std::move(*parse_private_key(issued.key_pem));
  return chain;
}

// Of the leaf alone; intermediates stay as they are.
using Change = std::function<void(X509&)>;

inline OddChain changed(const TestCa& by, const Issued& issued, const Change& change,
                        const EVP_MD* digest = EVP_sha256()) {
  OddChain chain = odd_chain(issued);
  const auto leaf = parse_certificates(issued.certificate_pem);
  const auto ca_key = parse_private_key(by.own().key_pem);
  X509& certificate = *leaf->front();
  if (change) change(certificate);
  must(X509_sign(&certificate, ca_key->get(), digest) != 0);
  chain.ders.front() = der_of(certificate);
  return chain;
}

// ---- changes ----

inline void remove_extension(X509& c, int nid) {
  const int at = X509_get_ext_by_NID(&c, nid, -1);
  if (at >= 0) X509_EXTENSION_free(X509_delete_ext(&c, at));
}

inline void add_extension(X509& c, const ASN1_OBJECT* id, std::string_view der, bool critical) {
  bssl::UniquePtr<ASN1_OCTET_STRING> value(ASN1_OCTET_STRING_new());
  ASN1_OCTET_STRING_set(value.get(), reinterpret_cast<const uint8_t*>(der.data()),
                        static_cast<int>(der.size()));
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509_EXTENSION_create_by_OBJ(nullptr, id, critical ? 1 : 0, value.get()));
  must(X509_add_ext(&c, extension.get(), -1) == 1);
}
inline void add_extension(X509& c, int nid, std::string_view der, bool critical = false) {
  add_extension(c, OBJ_nid2obj(nid), der, critical);
}
inline Change with_extension(int nid, std::string der, bool critical = false) {
  return [=](X509& c) {
    remove_extension(c, nid);
    add_extension(c, nid, der, critical);
  };
}
inline Change with_private_extension(std::string oid, bool critical, int times = 1) {
  return [=](X509& c) {
    bssl::UniquePtr<ASN1_OBJECT> id(OBJ_txt2obj(oid.c_str(), 1));
    for (int i = 0; i < times; ++i)
      add_extension(c, id.get(), std::string_view("\x05\0", 2), critical);
  };
}

// One tag, length and value; at most 65,535 bytes.
inline std::string tlv(uint8_t tag, std::string_view value) {
  std::string out(1, static_cast<char>(tag));
  const size_t n = value.size();
  if (n < 128) {
    out += static_cast<char>(n);
  } else if (n < 256) {
    out += {static_cast<char>(0x81), static_cast<char>(n)};
  } else {
    out += {static_cast<char>(0x82), static_cast<char>(n >> 8), static_cast<char>(n & 255)};
  }
  return out += value;
}
constexpr uint8_t kSequence = 0x30;
// GeneralName, by its context tag.
inline std::string dns_name(std::string_view text) { return tlv(0x82, text); }
inline std::string uri_name(std::string_view text) { return tlv(0x86, text); }
inline std::string ip_name(std::string_view bytes) { return tlv(0x87, bytes); }
inline Change with_sans(const std::string& names) {
  return with_extension(NID_subject_alt_name, tlv(kSequence, names), true);
}
// `bits`: the bytes of the BIT STRING behind the count of unused bits.
inline Change with_key_usage(std::string_view bits, uint8_t unused) {
  return with_extension(NID_key_usage,
                        tlv(0x03, std::string(1, static_cast<char>(unused)) + std::string(bits)),
                        true);
}
inline Change with_extended_key_usage(int nid) {
  const ASN1_OBJECT* id = OBJ_nid2obj(nid);
  const std::string_view raw(reinterpret_cast<const char*>(OBJ_get0_data(id)), OBJ_length(id));
  return with_extension(NID_ext_key_usage, tlv(kSequence, tlv(0x06, raw)));
}
inline Change with_serial(std::string bytes, bool negative = false) {
  return [=](X509& c) {
    bssl::UniquePtr<ASN1_INTEGER> serial(negative ? ASN1_STRING_type_new(V_ASN1_NEG_INTEGER)
                                                  : ASN1_INTEGER_new());
    ASN1_STRING_set(serial.get(), bytes.data(), static_cast<ossl_ssize_t>(bytes.size()));
    must(X509_set_serialNumber(&c, serial.get()) == 1);
  };
}
inline Change with_common_name(std::string text) {
  return [=](X509& c) {
    bssl::UniquePtr<X509_NAME> name(X509_NAME_new());
    X509_NAME_add_entry_by_NID(name.get(), NID_commonName, MBSTRING_UTF8,
                               reinterpret_cast<const uint8_t*>(text.data()),
                               static_cast<ossl_ssize_t>(text.size()), -1, 0);
    X509_set_subject_name(&c, name.get());
  };
}

inline KeyPtr rsa_key(int bits) {
  bssl::UniquePtr<EVP_PKEY_CTX> ctx(EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, nullptr));
  EVP_PKEY* key = nullptr;
  EVP_PKEY_keygen_init(ctx.get());
  EVP_PKEY_CTX_set_rsa_keygen_bits(ctx.get(), bits);
  EVP_PKEY_keygen(ctx.get(), &key);
  return KeyPtr(key);
}
inline KeyPtr ec_key(int curve) {
  bssl::UniquePtr<EVP_PKEY_CTX> ctx(EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nullptr));
  EVP_PKEY* key = nullptr;
  EVP_PKEY_keygen_init(ctx.get());
  EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx.get(), curve);
  EVP_PKEY_keygen(ctx.get(), &key);
  return KeyPtr(key);
}
inline OddChain with_key(const TestCa& by, const Issued& issued, KeyPtr key,
                         const Change& more = {}) {
  OddChain chain = changed(by, issued, [&](X509& c) {
    must(X509_set_pubkey(&c, key.get()) == 1);
    if (more) more(c);
  });
  chain.key = std::move(key);
  return chain;
}
// Bytes of the finished certificate: the signature is then wrong, too.
inline OddChain patched(OddChain chain, std::string_view from, std::string_view to, int times) {
  std::string& der = chain.ders.front();
  for (size_t at = der.find(from); at != der.npos && times > 0; at = der.find(from, at), --times) {
    der.replace(at, from.size(), to);
  }
  must(times == 0);
  return chain;
}

inline bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> buffers_of(const OddChain& chain) {
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> buffers(sk_CRYPTO_BUFFER_new_null());
  for (const std::string& der : chain.ders) {
    bssl::PushToStack(buffers.get(),
                      bssl::UniquePtr<CRYPTO_BUFFER>(CRYPTO_BUFFER_new(
                          reinterpret_cast<const uint8_t*>(der.data()), der.size(), nullptr)));
  }
  return buffers;
}

// A list by `ca` of the certificates with these serial numbers, valid for a day.
inline std::string crl_pem(const TestCa& ca, const std::vector<std::string>& revoked,
                           int64_t next_update) {
  const auto certificates = parse_certificates(ca.pem());
  const auto key = parse_private_key(ca.own().key_pem);
  bssl::UniquePtr<X509_CRL> crl(X509_CRL_new());
  X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name((*certificates)[0].get()));
  bssl::UniquePtr<ASN1_TIME> from(ASN1_TIME_set_posix(nullptr, now_seconds() - 3600));
  bssl::UniquePtr<ASN1_TIME> until(ASN1_TIME_set_posix(nullptr, next_update));
  X509_CRL_set1_lastUpdate(crl.get(), from.get());
  X509_CRL_set1_nextUpdate(crl.get(), until.get());
  for (const std::string& pem : revoked) {
    const auto which = parse_certificates(pem);
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get0_serialNumber((*which)[0].get()));
    X509_REVOKED_set_revocationDate(entry, from.get());
    X509_CRL_add0_revoked(crl.get(), entry);
  }
  X509_CRL_sort(crl.get());
  must(X509_CRL_sign(crl.get(), key->get(), EVP_sha256()) != 0);
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_CRL(out.get(), crl.get());
  const uint8_t* data = nullptr;
  size_t size = 0;
  BIO_mem_contents(out.get(), &data, &size);
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace pillion::tls
