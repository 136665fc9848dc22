#include "proxy/tls/verify.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/sha2.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "proxy/base/str.h"
#include "proxy/tls/verify_cache.h"
#include "proxy/tls/verify_text.h"

namespace pillion::tls {
namespace {

uint64_t next_id() noexcept {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

void hash_number(SHA256_CTX& hash, uint64_t n) { SHA256_Update(&hash, &n, sizeof n); }

// Everything the decision depends on, each part with its length.
Sha256 key_of(uint64_t verifier, std::string_view name, const STACK_OF(CRYPTO_BUFFER) * chain) {
  SHA256_CTX hash;
  SHA256_Init(&hash);
  hash_number(hash, verifier);
  hash_number(hash, name.size());
  SHA256_Update(&hash, name.data(), name.size());
  for (const CRYPTO_BUFFER* c : chain) {
    hash_number(hash, CRYPTO_BUFFER_len(c));
    SHA256_Update(&hash, CRYPTO_BUFFER_data(c), CRYPTO_BUFFER_len(c));
  }
  Sha256 key;
  SHA256_Final(key.data(), &hash);
  return key;
}

// A chain that nobody vouches for is remembered if it is smaller.
constexpr size_t kMaxUnverifiedBytes = size_t{16} << 10;

size_t size_of(const stack_st_CRYPTO_BUFFER& chain) {
  size_t size = 0;
  for (const CRYPTO_BUFFER* c : &chain) size += CRYPTO_BUFFER_len(c);
  return size;
}

int64_t posix_or(const ASN1_TIME* t, int64_t fallback) noexcept {
  int64_t seconds = 0;
  return t != nullptr && ASN1_TIME_to_posix(t, &seconds) == 1 ? seconds : fallback;
}

// CertificateValidationContext.allow_expired_certificate.
int ignore_expiry(int ok, X509_STORE_CTX* context) {
  const int error = X509_STORE_CTX_get_error(context);
  if (error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID) return 1;
  return ok;
}

std::string list(const std::vector<San>& sans) {
  if (sans.empty()) return "no SAN";
  std::string out;
  for (const San& san : sans) {
    out += str(out.empty() ? "" : ", ", to_string(san.type), " SAN ", san.text);
  }
  return out;
}

std::string list(const std::vector<SanMatcher>& matchers) {
  std::string out = matchers.size() > 1 ? "one of: " : "";
  for (size_t i = 0; i < matchers.size(); ++i)
    out += str(i > 0 ? ", " : "", matchers[i].describe());
  return out;
}

Result<std::vector<X509Ptr>> parse(const STACK_OF(CRYPTO_BUFFER) * chain) {
  std::vector<X509Ptr> parsed;
  for (const CRYPTO_BUFFER* c : chain) {
    parsed.emplace_back(X509_parse_from_buffer(c));
    if (parsed.back() == nullptr) {
      ERR_clear_error();
      return Error{str("certificate ", parsed.size(), " of the peer's chain is malformed")};
    }
  }
  return parsed;
}

}  // namespace

void Verifier::FreeStore::operator()(x509_store_st* p) const noexcept { X509_STORE_free(p); }

Verifier::Verifier(const std::optional<ValidationConfig>& config, Role role)
    : id_(next_id()), role_(role), config_(config) {}
Verifier::~Verifier() = default;

Result<std::unique_ptr<const Verifier>> Verifier::make(
    const std::optional<ValidationConfig>& config, Role role) {
  std::unique_ptr<Verifier> v(new Verifier(config, role));
  if (config) {
    if (auto ok = v->load_bundles(); !ok) return Error{ok.error()};
  }
  return std::unique_ptr<const Verifier>(std::move(v));
}

Status<> Verifier::load_bundles() {
  std::vector<CrlPtr> crls;
  if (!config_->crl_pem.empty()) {
    auto parsed = parse_crls(config_->crl_pem);
    if (!parsed) return Error{parsed.error()};
    crls = std::move(*parsed);
    for (const CrlPtr& crl : crls) {
      crls_valid_until_ =
          std::min(crls_valid_until_, posix_or(X509_CRL_get0_nextUpdate(crl.get()), INT64_MAX));
    }
  }
  if (!config_->trusted_ca_pem.empty()) {
    if (auto ok = add_bundle({}, config_->trusted_ca_pem); !ok) return ok;
  }
  for (const TrustDomain& domain : config_->trust_domains) {
    if (auto ok = add_bundle(domain.name, domain.pem); !ok)
      return Error{str("trust domain ", domain.name, ": ", ok.error())};
  }
  add_crls(crls);
  ERR_clear_error();
  return Ok{};
}

Status<> Verifier::add_bundle(const std::string& trust_domain, std::string_view pem) {
  Bundle bundle{trust_domain, {}, StorePtr(X509_STORE_new())};
  auto cas = parse_certificates(pem);
  if (!cas) return Error{cas.error()};
  for (const X509Ptr& ca : *cas) X509_STORE_add_cert(bundle.store.get(), ca.get());
  bundle.cas = std::move(*cas);
  // Every certificate of trusted_ca is an anchor, intermediate ones too (as Envoy).
  X509_STORE_set_flags(bundle.store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  bundles_.push_back(std::move(bundle));
  return Ok{};
}

// A trust domain that publishes lists must not shut out those that have none.  A list whose issuer
// is in no bundle may be about anybody: all are held to it then.
void Verifier::add_crls(const std::vector<CrlPtr>& crls) {
  const auto is_issuer = [](const Bundle& bundle, const CrlPtr& crl) {
    return std::any_of(bundle.cas.begin(), bundle.cas.end(), [&crl](const X509Ptr& ca) {
      return X509_NAME_cmp(X509_get_subject_name(ca.get()), X509_CRL_get_issuer(crl.get())) == 0;
    });
  };
  const bool is_for_all = std::any_of(crls.begin(), crls.end(), [&](const CrlPtr& crl) {
    return std::none_of(bundles_.begin(), bundles_.end(),
                        [&](const Bundle& bundle) { return is_issuer(bundle, crl); });
  });
  for (const Bundle& bundle : bundles_) {
    const bool is_about_it =
        is_for_all || std::any_of(crls.begin(), crls.end(),
                                  [&](const CrlPtr& crl) { return is_issuer(bundle, crl); });
    if (!is_about_it) continue;
    for (const CrlPtr& crl : crls) X509_STORE_add_crl(bundle.store.get(), crl.get());
    X509_STORE_set_flags(bundle.store.get(), X509_V_FLAG_CRL_CHECK);
    if (!config_->crl_leaf_only)
      X509_STORE_set_flags(bundle.store.get(), X509_V_FLAG_CRL_CHECK_ALL);
  }
}

Verifier::Verdict Verifier::verify(const stack_st_CRYPTO_BUFFER& chain,
                                   std::string_view expected_name, int64_t now) const {
  VerifyCache& cache = VerifyCache::of_thread();
  const Sha256 key = key_of(id_, expected_name, &chain);
  if (const PeerFacts* known = cache.find(key, now)) return {.reason = {}, .facts = known};
  PeerFacts facts;
  Verdict verdict = check(chain, expected_name, now, facts);
  if (verdict.outcome != Outcome::kOk) return verdict;
  // Of whom nobody vouches for anything may come, as large as it may be.
  const bool is_kept = facts.verified || size_of(chain) < kMaxUnverifiedBytes;
  verdict.facts = is_kept ? cache.put(key, std::move(facts)) : cache.lend(std::move(facts));
  return verdict;
}

Verifier::Verdict Verifier::check(const stack_st_CRYPTO_BUFFER& chain,
                                  std::string_view expected_name, int64_t now,
                                  PeerFacts& facts) const {
  if (const size_t count = sk_CRYPTO_BUFFER_num(&chain); count > kMaxPresented) {
    return refuse(
        Outcome::kChain, SSL_AD_BAD_CERTIFICATE,
        str("the peer sent ", count, " certificates, at most ", kMaxPresented, " are looked at"));
  }
  auto parsed = parse(&chain);
  if (!parsed) return refuse(Outcome::kChain, SSL_AD_BAD_CERTIFICATE, parsed.error());
  const x509_st& leaf = *parsed->front();
  const CertificateInfo info = describe(leaf);
  facts.certificate = make_peer_certificate(info, leaf, &chain);
  facts.valid_from = info.not_before;
  facts.valid_until = info.not_after;
  if (checks_chains()) {
    Verdict v = check_chain(*parsed, now, facts);
    if (v.outcome != Outcome::kOk && !config_->accept_untrusted) return v;
    facts.verified = v.outcome == Outcome::kOk;
  }
  if (Verdict v = check_names(info.sans, expected_name); v.outcome != Outcome::kOk) return v;
  return check_hashes(leaf, facts);
}

uint32_t Verifier::max_depth() const noexcept {
  return std::min(config_->max_verify_depth.value_or(kDefaultVerifyDepth), kDefaultVerifyDepth);
}

Result<const Verifier::Bundle*, Fault> Verifier::bundle_for(const x509_st& leaf) const {
  if (config_->trust_domains.empty()) return &bundles_.front();
  const auto domain = trust_domain_of_leaf(leaf);
  if (!domain) return Error{domain.error()};
  for (const Bundle& bundle : bundles_) {
    if (bundle.trust_domain == *domain) return &bundle;
  }
  return Error{Fault{SSL_AD_UNKNOWN_CA,
                     str("is of the trust domain ", *domain, ", which is not trusted here")}};
}

Verifier::Verdict Verifier::check_chain(const Chain& chain, int64_t now, PeerFacts& facts) const {
  const x509_st& leaf = *chain.front();
  const auto faulty = [&leaf](const Fault& fault) {
    return refuse(Outcome::kChain, fault.alert,
                  str("peer certificate ", who(leaf), ' ', fault.text));
  };
  const auto found = bundle_for(leaf);
  if (!found) {
    const auto fault = fault_of_form(leaf, /*is_trusted=*/false);
    return faulty(fault ? *fault : found.error());
  }
  const Bundle& bundle = **found;
  bool is_trusted = false;
  for (const X509Ptr& ca : bundle.cas) is_trusted |= X509_cmp(ca.get(), &leaf) == 0;
  if (const auto fault = fault_of_form(leaf, is_trusted)) return faulty(*fault);
  if (Verdict v = check_path(chain, bundle, now, facts); v.outcome != Outcome::kOk) return v;
  const bool needs_spiffe_id = !config_->trust_domains.empty();
  if (const auto fault = fault_of_leaf(leaf, role_, is_trusted, needs_spiffe_id))
    return faulty(*fault);
  return {};
}

// RFC 5280, section 6, by the library; and the form of the authorities on the path.
Verifier::Verdict Verifier::check_path(const Chain& chain, const Bundle& bundle, int64_t now,
                                       PeerFacts& facts) const {
  bssl::UniquePtr<STACK_OF(X509)> others(sk_X509_new_null());
  for (size_t i = 1; i < chain.size(); ++i) {
    X509_up_ref(chain[i].get());
    sk_X509_push(others.get(), chain[i].get());
  }
  bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  X509* leaf = chain.front().get();
  if (!context || !X509_STORE_CTX_init(context.get(), bundle.store.get(), leaf, others.get()) ||
      !X509_STORE_CTX_set_default(context.get(),
                                  role_ == Role::kServer ? "ssl_client" : "ssl_server")) {
    ERR_clear_error();
    return refuse(Outcome::kChain, SSL_AD_INTERNAL_ERROR, "verification could not be set up");
  }
  X509_STORE_CTX_set_time_posix(context.get(), 0, now);
  X509_VERIFY_PARAM_set_depth(X509_STORE_CTX_get0_param(context.get()),
                              static_cast<int>(max_depth()));
  if (config_->allow_expired) X509_STORE_CTX_set_verify_cb(context.get(), ignore_expiry);
  const bool ok = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!ok) return explain(*context, bundle, *leaf);
  const STACK_OF(X509)* path = X509_STORE_CTX_get0_chain(context.get());
  for (size_t i = 1; i + 1 < sk_X509_num(path); ++i) {
    const X509* authority = sk_X509_value(path, i);
    if (const auto fault = fault_of_form(*authority, /*is_trusted=*/false)) {
      return refuse(Outcome::kChain, fault->alert,
                    str(who_of_path(*leaf, authority), ' ', fault->text));
    }
  }
  facts.valid_until = std::min(facts.valid_until, crls_valid_until_);
  for (const X509* c : path) {
    facts.valid_from = std::max(facts.valid_from, posix_or(X509_get0_notBefore(c), INT64_MAX));
    facts.valid_until = std::min(facts.valid_until, posix_or(X509_get0_notAfter(c), 0));
  }
  return {};
}

std::string Verifier::requirement() const {
  if (!config_) return {};
  std::string out;
  const size_t pinned = config_->certificate_hashes.size() + config_->spki_hashes.size();
  if (!config_->trusted_ca_source.empty() && !config_->accept_untrusted)
    out = str("a certificate of ", config_->trusted_ca_source);
  if (!config_->accept_untrusted) {
    for (const TrustDomain& domain : config_->trust_domains) {
      out += str(out.empty() ? "a SPIFFE id of the trust domain " : " or ", domain.name);
    }
  }
  if (pinned != 0) out += str(out.empty() ? "" : ", ", "one of ", pinned, " pinned certificates");
  if (!config_->sans.empty()) out += str(out.empty() ? "" : ", with ", list(config_->sans));
  return out;
}

Verifier::Verdict Verifier::check_names(const std::vector<San>& sans,
                                        std::string_view expected_name) const {
  std::vector<SanMatcher> named;
  if (!expected_name.empty()) named.push_back(matcher_for_name(expected_name));
  if (named.empty() && (!config_ || config_->sans.empty())) return {};
  const std::vector<SanMatcher>& wanted = named.empty() ? config_->sans : named;
  for (const SanMatcher& matcher : wanted) {
    for (const San& san : sans) {
      if (matcher.matches(san)) return {};
    }
  }
  return refuse(Outcome::kSan, SSL_AD_CERTIFICATE_UNKNOWN,
                str("peer certificate has ", list(sans), ", expected ", list(wanted)));
}

Verifier::Verdict Verifier::check_hashes(const x509_st& leaf, PeerFacts& facts) const {
  if (!config_ || (config_->certificate_hashes.empty() && config_->spki_hashes.empty())) return {};
  Sha256 digest;
  unsigned size = 0;
  X509_digest(&leaf, EVP_sha256(), digest.data(), &size);
  const auto has = [&digest](const std::vector<Sha256>& all) {
    return std::find(all.begin(), all.end(), digest) != all.end();
  };
  // The pin of a certificate says more than a CA (as Envoy).
  if (has(config_->certificate_hashes)) {
    facts.verified = true;
    return {};
  }
  // That of a key says who it is, and nothing about the names that its owner gives himself: they
  // are as good as the chain.
  uint8_t* spki = nullptr;
  const int spki_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&leaf), &spki);
  if (spki_size > 0) {
    SHA256(spki, static_cast<size_t>(spki_size), digest.data());
    OPENSSL_free(spki);
    if (has(config_->spki_hashes)) return {};
  }
  return refuse(Outcome::kHash, SSL_AD_CERTIFICATE_UNKNOWN,
                str("peer certificate ", who(leaf), " is not one of the pinned ones (sha256 ",
                    facts.certificate->sha256, ")"));
}

