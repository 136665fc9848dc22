#include "filters/jwt/status.h"

namespace pillion::filters::jwt {

std::string_view text_of(Status status) noexcept {
  switch (status) {
    case Status::kOk:
      return "OK";
    case Status::kMissing:
      return "Jwt is missing";
    case Status::kNotYetValid:
      return "Jwt not yet valid";
    case Status::kExpired:
      return "Jwt is expired";
    case Status::kBadFormat:
      return "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
    case Status::kHeaderBadBase64:
      return "Jwt header is an invalid Base64url encoded";
    case Status::kHeaderBadJson:
      return "Jwt header is an invalid JSON";
    case Status::kHeaderBadAlgorithm:
      return "Jwt header [alg] field is required and must be a string";
    case Status::kAlgorithmNotSupported:
      return "Jwt header [alg] is not supported";
    case Status::kHeaderBadKid:
      return "Jwt header [kid] field is not a string";
    case Status::kPayloadBadBase64:
      return "Jwt payload is an invalid Base64url encoded";
    case Status::kPayloadBadJson:
      return "Jwt payload is an invalid JSON";
    case Status::kIssuerNotString:
      return "Jwt payload [iss] field is not a string";
    case Status::kSubjectNotString:
      return "Jwt payload [sub] field is not a string";
    case Status::kIssuedAtNotInteger:
      return "Jwt payload [iat] field is not an integer";
    case Status::kIssuedAtOutOfRange:
      return "Jwt payload [iat] field is not a positive 64 bit integer";
    case Status::kNotBeforeNotInteger:
      return "Jwt payload [nbf] field is not an integer";
    case Status::kNotBeforeOutOfRange:
      return "Jwt payload [nbf] field is not a positive 64 bit integer";
    case Status::kExpirationNotInteger:
      return "Jwt payload [exp] field is not an integer";
    case Status::kExpirationOutOfRange:
      return "Jwt payload [exp] field is not a positive 64 bit integer";
    case Status::kIdNotString:
      return "Jwt payload [jti] field is not a string";
    case Status::kAudienceNotString:
      return "Jwt payload [aud] field is not a string or string list";
    case Status::kSignatureBadBase64:
      return "Jwt signature is an invalid Base64url encoded";
    case Status::kEd25519SignatureLength:
      return "Jwt ED25519 signature is wrong length";
    case Status::kUnknownIssuer:
      return "Jwt issuer is not configured";
    case Status::kAudienceNotAllowed:
      return "Audiences in Jwt are not allowed";
    case Status::kVerificationFailed:
      return "Jwt verification fails";
    case Status::kMultipleTokens:
      return "Found multiple Jwt tokens";
    case Status::kNoValidKeys:
      return "Jwks doesn't have any valid public key";
    case Status::kNoMatchingKey:
      return "Jwks doesn't have key to match kid or alg from Jwt";
    case Status::kFetchFailed:
      return "Jwks remote fetch is failed";
    case Status::kCritical:
      return "Jwt header [crit] is not supported";
  }
  return {};
}

}  // namespace pillion::filters::jwt
