#include "proxy/tls/signature.h"

#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include <utility>

#include "proxy/base/str.h"

namespace pillion::tls {
namespace {

using Algorithm = SignatureAlgorithm;

constexpr std::pair<std::string_view, Algorithm> kAlgorithms[] = {
    {"RS256", Algorithm::kRs256}, {"RS384", Algorithm::kRs384}, {"RS512", Algorithm::kRs512},
    {"PS256", Algorithm::kPs256}, {"PS384", Algorithm::kPs384}, {"PS512", Algorithm::kPs512},
    {"ES256", Algorithm::kEs256}, {"ES384", Algorithm::kEs384}, {"ES512", Algorithm::kEs512},
    {"EdDSA", Algorithm::kEdDsa},
};

const uint8_t* bytes(std::string_view text) noexcept {
  return reinterpret_cast<const uint8_t*>(text.data());
}

bssl::UniquePtr<BIGNUM> number(std::string_view big_endian) {
  return bssl::UniquePtr<BIGNUM>(BN_bin2bn(bytes(big_endian), big_endian.size(), nullptr));
}

// Null for Ed25519, which hashes for itself.
const EVP_MD* digest_of(Algorithm algorithm) noexcept {
  switch (algorithm) {
    case Algorithm::kRs256:
    case Algorithm::kPs256:
    case Algorithm::kEs256:
      return EVP_sha256();
    case Algorithm::kRs384:
    case Algorithm::kPs384:
    case Algorithm::kEs384:
      return EVP_sha384();
    case Algorithm::kRs512:
    case Algorithm::kPs512:
    case Algorithm::kEs512:
      return EVP_sha512();
    case Algorithm::kEdDsa:
      break;
  }
  return nullptr;
}

KeyKind kind_for(Algorithm algorithm) noexcept {
  switch (algorithm) {
    case Algorithm::kEs256:
      return KeyKind::kP256;
    case Algorithm::kEs384:
      return KeyKind::kP384;
    case Algorithm::kEs512:
      return KeyKind::kP521;
    case Algorithm::kEdDsa:
      return KeyKind::kEd25519;
    default:
      return KeyKind::kRsa;
  }
}

bool is_pss(Algorithm algorithm) noexcept {
  return algorithm == Algorithm::kPs256 || algorithm == Algorithm::kPs384 ||
         algorithm == Algorithm::kPs512;
}

bool verify_ecdsa(EVP_PKEY* key, const EVP_MD* digest, std::string_view text,
                  std::string_view signature) noexcept {
  uint8_t hash[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), hash, &size, digest, nullptr) != 1) return false;
  return ECDSA_verify_p1363(hash, size, bytes(signature), signature.size(),
                            EVP_PKEY_get0_EC_KEY(key)) == 1;
}

// RSA, and Ed25519 with a null digest.
bool verify_digest(EVP_PKEY* key, const EVP_MD* digest, bool pss, std::string_view text,
                   std::string_view signature) noexcept {
  bssl::ScopedEVP_MD_CTX context;
  EVP_PKEY_CTX* options = nullptr;
  if (EVP_DigestVerifyInit(context.get(), &options, digest, nullptr, key) != 1) return false;
  // The salt is as long as the digest, nothing else (RFC 7518, 3.5).
  if (pss && (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
              EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1 ||
              EVP_PKEY_CTX_set_rsa_mgf1_md(options, digest) != 1)) {
    return false;
  }
  return EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(text),
                          text.size()) == 1;
}

// What a failed call left; the next reader of the queue must not take it for its own.
template <typename T>
T forget_errors(T result) {
  ERR_clear_error();
  return result;
}

struct Curve {
  int nid;
  size_t field_bytes;
};
Curve curve_of(KeyKind kind) noexcept {
  if (kind == KeyKind::kP384) return {NID_secp384r1, 48};
  if (kind == KeyKind::kP521) return {NID_secp521r1, 66};
  return {NID_X9_62_prime256v1, 32};
}

}  // namespace

