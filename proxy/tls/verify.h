#pragma once
// Verifier: decides whether a peer's certificate is good, and says what it says.
//
// Good is: its form and use (certificate_rules.h), a chain to a trusted CA (of its trust domain, if
// bundles are by trust domain), its names, and the pins if there are any.  Names are those of the
// SAN extension only, never the common name.  Times are compared without tolerance: who wants a
// certificate to be good for peers whose clocks are late lets it begin earlier.
//
// Immutable, owned by a Context, used by all workers.  Chains that passed are remembered per thread
// by (verifier, expected name, the whole chain), so that a client that comes back costs one SHA-256
// instead of parsing X.509 and checking signatures.  An entry never outlives the first expiry in
// its chain (or of a revocation list), belongs to exactly one Verifier, and the number is bounded;
// so is the size of those that nobody vouches for.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/certificate_rules.h"
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
  int64_t valid_from = 0;  // of the decision: seconds since 1970
  int64_t valid_until = 0;
  // The chain leads to a trusted CA, or the certificate is pinned; not if only its key is, whose
  // owner may write any name into another one.
  bool verified = false;
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

  // Of one, after at most this many of a peer's certificates: more are refused unread.
  static constexpr size_t kMaxPresented = 32;

  // DER names of the trusted CAs, for a server's CertificateRequest; empty when suppressed.
  [[nodiscard]] std::vector<std::string> ca_names() const;
  [[nodiscard]] std::vector<CertificateInfo> trusted() const;
  // Of the trusted CA that lasts longest; none: there is no CA.
  [[nodiscard]] std::optional<Validity> longest_trusted() const;
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
  struct FreeStore {
    void operator()(x509_store_st* p) const noexcept;
  };
  using StorePtr = std::unique_ptr<x509_store_st, FreeStore>;
  // Whom to trust: everybody's, or those of one trust domain.
  struct Bundle {
    std::string trust_domain;
    std::vector<X509Ptr> cas;
    StorePtr store;
  };
  using Chain = std::vector<X509Ptr>;  // as the peer sent it, leaf first

  Verifier(const std::optional<ValidationConfig>& config, Role role);
  Status<> load_bundles();
  Status<> add_bundle(const std::string& trust_domain, std::string_view pem);
  void add_crls(const std::vector<CrlPtr>& crls);
  Verdict check(const stack_st_CRYPTO_BUFFER& chain, std::string_view expected_name, int64_t now,
                PeerFacts& facts) const;
  Verdict check_chain(const Chain& chain, int64_t now, PeerFacts& facts) const;
  Verdict check_path(const Chain& chain, const Bundle& bundle, int64_t now, PeerFacts& facts) const;
  Verdict check_names(const std::vector<San>& sans, std::string_view expected_name) const;
  Verdict check_hashes(const x509_st& leaf, PeerFacts& facts) const;
  Result<const Bundle*, Fault> bundle_for(const x509_st& leaf) const;
  // Why the library refused (verify_explain.cc).
  Verdict explain(x509_store_ctx_st& context, const Bundle& bundle, const x509_st& leaf) const;
  [[nodiscard]] bool checks_chains() const noexcept { return !bundles_.empty(); }
  [[nodiscard]] uint32_t max_depth() const noexcept;

  const uint64_t id_;  // never used twice in a process
  const Role role_;
  std::optional<ValidationConfig> config_;
  std::vector<Bundle> bundles_;
  int64_t crls_valid_until_ = INT64_MAX;
};

}  // namespace pillion::tls
