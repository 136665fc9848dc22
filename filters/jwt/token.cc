#include "filters/jwt/token.h"

#include <limits>

#include "proxy/base/base64.h"

namespace pillion::filters::jwt {
namespace {

using Kind = Json::Kind;

std::optional<JsonDocument> parse_object(std::string_view text) {
  Result<JsonDocument> document =
      JsonDocument::parse(text, Token::kMaxDepth, JsonDocument::Keys::kUnique);
  if (!document || !document->root().is_object()) return std::nullopt;
  return std::move(*document);
}

// A member that is a text if it is there; false if it is something else.
bool take_string(const Json& value, std::string& out) {
  if (value.is_missing()) return true;
  if (value.kind() != Kind::kString) return false;
  out = value.as_string();
  return true;
}

// RFC 7519, 2: NumericDate, any JSON number; seconds before 1970 are none of ours.
Status take_time(const Json& value, std::optional<uint64_t>& out, Status no_number,
                 Status out_of_range) {
  if (value.is_missing()) return Status::kOk;
  if (value.kind() != Kind::kNumber) return no_number;
  const double seconds = value.as_double();
  constexpr double kLimit = 18446744073709551616.0;  // 2^64
  if (!(seconds >= 0 && seconds < kLimit)) return out_of_range;
  out = static_cast<uint64_t>(seconds);
  return Status::kOk;
}

bool take_audiences(const Json& value, std::vector<std::string>& out) {
  if (value.is_missing()) return true;
  if (value.kind() == Kind::kString) {
    out.emplace_back(value.as_string());
    return true;
  }
  if (!value.is_array()) return false;
  for (const Json& item : value.items()) {
    if (item.kind() != Kind::kString) return false;
    out.emplace_back(item.as_string());
  }
  return true;
}

constexpr uint64_t add(uint64_t a, uint64_t b) noexcept {
  return a > std::numeric_limits<uint64_t>::max() - b ? std::numeric_limits<uint64_t>::max()
                                                      : a + b;
}

}  // namespace

Status Token::parse(std::string_view text) {
  if (text.size() > kMaxText) return Status::kBadFormat;
  const size_t first = text.find('.');
  const size_t second = first == text.npos ? text.npos : text.find('.', first + 1);
  const bool has_three = second != text.npos && text.find('.', second + 1) == text.npos;
  if (!has_three || first == 0 || second == first + 1 || second + 1 == text.size())
    return Status::kBadFormat;
  text_ = text;
  header_size_ = first;
  payload_size_ = second - first - 1;
  if (const Status status = parse_header(text.substr(0, first)); status != Status::kOk)
    return status;
  if (const Status status = parse_payload(payload_text()); status != Status::kOk) return status;
  std::optional<std::string> signature = decode_base64url(text.substr(second + 1));
  if (!signature) return Status::kSignatureBadBase64;
  signature_ = std::move(*signature);
  return Status::kOk;
}

Status Token::parse_header(std::string_view text) {
  const std::optional<std::string> json = decode_base64url(text);
  if (!json) return Status::kHeaderBadBase64;
  header_ = parse_object(*json);
  if (!header_) return Status::kHeaderBadJson;
  const Json header = this->header();
  if (header["alg"].kind() != Kind::kString) return Status::kHeaderBadAlgorithm;
  const auto algorithm = tls::find_signature_algorithm(header["alg"].as_string());
  if (!algorithm) return Status::kAlgorithmNotSupported;
  algorithm_ = *algorithm;
  if (!take_string(header["kid"], kid_)) return Status::kHeaderBadKid;
  // RFC 7515, 4.1.11: whoever does not know an extension must refuse the token, and we know none.
  if (!header["crit"].is_missing()) return Status::kCritical;
  return Status::kOk;
}

Status Token::parse_payload(std::string_view text) {
  const std::optional<std::string> json = decode_base64url(text);
  if (!json) return Status::kPayloadBadBase64;
  payload_ = parse_object(*json);
  if (!payload_) return Status::kPayloadBadJson;
  const Json payload = this->payload();
  if (!take_string(payload["iss"], issuer_)) return Status::kIssuerNotString;
  if (!take_string(payload["sub"], subject_)) return Status::kSubjectNotString;
  std::optional<uint64_t> issued_at;  // judged, and not used
  Status status = take_time(payload["iat"], issued_at, Status::kIssuedAtNotInteger,
                            Status::kIssuedAtOutOfRange);
  if (status != Status::kOk) return status;
  status = take_time(payload["nbf"], not_before_, Status::kNotBeforeNotInteger,
                     Status::kNotBeforeOutOfRange);
  if (status != Status::kOk) return status;
  status = take_time(payload["exp"], expiration_, Status::kExpirationNotInteger,
                     Status::kExpirationOutOfRange);
  if (status != Status::kOk) return status;
  std::string id;
  if (!take_string(payload["jti"], id)) return Status::kIdNotString;
  if (!take_audiences(payload["aud"], audiences_)) return Status::kAudienceNotString;
  return Status::kOk;
}

Status Token::verify(const tls::JwkSet& keys) const {
  bool is_matched = false;
  unsigned tries = 0;
  for (const tls::Jwk& jwk : keys.keys()) {
    // A key without a name may be the one that is meant, as in Envoy.
    if (!kid_.empty() && !jwk.kid.empty() && jwk.kid != kid_) continue;
    if (jwk.algorithm && *jwk.algorithm != algorithm_) continue;
    is_matched = true;
    if (!jwk.key.fits(algorithm_)) continue;
    if (jwk.key.kind() == tls::KeyKind::kEd25519 &&
        signature_.size() != tls::kEd25519SignatureBytes) {
      return Status::kEd25519SignatureLength;
    }
    if (++tries > kMaxTries) return Status::kVerificationFailed;
    if (jwk.key.verify(algorithm_, signed_text(), signature_)) return Status::kOk;
  }
  return is_matched ? Status::kVerificationFailed : Status::kNoMatchingKey;
}

Status Token::check_time(uint64_t now, uint64_t skew) const noexcept {
  if (not_before_ && add(now, skew) < *not_before_) return Status::kNotYetValid;
  if (expiration_ && now > add(*expiration_, skew)) return Status::kExpired;
  return Status::kOk;
}

}  // namespace pillion::filters::jwt