std::optional<SignatureAlgorithm> find_signature_algorithm(std::string_view name) noexcept {
  for (const auto& [text, algorithm] : kAlgorithms) {
    if (text == name) return algorithm;
  }
  return std::nullopt;
}

void PublicKey::Free::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

Result<PublicKey> PublicKey::rsa(std::string_view n, std::string_view e) {
  const auto modulus = number(n);
  const auto exponent = number(e);
  if (modulus == nullptr || exponent == nullptr) return forget_errors(Error{"no RSA key"});
  const unsigned bits = BN_num_bits(modulus.get());
  if (bits < kMinRsaBits || bits > kMaxRsaBits) {
    return Error{
        str("an RSA key of ", bits, " bits, ", kMinRsaBits, " to ", kMaxRsaBits, " are allowed")};
  }
  if (!BN_is_word(exponent.get(), 3) && !BN_is_word(exponent.get(), 65537))
    return Error{"an RSA key whose exponent is neither 3 nor 65537"};
  const bssl::UniquePtr<RSA> rsa(RSA_new_public_key(modulus.get(), exponent.get()));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (rsa == nullptr || key == nullptr || EVP_PKEY_set1_RSA(key.get(), rsa.get()) != 1)
    return forget_errors(Error{"no RSA key"});
  return PublicKey(KeyKind::kRsa, key.release());
}

Result<PublicKey> PublicKey::ec(KeyKind curve, std::string_view x, std::string_view y) {
  const auto [nid, field_bytes] = curve_of(curve);
  // RFC 7518, 6.2.1.2: of full size, leading zeros included.
  if (x.size() != field_bytes || y.size() != field_bytes)
    return Error{str("coordinates of an EC key must have ", field_bytes, " bytes on its curve")};
  const auto x_number = number(x);
  const auto y_number = number(y);
  const bssl::UniquePtr<EC_KEY> point(EC_KEY_new_by_curve_name(nid));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (x_number == nullptr || y_number == nullptr || point == nullptr || key == nullptr ||
      EC_KEY_set_public_key_affine_coordinates(point.get(), x_number.get(), y_number.get()) != 1 ||
      EVP_PKEY_set1_EC_KEY(key.get(), point.get()) != 1) {
    return forget_errors(Error{"an EC key that is no point of its curve"});
  }
  return PublicKey(curve, key.release());
}

Result<PublicKey> PublicKey::ed25519(std::string_view x) {
  if (x.size() != ED25519_PUBLIC_KEY_LEN)
    return Error{str("an Ed25519 key must have ", ED25519_PUBLIC_KEY_LEN, " bytes")};
  bssl::UniquePtr<EVP_PKEY> key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(x), x.size()));
  if (key == nullptr) return forget_errors(Error{"no Ed25519 key"});
  return PublicKey(KeyKind::kEd25519, key.release());
}

bool PublicKey::fits(SignatureAlgorithm algorithm) const noexcept {
  return kind_for(algorithm) == kind_;
}

bool PublicKey::verify(SignatureAlgorithm algorithm, std::string_view text,
                       std::string_view signature) const noexcept {
  if (!fits(algorithm)) return false;
  const EVP_MD* const digest = digest_of(algorithm);
  switch (kind_) {
    case KeyKind::kP256:
    case KeyKind::kP384:
    case KeyKind::kP521:
      return forget_errors(verify_ecdsa(key_.get(), digest, text, signature));
    case KeyKind::kRsa:
    case KeyKind::kEd25519:
      break;
  }
  return forget_errors(verify_digest(key_.get(), digest, is_pss(algorithm), text, signature));
}

Sha256 sha256(std::string_view text) noexcept {
  Sha256 out;
  SHA256(bytes(text), text.size(), out.data());
  return out;
}

}  // namespace pillion::tls
