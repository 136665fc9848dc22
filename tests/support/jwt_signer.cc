#include "tests/support/jwt_signer.h"

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>

#include <cstdlib>
#include <vector>

#include "proxy/base/base64.h"
#include "proxy/base/str.h"

namespace pillion::testing {
namespace {

void need(bool holds) {
  if (!holds) std::abort();
}

bool is_ec(std::string_view alg) { return alg.starts_with("ES"); }
bool is_rsa(std::string_view alg) { return alg.starts_with("RS") || alg.starts_with("PS"); }

const EVP_MD* digest_of(std::string_view alg) {
  if (alg == "EdDSA") return nullptr;
  return alg.ends_with("256") ? EVP_sha256() : alg.ends_with("384") ? EVP_sha384() : EVP_sha512();
}

EVP_PKEY* make_key(std::string_view alg, unsigned rsa_bits) {
  EVP_PKEY* key = EVP_PKEY_new();
  if (is_rsa(alg)) {
    const bssl::UniquePtr<RSA> rsa(RSA_new());
    const bssl::UniquePtr<BIGNUM> e(BN_new());
    need(BN_set_word(e.get(), RSA_F4) == 1);
    need(RSA_generate_key_ex(rsa.get(), static_cast<int>(rsa_bits), e.get(), nullptr) == 1);
    need(EVP_PKEY_set1_RSA(key, rsa.get()) == 1);
  } else if (is_ec(alg)) {
    const int nid = alg == "ES256"   ? NID_X9_62_prime256v1
                    : alg == "ES384" ? NID_secp384r1
                                     : NID_secp521r1;
    const bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(nid));
    need(EC_KEY_generate_key(ec.get()) == 1);
    need(EVP_PKEY_set1_EC_KEY(key, ec.get()) == 1);
  } else {
    EVP_PKEY_free(key);
    key = nullptr;
    const bssl::UniquePtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nullptr));
    need(EVP_PKEY_keygen_init(context.get()) == 1 && EVP_PKEY_keygen(context.get(), &key) == 1);
  }
  return key;
}

std::string number(const BIGNUM* n, size_t size) {
  std::string bytes(size, '\0');
  need(BN_bn2bin_padded(reinterpret_cast<uint8_t*>(bytes.data()), size, n) == 1);
  return encode_base64url(bytes);
}

std::string public_members(EVP_PKEY* key, std::string_view alg) {
  if (is_rsa(alg)) {
    const RSA* rsa = EVP_PKEY_get0_RSA(key);
    return str(R"("kty":"RSA","n":")", number(RSA_get0_n(rsa), BN_num_bytes(RSA_get0_n(rsa))),
               R"(","e":")", number(RSA_get0_e(rsa), 3), '"');
  }
  if (is_ec(alg)) {
    const EC_KEY* ec = EVP_PKEY_get0_EC_KEY(key);
    const bssl::UniquePtr<BIGNUM> x(BN_new());
    const bssl::UniquePtr<BIGNUM> y(BN_new());
    need(EC_POINT_get_affine_coordinates_GFp(EC_KEY_get0_group(ec), EC_KEY_get0_public_key(ec),
                                             x.get(), y.get(), nullptr) == 1);
    const size_t size = alg == "ES256" ? 32 : alg == "ES384" ? 48 : 66;
    const std::string_view curve = alg == "ES256" ? "P-256" : alg == "ES384" ? "P-384" : "P-521";
    return str(R"("kty":"EC","crv":")", curve, R"(","x":")", number(x.get(), size), R"(","y":")",
               number(y.get(), size), '"');
  }
  std::string bytes(32, '\0');
  size_t size = bytes.size();
  need(EVP_PKEY_get_raw_public_key(key, reinterpret_cast<uint8_t*>(bytes.data()), &size) == 1);
  return str(R"("kty":"OKP","crv":"Ed25519","x":")", encode_base64url(bytes), '"');
}

}  // namespace

void JwtSigner::Free::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

JwtSigner::JwtSigner(std::string alg, std::string kid, unsigned rsa_bits)
    : alg_(std::move(alg)), kid_(std::move(kid)), key_(make_key(alg_, rsa_bits)) {}

std::string JwtSigner::jwk(std::string_view alg) const {
  return str('{', public_members(key_.get(), alg_), alg.empty() ? "" : R"(,"alg":")", alg,
             alg.empty() ? "" : "\"", kid_.empty() ? "" : R"(,"kid":")", kid_,
             kid_.empty() ? "" : "\"", R"(,"use":"sig"})");
}

std::string JwtSigner::token(std::string_view payload) const {
  return sign(str(R"({"typ":"JWT","alg":")", alg_, '"', kid_.empty() ? "" : R"(,"kid":")", kid_,
                  kid_.empty() ? "" : "\"", '}'),
              payload);
}

std::string JwtSigner::sign(std::string_view header, std::string_view payload) const {
  const std::string text = str(encode_base64url(header), '.', encode_base64url(payload));
  return str(text, '.', encode_base64url(signature(text)));
}

std::string JwtSigner::signature(std::string_view text) const {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(text.data());
  std::vector<uint8_t> out(1024);
  size_t size = out.size();
  if (is_ec(alg_)) {
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned hash_size = 0;
    need(EVP_Digest(text.data(), text.size(), hash, &hash_size, digest_of(alg_), nullptr) == 1);
    need(ECDSA_sign_p1363(hash, hash_size, out.data(), &size, out.size(),
                          EVP_PKEY_get0_EC_KEY(key_.get())) == 1);
  } else {
    bssl::ScopedEVP_MD_CTX context;
    EVP_PKEY_CTX* options = nullptr;
    need(EVP_DigestSignInit(context.get(), &options, digest_of(alg_), nullptr, key_.get()) == 1);
    if (alg_.starts_with("PS")) {
      need(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1);
    }
    need(EVP_DigestSign(context.get(), out.data(), &size, bytes, text.size()) == 1);
  }
  return {reinterpret_cast<const char*>(out.data()), size};
}

std::string jwks(std::initializer_list<const JwtSigner*> signers) {
  std::string keys;
  for (const JwtSigner* signer : signers) keys += str(keys.empty() ? "" : ",", signer->jwk());
  return str(R"({"keys":[)", keys, "]}");
}

}  // namespace pillion::testing
