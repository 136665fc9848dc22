#include "proxy/tls/issue.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha2.h>
#include <openssl/x509.h>

#include "proxy/base/str.h"
#include "proxy/tls/issue_parts.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/random.h"

namespace pillion::tls {
namespace {

// Positive, 127 random bits (RFC 5280, 4.1.2.2).
bool set_serial(X509* cert) {
  uint8_t raw[16];
  random_bytes(raw);
  raw[0] = static_cast<uint8_t>((raw[0] & 0x7f) | 0x40);
  bssl::UniquePtr<ASN1_INTEGER> serial(ASN1_INTEGER_new());
  return serial && ASN1_STRING_set(serial.get(), raw, sizeof raw) &&
         X509_set_serialNumber(cert, serial.get());
}

bool set_name(X509_NAME* name, const std::string& common_name) {
  return common_name.empty() ||
         X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const uint8_t*>(common_name.data()),
                                    static_cast<ossl_ssize_t>(common_name.size()), -1, 0);
}

template <typename T>
bool add_extension(X509* cert, int nid, const T* value, bool critical) {
  return value != nullptr && X509_add1_ext_i2d(cert, nid, const_cast<T*>(value), critical, 0) == 1;
}

bool add_basic_constraints(X509* cert, const CertificateRequest& request) {
  bssl::UniquePtr<BASIC_CONSTRAINTS> basic(BASIC_CONSTRAINTS_new());
  basic->ca = request.is_ca ? ASN1_BOOLEAN_TRUE : ASN1_BOOLEAN_FALSE;
  if (request.is_ca && request.path_length >= 0) {
    basic->pathlen = ASN1_INTEGER_new();
    ASN1_INTEGER_set_int64(basic->pathlen, request.path_length);
  }
  return add_extension(cert, NID_basic_constraints, basic.get(), true);
}

bool add_usage(X509* cert, const CertificateRequest& request) {
  bssl::UniquePtr<ASN1_BIT_STRING> usage(ASN1_BIT_STRING_new());
  const auto allow = [&usage](int bit) { ASN1_BIT_STRING_set_bit(usage.get(), bit, 1); };
  constexpr int kDigitalSignature = 0;
  constexpr int kKeyCertSign = 5;
  constexpr int kCrlSign = 6;
  if (request.is_ca) {
    allow(kKeyCertSign);
    allow(kCrlSign);
  } else {
    allow(kDigitalSignature);
  }
  if (!add_extension(cert, NID_key_usage, usage.get(), true)) return false;
  if (request.is_ca || (!request.for_server && !request.for_client)) return true;
  bssl::UniquePtr<EXTENDED_KEY_USAGE> extended(sk_ASN1_OBJECT_new_null());
  if (request.for_server) sk_ASN1_OBJECT_push(extended.get(), OBJ_nid2obj(NID_server_auth));
  if (request.for_client) sk_ASN1_OBJECT_push(extended.get(), OBJ_nid2obj(NID_client_auth));
  return add_extension(cert, NID_ext_key_usage, extended.get(), false);
}

// Null if the text does not suit its type.
bssl::UniquePtr<GENERAL_NAME> to_general_name(const San& san) {
  const auto kind = [](SanType type) {
    switch (type) {
      case SanType::kEmail:
        return GEN_EMAIL;
      case SanType::kDns:
        return GEN_DNS;
      case SanType::kUri:
        return GEN_URI;
      case SanType::kIp:
        return GEN_IPADD;
    }
    UNREACHABLE();
  }(san.type);
  std::string bytes = san.text;
  if (san.type == SanType::kIp) {
    const bool v6 = san.text.find(':') != san.text.npos;
    bytes.resize(v6 ? 16 : 4);
    if (inet_pton(v6 ? AF_INET6 : AF_INET, san.text.c_str(), bytes.data()) != 1) return nullptr;
  }
  ASN1_STRING* value =
      ASN1_STRING_type_new(kind == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
  ASN1_STRING_set(value, bytes.data(), static_cast<ossl_ssize_t>(bytes.size()));
  bssl::UniquePtr<GENERAL_NAME> name(GENERAL_NAME_new());
  GENERAL_NAME_set0_value(name.get(), kind, value);
  return name;
}

Status<> add_names(X509* cert, const CertificateRequest& request) {
  if (request.sans.empty()) return Ok{};
  auto names = to_general_names(request.sans);
  if (!names) return Error{names.error()};
  if (!add_extension(cert, NID_subject_alt_name, names->get(), request.common_name.empty()))
    return Error{"the names cannot be encoded"};
  return Ok{};
}

// Identifies a key in the certificates that it signs: hash of the public key (RFC 5280, 4.2.1.2).
bssl::UniquePtr<ASN1_OCTET_STRING> key_id(const X509* cert) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  const ASN1_BIT_STRING* bits = X509_get0_pubkey_bitstr(cert);
  SHA256(ASN1_STRING_get0_data(bits), static_cast<size_t>(ASN1_STRING_length(bits)), digest);
  bssl::UniquePtr<ASN1_OCTET_STRING> id(ASN1_OCTET_STRING_new());
  ASN1_OCTET_STRING_set(id.get(), digest, 20);
  return id;
}

bool add_key_ids(X509* cert, const X509* issuer) {
  if (!add_extension(cert, NID_subject_key_identifier, key_id(cert).get(), false)) return false;
  bssl::UniquePtr<AUTHORITY_KEYID> authority(AUTHORITY_KEYID_new());
  authority->keyid = key_id(issuer).release();
  return add_extension(cert, NID_authority_key_identifier, authority.get(), false);
}

template <typename F>
std::string to_pem(F&& write) {
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!out || !write(out.get()) || !BIO_mem_contents(out.get(), &data, &size)) return {};
  return {reinterpret_cast<const char*>(data), size};
}

