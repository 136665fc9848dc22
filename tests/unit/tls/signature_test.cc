#include "proxy/tls/signature.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/base/base64.h"
#include "proxy/base/str.h"
#include "proxy/tls/jwk.h"
#include "tests/support/jwt_signer.h"

namespace pillion::tls {
namespace {

using testing::jwks;
using testing::JwtSigner;

constexpr std::string_view kAll[] = {"RS256", "RS384", "RS512", "PS256", "PS384",
                                     "PS512", "ES256", "ES384", "ES512", "EdDSA"};

// A key set of one key, which must be good.
Jwk only_key(std::string_view jwk) {
  Result<JwkSet> set = JwkSet::parse(str(R"({"keys":[)", jwk, "]}"));
  EXPECT_TRUE(set) << (set ? "" : set.error());
  return std::move(const_cast<Jwk&>(set->keys().front()));
}

std::string error_of(std::string_view json) {
  const Result<JwkSet> set = JwkSet::parse(json);
  return set ? "" : set.error();
}

std::string bytes(std::string_view text) { return *decode_base64url(text); }

// ---- signatures ----

TEST(Signature, OfEachAlgorithmIsGoodByItsKeyAndTextOnly) {
  for (const std::string_view name : kAll) {
    const JwtSigner signer{std::string(name)};
    const JwtSigner other{std::string(name)};
    const Jwk jwk = only_key(signer.jwk());
    const SignatureAlgorithm algorithm = *find_signature_algorithm(name);
    const std::string signature = signer.signature("text");
    EXPECT_TRUE(jwk.key.fits(algorithm)) << name;
    EXPECT_TRUE(jwk.key.verify(algorithm, "text", signature)) << name;
    EXPECT_FALSE(jwk.key.verify(algorithm, "texts", signature)) << name;
    EXPECT_FALSE(jwk.key.verify(algorithm, "text", other.signature("text"))) << name;
    EXPECT_FALSE(jwk.key.verify(algorithm, "text", "")) << name;
    EXPECT_FALSE(jwk.key.verify(algorithm, "text", signature + '\0')) << name;
    EXPECT_FALSE(jwk.key.verify(algorithm, "text", signature.substr(1))) << name;
    for (const size_t at : {size_t{0}, signature.size() / 2, signature.size() - 1}) {
      std::string damaged = signature;
      damaged[at] = static_cast<char>(damaged[at] ^ 1);
      EXPECT_FALSE(jwk.key.verify(algorithm, "text", damaged)) << name << " at " << at;
    }
  }
}

TEST(Signature, NoKeyServesForTheAlgorithmOfAnother) {
  // What makes algorithm confusion: the token chooses how the key is used.
  for (const std::string_view of_key : kAll) {
    const JwtSigner signer{std::string(of_key)};
    const Jwk jwk = only_key(signer.jwk(""));
    for (const std::string_view of_token : kAll) {
      const bool both_rsa =
          of_key[1] == 'S' && of_token[1] == 'S' && of_key[0] != 'E' && of_token[0] != 'E';
      const SignatureAlgorithm algorithm = *find_signature_algorithm(of_token);
      EXPECT_EQ(jwk.key.fits(algorithm), both_rsa || of_key == of_token) << of_key << of_token;
      EXPECT_EQ(jwk.key.verify(algorithm, "text", signer.signature("text")), of_key == of_token)
          << of_key << of_token;
    }
  }
}

TEST(Signature, NoneAndSharedSecretsDoNotExist) {
  for (const std::string_view name : {"none", "None", "NONE", "", "HS256", "HS384", "HS512",
                                      "es256", "ES256K", "RSA1_5", "RS256 ", "Ed25519"}) {
    EXPECT_EQ(find_signature_algorithm(name), std::nullopt) << name;
  }
}

// RFC 7515, A.2 (RS256), A.3 (ES256) and A.4 (ES512); RFC 8037, A.4 (EdDSA).
TEST(Signature, OfTheExamplesOfTheRfcsAreGood) {
  struct Case {
    std::string_view alg, jwk, text, signature;
  };
  const Case cases[] = {
      {"RS256",
       R"({"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"})",
       "eyJhbGciOiJSUzI1NiJ9."
       "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnV"
       "lfQ",
       "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
       "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
       "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
       "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0"
       "igcN_IoypGlUPQGe77Rw"},
      {"ES256",
       R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
       "eyJhbGciOiJFUzI1NiJ9."
       "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnV"
       "lfQ",
       "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
      {"ES512",
       R"({"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"})",
       "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA",
       "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_"
       "7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_"
       "Jn"},
      {"EdDSA",
       R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})",
       "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
       "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
  };
  for (const Case& c : cases) {
    const Jwk jwk = only_key(c.jwk);
    EXPECT_TRUE(jwk.key.verify(*find_signature_algorithm(c.alg), c.text, bytes(c.signature)))
        << c.alg;
  }
}

TEST(Signature, OfEcdsaMustNotBeDerOrZero) {
  const JwtSigner signer("ES256");
  const Jwk jwk = only_key(signer.jwk());
  // CVE-2022-21449: r = s = 0 was good for every text.
  EXPECT_FALSE(jwk.key.verify(SignatureAlgorithm::kEs256, "text", std::string(64, '\0')));
  std::string der = "\x30\x44\x02\x20";
  const std::string raw = signer.signature("text");
  der += raw.substr(0, 32) + "\x02\x20" + raw.substr(32);
  EXPECT_FALSE(jwk.key.verify(SignatureAlgorithm::kEs256, "text", der));
  EXPECT_TRUE(jwk.key.verify(SignatureAlgorithm::kEs256, "text", raw));
}

// ---- key sets ----

TEST(JwkSet, KeysThatCannotBeUsedAreLeftOutAndNamed) {
  const JwtSigner good("ES256", "a");
  const std::pair<std::string, std::string_view> cases[] = {
      {R"({"kty":"oct","k":"c2VjcmV0"})", "[kty] is not supported in [keys]"},
      {R"({"kty":7})", "[kty] is not supported in [keys]"},
      {R"({"n":"AQAB"})", "[kty] is missing in [keys]"},
      {R"("key")", "[keys] in Jwks has an item that is no object"},
      {R"({"kty":"RSA","e":"AQAB"})", "Jwks RSA [n] or [e] field is missing or has a parse error"},
      {R"({"kty":"RSA","n":"AQAB","e":"AQAB"})", "an RSA key of 17 bits, 2048 to 8192 are allowed"},
      {R"({"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"})",
       "coordinates of an EC key must have 32 bytes on its curve"},
      {str(R"({"kty":"EC","crv":"P-256","x":")", std::string(43, 'A'), R"(","y":")",
           std::string(43, 'A'), "\"}"),
       "an EC key that is no point of its curve"},
      {R"({"kty":"EC","crv":"secp256k1","x":"AAAA","y":"AAAA"})",
       "[crv] or [alg] field is not supported for an EC key"},
      {R"({"kty":"OKP","crv":"X25519","x":"AAAA"})", "[crv] field is not supported for an OKP key"},
      {R"({"kty":"OKP","crv":"Ed25519","x":"AAAA"})", "an Ed25519 key must have 32 bytes"},
      {R"({"kty":"OKP","crv":"Ed25519","x":"AA=="})", "Jwks OKP [x] field is an invalid Base64."},
      {good.jwk("ES384"), "[alg] of a key does not fit it"},
      {good.jwk("RS256"), "[alg] of a key does not fit it"},
      {good.jwk("HS256"), "[alg] of a key does not fit it"},
      {str(good.jwk().substr(0, good.jwk().size() - 6), R"("enc"})"),
       "a key is not for signatures ([use] or [key_ops])"},
      {R"({"kty":"RSA","key_ops":["encrypt"]})",
       "a key is not for signatures ([use] or [key_ops])"},
      {R"({"kty":"RSA","kid":1})", "[kid] of a key is not a string"},
  };
  for (const auto& [jwk, reason] : cases) {
    const Result<JwkSet> set = JwkSet::parse(str(R"({"keys":[)", jwk, ',', good.jwk(), "]}"));
    ASSERT_TRUE(set) << jwk << ": " << set.error();
    EXPECT_EQ(set->keys().size(), 1u) << jwk;
    EXPECT_EQ(set->skipped(), 1u);
    EXPECT_EQ(set->skip_reason(), reason) << jwk;
    EXPECT_EQ(error_of(str(R"({"keys":[)", jwk, "]}")),
              str("Jwks doesn't have any valid public key: ", reason));
  }
}

TEST(JwkSet, RsaKeysAreNeitherWeakNorEndless) {
  const JwtSigner weak("RS256", "", 1024);
  EXPECT_EQ(error_of(jwks({&weak})),
            "Jwks doesn't have any valid public key: an RSA key of 1024 bits, 2048 to 8192 are "
            "allowed");
  const std::string endless = encode_base64url(str('\x80', std::string(1024, '\x01')));
  EXPECT_EQ(error_of(str(R"({"keys":[{"kty":"RSA","e":"AQAB","n":")", endless, "\"}]}")),
            "Jwks doesn't have any valid public key: an RSA key of 8200 bits, 2048 to 8192 are "
            "allowed");
  const std::string modulus = encode_base64url(str('\x80', std::string(255, '\x01')));
  EXPECT_EQ(error_of(str(R"({"keys":[{"kty":"RSA","e":"AQ","n":")", modulus, "\"}]}")),
            "Jwks doesn't have any valid public key: an RSA key whose exponent is neither 3 nor "
            "65537");
}

