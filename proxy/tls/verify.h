#pragma once
// Verifier: decides whether a peer's certificate is good, and says what it says.
//
// Immutable, owned by a Context, used by all workers.  Chains that passed are remembered per thread
// by (verifier, expected name, the whole chain), so that a client that comes back costs one SHA-256
// instead of parsing X.509 and checking signatures.  An entry never outlives the first expiry in
// its chain (or of a revocation list), belongs to exactly one Verifier, and the number is bounded.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/context_config.h"
#include "proxy/tls/peer_certificate.h"
#include "proxy/tls/pem.h"
#include "proxy/tls/x509_info.h"

struct stack_st_CRYPTO_BUFFER;
struct x509_store_st;
struct x509_store_ctx_st;

namespace pillion::tls {

// What is kept of a peer's leaf certificate.
struct PeerFacts {
  std::string uri_san;
  std::string dns_san;
  std::string subject;
  std::string serial;
  std::string sha256;
  int64_t valid_from = 0;  // of the decision: seconds since 1970
  int64_t valid_until = 0;
  bool verified = false;  // the chain leads to a trusted CA, or the certificate is pinned
  std::shared_ptr<const io::PeerCertificate> certificate;  // all that it says; never null
};

class Verifier {
 public:
  // Which counter a refusal belongs to (ssl.fail_verify_...).
  enum class Outcome : uint8_t { kOk, kChain, kSan, kHash };
  struct Verdict {
    Outcome outcome = Outcome::kOk;
    uint8_t alert = 0;                 // TLS alert to send
    std::string reason;                // one sentence that names the cause
    const PeerFacts* facts = nullptr;  // if kOk; valid until this thread's next verify()
  };

  // Without a config any certificate passes, as unverified.  `role` is ours.
  static Result<std::unique_ptr<const Verifier>> make(const std::optional<ValidationConfig>& config,
                                                      Role role);
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // `chain` is not empty.  `expected_name`, if any, replaces the configured SAN matchers by "has
  // exactly this URI, DNS name or IP address".  `now`: seconds since 1970.
  Verdict verify(const stack_st_CRYPTO_BUFFER& chain, std::string_view expected_name,
                 int64_t now) const;

  // DER names of the trusted CAs, for a server's CertificateRequest; empty when suppressed.
  [[nodiscard]] std::vector<std::string> ca_names() const;
  [[nodiscard]] std::vector<CertificateInfo> trusted() const;
  // What a peer must show, for people: "a certificate of certs/ca.crt, with URI SAN ...".  Empty if
  // nothing is required.
  [[nodiscard]] std::string requirement() const;
  // The file they came from, or "<inline>"; empty without any.
  [[nodiscard]] std::string trusted_source() const {
    return config_ ? config_->trusted_ca_source : std::string();
  }

  // Decisions of this thread that are remembered, and how many were answered from there (tests).
  static size_t remembered() noexcept;
  static uint64_t hits() noexcept;

 private:
  Verifier(const std::optional<ValidationConfig>& config, Role role);
  Status<> load_store();
  Verdict check(const stack_st_CRYPTO_BUFFER& chain, std::string_view expected_name, int64_t now,
                PeerFacts& facts) const;
  Verdict check_chain(const std::vector<X509Ptr>& chain, int64_t now, PeerFacts& facts) const;
  Verdict check_names(const std::vector<San>& sans, std::string_view expected_name) const;
  Verdict check_hashes(const x509_st& leaf, PeerFacts& facts) const;
  Verdict explain(x509_store_ctx_st& context, const x509_st& leaf) const;

  struct FreeStore {
    void operator()(x509_store_st* p) const noexcept;
  };
  const uint64_t id_;  // never used twice in a process
  const Role role_;
  std::optional<ValidationConfig> config_;
  std::vector<X509Ptr> cas_;
  int64_t crls_valid_until_ = INT64_MAX;
  std::unique_ptr<x509_store_st, FreeStore> store_;
};

}  // namespace pillion::tls