std::vector<std::string> Verifier::ca_names() const {
  std::vector<std::string> names;
  if (!config_ || config_->suppress_client_ca_list) return names;
  for (const Bundle& bundle : bundles_) {
    for (const X509Ptr& ca : bundle.cas) {
      uint8_t* der = nullptr;
      const int size = i2d_X509_NAME(X509_get_subject_name(ca.get()), &der);
      if (size <= 0) continue;
      names.emplace_back(reinterpret_cast<char*>(der), static_cast<size_t>(size));
      OPENSSL_free(der);
    }
  }
  return names;
}

std::vector<CertificateInfo> Verifier::trusted() const {
  std::vector<CertificateInfo> infos;
  for (const Bundle& bundle : bundles_) {
    for (const X509Ptr& ca : bundle.cas) infos.push_back(describe(*ca));
  }
  return infos;
}

std::optional<Validity> Verifier::longest_trusted() const {
  std::optional<Validity> longest;
  for (const Bundle& bundle : bundles_) {
    for (const X509Ptr& ca : bundle.cas) {
      const Validity of_ca = validity_of(*ca);
      if (!longest || wall_time(of_ca.not_after) > wall_time(longest->not_after)) longest = of_ca;
    }
  }
  return longest;
}

size_t Verifier::remembered() noexcept { return VerifyCache::of_thread().used; }
uint64_t Verifier::hits() noexcept { return VerifyCache::of_thread().hits; }

}  // namespace pillion::tls
