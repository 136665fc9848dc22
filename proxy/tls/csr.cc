#include "proxy/tls/csr.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "proxy/base/str.h"
#include "proxy/tls/issue_parts.h"

namespace pillion::tls {
namespace {

Error<std::string> failed(std::string_view what) {
  const char* why = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return Error{why == nullptr ? std::string(what) : str(what, ": ", why)};
}

Status<> add_names(X509_REQ* request, const std::vector<San>& sans) {
  if (sans.empty()) return Ok{};
  auto names = to_general_names(sans);
  if (!names) return Error{names.error()};
  // Critical, as the subject is empty (RFC 5280, 4.2.1.6).
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509V3_EXT_i2d(NID_subject_alt_name, /*crit=*/1, names->get()));
  bssl::UniquePtr<STACK_OF(X509_EXTENSION)> extensions(sk_X509_EXTENSION_new_null());
  if (!extension || !extensions || !bssl::PushToStack(extensions.get(), std::move(extension)) ||
      !X509_REQ_add_extensions(request, extensions.get())) {
    return failed("the names cannot be encoded");
  }
  return Ok{};
}

// Of a key that a stranger chose.
Status<> check_public_key(EVP_PKEY* key) {
  if (key == nullptr) return failed("its key cannot be read");
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_EC:
    case EVP_PKEY_ED25519:
      return Ok{};
    case EVP_PKEY_RSA: {
      constexpr int kMostBits = 8192;
      const int bits = EVP_PKEY_bits(key);
      if (bits >= 2048 && bits <= kMostBits) return Ok{};
      return Error{str("an RSA key of ", bits, " bits, 2048 to ", kMostBits, " are needed")};
    }
    default:
      return Error{"a key of an unsupported type (expected RSA, ECDSA or Ed25519)"};
  }
}

}  // namespace

Result<SigningRequest> make_signing_request(KeyType type, const std::vector<San>& sans,
                                            const std::atomic<bool>* stop) {
  ERR_clear_error();
  const KeyPtr key = make_key(type, stop);
  bssl::UniquePtr<X509_REQ> request(X509_REQ_new());
  if (!key || !request) return failed("no key");
  if (!X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) ||
      !X509_REQ_set_pubkey(request.get(), key.get())) {
    return failed("the request cannot be made");
  }
  if (auto ok = add_names(request.get(), sans); !ok) return Error{ok.error()};
  const EVP_MD* digest = type == KeyType::kEd25519 ? nullptr : EVP_sha256();
  if (!X509_REQ_sign(request.get(), key.get(), digest)) return failed("signature");
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!out || !PEM_write_bio_X509_REQ(out.get(), request.get()) ||
      !BIO_mem_contents(out.get(), &data, &size)) {
    return failed("the request cannot be written");
  }
  return SigningRequest{std::string(reinterpret_cast<const char*>(data), size),
                        private_key_pem(*key)};
}

Result<std::string> sign_request(std::string_view csr_pem, const CertificateRequest& request,
                                 const Issued& issuer) {
  ERR_clear_error();
  bssl::UniquePtr<BIO> in(
      BIO_new_mem_buf(csr_pem.data(), static_cast<ossl_ssize_t>(csr_pem.size())));
  bssl::UniquePtr<X509_REQ> csr(PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr));
  if (csr == nullptr) {
    ERR_clear_error();
    return Error{"no certificate request in it (expected -----BEGIN CERTIFICATE REQUEST-----)"};
  }
  EVP_PKEY* key = X509_REQ_get0_pubkey(csr.get());
  if (auto ok = check_public_key(key); !ok) return Error{ok.error()};
  if (X509_REQ_verify(csr.get(), key) != 1) {
    ERR_clear_error();
    return Error{"it is not signed by its own key"};
  }
  return certify(*key, request, &issuer);
}

}  // namespace pillion::tls