TEST(JwkSet, ATextThatIsNoneIsRefused) {
  const std::pair<std::string, std::string_view> cases[] = {
      {"", "Jwks is an invalid JSON"},
      {"[]", "Jwks is an invalid JSON"},
      {"{", "Jwks is an invalid JSON"},
      {R"({"keys":[],"keys":[]})", "Jwks is an invalid JSON: key \"keys\" comes twice"},
      {"{}", "Jwks does not have [keys] field"},
      {R"({"keys":{}})", "[keys] in Jwks is not an array"},
      {R"({"keys":[]})", "Jwks doesn't have any valid public key"},
      {std::string(JwkSet::kMaxText + 1, ' '), "Jwks has more than 1048576 bytes"},
      {str(R"({"keys":[)", std::string(20, '['), std::string(20, ']'), "]}"),
       "Jwks is an invalid JSON: nested deeper than 16 levels"},
  };
  for (const auto& [text, error] : cases)
    EXPECT_EQ(error_of(text).substr(0, error.size()), error) << text.substr(0, 100);
  std::string many = "{}";
  for (size_t i = 0; i < JwkSet::kMaxKeys; ++i) many += ",{}";
  EXPECT_EQ(error_of(str(R"({"keys":[)", many, "]}")), "Jwks has more than 256 keys");
}

}  // namespace
}  // namespace pillion::tls