Error<std::string> failed(std::string_view what) {
  const char* why = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return Error{str("the certificate cannot be made: ", what, why == nullptr ? "" : " ",
                   why == nullptr ? "" : why)};
}

}  // namespace

namespace {

// `curve`: of EVP_PKEY_EC.
KeyPtr make_small_key(int kind, int curve) {
  bssl::UniquePtr<EVP_PKEY_CTX> ctx(EVP_PKEY_CTX_new_id(kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (!ctx || !EVP_PKEY_keygen_init(ctx.get())) return nullptr;
  if (kind == EVP_PKEY_EC && !EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx.get(), curve))
    return nullptr;
  EVP_PKEY_keygen(ctx.get(), &key);
  return KeyPtr(key);
}

KeyPtr make_rsa_key(int bits, const std::atomic<bool>* stop) {
  bssl::UniquePtr<RSA> rsa(RSA_new());
  bssl::UniquePtr<BIGNUM> exponent(BN_new());
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  BN_GENCB progress;
  BN_GENCB_set(
      &progress,
      [](int, int, BN_GENCB* self) {
        const auto* flag = static_cast<const std::atomic<bool>*>(BN_GENCB_get_arg(self));
        return flag == nullptr || !flag->load(std::memory_order_relaxed) ? 1 : 0;
      },
      const_cast<std::atomic<bool>*>(stop));
  if (!rsa || !exponent || !key || !BN_set_word(exponent.get(), RSA_F4) ||
      !RSA_generate_key_ex(rsa.get(), bits, exponent.get(), &progress) ||
      !EVP_PKEY_set1_RSA(key.get(), rsa.get())) {
    return nullptr;
  }
  return KeyPtr(key.release());
}

}  // namespace

KeyPtr make_key(KeyType type, const std::atomic<bool>* stop) {
  switch (type) {
    case KeyType::kP256:
      return make_small_key(EVP_PKEY_EC, NID_X9_62_prime256v1);
    case KeyType::kP384:
      return make_small_key(EVP_PKEY_EC, NID_secp384r1);
    case KeyType::kRsa2048:
      return make_rsa_key(2048, stop);
    case KeyType::kRsa4096:
      return make_rsa_key(4096, stop);
    case KeyType::kEd25519:
      return make_small_key(EVP_PKEY_ED25519, 0);
  }
  UNREACHABLE();
}

void FreeGeneralNames::operator()(stack_st_GENERAL_NAME* names) const noexcept {
  sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
}

Result<GeneralNamesPtr> to_general_names(const std::vector<San>& sans) {
  GeneralNamesPtr names(sk_GENERAL_NAME_new_null());
  for (const San& san : sans) {
    auto name = to_general_name(san);
    if (name == nullptr)
      return Error{str("not a name of type ", to_string(san.type), ": ", san.text)};
    sk_GENERAL_NAME_push(names.get(), name.release());
  }
  return names;
}

std::string private_key_pem(evp_pkey_st& key) {
  return to_pem([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, &key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

Result<std::string> certify(evp_pkey_st& key, const CertificateRequest& request,
                            const Issued* issuer) {
  bssl::UniquePtr<X509> cert(X509_new());
  if (!cert) return failed("no memory");
  KeyPtr issuer_key;
  X509Ptr issuer_cert;
  if (issuer != nullptr) {
    auto certificates = parse_certificates(issuer->certificate_pem);
    if (!certificates) return Error{str("the CA's certificate: ", certificates.error())};
    auto parsed_key = parse_private_key(issuer->key_pem);
    if (!parsed_key) return Error{str("the CA's key: ", parsed_key.error())};
    issuer_cert = std::move(certificates->front());
    issuer_key = std::move(*parsed_key);
  }
  const X509* by = issuer_cert ? issuer_cert.get() : cert.get();
  EVP_PKEY* signing_key = issuer_key ? issuer_key.get() : &key;
  if (!X509_set_version(cert.get(), X509_VERSION_3) || !set_serial(cert.get()) ||
      !set_name(X509_get_subject_name(cert.get()), request.common_name) ||
      !X509_set_issuer_name(cert.get(), X509_get_subject_name(by)) ||
      !ASN1_TIME_set_posix(X509_getm_notBefore(cert.get()), request.not_before) ||
      !ASN1_TIME_set_posix(X509_getm_notAfter(cert.get()), request.not_after) ||
      !X509_set_pubkey(cert.get(), &key)) {
    return failed("subject or dates");
  }
  if (auto ok = add_names(cert.get(), request); !ok) return Error{ok.error()};
  if (!add_basic_constraints(cert.get(), request) || !add_usage(cert.get(), request) ||
      !add_key_ids(cert.get(), by)) {
    return failed("extensions");
  }
  const EVP_MD* digest = EVP_PKEY_id(signing_key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
  if (!X509_sign(cert.get(), signing_key, digest)) return failed("signature");
  return to_pem([&](BIO* out) { return PEM_write_bio_X509(out, cert.get()); });
}

Result<Issued> issue(const CertificateRequest& request, const Issued* issuer) {
  const KeyPtr key = make_key(request.key);
  if (!key) return failed("no key");
  auto certificate = certify(*key, request, issuer);
  if (!certificate) return Error{certificate.error()};
  return Issued{std::move(*certificate), private_key_pem(*key)};
}

}  // namespace pillion::tls
