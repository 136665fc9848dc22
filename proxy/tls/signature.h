#pragma once
// Verification of signatures as JSON Web Algorithms name them (RFC 7518, 3; RFC 8037, 3.1): RSA
// with PKCS #1 v1.5 and PSS, ECDSA on the three NIST curves, Ed25519.  Signatures are those of the
// wire: of ECDSA r and s side by side, each as long as the curve's order.
//
// The algorithm that a token names must be one for the key's type, and on its curve: a key never
// serves for another algorithm than it was made for.  `none` and those with a shared secret do not
// exist here.
//
// Immutable; any thread.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "proxy/base/result.h"

struct evp_pkey_st;

namespace pillion::tls {

enum class SignatureAlgorithm : uint8_t {
  kRs256,
  kRs384,
  kRs512,
  kPs256,
  kPs384,
  kPs512,
  kEs256,
  kEs384,
  kEs512,
  kEdDsa,
};
// "ES256"; none for what is unknown or refused.
std::optional<SignatureAlgorithm> find_signature_algorithm(std::string_view name) noexcept;

enum class KeyKind : uint8_t { kRsa, kP256, kP384, kP521, kEd25519 };

inline constexpr size_t kEd25519SignatureBytes = 64;

// A key that checks signatures.
class PublicKey {
 public:
  static constexpr unsigned kMinRsaBits = 2048;
  static constexpr unsigned kMaxRsaBits = 8192;

  // Modulus and exponent, big-endian.  The exponent is 3 or 65537, as Envoy demands.
  static Result<PublicKey> rsa(std::string_view n, std::string_view e);
  // A point of the curve, its coordinates big-endian and exactly as long as the curve's field.
  static Result<PublicKey> ec(KeyKind curve, std::string_view x, std::string_view y);
  static Result<PublicKey> ed25519(std::string_view x);

  [[nodiscard]] KeyKind kind() const noexcept { return kind_; }
  [[nodiscard]] bool fits(SignatureAlgorithm algorithm) const noexcept;
  // False too if the algorithm does not fit.
  [[nodiscard]] bool verify(SignatureAlgorithm algorithm, std::string_view text,
                            std::string_view signature) const noexcept;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const noexcept;
  };
  PublicKey(KeyKind kind, evp_pkey_st* key) noexcept : key_(key), kind_(kind) {}

  std::unique_ptr<evp_pkey_st, Free> key_;
  KeyKind kind_;
};

using Sha256 = std::array<uint8_t, 32>;
Sha256 sha256(std::string_view text) noexcept;

}  // namespace pillion::tls
