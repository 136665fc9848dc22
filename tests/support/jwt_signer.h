#pragma once
// JwtSigner: an issuer of JSON Web Tokens: a fresh key, tokens that it signs, and its public half
// as a JSON Web Key.
//
//   const JwtSigner issuer("ES256", "key-1");
//   jwks({&issuer}), issuer.token(R"({"iss":"a"})"), issuer.sign(header, payload)

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

struct evp_pkey_st;

namespace pillion::testing {

class JwtSigner {
 public:
  // Any algorithm of tls/signature.h; an empty `kid` is none.  RSA keys are of `rsa_bits`.
  explicit JwtSigner(std::string alg, std::string kid = {}, unsigned rsa_bits = 2048);

  // {"kty":...}, with alg and kid unless they are empty.
  [[nodiscard]] std::string jwk() const { return jwk(alg_); }
  [[nodiscard]] std::string jwk(std::string_view alg) const;
  // The payload under an ordinary header.
  [[nodiscard]] std::string token(std::string_view payload) const;
  // Any two texts, signed as they are.
  [[nodiscard]] std::string sign(std::string_view header, std::string_view payload) const;
  // What is signed is up to the caller: "header.payload" already in base64url.
  [[nodiscard]] std::string signature(std::string_view text) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const noexcept;
  };
  std::string alg_;
  std::string kid_;
  std::unique_ptr<evp_pkey_st, Free> key_;
};

std::string jwks(std::initializer_list<const JwtSigner*> signers);

}  // namespace pillion::testing
