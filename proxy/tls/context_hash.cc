#include "proxy/tls/context_hash.h"

#include <openssl/sha2.h>

#include <string_view>

namespace pillion::tls {
namespace {

// A hash of parts, each with its length: no two lists of parts make the same text.
class Fingerprint {
 public:
  Fingerprint() { SHA256_Init(&hash_); }
  Fingerprint& add(std::string_view text) {
    add(static_cast<uint64_t>(text.size()));
    SHA256_Update(&hash_, text.data(), text.size());
    return *this;
  }
  Fingerprint& add(uint64_t n) {
    SHA256_Update(&hash_, &n, sizeof n);
    return *this;
  }
  Fingerprint& add(const std::vector<std::string>& texts) {
    add(static_cast<uint64_t>(texts.size()));
    for (const std::string& t : texts) add(std::string_view(t));
    return *this;
  }
  Fingerprint& add(const std::vector<Sha256>& hashes) {
    add(static_cast<uint64_t>(hashes.size()));
    for (const Sha256& h : hashes) SHA256_Update(&hash_, h.data(), h.size());
    return *this;
  }
  Sha256 finish() {
    Sha256 digest;
    SHA256_Final(digest.data(), &hash_);
    return digest;
  }

 private:
  SHA256_CTX hash_;
};

void add(Fingerprint& f, const ValidationConfig& v) {
  f.add(v.trusted_ca_pem).add(v.crl_pem).add(v.certificate_hashes).add(v.spki_hashes);
  f.add(uint64_t{v.max_verify_depth.value_or(kDefaultVerifyDepth)})
      .add(uint64_t{v.crl_leaf_only})
      .add(uint64_t{v.allow_expired});
  f.add(uint64_t{v.accept_untrusted}).add(uint64_t{v.suppress_client_ca_list});
  f.add(static_cast<uint64_t>(v.trust_domains.size()));
  for (const TrustDomain& d : v.trust_domains) {
    f.add(std::string_view(d.name)).add(std::string_view(d.pem));
  }
  f.add(static_cast<uint64_t>(v.sans.size()));
  for (const SanMatcher& m : v.sans) {
    f.add(static_cast<uint64_t>(m.type)).add(static_cast<uint64_t>(m.kind));
    f.add(uint64_t{m.ignore_case}).add(std::string_view(m.text));
    f.add(m.regex == nullptr ? std::string_view() : m.regex->pattern());
  }
}

void add(Fingerprint& f, const KeyLogConfig& c) {
  f.add(std::string_view(c.path));
  for (const auto* ranges : {&c.local_ranges, &c.remote_ranges}) {
    f.add(static_cast<uint64_t>(ranges->size()));
    for (const match::Cidr& range : *ranges) f.add(std::string_view(range.to_string()));
  }
}

}  // namespace

std::string Context::fingerprint(const ContextConfig& c) {
  Fingerprint f;
  f.add(static_cast<uint64_t>(c.role)).add(static_cast<uint64_t>(c.min_version));
  f.add(static_cast<uint64_t>(c.max_version)).add(c.cipher_suites).add(c.groups);
  f.add(c.signature_algorithms).add(c.alpn);
  f.add(static_cast<uint64_t>(c.certificates.size())).add(uint64_t{c.lacks_certificate});
  for (const CertificateConfig& cert : c.certificates) {
    f.add(std::string_view(cert.chain_pem)).add(std::string_view(cert.key_pem));
    f.add(std::string_view(cert.source)).add(std::string_view(cert.ocsp_staple));
  }
  f.add(uint64_t{c.validation.has_value()});
  if (c.validation) add(f, *c.validation);
  f.add(uint64_t{c.require_client_certificate}).add(uint64_t{c.require_sni});
  f.add(static_cast<uint64_t>(c.ocsp_policy));
  f.add(std::string_view(c.sni)).add(uint64_t{c.auto_host_sni});
  f.add(uint64_t{c.key_log.has_value()});
  if (c.key_log) add(f, *c.key_log);
  f.add(uint64_t{c.auto_sni_san_validation});
  f.add(uint64_t{c.resumes_sessions}).add(static_cast<uint64_t>(c.session_timeout.count()));
  f.add(c.ticket_keyring == nullptr ? std::string_view() : c.ticket_keyring->id());
  f.add(uint64_t{c.max_session_keys});
  const Sha256 digest = f.finish();
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Sha256 session_context(const ContextConfig& c, const std::vector<Context::Identity>& identities) {
  Fingerprint f;
  f.add(static_cast<uint64_t>(c.role)).add(uint64_t{c.require_client_certificate});
  f.add(uint64_t{c.validation.has_value()});
  if (c.validation) add(f, *c.validation);
  // Under keys that others share each of them has a certificate of its own, for the same names.
  const bool by_name = c.ticket_keyring != nullptr && c.ticket_keyring->is_given();
  f.add(static_cast<uint64_t>(identities.size()));
  for (const Context::Identity& identity : identities) {
    const CertificateInfo& leaf = identity.chain.front();
    if (!by_name) {
      f.add(std::string_view(leaf.sha256));
      continue;
    }
    f.add(std::string_view(leaf.subject)).add(std::string_view(leaf.issuer));
    f.add(static_cast<uint64_t>(leaf.sans.size()));
    for (const San& san : leaf.sans)
      f.add(static_cast<uint64_t>(san.type)).add(std::string_view(san.text));
  }
  return f.finish();
}

}  // namespace pillion::tls
