#pragma once
// JwkSet: the keys of an issuer of tokens, of a JSON Web Key Set (RFC 7517).
//
// Keys of kinds that we do not know, of another use than signatures, or that are damaged are left
// out, as Envoy does: an issuer may publish them for others.  A text that is no key set at all, or
// that leaves no key, is an error.
//
// Immutable; any thread.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/signature.h"

namespace pillion::tls {

struct Jwk {
  std::string kid;                              // empty: none
  std::optional<SignatureAlgorithm> algorithm;  // `alg`; none: any that fits the key
  PublicKey key;
};

class JwkSet {
 public:
  static constexpr size_t kMaxText = size_t{1} << 20;
  static constexpr size_t kMaxKeys = 256;
  static constexpr size_t kMaxDepth = 16;

  // The error is for people, and in the words of Envoy where it has some.
  static Result<JwkSet> parse(std::string_view json);

  [[nodiscard]] const std::vector<Jwk>& keys() const noexcept { return keys_; }
  // How many were left out, and why the first one was.
  [[nodiscard]] size_t skipped() const noexcept { return skipped_; }
  [[nodiscard]] const std::string& skip_reason() const noexcept { return skip_reason_; }

 private:
  std::vector<Jwk> keys_;
  size_t skipped_ = 0;
  std::string skip_reason_;
};
using JwkSetPtr = std::shared_ptr<const JwkSet>;

}  // namespace pillion::tls
