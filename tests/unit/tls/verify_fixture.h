#pragma once
// Chains as peers send them, put before a Verifier.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include "proxy/tls/verify.h"
#include "tests/support/test_ca.h"

namespace pillion::tls {

using ::testing::HasSubstr;
using Outcome = Verifier::Outcome;
using pillion::testing::now_seconds;
using pillion::testing::TestCa;

inline constexpr const char* kUsers = "spiffe://mesh.local/ns/shop/sa/users";

// A chain as a peer sends it.
inline bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> chain_of(const std::string& pem) {
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> chain(sk_CRYPTO_BUFFER_new_null());
  const auto certificates = parse_certificates(pem);
  for (const X509Ptr& c : *certificates) {
    uint8_t* der = nullptr;
    const int size = i2d_X509(c.get(), &der);
    bssl::PushToStack(chain.get(), bssl::UniquePtr<CRYPTO_BUFFER>(
                                       CRYPTO_BUFFER_new(der, static_cast<size_t>(size), nullptr)));
    OPENSSL_free(der);
  }
  return chain;
}

inline std::unique_ptr<const Verifier> verifier(const std::optional<ValidationConfig>& config,
                                                Role role = Role::kServer) {
  auto made = Verifier::make(config, role);
  EXPECT_TRUE(made) << made.error();
  return std::move(*made);
}

inline Verifier::Verdict judge(const Verifier& v, const std::string& pem,
                               std::string_view name = {}, int64_t now = now_seconds()) {
  return v.verify(*chain_of(pem), name, now);
}

inline SanMatcher uri_prefix(const char* text) {
  return {SanType::kUri, SanMatcher::Kind::kPrefix, false, text};
}

}  // namespace pillion::tls
