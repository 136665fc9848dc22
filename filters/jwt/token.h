#pragma once
// Token: a JSON Web Token in compact form (RFC 7515, 3.1; RFC 7519), taken apart.
//
// Everything about its form is judged here, before anybody asks whose it is; whether it is genuine,
// verify() says.  Strict where the RFCs are and Envoy is not: exactly three parts, base64url
// without padding or spare bits, no member twice, no `crit`, a bounded depth and size: each token
// has one spelling and one meaning.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "filters/jwt/status.h"
#include "proxy/base/json.h"
#include "proxy/tls/jwk.h"
#include "proxy/tls/signature.h"

namespace pillion::filters::jwt {

class Token {
 public:
  static constexpr size_t kMaxText = 16 * 1024;
  static constexpr size_t kMaxDepth = 32;
  static constexpr unsigned kMaxTries = 16;

  // kOk, or what is wrong; then the token must not be used.
  Status parse(std::string_view text);
  // Genuine by one of these keys: those of its `kid`, if it names one, else all that fit `alg`.
  // Held against kMaxTries of them at most, so that a bad token does not cost a set's worth of
  // work.
  [[nodiscard]] Status verify(const tls::JwkSet& keys) const;

  // Legal at `now`, in seconds since 1970, give or take `skew`.
  [[nodiscard]] Status check_time(uint64_t now, uint64_t skew) const noexcept;

  [[nodiscard]] Json header() const { return header_->root(); }
  [[nodiscard]] Json payload() const { return payload_->root(); }
  [[nodiscard]] std::string_view issuer() const noexcept { return issuer_; }
  [[nodiscard]] std::string_view subject() const noexcept { return subject_; }
  [[nodiscard]] const std::vector<std::string>& audiences() const noexcept { return audiences_; }
  [[nodiscard]] std::optional<uint64_t> expiration() const noexcept { return expiration_; }
  // The payload as it stands in the token.
  [[nodiscard]] std::string_view payload_text() const noexcept {
    return std::string_view(text_).substr(header_size_ + 1, payload_size_);
  }

 private:
  Status parse_header(std::string_view text);
  Status parse_payload(std::string_view text);
  [[nodiscard]] std::string_view signed_text() const noexcept {
    return std::string_view(text_).substr(0, header_size_ + 1 + payload_size_);
  }

  std::string text_;
  size_t header_size_ = 0;
  size_t payload_size_ = 0;
  std::optional<JsonDocument> header_;
  std::optional<JsonDocument> payload_;
  tls::SignatureAlgorithm algorithm_{};
  std::string kid_;
  std::string issuer_;
  std::string subject_;
  std::vector<std::string> audiences_;
  std::optional<uint64_t> not_before_;
  std::optional<uint64_t> expiration_;
  std::string signature_;
};

}  // namespace pillion::filters::jwt
