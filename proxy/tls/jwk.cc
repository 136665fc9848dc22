#include "proxy/tls/jwk.h"

#include <algorithm>

#include "proxy/base/base64.h"
#include "proxy/base/json.h"
#include "proxy/base/str.h"

namespace pillion::tls {
namespace {

// A member that is base64url; none if it is missing or something else.
std::optional<std::string> bytes_of(const Json& jwk, std::string_view name) {
  const Json value = jwk[name];
  if (value.kind() != Json::Kind::kString) return std::nullopt;
  return decode_base64url(value.as_string());
}

// Numbers may come with leading zeros (which RFC 7518 forbids and issuers write).
std::string_view without_zeros(std::string_view number) {
  while (!number.empty() && number.front() == '\0') number.remove_prefix(1);
  return number;
}

Result<PublicKey> parse_rsa(const Json& jwk) {
  const auto n = bytes_of(jwk, "n");
  const auto e = bytes_of(jwk, "e");
  if (!n || !e) return Error{"Jwks RSA [n] or [e] field is missing or has a parse error"};
  return PublicKey::rsa(without_zeros(*n), without_zeros(*e));
}

Result<PublicKey> parse_ec(const Json& jwk) {
  const std::string_view curve = jwk["crv"].as_string();
  const auto x = bytes_of(jwk, "x");
  const auto y = bytes_of(jwk, "y");
  if (!x || !y) return Error{"Jwks EC [x] or [y] field is an invalid Base64."};
  if (curve == "P-256") return PublicKey::ec(KeyKind::kP256, *x, *y);
  if (curve == "P-384") return PublicKey::ec(KeyKind::kP384, *x, *y);
  if (curve == "P-521") return PublicKey::ec(KeyKind::kP521, *x, *y);
  return Error{"[crv] or [alg] field is not supported for an EC key"};
}

Result<PublicKey> parse_okp(const Json& jwk) {
  if (jwk["crv"].as_string() != "Ed25519")
    return Error{"[crv] field is not supported for an OKP key"};
  const auto x = bytes_of(jwk, "x");
  if (!x) return Error{"Jwks OKP [x] field is an invalid Base64."};
  return PublicKey::ed25519(*x);
}

Result<PublicKey> parse_key(const Json& jwk) {
  const Json type = jwk["kty"];
  if (type.is_missing()) return Error{"[kty] is missing in [keys]"};
  if (type.as_string() == "RSA") return parse_rsa(jwk);
  if (type.as_string() == "EC") return parse_ec(jwk);
  if (type.as_string() == "OKP") return parse_okp(jwk);
  return Error{"[kty] is not supported in [keys]"};
}

// RFC 7517, 4.2 and 4.3: absent is for anything.
bool is_for_signatures(const Json& jwk) {
  const Json use = jwk["use"];
  if (!use.is_missing() && use.as_string() != "sig") return false;
  const Json operations = jwk["key_ops"];
  if (operations.is_missing()) return true;
  return std::ranges::any_of(operations.items(),
                             [](const Json& item) { return item.as_string() == "verify"; });
}

Result<Jwk> parse_jwk(const Json& jwk) {
  if (!jwk.is_object()) return Error{"[keys] in Jwks has an item that is no object"};
  if (!is_for_signatures(jwk)) return Error{"a key is not for signatures ([use] or [key_ops])"};
  for (const std::string_view name : {"kid", "alg"}) {
    const Json::Kind kind = jwk[name].kind();
    if (kind != Json::Kind::kMissing && kind != Json::Kind::kString)
      return Error{str('[', name, "] of a key is not a string")};
  }
  Result<PublicKey> key = parse_key(jwk);
  if (!key) return Error{key.error()};
  std::optional<SignatureAlgorithm> algorithm;
  if (const std::string_view name = jwk["alg"].as_string(); !name.empty()) {
    algorithm = find_signature_algorithm(name);
    if (!algorithm || !key->fits(*algorithm)) return Error{"[alg] of a key does not fit it"};
  }
  return Jwk{std::string(jwk["kid"].as_string()), algorithm, std::move(*key)};
}

}  // namespace

Result<JwkSet> JwkSet::parse(std::string_view json) {
  if (json.size() > kMaxText) return Error{str("Jwks has more than ", kMaxText, " bytes")};
  const auto document = JsonDocument::parse(json, kMaxDepth, JsonDocument::Keys::kUnique);
  if (!document || !document->root().is_object()) {
    return Error{str("Jwks is an invalid JSON", document ? "" : ": ",
                     document ? std::string() : document.error())};
  }
  const Json keys = document->root()["keys"];
  if (keys.is_missing()) return Error{"Jwks does not have [keys] field"};
  if (!keys.is_array()) return Error{"[keys] in Jwks is not an array"};
  if (keys.size() > kMaxKeys) return Error{str("Jwks has more than ", kMaxKeys, " keys")};
  JwkSet set;
  for (const Json& item : keys.items()) {
    Result<Jwk> jwk = parse_jwk(item);
    if (jwk) {
      set.keys_.push_back(std::move(*jwk));
    } else if (set.skipped_++ == 0) {
      set.skip_reason_ = jwk.error();
    }
  }
  if (set.keys_.empty()) {
    return Error{str("Jwks doesn't have any valid public key", set.skipped_ == 0 ? "" : ": ",
                     set.skip_reason_)};
  }
  return set;
}

}  // namespace pillion::tls
