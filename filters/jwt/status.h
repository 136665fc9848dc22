#pragma once
// What came of checking a token.  Texts are Envoy's, word for word (clients and alerts know them);
// so are the numbers, which failed_status_in_metadata tells.

#include <cstdint>
#include <string_view>

namespace pillion::filters::jwt {

enum class Status : uint8_t {
  kOk = 0,
  kMissing = 1,
  kNotYetValid = 2,
  kExpired = 3,
  kBadFormat = 4,
  kHeaderBadBase64 = 5,
  kHeaderBadJson = 6,
  kHeaderBadAlgorithm = 7,
  kAlgorithmNotSupported = 8,
  kHeaderBadKid = 9,
  kPayloadBadBase64 = 10,
  kPayloadBadJson = 11,
  kIssuerNotString = 12,
  kSubjectNotString = 13,
  kIssuedAtNotInteger = 14,
  kIssuedAtOutOfRange = 15,
  kNotBeforeNotInteger = 16,
  kNotBeforeOutOfRange = 17,
  kExpirationNotInteger = 18,
  kExpirationOutOfRange = 19,
  kIdNotString = 20,
  kAudienceNotString = 21,
  kSignatureBadBase64 = 22,
  kEd25519SignatureLength = 23,
  kUnknownIssuer = 24,
  kAudienceNotAllowed = 25,
  kVerificationFailed = 26,
  kMultipleTokens = 27,
  kNoValidKeys = 31,
  kNoMatchingKey = 32,
  kFetchFailed = 40,
  kCritical = 200,  // ours: Envoy does not look at `crit`
};

std::string_view text_of(Status status) noexcept;

}  // namespace pillion::filters::jwt
