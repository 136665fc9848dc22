#include "proxy/tls/pem.h"

#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "proxy/base/str.h"

namespace pillion::tls {
namespace {

bssl::UniquePtr<BIO> memory(std::string_view text) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<ossl_ssize_t>(text.size())));
}

// Why the PEM reader stopped: at the end of the text (empty), or at something broken.
std::string take_error() {
  const uint32_t error = ERR_peek_last_error();
  ERR_clear_error();
  if (error == 0 ||
      (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE)) {
    return {};
  }
  const char* reason = ERR_reason_error_string(error);
  return reason == nullptr ? "damaged PEM text" : reason;
}

// A key that asks for a password is refused instead of prompting on the terminal.
int no_password(char*, int, int, void*) { return -1; }

Status<> check_strength(EVP_PKEY* key) {
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
      if (EVP_PKEY_bits(key) >= 2048) return Ok{};
      return Error{str("an RSA key of ", EVP_PKEY_bits(key), " bits, at least 2048 are needed")};
    case EVP_PKEY_EC:
    case EVP_PKEY_ED25519:
      return Ok{};
    default:
      return Error{"a key of an unsupported type (expected RSA, ECDSA or Ed25519)"};
  }
}

}  // namespace

void FreeOpenssl::operator()(x509_st* p) const noexcept { X509_free(p); }
void FreeOpenssl::operator()(X509_crl_st* p) const noexcept { X509_CRL_free(p); }
void FreeOpenssl::operator()(evp_pkey_st* p) const noexcept { EVP_PKEY_free(p); }

Result<std::vector<X509Ptr>> parse_certificates(std::string_view pem) {
  ERR_clear_error();
  const auto in = memory(pem);
  std::vector<X509Ptr> found;
  while (X509* c = PEM_read_bio_X509(in.get(), nullptr, no_password, nullptr))
    found.emplace_back(c);
  if (std::string why = take_error(); !why.empty()) {
    return Error{str("certificate ", found.size() + 1, " cannot be read: ", why)};
  }
  if (found.empty()) return Error{"no certificate in it (expected -----BEGIN CERTIFICATE-----)"};
  return found;
}

Result<std::vector<CrlPtr>> parse_crls(std::string_view pem) {
  ERR_clear_error();
  const auto in = memory(pem);
  std::vector<CrlPtr> found;
  while (X509_CRL* c = PEM_read_bio_X509_CRL(in.get(), nullptr, no_password, nullptr)) {
    found.emplace_back(c);
  }
  if (std::string why = take_error(); !why.empty()) {
    return Error{str("revocation list ", found.size() + 1, " cannot be read: ", why)};
  }
  if (found.empty()) return Error{"no revocation list in it (expected -----BEGIN X509 CRL-----)"};
  return found;
}

Result<KeyPtr> parse_private_key(std::string_view pem) {
  ERR_clear_error();
  if (pem.find("ENCRYPTED") != pem.npos)
    return Error{"the key is encrypted, which is not supported"};
  const auto in = memory(pem);
  KeyPtr key(PEM_read_bio_PrivateKey(in.get(), nullptr, no_password, nullptr));
  if (key == nullptr) {
    const std::string why = take_error();
    if (why.empty()) return Error{"no private key in it (expected -----BEGIN PRIVATE KEY-----)"};
    return Error{str("the private key cannot be read: ", why)};
  }
  ERR_clear_error();
  if (auto ok = check_strength(key.get()); !ok) return Error{ok.error()};
  return key;
}

Status<> check_key_matches(const x509_st& leaf, const evp_pkey_st& key) {
  const bool same = X509_check_private_key(&leaf, &key) == 1;
  ERR_clear_error();
  if (!same) return Error{"the private key does not belong to the certificate"};
  return Ok{};
}

Status<> check_key_matches(std::string_view chain_pem, std::string_view key_pem) {
  auto chain = parse_certificates(chain_pem);
  if (!chain) return Error{chain.error()};
  auto key = parse_private_key(key_pem);
  if (!key) return Error{key.error()};
  return check_key_matches(*chain->front(), **key);
}

}  // namespace pillion::tls
